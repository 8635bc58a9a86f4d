/** What a load measured, for people. */
import type { LoadResult } from "../launch/load.ts";

export function loadLines({ returned, failed, seconds, throughput, latencyMs, suspected }: LoadResult): string[] {
  const { p50, p99, max } = latencyMs;
  const liars = suspected.flatMap((times, replica) => (times > 0 ? [`replica ${replica} contradicted the others ${times} times`] : []));
  return [
    `${returned} operations in ${seconds.toFixed(2)} s: ${throughput.toFixed(0)} per second`,
    `latency: p50 ${p50.toFixed(1)} ms, p99 ${p99.toFixed(1)} ms, max ${max.toFixed(1)} ms`,
    ...Object.entries(failed).map(([code, count]) => `failed: ${count} ${code}`),
    ...liars,
  ];
}
