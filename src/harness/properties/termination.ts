/** Termination: after GST every request of a correct client returns within the bound, and every correct node learns every decision. */
import { withinModelFrom } from "../bound.ts";
import { terminationClaim } from "../claim.ts";
import { type History, type Invocation, type Life, requestKey, runningLives } from "../history.ts";
import { type Counterexample, conclude, type Property } from "../property.ts";
import { whyNoResult, whyNotDecided } from "../stall.ts";

export const termination: Property = {
  name: "termination",
  check(history) {
    const from = history.stableFrom === undefined ? undefined : Math.max(history.stableFrom, withinModelFrom(history));
    const requests = judgeRequests(history, from);
    const slots = judgeTotality(history, from);
    const evidence = {
      requests: requests.kept + requests.late.length,
      returned: requests.kept,
      slots: slots.kept + slots.late.length,
      tooLateToJudge: requests.pending + slots.pending,
      boundMs: history.run.within,
    };
    const violations = [
      ...requests.late.map((late, index) => missingResult(history, late, index === 0)),
      ...slots.late.map((late, index) => missingDecision(history, late, index === 0 && requests.late.length === 0)),
    ];
    return conclude(history, { count: evidence.requests + evidence.slots, what: "request or slot early enough" }, evidence, violations);
  },
  claim: terminationClaim,
};

/** What was kept in time, what was not, and what came too late to judge. */
interface Judged<T> {
  kept: number;
  pending: number;
  readonly late: T[];
}

interface LateRequest {
  readonly invocation: Invocation;
  readonly deadline: number;
}

interface LateSlot {
  readonly life: Life;
  readonly slot: number;
  readonly decidedAt: number;
  readonly deadline: number;
}

/** `from`: when faults came within the model and the network was stable; undefined when that did not happen within the trace. */
function judgeRequests(history: History, from: number | undefined): Judged<LateRequest> {
  const judged: Judged<LateRequest> = { kept: 0, pending: 0, late: [] };
  for (const invocation of [...history.invocations.values()].flat()) {
    const { record, returned } = invocation;
    const deadline = from === undefined ? Number.POSITIVE_INFINITY : Math.max(from, record.at) + history.run.within;
    // A client that ended is no longer a running one.
    const until = Math.min(history.endedAt, history.clientsEnded.get(record.client) ?? Number.POSITIVE_INFINITY);
    judge(judged, { doneAt: returned?.at, deadline, until }, { invocation, deadline });
  }
  return judged;
}

/** Totality: decided, or covered by an installed or recovered state. */
function judgeTotality(history: History, from: number | undefined): Judged<LateSlot> {
  const judged: Judged<LateSlot> = { kept: 0, pending: 0, late: [] };
  const running = runningLives(history);
  const coverages = new Map(running.map((life) => [life, coverageOf(life)]));
  const decidedAt = new Map<number, number>();
  for (const { decided } of coverages.values()) {
    for (const [slot, at] of decided) decidedAt.set(slot, Math.min(at, decidedAt.get(slot) ?? at));
  }
  for (const [life, { decided, states }] of coverages) {
    const until = Math.min(history.endedAt, life.stoppedAt ?? Number.POSITIVE_INFINITY);
    for (const [slot, first] of decidedAt) {
      // A replica that was down has the whole bound to catch up.
      const deadline = from === undefined ? Number.POSITIVE_INFINITY : Math.max(from, first, life.upSince) + history.run.within;
      const covered = states.find((state) => state.slot >= slot)?.at;
      const doneAt = Math.min(decided.get(slot) ?? Number.POSITIVE_INFINITY, covered ?? Number.POSITIVE_INFINITY);
      judge(judged, { doneAt: Number.isFinite(doneAt) ? doneAt : undefined, deadline, until }, { life, slot, decidedAt: first, deadline });
    }
  }
  return judged;
}

function judge<T>(
  judged: Judged<T>,
  { doneAt, deadline, until }: { readonly doneAt: number | undefined; readonly deadline: number; readonly until: number },
  late: T,
): void {
  if (doneAt !== undefined && doneAt <= deadline) judged.kept += 1;
  else if (doneAt === undefined && deadline > until) judged.pending += 1;
  else judged.late.push(late);
}

/** When a node decided each slot first, and up to where states reached that it installed or found on its disk. */
function coverageOf({ deeds }: Life): {
  readonly decided: ReadonlyMap<number, number>;
  readonly states: readonly { readonly slot: number; readonly at: number }[];
} {
  const decided = new Map<number, number>();
  const states: { slot: number; at: number }[] = [];
  for (const { event, slot, at } of deeds) {
    if (event === "install" || event === "restart") states.push({ slot, at });
    else if (event === "decide" && !decided.has(slot)) decided.set(slot, at);
  }
  return { decided, states };
}

function missingResult(history: History, { invocation, deadline }: LateRequest, explain: boolean): Counterexample {
  const { record, returned } = invocation;
  const what = `request ${requestKey(record)}, invoked at ${record.at} ms, ${returned ? `returned at ${returned.at} ms` : "never returned"}; it was due at ${deadline} ms`;
  return {
    what,
    nodes: [record.node],
    first: { at: deadline, node: record.node, event: "return" },
    records: returned ? [record, returned] : [record],
    ...(explain ? { cause: whyNoResult(history, record) } : {}),
  };
}

function missingDecision(history: History, { life, slot, decidedAt, deadline }: LateSlot, explain: boolean): Counterexample {
  const what = `${life.name} neither decided nor installed slot ${slot} by ${deadline} ms; another correct replica decided it at ${decidedAt} ms`;
  return {
    what,
    nodes: [life.name],
    slot,
    first: { at: deadline, node: life.name, event: "decide" },
    records: history.decisions.filter((record) => record.slot === slot).slice(0, 1),
    ...(explain ? { cause: whyNotDecided(history, slot, [life]) } : {}),
  };
}
