/** A load: clients that each keep a window of operations under way, and how long those took. */
import { build, type Histogram } from "hdr-histogram-js";
import { LabError } from "../core/lab-error.ts";
import type { Client } from "./connect.ts";

export interface LoadOptions {
  /** Of all clients together. */
  readonly operations: number;
  /** That each client keeps under way. */
  readonly window: number;
  /** Keys that they share. */
  readonly keys: number;
  /** Size of a value, in bytes. */
  readonly valueBytes: number;
}

/** Latencies are those of operations that returned, to three digits. */
export interface LoadResult extends LoadOptions {
  readonly operation: "load";
  readonly clients: number;
  readonly returned: number;
  /** How many operations failed, by the code of their error. */
  readonly failed: Readonly<Record<string, number>>;
  readonly seconds: number;
  /** Operations that returned, per second. */
  readonly throughput: number;
  readonly latencyMs: { readonly p50: number; readonly p99: number; readonly max: number };
  /** Per replica: how often it contradicted what f+1 others said. */
  readonly suspected: readonly number[];
}

/** Recorded in microseconds; longer ones count as this. */
const latencyMaxUs = 3_600_000_000;

/**
 * Puts and gets by turns, until all have returned or failed.
 *
 * @param onProgress - called after each with how many ended, of how many
 * @throws the reason of `signal` when it ends the load
 */
export async function load(
  clients: readonly Client[],
  options: LoadOptions,
  onProgress: (ended: number, total: number) => void,
  signal: AbortSignal,
): Promise<LoadResult> {
  const { operations, window, keys, valueBytes } = options;
  const histogram = build({ lowestDiscernibleValue: 1, highestTrackableValue: latencyMaxUs, numberOfSignificantValueDigits: 3 });
  const failed: Record<string, number> = {};
  const value = "x".repeat(valueBytes);
  let issued = 0;
  let ended = 0;

  const ask = async (client: Client, number: number): Promise<void> => {
    // A put and the get after it share a key.
    const key = `load-${Math.floor(number / 2) % keys}`;
    const from = performance.now();
    try {
      await (number % 2 === 0 ? client.put(key, value, { signal }) : client.get(key, { signal }));
      histogram.recordValue(Math.min(latencyMaxUs, Math.round((performance.now() - from) * 1_000)));
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof LabError)) throw error;
      failed[error.code] = (failed[error.code] ?? 0) + 1;
    }
    onProgress(++ended, operations);
  };
  const keepGoing = async (client: Client): Promise<void> => {
    while (issued < operations) await ask(client, issued++);
  };

  const started = performance.now();
  await Promise.all(clients.flatMap((client) => Array.from({ length: window }, () => keepGoing(client))));
  const seconds = (performance.now() - started) / 1_000;
  return {
    operation: "load",
    operations,
    window,
    keys,
    valueBytes,
    clients: clients.length,
    returned: histogram.totalCount,
    failed,
    seconds,
    throughput: histogram.totalCount / seconds,
    latencyMs: latencies(histogram),
    suspected: sums(clients.map((client) => client.state().counters.suspected)),
  };
}

function latencies(histogram: Histogram): LoadResult["latencyMs"] {
  const max = histogram.totalCount === 0 ? 0 : histogram.maxValue;
  // A percentile is the top of its bucket, and so may lie above the largest value.
  const at = (percentile: number): number => Math.min(max, histogram.getValueAtPercentile(percentile)) / 1_000;
  return { p50: at(50), p99: at(99), max: max / 1_000 };
}

function sums(lists: readonly (readonly number[])[]): number[] {
  return (lists[0] ?? []).map((_, index) => lists.reduce((total, list) => total + (list[index] ?? 0), 0));
}
