/** Requests of clients that stand in no cluster file: which are valid, the same on every replica (rules 14, 90, 91, A70). */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { firstOpenClient, isOpenClient, requestNumber } from "../../src/core/ids.ts";
import type { Request, Signed } from "../../src/core/message.ts";
import { nobleDigest } from "../../src/crypto/digest.ts";
import { nobleScheme } from "../../src/crypto/signature.ts";
import { encodeBatch } from "../../src/wire/batch.ts";
import { signedBytes } from "../../src/wire/codec.ts";
import { encodeFrame } from "../../src/wire/frame.ts";
import { decode, encode } from "../../src/wire/msgpack.ts";
import { openClientId } from "../../src/wire/open-client.ts";
import type { Plain } from "../../src/wire/schema.ts";
import { createClientSeal } from "../../src/wire/seal.ts";
import { unfitKeys } from "../crypto/unfit-keys.ts";
import { testCluster } from "../support/keys.ts";
import { clientSeal, codeOf, openerOf, replicaSeal } from "../support/wire.ts";

const test = testCluster(4, { clients: 2 });
const open = openerOf(test, { openClients: true });
const closed = openerOf(test);

const secretOf = (seed: number): Uint8Array => new Uint8Array(32).fill(200 + seed);

/** What an open client signs; `change` damages the payload before it is signed. */
function requestOf(
  seed: number,
  change: (fields: Plain[]) => Plain[] = (fields) => fields,
  publicKey = nobleScheme.publicKeyOf(secretOf(seed)),
) {
  const sign = (bytes: Uint8Array): Uint8Array => nobleScheme.sign(secretOf(seed), bytes);
  const sender = openClientId(publicKey, nobleDigest);
  const seal = createClientSeal({ cluster: test.cluster.id, sender, incarnation: 0, sign, publicKey });
  const { message, payload } = seal({ kind: "request", number: requestNumber(1), operation: Uint8Array.of(1, 2) });
  const decoded = decode(payload);
  const changed = encode(change(decoded.ok ? [...(decoded.value as Plain[])] : []));
  return { message, payload: changed, signature: sign(signedBytes(test.cluster.id, "request", changed)) };
}

const opened = (request: Signed<Request>, by = open): string => codeOf(by.open(encodeFrame(request)));

/** A batch of one request, as the primary of view 0 proposes it: the code for which it is refused. */
function inBatch(request: Signed<Request>, by = open): string {
  const bytes = encodeBatch(1, [request]);
  const digest = nobleDigest("batch", bytes);
  const proposal = replicaSeal(test, 0)({ kind: "pre-prepare", view: 0, slot: 1, digest } as never, { bytes });
  const result = by.open(encodeFrame(proposal));
  if (!result.ok) return result.rejection.code;
  const { batch } = result.message;
  return batch?.valid ? "valid" : (batch?.code ?? "no batch");
}

describe("the number of an open client", () => {
  it("follows from its key, and is that of no registered client", () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 32, maxLength: 32 }), (key) => {
        const id = openClientId(key, nobleDigest);
        expect(id).toBe(openClientId(key.slice(), nobleDigest));
        expect(Number.isSafeInteger(id)).toBe(true);
        expect(id).toBeGreaterThanOrEqual(firstOpenClient);
        expect(isOpenClient(id)).toBe(true);
      }),
    );
    expect(openClientId(new Uint8Array(32), nobleDigest)).toBe(openClientId(new Uint8Array(32), nobleDigest));
    expect(isOpenClient(4_096)).toBe(false);
    expect(new Set([0, 1, 2, 3].map((seed) => openClientId(nobleScheme.publicKeyOf(secretOf(seed)), nobleDigest))).size).toBe(4);
  });
});

describe("a request of an open client", () => {
  it("opens where the cluster file lets such clients take part, and carries its key", () => {
    const result = open.open(encodeFrame(requestOf(1)));
    expect(result.ok && result.message.message).toEqual({
      kind: "request",
      sender: openClientId(nobleScheme.publicKeyOf(secretOf(1)), nobleDigest),
      incarnation: 0,
      number: 1,
      operation: Uint8Array.of(1, 2),
      publicKey: nobleScheme.publicKeyOf(secretOf(1)),
    });
    expect(inBatch(requestOf(1))).toBe("valid");
  });

  it("rule 91: is of an unknown sender everywhere else", () => {
    expect(opened(requestOf(1), closed)).toBe("unknown-sender");
    expect(inBatch(requestOf(1), closed)).toBe("unknown-sender");
  });

  it("is none with a key that gives another number, which cuts off who delivers it", () => {
    const other = nobleScheme.publicKeyOf(secretOf(2));
    const request = requestOf(1, (fields) => [...fields.slice(0, -1), other]);
    expect(opened(request)).toBe("bad-key");
    expect(inBatch(request)).toBe("bad-key");
    const result = open.open(encodeFrame(request));
    expect(!result.ok && result.signatureFailed).toBe(true);
  });

  it.each(unfitKeys)("A70: is none with a key that is $about, though its signature verifies", ({ publicKey }) => {
    // The identity point verifies any message under R = identity, S = 0; what matters is that no such key gets so far.
    const { message, payload } = requestOf(1, undefined, publicKey);
    const signature = Uint8Array.of(1, ...new Uint8Array(63));
    expect(opened({ message, payload, signature })).toBe("bad-key");
    expect(inBatch({ message, payload, signature })).toBe("bad-key");
  });

  it("is none when another key signed it", () => {
    const request = { ...requestOf(1), signature: requestOf(2).signature };
    expect(opened(request)).toBe("bad-signature");
    expect(inBatch(request)).toBe("bad-request-signature");
  });

  it("rule 88: has one layout: an open client says its key, a registered one does not", () => {
    expect(opened(requestOf(1, (fields) => fields.slice(0, -1)))).toBe("malformed");
    expect(opened(requestOf(1, (fields) => [...fields, Uint8Array.of(1)]))).toBe("malformed");
    expect(opened(requestOf(1, (fields) => [...fields.slice(0, -1), new Uint8Array(31)]))).toBe("malformed");
    // A registered client's request, with a key behind it.
    const { message } = clientSeal(test)({ kind: "request", number: requestNumber(1), operation: Uint8Array.of(1) });
    const payload = encode([1, Buffer.from(test.cluster.id, "hex"), 1, [1, 0], 1, Uint8Array.of(1), test.clientKeys[0] as Uint8Array]);
    const signature = nobleScheme.sign(test.clientSecrets[0] as Uint8Array, signedBytes(test.cluster.id, "request", payload));
    expect(opened({ message: message as Request, payload, signature })).toBe("malformed");
  });

  it("cannot be sealed without the key", () => {
    const seal = createClientSeal({ cluster: test.cluster.id, sender: firstOpenClient, incarnation: 0, sign: () => new Uint8Array(64) });
    expect(() => seal({ kind: "request", number: requestNumber(1), operation: new Uint8Array(0) })).toThrow(
      "a request that the wire cannot carry",
    );
  });

  it("changes nothing for registered clients", () => {
    const request = clientSeal(test)({ kind: "request", number: requestNumber(1), operation: Uint8Array.of(1) });
    for (const by of [open, closed]) expect(codeOf(by.open(encodeFrame(request)))).toBe("accepted");
  });
});
