/**
 * What a traitor is: hooks that see what an honest core would send, and say what to send instead.
 *
 * The room `traitors` holds this, the wrapper `betray` and the built-in behaviours. It imports up to `protocols`; no protocol
 * imports it, and nothing in here ever holds an honest node's key.
 */
import type { Cluster } from "../core/cluster.ts";
import type { Digest, ReplicaId } from "../core/ids.ts";
import type { AnyMessage, Reply, Request, Signed, Unsealed, Verified } from "../core/message.ts";
import type { Random } from "../core/random.ts";
import type { PbftMessage } from "../protocols/pbft/index.ts";
import type { Trigger } from "./trigger.ts";

/** The messages that hooks know by kind, unless a traitor names those of its own protocol. */
export type KnownMessage = PbftMessage;

/** What a batch says; requests may be forged, since they travel as bytes and every receiver opens them itself (A21). */
export interface Proposal {
  /** Ms since 1970. */
  readonly timestamp: number;
  readonly requests: readonly Signed<Request>[];
}

/** A message before it is signed, frozen. Hooks return changed copies. */
export type Draft<M> = M extends AnyMessage ? Unsealed<M> & Attached : never;

/** What travels beside a message. A copy without it travels without. */
export interface Attached {
  /** The body of a proposal, opened. Where a copy changes it and not the digest, the digest follows; else the digest lies (A22). */
  readonly batch?: Proposal | undefined;
  /** Any other body, as bytes; the digest never follows. */
  readonly body?: Uint8Array | undefined;
}

/** A draft, and how to send it. */
export interface Altered<D> {
  readonly message: D;
  /** How long to keep it, 0..2^31-1 ms. @defaultValue 0 */
  readonly delayMs?: number;
  /** Flips a bit of its signature (A10). @defaultValue false */
  readonly corruptSignature?: boolean;
}

/**
 * What becomes of one message to one destination: nothing returned keeps it, `"drop"` loses it, a draft replaces it, a list sends
 * them all in order. `"hold"` loses it like `"drop"` but is no treason yet: the traitor means to send it later by `self.send`.
 */
export type Outcome<D> = undefined | "drop" | "hold" | D | Altered<D> | readonly (D | Altered<D>)[];

/** Of a message of somebody else: his signature cannot be made again, so it is kept, lost or late. */
export type RelayOutcome = undefined | "drop" | { readonly delayMs: number };

/** Called once for each destination; `"*"` for every kind without a hook of its own. Clients are numbered apart from replicas. */
export type SendHooks<M extends AnyMessage> = {
  readonly [K in M["kind"]]?: (message: Draft<Extract<M, { kind: K }>>, to: number) => Outcome<Draft<M>>;
} & {
  readonly reply?: (message: Draft<Reply>, toClient: number) => Outcome<Draft<Reply>>;
  readonly "*"?: <D extends Draft<M | Reply>>(message: D, to: number) => Outcome<D>;
};

/** Messages of others that the traitor passes on: requests, proofs, bodies. */
export type RelayHooks<M extends AnyMessage> = {
  readonly [K in (M | Request)["kind"]]?: (message: Extract<M | Request, { kind: K }>, to: number) => RelayOutcome;
} & { readonly "*"?: (message: M | Request, to: number) => RelayOutcome };

/** What comes in, before the honest core sees it; `"drop"` hides it from the core. */
export type ReceiveHooks<M extends AnyMessage> = {
  readonly [K in (M | Request)["kind"]]?: (message: Verified<Extract<M | Request, { kind: K }>>) => "drop" | undefined;
} & { readonly "*"?: (message: Verified<M | Request>) => "drop" | undefined };

export interface Hooks<M extends AnyMessage = KnownMessage> {
  readonly send?: SendHooks<M>;
  readonly relay?: RelayHooks<M>;
  readonly receive?: ReceiveHooks<M>;
}

/** The traitor's own world. Nothing that hangs on it leads to a key. */
export interface TraitorSelf<M extends AnyMessage = KnownMessage> {
  readonly id: ReplicaId;
  readonly n: number;
  readonly f: number;
  readonly cluster: Cluster;
  /** Seeded, and this behaviour's alone. */
  readonly random: Random;
  /** What came in lately, newest last, at most 256. */
  readonly seen: readonly Verified<M | Request>[];
  /**
   * Confesses to the trace (`treason`), just before the lie. Equal words within one effect are written once. A hook that changes
   * something and says nothing gets a plain record.
   */
  said(what: string): void;
  /** Sends a message of one's own making, now, signed by the traitor; behaviours listed later see it like any other. */
  send(to: readonly number[], message: Draft<M>): void;
  /** The digest that a pre-prepare of this batch must name. */
  digestOf(proposal: Proposal): Digest;
}

/** One behaviour, ready to wrap a core. */
export interface Traitor {
  readonly name: string;
  /** Called when the node starts; what it keeps between messages lives in its closure. */
  readonly make: (self: TraitorSelf) => Hooks;
  /** When it lies; receive hooks see everything regardless. @defaultValue always */
  readonly when?: Trigger;
}

/**
 * A behaviour of one's own.
 *
 * @typeParam M - the messages of the protocol it is for, PBFT by default
 * @param name - stands in every `treason` record
 * @example
 * traitor("forgets what it prepared", (self) => ({
 *   send: { "view-change": (m) => { self.said(`hid ${m.prepared.length} certificates`); return { ...m, prepared: [] }; } },
 * }));
 */
export function traitor<M extends AnyMessage = KnownMessage>(
  name: string,
  make: (self: NoInfer<TraitorSelf<M>>) => NoInfer<Hooks<M>>,
  options: { readonly when?: Trigger } = {},
): Traitor {
  // Whoever names another protocol's messages wraps a core of that protocol; hooks are found by kind.
  return { name, make: make as unknown as Traitor["make"], ...options };
}
