/** `quorate run` and `quorate check` from the first process to the last: what they print, write and leave behind. */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, describe, expect, it, vi } from "vitest";
import type { Judgement, Result } from "../../src/harness/result.ts";
import { parseTrace } from "../../src/harness/trace-text.ts";
import { projectFile, useFolders } from "../support/folder.ts";
import { childrenOf, running } from "../support/processes.ts";
import { quorate, type Running, start } from "./support.ts";

vi.setConfig({ maxConcurrency: 2 });

const newFolder = useFolders();

const waiting = { timeout: 20_000, interval: 50 };

describe.concurrent("the main script, over sockets", () => {
  it("prints one object and nothing else, which is also in result.json, and its trace is judged alike", async () => {
    const out = newFolder();
    const { code, stdout, stderr } = await quorate("run", "scripts/first-traitor.ts", "--json", "--seed", "5", "--out", out);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(stdout).toMatch(/^\{.*\}\n$/);
    const result = JSON.parse(stdout) as Result;
    expect(result).toMatchObject({
      version: expect.any(String),
      scenario: "first traitor",
      protocol: "pbft",
      host: "ws",
      seed: 5,
      n: 4,
      f: 1,
      quorum: 3,
      traitors: [0],
      asExpected: true,
      properties: Object.fromEntries(
        ["agreement", "validity", "integrity", "termination"].map((name) => [
          name,
          { verdict: "holds", claimed: true, expected: "holds", evidence: expect.objectContaining({ nodes: 3, violations: 0 }) },
        ]),
      ),
      ledger: expect.any(Object),
      trace: join(out, "first-traitor-5", "trace.jsonl"),
      report: null,
      seconds: expect.any(Number),
    });
    expect(JSON.parse(readFileSync(join(out, "first-traitor-5", "result.json"), "utf8"))).toEqual(result);

    const records = parseTrace(readFileSync(result.trace ?? "", "utf8"));
    expect(records[0]).toMatchObject({ event: "run", host: "ws", traitors: [0] });
    expect(records.at(-1)).toMatchObject({ event: "verdict", asExpected: true });
    expect(records.filter(({ event }) => event === "verdict")).toHaveLength(1);

    const again = await quorate("check", result.trace ?? "", "--json");
    expect(again.code).toBe(0);
    const { trace: _, report: __, seconds: ___, ...judgement } = result;
    expect(JSON.parse(again.stdout) as Judgement).toMatchObject(judgement);
  });
});

describe.concurrent("in the simulator", () => {
  it("prints the verdicts on stdout and progress on stderr, and says what to try next", async () => {
    const out = newFolder();
    const { code, stdout, stderr } = await quorate("run", "scripts/first-traitor.ts", "--sim", "--seed", "7", "--out", out);
    expect(code).toBe(0);
    for (const property of ["agreement", "validity", "integrity", "termination"])
      expect(stdout).toMatch(new RegExp(`^${property} +holds`, "m"));
    expect(stdout).toContain("npx quorate run scripts/first-traitor.ts --sim --seed 7\n");
    expect(stdout).not.toContain("operations returned");
    expect(stderr).toMatch(
      /^first traitor: 4 replicas, 3 clients, 300 operations, in virtual time\n(?:\d+ of 300 operations returned, \S+ s\n){1,4}$/,
    );
    expect(existsSync(join(out, "first-traitor-7", "trace.jsonl"))).toBe(true);
  });

  it("ends with 1 when what was expected did not come, and so does a check of the trace", async () => {
    const folder = newFolder();
    const text =
      'import { scenario } from "quorate";\nexport default scenario({ name: "no fork", replicas: 4, workload: { operations: 5 }, expect: { agreement: "violated" } });\n';
    const { code, stdout, stderr } = await quorate("run", projectFile(folder, "no-fork.ts", text), "--sim", "--out", folder);
    expect(stderr).toContain("no fork: 4 replicas");
    expect(stdout).toContain("agreement: expected violated, found holds");
    expect(code).toBe(1);
    expect((await quorate("check", join(folder, "no-fork-1", "trace.jsonl"))).code).toBe(1);
  });
});

describe.concurrent("an interrupted run over sockets", () => {
  const started: Running[] = [];

  afterAll(() => {
    // Whatever a failed test left behind; each is the leader of its own group.
    for (const { child } of started) if (child.pid !== undefined && running([child.pid]).length > 0) process.kill(-child.pid, "SIGKILL");
  });

  /** A run that would go on for hours. @returns once its replicas decide */
  async function endless(): Promise<Running & { readonly pid: number; readonly children: readonly number[] }> {
    const folder = newFolder();
    const file = join(folder, "endless.mjs");
    writeFileSync(file, 'export default { name: "endless", replicas: 4, workload: { operations: 1000000 } };\n');
    const run = start("run", file, "--out", folder);
    started.push(run);
    const trace = join(folder, "endless-1", "nodes", "replica-3.jsonl");
    await vi.waitFor(() => expect(readFileSync(trace, "utf8")).toContain('"decide"'), waiting);
    const pid = run.child.pid ?? 0;
    const children = childrenOf(pid);
    expect(children).toHaveLength(4);
    return { ...run, pid, children };
  }

  it("by Ctrl-C ends with 130 in one line and leaves no process behind", async () => {
    const { pid, children, finished } = await endless();
    // As a terminal does: to the whole group.
    process.kill(-pid, "SIGINT");
    const { code, stdout, stderr } = await finished;
    expect({ code, stdout }).toEqual({ code: 130, stdout: "" });
    expect(stderr).toMatch(/^endless: .*\n(?:\d+ of .*\n)*interrupted\n$/);
    expect(running(children)).toEqual([]);
  });

  it("by SIGKILL leaves replicas that end by themselves", async () => {
    const { pid, children, finished } = await endless();
    process.kill(pid, "SIGKILL");
    expect((await finished).code).toBe(null);
    await vi.waitFor(() => expect(running(children)).toEqual([]), waiting);
  });
});
