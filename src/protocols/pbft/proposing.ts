/** How requests enter: remembered by everybody, relayed to the primary, batched and proposed by it (OSDI'99 §4.2; rules 39, 42, 57). */
import type { Slot } from "../../core/ids.ts";
import type { Request, Verified } from "../../core/message.ts";
import { encodeBatch } from "../../wire/batch.ts";
import { acceptProposal } from "./agreement.ts";
import type { Context } from "./context.ts";
import { failure, replyTo } from "./execution.ts";
import { currentTimeoutMs } from "./view-change.ts";

/** Bytes that a batch takes beside its requests, and a request beside its payload and signature. */
const batchFraming = 32;
const requestFraming = 16;

export function onRequest(context: Context, request: Verified<Request>): void {
  const { sender, number, operation } = request.message;
  if (operation.length > context.cluster.limits.operationBytes) return context.reject("operation-too-large", request);
  if (context.table.belongsToAnother(request.message)) return context.reject("bad-key", request);
  if (number <= context.table.floor(sender)) return context.reject("client-window", request);
  const result = context.table.result(sender, number);
  // Executed already: the cached result answers every repetition (rules 57, 60).
  if (result) return replyTo(context, sender, [{ number, result }]);
  if (context.pending.has(sender, number)) return context.reject("duplicate", request);
  if (context.table.isClosedTo(sender)) {
    // For good: it may hear so at once, in the words that execution would use.
    replyTo(context, sender, [{ number, result: failure }]);
    return context.reject("client-full", request);
  }
  if (!context.pending.add(request, context.now)) return context.reject("client-full", request);
  if (context.active && !context.isPrimary) context.send(context.primary, request);
}

/**
 * A backup hands its pending set to the primary of a view it just entered (rule 39), and the oldest of it again while nothing moves:
 * what the primary had no room for, or never got, must not count against it. Clients in turn, as in proposing (A68).
 *
 * @param most - requests to relay at the most
 */
export function relayPending(context: Context, most: number = Number.POSITIVE_INFINITY): void {
  if (!context.active || context.isPrimary) return;
  let relayed = 0;
  for (const request of context.pending.waiting()) {
    if (relayed >= most) return;
    context.send(context.primary, request);
    relayed += 1;
  }
}

/**
 * Nor must it count against a primary that keeps others busy: what has waited for half the timeout is relayed again, one request of
 * each client (rule 42, A68).
 */
export function relayOverdue(context: Context): void {
  if (!context.active || context.isPrimary) return;
  const before = context.now - currentTimeoutMs(context) / 2;
  for (const request of context.pending.overdue(before, Math.max(context.viewEnteredAt, context.fetchEndedAt))) {
    context.send(context.primary, request);
  }
}

/**
 * A slot costs the same signatures and messages for one request as for many. So this many are opened for whatever there is, and
 * further ones, up to the pipeline, for no fewer than so many requests: what waits meanwhile shares the next slot.
 */
const eagerSlots = 2;
const worthASlot = 64;

/** Proposes while there is something to propose and room for it: window and pipeline (rule 24). */
export function propose(context: Context): void {
  while (context.active && context.isPrimary && !context.halted) {
    const { pipeline } = context.cluster.limits;
    const covered = Math.max(context.executed, context.stable);
    // Other views may have gone on without this one.
    context.nextSlot = Math.max(context.nextSlot, covered + 1) as Slot;
    if (context.nextSlot > Math.min(context.high, covered + pipeline)) return;
    if (context.nextSlot > covered + eagerSlots && !context.pending.hasWaiting(worthASlot)) return;
    const requests = nextBatch(context);
    if (requests.length === 0) return;
    const timestamp = Math.floor((context.wall.earliest + context.wall.latest) / 2);
    const bytes = encodeBatch(timestamp, requests);
    const digest = context.digest("batch", bytes);
    const slot = context.nextSlot;
    const proposal = context.seal(
      { kind: "pre-prepare", view: context.view, slot, digest },
      { bytes, batch: { valid: true, timestamp, requests } },
    );
    context.nextSlot = (slot + 1) as Slot;
    acceptProposal(context, proposal);
    context.broadcast(proposal);
  }
}

/** As many requests as the caps allow, clients in turn; the byte cap leaves room for framing. The first fits always. */
function nextBatch(context: Context): Verified<Request>[] {
  const { batchRequests, batchBytes } = context.cluster.limits;
  let size = batchFraming;
  return context.pending.take(batchRequests, ({ payload, signature }) => {
    const grown = size + payload.length + signature.length + requestFraming;
    if (grown > batchBytes && size > batchFraming) return false;
    size = grown;
    return true;
  });
}
