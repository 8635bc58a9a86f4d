/** A88 a-h, l, m: other bytes for the same value, rightly signed by a replica, and refused all the same. */
import { describe, expect, it } from "vitest";
import { type Digest, digestOf, slot, view } from "../../src/core/ids.ts";
import { symbolicScheme } from "../../src/crypto/symbolic.ts";
import { decode, encode } from "../../src/wire/msgpack.ts";
import { bytesToHex, hexToBytes } from "../../src/wire/schema.ts";
import { testCluster } from "../support/keys.ts";
import { codeOf, openerOf, replicaSeal, signedFrame, spliced } from "../support/wire.ts";

const test = testCluster(4, { scheme: symbolicScheme() });
const opener = openerOf(test);
const digest = "ab".repeat(32) as Digest;
const { payload } = replicaSeal(test, 1)({ kind: "prepare", view: view(1), slot: slot(5), digest });

/** Where the view stands: before slot (one byte) and digest (34 bytes). */
const viewAt = payload.length - 36;

/** The verdict on the PREPARE with its view written as `bytes`, signed with replica 1's own key. */
function withView(...bytes: readonly number[]): string {
  return codeOf(opener.open(signedFrame(test, 1, "prepare", spliced(payload, viewAt, viewAt + 1, bytes))));
}

describe("A88: a rightly signed PREPARE whose view is written", () => {
  it("as the codec writes it is accepted, so the cases below fail for their view alone", () => {
    expect(payload[viewAt]).toBe(1);
    expect(withView(1)).toBe("accepted");
    expect(withView(2)).toBe("accepted");
  });

  it("a) as a small integer in a wide form is malformed", () => {
    expect(withView(0xcc, 1)).toBe("malformed");
    expect(withView(0xcd, 0, 1)).toBe("malformed");
    expect(withView(0xce, 0, 0, 0, 1)).toBe("malformed");
    expect(withView(0xcf, 0, 0, 0, 0, 0, 0, 0, 1)).toBe("malformed");
    expect(withView(0xd3, 0, 0, 0, 0, 0, 0, 0, 1)).toBe("malformed");
  });

  it("b) as the float 1.0 is malformed", () => {
    expect(withView(0xca, 0x3f, 0x80, 0, 0)).toBe("malformed");
    expect(withView(0xcb, 0x3f, 0xf0, 0, 0, 0, 0, 0, 0)).toBe("malformed");
  });

  it("c) as the float -0.0 is malformed", () => {
    expect(withView(0xcb, 0x80, 0, 0, 0, 0, 0, 0, 0)).toBe("malformed");
  });

  it("d) as a map with one key twice is malformed", () => {
    expect(withView(0x82, 0xa1, 0x61, 1, 0xa1, 0x61, 2)).toBe("malformed");
  });

  it('e) as a map with the keys 1 and "1" is malformed', () => {
    expect(withView(0x82, 1, 1, 0xa1, 0x31, 2)).toBe("malformed");
  });

  it("f) as 2^53+1 is malformed, and 2^53-1, the largest of all numbers, is not", () => {
    expect(withView(0xcf, 0, 0x20, 0, 0, 0, 0, 0, 1)).toBe("malformed");
    expect(withView(0xcf, 0, 0x1f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff)).toBe("accepted");
  });

  it("g) as a text of invalid UTF-8 is malformed, and such a text is none anywhere", () => {
    expect(withView(0xa1, 0xff)).toBe("malformed");
    expect(decode(Uint8Array.of(0xa1, 0xff))).toEqual({ ok: false, reason: "a text is not valid UTF-8" });
  });

  it("h) as nil or as undefined is malformed", () => {
    expect(withView(0xc0)).toBe("malformed");
    expect(withView(0xd4, 0, 0)).toBe("malformed");
  });

  it("with anything after it is malformed", () => {
    const longer = spliced(payload, payload.length, payload.length, [0]);
    expect(codeOf(opener.open(signedFrame(test, 1, "prepare", longer)))).toBe("malformed");
  });

  it("with its array's count in a wide form is malformed", () => {
    expect(payload[0]).toBe(0x97);
    const wide = spliced(payload, 0, 1, [0xdc, 0, 7]);
    expect(codeOf(opener.open(signedFrame(test, 1, "prepare", wide)))).toBe("malformed");
  });
});

describe("A88: parts and spellings", () => {
  it("l) parts never run into one another: each carries its length", () => {
    expect(encode(["1", "23"])).not.toEqual(encode(["12", "3"]));
    expect(encode([Uint8Array.of(1), Uint8Array.of(2, 3)])).not.toEqual(encode([Uint8Array.of(1, 2), Uint8Array.of(3)]));
  });

  it("m) each digest has one spelling: capitals, odd digits, bad digits and other lengths are refused", () => {
    expect(hexToBytes("00ff")).toEqual(Uint8Array.of(0, 255));
    expect(bytesToHex(Uint8Array.of(0, 255))).toBe("00ff");
    for (const hex of ["0", "00f", "0F", "0g", "zz00", " 00", "00 ", "0x00", "00\n"]) {
      expect(() => hexToBytes(hex)).toThrow("expected pairs of lowercase hex digits");
    }
    for (const hex of ["AB".repeat(32), "ab".repeat(31), `${"ab".repeat(31)}zz`, `${"ab".repeat(32)}\n`]) {
      expect(() => digestOf(hex)).toThrow("expected a digest of 64 lowercase hex digits");
    }
  });
});
