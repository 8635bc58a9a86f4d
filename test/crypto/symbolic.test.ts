import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { symbolicScheme } from "../../src/crypto/symbolic.ts";

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");
const secretOf = (index: number): Uint8Array => Uint8Array.of(index >> 8, index & 255, ...new Uint8Array(30));

describe("the symbolic scheme", () => {
  it("makes equal keys and signatures in every instance, so that a run replays", () => {
    const one = symbolicScheme();
    const other = symbolicScheme();
    other.publicKeyOf(secretOf(9));
    expect(other.publicKeyOf(secretOf(1))).toEqual(one.publicKeyOf(secretOf(1)));
    expect(other.sign(secretOf(1), Uint8Array.of(5))).toEqual(one.sign(secretOf(1), Uint8Array.of(5)));
    // Kept traces were made with these bytes.
    expect(hex(one.sign(secretOf(1), Uint8Array.of(5))).slice(0, 32)).toBe("6c20c5edfcccc5cafdc04acc167594d3");
  });

  it("verifies only under keys that it made", () => {
    const maker = symbolicScheme();
    const publicKey = maker.publicKeyOf(secretOf(1));
    const signature = maker.sign(secretOf(1), Uint8Array.of(5));
    expect(maker.verify(publicKey, Uint8Array.of(5), signature)).toBe(true);
    expect(symbolicScheme().verify(publicKey, Uint8Array.of(5), signature)).toBe(false);
  });

  it("keeps its own copy of a secret, so that a caller who reuses the array changes nothing", () => {
    const scheme = symbolicScheme();
    const secret = secretOf(1);
    const publicKey = scheme.publicKeyOf(secret);
    const signature = scheme.sign(secret, Uint8Array.of(5));
    secret[31] = 8;
    expect(scheme.publicKeyOf(secret)).not.toEqual(publicKey);
    expect(scheme.verify(publicKey, Uint8Array.of(5), signature)).toBe(true);
    expect(scheme.sign(secretOf(1), Uint8Array.of(5))).toEqual(signature);
    publicKey.fill(0);
    expect(scheme.verify(scheme.publicKeyOf(secretOf(1)), Uint8Array.of(5), signature)).toBe(true);
  });

  it("changes the signature with every bit of the message and its length", () => {
    const scheme = symbolicScheme();
    for (let length = 0; length < 40; length++) {
      const bytes = Uint8Array.from({ length }, (_, index) => index * 7);
      const seen = new Set([hex(scheme.sign(secretOf(1), bytes)), hex(scheme.sign(secretOf(1), Uint8Array.of(...bytes, 0)))]);
      for (let bit = 0; bit < 8 * length; bit++) {
        const flipped = bytes.with(bit >> 3, (bytes[bit >> 3] ?? 0) ^ (1 << (bit & 7)));
        seen.add(hex(scheme.sign(secretOf(1), flipped)));
      }
      expect(seen.size).toBe(2 + 8 * length);
    }
  });

  it("gives 65536 messages under one key, and one message under 20000 keys, different halves of signatures", () => {
    const scheme = symbolicScheme();
    const left = new Set<string>();
    const right = new Set<string>();
    for (let index = 0; index < 65536; index++) {
      const signature = hex(scheme.sign(secretOf(1), Uint8Array.of(index >> 8, index & 255)));
      left.add(signature.slice(0, 64));
      right.add(signature.slice(64));
    }
    expect([left.size, right.size]).toEqual([65536, 65536]);
    const byKey = new Set(Array.from({ length: 20000 }, (_, index) => hex(scheme.sign(secretOf(index), Uint8Array.of(1)))));
    expect(byKey.size).toBe(20000);
  });

  it("says no to any signature but the one that the key's secret makes", () => {
    const scheme = symbolicScheme();
    const publicKey = scheme.publicKeyOf(secretOf(1));
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), fc.nat(63), fc.integer({ min: 1, max: 255 }), (bytes, at, change) => {
        const signature = scheme.sign(secretOf(1), bytes);
        expect(scheme.verify(publicKey, bytes, signature)).toBe(true);
        expect(scheme.verify(publicKey, bytes, signature.with(at, (signature[at] ?? 0) ^ change))).toBe(false);
      }),
    );
  });
});
