/** The benchmark over real processes, with few operations: what it counts must be so whatever the machine does meanwhile. */
import { describe, expect, it } from "vitest";
import { type BenchEvents, type BenchFigures, type BenchOptions, bench } from "../../src/launch/bench.ts";
import { childrenOf } from "../support/processes.ts";

const tiny = { replicas: 4, inFlight: [1, 12], runs: 3, operations: 24, warmUp: 4, valueBytes: 10 } satisfies BenchOptions;

/** @returns the processes that were there for the benchmark alone, and how it ended */
async function watched(act: (replicas: readonly number[]) => void, events: BenchEvents = {}): Promise<unknown> {
  const before = childrenOf(process.pid);
  let acted = false;
  const onProgress = (): void => {
    if (acted) return;
    acted = true;
    act(childrenOf(process.pid).filter((pid) => !before.includes(pid)));
  };
  const error: unknown = await bench({ ...tiny, operations: 2_000 }, { ...events, onProgress }).catch((reason: unknown) => reason);
  expect(childrenOf(process.pid)).toEqual(before);
  return error;
}

describe("bench", () => {
  it("measures every level in every run, and sums the runs up", async () => {
    const progress: string[] = [];
    const before = childrenOf(process.pid);
    const result = await bench(tiny, { onProgress: (returned, total) => progress.push(`${returned} of ${total}`) });
    expect(childrenOf(process.pid)).toEqual(before);
    expect(progress[0]).toBe("2 of 144");
    expect(progress.at(-1)).toBe("144 of 144");
    expect(result).toMatchObject({ settings: { ...tiny, f: 1, keys: 100 }, machine: { node: process.version } });
    expect(result.levels.map(({ inFlight, clients, runs }) => [inFlight, clients, runs.length])).toEqual([
      [1, 1, 3],
      [12, 8, 3],
    ]);
    for (const { runs, min, median, max } of result.levels) {
      for (const name of Object.keys(median) as (keyof BenchFigures)[]) {
        const sorted = runs.map((run) => run[name]).sort((a, b) => a - b);
        expect([min[name], median[name], max[name]], name).toEqual(sorted);
      }
      for (const run of runs) {
        expect(0 < run.p50Ms && run.p50Ms <= run.p99Ms && run.p99Ms <= run.maxMs).toBe(true);
        expect(Math.min(run.throughput, run.replicaCpuMs, run.clientCpuMs)).toBeGreaterThan(0);
        // Three of four replicas decide, each tells three others and the client, and no message is smaller than its signature.
        expect(run.messages * run.batch).toBeGreaterThan(3);
        expect(run.bytes).toBeGreaterThan(64 * run.messages);
      }
    }
    // A replica that lags may decide a batch of the warm-up late.
    expect(result.levels[0]?.min.batch).toBeLessThanOrEqual(1);
    // Little's law: in one run at least as many were under way as the level says, less at its two ends.
    const [alone, together] = result.levels.map(({ runs }) => Math.max(...runs.map((run) => (run.throughput * run.p50Ms) / 1_000)));
    expect(alone).toBeLessThan(2.1);
    expect(together).toBeGreaterThan(2.1);
  });

  it("gives no figures when a replica dies meanwhile, and leaves no process behind", async () => {
    const error = await watched(([replica]) => process.kill(replica ?? 0, "SIGKILL"));
    expect(error).toMatchObject({ name: "LabError", code: "replica-died", exitCode: 3 });
  });

  it("ends when it is told to, and leaves no process behind", async () => {
    const interrupted = new AbortController();
    const error = await watched(() => interrupted.abort(), { signal: interrupted.signal });
    expect(error).toMatchObject({ name: "AbortError" });
  });
});
