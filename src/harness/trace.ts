/**
 * The trace: what happened in a run, as typed records. Checkers and reports read only this.
 *
 * The room `harness` holds scenarios, traces, properties, verdicts and the cost ledger. It knows nothing of a protocol's insides.
 * It is pure: it imports `core`, `crypto`, `wire` and, for scenarios, `faults` and `traitors`.
 */
import type { NodeName } from "../core/ids.ts";
import type { Quorums } from "../core/quorum.ts";
import type { Expectation, Verdict } from "./verdict.ts";

/** What every record carries. */
export interface Stamp {
  /** ms; 0 when all links are up and clients may start, so that what comes before is negative. Monotonic per node. */
  readonly at: number;
  readonly node: NodeName;
  /** Computed by `merge`, so that no traitor forges it. */
  readonly lamport?: number;
  /** Events per node that happened before this one, this one included; on request. */
  readonly vector?: Readonly<Record<string, number>>;
}

/** The first record: everything that a judge must know about the run. Times in ms. */
export interface RunFields {
  readonly format: 1;
  /** Of the laboratory. */
  readonly version: string;
  readonly scenario: string;
  readonly protocol: string;
  readonly n: number;
  readonly f: number;
  /** The ordering quorum in force. */
  readonly quorum: number;
  readonly seed: number;
  readonly host: "sim" | "ws";
  readonly quorums: Quorums;
  /** Checkpoint interval (rule 25). */
  readonly K: number;
  /** Window of slots (rule 24). */
  readonly L: number;
  /** Window of request numbers per client (rule 60). */
  readonly W: number;
  /** The termination bound. */
  readonly within: number;
  /** Replicas given a traitor, by number. */
  readonly traitors: readonly number[];
  readonly correct: readonly number[];
  readonly clients: readonly { readonly name: NodeName; readonly traitor?: boolean }[];
  readonly expect?: Expectation;
  /** The rest of the scenario; what judges read of it is in `RunConfig`. */
  readonly config?: Readonly<Record<string, unknown>>;
}

interface RequestKey {
  /** Number of the client: `client-1` is 1. */
  readonly client: number;
  readonly request: number;
}

/** A message that leaves or arrives. */
export interface MessageFields {
  /** First 8 bytes of SHA-256 of the frame, hex. */
  readonly id: string;
  readonly kind: string;
  /** Size of the frame. */
  readonly bytes: number;
  readonly from: NodeName;
  readonly to: NodeName;
  readonly view?: number;
  readonly slot?: number;
  readonly digest?: string;
}

/** Fields per event, in the order in which they are written. Bytes and digests are lowercase hex. */
export interface TraceEvents {
  readonly run: RunFields;
  /** The node is up for the first time. */
  readonly start: { readonly incarnation?: number };
  /** The node ended in an orderly way. */
  readonly stop: { readonly stats?: { readonly signed: number; readonly verified: number; readonly fsyncs: number } };
  readonly link: { readonly peer: NodeName; readonly up: boolean };
  readonly invoke: RequestKey & { readonly digest: string; readonly op: string };
  /** What a traitor client signed, once per digest, so that the signature can be judged. */
  readonly request: RequestKey & { readonly digest: string; readonly frame: string };
  readonly return: RequestKey & { readonly result: string };
  readonly send: MessageFields;
  /** Matches the earliest unmatched send with equal id, from and to. */
  readonly receive: MessageFields;
  readonly drop: { readonly id: string; readonly reason: string; readonly from?: NodeName; readonly to?: NodeName };
  readonly reject: { readonly code: string; readonly from?: NodeName; readonly kind?: string; readonly detail?: string };
  /** Once per slot and incarnation, for null requests too. */
  readonly decide: {
    readonly view: number;
    readonly slot: number;
    readonly digest: string;
    readonly requests: readonly (RequestKey & { readonly digest: string })[];
  };
  /** A request took effect. `replayed`: on the way back to a state that the node had before it restarted. */
  readonly execute: { readonly slot: number } & RequestKey & { readonly result: string; readonly replayed?: true };
  /** `stable: false`: the node's own state; `true`: a quorum signed for it. */
  readonly checkpoint: { readonly slot: number; readonly digest: string; readonly stable: boolean };
  /** State transfer: the node's state is now that after `slot`. */
  readonly install: { readonly slot: number; readonly digest: string; readonly from: NodeName };
  /** The node leaves its view and asks for this one. */
  readonly "view-change": { readonly view: number };
  /** The node enters this view. */
  readonly "new-view": { readonly view: number };
  readonly halt: { readonly reason: string };
  readonly crash: Readonly<Record<never, never>>;
  /** Up again. `slot`: up to where the state on its disk reaches. */
  readonly restart: { readonly incarnation: number; readonly storage: "kept" | "lost" | "damaged"; readonly slot: number };
  readonly "disk-fault": { readonly kind: string };
  readonly timer: { readonly name: string; readonly view: number; readonly what: "set" | "fire" | "cancel"; readonly ms?: number };
  readonly pause: Readonly<Record<never, never>>;
  readonly resume: Readonly<Record<never, never>>;
  readonly partition: { readonly groups: readonly (readonly NodeName[])[] };
  readonly heal: Readonly<Record<never, never>>;
  /** GST: from here on the network is bounded. */
  readonly stable: Readonly<Record<never, never>>;
  /** A traitor lied. */
  readonly treason: { readonly behaviour: string; readonly what: string };
  /** Frames that prove the guilt of a replica. */
  readonly evidence: { readonly culprit: number; readonly kind: string; readonly messages: readonly string[] };
  /** The last record. */
  readonly verdict: {
    readonly asExpected: boolean;
    readonly properties: Readonly<
      Record<string, { readonly verdict: Verdict; readonly claimed: boolean; readonly expected: Verdict | null }>
    >;
  };
}

export type EventName = keyof TraceEvents;

/** One event of a run. */
export type TraceRecord = { [E in EventName]: Stamp & { readonly event: E } & TraceEvents[E] }[EventName];

/** The records of one event. */
export type RecordOf<E extends EventName> = Extract<TraceRecord, { readonly event: E }>;
