/**
 * The registry of rejections: why a message had no effect. Codes are data, so that counters, traces, docs and tests share them.
 * A rejection is an answer, never an exception.
 */
import type { NodeName } from "./ids.ts";

export const rejections = {
  // the codec and the verifier
  "frame-too-large": "the frame exceeds the cluster's frame limit",
  malformed: "the bytes are not the one canonical encoding of a known message (rules 87, 88)",
  "wrong-version": "the message speaks another wire version",
  "wrong-cluster": "the message was signed for another cluster (rule 86)",
  "unknown-kind": "the message kind is not one of this protocol's",
  "unknown-sender": "the sender is not in the cluster file (rule 91)",
  "wrong-incarnation": "the sender's incarnation is not the admitted one (rule 77)",
  "bad-signature": "the signature does not verify (rule 90)",
  "bad-key": "the key of an open client is none (A70), or is not the one that its number follows from",
  "body-mismatch": "the body's digest is not the signed one (rule 8)",
  "unwanted-body": "this kind of message carries no body",
  "bad-request-signature": "the batch holds a request that its client did not sign (rule 13)",
  "bad-batch": "the body is no well-formed batch",
  // the normal case
  "wrong-view": "the message belongs to a view that this replica is not in",
  "view-inactive": "this replica has left the view and votes no more in it (rule 30)",
  "not-primary": "only the primary of the view may send this (rule 13)",
  "primary-prepare": "the primary's pre-prepare is its prepare; a PREPARE of it does not count (rule 16)",
  "outside-window": "the slot lies outside the watermarks (rules 13, 18)",
  equivocation: "the sender said something else for this view and slot",
  duplicate: "this was already known",
  "empty-batch": "an empty or null batch outside a new view (A33)",
  "batch-too-large": "the batch exceeds the cluster's limits (A33)",
  "missing-body": "the body has not arrived yet; it is fetched (rule 15)",
  "timestamp-ahead": "the proposed time lies ahead of this replica's clock; held and tried again (rule 79)",
  "timestamp-behind": "the proposed time lies too far behind this replica's clock (rule 79)",
  "buffer-full": "too many messages of this sender wait for a later view or window (A09)",
  // requests
  "client-window": "the request number lies below the client's floor or too far above it (rules 59, 60)",
  "client-full": "too many requests of this client are pending",
  "operation-too-large": "the operation exceeds the cluster's limit",
  // checkpoints and state
  "stale-checkpoint": "the checkpoint is not above the stable one",
  "bad-certificate": "the certificate does not prove what it claims",
  unsolicited: "nobody asked for this",
  "rate-limited": "answered this peer moments ago (rule 55)",
  // view changes
  "bad-view-change": "the view change is not valid as a whole (rule 32)",
  "stale-view-change": "a view change of this sender for this view or a later one is known",
  "bad-new-view": "the new view is not what its view changes prove (rule 35)",
  "stale-new-view": "the new view is for a view that this replica has passed or entered",
  halted: "this replica has stopped: its fault bound was broken (rule 36)",
  // the host
  "queue-full": "the receiver's queue is full",
  "peer-mismatch": "the peer may not send this kind of message on this link",
  "verify-budget": "too many signatures from this peer were invalid of late; nothing of it is verified for now (rule 90)",
} as const;

export type RejectionCode = keyof typeof rejections;

export interface Rejection {
  readonly code: RejectionCode;
  /** Who delivered it, where known. */
  readonly from?: NodeName;
  /** Kind of the message, where known. */
  readonly kind?: string;
  /** What in particular. */
  readonly detail?: string;
}
