/**
 * Quorum arithmetic (docs/protocol.md A.1). No other file computes a quorum.
 *
 * The ordering quorum is `floor((n+f)/2)+1` and never the literal 2f+1, which is right only when n = 3f+1 (rules 2, 3).
 */

/** The thresholds in force; an experiment may override each to get it wrong on purpose (part B of docs/protocol.md). */
export interface Quorums {
  /** Prepared and committed: matching votes of distinct replicas, the pre-prepare counting as the primary's (rules 17, 20). */
  readonly order: number;
  /** Valid view-change messages that justify a new view (rule 5). */
  readonly viewChange: number;
  /** Enough replicas to contain a correct one: joining a view change, believing that peers are ahead (rule 4). */
  readonly weak: number;
  /** Equal replies that a client waits for (rule 58). */
  readonly reply: number;
  /** Equal checkpoint messages that make a checkpoint stable (rule 6). */
  readonly checkpoint: number;
}

/** The most Byzantine replicas that n replicas can withstand: `floor((n-1)/3)` (rule 1). */
export function faultsTolerated(n: number): number {
  return Math.floor((n - 1) / 3);
}

/** The fewest replicas that withstand f Byzantine ones: 3f+1 (rule 1). */
export function replicasToTolerate(f: number): number {
  return 3 * f + 1;
}

/** The smallest quorum of which any two share f+1 replicas: `floor((n+f)/2)+1` (rule 2). */
export function orderingQuorum(n: number, f: number): number {
  return Math.floor((n + f) / 2) + 1;
}

/** Any two sets of q replicas out of n share a correct one, though f lie: `2q > n+f` (rule 2). */
export function quorumIsSafe(n: number, f: number, q: number): boolean {
  return 2 * q > n + f;
}

/** The correct replicas alone can form the quorum: `q <= n-f` (rule 2). */
export function quorumIsLive(n: number, f: number, q: number): boolean {
  return q <= n - f;
}

/** The view-change quorum meets every ordering quorum in a correct replica: `q + qv - n >= f+1` (rule 5). */
export function viewChangeQuorumIsSafe(n: number, f: number, q: number, qv: number): boolean {
  return q + qv - n >= f + 1;
}

/** Who lags hears of it from enough correct others, if there are others at all: `weak <= n-f-1` (rule 4, B.7). */
export function weakQuorumIsLive(n: number, f: number, weak: number): boolean {
  return weak <= Math.max(1, n - f - 1);
}

/** Enough correct signers of a stable checkpoint hold its state, though f of them crash or lie later: `q-f >= f+1` (rule 6). */
export function checkpointQuorumKeepsState(f: number, q: number): boolean {
  return q - f >= f + 1;
}

/** Of so many views in a row a correct replica leads one, since replicas lead in turn: f+1 (rule 1). */
export function viewsWithCorrectPrimary(f: number): number {
  return f + 1;
}

/**
 * The thresholds for n replicas of which f may lie.
 *
 * @param n - replicas, from 1
 * @param f - faults to withstand, 0 <= f < n; by default {@link faultsTolerated}
 * @param overrides - thresholds to set by hand, each 1..n
 * @throws RangeError naming the number that is out of range. It does not refuse unsafe quorums: those are experiments.
 */
export function quorumsFor(n: number, f: number = faultsTolerated(n), overrides: Partial<Quorums> = {}): Quorums {
  if (!Number.isSafeInteger(n) || n < 1) throw new RangeError(`expected replicas to be an integer from 1, got ${n}`);
  if (!Number.isSafeInteger(f) || f < 0 || f >= n) throw new RangeError(`expected f to be an integer in 0..${n - 1}, got ${f}`);
  const q = orderingQuorum(n, f);
  const quorums: Quorums = { order: q, viewChange: q, weak: f + 1, reply: f + 1, checkpoint: q, ...overrides };
  for (const [name, value] of Object.entries(quorums)) {
    if (!Number.isSafeInteger(value) || value < 1 || value > n) {
      throw new RangeError(`expected quorum ${name} to be an integer in 1..${n}, got ${value}`);
    }
  }
  return quorums;
}
