/** The cost ledger: what a run cost in messages, bytes, signatures and fsyncs, beside what the formula says. */
import type { History } from "./history.ts";
import type { RecordOf } from "./trace.ts";

interface Cost {
  readonly messages: number;
  readonly bytes: number;
}

export interface Ledger {
  /** What all nodes handed to their links, and what arrived. */
  readonly sent: Cost;
  readonly received: Cost;
  readonly dropped: number;
  /** Sent, by message kind and by phase of the protocol. */
  readonly kinds: Readonly<Record<string, Cost>>;
  readonly phases: Readonly<Record<Phase, Cost>>;
  /** Distinct slots that correct replicas decided, and the requests in them. */
  readonly decisions: number;
  readonly requests: number;
  /** All that was sent, divided by decisions; null when nothing was decided. */
  readonly perDecision: Cost | null;
  /** The normal case alone: what the formula says of n replicas, and what was measured per decision. */
  readonly formula: { readonly name: string; readonly messages: number; readonly measured: number | null } | null;
  /** Summed over the nodes that told at their end; null when none did. */
  readonly signatures: { readonly made: number; readonly verified: number } | null;
  readonly fsyncs: number | null;
}

type Phase = "client" | "normal" | "checkpoint" | "view-change" | "catch-up" | "other";

const phaseOfKind: Readonly<Record<string, Phase>> = {
  request: "client",
  reply: "client",
  "pre-prepare": "normal",
  prepare: "normal",
  commit: "normal",
  checkpoint: "checkpoint",
  "view-change": "view-change",
  "new-view": "view-change",
  status: "catch-up",
  fetch: "catch-up",
  "batch-body": "catch-up",
  snapshot: "catch-up",
  certificate: "catch-up",
};

export function readLedger({ records, decisions, run }: History): Ledger {
  const sends = records.filter((record) => record.event === "send");
  const stats = records.flatMap((record) => (record.event === "stop" && record.stats ? [record.stats] : []));
  const bySlot = new Map(decisions.map((record) => [record.slot, record]));
  const sent = costOf(sends);
  const phases: Record<Phase, Cost> = {
    client: costOf([]),
    normal: costOf([]),
    checkpoint: costOf([]),
    "view-change": costOf([]),
    "catch-up": costOf([]),
    other: costOf([]),
    ...grouped(sends, ({ kind }) => phaseOfKind[kind] ?? "other"),
  };
  return {
    sent,
    received: costOf(records.filter((record) => record.event === "receive")),
    dropped: records.filter((record) => record.event === "drop").length,
    kinds: grouped(sends, ({ kind }) => kind),
    phases,
    decisions: bySlot.size,
    requests: [...bySlot.values()].reduce((sum, { requests }) => sum + requests.length, 0),
    perDecision: bySlot.size === 0 ? null : { messages: per(sent.messages, bySlot.size), bytes: per(sent.bytes, bySlot.size) },
    formula: formulaFor(run, bySlot.size === 0 ? null : per(phases.normal.messages, bySlot.size)),
    signatures:
      stats.length === 0
        ? null
        : { made: total(stats.map(({ signed }) => signed)), verified: total(stats.map(({ verified }) => verified)) },
    fsyncs: stats.length === 0 ? null : total(stats.map(({ fsyncs }) => fsyncs)),
  };
}

/** PBFT: n-1 pre-prepares, (n-1)^2 prepares and n(n-1) commits make 2n(n-1) messages between replicas for each slot. */
function formulaFor({ protocol, n }: RecordOf<"run">, measured: number | null): Ledger["formula"] {
  return protocol === "pbft" ? { name: "PBFT normal case: 2n(n-1)", messages: 2 * n * (n - 1), measured } : null;
}

type Message = Pick<RecordOf<"send">, "kind" | "bytes">;

function grouped<G extends string>(
  messages: readonly Message[],
  groupOf: (message: Message) => G,
): Partial<Record<G, Cost>> & Record<string, Cost> {
  const groups = new Map<G, { messages: number; bytes: number }>();
  for (const message of messages) {
    const cost = groups.get(groupOf(message)) ?? { messages: 0, bytes: 0 };
    cost.messages += 1;
    cost.bytes += message.bytes;
    groups.set(groupOf(message), cost);
  }
  const names = [...groups.keys()].sort((a, b) => (a < b ? -1 : 1));
  return Object.fromEntries(names.map((name) => [name, groups.get(name)])) as Partial<Record<G, Cost>> & Record<string, Cost>;
}

function costOf(messages: readonly Message[]): Cost {
  return { messages: messages.length, bytes: total(messages.map(({ bytes }) => bytes)) };
}

function total(numbers: readonly number[]): number {
  return numbers.reduce((sum, value) => sum + value, 0);
}

/** To two places: a quotient that reads well. */
function per(amount: number, count: number): number {
  return Math.round((100 * amount) / count) / 100;
}
