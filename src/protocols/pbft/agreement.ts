/** The normal case: pre-prepare, prepare, commit (docs/protocol.md A.3; OSDI'99 §4.2). Handlers record; `agree` counts. */
import { primaryOf } from "../../core/cluster.ts";
import type { Digest, Slot } from "../../core/ids.ts";
import type { Batch, Verified } from "../../core/message.ts";
import type { EarlyMessage } from "./backlog.ts";
import { provenCommit } from "./certificates.ts";
import type { Context } from "./context.ts";
import type { Commit, PrePrepare, Prepare } from "./messages.ts";
import type { SlotLog } from "./slot-log.ts";

export function onPrePrepare(context: Context, proposal: Verified<PrePrepare>): void {
  const { message } = proposal;
  // Of the view that it speaks of, else it would wait for that view in vain (rule 16).
  if (message.sender !== primaryOf(message.view, context.cluster.n)) return context.reject("not-primary", proposal);
  if (!belongsHere(context, proposal)) return;
  const log = context.slotLog(message.slot);
  if (log.prePrepare) return onSecondProposal(context, log.prePrepare, proposal);
  if (message.digest === context.nullDigest) return context.reject("empty-batch", proposal);
  const { batch } = proposal;
  if (batch && !batch.valid) {
    // The digest that the primary signed binds these bytes, so the pair is proof (PROTOCOL: what is proof of guilt).
    context.evidence(message.sender, "invalid-proposal", proposal);
    return context.reject(batch.code, proposal);
  }
  if (batch?.requests.length === 0) return context.reject("empty-batch", proposal);
  const body = batch ?? context.bodies.get(message.digest)?.batch;
  if (body && !isTimely(context, proposal, body)) return;
  acceptProposal(context, proposal);
  if (!body) context.reject("missing-body", proposal);
}

/** Accepts the one proposal of this view for its slot, from the primary or from O of a new view, and votes once the body is here. */
export function acceptProposal(context: Context, proposal: Verified<PrePrepare>): void {
  const { slot } = proposal.message;
  const log = context.slotLog(slot);
  if (proposal.batch?.valid && proposal.body) learnBody(context, proposal.body, proposal.batch, proposal.message);
  log.prePrepare = withBody(context, proposal);
  log.name(proposal.message.digest, context.viewsRemembered);
  context.persist({ type: "accepted", message: log.prePrepare });
  for (const vote of log.prepares.values()) confront(context, log, vote);
  wantBody(context, proposal.message);
  prepare(context, log);
  context.touched.add(slot);
}

/** Remembers a valid body under its digest. Its requests are pending from now on (rule 41). */
export function learnBody(context: Context, bytes: Uint8Array, batch: Batch, { slot, digest }: Pick<PrePrepare, "slot" | "digest">): void {
  const wanted = context.missingBodies.get(digest);
  if (!context.bodies.has(digest)) context.bodies.set(digest, { bytes, batch, slot: wanted?.slot ?? slot });
  wantBody(context, { slot, digest });
  for (const request of batch.requests) {
    const { sender, number } = request.message;
    // Nobody can have a request of a closed client done, so it must not keep the view timer running (A68).
    if (!context.table.isNew(request.message) || context.table.isClosedTo(sender)) continue;
    context.pending.add(request, context.now);
    context.pending.markProposed(sender, number);
  }
  if (!context.missingBodies.delete(digest)) return;
  for (const log of context.slots.values()) {
    if (log.prePrepare?.message.digest !== digest) continue;
    prepare(context, log);
    context.touched.add(log.slot);
  }
}

/**
 * Notes that a slot needs this body: it is kept as long as the last slot that names it, for a traitor may name one batch twice
 * (A19), and `transfer.ts` asks for it where it is not here (rule 15, A34).
 */
export function wantBody(context: Context, { slot, digest }: Pick<PrePrepare, "slot" | "digest">): void {
  const noted = context.bodies.get(digest) ?? context.missingBodies.get(digest);
  if (noted) noted.slot = Math.max(noted.slot, slot) as Slot;
  else if (digest !== context.nullDigest) context.missingBodies.set(digest, { slot, attempt: 0 });
}

/** A proposal of O travels without its body; where the body is known it rides along, to be kept and sent again with it. */
export function withBody(context: Context, proposal: Verified<PrePrepare>): Verified<PrePrepare> {
  const body = context.bodies.get(proposal.message.digest);
  return proposal.body || !body ? proposal : { ...proposal, body: body.bytes, batch: body.batch };
}

/** At most one PREPARE per (view, slot), never without the body, never by the primary (rules 15, 16). */
function prepare(context: Context, log: SlotLog): void {
  if (!log.prePrepare || log.ownPrepare || !context.active) return;
  const { view, slot, digest } = log.prePrepare.message;
  if (!context.hasBody(digest)) return;
  const proposal = withBody(context, log.prePrepare);
  if (proposal !== log.prePrepare) {
    // The body came later; it is durable before any vote that vouches for it (rules 65, 66).
    log.prePrepare = proposal;
    context.persist({ type: "accepted", message: proposal });
  }
  if (context.isPrimary) return;
  const vote = context.seal({ kind: "prepare", view, slot, digest });
  log.ownPrepare = vote;
  log.prepares.set(context.self, vote);
  context.broadcast(vote);
  context.touched.add(slot);
}

export function onPrepare(context: Context, vote: Verified<Prepare>): void {
  const { message } = vote;
  if (message.sender === primaryOf(message.view, context.cluster.n)) return context.reject("primary-prepare", vote);
  if (!belongsHere(context, vote)) return;
  const log = context.slotLog(message.slot);
  const known = log.prepares.get(message.sender);
  if (known) return onSecondVote(context, known, vote);
  log.prepares.set(message.sender, vote);
  confront(context, log, vote);
  context.touched.add(message.slot);
}

/** Whoever voted for something else was told something else: shown what this replica was told, it holds proof against the primary. */
function confront(context: Context, log: SlotLog, { message }: Verified<Prepare>): void {
  const told = log.prePrepare;
  if (!told || told.message.digest === message.digest || message.sender === context.self) return;
  const { message: proposal, payload, signature } = told;
  context.send(message.sender, { message: proposal, payload, signature });
}

/** COMMITs count in whatever view they were cast: q of them are proof for ever (rules 18, 22, 30). */
export function onCommit(context: Context, vote: Verified<Commit>): void {
  const { message } = vote;
  if (message.slot > context.high) return keepForLater(context, vote);
  if (!isOpen(context, message.slot)) return context.reject("outside-window", vote);
  const log = context.slotLog(message.slot);
  const known = log.commitOf(message.sender, message.view);
  if (known) return onSecondVote(context, known, vote);
  log.addCommit(vote);
  context.touched.add(message.slot);
}

/** A whole commit certificate from a peer that is ahead (rule 53). False when it proves nothing. */
export function adoptCommitCertificate(context: Context, commits: readonly Verified<Commit>[]): boolean {
  const proven = provenCommit(context.cluster, commits);
  if (!proven) return false;
  for (const commit of commits) compareWithKnown(context, commit);
  // A slot that has its fate already is compared with it: two fates break the fault bound (rule 36).
  const known = context.slots.get(proven.slot);
  if (known) settle(context, known, { ...proven, commits });
  else if (proven.slot > context.executed && isOpen(context, proven.slot))
    settle(context, context.slotLog(proven.slot), { ...proven, commits });
  return true;
}

/** In the window; or not executed here yet, of which a replica far behind keeps one window's worth (rule 30). */
export function isOpen({ stable, executed, high, cluster }: Context, slot: Slot): boolean {
  return slot > stable ? slot <= high : slot > executed && slot <= executed + cluster.limits.window;
}

/** A certificate may hold the other face of somebody's COMMIT (A03). */
function compareWithKnown(context: Context, { message, ...signed }: Verified<Commit>): void {
  const known = context.slots.get(message.slot)?.commitOf(message.sender, message.view);
  if (known && known.message.digest !== message.digest) context.evidence(message.sender, "commit", known, { message, ...signed });
}

/** Draws the consequences of new votes for one slot: prepared, then committed (rules 17, 19, 20). */
export function agree(context: Context, log: SlotLog): void {
  const proposal = log.prePrepare?.message;
  const { order } = context.cluster.quorums;
  if (proposal && context.active && !log.ownCommit && log.prePrepare && context.hasBody(proposal.digest)) {
    const prepares = log.matchingPrepares();
    if (prepares.length >= order - 1) {
      const { view, slot, digest } = proposal;
      log.prepared = { prePrepare: log.prePrepare, prepares: prepares.slice(0, order - 1) };
      context.persist({ type: "prepared", certificate: log.prepared });
      log.ownCommit = context.seal({ kind: "commit", view, slot, digest });
      if (!log.commitOf(context.self, view)) log.addCommit(log.ownCommit);
      context.broadcast(log.ownCommit);
    }
  }
  for (const { view, digest } of log.commitChoices()) {
    if (digest === log.committed?.digest) continue;
    const commits = log.commitsFor(view, digest);
    if (commits.length >= order) settle(context, log, { view, digest, commits: commits.slice(0, order) });
  }
}

/** The slot's fate is known. Two different ones can only mean more than f traitors (rule 36). */
function settle(context: Context, log: SlotLog, certificate: NonNullable<SlotLog["committed"]>): void {
  if (log.committed) {
    if (log.committed.digest !== certificate.digest) context.halt(`slot ${log.slot} has two commit certificates`);
    return;
  }
  log.committed = certificate;
  if (log.slot > context.executed) wantBody(context, { slot: log.slot, digest: certificate.digest });
}

/** View and window checks that PRE-PREPARE and PREPARE share (rules 13, 18). */
function belongsHere(context: Context, vote: Verified<PrePrepare | Prepare>): boolean {
  const { view, slot } = vote.message;
  if (slot <= context.stable) context.reject("outside-window", vote);
  else if (view > context.view || (view === context.view && !context.active)) keepForLater(context, vote);
  else if (view < context.view) context.reject(context.active ? "wrong-view" : "view-inactive", vote);
  else if (slot > context.high) keepForLater(context, vote);
  else return true;
  return false;
}

/** Early messages wait in a bounded share; far beyond the next window they cannot matter (rule 18). */
function keepForLater(context: Context, vote: EarlyMessage): void {
  if (vote.message.slot > context.high + context.cluster.limits.window) context.reject("outside-window", vote);
  else if (!context.backlog.add(vote)) context.reject("buffer-full", vote);
}

/** The same proposal again may bring the body that was missing; another one for the slot is equivocation (A18). */
function onSecondProposal(context: Context, known: Verified<PrePrepare>, proposal: Verified<PrePrepare>): void {
  if (known.message.digest !== proposal.message.digest) {
    context.evidence(proposal.message.sender, "pre-prepare", known, proposal);
    return context.reject("equivocation", proposal);
  }
  if (
    !context.missingBodies.has(proposal.message.digest) ||
    !proposal.batch?.valid ||
    !proposal.body ||
    proposal.batch.requests.length === 0
  ) {
    return context.reject("duplicate", proposal);
  }
  const untimely = whyUntimely(context, proposal.message.digest, proposal.batch);
  if (untimely) return context.reject(untimely, proposal);
  learnBody(context, proposal.body, proposal.batch, proposal.message);
}

/** The first vote counts; a different second one is proof against its signer (A02, A03). */
function onSecondVote(context: Context, known: Verified<Prepare | Commit>, vote: Verified<Prepare | Commit>): void {
  if (known.message.digest === vote.message.digest) return context.reject("duplicate", vote);
  context.evidence(vote.message.sender, vote.message.kind, known, vote);
  context.reject("equivocation", vote);
}

/** The one clock check (rule 79): ahead of time is held and tried again, too far behind is refused. */
function isTimely(context: Context, proposal: Verified<PrePrepare>, { timestamp }: Batch): boolean {
  const untimely = clockCheck(context, timestamp);
  if (untimely === undefined) return true;
  if (untimely === "timestamp-ahead") {
    const ahead = timestamp - (context.wall.latest + context.cluster.limits.timestampBoundMs);
    // Bounded like the window, and by the longest wait that a timer can express (rule 46).
    context.held.set(proposal.message.slot, {
      message: proposal,
      retryAt: context.now + Math.min(ahead, context.cluster.timing.viewTimeoutMaxMs),
    });
  }
  context.reject(untimely, proposal);
  return false;
}

function clockCheck({ wall, cluster }: Context, timestamp: number): "timestamp-ahead" | "timestamp-behind" | undefined {
  const { timestampBoundMs } = cluster.limits;
  if (timestamp > wall.latest + timestampBoundMs) return "timestamp-ahead";
  return timestamp < wall.earliest - timestampBoundMs ? "timestamp-behind" : undefined;
}

/**
 * Why a body that comes after its proposal may not be voted for now: else withholding it would get any time past the clock check
 * (rule 79, A31). What q replicas committed to or a new view proposes again is not measured (rules 22, 38).
 */
export function whyUntimely(context: Context, digest: Digest, { timestamp }: Batch): ReturnType<typeof clockCheck> {
  const inNewView = context.entered?.newView.message.prePrepares.some(({ message }) => message.digest === digest) ?? false;
  const logs = [...context.slots.values()];
  // While no view is active no vote can follow: a primary that waits for the body must get it (rule 34), and a later proposal is measured.
  const measured = context.active && !inNewView && logs.some(({ prePrepare }) => prePrepare?.message.digest === digest);
  return measured && !logs.some(({ committed }) => committed?.digest === digest) ? clockCheck(context, timestamp) : undefined;
}
