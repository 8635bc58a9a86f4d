/** What a user gets wrong is told in one line on stderr, with exit code 2 and without a stack. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it, vi } from "vitest";
import { checkCommand } from "../../src/cli/check.ts";
import { runCommand } from "../../src/cli/run.ts";
import { scenario } from "../../src/harness/scenario.ts";
import { formatRecord } from "../../src/harness/trace-text.ts";
import { simulate } from "../../src/sim/simulate.ts";
import { useFolders } from "../support/folder.ts";
import { quorate } from "./support.ts";

vi.setConfig({ maxConcurrency: 2 });

const folder = useFolders()();

function file(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

const broken = file("broken.ts", "export default {\n  name: 'broken'\n  replicas: 4,\n};\n");
const unknownTraitor = file("unknown.mjs", 'export default { name: "x", replicas: 4, traitors: { 0: { behaviour: "gossip" } } };');
const { records } = simulate(scenario({ name: "x", replicas: 4, workload: { operations: 1 } }), { seed: 1 });
const lines = records.map(formatRecord);
const garbled = file("garbled.jsonl", `${lines.slice(0, 7).join("\n")}\n${lines[7]?.slice(0, 20)}\n`);

const mistakes: readonly (readonly [what: string, args: readonly string[], told: RegExp])[] = [
  ["a file that is not there", ["run", "nowhere.ts"], /^quorate: nowhere\.ts: there is no such scenario file$/],
  ["a file that is no TypeScript", ["run", broken], /^quorate: .*broken\.ts: it does not load: .*broken\.ts:3:2: .*"replicas"$/],
  [
    "a behaviour that does not exist, over sockets",
    ["run", unknownTraitor, "--json"],
    /there is no traitor behaviour "gossip"; allowed are silent, /,
  ],
  [
    "an option that does not exist",
    ["run", "--sede", "3", "scripts/honest.ts"],
    /^quorate: unknown option '--sede' \(Did you mean --seed\?\) \(add --help/,
  ],
  [
    "a seed that is none",
    ["run", "scripts/honest.ts", "--seed", "-1"],
    /^quorate: option '--seed <number>' argument '-1' is invalid\. expected an integer from 0\./,
  ],
  ["a command that does not exist", ["rnu"], /^quorate: unknown command 'rnu' \(Did you mean run\?\) \(add --help for what is allowed\)$/],
  [
    "a place where nothing can be written",
    ["run", "scripts/honest.ts", "--sim", "--json", "--out", "package.json"],
    /^quorate: package\.json\/honest-1: cannot write there \(ENOTDIR\)/,
  ],
  ["a trace that is not there", ["check", "nowhere.jsonl"], /^quorate: nowhere\.jsonl: cannot read this trace file \(ENOENT\)$/],
  ["a trace with a line that is no record", ["check", garbled], /^quorate: .*garbled\.jsonl: trace line 8: expected one JSON object/],
];

describe.concurrent("one line for", () => {
  it.each(mistakes)("%s", async (_, args, told) => {
    const { code, stdout, stderr } = await quorate(...args);
    expect(stderr).toMatch(/^[^\n]+\n$/);
    expect(stderr.trimEnd()).toMatch(told);
    expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
  });
});

describe("help", () => {
  it("lists the commands, has examples, and goes to stdout", async () => {
    const { code, stdout, stderr } = await quorate("--help");
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    for (const command of ["run", "check"]) expect(stdout).toMatch(new RegExp(`^ {2}(?:quorate )?${command} `, "m"));
  });

  it.each([runCommand, checkCommand])("has an example for each command", (command) => {
    let shown = "";
    const writeOut = (text: string): void => {
      shown += text;
    };
    command().configureOutput({ writeOut }).outputHelp();
    expect(shown).toMatch(/\nExample:\n {2}quorate /);
  });
});
