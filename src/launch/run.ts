/** Runs a scenario on either host and keeps what it leaves: `runs/NAME-SEED/{trace.jsonl,result.json}`. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { merge } from "../harness/merge.ts";
import type { Judgement, Result } from "../harness/result.ts";
import type { Scenario } from "../harness/scenario.ts";
import type { TraceRecord } from "../harness/trace.ts";
import { formatRecord } from "../harness/trace-text.ts";
import { type SimulateOptions, simulate } from "../sim/simulate.ts";
import { runOverSockets } from "./run-sockets.ts";
import { writable } from "./writable.ts";

export interface RunOptions {
  /** `ws`: processes and sockets; `sim`: virtual time. @defaultValue "ws" */
  readonly host?: "ws" | "sim";
  /** An integer from 0. @defaultValue 1 */
  readonly seed?: number;
  /** Where `NAME-SEED/` is written. @defaultValue "runs" */
  readonly out?: string;
  /** The scenario's own file; needed for custom traitors over sockets. */
  readonly module?: string;
  readonly onProgress?: (returned: number, total: number) => void;
  /** Ends a run over sockets, which then throws the signal's reason. */
  readonly signal?: AbortSignal;
}

/**
 * @returns the verdicts, and where trace and result were written
 * @throws LabError when the run could not be carried out; what the scenario finds is a result, never an error
 */
export async function run(scenario: Scenario, options: RunOptions = {}): Promise<Result> {
  const { host = "ws", seed = 1, out = "runs", module, onProgress, signal } = options;
  signal?.throwIfAborted();
  const directory = join(out, `${slug(scenario.name)}-${seed}`);
  writable(directory, () => mkdirSync(directory, { recursive: true }));
  const started = performance.now();
  const { judgement, records } =
    host === "sim"
      ? simulated(scenario, { seed, ...(onProgress && { onProgress }) })
      : await runOverSockets(scenario, {
          seed,
          directory: join(directory, "nodes"),
          ...(module !== undefined && { module }),
          ...(onProgress && { onProgress }),
          ...(signal && { signal }),
        });
  return keep(directory, judgement, records, (performance.now() - started) / 1_000);
}

/** A trace that is kept has logical clocks, whichever host wrote it. */
function simulated(scenario: Scenario, options: SimulateOptions): { judgement: Judgement; records: readonly TraceRecord[] } {
  const { records, ...judgement } = simulate(scenario, options);
  return { judgement, records: merge([records]) };
}

function keep(directory: string, judgement: Judgement, records: readonly TraceRecord[], seconds: number): Result {
  const trace = join(directory, "trace.jsonl");
  const result: Result = { ...judgement, trace, report: null, seconds: Math.round(seconds * 1_000) / 1_000 };
  writable(directory, () => {
    writeFileSync(trace, records.map((record) => `${formatRecord(record)}\n`).join(""));
    writeFileSync(join(directory, "result.json"), `${JSON.stringify(result, null, 2)}\n`);
  });
  return result;
}

/** A name that every file system takes. */
function slug(name: string): string {
  const words = name.toLowerCase().match(/[a-z0-9]+/g) ?? ["scenario"];
  return words.join("-").slice(0, 60);
}
