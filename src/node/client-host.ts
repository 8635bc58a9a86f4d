/** The host that runs a client core over real sockets: one link to each replica, timers, and a promise for each invocation. */
import type { ClientCore, ClientEffect, ClientInput } from "../client/client-core.ts";
import { type ClientId, clientName, type NodeName, type ReplicaId, replicaName } from "../core/ids.ts";
import { LabError } from "../core/lab-error.ts";
import type { AnyMessage, Reply, Signed, Verified } from "../core/message.ts";
import { type DialOptions, dialReplica, type ReplicaLink } from "../transport/dial.ts";
import { encodeFrame } from "../wire/frame.ts";
import type { Opener } from "../wire/open.ts";
import { Timers } from "./timers.ts";

export interface ClientWatcher {
  sent(from: NodeName, to: NodeName, message: Signed<AnyMessage>, frame: Uint8Array): void;
  received(from: NodeName, to: NodeName, message: Signed<AnyMessage>, frame: Uint8Array): void;
  did(effect: ClientEffect): void;
}

export interface ClientHostSetup {
  readonly self: ClientId;
  readonly core: ClientCore;
  readonly opener: Opener<AnyMessage>;
  /** Where each replica listens, and how it proves itself there. */
  readonly replicas: readonly { readonly id: ReplicaId; readonly url: string; readonly publicKey: Uint8Array }[];
  readonly link: Pick<DialOptions, "secret" | "cluster" | "scheme" | "frameBytes" | "tls">;
  /** Monotonic ms. */
  readonly now: () => number;
  readonly watcher: ClientWatcher;
}

interface Waiting {
  resolve(result: Uint8Array): void;
  reject(error: Error): void;
}

export class ClientHost {
  readonly #setup: ClientHostSetup;
  readonly #links: Map<ReplicaId, ReplicaLink>;
  readonly #timers: Timers;
  readonly #waiting = new Map<number, Waiting>();
  readonly #open = new Set<ReplicaId>();
  /** The invocation that the current step numbers. */
  #invoking: Waiting | undefined;
  #closed = false;

  constructor(setup: ClientHostSetup) {
    this.#setup = setup;
    this.#timers = new Timers((timer) => this.#step({ type: "timeout", now: setup.now(), timer }));
    this.#links = new Map(setup.replicas.map((replica) => [replica.id, this.#dial(replica)]));
  }

  /** Replicas to which a link is open now. */
  get linksOpen(): number {
    return this.#open.size;
  }

  /** Invocations may go out. */
  start(): void {
    this.#step({ type: "start", now: this.#setup.now() });
  }

  /**
   * Has the operation ordered and executed.
   *
   * @returns the result that f+1 replicas agree on
   * @throws LabError when the client is closed first, or too much is waiting already
   */
  invoke(operation: Uint8Array): Promise<Uint8Array> {
    if (this.#closed) return Promise.reject(new LabError("client-closed", "the client is closed"));
    return new Promise((resolve, reject) => {
      this.#invoking = { resolve, reject };
      this.#step({ type: "invoke", now: this.#setup.now(), operation });
      this.#invoking = undefined;
    });
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#timers.clear();
    for (const waiting of this.#waiting.values())
      waiting.reject(new LabError("client-closed", "the client was closed before the result came"));
    this.#waiting.clear();
    await Promise.all([...this.#links.values()].map((link) => link.close()));
  }

  #dial({ id, url, publicKey }: ClientHostSetup["replicas"][number]): ReplicaLink {
    return dialReplica({
      ...this.#setup.link,
      url,
      replica: id,
      publicKey,
      self: this.#setup.self,
      onFrame: (frame) => this.#receive(id, frame),
      onOpen: () => this.#open.add(id),
      onClose: () => this.#open.delete(id),
    });
  }

  #receive(from: ReplicaId, frame: Uint8Array): void {
    if (this.#closed) return;
    const { self, opener, now, watcher } = this.#setup;
    const opened = opener.open(frame);
    if (!opened.ok) return watcher.did({ type: "reject", rejection: { from: replicaName(from), ...opened.rejection } });
    const { message } = opened;
    watcher.received(replicaName(from), clientName(self), message, frame);
    if (message.message.kind === "reply") this.#step({ type: "receive", now: now(), message: message as Verified<Reply> });
    else watcher.did({ type: "reject", rejection: { code: "peer-mismatch", from: replicaName(from), kind: message.message.kind } });
  }

  #step(input: ClientInput): void {
    for (const effect of this.#setup.core.step(input)) this.#carryOut(effect);
  }

  #carryOut(effect: ClientEffect): void {
    this.#setup.watcher.did(effect);
    switch (effect.type) {
      case "send": {
        const frame = encodeFrame(effect.message);
        for (const to of effect.to) {
          this.#setup.watcher.sent(clientName(this.#setup.self), replicaName(to), effect.message, frame);
          this.#links.get(to)?.send(frame);
        }
        return;
      }
      case "set-timer":
        return this.#timers.set(effect.timer, effect.ms);
      case "cancel-timer":
        return this.#timers.cancel(effect.timer);
      case "observe":
        if (this.#invoking) this.#waiting.set(effect.event.request, this.#invoking);
        this.#invoking = undefined;
        return;
      case "return":
        this.#waiting.get(effect.number)?.resolve(effect.result);
        this.#waiting.delete(effect.number);
        return;
      case "reject":
        // Without a sender it is our own invocation that was refused.
        if (effect.rejection.from === undefined)
          this.#invoking?.reject(new LabError(effect.rejection.code, `the operation was refused: ${effect.rejection.code}`));
        return;
      default:
    }
  }
}
