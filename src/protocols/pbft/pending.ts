/**
 * Requests known and not yet executed. Their ages drive the view timer (rules 41, 42). Each client has a share of its own, bounded by
 * its window and served in turn, so that a flooding client harms itself alone; open clients, who are as many as somebody likes,
 * have one share together (A68).
 */
import { openClientLimits } from "../../core/cluster.ts";
import { type ClientId, isOpenClient, type RequestNumber } from "../../core/ids.ts";
import type { Request, Verified } from "../../core/message.ts";

interface PendingRequest {
  readonly request: Verified<Request>;
  /** Counts arrivals. */
  readonly serial: number;
  readonly learnedAt: number;
  /** In a proposal of the current view already; a new view clears it (rule 39). */
  proposed: boolean;
}

/** The requests of one client, oldest first. */
interface Queue {
  readonly share: Share;
  readonly requests: Map<RequestNumber, PendingRequest>;
  /** Those that are in no proposal of the current view, by serial. */
  readonly waiting: Map<number, PendingRequest>;
  floor: number;
}

/** What is served in turn and grows old as one: a registered client, or all open clients. */
interface Share {
  /** By serial, so oldest first. */
  readonly requests: Map<number, PendingRequest>;
  /** Its clients with waiting requests, whose turn is next first. */
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
  /** Shares with waiting requests, whose turn is next first. It outlives a batch: who was served last does not start the next one. */
  #ready = new Set<Share>();
  /** Shares with pending requests, the longest waiting first. */
  #aging = new Set<Share>();
  #youngest = 0;
  #arrivals = 0;
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
    if (queue.requests.has(number)) return true;
    const { share } = queue;
    if (queue.requests.size >= this.#window || (share === this.#open && share.requests.size >= openClientLimits.openPending)) return false;
    const pending: PendingRequest = { request, serial: this.#arrivals++, learnedAt: now, proposed: false };
    if (queue.requests.size === 0) this.#queues.set(sender, queue);
    queue.requests.set(number, pending);
    share.requests.set(pending.serial, pending);
    this.#size += 1;
    this.#await(queue, pending);
    if (share.since === undefined) this.#age(share, now);
    return true;
  }

  /**
   * (c, t) executed with any operation: it and all up to the client's floor are pending no more (rule 41). The age starts anew
   * only when that took effect: ordering old requests again must not hide a starved new one (rule 42).
   */
  executed(client: ClientId, number: RequestNumber, floor: number, effectiveAt: number | undefined): void {
    const queue = this.#queues.get(client);
    if (!queue) return;
    const { share } = queue;
    if (effectiveAt !== undefined) share.executedAt = effectiveAt;
    this.#remove(queue, number);
    // The usual step is one number; a jump looks at every request.
    if (floor <= queue.floor + 1) this.#remove(queue, floor as RequestNumber);
    else for (const known of queue.requests.keys()) if (known <= floor) this.#remove(queue, known);
    queue.floor = Math.max(queue.floor, floor);
    this.#age(share, effectiveAt ?? oldestIn(share));
  }

  /** Drops what the state covers already, after an install. */
  drop(covered: (request: Request) => boolean): void {
    for (const queue of this.#queues.values()) {
      for (const [number, { request }] of queue.requests) if (covered(request.message)) this.#remove(queue, number);
      this.#age(queue.share, oldestIn(queue.share));
    }
  }

  markProposed(client: ClientId, number: RequestNumber): void {
    const queue = this.#queues.get(client);
    const pending = queue?.requests.get(number);
    if (!queue || !pending || pending.proposed) return;
    pending.proposed = true;
    this.#serve(queue, pending);
  }

  /** A new view: everything is to be proposed again (rule 39). */
  unpropose(): void {
    for (const queue of this.#queues.values()) {
      queue.waiting.clear();
      for (const pending of queue.requests.values()) {
        pending.proposed = false;
        this.#await(queue, pending);
      }
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
      const [pending] = queue?.waiting.values() ?? [];
      if (!share || !queue || !pending) break;
      this.#ready.delete(share);
      if (!fits(pending.request)) {
        passed.push(share);
        continue;
      }
      pending.proposed = true;
      taken.push(pending.request);
      share.ready.delete(queue);
      queue.waiting.delete(pending.serial);
      if (queue.waiting.size > 0) share.ready.add(queue);
      if (share.ready.size > 0) this.#ready.add(share);
    }
    if (passed.length > 0) this.#ready = new Set([...passed, ...this.#ready]);
    return taken;
  }

  /** Requests that are in no proposal, one of each client in turn, oldest first. */
  *waiting(): Iterable<Verified<Request>> {
    let lanes = [...this.#queues.values()].map(({ waiting }) => waiting.values());
    while (lanes.length > 0) {
      const round = lanes.map((lane) => ({ lane, next: lane.next() })).filter(({ next }) => !next.done);
      for (const { next } of round) if (!next.done) yield next.value.request;
      lanes = round.map(({ lane }) => lane);
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
    for (const { share, waiting } of this.#queues.values()) {
      const [first] = waiting.values();
      if (!first || share.since === undefined || Math.max(share.since, since) > before) continue;
      if (share === this.#open) open += 1;
      if (open <= openRelayed || share !== this.#open) yield first.request;
    }
  }

  #createQueue(client: ClientId): Queue {
    const share = isOpenClient(client) ? this.#open : createShare();
    return { share, requests: new Map(), waiting: new Map(), floor: 0 };
  }

  #await(queue: Queue, pending: PendingRequest): void {
    queue.waiting.set(pending.serial, pending);
    queue.share.ready.add(queue);
    this.#ready.add(queue.share);
  }

  #serve(queue: Queue, pending: PendingRequest): void {
    const { share, waiting } = queue;
    waiting.delete(pending.serial);
    if (waiting.size > 0) return;
    share.ready.delete(queue);
    if (share.ready.size === 0) this.#ready.delete(share);
  }

  #remove(queue: Queue, number: RequestNumber): void {
    const pending = queue.requests.get(number);
    if (!pending) return;
    const { share, requests } = queue;
    requests.delete(number);
    share.requests.delete(pending.serial);
    this.#size -= 1;
    if (!pending.proposed) this.#serve(queue, pending);
    // Registered clients are few; of the others nothing stays behind.
    if (requests.size === 0 && share === this.#open) this.#queues.delete(pending.request.message.sender);
  }

  /** The share waits from `since` on, if for anything: its place is nearly always the last one, for time only grows. */
  #age(share: Share, since: number): void {
    const now = share.requests.size > 0 ? since : undefined;
    if (now === share.since) return;
    share.since = now;
    this.#aging.delete(share);
    if (now === undefined) return;
    this.#aging.add(share);
    if (since < this.#youngest) this.#aging = new Set([...this.#aging].sort((a, b) => (a.since ?? 0) - (b.since ?? 0)));
    else this.#youngest = since;
  }
}

function oldestIn({ requests, executedAt }: Share): number {
  const [first] = requests.values();
  return Math.max(first?.learnedAt ?? 0, executedAt);
}

function createShare(): Share {
  return { requests: new Map(), ready: new Set(), executedAt: 0, since: undefined };
}
