/** Checkpoints, watermarks and garbage collection (docs/protocol.md A.4; OSDI'99 §4.3). */
import type { Digest, ReplicaId, Slot } from "../../core/ids.ts";
import type { Verified } from "../../core/message.ts";
import { isCheckpointSlot, provenCheckpoint } from "./certificates.ts";
import type { Context } from "./context.ts";
import type { Checkpoint } from "./messages.ts";
import { takeSnapshot } from "./snapshot.ts";

/** After executing a slot divisible by K, and at no other time (rule 25). */
export function takeCheckpoint(context: Context): void {
  holdSnapshot(context, takeSnapshot(context));
}

/** Keeps the state after `executed`, durable before the CHECKPOINT leaves (rule 71), and says so. */
export function holdSnapshot(context: Context, snapshot: { readonly digest: Digest; readonly bytes: Uint8Array }): void {
  const slot = context.executed;
  context.snapshots.set(slot, snapshot);
  context.persist({ type: "snapshot", slot, ...snapshot });
  context.observe({ event: "checkpoint", slot, digest: snapshot.digest, stable: false });
  if (slot > context.stable) {
    const message = context.seal({ kind: "checkpoint", slot, digest: snapshot.digest });
    record(context, message);
    context.broadcast(message);
  } else if (slot === context.stable) {
    checkOwnState(context, slot, stableDigest(context));
    collect(context);
  }
}

export function onCheckpoint(context: Context, vote: Verified<Checkpoint>): void {
  const { slot, sender, digest } = vote.message;
  if (slot <= context.stable) return context.reject("stale-checkpoint", vote);
  if (!isCheckpointSlot(context.cluster, slot)) return context.reject("outside-window", vote);
  const known = context.checkpoints.get(slot)?.get(sender);
  if (known?.message.digest === digest) return context.reject("duplicate", vote);
  if (known) {
    context.evidence(sender, "checkpoint", known, vote);
    return context.reject("equivocation", vote);
  }
  record(context, vote);
  forgetOldest(context, sender);
}

/** A whole proof from a peer that is ahead (rules 27, 52). False when it proves nothing. */
export function adoptCheckpointProof(context: Context, proof: readonly Verified<Checkpoint>[]): boolean {
  const proven = provenCheckpoint(context.cluster, proof);
  if (!proven) return false;
  if (proven.slot > context.stable) makeStable(context, proven.slot, proven.digest, proof);
  return true;
}

/** f+1 replicas, so at least one correct, signed for a state beyond what this replica has executed (rules 29, 100). */
export function provenAhead(context: Context): { slot: Slot; digest: Digest; sources: ReplicaId[] } | undefined {
  let best: { slot: Slot; digest: Digest; sources: ReplicaId[] } | undefined;
  for (const [slot, votes] of context.checkpoints) {
    if (slot <= context.executed || (best && slot <= best.slot)) continue;
    for (const [digest, signers] of byDigest(votes)) {
      if (signers.length >= context.cluster.quorums.weak) best = { slot, digest, sources: signers.map(({ message }) => message.sender) };
    }
  }
  if (best || context.stable <= context.executed) return best;
  const sources = context.stableProof.map(({ message }) => message.sender);
  return { slot: context.stable, digest: stableDigest(context), sources };
}

function record(context: Context, vote: Verified<Checkpoint>): void {
  const { slot, sender } = vote.message;
  const votes = context.checkpoints.get(slot) ?? new Map<ReplicaId, Verified<Checkpoint>>();
  votes.set(sender, vote);
  context.checkpoints.set(slot, votes);
  for (const [digest, signers] of byDigest(votes)) {
    // Exactly q signatures are the proof (rule 28); never one's own state alone, never fewer (rule 27).
    const { checkpoint } = context.cluster.quorums;
    if (signers.length >= checkpoint) return makeStable(context, slot, digest, signers.slice(0, checkpoint));
  }
}

/** The only place where h moves (rule 27). */
function makeStable(context: Context, slot: Slot, digest: Digest, proof: readonly Verified<Checkpoint>[]): void {
  checkOwnState(context, slot, digest);
  if (context.halted) return;
  context.stable = slot;
  context.stableProof = proof;
  context.persist({ type: "stable", proof });
  context.observe({ event: "checkpoint", slot, digest, stable: true });
  collect(context);
}

/** A certified digest that differs from one's own state at that slot: the fault bound is broken, or we are (rule 36). */
function checkOwnState(context: Context, slot: Slot, digest: Digest): void {
  const own = context.snapshots.get(slot);
  if (own && own.digest !== digest) context.halt(`own state at slot ${slot} differs from the certified one`);
}

/** Drops what the stable checkpoint covers. Slots decided but not yet executed here keep body and certificate until they are. */
export function collect(context: Context): void {
  const { stable, executed } = context;
  const done = Math.min(stable, executed);
  for (const [slot, log] of context.slots) {
    // Far behind, one window's worth of what is decided is enough: the state will be fetched.
    if (slot <= done || (slot <= stable && slot > executed + context.cluster.limits.window)) context.slots.delete(slot);
    else if (slot <= stable) log.close();
  }
  context.forgetBodies();
  for (const slot of context.held.keys()) if (slot <= stable) context.held.delete(slot);
  for (const slot of context.checkpoints.keys()) if (slot <= stable) context.checkpoints.delete(slot);
  // Own snapshots stay until a newer stable one is held (rule 27).
  if (context.snapshots.has(stable)) for (const slot of context.snapshots.keys()) if (slot < stable) context.snapshots.delete(slot);
}

/** Keeps the newest CHECKPOINTs of one sender: enough to find the quorum, however far ahead it is (A56). */
function forgetOldest(context: Context, sender: ReplicaId): void {
  const { window, checkpointInterval } = context.cluster.limits;
  const keep = 2 * Math.ceil(window / checkpointInterval) + 2;
  const slots = [...context.checkpoints].filter(([, votes]) => votes.has(sender)).map(([slot]) => slot);
  for (const slot of slots.sort((a, b) => b - a).slice(keep)) {
    const votes = context.checkpoints.get(slot);
    votes?.delete(sender);
    if (votes?.size === 0) context.checkpoints.delete(slot);
  }
}

function byDigest(votes: ReadonlyMap<ReplicaId, Verified<Checkpoint>>): [Digest, Verified<Checkpoint>[]][] {
  const groups = new Map<Digest, Verified<Checkpoint>[]>();
  for (const vote of [...votes.values()].sort((a, b) => a.message.sender - b.message.sender)) {
    groups.set(vote.message.digest, [...(groups.get(vote.message.digest) ?? []), vote]);
  }
  return [...groups];
}

function stableDigest(context: Context): Digest {
  const [first] = context.stableProof;
  return first ? first.message.digest : context.nullDigest;
}
