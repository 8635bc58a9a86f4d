/**
 * The host that runs a core as a process: frames in, effects out, over real sockets, timers and storage.
 *
 * The room `node` may import `transport` and everything pure. It decides nothing about views or quorums.
 */
import type { Core, Effect, Input, WallInterval } from "../core/contract.ts";
import { clientName, type NodeName, type ReplicaId, replicaName } from "../core/ids.ts";
import type { AnyMessage, Request, Signed, Verified } from "../core/message.ts";
import type { Storage } from "../storage/storage.ts";
import { type Peer, peerName } from "../transport/peer.ts";
import type { Transport } from "../transport/transport.ts";
import { encodeFrame } from "../wire/frame.ts";
import type { Opener } from "../wire/open.ts";
import { defaultHostLimits, type HostLimits } from "./limits.ts";
import { Outbox } from "./outbox.ts";
import { Timers } from "./timers.ts";
import { VerifyBudget } from "./verify-budget.ts";

/** Where a host writes what happens; `launch` turns it into trace records. */
export interface HostWatcher<M extends AnyMessage, R> {
  sent(from: NodeName, to: NodeName, message: Signed<AnyMessage>, frame: Uint8Array): void;
  received(from: NodeName, to: NodeName, message: Signed<AnyMessage>, frame: Uint8Array): void;
  /** Written before the next effect is carried out. */
  did(effect: Effect<M, R>): void;
  /** Records became durable, `ms` after they were handed to the storage. */
  persisted?(records: number, ms: number): void;
}

export interface HostSetup<M extends AnyMessage, R> {
  readonly self: ReplicaId;
  readonly core: Core<M, R>;
  readonly opener: Opener<M>;
  readonly storage: Storage<R>;
  readonly clock: HostClock;
  readonly watcher: HostWatcher<M, R>;
  readonly limits?: Partial<HostLimits>;
}

export interface HostClock {
  /** Monotonic ms (rule 48). */
  now(): number;
  wall(): WallInterval;
}

export class ReplicaHost<M extends AnyMessage, R> {
  readonly #setup: HostSetup<M, R>;
  readonly #outbox: Outbox<M, R>;
  readonly #timers: Timers;
  readonly #budget: VerifyBudget;
  #transport: Pick<Transport, "send" | "sendToClient" | "penalise"> | undefined;

  constructor(setup: HostSetup<M, R>) {
    this.#setup = setup;
    this.#budget = new VerifyBudget({ ...defaultHostLimits, ...setup.limits });
    this.#outbox = new Outbox(timed(setup), (effect) => this.#carryOut(effect));
    this.#timers = new Timers((timer) => this.#step({ type: "timeout", ...this.#time(), timer }));
  }

  /** Starts the core with what the storage holds. @param transport - where effects go from now on */
  start(transport: Pick<Transport, "send" | "sendToClient" | "penalise">): void {
    this.#transport = transport;
    const recovered = this.#setup.storage.recover();
    this.#step({ type: "start", now: this.#setup.clock.now(), ...(recovered.length > 0 && { recovered }) });
  }

  stop(): void {
    this.#timers.clear();
    this.#transport = undefined;
  }

  linkUp(peer: Peer): void {
    if (peer.role === "replica") this.#step({ type: "link-up", now: this.#setup.clock.now(), peer: peer.id });
  }

  /** One frame of an authenticated peer; whatever it holds, the node goes on (rule 94). */
  receive(peer: Peer, frame: Uint8Array): void {
    if (!this.#transport) return;
    const { self, opener, core, watcher, clock } = this.#setup;
    const from = peerName(peer);
    let spent = false;
    const opened = opener.open(frame, (peek) => {
      if (!core.wants(peek)) return false;
      spent = this.#budget.isSpent(from, clock.now());
      return !spent;
    });
    if (!opened.ok) {
      const code = spent ? "verify-budget" : opened.rejection.code;
      watcher.did({ type: "reject", rejection: { from, ...opened.rejection, code } });
      if (!opened.signatureFailed) return;
      this.#budget.charge(from, clock.now());
      return this.#transport.penalise(peer, code);
    }
    const { message } = opened.message;
    watcher.received(from, replicaName(self), opened.message, frame);
    // A client's link carries its own requests and nothing else (rule 91); replicas relay requests.
    const fits =
      message.kind === "request"
        ? peer.role === "replica" || message.sender === peer.id
        : peer.role === "replica" && message.kind !== "reply";
    if (!fits) return watcher.did({ type: "reject", rejection: { code: "peer-mismatch", from, kind: message.kind } });
    if (message.kind === "request") this.#step({ type: "request", ...this.#time(), request: opened.message as Verified<Request> });
    else
      this.#step({
        type: "receive",
        ...this.#time(),
        message: opened.message as Verified<M>,
        ...(peer.role === "replica" && { from: peer.id }),
      });
  }

  #time(): { now: number; wall: WallInterval } {
    return { now: this.#setup.clock.now(), wall: this.#setup.clock.wall() };
  }

  #step(input: Input<M, R>): void {
    if (this.#transport) this.#outbox.push(this.#setup.core.step(input));
  }

  #carryOut(effect: Effect<M, R>): void {
    this.#setup.watcher.did(effect);
    switch (effect.type) {
      case "send": {
        const frame = encodeFrame(effect.message);
        for (const to of effect.to) {
          this.#setup.watcher.sent(replicaName(this.#setup.self), replicaName(to), effect.message, frame);
          this.#transport?.send(to, frame, effect.message.message.kind === "request" ? "client" : "consensus");
        }
        return;
      }
      case "reply": {
        const frame = encodeFrame(effect.message);
        this.#setup.watcher.sent(replicaName(this.#setup.self), clientName(effect.to), effect.message, frame);
        this.#transport?.sendToClient(effect.to, frame);
        return;
      }
      case "set-timer":
        return this.#timers.set(effect.timer, effect.ms);
      case "cancel-timer":
        return this.#timers.cancel(effect.timer);
      default:
    }
  }
}

/** The setup's storage, which also tells the watcher how long records took to become durable. */
function timed<M extends AnyMessage, R>({ storage, clock, watcher }: HostSetup<M, R>): Pick<Storage<R>, "append"> {
  return {
    append: (records, done) => {
      const at = clock.now();
      storage.append(records, () => {
        watcher.persisted?.(records.length, clock.now() - at);
        done();
      });
    },
  };
}
