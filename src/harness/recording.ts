/** From what a core says to what the trace holds: one mapping for simulator and node host. */

import type { ClientEffect } from "../client/client-core.ts";
import type { Effect, Observation } from "../core/contract.ts";
import { type ClientId, clientName, type NodeName } from "../core/ids.ts";
import type { AnyMessage } from "../core/message.ts";
import { encodeFrame } from "../wire/frame.ts";
import { bytesToHex } from "../wire/schema.ts";
import type { MessageFields, RecordOf, TraceRecord } from "./trace.ts";

/** What an effect leaves in the trace: decisions, observations, rejections and evidence; of other effects nothing. */
export function recordsOf(effect: Effect<AnyMessage, unknown>, node: NodeName, at: number): readonly TraceRecord[] {
  switch (effect.type) {
    case "decide": {
      const { view, slot, digest, requests } = effect;
      return [{ at, node, event: "decide", view, slot, digest, requests }];
    }
    case "observe":
      return [recordOfObservation(effect.event, node, at)];
    case "reject":
      return [{ at, node, event: "reject", ...effect.rejection }];
    case "evidence": {
      const messages = effect.messages.map((message) => bytesToHex(encodeFrame(message)));
      return [{ at, node, event: "evidence", culprit: effect.culprit, kind: effect.kind, messages }];
    }
    default:
      return [];
  }
}

/** A message that leaves or arrives, as its host saw it. `id`: first 8 bytes of SHA-256 of the frame, hex; `bytes`: its size. */
export function recordOfMessage(
  event: "send" | "receive",
  at: number,
  envelope: Pick<MessageFields, "id" | "bytes" | "from" | "to">,
  message: AnyMessage,
): RecordOf<"send"> | RecordOf<"receive"> {
  const { id, bytes, from, to } = envelope;
  const node = event === "send" ? from : to;
  return { at, node, event, id, kind: message.kind, bytes, from, to, ...describeMessage(message) };
}

/** View, slot and digest, where the message has them. */
export function describeMessage(message: AnyMessage): Pick<MessageFields, "view" | "slot" | "digest"> {
  const { view, slot, digest } = message as AnyMessage & Readonly<Record<string, unknown>>;
  return {
    ...(typeof view === "number" ? { view } : {}),
    ...(typeof slot === "number" ? { slot } : {}),
    ...(typeof digest === "string" ? { digest } : {}),
  };
}

function recordOfObservation(event: Observation, node: NodeName, at: number): TraceRecord {
  return event.event === "execute" ? { at, node, ...event, result: bytesToHex(event.result) } : { at, node, ...event };
}

/** The same for a client: invocations, returns and rejections. */
export function recordsOfClient(effect: ClientEffect, client: ClientId, at: number): readonly TraceRecord[] {
  const node = clientName(client);
  switch (effect.type) {
    case "observe": {
      const { request, digest, operation } = effect.event;
      return [{ at, node, event: "invoke", client, request, digest, op: bytesToHex(operation) }];
    }
    case "return":
      return [{ at, node, event: "return", client, request: effect.number, result: bytesToHex(effect.result) }];
    case "reject":
      return [{ at, node, event: "reject", ...effect.rejection }];
    default:
      return [];
  }
}
