/** Termination bounds (pins of docs/protocol.md): what is promised, and from when on time counts. */
import type { Timing } from "../core/cluster.ts";
import type { History } from "./history.ts";

/** Times in ms. */
export interface BoundInput {
  readonly n: number;
  readonly f: number;
  /** T_client: the longest that a client waits before it sends its request to all again. */
  readonly clientRetryMaxMs: number;
  readonly timing: Pick<Timing, "viewTimeoutMaxMs" | "statusIntervalMs" | "idleStatusIntervalMs">;
}

/**
 * T_client + (f+2) Tmax + catch-up, in ms after GST: the request reaches everybody, f traitor primaries time out one after the other,
 * and who lagged notices it by STATUS and asks each peer in turn (rules 51, 99). A scenario that promises less is not claimed.
 */
export function terminationBoundMs({ n, f, clientRetryMaxMs, timing }: BoundInput): number {
  const catchUpMs = 2 * timing.idleStatusIntervalMs + n * timing.statusIntervalMs;
  return clientRetryMaxMs + (f + 2) * timing.viewTimeoutMaxMs + catchUpMs;
}

/**
 * When more than f replicas were faulty or down for the last time, if that passed; else 0. A run that ends outside the model is
 * judged from GST all the same: it shows what happens there, and nothing is claimed for it.
 */
export function withinModelFrom({ run, traitors, lives }: History): number {
  const changes: { readonly at: number; readonly by: 1 | -1 }[] = [];
  for (const { outages, leftAt } of lives.values()) {
    for (const { from, until } of outages) {
      if (leftAt !== undefined && from >= leftAt) continue;
      changes.push({ at: from, by: 1 });
      if (until !== undefined) changes.push({ at: until, by: -1 });
    }
    if (leftAt !== undefined) changes.push({ at: leftAt, by: 1 });
  }
  // At one moment the new fault comes first, so that a replica that returns without its storage is never counted as gone.
  changes.sort((a, b) => a.at - b.at || b.by - a.by);
  let faulty = traitors.size;
  let from = 0;
  for (const { at, by } of changes) {
    if (faulty > run.f && faulty + by <= run.f) from = at;
    faulty += by;
  }
  return faulty > run.f ? 0 : from;
}
