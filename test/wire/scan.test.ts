import { describe, expect, it } from "vitest";
import { defaultScanLimits, scan } from "../../src/wire/scan.ts";

const bytesOf = (hex: string): Uint8Array => new Uint8Array(Buffer.from(hex.replaceAll(" ", ""), "hex"));
const text = (value: string): string => Buffer.from(value).toString("hex");
const zeros = (count: number): string => "00".repeat(count);

describe("scan accepts the shortest form of", () => {
  it.each([
    ["the smallest integer", "00"],
    ["127 in one byte", "7f"],
    ["128 in two bytes", "cc80"],
    ["256 in three", "cd0100"],
    ["65536 in five", "ce00010000"],
    ["2^32 in nine", "cf0000000100000000"],
    ["2^53-1 in nine", "cf001fffffffffffff"],
    ["no entries", "90"],
    ["15 entries", `9f${zeros(15)}`],
    ["16 entries", `dc0010${zeros(16)}`],
    ["65536 entries", `dd00010000${zeros(65536)}`],
    ["no bytes", "c400"],
    ["255 bytes", `c4ff${zeros(255)}`],
    ["256 bytes", `c50100${zeros(256)}`],
    ["65536 bytes", `c600010000${zeros(65536)}`],
    ["no text", "a0"],
    ["31 letters", `bf${text("x".repeat(31))}`],
    ["32 letters", `d920${text("x".repeat(32))}`],
    ["256 letters", `da0100${text("x".repeat(256))}`],
    ["65536 letters", `db00010000${text("x".repeat(65536))}`],
    ["every length of UTF-8 sequence", `ac${text("$£€𐍈é")}`],
    ["the borders of UTF-8", "b6 7f c280 dfbf e0a080 ed9fbf ee8080 f0908080 f48fbfbf"],
    ["a byte order mark inside a text", `a4${text("x\uFEFF")}`],
  ])("%s", (_what, hex) => {
    expect(scan(bytesOf(hex))).toBeUndefined();
  });
});

const notMinimal = "a number or length is not in its shortest form";
const badText = "a text is not valid UTF-8";
const early = "it ends too early";

describe("scan refuses", () => {
  it.each([
    ["nothing at all", "", early],
    ["bytes after the value", "0000", "bytes follow the value"],
    ["127 in two bytes", "cc7f", notMinimal],
    ["255 in three bytes", "cd00ff", notMinimal],
    ["65535 in five bytes", "ce0000ffff", notMinimal],
    ["2^32-1 in nine bytes", "cf00000000ffffffff", notMinimal],
    ["2^53", "cf0020000000000000", "a number is 2^53 or more"],
    ["255 bytes with a length of two", `c500ff${zeros(255)}`, notMinimal],
    ["65535 bytes with a length of four", `c60000ffff${zeros(65535)}`, notMinimal],
    ["31 letters with a length of one", `d91f${text("x".repeat(31))}`, notMinimal],
    ["255 letters with a length of two", `da00ff${text("x".repeat(255))}`, notMinimal],
    ["65535 letters with a length of four", `db0000ffff${text("x".repeat(65535))}`, notMinimal],
    ["15 entries with a count of two", `dc000f${zeros(15)}`, notMinimal],
    ["65535 entries with a count of four", `dd0000ffff${zeros(65535)}`, notMinimal],
    ["an integer cut short", "cd01", early],
    ["a long integer cut short", "cf00000001000000", early],
    ["a length cut short", "c501", early],
    ["bytes cut short", "c40200", early],
    ["a text cut short", "a261", early],
    ["entries cut short", "9200", early],
    ["nil", "c0", "0xc0 begins no type of the profile"],
    ["the byte that means nothing", "c1", "0xc1 begins no type of the profile"],
    ["false", "c2", "0xc2 begins no type of the profile"],
    ["true", "c3", "0xc3 begins no type of the profile"],
    ["an extension with a length", "c70100ff", "0xc7 begins no type of the profile"],
    ["a float of four bytes", "ca3f800000", "0xca begins no type of the profile"],
    ["a float of eight bytes", "cb3ff0000000000000", "0xcb begins no type of the profile"],
    ["a signed integer", "d001", "0xd0 begins no type of the profile"],
    ["an extension of one byte", "d40000", "0xd4 begins no type of the profile"],
    ["a map", "80", "0x80 begins no type of the profile"],
    ["a map with a count of two", "de0000", "0xde begins no type of the profile"],
    ["a negative integer", "ff", "0xff begins no type of the profile"],
    ["a map within an array", "9180", "0x80 begins no type of the profile"],
    ["a lone continuation byte", "a180", badText],
    ["an overlong slash", "a2c0af", badText],
    ["an overlong sequence of three", "a3e09fbf", badText],
    ["an overlong sequence of four", "a4f08fbfbf", badText],
    ["a surrogate", "a3eda080", badText],
    ["a code point above U+10FFFF", "a4f4908080", badText],
    ["a first byte above f4", "a4f5808080", badText],
    ["a sequence that the text's end cuts", "92a1c380", badText],
    ["a sequence whose third byte is a letter", "a3e28261", badText],
    ["a sequence whose fourth byte is a letter", "a4f0908061", badText],
    ["a byte order mark at the start of a text", `a4${text("\uFEFFx")}`, "a text begins with a byte order mark"],
  ])("%s", (_what, hex, reason) => {
    expect(scan(bytesOf(hex))).toBe(reason);
  });
});

describe("scan bounds", () => {
  it("A81: the header bombs of 5 and 30 bytes, in constant memory", () => {
    const small = bytesOf("ddffffffff");
    const large = bytesOf("ddffffffff".repeat(6));
    expect(scan(large)).toBe(early);
    const before = process.memoryUsage().heapUsed;
    for (let round = 0; round < 1000; round++) {
      scan(small);
      scan(large);
    }
    expect(process.memoryUsage().heapUsed - before).toBeLessThan(8 * 1024 * 1024);
  });

  it("A81: headers that promise bytes or letters that are not there", () => {
    expect(scan(bytesOf("c6ffffffff"))).toBe(early);
    expect(scan(bytesOf("dbffffffff"))).toBe(early);
  });

  it("A82: a hundred thousand arrays, one within the other", () => {
    const deep = new Uint8Array(100_001).fill(0x91);
    deep[100_000] = 0;
    expect(scan(deep)).toBe("it is nested too deep");
  });

  it("the depth exactly: arrays within arrays, of which one more than allowed is one too many", () => {
    expect(scan(bytesOf("91919100"), { depth: 3, elements: 9 })).toBeUndefined();
    expect(scan(bytesOf("91919100"), { depth: 2, elements: 9 })).toBe("it is nested too deep");
    expect(scan(bytesOf("00"), { depth: 0, elements: 9 })).toBeUndefined();
  });

  it("the number of values in a payload exactly, over all arrays together", () => {
    const fiveValues = bytesOf("92920000c400");
    expect(scan(fiveValues, { depth: 2, elements: 5 })).toBeUndefined();
    expect(scan(fiveValues, { depth: 2, elements: 4 })).toBe("it holds too many values");
    expect(scan(bytesOf("930000 00"), { depth: 2, elements: 3 })).toBe("it holds too many values");
  });

  it("a frame of 8 MiB filled with small numbers", () => {
    const count = 8 * 1024 * 1024 - 5;
    const wide = new Uint8Array(count + 5);
    wide[0] = 0xdd;
    new DataView(wide.buffer).setUint32(1, count);
    expect(scan(wide, defaultScanLimits)).toBe("it holds too many values");
  });
});
