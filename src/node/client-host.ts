/** The host that runs a client core over real sockets: one link to each replica, timers, and a promise for each invocation. */
import { type Admission, type BreakerState, CircuitBreaker } from "../client/circuit-breaker.ts";
import type { ClientCore, ClientEffect, ClientInput, ClientState } from "../client/client-core.ts";
import { type ClientId, clientName, type NodeName, type ReplicaId, replicaName } from "../core/ids.ts";
import { unreachable } from "../core/invariant.ts";
import { LabError } from "../core/lab-error.ts";
import type { AnyMessage, Reply, Signed, Verified } from "../core/message.ts";
import { rejections } from "../core/rejection.ts";
import { type DialOptions, dialReplica, type ReplicaLink } from "../transport/dial.ts";
import { encodeFrame } from "../wire/frame.ts";
import type { Opener } from "../wire/open.ts";
import type { NumberStore } from "./number-store.ts";
import { Timers } from "./timers.ts";
import { Wait, type WaitOptions } from "./wait.ts";

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
  /** Remembers numbers across restarts; the core begins at its `first` (rule 62). @defaultValue nobody remembers */
  readonly numbers?: NumberStore;
  /** @defaultValue one with the default settings; it sees only operations with a deadline */
  readonly breaker?: CircuitBreaker;
  /** Monotonic ms. */
  readonly now: () => number;
  readonly watcher: ClientWatcher;
}

/** What became of invocations, since the start. */
export interface ClientCounters {
  /** They got a number. */
  readonly invoked: number;
  /** Results, also of operations that their callers had given up. */
  readonly returned: number;
  readonly timedOut: number;
  /** Not let through by the circuit breaker. */
  readonly refused: number;
  /** Per replica, how often it contradicted an accepted result, or itself (A11). A hint, never proof. */
  readonly suspected: readonly number[];
}

export interface ClientHostState extends ClientState {
  readonly linksOpen: number;
  readonly breaker: BreakerState;
  readonly counters: ClientCounters;
}

/** An operation under way, and the caller who may still wait for it. */
interface Call {
  readonly operation: Uint8Array;
  readonly ticket: number;
  readonly wait: Wait<Uint8Array>;
  number: number | undefined;
}

export class ClientHost {
  readonly #setup: ClientHostSetup;
  readonly #links: Map<ReplicaId, ReplicaLink>;
  readonly #timers: Timers;
  readonly #breaker: CircuitBreaker;
  /** By number, those whose callers wait. */
  readonly #calls = new Map<number, Call>();
  readonly #open = new Set<ReplicaId>();
  readonly #linking = new Map<Wait<void>, number>();
  readonly #counts = { invoked: 0, returned: 0, timedOut: 0, refused: 0 };
  readonly #suspected: number[];
  /** The call that the current step numbers. */
  #invoking: Call | undefined;
  #closing: Promise<void> | undefined;

  constructor(setup: ClientHostSetup) {
    this.#setup = setup;
    this.#breaker = setup.breaker ?? new CircuitBreaker();
    this.#suspected = setup.replicas.map(() => 0);
    this.#timers = new Timers((timer) => this.#step({ type: "timeout", now: setup.now(), timer }));
    this.#links = new Map(setup.replicas.map((replica) => [replica.id, this.#dial(replica)]));
  }

  /** Replicas to which a link is open now. */
  get linksOpen(): number {
    return this.#open.size;
  }

  state(): ClientHostState {
    const counters = { ...this.#counts, suspected: [...this.#suspected] };
    return { ...this.#setup.core.inspect(), linksOpen: this.linksOpen, breaker: this.#breaker.state(this.#setup.now()), counters };
  }

  /** Invocations may go out. */
  start(): void {
    this.#step({ type: "start", now: this.#setup.now() });
  }

  /** @returns when links to `count` replicas are open. @throws LabError `not-linked` at the deadline, or `client-closed` */
  linked(count: number, options: WaitOptions = {}): Promise<void> {
    if (this.#closing !== undefined) return Promise.reject(closed());
    const wait = new Wait<void>(options, (why) => {
      this.#linking.delete(wait);
      if (why === "abort") return options.signal?.reason;
      return new LabError(
        "not-linked",
        `${this.#linksText()}, ${count} are needed: are the replicas up, and is this client one of theirs?`,
      );
    });
    this.#linking.set(wait, count);
    this.#tellLinked();
    return wait.promise;
  }

  /**
   * Has the operation ordered and executed.
   *
   * A deadline or an abort ends the caller's wait, not the operation: its number stays used, and the core goes on asking until the
   * result is known, so that the window moves on (rules 59, 62).
   *
   * @returns the result that f+1 replicas agree on
   * @throws LabError `timed-out` or `client-closed`, with the outcome unknown; without effect: `circuit-open`, `client-full`,
   * `operation-too-large`, `unwritable-numbers`. The reason of the signal when that ended the wait.
   */
  invoke(operation: Uint8Array, options: WaitOptions = {}): Promise<Uint8Array> {
    if (this.#closing !== undefined) return Promise.reject(closed());
    const wrong = whyBadCall(operation, options);
    if (wrong !== undefined) return Promise.reject(new LabError("bad-call", wrong));
    if (options.signal?.aborted) return Promise.reject(options.signal.reason);
    const admission = this.#breaker.admit(this.#setup.now());
    if (!admission.admitted) {
      this.#counts.refused += 1;
      return Promise.reject(circuitOpen(admission));
    }
    const { ticket } = admission;
    const wait = new Wait<Uint8Array>(options, (why) => {
      if (call.number !== undefined) this.#calls.delete(call.number);
      if (why === "deadline") return this.#timedOut(call, options.timeoutMs ?? 0);
      this.#breaker.withdrawn(ticket);
      return options.signal?.reason;
    });
    const call: Call = { operation, ticket, wait, number: undefined };
    this.#submit(call);
    return wait.promise;
  }

  /** Calls still under way are rejected, with the outcome unknown. @returns when the links are gone and the numbers kept */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close(): Promise<void> {
    this.#timers.clear();
    for (const { wait } of this.#calls.values()) wait.reject(closedMeanwhile());
    for (const wait of this.#linking.keys()) wait.reject(closed());
    this.#calls.clear();
    this.#linking.clear();
    await Promise.all([...this.#links.values()].map((link) => link.close()));
    await this.#setup.numbers?.close(this.#setup.core.inspect().nextNumber);
  }

  #dial({ id, url, publicKey }: ClientHostSetup["replicas"][number]): ReplicaLink {
    return dialReplica({
      ...this.#setup.link,
      url,
      replica: id,
      publicKey,
      self: this.#setup.self,
      onFrame: (frame) => this.#receive(id, frame),
      onOpen: () => {
        if (this.#closing !== undefined) return;
        this.#open.add(id);
        this.#tellLinked();
        this.#step({ type: "link-up", now: this.#setup.now(), replica: id });
      },
      onClose: () => this.#open.delete(id),
    });
  }

  /** A number is on disk before its request leaves (rule 62). */
  #submit(call: Call): void {
    const { core, numbers, now } = this.#setup;
    if (call.wait.settled) return;
    if (this.#closing !== undefined) return call.wait.reject(closed());
    const { nextNumber } = core.inspect();
    if (numbers && !numbers.covers(nextNumber)) {
      numbers.reserve(nextNumber).then(
        () => this.#submit(call),
        (error: unknown) => this.#refuse(call, error),
      );
      return;
    }
    this.#invoking = call;
    this.#step({ type: "invoke", now: now(), operation: call.operation });
    this.#invoking = undefined;
  }

  #receive(from: ReplicaId, frame: Uint8Array): void {
    if (this.#closing !== undefined) return;
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
        this.#counts.invoked += 1;
        if (this.#invoking) {
          this.#invoking.number = effect.event.request;
          this.#calls.set(effect.event.request, this.#invoking);
        }
        return;
      case "return":
        this.#counts.returned += 1;
        this.#breaker.returned();
        this.#calls.get(effect.number)?.wait.resolve(effect.result);
        this.#calls.delete(effect.number);
        return;
      case "reject": {
        const { code, from } = effect.rejection;
        // Without a sender it is our own invocation that was refused.
        if (from === undefined && this.#invoking)
          this.#refuse(this.#invoking, new LabError(code, `the operation was refused: ${rejections[code]}`));
        return;
      }
      case "suspect":
        this.#suspected[effect.replica] = (this.#suspected[effect.replica] ?? 0) + 1;
        return;
      default:
        return unreachable(effect);
    }
  }

  #refuse(call: Call, error: unknown): void {
    this.#breaker.withdrawn(call.ticket);
    call.wait.reject(error);
  }

  #timedOut({ number, ticket }: Call, afterMs: number): LabError {
    this.#counts.timedOut += 1;
    this.#breaker.timedOut(this.#setup.now(), ticket);
    const outcome =
      number === undefined
        ? "the operation was never sent and has no effect"
        : `the outcome is unknown: the operation may still take effect, at most once, and its number ${number} is never used again`;
    return new LabError("timed-out", `no result within ${seconds(afterMs)}, ${this.#linksText()}; ${outcome}`);
  }

  #tellLinked(): void {
    for (const [wait, count] of this.#linking) {
      if (this.linksOpen < count) continue;
      this.#linking.delete(wait);
      wait.resolve();
    }
  }

  #linksText(): string {
    return `links to ${this.linksOpen} of ${this.#links.size} replicas are open`;
  }
}

const seconds = (ms: number): string => `${Math.ceil(ms) / 1_000} s`;

/** From JavaScript anything may come; it must not use up a number. */
function whyBadCall(operation: unknown, { timeoutMs }: WaitOptions): string | undefined {
  if (!(operation instanceof Uint8Array)) return "expected an operation as a Uint8Array";
  const valid = timeoutMs === undefined || (typeof timeoutMs === "number" && timeoutMs >= 0);
  return valid ? undefined : `timeoutMs: expected milliseconds from 0, got ${JSON.stringify(timeoutMs) ?? String(timeoutMs)}`;
}

function closed(): LabError {
  return new LabError("client-closed", "the client is closed");
}

function closedMeanwhile(): LabError {
  return new LabError("client-closed", "the client was closed before the result came: the operation may still take effect, at most once");
}

function circuitOpen({ failures, retryInMs }: Extract<Admission, { admitted: false }>): LabError {
  const next = retryInMs > 0 ? `the next try is let through in ${seconds(retryInMs)}` : "one try is on its way and decides";
  return new LabError("circuit-open", `${failures} operations in a row ran into their deadline: ${next}`);
}
