import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { clientId, type Digest, requestNumber, slot, view } from "../../src/core/ids.ts";
import type { Signed } from "../../src/core/message.ts";
import { nobleDigest } from "../../src/crypto/digest.ts";
import { nativeScheme } from "../../src/crypto/native.ts";
import { symbolicScheme } from "../../src/crypto/symbolic.ts";
import { pbftSchemas } from "../../src/protocols/pbft/messages.ts";
import { encodeBatch } from "../../src/wire/batch.ts";
import { encodePayload, kindEntry, kindTable } from "../../src/wire/codec.ts";
import { encodeFrame } from "../../src/wire/frame.ts";
import { type TestCluster, testCluster } from "../support/keys.ts";
import { clientSeal, openerOf, replicaSeal } from "../support/wire.ts";

const digest = "ab".repeat(32) as Digest;

/** One sealed message of every kind there is. */
function everyKind(test: TestCluster): readonly Signed<{ readonly kind: string }>[] {
  const seal = replicaSeal(test, 0);
  const request = clientSeal(test)({ kind: "request", number: requestNumber(2 ** 40), operation: Uint8Array.of(1, 2, 3) });
  const bytes = encodeBatch(1_700_000_000_000, [request]);
  const prePrepare = seal({ kind: "pre-prepare", view: view(0), slot: slot(300), digest: nobleDigest("batch", bytes) }, { bytes });
  const prepare = replicaSeal(test, 1)({ kind: "prepare", view: view(0), slot: slot(300), digest });
  const checkpoint = replicaSeal(test, 2)({ kind: "checkpoint", slot: slot(64), digest });
  const state = Uint8Array.of(4, 5);
  const bitmap = Uint8Array.of(0xff, 1);
  return [
    request,
    seal({ kind: "reply", view: view(0), client: clientId(1), results: [{ number: requestNumber(1), result: bitmap }] }),
    prePrepare,
    prepare,
    seal({ kind: "commit", view: view(0), slot: slot(300), digest }),
    checkpoint,
    seal({
      kind: "view-change",
      view: view(1),
      stable: slot(64),
      checkpoints: [checkpoint],
      prepared: [{ prePrepare, prepares: [prepare] }],
    }),
    seal({ kind: "new-view", view: view(1), viewChanges: [{ sender: 1 as never, digest }], prePrepares: [prePrepare] }),
    seal({
      kind: "status",
      view: view(0),
      active: true,
      stable: slot(0),
      executed: slot(1),
      prepared: bitmap,
      committed: bitmap,
      viewChanges: [view(0), view(1)],
    }),
    seal({ kind: "fetch", what: "snapshot", slot: slot(64), digest }),
    seal({ kind: "batch-body", digest: nobleDigest("batch", bytes) }, { bytes }),
    seal({ kind: "snapshot", slot: slot(64), digest: nobleDigest("checkpoint", state) }, { bytes: state }),
    seal({ kind: "certificate", votes: [checkpoint] }),
  ];
}

const test = testCluster(4, { scheme: symbolicScheme() });
const messages = everyKind(test);
const frames = messages.map((message) => encodeFrame(message));
const opener = openerOf(test);

describe("every kind of message", () => {
  it("is in the list below", () => {
    expect(new Set(messages.map(({ message }) => message.kind))).toEqual(new Set(["request", "reply", ...Object.keys(pbftSchemas)]));
  });

  it.each([
    ["symbolic", test],
    ["Ed25519", testCluster(4, { scheme: nativeScheme })],
  ])("opens as it was sealed, and encodes to the signed bytes again (rule 87), with %s signatures", (_name, cluster) => {
    const table = kindTable(pbftSchemas, cluster.cluster.id);
    const { open } = openerOf(cluster);
    for (const sealed of everyKind(cluster)) {
      const opened = open(encodeFrame(sealed));
      expect(opened).toMatchObject({ ok: true, message: { payload: sealed.payload, signature: sealed.signature } });
      if (!opened.ok) continue;
      expect(withoutBodies(opened.message.message)).toEqual(withoutBodies(sealed.message));
      expect(encodePayload(table, kindEntry(table, sealed.message.kind), opened.message.message)).toEqual(sealed.payload);
    }
  });
});

/** A pre-prepare inside a certificate comes back without the body that it was sealed with. */
function withoutBodies(message: object): unknown {
  return JSON.parse(JSON.stringify(message, (key, value) => (key === "body" ? undefined : value)));
}

type Change = (bytes: Uint8Array) => Uint8Array;

const change: fc.Arbitrary<Change> = fc.oneof(
  fc.tuple(fc.nat(), fc.integer({ min: 1, max: 255 })).map(
    ([at, by]): Change =>
      (bytes) =>
        bytes.with(at % bytes.length, (bytes[at % bytes.length] ?? 0) ^ by),
  ),
  fc.nat().map(
    (at): Change =>
      (bytes) =>
        bytes.slice(0, at % bytes.length),
  ),
  fc.tuple(fc.nat(), fc.uint8Array({ minLength: 1, maxLength: 4 })).map(
    ([at, more]): Change =>
      (bytes) => {
        const where = at % (bytes.length + 1);
        return Uint8Array.of(...bytes.subarray(0, where), ...more, ...bytes.subarray(where));
      },
  ),
  fc.tuple(fc.nat(), fc.integer({ min: 1, max: 40 })).map(
    ([at, count]): Change =>
      (bytes) => {
        const where = at % bytes.length;
        return Uint8Array.of(...bytes.subarray(0, where), ...bytes.subarray(where + count));
      },
  ),
  fc.tuple(fc.nat(), fc.nat(), fc.nat()).map(
    ([which, from, to]): Change =>
      (bytes) => {
        const other = frames[which % frames.length] ?? bytes;
        return Uint8Array.of(...bytes.subarray(0, from % bytes.length), ...other.subarray(to % other.length));
      },
  ),
);

describe("no bytes", () => {
  it("make opening throw", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => {
        expect(opener.open(bytes).ok).toBe(false);
      }),
      { numRuns: 2000 },
    );
  });

  it("made from a valid frame by changes open as anything but a message that was sealed", () => {
    const sealed = new Set(messages.map(({ payload }) => Buffer.from(payload).toString("hex")));
    fc.assert(
      fc.property(fc.nat(frames.length - 1), fc.array(change, { minLength: 1, maxLength: 3 }), (which, changes) => {
        let bytes = frames[which] ?? new Uint8Array();
        for (const apply of changes) bytes = bytes.length === 0 ? bytes : apply(bytes);
        const opened = opener.open(bytes);
        if (!opened.ok) return;
        const { payload, body } = opened.message;
        expect(sealed.has(Buffer.from(payload).toString("hex"))).toBe(true);
        const original = messages.find((message) => Buffer.compare(message.payload, payload) === 0);
        if (body) expect(body).toEqual(original?.body);
      }),
      { numRuns: 4000 },
    );
  });

  it("take more than a moment or more memory than they have themselves, though their headers promise gigabytes (A81, M120)", () => {
    const bomb = new Uint8Array(Buffer.from("ddffffffff".repeat(6), "hex"));
    const wrapped = encodeFrame({ message: {}, payload: bomb, signature: new Uint8Array(64), body: bomb });
    const before = process.memoryUsage();
    for (let round = 0; round < 1000; round++) {
      expect(opener.open(bomb)).toMatchObject({ ok: false, rejection: { code: "malformed" } });
      expect(opener.open(wrapped)).toMatchObject({ ok: false, rejection: { code: "malformed" } });
    }
    const after = process.memoryUsage();
    expect(after.heapUsed + after.arrayBuffers - before.heapUsed - before.arrayBuffers).toBeLessThan(64 * 1024 * 1024);
  });
});
