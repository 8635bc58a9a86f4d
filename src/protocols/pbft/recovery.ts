/** Coming back after a restart with what was persisted (rules 73, 74): never vote differently, be able to say it again. */
import type { Slot } from "../../core/ids.ts";
import { invariant } from "../../core/invariant.ts";
import { wantBody } from "./agreement.ts";
import { collect } from "./checkpointing.ts";
import type { Context } from "./context.ts";
import type { PbftRecord } from "./durable.ts";
import type { NewView } from "./messages.ts";
import { restoreSnapshot } from "./snapshot.ts";

/** Rebuilds the state from the records, oldest first. Decided slots above the last snapshot come back from the other replicas. */
export function recover(context: Context, records: readonly PbftRecord[]): void {
  for (const record of records) apply(context, record);
  const newest = Math.max(0, ...context.snapshots.keys()) as Slot;
  const held = context.snapshots.get(newest);
  const restored = !held || restoreSnapshot(context, newest, held);
  invariant(restored, `the own state of slot ${newest} is none`);
  for (const slot of context.slots.keys()) if (slot <= context.stable) context.slots.delete(slot);
  collect(context);
  // Of those below the stable checkpoint none but the newest is of use (rule 27).
  for (const slot of context.snapshots.keys()) if (slot < context.stable && slot < newest) context.snapshots.delete(slot);
  const named = new Set([...context.slots.values()].map(({ prePrepare }) => prePrepare?.message.digest));
  for (const digest of context.missingBodies.keys()) if (!named.has(digest)) context.missingBodies.delete(digest);
  context.fetchEndedAt = context.now;
  context.viewEnteredAt = context.now;
  // Behind what this view proposed; a proposal of an earlier view left its slot open.
  const proposed = [...context.slots.values()].filter((log) => log.prePrepare?.message.view === context.view).map(({ slot }) => slot);
  context.nextSlot = (Math.max(context.stable, context.executed, ...proposed) + 1) as Slot;
  for (const [slot, { digest }] of context.snapshots) {
    // Said again on request: without it a checkpoint that was not stable yet never would be (rule 74).
    if (slot > context.stable) context.checkpoints.set(slot, new Map([[context.self, context.seal({ kind: "checkpoint", slot, digest })]]));
  }
}

function apply(context: Context, record: PbftRecord): void {
  switch (record.type) {
    case "accepted":
      return restoreVote(context, record.message);
    case "prepared":
      return restoreCertificate(context, record.certificate);
    case "view-change":
      return leave(context, record.message);
    case "new-view":
      context.entered = { newView: record.message, viewChanges: record.viewChanges };
      return enterView(context, record.message.message);
    case "snapshot":
      context.snapshots.set(record.slot, record);
      return;
    case "stable": {
      const [first] = record.proof;
      if (!first) return;
      context.stable = first.message.slot;
      context.stableProof = record.proof;
      return;
    }
  }
}

/** The vote was cast for this digest and none other; the same bytes are signed again (rules 54, 74). */
function restoreVote(context: Context, proposal: Extract<PbftRecord, { type: "accepted" }>["message"]): void {
  const { view, slot, digest } = proposal.message;
  const log = context.slotLog(slot);
  log.leaveView();
  log.prePrepare = proposal;
  log.name(digest, context.viewsRemembered);
  if (proposal.batch?.valid && proposal.body && !context.bodies.has(digest)) {
    const named = context.missingBodies.get(digest)?.slot ?? slot;
    context.bodies.set(digest, { bytes: proposal.body, batch: proposal.batch, slot: named });
    context.missingBodies.delete(digest);
  }
  wantBody(context, proposal.message);
  if (context.isPrimary || !context.hasBody(digest)) return;
  log.ownPrepare = context.seal({ kind: "prepare", view, slot, digest });
  log.prepares.set(context.self, log.ownPrepare);
}

function restoreCertificate(context: Context, certificate: Extract<PbftRecord, { type: "prepared" }>["certificate"]): void {
  const { view, slot, digest } = certificate.prePrepare.message;
  const log = context.slotLog(slot);
  log.prepared = certificate;
  log.ownCommit = context.seal({ kind: "commit", view, slot, digest });
  log.addCommit(log.ownCommit);
}

function leave(context: Context, message: Extract<PbftRecord, { type: "view-change" }>["message"]): void {
  context.view = message.message.view;
  context.active = false;
  context.viewChanges.set(context.self, message);
}

/** Its record alone binds this replica to O: the crash may have come before those of the single proposals (rules 69, 70). */
function enterView(context: Context, { view, prePrepares }: NewView): void {
  context.view = view;
  context.active = true;
  for (const log of context.slots.values()) log.leaveView();
  for (const proposal of prePrepares) if (proposal.message.slot > context.stable) restoreVote(context, proposal);
}
