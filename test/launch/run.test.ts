/** Scenarios over real processes: what breaks, what lies, and what cannot be run. */
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it, vi } from "vitest";
import { faults } from "../../src/faults/fault.ts";
import type { Result } from "../../src/harness/result.ts";
import { type ScenarioDefinition, scenario } from "../../src/harness/scenario.ts";
import type { RecordOf, TraceRecord } from "../../src/harness/trace.ts";
import { parseTrace } from "../../src/harness/trace-text.ts";
import { loadScenario } from "../../src/launch/load-scenario.ts";
import { run } from "../../src/launch/run.ts";
import { traitors } from "../../src/traitors/catalogue.ts";
import { traitor } from "../../src/traitors/traitor.ts";
import { projectFile, useFolders } from "../support/folder.ts";
import { childrenOf } from "../support/processes.ts";

vi.setConfig({ maxConcurrency: 2 });

const newFolder = useFolders();

function traceOf({ trace }: Result): TraceRecord[] {
  return parseTrace(readFileSync(trace ?? "", "utf8"));
}

function recordsOf<E extends TraceRecord["event"]>(records: readonly TraceRecord[], event: E, node?: string): RecordOf<E>[] {
  return records.filter((record): record is RecordOf<E> => record.event === event && (node === undefined || record.node === node));
}

const verdictsOf = ({ properties }: Result) =>
  Object.fromEntries(Object.entries(properties).map(([name, { verdict, claimed }]) => [name, claimed ? verdict : "not claimed"]));

const allHold = { agreement: "holds", validity: "holds", integrity: "holds", termination: "holds", accountability: "holds" };

function small(definition: Partial<ScenarioDefinition>) {
  return scenario({ name: "small", replicas: 4, workload: { operations: 40 }, within: "15s", ...definition });
}

describe.concurrent("faults over sockets", () => {
  it("a killed backup that comes back with nothing gets the state from the others, and follows", async () => {
    const result = await run(
      small({
        faults: [faults.kill({ afterReturns: 5 }, 2), faults.start({ afterReturns: 30 }, 2)],
        // Some is ordered while it is away, some while it comes back.
        workload: { operations: 60, think: 20 },
        limits: { checkpointInterval: 4, window: 8 },
      }),
      { out: newFolder() },
    );
    expect(verdictsOf(result)).toEqual(allHold);
    const records = traceOf(result);
    expect(recordsOf(records, "crash", "replica-2")).toHaveLength(1);
    const [restart] = recordsOf(records, "restart", "replica-2");
    expect(restart).toMatchObject({ incarnation: 1, storage: "lost", slot: 0 });
    const installed = recordsOf(records, "install", "replica-2").filter(({ at }) => at > (restart?.at ?? 0));
    expect(installed.length).toBeGreaterThan(0);
    const last = Math.max(...recordsOf(records, "decide").map(({ slot }) => slot));
    const reached = [...installed, ...recordsOf(records, "decide", "replica-2")].map(({ slot }) => slot);
    expect(Math.max(...reached)).toBe(last);
  });

  it("a replica that stands still for a while catches up", async () => {
    const result = await run(
      small({
        faults: [faults.pause({ afterReturns: 5 }, 3), faults.resume({ afterReturns: 25 }, 3)],
        limits: { checkpointInterval: 4, window: 8 },
      }),
      { out: newFolder() },
    );
    expect(verdictsOf(result)).toEqual(allHold);
    const records = traceOf(result);
    const [paused, resumed] = [recordsOf(records, "pause", "replica-3")[0]?.at ?? 0, recordsOf(records, "resume", "replica-3")[0]?.at ?? 0];
    expect(resumed).toBeGreaterThan(paused);
    const whilePaused = recordsOf(records, "decide").filter(({ at }) => at > paused && at < resumed);
    expect(whilePaused.some(({ node }) => node === "replica-0")).toBe(true);
    // It was interrupted in the middle of a step at most.
    expect(whilePaused.filter(({ node }) => node === "replica-3").length).toBeLessThan(3);
  });

  it("halves that cannot reach each other decide nothing, and go on when they can", async () => {
    const result = await run(
      small({
        faults: [
          faults.partition({ afterReturns: 10 }, [
            [0, 1],
            [2, 3],
          ]),
          faults.heal({ after: "3s" }),
        ],
      }),
      { out: newFolder() },
    );
    expect(verdictsOf(result)).toEqual(allHold);
    const records = traceOf(result);
    const healed = recordsOf(records, "heal")[0]?.at ?? 0;
    const before = recordsOf(records, "return").filter(({ at }) => at < healed).length;
    expect(before).toBeGreaterThanOrEqual(10);
    expect(before).toBeLessThan(40);
    expect(recordsOf(records, "return")).toHaveLength(40);
  });
});

const forgetful = (does: string): string => `
import { scenario, traitor } from "quorate";

const forgets = traitor("forgets to commit", (self) => ({
  send: {
    commit: (message, to) => {
      ${does}
    },
  },
}));

export default scenario({ name: "own traitor", replicas: 4, traitors: { 3: forgets }, workload: { operations: 10 }, within: "15s" });
`;

describe("a traitor of one's own", () => {
  it("lies in its process when its scenario comes from a file", async () => {
    const folder = newFolder();
    const file = projectFile(folder, "own.ts", forgetful('self.said("kept a vote from " + to); return "drop";'));
    const result = await run(await loadScenario(file), { out: folder, module: file });
    expect(result.traitors).toEqual([3]);
    expect(verdictsOf(result)).toEqual(allHold);
    const said = recordsOf(traceOf(result), "treason", "replica-3");
    expect(new Set(said.map(({ behaviour, what }) => `${behaviour}: ${what}`))).toEqual(
      new Set([0, 1, 2].map((to) => `forgets to commit: kept a vote from ${to}`)),
    );
  });

  it("that fails ends the run with one line, and its stack lies beside the traces", async () => {
    const folder = newFolder();
    const file = projectFile(folder, "own.ts", forgetful("throw new TypeError('no such\\nthing');"));
    const loaded = await loadScenario(file);
    const before = childrenOf(process.pid);
    const failure = await run(loaded, { out: folder, module: file }).catch((error: unknown) => error);
    expect(failure).toMatchObject({ name: "LabError", code: "replica-failed", exitCode: 3 });
    const [, stack = ""] = /^replica 3 failed: TypeError: no such thing \((.+) has the stack\)$/.exec((failure as Error).message) ?? [];
    expect(readFileSync(stack, "utf8")).toMatch(/^TypeError: no such\nthing\n +at .*own\.ts:/);
    expect(childrenOf(process.pid).filter((pid) => !before.includes(pid))).toEqual([]);
  });
});

describe("what cannot be run", () => {
  it("is a custom traitor over sockets without the file it comes from", async () => {
    const silent = small({ traitors: { 1: traitor("of my own", () => ({})) } });
    await expect(run(silent, { out: newFolder() })).rejects.toThrow(
      expect.objectContaining({ name: "LabError", code: "custom-traitor", message: expect.stringMatching(/^traitor 1 .* from a file/) }),
    );
  });

  it("is a behaviour with an option that it does not have; no process is started for it", async () => {
    const out = newFolder();
    const loud = small({ traitors: { 1: { ...traitors.silent(), options: { loud: true } } } });
    await expect(run(loud, { out })).rejects.toThrow('traitor silent: there is no option "loud" (options: when)');
    expect(readdirSync(join(out, "small-1", "nodes"))).toEqual([]);
  });

  it("is what has nowhere to write", async () => {
    const occupied = join(newFolder(), "file");
    writeFileSync(occupied, "");
    for (const host of ["sim", "ws"] as const) {
      await expect(run(small({}), { host, out: occupied })).rejects.toThrow(
        expect.objectContaining({
          code: "unwritable-directory",
          message: expect.stringMatching(/small-1: cannot write there \(ENOTDIR\)/),
        }),
      );
    }
  });

  it("is what was called off before it began", async () => {
    const out = newFolder();
    await expect(run(small({}), { out, signal: AbortSignal.abort() })).rejects.toThrow(expect.objectContaining({ name: "AbortError" }));
    expect(readdirSync(out)).toEqual([]);
  });
});
