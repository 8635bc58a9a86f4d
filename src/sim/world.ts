/**
 * The deterministic host: all nodes of a cluster on one event queue, in virtual time.
 *
 * The room `sim` runs the same cores, traitors and clients as the sockets do, replayable from a seed. It imports every pure room
 * and nothing from Node.js. The world carries effects out and brings inputs in; what the network does is asked of `route`.
 */

import type { ClientCore, ClientEffect, ClientInput } from "../client/client-core.ts";
import type { Cluster } from "../core/cluster.ts";
import type { Core, Effect, Input, WallInterval } from "../core/contract.ts";
import { type ClientId, clientName, type NodeName, type ReplicaId, replicaName } from "../core/ids.ts";
import type { AnyMessage, Reply, Request, Signed, Verified } from "../core/message.ts";
import type { Rejection } from "../core/rejection.ts";
import type { Opener } from "../wire/open.ts";
import { EventQueue } from "./event-queue.ts";
import { Frames, type SimFrame } from "./frames.ts";

/** What the world tells whoever watches; `simulate.ts` turns it into the trace. */
export interface Watcher<M extends AnyMessage, R> {
  sent(from: NodeName, to: NodeName, message: Signed<AnyMessage>, frame: SimFrame<M>): void;
  received(from: NodeName, to: NodeName, message: Signed<AnyMessage>, frame: SimFrame<M>): void;
  dropped(from: NodeName, to: NodeName, frame: SimFrame<M>, reason: string): void;
  rejected(node: NodeName, rejection: Rejection): void;
  replicaDid(id: ReplicaId, effect: Effect<M, R>): void;
  clientDid(id: ClientId, effect: ClientEffect): void;
}

export interface WorldSetup<M extends AnyMessage, R> {
  readonly cluster: Cluster;
  readonly opener: Opener<M>;
  /** Makes a core for a first start or a restart. */
  createReplica(id: ReplicaId): Core<M, R>;
  createClient(id: ClientId): ClientCore;
  /** The delay in ms of every copy of a frame that arrives; none when it is lost. */
  route(from: NodeName, to: NodeName, now: number, bytes: number): readonly number[];
  readonly watcher: Watcher<M, R>;
  /** True while every core is to be checked after every step: slower, for tests. */
  readonly checked: boolean;
}

/** Wall time at virtual time 0, ms since 1970; every run has the same. */
const wallAtStart = 1_800_000_000_000;
/** Half the width of every node's wall interval, in ms. */
const wallUncertaintyMs = 2;

interface Replica<M extends AnyMessage, R> {
  readonly id: ReplicaId;
  core: Core<M, R>;
  running: boolean;
  /** Grows at every crash: what was scheduled before never fires. */
  life: number;
  /** While paused, what happens to the node waits here. */
  paused: (() => void)[] | undefined;
  readonly timers: Map<string, number>;
  records: R[];
}

export class World<M extends AnyMessage, R> {
  now = 0;
  readonly #setup: WorldSetup<M, R>;
  readonly #queue = new EventQueue<() => void>();
  readonly #frames: Frames<M>;
  readonly #replicas: Replica<M, R>[];
  readonly #clients: Map<ClientId, { readonly core: ClientCore; readonly timers: Map<string, number> }>;
  #timerSequence = 0;

  constructor(setup: WorldSetup<M, R>) {
    this.#setup = setup;
    this.#frames = new Frames(setup.opener);
    this.#replicas = setup.cluster.replicas.map((id) => ({
      id,
      core: setup.createReplica(id),
      running: false,
      life: 0,
      paused: undefined,
      timers: new Map(),
      records: [],
    }));
    this.#clients = new Map(setup.cluster.clients.map((id) => [id, { core: setup.createClient(id), timers: new Map() }]));
  }

  /** Runs `action` at a virtual time, which is not before now. */
  at(time: number, action: () => void): void {
    // Whole microseconds, so that sums of delays stay readable in traces.
    this.#queue.push(Math.round(Math.max(time, this.now) * 1_000) / 1_000, action);
  }

  /** Carries out the next event. False when there is none up to `until`; the clock then stands at `until`. */
  advance(until: number): boolean {
    const next = this.#queue.pop();
    if (next && next.at <= until) {
      this.now = next.at;
      next.event();
      return true;
    }
    if (next) this.#queue.push(next.at, next.event);
    this.now = Math.max(this.now, until);
    return false;
  }

  /**
   * Starts a replica: for the first time, or again with what it persisted, or with an empty disk.
   *
   * @param announce - hears up to which slot the recovered state reaches, before anything the replica does
   */
  start(id: ReplicaId, storage: "kept" | "lost" = "kept", announce: (slot: number) => void = () => undefined): void {
    const replica = this.#replica(id);
    if (replica.running) return;
    replica.running = true;
    if (replica.life > 0) replica.core = this.#setup.createReplica(id);
    if (storage === "lost") replica.records = [];
    const recovered = replica.records.length > 0 && { recovered: [...replica.records] };
    const effects = replica.core.step({ type: "start", now: this.now, ...recovered });
    announce(replica.core.inspect().executed);
    for (const effect of effects) this.#carryOut(replica, effect);
    for (const peer of this.#replicas) if (peer !== replica && peer.running) this.linkUp(id, peer.id);
  }

  /** Stops a replica at once: its timers and what lay in its inbox are gone. */
  kill(id: ReplicaId): void {
    const replica = this.#replica(id);
    replica.running = false;
    replica.life += 1;
    replica.paused = undefined;
    replica.timers.clear();
  }

  pause(id: ReplicaId): void {
    const replica = this.#replica(id);
    if (replica.running) replica.paused ??= [];
  }

  resume(id: ReplicaId): void {
    const replica = this.#replica(id);
    const waiting = replica.paused ?? [];
    replica.paused = undefined;
    for (const action of waiting) action();
  }

  /** Both ends learn that their link is open again. */
  linkUp(a: ReplicaId, b: ReplicaId): void {
    for (const [self, peer] of [
      [a, b],
      [b, a],
    ] as const) {
      this.#happen(this.#replica(self), () => this.#step(this.#replica(self), { type: "link-up", now: this.now, peer }));
    }
  }

  stepClient(id: ClientId, input: ClientInput): void {
    const client = this.#clients.get(id);
    if (!client) return;
    for (const effect of client.core.step(input)) {
      this.#setup.watcher.clientDid(id, effect);
      if (effect.type === "send") for (const to of effect.to) this.#send(clientName(id), replicaName(to), effect.message);
      else if (effect.type === "set-timer") this.#setClientTimer(id, client.timers, effect.timer, effect.ms);
      else if (effect.type === "cancel-timer") client.timers.delete(effect.timer);
    }
  }

  /** The core's own picture; `up`: its process is there; `running`: and not paused. */
  inspect(id: ReplicaId): ReturnType<Core<M, R>["inspect"]> & { readonly up: boolean; readonly running: boolean } {
    const replica = this.#replica(id);
    return { ...replica.core.inspect(), up: replica.running, running: replica.running && replica.paused === undefined };
  }

  #replica(id: ReplicaId): Replica<M, R> {
    const replica = this.#replicas[id];
    if (!replica) throw new RangeError(`there is no replica ${id}`);
    return replica;
  }

  /** Something befalls a replica: now, or when its pause ends, or never when it is down. */
  #happen(replica: Replica<M, R>, action: () => void): void {
    if (!replica.running) return;
    if (replica.paused) replica.paused.push(action);
    else action();
  }

  #step(replica: Replica<M, R>, input: Input<M, R>): void {
    const effects = replica.core.step(input);
    if (this.#setup.checked) replica.core.assertInvariants();
    for (const effect of effects) this.#carryOut(replica, effect);
  }

  #carryOut(replica: Replica<M, R>, effect: Effect<M, R>): void {
    this.#setup.watcher.replicaDid(replica.id, effect);
    const self = replicaName(replica.id);
    switch (effect.type) {
      case "persist":
        // Durable at once: the barrier holds because effects are carried out in order.
        for (const record of effect.records) replica.records.push(record);
        return;
      case "send":
        for (const to of effect.to) this.#send(self, replicaName(to), effect.message);
        return;
      case "reply":
        return this.#send(self, clientName(effect.to), effect.message);
      case "set-timer":
        return this.#setTimer(replica, effect.timer, effect.ms);
      case "cancel-timer":
        replica.timers.delete(effect.timer);
        return;
      default:
    }
  }

  #setTimer(replica: Replica<M, R>, timer: string, ms: number): void {
    const token = ++this.#timerSequence;
    replica.timers.set(timer, token);
    this.at(this.now + ms, () =>
      this.#happen(replica, () => {
        if (replica.timers.get(timer) !== token) return;
        replica.timers.delete(timer);
        this.#step(replica, { type: "timeout", now: this.now, wall: this.#wall(), timer });
      }),
    );
  }

  #setClientTimer(id: ClientId, timers: Map<string, number>, timer: string, ms: number): void {
    const token = ++this.#timerSequence;
    timers.set(timer, token);
    this.at(this.now + ms, () => {
      if (timers.get(timer) !== token) return;
      timers.delete(timer);
      this.stepClient(id, { type: "timeout", now: this.now, timer });
    });
  }

  #send(from: NodeName, to: NodeName, message: Signed<AnyMessage>): void {
    const frame = this.#frames.of(message);
    this.#setup.watcher.sent(from, to, message, frame);
    const delays = this.#setup.route(from, to, this.now, frame.bytes);
    if (delays.length === 0) this.#setup.watcher.dropped(from, to, frame, "lost");
    for (const delay of delays) this.at(this.now + delay, () => this.#arrive(from, to, message, frame));
  }

  #arrive(from: NodeName, to: NodeName, message: Signed<AnyMessage>, frame: SimFrame<M>): void {
    const [role, number] = to.split("-") as [string, string];
    if (role === "client") return this.#deliverToClient(from, Number(number) as ClientId, message, frame);
    const replica = this.#replica(Number(number) as ReplicaId);
    if (!replica.running) return this.#setup.watcher.dropped(from, to, frame, "down");
    this.#happen(replica, () => this.#deliver(from, replica, message, frame));
  }

  #deliver(from: NodeName, replica: Replica<M, R>, signed: Signed<AnyMessage>, frame: SimFrame<M>): void {
    const to = replicaName(replica.id);
    this.#setup.watcher.received(from, to, signed, frame);
    if (!frame.opened.ok) return this.#setup.watcher.rejected(to, { from, ...frame.opened.rejection });
    const { message: opened } = frame.opened;
    if (opened.message.kind === "reply") return this.#setup.watcher.rejected(to, { code: "peer-mismatch", from, kind: "reply" });
    const [now, wall] = [this.now, this.#wall()];
    if (opened.message.kind === "request") this.#step(replica, { type: "request", now, wall, request: opened as Verified<Request> });
    else {
      const peer = this.#replicas.find(({ id }) => replicaName(id) === from);
      this.#step(replica, { type: "receive", now, wall, message: opened as Verified<M>, ...(peer && { from: peer.id }) });
    }
  }

  #deliverToClient(from: NodeName, id: ClientId, signed: Signed<AnyMessage>, frame: SimFrame<M>): void {
    this.#setup.watcher.received(from, clientName(id), signed, frame);
    if (!frame.opened.ok) return this.#setup.watcher.rejected(clientName(id), { from, ...frame.opened.rejection });
    const { message: opened } = frame.opened;
    if (opened.message.kind !== "reply")
      return this.#setup.watcher.rejected(clientName(id), { code: "peer-mismatch", from, kind: opened.message.kind });
    this.stepClient(id, { type: "receive", now: this.now, message: opened as Verified<Reply> });
  }

  #wall(): WallInterval {
    const middle = wallAtStart + Math.floor(this.now);
    return { earliest: middle - wallUncertaintyMs, latest: middle + wallUncertaintyMs };
  }
}
