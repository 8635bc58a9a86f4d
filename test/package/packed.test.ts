import { describe, expect, it } from "vitest";
import { missing, strangers, strayMaps } from "./packed.ts";

const manifest = {
  exports: { ".": { types: "./dist/index.d.ts", default: "./dist/index.js" }, "./package.json": "./package.json" },
  bin: { quorate: "./dist/index.js" },
};
const build = ["dist/index.js", "dist/index.js.map", "dist/index.d.ts", "dist/index.d.ts.map"];
const paths = ["package.json", "README.md", "LICENSE", "src/index.ts", ...build];

describe("the list of packed files", () => {
  it("passes when it is what users need", () => {
    expect(strangers([...paths, "keys/README.md", "docs/testing.md", "src/launch/keys.ts"])).toEqual([]);
    expect(missing(paths, manifest)).toEqual([]);
  });

  it.each([
    "test/package/packed.ts",
    "src/core/quorum.test.ts",
    "keys/local/replica-0.key",
    "dist/tsconfig.build.tsbuildinfo",
    ".npmrc",
    "docs/.draft.md",
    "node_modules/ws/index.js",
    "runs/one/trace.jsonl",
    "quorate-0.1.0.tgz",
  ])("does not pass with %s", (path) => {
    expect(strangers([...paths, path])).toEqual([`${path} is packed, but is nothing for users`]);
  });

  it.each(["package.json", "README.md", "LICENSE", ...build])("does not pass without %s", (path) => {
    const without = paths.filter((one) => one !== path);
    expect(missing(without, manifest)).toContain(`${path} is missing`);
  });

  it("does not pass with a build of what is gone", () => {
    expect(missing([...paths, "dist/old.js"], manifest)).toEqual(["dist/old.js was built from no file of src"]);
  });
});

describe("source maps", () => {
  const map = (source: string, sourceRoot = ""): string => JSON.stringify({ version: 3, sourceRoot, sources: [source] });

  it("lead to packed sources", () => {
    expect(strayMaps(paths, () => map("../src/index.ts"))).toEqual([]);
    expect(strayMaps(["src/core/ids.ts", "dist/core/ids.js.map"], () => map("core/ids.ts", "../../src"))).toEqual([]);
  });

  it("are complained of when they lead elsewhere", () => {
    expect(strayMaps(["dist/index.js.map"], () => map("../src/index.ts"))).toEqual([
      "dist/index.js.map leads to src/index.ts, which is not packed",
    ]);
  });
});
