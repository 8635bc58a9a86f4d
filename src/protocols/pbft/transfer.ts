/** Getting bytes by their digest: batch bodies, view changes, whole states (rules 15, 35, 99-103). Any peer may answer; none is believed. */
import { type ReplicaId, replicaName, type Slot } from "../../core/ids.ts";
import type { Batch, Verified } from "../../core/message.ts";
import { learnBody, whyUntimely } from "./agreement.ts";
import { collect, holdSnapshot, provenAhead } from "./checkpointing.ts";
import { type Context, fetchesMax } from "./context.ts";
import type { BatchBody, Fetch, Snapshot, ViewChange } from "./messages.ts";
import { missingViewChanges } from "./new-view.ts";
import { restoreSnapshot } from "./snapshot.ts";
import { viewChangeDigest } from "./view-change.ts";

/** Asks for all that is missing: each time the next peer, so one that stalls costs one interval (A59). */
export function fetchMissing(context: Context): void {
  // The least asked for first: bodies that nobody has must not keep others waiting (A34).
  const bodies = [...context.missingBodies].sort(([, a], [, b]) => a.attempt - b.attempt);
  for (const [digest, wanted] of bodies.slice(0, fetchesMax)) {
    ask(context, context.others, wanted.attempt++, { what: "batch", slot: wanted.slot, digest });
  }
  fetchViewChanges(context);
  fetchState(context);
}

/** Asks for the view changes that candidates name: the one that named them has them, if it is honest; so has all its view (rule 35). */
export function fetchViewChanges(context: Context): void {
  for (const candidate of context.candidates.values()) {
    const { sender } = candidate.message.message;
    const sources = [sender, ...context.others.filter((id) => id !== sender)];
    const { attempt } = candidate;
    candidate.attempt += 1;
    for (const { digest } of missingViewChanges(context, candidate).slice(0, fetchesMax)) {
      ask(context, sources, attempt, { what: "view-change", slot: 0 as Slot, digest });
    }
  }
}

/** Fetches the state when f+1 replicas are ahead of what can be executed here for longer than one interval (rules 29, 100, 101). */
function fetchState(context: Context): void {
  const ahead = provenAhead(context);
  if (!ahead) {
    context.behind = undefined;
    // Ordinary progress overtook the fetch: the view timer runs again (rule 47).
    if (context.transfer) context.fetchEndedAt = context.now;
    context.transfer = undefined;
    return;
  }
  // Ever new checkpoints ahead are no reason to fetch, as long as each is reached in time.
  if (!context.behind || context.executed >= context.behind.slot) context.behind = { slot: ahead.slot, since: context.now };
  if (!context.transfer && context.now - context.behind.since < context.cluster.timing.statusIntervalMs) return;
  if (!context.transfer || ahead.slot > context.transfer.slot) {
    context.transfer = { ...ahead, attempt: context.transfer?.attempt ?? 0 };
  }
  const { transfer } = context;
  const sources = transfer.sources.filter((id) => id !== context.self);
  ask(context, sources, transfer.attempt++, { what: "snapshot", slot: transfer.slot, digest: transfer.digest });
}

function ask(context: Context, sources: readonly ReplicaId[], attempt: number, what: Pick<Fetch, "what" | "slot" | "digest">): void {
  const to = sources[attempt % Math.max(1, sources.length)];
  if (to !== undefined) context.send(to, context.seal({ kind: "fetch", ...what }));
}

export function onFetch(context: Context, request: Verified<Fetch>): void {
  const { sender, what, slot, digest } = request.message;
  const answer = answerTo(context, request.message);
  if (!answer) {
    // What lies below the stable checkpoint is gone; its proof says where to go on (rule 52).
    const size = context.stableProof.reduce((bytes, { payload }) => bytes + payload.length, 0);
    if (what !== "view-change" && slot <= context.stable && size > 0 && spend(context, sender, size)) {
      context.send(sender, context.seal({ kind: "certificate", votes: context.stableProof }));
    }
    return;
  }
  if (!spend(context, sender, answer.size)) return context.reject("rate-limited", request);
  if (answer.relay) context.send(sender, answer.relay);
  else if (what === "batch") context.send(sender, context.seal({ kind: "batch-body", digest }, answer));
  else context.send(sender, context.seal({ kind: "snapshot", slot, digest }, answer));
}

interface Answer {
  readonly size: number;
  readonly bytes: Uint8Array;
  readonly batch?: Batch;
  readonly relay?: Verified<ViewChange>;
}

function answerTo(context: Context, { what, slot, digest }: Fetch): Answer | undefined {
  if (what === "batch") {
    const body = context.bodies.get(digest);
    return body && { size: body.bytes.length, bytes: body.bytes, batch: body.batch };
  }
  if (what === "snapshot") {
    const held = context.snapshots.get(slot);
    return held?.digest === digest ? { size: held.bytes.length, bytes: held.bytes } : undefined;
  }
  const known = [...context.viewChanges.values(), ...(context.entered?.viewChanges ?? [])];
  const relay = known.find((message) => viewChangeDigest(context, message) === digest);
  return relay && { size: relay.payload.length, bytes: relay.payload, relay };
}

export function onBatchBody(context: Context, message: Verified<BatchBody>): void {
  const { digest } = message.message;
  const wanted = context.missingBodies.get(digest);
  if (!wanted || !message.body || !message.batch) return context.reject("unsolicited", message);
  // The digest is the wanted one, so these are the bytes that its proposer bound; an invalid body stays unprepared for ever (A21).
  if (!message.batch.valid) return onInvalidBody(context, message, message.batch.code);
  // No correct replica proposes one (A33); left unprepared like any invalid body.
  if (message.batch.requests.length === 0) return onInvalidBody(context, message, "empty-batch");
  const untimely = whyUntimely(context, digest, message.batch);
  // Still missing, so it is asked for and measured again.
  if (untimely) return context.reject(untimely, message);
  learnBody(context, message.body, message.batch, { slot: wanted.slot, digest });
}

function onInvalidBody(context: Context, message: Verified<BatchBody>, code: Parameters<Context["reject"]>[0]): void {
  context.missingBodies.delete(message.message.digest);
  for (const { prePrepare } of context.slots.values()) {
    if (prePrepare?.message.digest === message.message.digest) {
      context.evidence(prePrepare.message.sender, "invalid-proposal", prePrepare, message);
    }
  }
  context.reject(code, message);
}

/** Installs state, dedup table and clock at once (rule 100); the verifier checked the bytes against the certified digest. */
export function onSnapshot(context: Context, message: Verified<Snapshot>): void {
  const { slot, digest, sender } = message.message;
  const { transfer, executed } = context;
  if (!transfer || transfer.slot !== slot || transfer.digest !== digest || slot <= executed || !message.body) {
    return context.reject("unsolicited", message);
  }
  if (!restoreSnapshot(context, slot, { digest, bytes: message.body })) return context.halt(`the certified state of slot ${slot} is none`);
  context.transfer = undefined;
  context.behind = undefined;
  context.fetchEndedAt = context.now;
  context.observe({ event: "install", slot, digest, from: replicaName(sender) });
  context.forgetRequests();
  holdSnapshot(context, { digest, bytes: message.body });
  collect(context);
}

/** A peer draws a bounded number of bytes a second, whatever it asks for (rule 55, A61). */
export function spend(context: Context, peer: ReplicaId, bytes: number): boolean {
  const { frameBytes } = context.cluster.limits;
  const credit = context.fetchCredit.get(peer) ?? { bytes: 2 * frameBytes, at: context.now };
  const refill = ((context.now - credit.at) * frameBytes) / context.cluster.timing.idleStatusIntervalMs;
  const left = Math.min(2 * frameBytes, credit.bytes + refill) - bytes;
  if (left >= 0) context.fetchCredit.set(peer, { bytes: left, at: context.now });
  return left >= 0;
}
