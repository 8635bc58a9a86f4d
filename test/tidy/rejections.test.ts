import { describe, expect, it } from "vitest";
import { rejections } from "../../src/core/rejection.ts";
import { filesBelow, type SourceFile, sourceFile } from "./tree.ts";

/** Codes that no file names as a whole string. */
function unnamed(codes: readonly string[], files: readonly SourceFile[]): readonly string[] {
  return codes.filter((code) => !files.some((file) => file.text.includes(`"${code}"`)));
}

const codes = Object.keys(rejections);

describe("every rejection code", () => {
  it("is produced by some code", () => {
    const producers = filesBelow("src", ".ts").filter((file) => file.path !== "src/core/rejection.ts");
    expect(unnamed(codes, producers)).toEqual([]);
  });

  it("is met in some test", () => {
    const tests = filesBelow("test", ".ts").filter((file) => !file.path.startsWith("test/tidy/"));
    expect(unnamed(codes, tests)).toEqual([]);
  });

  it("has a sentence of its own", () => {
    expect(new Set(Object.values(rejections)).size).toBe(codes.length);
  });

  it("would be missed", () => {
    const files = [sourceFile("src/core/a.ts", 'reject("wrong-view"); // wrong-cluster')];
    expect(unnamed(["wrong-view", "wrong-cluster"], files)).toEqual(["wrong-cluster"]);
  });
});
