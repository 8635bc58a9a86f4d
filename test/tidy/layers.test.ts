import { describe, expect, it } from "vitest";
import { forbiddenReach, importCycles, layers, nodeInBrowserCode, outwardImports, programs, strayPackages } from "./layers.ts";
import { filesBelow, importsOf, sourceFile } from "./tree.ts";

const src = filesBelow("src", ".ts");

describe("the layers of src", () => {
  it("are respected by every import", () => {
    expect(src.length).toBeGreaterThan(0);
    expect(outwardImports(src)).toEqual([]);
  });

  it("keep Node.js out of what runs in a browser", () => {
    expect(nodeInBrowserCode(src)).toEqual([]);
  });

  it("keep each package behind its wall", () => {
    expect(strayPackages(src)).toEqual([]);
  });

  it("hold no import cycle", () => {
    expect(importCycles(src)).toEqual([]);
  });

  it("keep lies and faults out of the programs of honest replicas", () => {
    expect(Object.keys(programs).filter((program) => !src.some(({ path }) => path === program))).toEqual([]);
    expect(forbiddenReach(src)).toEqual([]);
  });

  it("are an order: each room imports only from rooms above it in the table", () => {
    const rooms = Object.keys(layers);
    for (const [room, allowed] of Object.entries(layers)) {
      expect(rooms.slice(0, rooms.indexOf(room))).toEqual(expect.arrayContaining([...allowed]));
    }
  });
});

describe("the checkers can fail", () => {
  it("finds imports in all their forms, and none in comments and strings", () => {
    const file = sourceFile(
      "src/core/a.ts",
      [
        'import { a } from "./a.ts";',
        "import type { b,",
        '  c } from "../wire/b.ts";',
        'import "node:fs";',
        'export * from "./d.ts";',
        'const e = await import("zod");',
        '// from "./comment.ts"',
        'const text = `from "./text.ts"`;',
      ].join("\n"),
    );
    expect(importsOf(file).map(({ specifier }) => specifier)).toEqual(["./a.ts", "../wire/b.ts", "node:fs", "./d.ts", "zod"]);
    expect(importsOf(file)[1]).toEqual({ line: 3, specifier: "../wire/b.ts", target: "src/wire/b.ts" });
  });

  it("sees the way from a program to what it must not reach", () => {
    const files = [
      sourceFile("src/cli/a.ts", 'import { b } from "../launch/b.ts";'),
      sourceFile("src/launch/b.ts", 'import { c } from "../traitors/c.ts";'),
      sourceFile("src/traitors/c.ts", ""),
    ];
    const table = { "src/cli/a.ts": { not: ["src/traitors/"], because: "of a reason" } };
    expect(forbiddenReach(files, table)).toEqual(["src/cli/a.ts -> src/launch/b.ts -> src/traitors/c.ts: of a reason"]);
    expect(forbiddenReach(files.slice(0, 1), table)).toEqual([]);
  });

  it("sees an import that points outward", () => {
    const bad = sourceFile("src/core/a.ts", 'import { x } from "../transport/link.ts";');
    expect(outwardImports([bad])).toEqual([
      expect.stringMatching(/^src\/core\/a\.ts:1 imports \.\.\/transport\/link\.ts: core may import only itself/),
    ]);
    expect(outwardImports([sourceFile("src/sim/a.ts", 'import { x } from "../transport/link.ts";')])).toHaveLength(1);
    expect(outwardImports([sourceFile("src/core/a.ts", 'import { x } from "../../test/support/x.ts";')])).toHaveLength(1);
    expect(outwardImports([sourceFile("src/cellar/a.ts", "")])).toHaveLength(1);
  });

  it("sees Node.js in browser code", () => {
    expect(nodeInBrowserCode([sourceFile("src/index.ts", 'export { verify } from "./crypto/native.ts";')])).toHaveLength(1);
    expect(nodeInBrowserCode([sourceFile("src/wire/a.ts", 'import { createHash } from "node:crypto";')])).toHaveLength(1);
    expect(nodeInBrowserCode([sourceFile("src/crypto/native.ts", 'import { createHash } from "node:crypto";')])).toEqual([]);
  });

  it("sees a package in the wrong room", () => {
    expect(strayPackages([sourceFile("src/core/a.ts", 'import { pack } from "msgpackr/pack";')])).toHaveLength(1);
    expect(strayPackages([sourceFile("src/cli/a.ts", 'import leftPad from "left-pad";')])).toHaveLength(1);
    expect(strayPackages([sourceFile("src/crypto/a.ts", 'import { sha256 } from "@noble/hashes/sha2.js";')])).toEqual([]);
  });

  it("sees a cycle", () => {
    const cycle = [
      sourceFile("src/core/a.ts", 'import type { B } from "./b.ts";'),
      sourceFile("src/core/b.ts", 'import { c } from "./c.ts";'),
      sourceFile("src/core/c.ts", 'import { a } from "./a.ts";'),
    ];
    expect(importCycles(cycle)).toEqual([expect.stringContaining("src/core/a.ts -> src/core/b.ts -> src/core/c.ts -> src/core/a.ts")]);
    expect(importCycles(cycle.slice(0, 2))).toEqual([]);
  });
});
