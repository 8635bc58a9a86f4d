/**
 * The core contract: inputs in, effects out.
 *
 *        inputs                                        effects
 *   start, receive, request,   +---------------+   persist, send, reply, set-timer, cancel-timer,
 *   timeout, link-up       --> | protocol core | --> decide, reject, evidence, observe
 *                              +---------------+
 *
 * A core is a deterministic state machine. It reads no clock, draws no random number, opens no socket, touches no disk, awaits
 * nothing; what it needs from outside is handed to it in `CoreSetup`. A host carries effects out and brings inputs in, and
 * decides nothing about views or quorums.
 */
import type { Cluster } from "./cluster.ts";
import type { ClientId, Digest, NodeName, ReplicaId, RequestNumber, Slot, View } from "./ids.ts";
import type { AnyMessage, OpenedBatch, Reply, Request, Signed, Unsealed, Verified } from "./message.ts";
import type { Rejection } from "./rejection.ts";

/** An interval that contains the true wall-clock time, ms since 1970. Used only to propose and admit timestamps (rule 79). */
export interface WallInterval {
  readonly earliest: number;
  readonly latest: number;
}

/** `now` is the host's monotonic clock in ms; the only time that timers know (rule 48). */
export type Input<M, R = unknown> =
  | { readonly type: "start"; readonly now: number; readonly recovered?: readonly R[] }
  | {
      readonly type: "receive";
      readonly now: number;
      readonly wall: WallInterval;
      readonly message: Verified<M>;
      /** Whose link it came over, where the host knows; votes count whoever relays them, requests for an answer do not. */
      readonly from?: ReplicaId;
    }
  | { readonly type: "request"; readonly now: number; readonly wall: WallInterval; readonly request: Verified<Request> }
  | { readonly type: "timeout"; readonly now: number; readonly wall: WallInterval; readonly timer: string }
  | { readonly type: "link-up"; readonly now: number; readonly peer: ReplicaId };

/** What to do about it. Array order is execution order. */
export type Effect<M, R = unknown> =
  /** A barrier on the node's one FIFO outbox: nothing emitted later, by this or any later input, leaves before `records` are durable. */
  | { readonly type: "persist"; readonly records: readonly R[] }
  /** Send to each replica named; never to oneself. The message may be another's, relayed as it was signed. */
  | { readonly type: "send"; readonly to: readonly ReplicaId[]; readonly message: Signed<M | Request> }
  | { readonly type: "reply"; readonly to: ClientId; readonly message: Signed<Reply> }
  /** One timer per name: setting it again moves it. `ms` from now, 0..2^31-1 (rule 46). */
  | { readonly type: "set-timer"; readonly timer: string; readonly ms: number }
  | { readonly type: "cancel-timer"; readonly timer: string }
  /** The slot is decided here; the harness's ground truth, written before the next effect. Once per slot and incarnation. */
  | {
      readonly type: "decide";
      readonly view: View;
      readonly slot: Slot;
      readonly digest: Digest;
      readonly requests: readonly DecidedRequest[];
    }
  /** Why a message had no effect. */
  | { readonly type: "reject"; readonly rejection: Rejection }
  /** Signed statements of `culprit` that contradict each other. */
  | { readonly type: "evidence"; readonly culprit: ReplicaId; readonly kind: string; readonly messages: readonly Verified<M>[] }
  /** For the trace only. */
  | { readonly type: "observe"; readonly event: Observation };

export interface DecidedRequest {
  readonly client: ClientId;
  readonly request: RequestNumber;
  /** Digest of the request's signed bytes. */
  readonly digest: Digest;
}

/** What a core tells the trace beside its decisions; field names are those of the trace. */
export type Observation =
  | {
      readonly event: "execute";
      readonly slot: Slot;
      readonly client: ClientId;
      readonly request: RequestNumber;
      readonly result: Uint8Array;
      readonly replayed?: true;
    }
  | { readonly event: "checkpoint"; readonly slot: Slot; readonly digest: Digest; readonly stable: boolean }
  | { readonly event: "install"; readonly slot: Slot; readonly digest: Digest; readonly from: NodeName }
  | { readonly event: "view-change"; readonly view: View }
  | { readonly event: "new-view"; readonly view: View }
  | { readonly event: "timer"; readonly name: string; readonly view: View; readonly what: "set" | "fire" | "cancel"; readonly ms?: number }
  | { readonly event: "halt"; readonly reason: string }
  | { readonly event: "treason"; readonly behaviour: string; readonly what: string };

/** Signs a message as this node. Deterministic: equal messages give equal bytes (rule 54). `body` travels beside, unsigned. */
export type Seal<M extends AnyMessage> = <U extends Unsealed<M> & { readonly kind: string }>(
  message: U,
  body?: { readonly bytes: Uint8Array; readonly batch?: OpenedBatch },
) => Verified<Extract<M, { kind: U["kind"] }>>;

/** SHA-256 over exact bytes, with a domain prefix per purpose, so that no digest of one purpose passes for another (rule 89). */
export type DigestDomain = "batch" | "checkpoint" | "view-change" | "null" | "request" | "cluster" | "client" | "frame" | "random";
export type DigestFunction = (domain: DigestDomain, bytes: Uint8Array) => Digest;

/** The replicated application: a deterministic state machine (rule 81). */
export interface Service {
  /**
   * A bad operation becomes a result that says so. What it throws becomes the empty result on every replica, and the state that it left
   * is the state (rule 81, A35): so it must throw by its own decision, never by what differs between hosts, such as the depth of the
   * stack or a clock. No service gives an empty result of its own.
   */
  execute(operation: Uint8Array, context: ServiceContext): Uint8Array;
  /** The whole state in one canonical form: equal states give equal bytes. */
  snapshot(): Uint8Array;
  /** Replaces the state. @throws Error when the bytes are no snapshot of this service. */
  restore(snapshot: Uint8Array): void;
}

export interface ServiceContext {
  readonly client: ClientId;
  /** Agreed time, ms since 1970: the largest timestamp of any batch so far (rule 80). */
  readonly clock: number;
}

/** All that a core is handed. */
export interface CoreSetup<M extends AnyMessage> {
  readonly self: ReplicaId;
  readonly cluster: Cluster;
  readonly seal: Seal<M | Reply>;
  readonly digest: DigestFunction;
  readonly service: Service;
}

/** What a host may know of a message before it pays for the signature. */
export interface Peek {
  readonly kind: string;
  readonly sender: number;
  readonly view?: number;
  readonly slot?: number;
  readonly digest?: Digest;
}

export interface Core<M, R = unknown> {
  /** The one way in. Never throws on input; throws `InvariantError` on a bug of ours. */
  step(input: Input<M, R>): readonly Effect<M, R>[];
  /** False when the message cannot matter any more: the host may then skip verifying it. */
  wants(peek: Peek): boolean;
  /** A plain, serialisable picture of the state, for reports and invariant checks. */
  inspect(): CoreState;
  /** Checks the whole state after a step. @throws InvariantError */
  assertInvariants(): void;
}

export interface CoreState {
  readonly view: number;
  /** False while changing views. */
  readonly active: boolean;
  readonly stable: number;
  readonly executed: number;
  readonly halted: boolean;
  readonly [more: string]: unknown;
}
