import { existsSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { version } from "../../src/core/version.ts";
import { fileAt, root } from "./tree.ts";

interface Manifest {
  readonly version: string;
  readonly exports: Readonly<
    Record<string, string | { readonly "quorate-source": string; readonly types: string; readonly default: string }>
  >;
  readonly bin: Readonly<Record<string, string>>;
  readonly files: readonly string[];
}

const manifest = JSON.parse(fileAt("package.json").text) as Manifest;

/** Where the compiler puts what it makes of a source file. */
const built = (source: string, ending: string): string => source.replace("./src/", "./dist/").replace(/\.ts$/, ending);

describe("package.json", () => {
  it.each(Object.entries(manifest.exports))("leads %s to one source, its build and its types", (_, target) => {
    if (typeof target === "string") return expect(existsSync(root + target)).toBe(true);
    const source = target["quorate-source"];
    expect(Object.keys(target)).toEqual(["quorate-source", "types", "default"]);
    expect(target).toEqual({ "quorate-source": source, types: built(source, ".d.ts"), default: built(source, ".js") });
    expect(existsSync(root + source)).toBe(true);
  });

  it("names a command that a shell can start", () => {
    expect(manifest.bin["quorate"]).toBe("./dist/cli/main.js");
    expect(fileAt("src/cli/main.ts").text).toMatch(/^#!\/usr\/bin\/env node\n/);
  });

  it("has the version that traces carry", () => {
    expect(version).toBe(manifest.version);
  });

  it("publishes only what there is", () => {
    expect(manifest.files.filter((name) => name !== "dist" && !existsSync(root + name))).toEqual([]);
  });
});
