/**
 * The state of one replica and the effects it is emitting: what every rule file works on. Handlers record facts here;
 * `replica.ts` then draws the consequences until nothing changes any more.
 */
import { type Cluster, primaryOf } from "../../core/cluster.ts";
import type { Core, CoreSetup, DigestFunction, Effect, Observation, Seal, Service, WallInterval } from "../../core/contract.ts";
import { type Digest, type ReplicaId, replicaName, type Slot, type View } from "../../core/ids.ts";
import type { AnyMessage, Reply, Request, Signed, Verified } from "../../core/message.ts";
import { viewsWithCorrectPrimary } from "../../core/quorum.ts";
import type { RejectionCode } from "../../core/rejection.ts";
import { Backlog } from "./backlog.ts";
import { ClientTable } from "./client-table.ts";
import type { PbftRecord } from "./durable.ts";
import type { Checkpoint, NewView, PbftMessage, PrePrepare, ViewChange } from "./messages.ts";
import { PendingRequests } from "./pending.ts";
import { type KnownBody, SlotLog } from "./slot-log.ts";

export type PbftEffect = Effect<PbftMessage, PbftRecord>;
export type PbftSetup = CoreSetup<PbftMessage>;
export type PbftCore = Core<PbftMessage, PbftRecord>;

/** Own state after a checkpointed slot. */
export interface HeldSnapshot {
  readonly digest: Digest;
  readonly bytes: Uint8Array;
}

/** A state fetch under way (rule 100). */
export interface Transfer {
  slot: Slot;
  digest: Digest;
  /** Who signed for it: asked in turn (rule 99). */
  sources: readonly ReplicaId[];
  attempt: number;
}

/** A NEW-VIEW whose view changes are still being fetched (rule 35). */
export interface NewViewCandidate {
  readonly message: Verified<NewView>;
  /** Fetched view changes that are not the latest of their sender. */
  readonly fetched: Map<Digest, Verified<ViewChange>>;
  /** How often they were asked for: turns the wheel of peers (rule 99). */
  attempt: number;
}

/** A proposal whose time lies ahead of ours (rule 79). */
export interface HeldProposal {
  readonly message: Verified<PrePrepare>;
  readonly retryAt: number;
}

/** Bodies and view changes asked for at one time. */
export const fetchesMax = 64;

/** Contradictions remembered, so that each is reported once. */
const accusationsKept = 4_096;

export class Context {
  readonly self: ReplicaId;
  readonly cluster: Cluster;
  readonly seal: Seal<PbftMessage | Reply>;
  readonly digest: DigestFunction;
  readonly service: Service;
  /** The digest of the null request (rule 37). */
  readonly nullDigest: Digest;
  readonly others: readonly ReplicaId[];

  /** The view entered; or, while not active, the view wanted. Never decreases. */
  view = 0 as View;
  active = true;
  /** h, with q CHECKPOINTs that prove it (rules 24, 28). */
  stable = 0 as Slot;
  stableProof: readonly Verified<Checkpoint>[] = [];
  executed = 0 as Slot;
  /** Agreed time (rule 80). */
  clock = 0;
  readonly slots: Map<Slot, SlotLog> = new Map();
  readonly bodies: Map<Digest, KnownBody> = new Map();
  /** Bodies named by an accepted proposal or a certificate and not here; the number counts how often they were asked for. */
  readonly missingBodies: Map<Digest, { slot: Slot; attempt: number }> = new Map();
  readonly table: ClientTable;
  readonly pending: PendingRequests;
  readonly backlog: Backlog;
  /** The next slot that this replica proposes as primary. */
  nextSlot = 1 as Slot;
  readonly held: Map<Slot, HeldProposal> = new Map();

  readonly snapshots: Map<Slot, HeldSnapshot> = new Map();
  /** CHECKPOINTs above the stable one, the newest few of each replica. */
  readonly checkpoints: Map<Slot, Map<ReplicaId, Verified<Checkpoint>>> = new Map();
  transfer: Transfer | undefined;
  /** A checkpoint of f+1 replicas that this one has not reached, and since when it is known (rule 29). */
  behind: { readonly slot: Slot; readonly since: number } | undefined;

  /** The latest VIEW-CHANGE of each replica (rule 44), own included. */
  readonly viewChanges: Map<ReplicaId, Verified<ViewChange>> = new Map();
  /** Digests of view changes that were asked for before: they may be long. */
  readonly viewChangeDigests: WeakMap<Verified<ViewChange>, Digest> = new WeakMap();
  /** View changes whose senders were asked for the bodies that they name. */
  readonly bodiesAskedFor: WeakSet<Verified<ViewChange>> = new WeakSet();
  readonly candidates: Map<ReplicaId, NewViewCandidate> = new Map();
  /** What justified the view that is active; kept for those who come later (rules 50, 52). */
  entered: { readonly newView: Verified<NewView>; readonly viewChanges: readonly Verified<ViewChange>[] } | undefined;

  /** When the active view was entered, and when the last state fetch ended: ages count from there (rule 42). */
  viewEnteredAt = 0;
  fetchEndedAt = 0;
  /** When q view changes for the wanted view or later were there (rule 43). */
  newViewWaitSince: number | undefined;
  /** View changes in a row without progress: the exponent of the timeout (rules 43, 46). */
  failures = 0;
  /** Slots executed here that did something new. */
  progress = 0;

  statusSentAt = 0;
  /** Between two ticks while something is missing. */
  statusPauseMs = 0;
  /** Ticks in a row at which something was missing and nothing had moved. */
  stuckTicks = 0;
  /** What had been reached at the last tick. */
  statusStanding = "";
  readonly statusAnsweredAt: Map<ReplicaId, number> = new Map();
  readonly statusSentTo: Map<ReplicaId, number> = new Map();
  /** Bytes that each peer may still draw by FETCH (rule 55). */
  readonly fetchCredit: Map<ReplicaId, { bytes: number; at: number }> = new Map();
  readonly timers: Map<string, number> = new Map();

  halted = false;
  now = 0;
  wall: WallInterval = { earliest: 0, latest: 0 };
  /** Slots whose votes changed since the consequences were last drawn. */
  readonly touched: Set<Slot> = new Set();
  effects: PbftEffect[] = [];
  readonly #accused = new Set<string>();

  constructor(setup: PbftSetup) {
    this.self = setup.self;
    this.cluster = setup.cluster;
    this.seal = setup.seal;
    this.digest = setup.digest;
    this.service = setup.service;
    this.nullDigest = setup.digest("null", new Uint8Array(0));
    this.others = setup.cluster.replicas.filter((id) => id !== setup.self);
    this.table = new ClientTable(setup.cluster.limits);
    this.pending = new PendingRequests(setup.cluster.limits.clientWindow);
    this.backlog = new Backlog({ messages: 2 * setup.cluster.limits.window, bodyBytes: setup.cluster.limits.frameBytes });
  }

  /** H (rule 24). */
  get high(): number {
    return this.stable + this.cluster.limits.window;
  }

  /** Views whose proposals for one slot are remembered with their bodies: this one, and as many before it as traitors can lead in a row. */
  get viewsRemembered(): number {
    return viewsWithCorrectPrimary(this.cluster.f);
  }

  get primary(): ReplicaId {
    return primaryOf(this.view, this.cluster.n);
  }

  get isPrimary(): boolean {
    return this.primary === this.self;
  }

  /** The log of a slot, made on first use; the caller has checked that the slot is inside the window. */
  slotLog(slot: Slot): SlotLog {
    const log = this.slots.get(slot) ?? new SlotLog(slot);
    this.slots.set(slot, log);
    return log;
  }

  /** Drops the bodies that no slot needs any more, and the wish for such. */
  forgetBodies(): void {
    const needed = new Set([...this.slots.values()].flatMap((log) => [...log.bodiesNeeded()]));
    // Between two views, also what the new view may propose again: its primary has waited for these bodies.
    const wanted = this.active ? [] : [...this.viewChanges.values()].filter(({ message }) => message.view === this.view);
    for (const { prePrepare } of wanted.flatMap(({ message }) => message.prepared)) {
      if (prePrepare.message.slot > this.stable) needed.add(prePrepare.message.digest);
    }
    for (const bodies of [this.bodies, this.missingBodies]) {
      for (const digest of bodies.keys()) if (!needed.has(digest)) bodies.delete(digest);
    }
  }

  /** Drops the requests that can take no effect any more: done already, or of a client that the table is closed to (A68). */
  forgetRequests(): void {
    this.pending.drop((request) => !this.table.isNew(request) || this.table.isClosedTo(request.sender));
  }

  /** The null request has no body and needs none (rule 37). */
  hasBody(digest: Digest): boolean {
    return digest === this.nullDigest || this.bodies.has(digest);
  }

  persist(...records: PbftRecord[]): void {
    this.effects.push({ type: "persist", records });
  }

  broadcast(message: Signed<PbftMessage>): void {
    this.sendTo(this.others, message);
  }

  send(to: ReplicaId, message: Signed<PbftMessage | Request>): void {
    if (to !== this.self) this.sendTo([to], message);
  }

  sendTo(to: readonly ReplicaId[], message: Signed<PbftMessage | Request>): void {
    if (to.length > 0) this.effects.push({ type: "send", to, message });
  }

  reject(code: RejectionCode, { message }: Signed<AnyMessage>, detail?: string): void {
    const from = message.kind === "request" ? (`client-${message.sender}` as const) : replicaName(message.sender);
    this.effects.push({ type: "reject", rejection: { code, from, kind: message.kind, ...(detail === undefined ? {} : { detail }) } });
  }

  /** Said once for each contradiction; however often it is repeated, it proves no more. */
  evidence(culprit: ReplicaId, kind: string, ...messages: [Verified<PbftMessage>, ...Verified<PbftMessage>[]]): void {
    const [{ message }] = messages;
    const place = `${"view" in message ? message.view : ""}/${"slot" in message ? message.slot : ""}`;
    const contradiction = `${culprit} ${kind} ${place}`;
    if (this.#accused.has(contradiction)) return;
    if (this.#accused.size >= accusationsKept) this.#accused.clear();
    this.#accused.add(contradiction);
    this.effects.push({ type: "evidence", culprit, kind, messages });
  }

  observe(event: Observation): void {
    this.effects.push({ type: "observe", event });
  }

  /** The fault bound is broken: a correct replica that went on would spread the damage (rule 36). */
  halt(reason: string): void {
    if (this.halted) return;
    this.halted = true;
    this.observe({ event: "halt", reason });
  }
}
