/** Several nodes' records become one order that no effect precedes its cause in, with logical clocks that no traitor can forge. */
import type { MessageFields, TraceRecord } from "./trace.ts";

/**
 * Merges by `at`. The order inside each list is kept; at equal times the earlier list goes first. A receive waits for its send:
 * for the first send with equal id, from and to, where the lists hold one, since clocks of several machines differ.
 *
 * @param lists - one per source, each in the order in which it was written
 * @param options - `vector`: add vector clocks, one entry per node
 */
export function merge(lists: readonly (readonly TraceRecord[])[], options: { readonly vector?: boolean } = {}): TraceRecord[] {
  return clocked(ordered(lists), options.vector ?? false);
}

function ordered(lists: readonly (readonly TraceRecord[])[]): TraceRecord[] {
  const willBeSent = new Set<string>();
  for (const list of lists) for (const record of list) if (record.event === "send") willBeSent.add(linkKey(record));
  const next = lists.map(() => 0);
  const sent = new Set<string>();
  const merged: TraceRecord[] = [];
  for (;;) {
    let best: { source: number; record: TraceRecord } | undefined;
    let waiting: { source: number; record: TraceRecord } | undefined;
    for (const [source, list] of lists.entries()) {
      const record = list[next[source] ?? 0];
      if (!record) continue;
      const waits = record.event === "receive" && !sent.has(linkKey(record)) && willBeSent.has(linkKey(record));
      if (waits) waiting = earlier(waiting, { source, record });
      else best = earlier(best, { source, record });
    }
    // Only lists that contradict each other leave nothing but waiting heads; by time is then as good as any order.
    const chosen = best ?? waiting;
    if (!chosen) return merged;
    next[chosen.source] = (next[chosen.source] ?? 0) + 1;
    if (chosen.record.event === "send") sent.add(linkKey(chosen.record));
    merged.push(chosen.record);
  }
}

/** What says which run this is goes first, whatever came before the moment that time counts from. */
function earlier<T extends { readonly record: TraceRecord }>(known: T | undefined, other: T): T {
  if (!known || other.record.event === "run") return other;
  return known.record.event === "run" || known.record.at <= other.record.at ? known : other;
}

interface Clock {
  lamport: number;
  vector: Map<string, number>;
}

/** Lamport 1978; vectors as Fidge and Mattern 1988. A delivery beyond the sends of its message counts as another copy of the last. */
function clocked(records: readonly TraceRecord[], withVector: boolean): TraceRecord[] {
  const clocks = new Map<string, Clock>();
  const underWay = new Map<string, { readonly sends: Clock[]; taken: number }>();
  return records.map((record) => {
    const clock = clocks.get(record.node) ?? { lamport: 0, vector: new Map() };
    clocks.set(record.node, clock);
    if (record.event === "receive") {
      const link = underWay.get(linkKey(record));
      const cause = link?.sends[Math.min(link.taken, link.sends.length - 1)];
      if (link) link.taken += 1;
      if (cause) learn(clock, cause);
    }
    clock.lamport += 1;
    if (withVector) clock.vector.set(record.node, (clock.vector.get(record.node) ?? 0) + 1);
    if (record.event === "send") {
      const link = underWay.get(linkKey(record)) ?? { sends: [], taken: 0 };
      link.sends.push({ lamport: clock.lamport, vector: new Map(clock.vector) });
      underWay.set(linkKey(record), link);
    }
    return { ...record, lamport: clock.lamport, ...(withVector ? { vector: Object.fromEntries(clock.vector) } : {}) };
  });
}

function learn(clock: Clock, cause: Clock): void {
  clock.lamport = Math.max(clock.lamport, cause.lamport);
  for (const [node, count] of cause.vector) clock.vector.set(node, Math.max(count, clock.vector.get(node) ?? 0));
}

function linkKey({ id, from, to }: Pick<MessageFields, "id" | "from" | "to">): string {
  return `${id} ${from} ${to}`;
}
