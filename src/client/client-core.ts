/**
 * The client as a pure state machine, in the style of the replica cores: inputs in, effects out (docs/protocol.md A.8).
 *
 * The room `client` holds what asks the replicas: this core and a workload are pure and import up to `services`; over sockets
 * they run in `node/client-host.ts`.
 */
import { sameBytes } from "../core/bytes.ts";
import { type Cluster, primaryOf } from "../core/cluster.ts";
import type { DigestFunction } from "../core/contract.ts";
import {
  type ClientId,
  type Digest,
  type NodeName,
  type ReplicaId,
  type RequestNumber,
  replicaName,
  requestNumber,
  type View,
} from "../core/ids.ts";
import { unreachable } from "../core/invariant.ts";
import type { Reply, Request, RequestResult, Signed, Unsealed, Verified } from "../core/message.ts";
import type { Rejection, RejectionCode } from "../core/rejection.ts";

/** `now` is the host's monotonic clock in ms, as for replicas. */
export type ClientInput =
  /** The links are up: what was invoked before goes out now. */
  | { readonly type: "start"; readonly now: number }
  | { readonly type: "invoke"; readonly now: number; readonly operation: Uint8Array }
  | { readonly type: "receive"; readonly now: number; readonly message: Verified<Reply> }
  /** A link has opened: what waits for this replica as the believed primary goes out again, sooner than its retry. */
  | { readonly type: "link-up"; readonly now: number; readonly replica: ReplicaId }
  | { readonly type: "timeout"; readonly now: number; readonly timer: string };

/** Array order is execution order. */
export type ClientEffect =
  | { readonly type: "send"; readonly to: readonly ReplicaId[]; readonly message: Signed<Request> }
  /** One timer per name: setting it again moves it. `ms` from now, 0..2^31-1 (rule 46). */
  | { readonly type: "set-timer"; readonly timer: string; readonly ms: number }
  | { readonly type: "cancel-timer"; readonly timer: string }
  /** The result of an invocation; once for each number. */
  | { readonly type: "return"; readonly number: RequestNumber; readonly result: Uint8Array }
  /** Without `from`: the invocation of this step was refused and has no number. Else why a reply had no effect. */
  | { readonly type: "reject"; readonly rejection: Rejection }
  /** The replica contradicted the accepted result, or itself (A11). A hint, never proof of guilt: replies are not comparable evidence. */
  | { readonly type: "suspect"; readonly replica: ReplicaId; readonly number: RequestNumber }
  /** The answer to each invocation that is not refused: the number it got. */
  | { readonly type: "observe"; readonly event: Invocation };

export interface Invocation {
  readonly event: "invoke";
  readonly client: ClientId;
  readonly request: RequestNumber;
  /** Of the request's signed bytes. */
  readonly digest: Digest;
  readonly operation: Uint8Array;
}

export interface ClientSetup {
  readonly self: ClientId;
  readonly cluster: Pick<Cluster, "n" | "replicas" | "quorums" | "limits">;
  readonly seal: (message: Unsealed<Request>) => Verified<Request>;
  readonly digest: DigestFunction;
  /** Above every number that this client ever used, also before a restart (rule 62). @defaultValue 1 */
  readonly firstNumber?: number;
  /** @defaultValue {@link defaultRetry} */
  readonly retry?: RetryTiming;
  /** 0 up to 1: lengthens each interval by up to a half, so that clients do not come back in step. @defaultValue none is lengthened */
  readonly random?: () => number;
}

/** In ms, 1..2^31-1: until the first broadcast, and the cap of the doubled interval. */
export interface RetryTiming {
  readonly firstMs: number;
  readonly maxMs: number;
}

export const defaultRetry: RetryTiming = { firstMs: 250, maxMs: 1_000 };

/** Bounds of one client besides its window (docs/limits.md). */
export const clientLimits = {
  /** Invocations that wait for a place in the window; more are refused. */
  queuedInvocations: 65_536,
  /** Results kept to compare late answers with. */
  comparedResults: 64,
} as const;

/** What the client is doing; plain and serialisable. */
export interface ClientState {
  /** Believed view: at least f+1 replicas named it or a later one. */
  readonly view: number;
  readonly nextNumber: number;
  readonly inFlight: number;
  readonly queued: number;
}

export interface ClientCore {
  /** The one way in; never throws on input. */
  step(input: ClientInput): readonly ClientEffect[];
  inspect(): ClientState;
}

/** Sealed once; every retry sends the same bytes (rule 59). */
interface InFlight {
  readonly request: Verified<Request>;
  readonly answers: Map<ReplicaId, Uint8Array>;
  retryAt: number;
  intervalMs: number;
}

/** A number that has returned, while answers of other replicas may still come. */
interface Returned {
  readonly result: Uint8Array;
  readonly heard: Set<ReplicaId>;
}

const retryTimer = "retry";

/** @throws RangeError when `firstNumber` or `retry` is out of range */
export function createClientCore(setup: ClientSetup): ClientCore {
  return new Client(setup);
}

class Client implements ClientCore {
  readonly #setup: ClientSetup;
  readonly #retry: RetryTiming;
  #started = false;
  #now = 0;
  #nextNumber: RequestNumber;
  /** By number, oldest first. */
  readonly #inFlight: Map<RequestNumber, InFlight> = new Map();
  readonly #queue: Verified<Request>[] = [];
  readonly #returned: Map<RequestNumber, Returned> = new Map();
  /** The highest view that each replica named: a hint until f+1 of them agree (rule 12). */
  readonly #views: Map<ReplicaId, View> = new Map();
  #view = 0 as View;
  #timerAt: number | undefined;
  #effects: ClientEffect[] = [];

  constructor(setup: ClientSetup) {
    this.#setup = setup;
    this.#nextNumber = requestNumber(setup.firstNumber ?? 1);
    this.#retry = checkedRetry(setup.retry ?? defaultRetry);
  }

  step(input: ClientInput): readonly ClientEffect[] {
    this.#effects = [];
    this.#now = input.now;
    switch (input.type) {
      case "start":
        this.#started = true;
        break;
      case "invoke":
        this.#invoke(input.operation);
        break;
      case "receive":
        this.#receive(input.message.message);
        break;
      case "link-up":
        this.#linkUp(input.replica);
        break;
      case "timeout":
        if (input.timer === retryTimer) this.#retryDue();
        break;
      default:
        return unreachable(input);
    }
    this.#sendQueued();
    return this.#effects;
  }

  inspect(): ClientState {
    return { view: this.#view, nextNumber: this.#nextNumber, inFlight: this.#inFlight.size, queued: this.#queue.length };
  }

  #invoke(operation: Uint8Array): void {
    if (operation.length > this.#setup.cluster.limits.operationBytes) return this.#reject("operation-too-large");
    if (this.#queue.length >= clientLimits.queuedInvocations) return this.#reject("client-full");
    const number = this.#nextNumber;
    this.#nextNumber = requestNumber(number + 1);
    const request = this.#setup.seal({ kind: "request", number, operation });
    const digest = this.#setup.digest("request", request.payload);
    this.#effects.push({ type: "observe", event: { event: "invoke", client: this.#setup.self, request: number, digest, operation } });
    this.#queue.push(request);
  }

  /** Numbers stay below the oldest unresolved one + W, else replicas would drop it as too old (rule 59). */
  #sendQueued(): void {
    if (!this.#started) return;
    const { clientWindow } = this.#setup.cluster.limits;
    let sent = 0;
    for (const request of this.#queue) {
      const { number } = request.message;
      const [oldest = number] = this.#inFlight.keys();
      if (number >= oldest + clientWindow) break;
      this.#sendFirst(request);
      sent++;
    }
    this.#queue.splice(0, sent);
  }

  #sendFirst(request: Verified<Request>): void {
    const retryAt = this.#now + this.#jittered(this.#retry.firstMs);
    this.#inFlight.set(request.message.number, { request, answers: new Map(), retryAt, intervalMs: this.#retry.firstMs });
    this.#effects.push({ type: "send", to: [primaryOf(this.#view, this.#setup.cluster.n)], message: request });
    this.#wakeAt(retryAt);
  }

  /** Whoever executed it answers again, the others relay it and start their timers: a silent primary is found out (rule 57). */
  #retryDue(): void {
    this.#timerAt = undefined;
    let earliest: number | undefined;
    for (const waiting of this.#inFlight.values()) {
      if (waiting.retryAt <= this.#now) {
        this.#effects.push({ type: "send", to: this.#setup.cluster.replicas, message: waiting.request });
        waiting.intervalMs = Math.min(2 * waiting.intervalMs, this.#retry.maxMs);
        waiting.retryAt = this.#now + this.#jittered(waiting.intervalMs);
      }
      earliest = Math.min(earliest ?? waiting.retryAt, waiting.retryAt);
    }
    if (earliest !== undefined) this.#wakeAt(earliest);
  }

  #linkUp(replica: ReplicaId): void {
    if (replica !== primaryOf(this.#view, this.#setup.cluster.n)) return;
    for (const { request } of this.#inFlight.values()) this.#effects.push({ type: "send", to: [replica], message: request });
  }

  #jittered(ms: number): number {
    const { random } = this.#setup;
    return random ? Math.round(ms + (random() * ms) / 2) : ms;
  }

  /** One timer for all; it may fire early, never late. */
  #wakeAt(at: number): void {
    if (this.#timerAt !== undefined && this.#timerAt <= at) return;
    this.#timerAt = at;
    this.#effects.push({ type: "set-timer", timer: retryTimer, ms: Math.max(0, Math.ceil(at - this.#now)) });
  }

  #receive(reply: Reply): void {
    const from = replicaName(reply.sender);
    if (reply.client !== this.#setup.self) return this.#reject("unsolicited", from);
    this.#learnView(reply.sender, reply.view);
    const refusals = reply.results.map((result) => this.#answer(reply.sender, result));
    if (refusals.every((refusal) => refusal !== undefined)) this.#reject(refusals[0] ?? "unsolicited", from);
    if (this.#inFlight.size === 0 && this.#timerAt !== undefined) {
      this.#timerAt = undefined;
      this.#effects.push({ type: "cancel-timer", timer: retryTimer });
    }
  }

  /** Why one result of a reply had no effect, or undefined. Views are not compared (rule 64). */
  #answer(replica: ReplicaId, { number, result }: RequestResult): RejectionCode | undefined {
    const waiting = this.#inFlight.get(number);
    if (!waiting) return this.#lateAnswer(replica, number, result);
    const known = waiting.answers.get(replica);
    // A correct replica has one result for a number for ever (rule 60): the first stands.
    if (known) return sameBytes(known, result) ? "duplicate" : this.#suspect(replica, number);
    waiting.answers.set(replica, result);
    const equal = [...waiting.answers.values()].filter((answer) => sameBytes(answer, result)).length;
    if (equal >= this.#setup.cluster.quorums.reply) this.#accept(number, waiting, result);
    return undefined;
  }

  /** Enough distinct replicas gave this result that a correct one is among them (rule 58). */
  #accept(number: RequestNumber, { answers }: InFlight, result: Uint8Array): void {
    this.#inFlight.delete(number);
    this.#effects.push({ type: "return", number, result });
    for (const [replica, answer] of answers) if (!sameBytes(answer, result)) this.#suspect(replica, number);
    this.#returned.set(number, { result, heard: new Set(answers.keys()) });
    const [first] = this.#returned.keys();
    if (this.#returned.size > clientLimits.comparedResults && first !== undefined) this.#returned.delete(first);
  }

  #lateAnswer(replica: ReplicaId, number: RequestNumber, result: Uint8Array): RejectionCode | undefined {
    const returned = this.#returned.get(number);
    const firstUnsent = this.#queue[0]?.message.number ?? this.#nextNumber;
    if (!returned) return number < firstUnsent ? "duplicate" : "unsolicited";
    if (returned.heard.has(replica)) return "duplicate";
    returned.heard.add(replica);
    if (!sameBytes(returned.result, result)) this.#suspect(replica, number);
    return undefined;
  }

  #suspect(replica: ReplicaId, number: RequestNumber): undefined {
    this.#effects.push({ type: "suspect", replica, number });
  }

  /** The view that f+1 replicas named at least: one of them is correct, so one liar leads nobody astray (rule 12, M32). */
  #learnView(replica: ReplicaId, named: View): void {
    if (named <= (this.#views.get(replica) ?? -1)) return;
    this.#views.set(replica, named);
    const descending = [...this.#views.values()].sort((a, b) => b - a);
    this.#view = descending[this.#setup.cluster.quorums.weak - 1] ?? this.#view;
  }

  #reject(code: RejectionCode, from?: NodeName): void {
    const rejection: Rejection = from ? { code, from, kind: "reply" } : { code, kind: "request" };
    this.#effects.push({ type: "reject", rejection });
  }
}

/** @throws RangeError when an interval is out of range */
export function checkedRetry(retry: RetryTiming): RetryTiming {
  const { firstMs, maxMs } = retry;
  const valid = [firstMs, maxMs].every((ms) => Number.isSafeInteger(ms) && ms >= 1 && ms < 2 ** 31);
  if (!valid || firstMs > maxMs)
    throw new RangeError(`expected retry intervals in 1..2^31-1 ms, first <= max, got ${firstMs} and ${maxMs}`);
  return retry;
}
