/** What the world tells, as trace records. */
import type { ClientEffect } from "../client/client-core.ts";
import type { Effect } from "../core/contract.ts";
import { type ClientId, type NodeName, type ReplicaId, replicaName } from "../core/ids.ts";
import type { AnyMessage, Signed } from "../core/message.ts";
import { recordOfMessage, recordsOf, recordsOfClient } from "../harness/recording.ts";
import type { TraceRecord } from "../harness/trace.ts";
import type { SimFrame } from "./frames.ts";
import type { Watcher } from "./world.ts";

/**
 * @param now - virtual time, ms
 * @param write - takes each record, in order
 */
export function recorder<M extends AnyMessage, R>(now: () => number, write: (record: TraceRecord) => void): Watcher<M, R> {
  const message = (event: "send" | "receive", from: NodeName, to: NodeName, signed: Signed<AnyMessage>, frame: SimFrame<M>) =>
    write(recordOfMessage(event, now(), { id: frame.id, bytes: frame.bytes, from, to }, signed.message));
  return {
    sent: (from, to, signed, frame) => message("send", from, to, signed, frame),
    received: (from, to, signed, frame) => message("receive", from, to, signed, frame),
    dropped: (from, to, frame, reason) => write({ at: now(), node: to, event: "drop", id: frame.id, reason, from, to }),
    rejected: (node, rejection) => write({ at: now(), node, event: "reject", ...rejection }),
    replicaDid: (id: ReplicaId, effect: Effect<M, R>) => {
      for (const record of recordsOf(effect, replicaName(id), now())) write(record);
    },
    clientDid: (id: ClientId, effect: ClientEffect) => {
      for (const record of recordsOfClient(effect, id, now())) write(record);
    },
  };
}
