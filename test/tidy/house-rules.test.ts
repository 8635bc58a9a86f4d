import { describe, expect, it } from "vitest";
import {
  bannedInPureFolders,
  bannedWords,
  linesMax,
  longFiles,
  machinePaths,
  strayQuorums,
  strayTrust,
  unfinished,
  withoutHeader,
} from "./house-rules.ts";
import { fileAt, filesBelow, ownDocuments, sourceFile } from "./tree.ts";

const src = filesBelow("src", ".ts");
const code = [...src, ...filesBelow("test", ".ts"), ...filesBelow("scripts", ".ts"), fileAt("vitest.config.ts")];

describe("the rules of the house", () => {
  it("ban from pure folders what would tie them to a host or a moment", () => {
    expect(bannedWords(src)).toEqual([]);
  });

  it("keep files short", () => {
    expect(longFiles(code)).toEqual([]);
  });

  it("ask every source file for an opening comment", () => {
    expect(withoutHeader(src)).toEqual([]);
  });

  it("let only the verifier and the seal call something proven", () => {
    expect(strayTrust(src)).toEqual([]);
    expect(src.find((file) => file.path === "src/core/message.ts")?.code).toContain("function trusted");
  });

  it("keep quorum arithmetic in one file", () => {
    expect(strayQuorums(src)).toEqual([]);
  });

  it("leave nothing unfinished", () => {
    expect(unfinished(code)).toEqual([]);
  });

  it("name no path of one machine", () => {
    expect(machinePaths([...code, ...ownDocuments()])).toEqual([]);
  });
});

describe("the checkers can fail", () => {
  const banned = [
    "const now = Date.now();",
    "const now = performance.now();",
    "const x = Math.random();",
    "const { random } = Math;",
    "const x = crypto.getRandomValues(bytes);",
    "setTimeout(f, 1);",
    "await f();",
    "const home = process.env.HOME;",
    "const w = globalThis.window;",
    "const b = Buffer.from(bytes);",
    "const e = new TextEncoder();",
    "console.log(x);",
    "names.sort((a, b) => a.localeCompare(b));",
    "names.sort();",
    "const r = new WeakRef(x);",
  ];

  it.each(banned)("sees %s in a pure folder", (line) => {
    expect(bannedWords([sourceFile("src/core/a.ts", line)])).toHaveLength(1);
    expect(bannedWords([sourceFile("src/node/a.ts", line)])).toEqual([]);
  });

  it("tries every banned word", () => {
    const all = sourceFile("src/core/a.ts", banned.join("\n"));
    for (const { pattern } of bannedInPureFolders) expect(all.code).toMatch(new RegExp(pattern, "g"));
  });

  it("does not mistake talk, or a field of that name, for use", () => {
    const talk =
      'const fault = { process: "kill" }; // await the Date\nconst word = "Promise"; run(fault.process.name, cluster.crypto.seal, Object.keys(fault).sort());';
    expect(bannedWords([sourceFile("src/faults/a.ts", talk)])).toEqual([]);
  });

  it("sees a long file and one without a header", () => {
    expect(longFiles([sourceFile("src/core/a.ts", "x\n".repeat(linesMax.src + 1))])).toHaveLength(1);
    expect(longFiles([sourceFile("src/core/a.ts", "x\n".repeat(linesMax.src))])).toEqual([]);
    expect(withoutHeader([sourceFile("src/core/a.ts", 'import "./b.ts"; // late')])).toHaveLength(1);
    expect(withoutHeader([sourceFile("src/cli/main.ts", "#!/usr/bin/env node\n/** The command line. */")])).toEqual([]);
  });

  it("sees trust where it does not belong", () => {
    expect(strayTrust([sourceFile("src/protocols/a.ts", "const proven = trusted(message);")])).toHaveLength(1);
    expect(strayTrust([sourceFile("src/wire/open.ts", "const proven = trusted(message);")])).toEqual([]);
  });

  it.each(["2 * f + 1", "2 * cluster.f", "3*f", "f + 1", "n - f", "cluster.n - cluster.f", "n + f", "Math.floor((n - 1) / 3)"])(
    "sees the quorum arithmetic %s",
    (expression) => {
      expect(strayQuorums([sourceFile("src/harness/a.ts", `const q = ${expression};`)]).length).toBeGreaterThan(0);
      expect(strayQuorums([sourceFile("src/core/quorum.ts", `const q = ${expression};`)])).toEqual([]);
    },
  );

  it("lets other arithmetic be", () => {
    expect(
      strayQuorums([sourceFile("src/sim/a.ts", "const x = 2 * n * (n - 1) + (n - 1) / 2 + half + 1 + turn - first; // 2f+1")]),
    ).toEqual([]);
  });

  it("sees what is unfinished", () => {
    const marker = ["TO", "DO"].join("");
    expect(unfinished([sourceFile("src/core/a.ts", `// ${marker}: later`)])).toHaveLength(1);
    expect(unfinished([sourceFile("test/a.test.ts", "it.only(name, run); describe.skip(name, run); enum Colour { Red }")])).toHaveLength(3);
  });

  it("sees a path of one machine, and not a URL or a relative path", () => {
    const home = ["", "home", "anna", "x"].join("/");
    expect(machinePaths([sourceFile("docs/a.md", `see ${home}, or "${home}"`)])).toHaveLength(2);
    expect(machinePaths([sourceFile("docs/a.md", "see ./work/x and https://example.org/home/x and test/tmp/x")])).toEqual([]);
  });
});
