/** Entering a view: the new primary's NEW-VIEW, and every backup's recomputation of it (docs/protocol.md A.5; OSDI'99 §4.4). */
import { sameBytes } from "../../core/bytes.ts";
import { primaryOf } from "../../core/cluster.ts";
import type { Slot, View } from "../../core/ids.ts";
import type { Verified } from "../../core/message.ts";
import { acceptProposal, wantBody } from "./agreement.ts";
import { matchesPlan, planNewView, whyBadNewViewForm } from "./certificates.ts";
import { adoptCheckpointProof } from "./checkpointing.ts";
import { type Context, fetchesMax, type NewViewCandidate } from "./context.ts";
import type { NewView, PrePrepare, ViewChange } from "./messages.ts";
import { relayPending } from "./proposing.ts";
import { startViewChange, viewChangeDigest } from "./view-change.ts";

/** The primary of the wanted view, once qv replicas want exactly it (rules 34, 35). True when it entered. */
export function proposeNewView(context: Context): boolean {
  if (context.active || !context.isPrimary) return false;
  const { viewChange } = context.cluster.quorums;
  const own = context.viewChanges.get(context.self);
  if (!own || own.message.view !== context.view) return false;
  const wanting = context.others
    .flatMap((id) => context.viewChanges.get(id) ?? [])
    .filter((message) => message.message.view === context.view && holdsBodies(context, message));
  if (wanting.length < viewChange - 1) return false;
  const chosen = [own, ...wanting.slice(0, viewChange - 1)].sort((a, b) => a.message.sender - b.message.sender);
  const plan = planNewView(chosen, context.nullDigest);
  const newView = context.seal({
    kind: "new-view",
    view: context.view,
    viewChanges: chosen.map((message) => ({ sender: message.message.sender, digest: viewChangeDigest(context, message) })),
    prePrepares: plan.choices.map(({ slot, digest }) => context.seal({ kind: "pre-prepare", view: context.view, slot, digest })),
  });
  enter(context, newView, chosen);
  if (!context.halted) context.broadcast(newView);
  return true;
}

/**
 * Whether everything that a view change proves prepared is here; what is not is asked for. Unlike the paper's, this primary does not
 * name a body that it lacks: a traitor may alone hold the certificate of a view so long ago that nobody keeps the body, and would stop
 * every view that it is heard in. Whoever prepared it and is correct has it (rule 15), so its sender is asked at once, and once; the
 * tick asks again. Thus enough view changes become whole.
 */
function holdsBodies(context: Context, viewChange: Verified<ViewChange>): boolean {
  const { message } = viewChange;
  const named = message.prepared.map(({ prePrepare }) => prePrepare.message).filter(({ slot }) => slot > context.stable);
  const missing = named.filter(({ digest }) => !context.hasBody(digest));
  for (const proposal of missing) wantBody(context, proposal);
  if (missing.length === 0) return true;
  if (context.bodiesAskedFor.has(viewChange)) return false;
  context.bodiesAskedFor.add(viewChange);
  for (const { slot, digest } of missing.slice(0, fetchesMax)) {
    context.send(message.sender, context.seal({ kind: "fetch", what: "batch", slot, digest }));
  }
  return false;
}

/** Checks what can be checked at once and keeps one candidate per sender until its view changes are here. */
export function onNewView(context: Context, newView: Verified<NewView>): void {
  const { sender, view } = newView.message;
  if (view < context.view || (view === context.view && context.active)) return onLateNewView(context, newView);
  if (sender !== primaryOf(view, context.cluster.n)) return context.reject("not-primary", newView);
  const known = context.candidates.get(sender);
  if (known && sameView(known.message, newView)) return onRepeatedNewView(context, known.message, newView);
  if (known && known.message.message.view > view) return context.reject("stale-new-view", newView);
  const bad = whyBadNewViewForm(context.cluster, newView);
  if (bad !== undefined) return refuse(context, newView, bad);
  context.candidates.set(sender, { message: newView, fetched: new Map(), attempt: 0 });
}

/** Enters the first candidate whose view changes are all here and prove it; refuses those that they contradict. True when it moved. */
export function considerCandidates(context: Context): boolean {
  for (const [sender, candidate] of context.candidates) {
    const { message: newView } = candidate;
    const { view } = newView.message;
    if (view < context.view || (view === context.view && context.active)) {
      context.candidates.delete(sender);
      continue;
    }
    const viewChanges = collectViewChanges(context, candidate);
    if (!viewChanges) continue;
    context.candidates.delete(sender);
    // Each was found valid when it was stored (rule 32); here they are compared as a whole (rule 35).
    if (matchesPlan(planNewView(viewChanges, context.nullDigest), newView)) {
      enter(context, newView, viewChanges);
      return true;
    }
    refuse(context, newView, "O is not what V determines");
    if (!context.active && context.view > view) return true;
  }
  return false;
}

/** View changes that a candidate names and that are not here: `transfer.ts` asks for them. */
export function missingViewChanges(context: Context, candidate: NewViewCandidate): NewView["viewChanges"] {
  return candidate.message.message.viewChanges.filter((reference) => !findViewChange(context, candidate, reference));
}

/** Rule 36: proof of min-s first, then the proposals of O, each voted for when its body is here. */
function enter(context: Context, newView: Verified<NewView>, viewChanges: readonly Verified<ViewChange>[]): void {
  const { view, prePrepares } = newView.message;
  const plan = planNewView(viewChanges, context.nullDigest);
  if (plan.stable > context.stable) adoptCheckpointProof(context, plan.proof);
  if (context.halted) return;
  context.persist({ type: "new-view", message: newView, viewChanges });
  context.view = view;
  context.active = true;
  context.viewEnteredAt = context.now;
  context.newViewWaitSince = undefined;
  context.entered = { newView, viewChanges };
  for (const [sender, known] of context.viewChanges) if (known.message.view <= view) context.viewChanges.delete(sender);
  context.held.clear();
  context.observe({ event: "new-view", view });
  const last = plan.stable + plan.choices.length;
  // What a later view decided proves nothing against this one, which came late.
  const leftOut = [...context.slots.values()].find(({ slot, committed }) => slot > last && committed && committed.view < view);
  if (leftOut) return context.halt(`the new view ${view} leaves out slot ${leftOut.slot}, decided here`);
  restartSlots(context, prePrepares);
  context.nextSlot = (Math.max(last, context.stable) + 1) as Slot;
  relayPending(context);
}

/** Redoes all phases above min-s; what was executed is agreed again and not executed again. */
function restartSlots(context: Context, proposals: readonly Verified<PrePrepare>[]): void {
  for (const log of context.slots.values()) log.leaveView();
  const decided = new Set([...context.slots.values()].map(({ committed }) => committed?.digest));
  // Nobody may have what only the old view's proposals named.
  for (const digest of context.missingBodies.keys()) if (!decided.has(digest)) context.missingBodies.delete(digest);
  context.pending.unpropose();
  for (const proposal of proposals) {
    const { slot, digest } = proposal.message;
    if (slot <= context.stable) continue;
    const fate = context.slots.get(slot)?.committed;
    if (fate && fate.digest !== digest) {
      // Decided in a later view than this one, which came late: it proves nothing against the fault bound.
      if (fate.view >= context.view) continue;
      return context.halt(`the new view ${context.view} contradicts slot ${slot}, decided here`);
    }
    acceptProposal(context, proposal);
    for (const request of context.bodies.get(digest)?.batch.requests ?? []) {
      context.pending.markProposed(request.message.sender, request.message.number);
    }
  }
  context.forgetBodies();
}

/** Two NEW-VIEWs of one view with different content convict their primary; both came too late to matter. */
function onLateNewView(context: Context, newView: Verified<NewView>): void {
  const entered = context.entered?.newView;
  if (entered && sameView(entered, newView)) onRepeatedNewView(context, entered, newView);
  else context.reject("stale-new-view", newView);
}

function onRepeatedNewView(context: Context, known: Verified<NewView>, newView: Verified<NewView>): void {
  if (sameBytes(known.payload, newView.payload)) return context.reject("duplicate", newView);
  context.evidence(newView.message.sender, "new-view", known, newView);
  context.reject("equivocation", newView);
}

/** An invalid NEW-VIEW moves nobody, but for one who asked for exactly this view: he asks for the next (rule 35). */
function refuse(context: Context, newView: Verified<NewView>, why: string): void {
  context.reject("bad-new-view", newView, why);
  const { view, sender } = newView.message;
  if (sender === primaryOf(view, context.cluster.n) && !context.active && context.view === view)
    startViewChange(context, (view + 1) as View);
}

function collectViewChanges(context: Context, candidate: NewViewCandidate): Verified<ViewChange>[] | undefined {
  const found: Verified<ViewChange>[] = [];
  for (const reference of candidate.message.message.viewChanges) {
    const message = findViewChange(context, candidate, reference);
    if (!message) return undefined;
    found.push(message);
  }
  return found;
}

function findViewChange(
  context: Context,
  candidate: NewViewCandidate,
  reference: NewView["viewChanges"][number],
): Verified<ViewChange> | undefined {
  const { view } = candidate.message.message;
  const latest = context.viewChanges.get(reference.sender);
  if (latest?.message.view === view && viewChangeDigest(context, latest) === reference.digest) return latest;
  // Fetched ones are found by digest alone: one view change under several names, or one for another view, is none (A45).
  const fetched = candidate.fetched.get(reference.digest);
  return fetched?.message.sender === reference.sender && fetched.message.view === view ? fetched : undefined;
}

function sameView(a: Verified<NewView>, b: Verified<NewView>): boolean {
  return a.message.view === b.message.view && a.message.sender === b.message.sender;
}
