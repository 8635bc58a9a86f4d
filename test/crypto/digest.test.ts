import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex, concatBytes, utf8ToBytes } from "@noble/hashes/utils.js";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { DigestDomain } from "../../src/core/contract.ts";
import { createDigest, nobleDigest } from "../../src/crypto/digest.ts";
import { nativeDigest } from "../../src/crypto/native.ts";
import { encode } from "../../src/wire/msgpack.ts";

const domains: readonly DigestDomain[] = ["batch", "checkpoint", "view-change", "null", "request", "cluster", "frame", "random"];

describe("a digest", () => {
  it("is SHA-256 of the version, a zero, the domain, a zero and the bytes, as lowercase hex", () => {
    const preimage = concatBytes(utf8ToBytes("quorate/v1"), Uint8Array.of(0), utf8ToBytes("batch"), Uint8Array.of(0, 1, 2, 255));
    expect(nobleDigest("batch", Uint8Array.of(1, 2, 255))).toBe(bytesToHex(sha256(preimage)));
  });

  it("keeps the value it had on the day this was written", () => {
    expect(nobleDigest("null", new Uint8Array())).toBe("ea22441ca90fdbd04c65fc3146ea6e77aa7884d9fb8f035548bd44902bbdd32a");
    expect(nobleDigest("batch", utf8ToBytes("abc"))).toBe("afc3b32de1b5bf0ff6c919f7e470cb1c2a65b7898d1956218b25c340423972ac");
  });

  it("is another in every domain, so that no digest of one purpose passes for another", () => {
    const bytes = Uint8Array.of(7);
    expect(new Set(domains.map((domain) => nobleDigest(domain, bytes))).size).toBe(domains.length);
  });

  it("depends on the function it is made from", () => {
    const short = createDigest((bytes) => Uint8Array.of(bytes.length));
    expect(short("null", new Uint8Array(3))).toBe("13");
  });

  it("A88 l, M109: is over encoded parts, never joined ones, so 1 with 23 and 12 with 3 differ", () => {
    expect(nobleDigest("batch", encode(["1", "23"]))).not.toBe(nobleDigest("batch", encode(["12", "3"])));
    expect(nobleDigest("batch", encode([1, 23]))).not.toBe(nobleDigest("batch", encode([12, 3])));
  });

  it("is the same from Node.js and from noble", () => {
    fc.assert(
      fc.property(fc.constantFrom(...domains), fc.uint8Array({ maxLength: 300 }), (domain, bytes) => {
        expect(nativeDigest(domain, bytes)).toBe(nobleDigest(domain, bytes));
      }),
    );
  });
});
