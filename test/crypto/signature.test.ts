import { createPublicKey, verify } from "node:crypto";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { nativeScheme, strictScheme } from "../../src/crypto/native.ts";
import { checkPublicKey, nobleScheme, type SignatureScheme } from "../../src/crypto/signature.ts";
import { symbolicScheme } from "../../src/crypto/symbolic.ts";
import { unfitKeys } from "./unfit-keys.ts";
import rfc8032 from "./vectors/rfc8032.json" with { type: "json" };
import speccheck from "./vectors/speccheck.json" with { type: "json" };

const unhex = (hex: string): Uint8Array => new Uint8Array(Buffer.from(hex, "hex"));

const ed25519: readonly (readonly [string, SignatureScheme])[] = [
  ["noble", nobleScheme],
  ["native", nativeScheme],
];
const schemes: readonly (readonly [string, SignatureScheme])[] = [...ed25519, ["strict", strictScheme], ["symbolic", symbolicScheme()]];

/** The order of the group: S and S+L satisfy the same equation. */
const order = 2n ** 252n + 27742317777372353535851937790883648493n;

const littleEndian = (value: bigint): Uint8Array => unhex(value.toString(16).padStart(64, "0")).reverse();

const nodeAlone = (publicKey: Uint8Array, bytes: Uint8Array, signature: Uint8Array): boolean => {
  const key = createPublicKey({ key: { kty: "OKP", crv: "Ed25519", x: Buffer.from(publicKey).toString("base64url") }, format: "jwk" });
  return verify(null, bytes, key, signature);
};

describe.each(ed25519)("the %s scheme", (_name, scheme) => {
  it.each(rfc8032.cases)("makes the key and the signature of RFC 8032, $name", ({ secret, publicKey, message, signature }) => {
    expect(scheme.publicKeyOf(unhex(secret))).toEqual(unhex(publicKey));
    expect(scheme.sign(unhex(secret), unhex(message))).toEqual(unhex(signature));
    expect(scheme.verify(unhex(publicKey), unhex(message), unhex(signature))).toBe(true);
  });

  // ZIP-215 accepts 0 to 5 and 9 to 11, and refuses 6 to 8 (A86).
  it.each(speccheck.cases)(
    "gives ZIP-215's verdict on speccheck $number ($about): $zip215",
    ({ message, publicKey, signature, zip215 }) => {
      expect(scheme.verify(unhex(publicKey), unhex(message), unhex(signature))).toBe(zip215);
    },
  );

  it("A85: refuses a signature whose S was raised by the group order", () => {
    const secret = new Uint8Array(32).fill(1);
    const signature = scheme.sign(secret, Uint8Array.of(9));
    const s = BigInt(`0x${Buffer.from(signature.subarray(32)).reverse().toString("hex")}`);
    const raised = new Uint8Array([...signature.subarray(0, 32), ...littleEndian(s + order)]);
    expect(scheme.verify(scheme.publicKeyOf(secret), Uint8Array.of(9), signature)).toBe(true);
    expect(scheme.verify(scheme.publicKeyOf(secret), Uint8Array.of(9), raised)).toBe(false);
  });

  it("A86: verifies any message under the identity key, which is why such a key is refused when it is loaded", () => {
    const identity = Uint8Array.of(1, ...new Uint8Array(31));
    const signature = Uint8Array.of(...identity, ...new Uint8Array(32));
    expect(scheme.verify(identity, Uint8Array.of(1, 2, 3), signature)).toBe(true);
    expect(checkPublicKey(identity)).toBe("the public key is of small order");
  });
});

describe.each(schemes)("the %s scheme, like every scheme,", (_name, scheme) => {
  const secret = new Uint8Array(32).fill(3);
  const bytes = Uint8Array.of(1, 2, 3);
  const publicKey = scheme.publicKeyOf(secret);

  it("verifies what it signed, and signs alike twice", () => {
    const signature = scheme.sign(secret, bytes);
    expect(signature).toHaveLength(64);
    expect(scheme.sign(secret.slice(), bytes.slice())).toEqual(signature);
    expect(scheme.verify(publicKey, bytes, signature)).toBe(true);
  });

  it("returns plain byte arrays of their own, not Buffers over a pool", () => {
    for (const made of [scheme.sign(secret, bytes), scheme.publicKeyOf(secret)]) {
      expect(made.constructor).toBe(Uint8Array);
      expect(made.buffer.byteLength).toBe(made.length);
    }
  });

  it("refuses another message, another key and another signature", () => {
    const signature = scheme.sign(secret, bytes);
    const otherKey = scheme.publicKeyOf(new Uint8Array(32).fill(4));
    expect(scheme.verify(publicKey, Uint8Array.of(1, 2, 4), signature)).toBe(false);
    expect(scheme.verify(otherKey, bytes, signature)).toBe(false);
    expect(scheme.verify(publicKey, bytes, signature.with(63, (signature[63] ?? 0) ^ 1))).toBe(false);
  });

  it("never throws on keys and signatures of wrong lengths or of noise, but says no", () => {
    const noise = fc.oneof(fc.uint8Array({ maxLength: 80 }), fc.uint8Array({ minLength: 32, maxLength: 32 }));
    const signature = fc.oneof(fc.uint8Array({ maxLength: 80 }), fc.uint8Array({ minLength: 64, maxLength: 64 }));
    fc.assert(
      fc.property(noise, fc.uint8Array(), signature, (key, message, sig) => {
        fc.pre(checkPublicKey(key) !== "the public key is of small order");
        expect(scheme.verify(key, message, sig)).toBe(false);
      }),
      { numRuns: 60 },
    );
  });

  it("tells a secret of the wrong length from a good one, without showing it", () => {
    expect(() => scheme.sign(new Uint8Array(31).fill(77), bytes)).toThrow(new RangeError("expected a secret key of 32 bytes, got 31"));
    expect(() => scheme.publicKeyOf(new Uint8Array(64))).toThrow("expected a secret key of 32 bytes, got 64");
  });

  it("A88 n: signs with the secret alone; a public key handed in beside it changes nothing", () => {
    const sign = scheme.sign as (secret: Uint8Array, bytes: Uint8Array, publicKey: Uint8Array) => Uint8Array;
    expect(scheme.sign).toHaveLength(2);
    expect(sign(secret, bytes, scheme.publicKeyOf(new Uint8Array(32).fill(4)))).toEqual(scheme.sign(secret, bytes));
  });
});

describe("noble and native", () => {
  it("make the same keys and signatures, and accept each other's", () => {
    fc.assert(
      fc.property(fc.uint8Array({ minLength: 32, maxLength: 32 }), fc.uint8Array({ maxLength: 200 }), (secret, bytes) => {
        const publicKey = nobleScheme.publicKeyOf(secret);
        const signature = nobleScheme.sign(secret, bytes);
        expect(nativeScheme.publicKeyOf(secret)).toEqual(publicKey);
        expect(nativeScheme.sign(secret, bytes)).toEqual(signature);
        expect(nativeScheme.verify(publicKey, bytes, signature)).toBe(true);
        expect(nobleScheme.verify(publicKey, bytes, signature)).toBe(true);
      }),
      { numRuns: 25 },
    );
  });

  it("give one verdict on every signature that takes its parts from the speccheck vectors", () => {
    const points = [...new Set(speccheck.cases.flatMap(({ publicKey, signature }) => [publicKey, signature.slice(0, 64)]))];
    const scalars = [...new Set(speccheck.cases.map(({ signature }) => signature.slice(64)))];
    const message = unhex(speccheck.cases[0]?.message ?? "");
    let accepted = 0;
    for (const key of points) {
      for (const point of points) {
        const scalar = scalars[(key.charCodeAt(0) + point.charCodeAt(1)) % scalars.length] ?? "";
        for (const s of [scalar, "00".repeat(32)]) {
          const signature = unhex(point + s);
          const verdict = nobleScheme.verify(unhex(key), message, signature);
          expect(nativeScheme.verify(unhex(key), message, signature)).toBe(verdict);
          if (verdict) accepted++;
        }
      }
    }
    expect(accepted).toBeGreaterThan(0);
  });

  it("accept more than this Node.js alone does, and nothing that it alone accepts is refused", () => {
    const differing = speccheck.cases.filter(
      ({ publicKey, message, signature, zip215 }) => nodeAlone(unhex(publicKey), unhex(message), unhex(signature)) !== zip215,
    );
    expect(differing.every(({ zip215 }) => zip215)).toBe(true);
    expect(differing.map(({ number }) => number)).toEqual(expect.arrayContaining([4, 5]));
  });

  // Later versions refuse points of small order too (A87), so the list is that of Node 20.
  it.runIf(process.versions.node.startsWith("20."))("differ from Node 20 alone on 4, 5, 9 and 10", () => {
    const differing = speccheck.cases.filter(
      ({ publicKey, message, signature, zip215 }) => nodeAlone(unhex(publicKey), unhex(message), unhex(signature)) !== zip215,
    );
    expect(differing.map(({ number }) => number)).toEqual([4, 5, 9, 10]);
  });

  it("the strict one says what Node.js alone says, so that a no costs strangers more than us (A83)", () => {
    for (const { publicKey, message, signature } of speccheck.cases) {
      const parts = [unhex(publicKey), unhex(message), unhex(signature)] as const;
      expect(strictScheme.verify(...parts)).toBe(nodeAlone(...parts));
    }
  });

  it("the native one forgets old keys and goes on", () => {
    const secret = new Uint8Array(32).fill(5);
    const publicKey = nativeScheme.publicKeyOf(secret);
    const signature = nativeScheme.sign(secret, Uint8Array.of(1));
    for (let index = 0; index < 4200; index++) {
      const other = new Uint8Array(32);
      other.set([6, index >> 8, index & 255]);
      nativeScheme.publicKeyOf(other);
    }
    expect(nativeScheme.sign(secret, Uint8Array.of(1))).toEqual(signature);
    expect(nativeScheme.verify(publicKey, Uint8Array.of(1), signature)).toBe(true);
  });
});

describe("checkPublicKey", () => {
  it("accepts the keys that the schemes make", () => {
    for (let fill = 0; fill < 20; fill++) expect(checkPublicKey(nobleScheme.publicKeyOf(new Uint8Array(32).fill(fill)))).toBeUndefined();
  });

  it.each(unfitKeys)("A70: refuses $about", ({ publicKey, why }) => {
    expect(checkPublicKey(publicKey)).toBe(why);
  });

  it("refuses wrong lengths", () => {
    expect(checkPublicKey(new Uint8Array(31))).toBe("expected a public key of 32 bytes, got 31");
    expect(checkPublicKey(new Uint8Array(33))).toBe("expected a public key of 32 bytes, got 33");
  });
});
