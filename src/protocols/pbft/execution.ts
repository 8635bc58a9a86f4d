/** Executing decided slots in order, once per request, and answering clients (rules 21, 59-61, 64, 80, 81). */
import type { DecidedRequest } from "../../core/contract.ts";
import type { ClientId, Slot } from "../../core/ids.ts";
import type { Batch, Request, RequestResult } from "../../core/message.ts";
import { wantBody } from "./agreement.ts";
import { collect, takeCheckpoint } from "./checkpointing.ts";
import type { Context } from "./context.ts";
import type { CommitCertificate } from "./slot-log.ts";

/** What the laboratory answers where the service has no answer. */
export const failure: Uint8Array = new Uint8Array(0);

/** Slots with new requests that halve a doubled timeout once. */
const slotsPerDecay = 8;

/** Executes every slot whose turn has come: decided, body here, all lower ones done (rule 21). True when it executed any. */
export function executeReady(context: Context): boolean {
  const before = context.executed;
  while (!context.halted) {
    const slot = (context.executed + 1) as Slot;
    const certificate = context.slots.get(slot)?.committed;
    if (!certificate) break;
    if (!context.hasBody(certificate.digest)) {
      wantBody(context, { slot, digest: certificate.digest });
      break;
    }
    execute(context, slot, certificate);
    if (slot % context.cluster.limits.checkpointInterval === 0) takeCheckpoint(context);
  }
  // Behind a stable checkpoint, what was kept to be executed is done with now.
  if (context.executed > before && before < context.stable) collect(context);
  return context.executed > before;
}

function execute(context: Context, slot: Slot, { view, digest }: CommitCertificate): void {
  const batch = context.bodies.get(digest)?.batch;
  const requests: DecidedRequest[] = (batch?.requests ?? []).map((request) => ({
    client: request.message.sender,
    request: request.message.number,
    digest: context.digest("request", request.payload),
  }));
  context.effects.push({ type: "decide", view, slot, digest, requests });
  context.executed = slot;
  if (batch) executeBatch(context, slot, batch);
}

function executeBatch(context: Context, slot: Slot, { timestamp, requests }: Batch): void {
  // Never prev+1: it would outrun real time (rule 80).
  context.clock = Math.max(context.clock, timestamp);
  const replies = new Map<ClientId, RequestResult[]>();
  let progress = false;
  const wasClosed = context.table.isClosed;
  for (const { message } of requests) {
    const { sender: client, number } = message;
    // A second occurrence, in this batch or any later one, has no effect (rule 61); its first reply stands.
    const isNew = context.table.isNew(message);
    const result = isNew && context.table.hasRoomFor(client) ? resultOf(context, message) : undefined;
    if (result) context.table.record(message, result);
    context.pending.executed(client, number, context.table.floor(client), result && context.now);
    if (!isNew) continue;
    // Without room nothing took effect; the client is told, and the next replica that it asks says the same.
    const results = replies.get(client) ?? [];
    results.push({ number, result: result ?? failure });
    replies.set(client, results);
    if (!result) continue;
    context.observe({ event: "execute", slot, client, request: number, result });
    progress = true;
  }
  if (context.table.isClosed && !wasClosed) context.forgetRequests();
  for (const [client, results] of replies) replyTo(context, client, results);
  if (progress) noteProgress(context);
}

/** The timeout decays by what gets done, step by step: one lucky slot on a jammed machine must not bring it all down (rules 46, 96). */
function noteProgress(context: Context): void {
  context.progress += 1;
  if (context.progress % slotsPerDecay === 0) context.failures = Math.max(0, context.failures - 1);
}

/** One signature for all results of a batch that one client gets. */
export function replyTo(context: Context, client: ClientId, results: readonly RequestResult[]): void {
  const message = context.seal({ kind: "reply", view: context.view, client, results });
  context.effects.push({ type: "reply", to: client, message });
}

/** A result over the cap, or none because the service threw, becomes the same short error on every replica (rule 81, A35). */
function resultOf(context: Context, { sender, operation }: Request): Uint8Array {
  try {
    const result = context.service.execute(operation, { client: sender, clock: context.clock });
    return result.length <= context.cluster.limits.resultBytes ? result : failure;
  } catch {
    return failure;
  }
}
