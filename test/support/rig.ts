/** Builds real PBFT cores with real seals over symbolic keys, and lets a test play the network by hand. */
import { utf8ToBytes } from "@noble/hashes/utils.js";
import { type Cluster, defaultLimits, type Limits, type Timing } from "../../src/core/cluster.ts";
import type { Core, CoreState, Effect, Input, Service } from "../../src/core/contract.ts";
import {
  type ClientId,
  clientId,
  type Digest,
  digestOf,
  type ReplicaId,
  replicaId,
  requestNumber,
  type Slot,
  type View,
} from "../../src/core/ids.ts";
import type { Batch, OpenedBatch, Reply, Request, Unsealed, Verified } from "../../src/core/message.ts";
import { faultsTolerated, type Quorums, quorumsFor } from "../../src/core/quorum.ts";
import type { RejectionCode } from "../../src/core/rejection.ts";
import { nobleDigest } from "../../src/crypto/digest.ts";
import { symbolicScheme } from "../../src/crypto/symbolic.ts";
import { type PbftMessage, type PbftRecord, pbft } from "../../src/protocols/pbft/index.ts";
import { encodeBatch } from "../../src/wire/batch.ts";
import { openClientId } from "../../src/wire/open-client.ts";
import { createSeal } from "../../src/wire/seal.ts";

export type PbftEffect = Effect<PbftMessage, PbftRecord>;
export type MessageOf<K extends PbftMessage["kind"]> = Extract<PbftMessage, { kind: K }>;

export interface RigOptions {
  readonly n?: number;
  readonly f?: number;
  readonly clients?: number;
  readonly quorums?: Partial<Quorums>;
  readonly limits?: Partial<Limits>;
  readonly timing?: Partial<Timing>;
  /** What each replica runs. @defaultValue a journal */
  readonly service?: () => Service;
}

/** A client in no file: it signs with a key of its own, from which its number follows. */
export interface OpenClient {
  readonly id: ClientId;
  request(number: number, text?: string): Verified<Request>;
}

/** The smallest service that tells order apart: its state is the list of all operations, its result their count. */
function journal(): Service {
  let entries: number[] = [];
  return {
    execute: (operation) => {
      entries.push(...operation, 255);
      return Uint8Array.of(entries.length & 127, entries.length >> 7);
    },
    snapshot: () => Uint8Array.from(entries),
    restore: (bytes) => {
      entries = [...bytes];
    },
  };
}

export class Rig {
  readonly cluster: Cluster;
  readonly cores: Core<PbftMessage, PbftRecord>[];
  readonly services: Service[];
  readonly digest = nobleDigest;
  readonly nullDigest: Digest = nobleDigest("null", new Uint8Array(0));
  now = 0;
  /** All effects of each replica since it was last read. */
  readonly effects: PbftEffect[][];
  /** Messages on their way: everything sent and not yet delivered, in order. */
  wire: { from: ReplicaId; to: ReplicaId; message: Verified<PbftMessage | Request> }[] = [];
  /** Links to leave out, as "from>to". */
  readonly cut = new Set<string>();
  readonly #seals: ((message: Unsealed<PbftMessage>, body?: { bytes: Uint8Array; batch?: OpenedBatch }) => Verified<PbftMessage>)[];
  readonly #clientSeals: ((message: Unsealed<Request>) => Verified<Request>)[];
  readonly timers: Map<string, number>[];
  readonly records: PbftRecord[][];
  readonly #createService: () => Service;
  readonly #sealFor: (sender: number, secret: Uint8Array) => (message: Unsealed<Request>) => Verified<Request>;

  constructor(options: RigOptions = {}) {
    const n = options.n ?? 4;
    const f = options.f ?? faultsTolerated(n);
    const scheme = symbolicScheme();
    const clients = options.clients ?? 2;
    this.cluster = {
      id: nobleDigest("cluster", Uint8Array.of(n, f)),
      n,
      f,
      quorums: quorumsFor(n, f, options.quorums),
      limits: { ...defaultLimits, checkpointInterval: 4, window: 8, pipeline: 8, clientWindow: 16, ...options.limits },
      timing: { viewTimeoutMs: 1_000, viewTimeoutMaxMs: 8_000, statusIntervalMs: 150, idleStatusIntervalMs: 1_000, ...options.timing },
      replicas: Array.from({ length: n }, (_, index) => replicaId(index)),
      clients: Array.from({ length: clients }, (_, index) => clientId(index + 1)),
    };
    const sealFor = (sender: number, secret: Uint8Array) => {
      scheme.publicKeyOf(secret);
      return createSeal<PbftMessage>({
        schemas: pbft.messages,
        cluster: this.cluster.id,
        sender,
        incarnation: 0,
        sign: (bytes) => scheme.sign(secret, bytes),
      });
    };
    this.#sealFor = sealFor as never;
    this.#createService = options.service ?? journal;
    const seals = this.cluster.replicas.map((id) => sealFor(id, new Uint8Array(32).fill(id + 1)));
    this.#seals = seals as never;
    this.#clientSeals = this.cluster.clients.map((id) => sealFor(id, new Uint8Array(32).fill(100 + id))) as never;
    this.services = this.cluster.replicas.map(() => this.#createService());
    this.cores = this.cluster.replicas.map((self) => this.#createCore(self, seals[self] as never));
    this.effects = this.cluster.replicas.map(() => []);
    this.timers = this.cluster.replicas.map(() => new Map());
    this.records = this.cluster.replicas.map(() => []);
    for (const id of this.cluster.replicas) this.step(id, { type: "start", now: 0 });
    this.wire = [];
    for (const effects of this.effects) effects.length = 0;
  }

  #createCore(self: ReplicaId, seal: never): Core<PbftMessage, PbftRecord> {
    return pbft.createCore({ self, cluster: this.cluster, seal, digest: this.digest, service: this.services[self] as Service });
  }

  /** Kills a replica and starts it again with what it persisted. */
  restart(id: number): PbftEffect[] {
    this.services[id] = this.#createService();
    this.cores[id] = this.#createCore(replicaId(id), this.#seals[id] as never);
    this.timers[id]?.clear();
    return this.step(id, { type: "start", now: this.now, recovered: [...(this.records[id] as PbftRecord[])] });
  }

  /** A message as replica `id` would sign it. */
  seal<U extends Unsealed<PbftMessage>>(
    id: number,
    message: U,
    body?: { bytes: Uint8Array; batch?: OpenedBatch },
  ): Verified<MessageOf<U["kind"]>> {
    const seal = this.#seals[id];
    if (!seal) throw new RangeError(`no replica ${id}`);
    return seal(message, body) as Verified<MessageOf<U["kind"]>>;
  }

  request(client: number, number: number, text = `${client}/${number}`): Verified<Request> {
    const operation = utf8ToBytes(text);
    const seal = this.#clientSeals[client - 1];
    if (!seal) throw new RangeError(`no client ${client}`);
    return seal({ kind: "request", number: requestNumber(number), operation });
  }

  /** @param key - tells it from others; `twin` gives it the number of another client, as somebody might by trying 2^52 keys */
  openClient(key: number, twin?: OpenClient): OpenClient {
    const publicKey = Uint8Array.of(...new Uint8Array(28), key >>> 24, key >>> 16, key >>> 8, key);
    const id = twin?.id ?? openClientId(publicKey, this.digest);
    const seal = this.#sealFor(id, publicKey);
    return {
      id,
      request: (number, text = `${key}/${number}`) =>
        seal({ kind: "request", number: requestNumber(number), operation: utf8ToBytes(text), publicKey }),
    };
  }

  /** A batch as a primary makes it, its bytes and digest. */
  batch(requests: readonly Verified<Request>[], timestamp = this.wallTime): { bytes: Uint8Array; batch: Batch; digest: Digest } {
    const bytes = encodeBatch(timestamp, requests);
    return { bytes, batch: { valid: true, timestamp, requests }, digest: this.digest("batch", bytes) };
  }

  proposal(
    id: number,
    view: number,
    slot: number,
    requests: readonly Verified<Request>[],
    timestamp?: number,
  ): Verified<MessageOf<"pre-prepare">> {
    const { bytes, batch, digest } = this.batch(requests, timestamp);
    return this.seal(id, { kind: "pre-prepare", view: view as View, slot: slot as Slot, digest }, { bytes, batch });
  }

  vote(
    id: number,
    kind: "prepare" | "commit",
    view: number,
    slot: number,
    digest: string,
  ): Verified<MessageOf<"prepare"> | MessageOf<"commit">> {
    return this.seal(id, { kind, view: view as View, slot: slot as Slot, digest: digestOf(digest) });
  }

  checkpoint(id: number, slot: number, digest: string): Verified<MessageOf<"checkpoint">> {
    return this.seal(id, { kind: "checkpoint", slot: slot as Slot, digest: digestOf(digest) });
  }

  get wallTime(): number {
    return 1_800_000_000_000 + this.now;
  }

  get wall(): { earliest: number; latest: number } {
    return { earliest: this.wallTime - 2, latest: this.wallTime + 2 };
  }

  /** A request goes to the primary and everybody works until the network is quiet. */
  order(client: number, number: number, primary = 0): void {
    this.ask(primary, this.request(client, number));
    this.settle();
  }

  /** Fires one timer of one replica, whether or not it is due. */
  timeout(id: number, timer: string): PbftEffect[] {
    this.timers[id]?.delete(timer);
    return this.step(id, { type: "timeout", now: this.now, wall: this.wall, timer });
  }

  /** Hands one message to one replica. */
  receive(id: number, message: Verified<PbftMessage>): PbftEffect[] {
    return this.step(id, { type: "receive", now: this.now, wall: this.wall, message });
  }

  ask(id: number, request: Verified<Request>): PbftEffect[] {
    return this.step(id, { type: "request", now: this.now, wall: this.wall, request });
  }

  step(id: number, input: Input<PbftMessage, PbftRecord>): PbftEffect[] {
    const core = this.cores[id] as Core<PbftMessage, PbftRecord>;
    const effects = [...core.step(input)];
    core.assertInvariants();
    this.effects[id]?.push(...effects);
    for (const effect of effects) this.#carryOut(replicaId(id), effect);
    return effects;
  }

  #carryOut(from: ReplicaId, effect: PbftEffect): void {
    if (effect.type === "send") {
      for (const to of effect.to) this.wire.push({ from, to, message: effect.message as Verified<PbftMessage | Request> });
    } else if (effect.type === "set-timer") this.timers[from]?.set(effect.timer, this.now + effect.ms);
    else if (effect.type === "cancel-timer") this.timers[from]?.delete(effect.timer);
    else if (effect.type === "persist") this.records[from]?.push(...effect.records);
  }

  /** Delivers everything on the wire, and what that causes, until nothing is under way. Cut links lose what they carry. */
  settle(keep: (from: number, to: number, message: PbftMessage | Request) => boolean = () => true): void {
    for (let steps = 0; this.wire.length > 0; steps++) {
      if (steps > 200_000) throw new Error("the network does not come to rest");
      const next = this.wire.shift();
      if (!next || this.cut.has(`${next.from}>${next.to}`) || !keep(next.from, next.to, next.message.message)) continue;
      if (next.message.message.kind === "request") this.ask(next.to, next.message as Verified<Request>);
      else this.receive(next.to, next.message as Verified<PbftMessage>);
    }
  }

  /** Lets time pass: fires every timer that is due, in order, delivering in between. */
  advance(ms: number, keep?: (from: number, to: number, message: PbftMessage | Request) => boolean): void {
    const end = this.now + ms;
    for (;;) {
      let due: { id: number; timer: string; at: number } | undefined;
      for (const [id, timers] of this.timers.entries()) {
        for (const [timer, at] of timers) if (at <= end && (!due || at < due.at)) due = { id, timer, at };
      }
      if (!due) break;
      this.now = Math.max(this.now, due.at);
      this.timers[due.id]?.delete(due.timer);
      this.step(due.id, { type: "timeout", now: this.now, wall: this.wall, timer: due.timer });
      this.settle(keep);
    }
    this.now = end;
  }

  /** Cuts every link between the groups, both ways. */
  partition(...groups: readonly (readonly number[])[]): void {
    this.cut.clear();
    for (const a of groups) for (const b of groups) if (a !== b) for (const x of a) for (const y of b) this.cut.add(`${x}>${y}`);
  }

  heal(): void {
    this.cut.clear();
  }

  decisions(id: number): { slot: number; digest: string; requests: number }[] {
    return (this.effects[id] ?? []).flatMap((effect) =>
      effect.type === "decide" ? [{ slot: effect.slot, digest: effect.digest, requests: effect.requests.length }] : [],
    );
  }

  state(id: number): CoreState {
    return (this.cores[id] as Core<PbftMessage, PbftRecord>).inspect();
  }

  views(): number[] {
    return this.cores.map((core) => core.inspect().view);
  }

  executed(): number[] {
    return this.cores.map((core) => core.inspect().executed);
  }
}

export const sent = <K extends PbftMessage["kind"]>(effects: readonly PbftEffect[], kind: K): Verified<MessageOf<K>>[] =>
  effects.flatMap((effect) =>
    effect.type === "send" && effect.message.message.kind === kind ? [effect.message as Verified<MessageOf<K>>] : [],
  );

/** Effects as words, in order: what was made durable, what left, what was decided. */
export const outline = (effects: readonly PbftEffect[]): string[] =>
  effects.flatMap((effect) => {
    if (effect.type === "persist") return effect.records.map((record) => `persist ${record.type}`);
    if (effect.type === "send") return [`send ${effect.message.message.kind}`];
    return effect.type === "decide" ? [`decide ${effect.slot}`] : effect.type === "reply" ? ["reply"] : [];
  });

/** Every vote and proposal of its own that left. A proposal that a backup shows to others travels without its body and is none. */
export const votes = (effects: readonly PbftEffect[]): string[] =>
  effects.flatMap((effect) => {
    if (effect.type !== "send") return [];
    const { kind } = effect.message.message;
    const own = kind === "prepare" || kind === "commit" || (kind === "pre-prepare" && effect.message.body !== undefined);
    return own ? [`send ${kind}`] : [];
  });

export const rejected = (effects: readonly PbftEffect[]): RejectionCode[] =>
  effects.flatMap((effect) => (effect.type === "reject" ? [effect.rejection.code] : []));

export const replies = (effects: readonly PbftEffect[]): Reply[] =>
  effects.flatMap((effect) => (effect.type === "reply" ? [effect.message.message] : []));

export const evidence = (effects: readonly PbftEffect[]): { culprit: number; kind: string }[] =>
  effects.flatMap((effect) => (effect.type === "evidence" ? [{ culprit: effect.culprit, kind: effect.kind }] : []));
