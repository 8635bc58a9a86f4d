/**
 * Messages, and the difference between one that claims something and one that is proven.
 *
 * `Signed<M>` is a message with the exact bytes that its signature covers; `Verified<M>` is one whose signature (and that of
 * everything inside it) was checked. Only `wire/open.ts` and a seal make the second from the first, so unverified input cannot
 * reach a core: the compiler refuses it.
 */
import type { ClientId, ReplicaId, RequestNumber, View } from "./ids.ts";
import type { RejectionCode } from "./rejection.ts";

declare const verified: unique symbol;

export interface Signed<M> {
  readonly message: M;
  /** The exact signed bytes; never encoded again (rule 87). */
  readonly payload: Uint8Array;
  readonly signature: Uint8Array;
  /** What travels beside the signed bytes and is bound by a digest inside them (rule 8). */
  readonly body?: Uint8Array;
  /** The body of a pre-prepare or body message, opened. Absent when there is no body or it is no batch. */
  readonly batch?: OpenedBatch;
}

export type Verified<M> = Signed<M> & { readonly [verified]: true };

/** Marks as proven. Called by the verifier and by seals only; a tidy test keeps it so. */
export function trusted<M>(signed: Signed<M>): Verified<M> {
  return signed as Verified<M>;
}

/** What every message says about its sender. */
export interface Header<Sender = ReplicaId> {
  readonly sender: Sender;
  /** Counts the sender's admissions; a wiped replica gets a new one (rule 77). */
  readonly incarnation: number;
}

/** `<REQUEST, o, t, c>` (rule 7). */
export interface Request extends Header<ClientId> {
  readonly kind: "request";
  readonly number: RequestNumber;
  /** Opaque to the protocol; the service reads it. */
  readonly operation: Uint8Array;
  /** Of an open client, which stands in no cluster file; exactly those say it. */
  readonly publicKey?: Uint8Array;
}

/** `<REPLY, v, t, c, i, r>` for one or more requests of one client (rules 12, 64). */
export interface Reply extends Header {
  readonly kind: "reply";
  /** A hint for the client only (rule 12). */
  readonly view: View;
  readonly client: ClientId;
  readonly results: readonly RequestResult[];
}

export interface RequestResult {
  readonly number: RequestNumber;
  readonly result: Uint8Array;
}

/** A batch whose every request was really signed by its client; or the reason why it is none (rule 13). */
export type OpenedBatch = Batch | { readonly valid: false; readonly code: RejectionCode };

export interface Batch {
  readonly valid: true;
  /** Proposed wall-clock time, ms since 1970 (rule 79). */
  readonly timestamp: number;
  readonly requests: readonly Verified<Request>[];
}

/** The least that a message is: a kind and a header. */
export interface AnyMessage {
  readonly kind: string;
  readonly sender: number;
  readonly incarnation: number;
}

/** A message as a core writes it; the seal adds sender and incarnation. */
export type Unsealed<M> = M extends AnyMessage ? Omit<M, "sender" | "incarnation"> : never;
