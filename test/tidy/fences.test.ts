/** The compiler and the linter fence in the pure folders too. Here each fence is given something to stop. */
import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { root } from "./tree.ts";

interface Sample {
  readonly path: string;
  readonly text: string;
  /** A part of the complaint; absent where there must be none. */
  readonly complaint?: string;
}

const samples: readonly Sample[] = [
  { path: "src/core/clean.ts", text: "export const a = (n: number): number => Math.floor(n);" },
  { path: "src/core/entropy.ts", text: "export const a = Math.random();", complaint: "Math.random in a pure folder" },
  { path: "src/sim/suspends.ts", text: "export async function a() {\n  await b();\n}", complaint: "await in a pure folder" },
  { path: "src/protocols/pbft/clock.ts", text: "export const a = Date.now();", complaint: "global variable Date" },
  { path: "src/harness/timer.ts", text: "setTimeout(() => undefined, 1);", complaint: "global variable setTimeout" },
  { path: "src/wire/promise.ts", text: "export type A = Promise<void>;", complaint: "global variable Promise" },
  { path: "src/core/module.ts", text: 'import { a } from "node:fs";\na();', complaint: "imports nothing of Node.js" },
  { path: "src/traitors/socket.ts", text: 'import { a } from "ws";\na();', complaint: "imports nothing of Node.js" },
  { path: "src/client/outward.ts", text: 'import { a } from "../node/timers.ts";\na();', complaint: "lies further out" },
  { path: "src/crypto/outward.ts", text: 'export { verify } from "./native.ts";', complaint: "lies further out" },
  { path: "src/index.ts", text: 'export { run } from "./node/run.ts";', complaint: "lies further out" },
  { path: "src/crypto/native.ts", text: 'import { verify } from "node:crypto";\n\nexport const a = verify;' },
  { path: "src/node/clean.ts", text: "export const a = Date.now();" },
  { path: "src/node/prints.ts", text: "console.log(1);", complaint: "noConsole" },
  { path: "src/node/any.ts", text: "export const a: any = 1;", complaint: "noExplicitAny" },
  { path: "src/node/floating.ts", text: "async function a(): Promise<void> {}\na();", complaint: "noFloatingPromises" },
  { path: "src/node/camelCase.ts", text: "export const a = 1;", complaint: "useFilenamingConvention" },
  {
    path: "src/node/switch.ts",
    text: 'export function a(x: "b" | "c"): void {\n  switch (x) {\n    case "b":\n      a("c");\n  }\n}',
    complaint: "useExhaustiveSwitchCases",
  },
];

const hostGlobals = ["setTimeout", "console", "process", "Buffer", "performance", "crypto", "fetch", "TextEncoder"];

let folder = "";

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "quorate-fences-"));
  for (const name of ["biome.json", "lint", "tsconfig.json", "package.json"])
    cpSync(join(root, name), join(folder, name), { recursive: true });
  symlinkSync(join(root, "node_modules"), join(folder, "node_modules"), "junction");
  writeFileSync(join(folder, "tsconfig.pure.json"), JSON.stringify({ extends: join(root, "tsconfig.pure.json"), include: ["src"] }));
});

afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Runs a tool over these files and returns its complaints by file. */
function complaintsOf(
  tool: string,
  args: readonly string[],
  files: readonly Sample[],
): { status: number | null; about: (path: string) => string } {
  rmSync(join(folder, "src"), { recursive: true, force: true });
  for (const { path, text } of files) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), `${text}\n`);
  }
  const { status, stdout } = spawnSync(process.execPath, [join(root, "node_modules", tool), ...args], { cwd: folder, encoding: "utf8" });
  return {
    status,
    about: (path) =>
      stdout
        .split("\n")
        .filter((line) => line.includes(path))
        .join("\n"),
  };
}

describe("the linter", () => {
  it("stops what does not belong, and nothing else", () => {
    const args = ["lint", "--reporter=github", "--vcs-enabled=false", "--max-diagnostics=none", "src"];
    const { status, about } = complaintsOf("@biomejs/biome/bin/biome", args, samples);
    expect(status).toBe(1);
    for (const { path, complaint } of samples) {
      if (complaint === undefined) expect(about(path)).toBe("");
      else expect(about(path)).toContain(complaint);
    }
  });
});

describe("the compiler", () => {
  const compile = (files: readonly Sample[]) =>
    complaintsOf("typescript/bin/tsc", ["--project", "tsconfig.pure.json", "--pretty", "false"], files);

  it("lets clean code pass", () => {
    expect(compile(samples.slice(0, 1)).status).toBe(0);
  });

  it("knows nothing of a host in a pure folder", () => {
    const files = hostGlobals.map((name) => ({ path: `src/core/${name}.ts`, text: `export const a = ${name};` }));
    const { status, about } = compile(files);
    expect(status).not.toBe(0);
    for (const { path } of files) expect(about(path)).toContain("Cannot find name");
  });

  it("finds no module of Node.js there, not even behind an import", () => {
    const { about } = compile([
      { path: "src/core/a.ts", text: 'export { readFileSync } from "../node/b.ts";' },
      { path: "src/node/b.ts", text: 'export { readFileSync } from "node:fs";' },
    ]);
    expect(about("src/node/b.ts")).toContain("node:fs");
  });
});
