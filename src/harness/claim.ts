/** What theory promises for a run: whether it stayed inside the model, and if not, why (docs/protocol.md A.1, B.5-B.8). */

import { defaultRetry } from "../client/client-core.ts";
import { checkpointQuorumKeepsState, quorumIsLive, quorumIsSafe, viewChangeQuorumIsSafe, weakQuorumIsLive } from "../core/quorum.ts";
import { terminationBoundMs } from "./bound.ts";
import { type History, isDown } from "./history.ts";

export interface Claim {
  readonly claimed: boolean;
  /** Why, in words. */
  readonly reason: string;
}

/** Agreement and integrity: at most f replicas lie or forgot, and the quorums keep their promises about intersection. */
export function safetyClaim(history: History): Claim {
  return claim(history, [...faultProblems(history), ...safetyProblems(history)]);
}

/** Validity and accountability rest on signatures, which each correct replica checks for itself, and on no quorum. */
export function validityClaim(history: History): Claim {
  return claim(history, faultProblems(history));
}

/** Termination: besides, at most f replicas are down in the end, the correct ones can form every quorum, and the network becomes stable. */
export function terminationClaim(history: History): Claim {
  return claim(history, [
    ...downProblems(history),
    ...safetyProblems(history),
    ...livenessProblems(history),
    ...networkProblems(history),
    ...boundProblems(history),
  ]);
}

function claim({ run, traitors }: History, problems: readonly string[]): Claim {
  if (problems.length > 0) return { claimed: false, reason: `outside the model: ${problems.join("; ")}` };
  return { claimed: true, reason: `inside the model: n = ${run.n}, f = ${run.f}, traitors ${traitors.size}, quorum ${run.quorums.order}` };
}

function faultyCount({ traitors, lives }: History): number {
  return traitors.size + [...lives.values()].filter(({ leftAt }) => leftAt !== undefined).length;
}

function faultProblems(history: History): string[] {
  const faulty = faultyCount(history);
  const { f } = history.run;
  return faulty > f ? [`${faulty} replicas lied or lost their storage, and f is ${f}`] : [];
}

function downProblems(history: History): string[] {
  const down = [...history.lives.values()].filter((life) => life.leftAt === undefined && isDown(life)).length;
  const faulty = faultyCount(history) + down;
  const { f } = history.run;
  return faulty > f ? [`${faulty} replicas lied, lost their storage or stayed down, and f is ${f}`] : [];
}

/** Rules 2, 4, 5 and 6. */
function safetyProblems({ run: { n, f, quorums } }: History): string[] {
  const { order, viewChange, weak, reply, checkpoint } = quorums;
  const problems: string[] = [];
  if (!quorumIsSafe(n, f, order)) problems.push(`two ordering quorums of ${order} out of ${n} need not share a correct replica (2q > n+f)`);
  if (!viewChangeQuorumIsSafe(n, f, order, viewChange)) {
    problems.push(`a view-change quorum of ${viewChange} may miss every correct replica of an ordering quorum (q+qv-n >= f+1)`);
  }
  for (const [name, size] of Object.entries({ weak, reply, checkpoint })) {
    if (size <= f) problems.push(`${f} traitors alone make a ${name} quorum of ${size}`);
  }
  return problems;
}

/** Rules 2 and 6; B.7: a laggard must notice by what correct others say that it is behind. */
function livenessProblems({ run: { n, f, quorums } }: History): string[] {
  const { order, viewChange, weak, reply, checkpoint } = quorums;
  const problems: string[] = [];
  for (const [name, size] of Object.entries({ ordering: order, "view-change": viewChange, reply, checkpoint })) {
    if (!quorumIsLive(n, f, size))
      problems.push(`with ${f} of ${n} silent the others cannot form the ${name} quorum of ${size} (q <= n-f)`);
  }
  if (!weakQuorumIsLive(n, f, weak))
    problems.push(`with ${f} of ${n} silent a laggard does not hear of its lag from the weak quorum of ${weak}`);
  if (!checkpointQuorumKeepsState(f, checkpoint)) {
    problems.push(`a checkpoint quorum of ${checkpoint} leaves fewer than f+1 correct holders of the state (rule 6)`);
  }
  return problems;
}

function networkProblems({ config: { network }, partitioned }: History): string[] {
  const problems: string[] = [];
  if (network.loss > 0 && network.stableFrom === undefined) problems.push("messages are lost and no time is stated from which none are");
  if (partitioned) problems.push("the partition never healed");
  return problems;
}

function boundProblems({ run, config: { timing } }: History): string[] {
  const { clientRetryMaxMs = defaultRetry.maxMs } = timing;
  const bound = terminationBoundMs({ n: run.n, f: run.f, clientRetryMaxMs, timing });
  return run.within < bound ? [`within is ${run.within} ms, and T_client + (f+2) Tmax + catch-up is ${bound} ms`] : [];
}
