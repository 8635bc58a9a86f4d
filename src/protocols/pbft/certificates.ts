/**
 * Pure checks of certificates and view changes (docs/protocol.md A.5). Signatures were verified before; here it is decided
 * what a set of genuine messages proves.
 */
import { type Cluster, primaryOf } from "../../core/cluster.ts";
import type { Digest, Slot, View } from "../../core/ids.ts";
import type { Verified } from "../../core/message.ts";
import type { Checkpoint, Commit, NewView, PrePrepare, PreparedCertificate, ViewChange } from "./messages.ts";

/** No run comes near this view or slot; close to 2^53 the next one could not be told from it (A51). */
const numberMax = 2 ** 52;

/** The slots after which a state is signed for (rule 25). */
export function isCheckpointSlot({ limits }: Cluster, slot: Slot): boolean {
  return slot % limits.checkpointInterval === 0 && slot <= numberMax;
}

/** What C proves: q CHECKPOINTs of distinct replicas for one (slot, digest); undefined when it proves nothing (rule 27). */
export function provenCheckpoint(cluster: Cluster, votes: readonly Verified<Checkpoint>[]): { slot: Slot; digest: Digest } | undefined {
  const first = votes[0]?.message;
  if (!first || !isCheckpointSlot(cluster, first.slot) || distinctSenders(votes) < cluster.quorums.checkpoint) return undefined;
  const agree = votes.every(({ message }) => message.slot === first.slot && message.digest === first.digest);
  return agree ? { slot: first.slot, digest: first.digest } : undefined;
}

/** What a set of COMMITs proves: q of distinct replicas for one (view, slot, digest) (rule 22). */
export function provenCommit(cluster: Cluster, votes: readonly Verified<Commit>[]): { view: View; slot: Slot; digest: Digest } | undefined {
  const first = votes[0]?.message;
  if (!first || distinctSenders(votes) < cluster.quorums.order) return undefined;
  const agree = votes.every(({ message }) => message.view === first.view && message.slot === first.slot && message.digest === first.digest);
  return agree ? { view: first.view, slot: first.slot, digest: first.digest } : undefined;
}

/** A PRE-PREPARE of that view's primary and q-1 matching PREPAREs of distinct backups (rules 16, 17). */
export function isPreparedCertificate(cluster: Cluster, { prePrepare, prepares }: PreparedCertificate): boolean {
  const { view, slot, digest, sender } = prePrepare.message;
  const primary = primaryOf(view, cluster.n);
  if (sender !== primary) return false;
  const backups = new Set<number>();
  for (const { message } of prepares) {
    if (message.sender === primary) return false;
    if (message.view !== view || message.slot !== slot || message.digest !== digest) return false;
    backups.add(message.sender);
  }
  return backups.size === prepares.length && backups.size >= cluster.quorums.order - 1;
}

/** Rule 32, as a whole: undefined when valid, else what is wrong. */
export function whyBadViewChange(cluster: Cluster, { message }: Verified<ViewChange>): string | undefined {
  if (message.view < 1) return "view 0 is never changed to";
  if (message.view > numberMax) return `view ${message.view} is beyond any run`;
  if (message.stable === 0 && message.checkpoints.length > 0) return "the genesis checkpoint needs no proof";
  if (message.stable > 0) {
    const proven = provenCheckpoint(cluster, message.checkpoints);
    if (proven?.slot !== message.stable) return `the checkpoint at ${message.stable} is not proven`;
  }
  let previous: number = message.stable;
  for (const certificate of message.prepared) {
    const { slot, view } = certificate.prePrepare.message;
    // Ascending order makes "at most one entry per slot" one comparison.
    if (slot <= previous) return `slot ${slot} is out of order or below the checkpoint`;
    if (slot > message.stable + cluster.limits.window) return `slot ${slot} is outside the window`;
    if (view >= message.view) return `slot ${slot} claims to have prepared in view ${view}`;
    if (!isPreparedCertificate(cluster, certificate)) return `the certificate of slot ${slot} is not one`;
    previous = slot;
  }
  return undefined;
}

/** What a set of valid view changes determines (rule 33). */
export interface NewViewPlan {
  /** min-s: the highest checkpoint that any of them proves. */
  readonly stable: Slot;
  readonly proof: readonly Verified<Checkpoint>[];
  /** For every slot in (min-s, max-s]: the digest of the highest view, or null where nothing prepared. */
  readonly choices: readonly { readonly slot: Slot; readonly digest: Digest }[];
}

/** Computes min-s, max-s and O from V, the same on every replica (rule 33). */
export function planNewView(viewChanges: readonly Verified<ViewChange>[], nullDigest: Digest): NewViewPlan {
  let stable = 0 as Slot;
  let proof: readonly Verified<Checkpoint>[] = [];
  for (const { message } of viewChanges) {
    if (message.stable > stable) [stable, proof] = [message.stable, message.checkpoints];
  }
  const best = new Map<Slot, PrePrepare>();
  let last = stable;
  for (const { message } of viewChanges) {
    for (const { prePrepare } of message.prepared) {
      const candidate = prePrepare.message;
      if (candidate.slot <= stable) continue;
      if (candidate.slot > last) last = candidate.slot;
      const known = best.get(candidate.slot);
      if (!known || outranks(candidate, known)) best.set(candidate.slot, candidate);
    }
  }
  const choices = Array.from({ length: last - stable }, (_, index) => {
    const slot = (stable + 1 + index) as Slot;
    return { slot, digest: best.get(slot)?.digest ?? nullDigest };
  });
  return { stable, proof, choices };
}

/** The highest view wins; a tie is impossible below the fault bound (rule 17) and broken by digest so that runs stay deterministic. */
function outranks(candidate: PrePrepare, known: PrePrepare): boolean {
  return candidate.view > known.view || (candidate.view === known.view && candidate.digest < known.digest);
}

/** The form of a NEW-VIEW that can be judged before its view changes are there (rule 35): undefined when well formed. */
export function whyBadNewViewForm(cluster: Cluster, { message }: Verified<NewView>): string | undefined {
  const primary = primaryOf(message.view, cluster.n);
  const senders = new Set(message.viewChanges.map(({ sender }) => sender));
  if (senders.size !== message.viewChanges.length) return "a replica is named twice in V";
  if (senders.size < cluster.quorums.viewChange) return `V has ${senders.size} view changes, fewer than ${cluster.quorums.viewChange}`;
  if ([...senders].some((sender) => sender >= cluster.n)) return "V names a replica that is no member";
  for (const { message: proposal } of message.prePrepares) {
    if (proposal.sender !== primary || proposal.view !== message.view)
      return `O holds a pre-prepare of replica ${proposal.sender} for view ${proposal.view}`;
  }
  return undefined;
}

/** Whether O is exactly what V determines: the same slots and digests, in order (rule 35). */
export function matchesPlan(plan: NewViewPlan, { message }: Verified<NewView>): boolean {
  if (message.prePrepares.length !== plan.choices.length) return false;
  return plan.choices.every((choice, index) => {
    const proposal = message.prePrepares[index]?.message;
    return proposal?.slot === choice.slot && proposal.digest === choice.digest;
  });
}

function distinctSenders(votes: readonly Verified<Checkpoint | Commit>[]): number {
  const senders = new Set(votes.map(({ message }) => message.sender));
  return senders.size === votes.length ? senders.size : 0;
}
