import { describe, expect, it } from "vitest";
import { type Digest, slot, view } from "../../src/core/ids.ts";
import { symbolicScheme } from "../../src/crypto/symbolic.ts";
import { signedBytes } from "../../src/wire/codec.ts";
import { createSeal } from "../../src/wire/seal.ts";
import { testCluster } from "../support/keys.ts";
import { replicaSeal } from "../support/wire.ts";

const test = testCluster(4, { scheme: symbolicScheme() });
const digest = "ab".repeat(32) as Digest;

describe("a seal", () => {
  it("adds sender and incarnation, and signs the payload for this cluster and kind", () => {
    const sealed = replicaSeal(test, 2, 3)({ kind: "commit", view: view(0), slot: slot(1), digest });
    expect(sealed.message).toEqual({ kind: "commit", sender: 2, incarnation: 3, view: 0, slot: 1, digest });
    const bytes = signedBytes(test.cluster.id, "commit", sealed.payload);
    expect(test.scheme.verify(test.replicaKeys[2] as Uint8Array, bytes, sealed.signature)).toBe(true);
    expect("body" in sealed).toBe(false);
  });

  it("makes equal bytes of equal messages (rule 54)", () => {
    const seal = replicaSeal(test, 0);
    const message = { kind: "checkpoint", slot: slot(64), digest } as const;
    expect(seal(message)).toEqual(seal({ digest, slot: slot(64), kind: "checkpoint" }));
  });

  it("attaches a body, and its batch, unsigned", () => {
    const seal = replicaSeal(test, 0);
    const message = { kind: "pre-prepare", view: view(0), slot: slot(1), digest } as const;
    const batch = { valid: true, timestamp: 5, requests: [] } as const;
    const bytes = Uint8Array.of(1, 2);
    expect(seal(message, { bytes, batch })).toEqual({ ...seal(message), body: bytes, batch });
    expect(seal(message, { bytes })).toEqual({ ...seal(message), body: bytes });
  });

  it("A88 n: takes no public key, so that its signer cannot be asked under another", () => {
    const options = {
      schemas: {},
      cluster: test.cluster.id,
      sender: 1,
      incarnation: 0,
      sign: (bytes: Uint8Array, ...more: unknown[]) => Uint8Array.of(bytes.length & 255, more.length),
    };
    // @ts-expect-error: no option names a key
    createSeal({ ...options, publicKey: new Uint8Array(32) });
    const seal = createSeal<never>(options);
    expect(seal({ kind: "reply", view: view(0), client: 1 as never, results: [] }).signature[1]).toBe(0);
  });

  it("tells the writer of a message what the wire cannot carry", () => {
    const seal = replicaSeal(test, 0);
    const bad = { kind: "commit", view: view(0), slot: -1 as never, digest } as const;
    expect(() => seal(bad)).toThrow("a commit that the wire cannot carry: expected an integer in 0..2^53-1, got -1");
    expect(() => seal({ ...bad, slot: slot(1), digest: "ABC" as Digest })).toThrow("expected pairs of lowercase hex digits");
    expect(() => seal({ kind: "gossip" } as never)).toThrow("message kind gossip: expected one of request, reply, pre-prepare");
  });
});
