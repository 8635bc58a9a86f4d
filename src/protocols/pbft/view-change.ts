/** Leaving a view: VIEW-CHANGE messages, when to send one and when to join others (docs/protocol.md A.5; OSDI'99 §4.4). */
import { sameBytes } from "../../core/bytes.ts";
import type { Digest, View } from "../../core/ids.ts";
import type { Verified } from "../../core/message.ts";
import { whyBadViewChange } from "./certificates.ts";
import type { Context, NewViewCandidate } from "./context.ts";
import type { PreparedCertificate, ViewChange } from "./messages.ts";

/** Stops voting in every view below `target` and says so, with all that ever prepared here (rules 30, 31). */
export function startViewChange(context: Context, target: View): void {
  context.view = target;
  context.active = false;
  context.failures = Math.min(context.failures + 1, failuresMax(context));
  context.newViewWaitSince = undefined;
  context.held.clear();
  const message = context.seal({
    kind: "view-change",
    view: target,
    stable: context.stable,
    checkpoints: context.stableProof,
    prepared: preparedCertificates(context),
  });
  context.viewChanges.set(context.self, message);
  context.persist({ type: "view-change", message });
  context.observe({ event: "view-change", view: target });
  context.broadcast(message);
}

export function onViewChange(context: Context, message: Verified<ViewChange>): void {
  const { sender, view } = message.message;
  const known = context.viewChanges.get(sender);
  const contradicts = known?.message.view === view && !sameBytes(known.payload, message.payload);
  if (known && contradicts) context.evidence(sender, "view-change", known, message);
  // A candidate may rest on an older one, or on the other of two that contradict each other.
  const wanting = candidatesFor(context, message);
  const wanted = wanting.length > 0;
  const stale = (known !== undefined && known.message.view >= view) || view < context.view || (view === context.view && context.active);
  if (stale && !wanted) return context.reject(contradicts ? "equivocation" : "stale-view-change", message);
  const bad = whyBadViewChange(context.cluster, message);
  // Dropped whole, and nobody else's with it (rule 32).
  if (bad !== undefined) return context.reject("bad-view-change", message, bad);
  if (!stale) context.viewChanges.set(sender, message);
  for (const candidate of wanting) candidate.fetched.set(viewChangeDigest(context, message), message);
}

/** A NEW-VIEW names its view changes by this (rule 35). */
export function viewChangeDigest(context: Context, message: Verified<ViewChange>): Digest {
  const known = context.viewChangeDigests.get(message) ?? context.digest("view-change", message.payload);
  context.viewChangeDigests.set(message, known);
  return known;
}

/** The primary's own wish to leave (rule 40), and the wish of f+1 (rule 44). True when it moved. */
export function joinOthers(context: Context): boolean {
  if (context.viewChanges.size === 0) return false;
  const wish = context.viewChanges.get(context.primary)?.message.view ?? 0;
  if (context.active && !context.isPrimary && wish > context.view) {
    startViewChange(context, (context.view + 1) as View);
    return true;
  }
  const wanted = context.others
    .map((id) => context.viewChanges.get(id)?.message.view ?? 0)
    .filter((view) => view > context.view)
    .sort((a, b) => b - a);
  // The (f+1)-th largest: at least one correct replica wants that view or a later one.
  const target = wanted[context.cluster.quorums.weak - 1];
  if (target === undefined) return false;
  startViewChange(context, target as View);
  return true;
}

/** The wait for a NEW-VIEW begins when q replicas want this view or a later one, so an isolated replica goes no further (rule 43). */
export function noteViewChangeQuorum(context: Context): void {
  if (context.active || context.newViewWaitSince !== undefined) return;
  const wanting = [...context.viewChanges.values()].filter(({ message }) => message.view >= context.view).length;
  if (wanting >= context.cluster.quorums.order) context.newViewWaitSince = context.now;
}

/** T, doubled with every failure in a row after the first, never beyond Tmax (rules 43, 46). */
export function currentTimeoutMs(context: Context): number {
  const { viewTimeoutMs, viewTimeoutMaxMs } = context.cluster.timing;
  return Math.min(viewTimeoutMs * 2 ** Math.max(0, context.failures - 1), viewTimeoutMaxMs);
}

function failuresMax(context: Context): number {
  const { viewTimeoutMs, viewTimeoutMaxMs } = context.cluster.timing;
  return 1 + Math.ceil(Math.log2(Math.max(1, viewTimeoutMaxMs / viewTimeoutMs)));
}

/** P: whatever its age, executed or not, above the stable checkpoint and inside the window (rule 31). */
function preparedCertificates(context: Context): PreparedCertificate[] {
  return [...context.slots.values()]
    .filter(({ slot }) => slot > context.stable && slot <= context.high)
    .sort((a, b) => a.slot - b.slot)
    .flatMap(({ prepared }) => (prepared ? [prepared] : []));
}

/** The candidates that name this view change: nothing else of a sender is kept for them. */
function candidatesFor(context: Context, message: Verified<ViewChange>): NewViewCandidate[] {
  const { sender, view } = message.message;
  const candidates = [...context.candidates.values()].filter((candidate) => candidate.message.message.view === view);
  if (candidates.length === 0) return [];
  const digest = viewChangeDigest(context, message);
  return candidates.filter(({ message: newView }) =>
    newView.message.viewChanges.some((reference) => reference.digest === digest && reference.sender === sender),
  );
}
