import { describe, expect, it } from "vitest";
import { blank } from "./blank.ts";

const words = (text: string): string[] => blank(text).match(/\w+/g) ?? [];

describe("blank", () => {
  it("hides comments, strings and regular expressions, and nothing else", () => {
    expect(words("const a = \"x\"; // await\n/* Date */ b('y')")).toEqual(["const", "a", "b"]);
    expect(words('const quote = /["\'/]await/.test(text) && more; "s"')).toEqual(["const", "quote", "test", "text", "more"]);
    expect(words('const half = n / 2; const s = "a"; const t = m / 3;')).toEqual([
      "const",
      "half",
      "n",
      "2",
      "const",
      "s",
      "const",
      "t",
      "m",
      "3",
    ]);
    expect(words("const escaped = 'it\\'s'; next")).toEqual(["const", "escaped", "next"]);
  });

  it("keeps the code inside a template literal, however deep", () => {
    expect(words("`say ${name.map((n) => ({ n, s: `<${n} await>` }))} Date` + last")).toEqual(["name", "map", "n", "n", "s", "n", "last"]);
  });

  it("keeps every offset and line break", () => {
    const text = 'a /* one\ntwo */ "three" `four ${five}\nsix` // seven';
    expect(blank(text)).toHaveLength(text.length);
    expect(blank(text).split("\n")).toHaveLength(text.split("\n").length);
    expect(blank(text).indexOf("five")).toBe(text.indexOf("five"));
  });
});
