/**
 * A transport with a bad network before it: the fault model of the simulator, carried out with real sockets.
 * The launcher puts it around a node's transport and drives it; a replica on its own does not contain it.
 */
import type { ClientId, NodeName, ReplicaId } from "../core/ids.ts";
import type { Random } from "../core/random.ts";
import type { RejectionCode } from "../core/rejection.ts";
import { type NetworkModel, perfectNetwork, transmit } from "../faults/network.ts";
import type { Counters } from "./counters.ts";
import type { Priority } from "./outbox.ts";
import { clientPeer, type Peer, peerName, replicaPeer } from "./peer.ts";
import type { Transport, TransportOptions } from "./transport.ts";

/** Frames under way at one node, at most; a network holds no more either. */
const inFlightMaxBytes = 64 * 1024 * 1024;

export interface NetworkFaultsOptions {
  /** Seeded, so that the same decisions can be drawn again. */
  readonly random: Random;
  /** Ms of the run, which GST is counted in. */
  now(): number;
}

/** What fired so far, in frames. */
export interface FaultCounts {
  readonly blocked: number;
  readonly lost: number;
  readonly duplicated: number;
  readonly delayed: number;
  /** Lost because too much was under way. */
  readonly overflowed: number;
}

/**
 * The faults of one node's links, to be changed while it runs. A node answers for the frames that it sends to replicas; a client
 * has no faults of its own, so a replica answers for both directions of the client's link.
 */
export class NetworkFaults {
  readonly #options: NetworkFaultsOptions;
  readonly #models = new Map<NodeName, NetworkModel>();
  #model = perfectNetwork;
  #blockedTo: ReadonlySet<NodeName> = new Set();
  #blockedFrom: ReadonlySet<NodeName> = new Set();
  readonly #counts = { blocked: 0, lost: 0, duplicated: 0, delayed: 0, overflowed: 0 };
  readonly #timers = new Set<NodeJS.Timeout>();
  #inFlight = 0;

  constructor(options: NetworkFaultsOptions) {
    this.#options = options;
  }

  /** From now on, frames meet this network; with `peer`, only those to (and for a client also from) it. */
  setNetwork(model: NetworkModel, peer?: NodeName): void {
    if (peer === undefined) this.#model = model;
    else this.#models.set(peer, model);
  }

  /** Cuts directions of links, each on its own; replaces what was cut before. Links stay up, as they do while a cable is pulled. */
  block(cut: { readonly to?: readonly NodeName[]; readonly from?: readonly NodeName[] }): void {
    this.#blockedTo = new Set(cut.to);
    this.#blockedFrom = new Set(cut.from);
  }

  /** Ends every cut; what was sent meanwhile is lost. */
  heal(): void {
    this.block({});
  }

  counts(): FaultCounts {
    return { ...this.#counts };
  }

  /** Carries a frame from this node to `peer`, or not, or twice, or later. */
  outbound(peer: Peer, frame: Uint8Array, deliver: () => void): void {
    if (this.#blockedTo.has(peerName(peer))) this.#counts.blocked += 1;
    else this.#carry(peer, frame, deliver);
  }

  /** The same for a frame that arrived from `peer`. */
  inbound(peer: Peer, frame: Uint8Array, deliver: () => void): void {
    if (this.#blockedFrom.has(peerName(peer))) this.#counts.blocked += 1;
    else if (peer.role === "client") this.#carry(peer, frame, deliver);
    else deliver();
  }

  /** Forgets what is under way. */
  stop(): void {
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers.clear();
    this.#inFlight = 0;
  }

  #carry(peer: Peer, frame: Uint8Array, deliver: () => void): void {
    const model = this.#models.get(peerName(peer)) ?? this.#model;
    if (model === perfectNetwork) return deliver();
    const delays = transmit(model, this.#options.random, this.#options.now());
    if (delays.length === 0) this.#counts.lost += 1;
    if (delays.length > 1) this.#counts.duplicated += 1;
    for (const ms of delays) {
      if (ms <= 0) deliver();
      else this.#later(ms, frame.length, deliver);
    }
  }

  #later(ms: number, bytes: number, deliver: () => void): void {
    if (this.#inFlight + bytes > inFlightMaxBytes) {
      this.#counts.overflowed += 1;
      return;
    }
    this.#counts.delayed += 1;
    this.#inFlight += bytes;
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      this.#inFlight -= bytes;
      deliver();
    }, ms);
    this.#timers.add(timer);
  }
}

/** Makes transports whose frames meet `faults`. `create` makes the transport below. */
export function withFaults(
  create: (options: TransportOptions) => Transport,
  faults: NetworkFaults,
): (options: TransportOptions) => Transport {
  return (options) =>
    new FaultyTransport(
      create({ ...options, onFrame: (peer, frame) => faults.inbound(peer, frame, () => options.onFrame(peer, frame)) }),
      faults,
    );
}

class FaultyTransport implements Transport {
  readonly #below: Transport;
  readonly #faults: NetworkFaults;

  constructor(below: Transport, faults: NetworkFaults) {
    this.#below = below;
    this.#faults = faults;
  }

  get counters(): Counters {
    return this.#below.counters;
  }

  send(to: ReplicaId, frame: Uint8Array, priority?: Priority): void {
    this.#faults.outbound(replicaPeer(to), frame, () => this.#below.send(to, frame, priority));
  }

  sendToClient(client: ClientId, frame: Uint8Array): void {
    this.#faults.outbound(clientPeer(client), frame, () => this.#below.sendToClient(client, frame));
  }

  listen(): Promise<number> {
    return this.#below.listen();
  }

  penalise(peer: Peer, reason: RejectionCode): void {
    this.#below.penalise(peer, reason);
  }

  pause(peer: Peer): void {
    this.#below.pause(peer);
  }

  resume(peer: Peer): void {
    this.#below.resume(peer);
  }

  waitingBytes(peer: Peer): number {
    return this.#below.waitingBytes(peer);
  }

  links(): readonly Peer[] {
    return this.#below.links();
  }

  close(): Promise<void> {
    this.#faults.stop();
    return this.#below.close();
  }
}
