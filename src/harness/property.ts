/** What a property is to the judge: a check over a history, and the conditions under which it is promised. */
import type { NodeName } from "../core/ids.ts";
import { faultEvents } from "../faults/fault.ts";
import type { Claim } from "./claim.ts";
import type { History } from "./history.ts";
import type { RecordOf, TraceRecord } from "./trace.ts";
import type { Verdict } from "./verdict.ts";

/** What a verdict rests on, in numbers; lists name replicas. */
export type Evidence = Readonly<Record<string, number | readonly number[]>>;

/** One way in which the property broke. */
export interface Counterexample {
  /** In words, one sentence. */
  readonly what: string;
  readonly nodes: readonly NodeName[];
  readonly slot?: number;
  readonly view?: number;
  /** The first event where the nodes part. */
  readonly first?: { readonly at: number; readonly node: NodeName; readonly event: string };
  /** The records that contradict each other. */
  readonly records: readonly TraceRecord[];
  /** Termination: which quorum, view or timer was missing, and who withheld it. */
  readonly cause?: readonly string[];
}

export interface Finding {
  readonly verdict: Verdict;
  readonly evidence: Evidence;
  /** Why nothing could be judged. */
  readonly because?: string;
  readonly counterexample?: Counterexample;
}

/** What a judge is handed from outside. */
export interface Tools {
  /** Whether the frame of a traitor client's `request` record was signed by that client and has that digest. */
  readonly verifyRequest?: (record: RecordOf<"request">) => boolean;
}

export interface Property {
  readonly name: string;
  check(history: History, tools: Tools): Finding;
  claim(history: History): Claim;
}

export const commonNames = ["nodes", "faults", "liesTold", "liesRejected", "traitorMessagesAccepted", "viewChanges"] as const;

/** What every verdict rests on: how many correct nodes, what fired, what was told. */
export function commonEvidence({ lives, tally }: History): Record<(typeof commonNames)[number], number> {
  return {
    nodes: lives.size,
    faults: tally.crashes + tally.pauses + tally.partitions,
    liesTold: tally.lies,
    liesRejected: tally.rejected,
    // From outside nobody can tell which of these were lies: all that correct nodes got from traitors and found no fault with.
    traitorMessagesAccepted: Math.max(0, tally.received - tally.rejected),
    viewChanges: tally.newViews,
  };
}

/** Violated with the first counterexample; else inconclusive when there was nothing to judge or the test never began; else holds. */
export function conclude(
  history: History,
  judged: { readonly count: number; readonly what: string },
  evidence: Evidence,
  violations: readonly Counterexample[],
): Finding {
  const all = { ...evidence, violations: violations.length, ...commonEvidence(history) };
  const [counterexample] = violations;
  if (counterexample) return { verdict: "violated", evidence: all, counterexample };
  const because = judged.count === 0 ? `there was no ${judged.what} to judge` : neverFired(history);
  return because === undefined ? { verdict: "holds", evidence: all } : { verdict: "inconclusive", evidence: all, because };
}

/** The fault or lie that the scenario is about, when it never came about: then holding proves nothing. */
export function neverFired({ run, config, tally, records }: History): string | undefined {
  const lies = run.traitors.length + run.clients.filter(({ traitor }) => traitor).length;
  if (lies > 0 && tally.lies === 0) return "the traitors never lied";
  for (const [fault, event] of Object.entries(faultEvents)) {
    const planned = config.faults.filter((entry) => entry.fault === fault).length;
    if (planned === 0) continue;
    const fired = records.filter((record) => record.event === event).length;
    if (fired < planned) return `${fired} of ${planned} faults of kind ${fault} fired`;
  }
  return undefined;
}

/** A violation between records of which the last is where the nodes part. */
export function contradiction(
  what: string,
  records: readonly TraceRecord[],
  place: { readonly slot?: number; readonly view?: number } = {},
): Counterexample {
  const parting = records.at(-1);
  const first = parting && { at: parting.at, node: parting.node, event: parting.event };
  return { what, nodes: [...new Set(records.map(({ node }) => node))], ...place, ...(first ? { first } : {}), records };
}

/** Enough of a digest or result to tell it from another. */
export function short(hex: string): string {
  return hex.length > 12 ? `${hex.slice(0, 12)}...` : hex;
}
