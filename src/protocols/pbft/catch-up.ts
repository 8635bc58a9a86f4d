/** Receiver-driven retransmission: STATUS says what a replica has, the answer brings what it lacks (docs/protocol.md A.7; TOCS'02 §5.2). */
import type { ReplicaId, Slot, View } from "../../core/ids.ts";
import type { Signed, Verified } from "../../core/message.ts";
import { adoptCommitCertificate, withBody } from "./agreement.ts";
import { adoptCheckpointProof, provenAhead } from "./checkpointing.ts";
import type { Context } from "./context.ts";
import type { Certificate, Checkpoint, Commit, PrePrepare, Status } from "./messages.ts";
import { relayOverdue, relayPending } from "./proposing.ts";
import { fetchMissing, spend } from "./transfer.ts";

/** Slots that one answer serves; the next STATUS asks for more (rule 55). */
const slotsPerAnswer = 64;
/** Ticks without progress at the full pace. */
const patientTicks = 4;
/** Open proposals that one tick repeats. */
const proposalsRepeated = 4;
/** Pending requests that one tick relays again. */
const requestsRelayed = 32;

/** True while this replica waits for anything that others may have (rule 51). */
function isMissingSomething(context: Context): boolean {
  if (!context.active || context.transfer || context.missingBodies.size > 0 || context.candidates.size > 0) return true;
  if (context.executed < context.stable || context.pending.size > 0) return true;
  for (const log of context.slots.values()) if (log.slot > context.executed && (log.undecided || log.committed)) return true;
  return provenAhead(context) !== undefined;
}

/** The periodic tick: says what is here and asks for what is not (rule 51). Slower when nothing moves for long, lest it add to a jam. */
export function statusTick(context: Context): void {
  const { statusIntervalMs, idleStatusIntervalMs } = context.cluster.timing;
  const standing = `${context.view} ${context.active} ${context.executed} ${context.stable}`;
  const stuck = standing === context.statusStanding && isMissingSomething(context);
  context.stuckTicks = stuck ? context.stuckTicks + 1 : 0;
  context.statusPauseMs = Math.min(statusIntervalMs * 2 ** Math.max(0, context.stuckTicks - patientTicks), idleStatusIntervalMs);
  context.statusStanding = standing;
  context.statusSentAt = context.now;
  context.broadcast(statusMessage(context));
  if (stuck) {
    repeatProposals(context);
    relayPending(context, requestsRelayed);
  } else relayOverdue(context);
  fetchMissing(context);
}

/** A backup that never heard of a slot cannot ask for it: the primary says its oldest open proposals again (rule 50). */
function repeatProposals(context: Context): void {
  if (!context.active || !context.isPrimary) return;
  let repeated = 0;
  for (let slot = context.executed + 1; slot < context.nextSlot && repeated < proposalsRepeated; slot++) {
    const log = context.slots.get(slot as Slot);
    if (!log?.prePrepare || log.ownCommit) continue;
    const silent = context.others.filter((id) => !log.prepares.has(id));
    context.sendTo(silent, withBody(context, log.prePrepare));
    repeated += 1;
  }
}

/** When the next tick is due: soon while something is missing, else at leisure. */
export function nextStatusAt(context: Context): number {
  return context.statusSentAt + (isMissingSomething(context) ? context.statusPauseMs : context.cluster.timing.idleStatusIntervalMs);
}

/** On every reconnect, so that nothing lost with the old link stays lost (rule 51). */
export function greet(context: Context, peer: ReplicaId): void {
  context.send(peer, statusMessage(context));
}

export function onStatus(context: Context, status: Verified<Status>): void {
  const { sender, view, active, stable, executed } = status.message;
  if (context.now - (context.statusAnsweredAt.get(sender) ?? Number.NEGATIVE_INFINITY) < context.cluster.timing.statusIntervalMs / 2) {
    return context.reject("rate-limited", status);
  }
  context.statusAnsweredAt.set(sender, context.now);
  if (context.stable > stable) context.send(sender, context.seal({ kind: "certificate", votes: context.stableProof }));
  sendOwnCheckpoints(context, sender, stable);
  sendCommitCertificates(context, status.message);
  sendViewProofs(context, status.message);
  if (view === context.view && active && context.active) sendOwnVotes(context, status.message);
  if (executed > context.executed || view > context.view || stable > context.stable) askBack(context, sender);
}

/** Proof from a peer that is ahead; whoever relayed it, the signatures in it speak for themselves (rules 53, 99). */
export function onCertificate(context: Context, certificate: Verified<Certificate>): void {
  const { votes } = certificate.message;
  const commits = votes.filter((vote): vote is Verified<Commit> => vote.message.kind === "commit");
  const checkpoints = votes.filter((vote): vote is Verified<Checkpoint> => vote.message.kind === "checkpoint");
  const proves =
    (commits.length === votes.length && adoptCommitCertificate(context, commits)) ||
    (checkpoints.length === votes.length && adoptCheckpointProof(context, checkpoints));
  if (!proves) context.reject("bad-certificate", certificate);
}

function statusMessage(
  context: Context,
): ReturnType<typeof context.seal<{ kind: "status" } & Omit<Status, "sender" | "incarnation" | "kind">>> {
  // A replica far behind tells of its next window; what lies above counts as missing.
  const slots = Math.max(0, Math.min(context.high - context.executed, context.cluster.limits.window));
  const prepared = new Uint8Array(Math.ceil(slots / 8));
  const committed = new Uint8Array(Math.ceil(slots / 8));
  for (const log of context.slots.values()) {
    const bit = log.slot - context.executed - 1;
    if (bit < 0 || bit >= slots) continue;
    if (log.ownCommit) setBit(prepared, bit);
    if (log.committed) setBit(committed, bit);
  }
  const viewChanges = context.cluster.replicas.map((id) => context.viewChanges.get(id)?.message.view ?? (0 as View));
  const { view, active, stable, executed } = context;
  return context.seal({ kind: "status", view, active, stable, executed, prepared, committed, viewChanges });
}

/** Case (b): own CHECKPOINTs that may complete the peer's quorum. */
function sendOwnCheckpoints(context: Context, to: ReplicaId, above: Slot): void {
  for (const [slot, votes] of context.checkpoints) {
    const own = votes.get(context.self);
    if (slot > above && own) context.send(to, own);
  }
}

/**
 * Cases (c) and (e): a view is entered by its NEW-VIEW and the view changes it names, never on somebody's word (rule 104). A wish to
 * change views goes to whoever shows that he has not heard it (rule 56), and to nobody twice: it may be long.
 */
function sendViewProofs(context: Context, { sender, view, active, viewChanges }: Status): void {
  if (context.active) {
    if (context.entered && (view < context.view || (view === context.view && !active))) context.send(sender, context.entered.newView);
    return;
  }
  const own = context.viewChanges.get(context.self);
  if (own && (viewChanges[context.self] ?? 0) < own.message.view) context.send(sender, own);
}

/** Case (d): own votes of this view for slots that the peer has not prepared or committed. */
function sendOwnVotes(context: Context, { sender, executed, prepared, committed }: Status): void {
  const first = Math.max(context.stable, executed) + 1;
  for (let slot = first; slot < first + slotsPerAnswer && slot <= context.high; slot++) {
    const log = context.slots.get(slot as Slot);
    const bit = slot - executed - 1;
    if (!log || hasBit(committed, bit)) continue;
    if (log.ownCommit) context.send(sender, log.ownCommit);
    if (hasBit(prepared, bit)) continue;
    if (context.isPrimary && log.prePrepare) context.send(sender, affordable(context, sender, log.prePrepare));
    else if (log.ownPrepare) context.send(sender, log.ownPrepare);
  }
}

/** With its body while the peer's share of bytes lasts; else the peer has to ask for that (rule 55, A61). */
function affordable(context: Context, peer: ReplicaId, proposal: Verified<PrePrepare>): Signed<PrePrepare> {
  const whole = withBody(context, proposal);
  const { message, payload, signature } = whole;
  return spend(context, peer, whole.body?.length ?? 0) ? whole : { message, payload, signature };
}

/** Case (f), mandatory: with it one correct peer is enough to catch up (rule 53). */
function sendCommitCertificates(context: Context, { sender, executed, committed }: Status): void {
  const first = Math.max(context.stable, executed) + 1;
  // Bounded by H as well: near 2^53 a slot plus one is the same slot (A51).
  for (let slot = first; slot < first + slotsPerAnswer && slot <= context.high; slot++) {
    const certificate = context.slots.get(slot as Slot)?.committed;
    if (certificate && !hasBit(committed, slot - executed - 1)) {
      context.send(sender, context.seal({ kind: "certificate", votes: certificate.commits }));
    }
  }
}

/** The peer is ahead of this replica: it learns so at once instead of at the next tick. */
function askBack(context: Context, peer: ReplicaId): void {
  const last = context.statusSentTo.get(peer) ?? Number.NEGATIVE_INFINITY;
  if (context.now - last < context.cluster.timing.statusIntervalMs / 2) return;
  context.statusSentTo.set(peer, context.now);
  context.send(peer, statusMessage(context));
}

function setBit(bitmap: Uint8Array, bit: number): void {
  const index = bit >> 3;
  bitmap[index] = (bitmap[index] ?? 0) | (1 << (bit & 7));
}

function hasBit(bitmap: Uint8Array, bit: number): boolean {
  return ((bitmap[bit >> 3] ?? 0) & (1 << (bit & 7))) !== 0;
}
