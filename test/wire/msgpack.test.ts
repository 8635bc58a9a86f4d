import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { decode, encode } from "../../src/wire/msgpack.ts";
import { defaultScanLimits } from "../../src/wire/scan.ts";
import type { Plain } from "../../src/wire/schema.ts";

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");
const bytesOf = (digits: string): Uint8Array => new Uint8Array(Buffer.from(digits, "hex"));

const integer = fc.oneof(
  fc.nat(300),
  fc.maxSafeNat(),
  fc.constantFrom(0x7f, 0x80, 0xff, 0x100, 0xffff, 0x10000, 0xffffffff, 0x100000000, 0x100000001, 2 ** 53 - 1),
);
const text = fc.oneof(
  fc.string({ unit: "binary", maxLength: 40 }),
  fc.string({ unit: "grapheme", minLength: 60, maxLength: 120 }),
  fc.string({ unit: "binary-ascii", minLength: 250, maxLength: 270 }),
);
const wellFormed = text.filter((value) => !/^\uFEFF|\p{Surrogate}/u.test(value));
const binary = fc.oneof(fc.uint8Array({ maxLength: 40 }), fc.uint8Array({ minLength: 250, maxLength: 260 }));
const { plain } = fc.letrec<{ plain: Plain }>((tie) => ({
  plain: fc.oneof({ maxDepth: 6, withCrossShrink: true }, integer, wellFormed, binary, fc.array(tie("plain"), { maxLength: 20 })),
}));

describe("encode and decode", () => {
  it("bring every value of the profile back, in the one form that decoding accepts", () => {
    fc.assert(
      fc.property(plain, (value) => {
        const bytes = encode(value);
        const decoded = decode(bytes);
        expect(decoded).toEqual({ ok: true, value });
        if (decoded.ok) expect(encode(decoded.value)).toEqual(bytes);
      }),
      { numRuns: 400 },
    );
  });

  it("never throw on noise, and accept nothing that encodes to other bytes (rule 87)", () => {
    let accepted = 0;
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 24 }), (bytes) => {
        const decoded = decode(bytes);
        if (!decoded.ok) return;
        accepted++;
        expect(hex(encode(decoded.value))).toBe(hex(bytes));
      }),
      { numRuns: 5000, examples: [[bytesOf("cc80")], [bytesOf("920102")]] },
    );
    expect(accepted).toBeGreaterThan(1);
  });

  it("accept nothing that encodes to other bytes, however a valid encoding is changed", () => {
    fc.assert(
      fc.property(plain, fc.nat(), fc.nat(255), fc.boolean(), (value, at, byte, insert) => {
        const bytes = encode(value);
        const index = at % bytes.length;
        const changed = insert ? Uint8Array.of(...bytes.subarray(0, index), byte, ...bytes.subarray(index)) : bytes.with(index, byte);
        const decoded = decode(changed);
        if (decoded.ok) expect(hex(encode(decoded.value))).toBe(hex(changed));
      }),
      { numRuns: 1000 },
    );
  });

  it("write the forms that scan asks for, at every border", () => {
    expect([0x7f, 0x80, 0xff, 0x100, 0xffff, 0x10000, 0xffffffff].map((value) => hex(encode(value)))).toEqual(
      ["7f", "cc80", "ccff", "cd0100", "cdffff", "ce00010000", "ceffffffff"], //
    );
    expect(hex(encode([0x100000000, 2 ** 53 - 1, [5]]))).toBe("93cf0000000100000000cf001fffffffffffff9105");
    for (const size of [0, 15, 16, 31, 32, 255, 256, 65535, 65536]) {
      for (const value of ["x".repeat(size), new Uint8Array(size), Array.from({ length: size }, () => 0)]) {
        expect(decode(encode(value)).ok).toBe(true);
      }
    }
  });

  it("keep a long text as it is where the platform's decoder would drop its byte order mark", () => {
    const marked = `x\uFEFF${"y".repeat(80)}\uFEFF`;
    expect(decode(encode(marked))).toEqual({ ok: true, value: marked });
    const leading = Buffer.from(`\uFEFF${"y".repeat(80)}`);
    expect(decode(Uint8Array.of(0xd9, leading.length, ...leading))).toEqual({ ok: false, reason: "a text begins with a byte order mark" });
  });

  it("hand out byte arrays of their own", () => {
    const encoded = encode([Uint8Array.of(1, 2), Uint8Array.of(3)]);
    expect(encoded.constructor).toBe(Uint8Array);
    expect(encoded.buffer.byteLength).toBe(encoded.length);
    const before = hex(encoded);
    encode(new Uint8Array(5000).fill(9));
    expect(hex(encoded)).toBe(before);

    const pooled = Buffer.concat([encoded]);
    const decoded = decode(pooled);
    pooled.fill(0);
    expect(decoded).toEqual({ ok: true, value: [Uint8Array.of(1, 2), Uint8Array.of(3)] });
    const [first] = decoded.ok ? (decoded.value as readonly Uint8Array[]) : [];
    expect([first?.constructor, first?.buffer.byteLength]).toEqual([Uint8Array, 2]);
  });

  it("leave no mark on the array that was read", () => {
    const bytes = encode([1]);
    decode(bytes);
    expect(Object.keys(bytes)).toEqual(["0", "1"]);
  });

  it("honour limits of the caller's own", () => {
    const many = encode(Array.from({ length: defaultScanLimits.elements }, () => 0));
    expect(decode(many)).toEqual({ ok: false, reason: "it holds too many values" });
    expect(decode(many, { depth: 1, elements: 1 << 19 }).ok).toBe(true);
  });
});

describe("encode refuses", () => {
  it.each([
    ["a negative number", -1, "expected an integer in 0..2^53-1, got -1"],
    ["a fraction", 0.5, "expected an integer in 0..2^53-1, got 0.5"],
    ["2^53", 2 ** 53, "expected an integer in 0..2^53-1, got 9007199254740992"],
    ["no number", Number.NaN, "expected an integer in 0..2^53-1, got NaN"],
    ["a lone surrogate", "\uD800", "expected a well-formed text without a byte order mark"],
    ["a leading byte order mark", "\uFEFFx", "expected a well-formed text without a byte order mark"],
    ["null", null, "expected a number, text, byte string or array, got null"],
    ["undefined in an array", [undefined], "expected a number, text, byte string or array, got undefined"],
    ["a bigint", 5n, "expected a number, text, byte string or array, got bigint"],
    ["a map", { a: 1 }, "expected a number, text, byte string or array, got object"],
    ["a boolean", [true], "expected a number, text, byte string or array, got boolean"],
  ])("%s", (_what, value, reason) => {
    expect(() => encode(value as Plain)).toThrow(new RangeError(reason));
  });
});
