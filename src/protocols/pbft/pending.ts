/**
 * Requests known and not yet executed. Their ages drive the view timer (rules 41, 42). Each client has a share of its own, bounded by
 * its window and served in turn, so that a flooding client harms itself alone; open clients, who are as many as somebody likes,
 * have one share together (A68).
 */
import { openClientLimits } from "../../core/cluster.ts";
import { type ClientId, isOpenClient, type RequestNumber } from "../../core/ids.ts";
import type { Request, Verified } from "../../core/message.ts";
import { Line, type PendingRequest } from "./line.ts";

/** The requests of one client. */
interface Queue {
  readonly share: Share;
  /** Oldest first. */
  readonly requests: Map<RequestNumber, PendingRequest>;
  /** Those that are in no proposal of the current view. */
  readonly line: Line;
  floor: number;
}

/** What is served in turn and grows old as one: a registered client, or all open clients. */
interface Share {
  /** Pending requests. */
  size: number;
  /** Its clients with something to propose, whose turn is next first. */
  readonly ready: Set<Queue>;
  executedAt: number;
  /** Since when it has waited; undefined while nothing is pending. */
  since: number | undefined;
}

/** Open clients whose overdue requests one tick relays. */
const openRelayed = 32;

export class PendingRequests {
  readonly #window: number;
  readonly #queues = new Map<ClientId, Queue>();
  readonly #open = createShare();
  /** Shares with something to propose, whose turn is next first. It outlives a batch: who was served last does not start the next one. */
  #ready = new Set<Share>();
  /** Shares with pending requests, the longest waiting first. */
  #aging = new Set<Share>();
  #youngest = 0;
  #size = 0;

  constructor(window: number) {
    this.#window = window;
  }

  get size(): number {
    return this.#size;
  }

  has(client: ClientId, number: RequestNumber): boolean {
    return this.#queues.get(client)?.requests.has(number) ?? false;
  }

  /** False when the client's share is full. */
  add(request: Verified<Request>, now: number): boolean {
    const { sender, number } = request.message;
    const queue = this.#queues.get(sender) ?? this.#createQueue(sender);
    const { share, requests } = queue;
    if (requests.has(number)) return true;
    if (requests.size >= this.#window || (share === this.#open && share.size >= openClientLimits.openPending)) return false;
    const pending: PendingRequest = { request, learnedAt: now, waiting: true };
    if (requests.size === 0) this.#queues.set(sender, queue);
    requests.set(number, pending);
    share.size += 1;
    this.#size += 1;
    this.#enqueue(queue, pending);
    if (share.since === undefined) this.#age(share, now);
    return true;
  }

  /**
   * (c, t) executed with any operation: it and all up to the client's floor are pending no more (rule 41). The age starts anew
   * only when that took effect: ordering old requests again must not hide a starved new one (rule 42).
   */
  executed(client: ClientId, number: RequestNumber, floor: number, effectiveAt: number | undefined): void {
    const queue = this.#queues.get(client);
    // With a full share others of it may be served whose requests are not known here.
    if (!queue) return isOpenClient(client) && effectiveAt !== undefined ? this.#served(this.#open, effectiveAt) : undefined;
    const { share, requests } = queue;
    this.#remove(queue, number);
    // The usual step is one number; a jump looks at every request.
    if (floor <= queue.floor + 1) this.#remove(queue, floor as RequestNumber);
    else for (const known of requests.keys()) if (known <= floor) this.#remove(queue, known);
    queue.floor = Math.max(queue.floor, floor);
    if (effectiveAt === undefined) this.#age(share, this.#oldestIn(queue));
    else this.#served(share, effectiveAt);
  }

  /** Drops what the state covers already, after an install. */
  drop(covered: (request: Request) => boolean): void {
    for (const queue of this.#queues.values()) {
      for (const [number, { request }] of queue.requests) if (covered(request.message)) this.#remove(queue, number);
    }
    // Each share once: the open one has many queues, or by now none.
    const shares = new Map([...this.#queues.values()].map((queue) => [queue.share, queue]));
    for (const [share, queue] of shares) this.#age(share, this.#oldestIn(queue));
    this.#age(this.#open, this.#open.since ?? 0);
  }

  markProposed(client: ClientId, number: RequestNumber): void {
    const queue = this.#queues.get(client);
    const pending = queue?.requests.get(number);
    if (queue && pending) this.#leaveLine(queue, pending);
  }

  /** A new view: everything is to be proposed again (rule 39). */
  unpropose(): void {
    for (const queue of this.#queues.values()) {
      queue.line.clear();
      for (const pending of queue.requests.values()) this.#enqueue(queue, pending);
    }
  }

  /**
   * Takes out requests to propose next, one of each share in turn (rule 42); inside the open share, one of each client. They count as
   * proposed from now on.
   *
   * @param fits - asked for each; a share whose next request does not fit is passed over, and begins the next time
   */
  take(max: number, fits: (request: Verified<Request>) => boolean): Verified<Request>[] {
    const taken: Verified<Request>[] = [];
    const passed: Share[] = [];
    while (taken.length < max) {
      const [share] = this.#ready;
      const [queue] = share?.ready ?? [];
      const next = queue?.line.first;
      if (!share || !queue || !next) break;
      this.#ready.delete(share);
      if (!fits(next.request)) {
        passed.push(share);
        continue;
      }
      taken.push(next.request);
      share.ready.delete(queue);
      queue.line.leave(next);
      if (queue.line.length > 0) share.ready.add(queue);
      if (share.ready.size > 0) this.#ready.add(share);
    }
    if (passed.length > 0) this.#ready = new Set([...passed, ...this.#ready]);
    return taken;
  }

  /** Whether so many requests at least are in no proposal. */
  hasWaiting(count: number): boolean {
    let found = 0;
    for (const share of this.#ready) {
      for (const { line } of share.ready) {
        found += line.length;
        if (found >= count) return true;
      }
    }
    return found >= count;
  }

  /** Requests that are in no proposal, one of each client in turn, oldest first. */
  *waiting(): Iterable<Verified<Request>> {
    let lines = [...this.#queues.values()].map(({ line }) => line.all());
    while (lines.length > 0) {
      lines = lines.filter((line) => line.length > 0);
      for (const line of lines) {
        const next = line.shift();
        if (next) yield next.request;
      }
    }
  }

  /** When the longest-waiting share began to wait; undefined when nothing is pending. `since` bounds it from below (rule 42). */
  oldestSince(since: number): number | undefined {
    const [share] = this.#aging;
    return share?.since === undefined ? undefined : Math.max(share.since, since);
  }

  /** Of each client whose share has waited since `before` or longer, the first request that is in no proposal. `since` as above. */
  *overdue(before: number, since: number): Iterable<Verified<Request>> {
    let open = 0;
    for (const { share, line } of this.#queues.values()) {
      const { first } = line;
      if (!first || share.since === undefined || Math.max(share.since, since) > before) continue;
      if (share === this.#open) open += 1;
      if (open <= openRelayed || share !== this.#open) yield first.request;
    }
  }

  #createQueue(client: ClientId): Queue {
    const share = isOpenClient(client) ? this.#open : createShare();
    return { share, requests: new Map(), line: new Line(), floor: 0 };
  }

  #enqueue(queue: Queue, pending: PendingRequest): void {
    queue.line.join(pending);
    queue.share.ready.add(queue);
    this.#ready.add(queue.share);
  }

  #leaveLine(queue: Queue, pending: PendingRequest): void {
    const { share, line } = queue;
    line.leave(pending);
    if (line.length > 0 || !share.ready.delete(queue)) return;
    if (share.ready.size === 0) this.#ready.delete(share);
  }

  #remove(queue: Queue, number: RequestNumber): void {
    const { share, requests } = queue;
    const pending = requests.get(number);
    if (!pending) return;
    requests.delete(number);
    share.size -= 1;
    this.#size -= 1;
    this.#leaveLine(queue, pending);
    // Registered clients are few; of the others nothing stays behind.
    if (requests.size === 0 && share === this.#open) this.#queues.delete(pending.request.message.sender);
  }

  #served(share: Share, at: number): void {
    share.executedAt = at;
    this.#age(share, at);
  }

  /** Since when the share of this queue waits, all that it holds looked at. */
  #oldestIn(queue: Queue): number {
    const { share } = queue;
    const queues = share === this.#open ? [...this.#queues.values()].filter((other) => other.share === share) : [queue];
    const learned = queues.flatMap(({ requests }) => [...requests.values()].slice(0, 1).map(({ learnedAt }) => learnedAt));
    return Math.max(Math.min(...learned), share.executedAt);
  }

  /** The share waits from `since` on, if for anything: its place is nearly always the last one, for time only grows. */
  #age(share: Share, since: number): void {
    const now = share.size > 0 ? since : undefined;
    if (now === share.since) return;
    share.since = now;
    this.#aging.delete(share);
    if (now === undefined) return;
    this.#aging.add(share);
    if (since < this.#youngest) this.#aging = new Set([...this.#aging].sort((a, b) => (a.since ?? 0) - (b.since ?? 0)));
    else this.#youngest = since;
  }
}

function createShare(): Share {
  return { size: 0, ready: new Set(), executedAt: 0, since: undefined };
}
