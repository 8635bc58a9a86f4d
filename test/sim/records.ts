/** Reading the trace of a simulation in tests. */
import type { EventName, RecordOf, TraceRecord } from "../../src/harness/trace.ts";

export type Records = readonly TraceRecord[];

/** All records of one event, of one node if it is named. */
export function recordsOf<E extends EventName>(records: Records, event: E, node?: string): RecordOf<E>[] {
  return records.filter((record): record is RecordOf<E> => record.event === event && (node === undefined || record.node === node));
}

/** Those from one moment on, up to and without another. */
export function during<R extends TraceRecord>(records: readonly R[], from: number, until: number): R[] {
  return records.filter(({ at }) => at >= from && at < until);
}

/** When the only record of this event was written. */
export function momentOf(records: Records, event: EventName, node?: string): number {
  const found = recordsOf(records, event, node);
  const [only] = found;
  if (!only || found.length > 1) throw new Error(`expected one ${event}, found ${found.length}`);
  return only.at;
}

/** Where a replica cast two different votes of one kind for one slot of one view: what no restart may lead a correct one to. */
export function contradictions(records: Records, node: string): string[] {
  const votes = new Map<string, Set<string>>();
  for (const { kind, view, slot, digest } of recordsOf(records, "send", node)) {
    if (!["pre-prepare", "prepare", "commit"].includes(kind) || digest === undefined) continue;
    const place = `${kind} ${view}/${slot}`;
    votes.set(place, (votes.get(place) ?? new Set()).add(digest));
  }
  return [...votes].filter(([, digests]) => digests.size > 1).map(([place]) => place);
}
