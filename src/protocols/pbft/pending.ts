/**
 * Requests known and not yet executed, per client. Their ages drive the view timer (rules 41, 42); their bound is the client's
 * own window, so a flooding client harms itself alone (A68).
 */
import type { ClientId, RequestNumber } from "../../core/ids.ts";
import type { Request, Verified } from "../../core/message.ts";

export interface PendingRequest {
  readonly request: Verified<Request>;
  readonly learnedAt: number;
  /** In a proposal of the current view already; a new view clears it (rule 39). */
  proposed: boolean;
}

interface ClientQueue {
  readonly requests: Map<RequestNumber, PendingRequest>;
  executedAt: number;
}

export class PendingRequests {
  readonly #window: number;
  readonly #clients = new Map<ClientId, ClientQueue>();

  constructor(window: number) {
    this.#window = window;
  }

  get size(): number {
    let total = 0;
    for (const queue of this.#clients.values()) total += queue.requests.size;
    return total;
  }

  has(client: ClientId, number: RequestNumber): boolean {
    return this.#clients.get(client)?.requests.has(number) ?? false;
  }

  /** False when the client's share is full. */
  add(request: Verified<Request>, now: number): boolean {
    const { sender, number } = request.message;
    const queue = this.#queue(sender);
    if (queue.requests.has(number)) return true;
    if (queue.requests.size >= this.#window) return false;
    queue.requests.set(number, { request, learnedAt: now, proposed: false });
    return true;
  }

  /**
   * (c, t) executed with any operation: it and all up to the client's floor are pending no more (rule 41). The age starts anew
   * only when that took effect: ordering old requests again must not hide a starved new one (rule 42).
   */
  executed(client: ClientId, number: RequestNumber, floor: number, effectiveAt: number | undefined): void {
    const queue = this.#queue(client);
    queue.requests.delete(number);
    for (const known of queue.requests.keys()) if (known <= floor) queue.requests.delete(known);
    if (effectiveAt !== undefined) queue.executedAt = effectiveAt;
  }

  /** Drops what the state covers already, after an install. */
  drop(covered: (client: ClientId, number: RequestNumber) => boolean): void {
    for (const [client, queue] of this.#clients) {
      for (const number of queue.requests.keys()) if (covered(client, number)) queue.requests.delete(number);
    }
  }

  markProposed(client: ClientId, number: RequestNumber): void {
    const pending = this.#clients.get(client)?.requests.get(number);
    if (pending) pending.proposed = true;
  }

  /** A new view: everything is to be proposed again (rule 39). */
  unpropose(): void {
    for (const pending of this.all()) pending.proposed = false;
  }

  *all(): Iterable<PendingRequest> {
    for (const queue of this.#clients.values()) yield* queue.requests.values();
  }

  /** Requests to propose next, one of each client in turn (rule 42), `max` at most. */
  take(max: number): Verified<Request>[] {
    const lanes = [...this.#clients.entries()]
      .sort(([a], [b]) => a - b)
      .map(([, queue]) => [...queue.requests.values()].filter((pending) => !pending.proposed));
    const taken: Verified<Request>[] = [];
    for (let round = 0; taken.length < max; round++) {
      const before = taken.length;
      for (const lane of lanes) {
        const pending = lane[round];
        if (pending && taken.length < max) taken.push(pending.request);
      }
      if (taken.length === before) break;
    }
    return taken;
  }

  get anyUnproposed(): boolean {
    for (const pending of this.all()) if (!pending.proposed) return true;
    return false;
  }

  /** When the longest-waiting client began to wait; undefined when nothing is pending. `since` bounds it from below (rule 42). */
  oldestSince(since: number): number | undefined {
    let oldest: number | undefined;
    for (const queue of this.#clients.values()) {
      const [first] = queue.requests.values();
      if (!first) continue;
      const waiting = Math.max(first.learnedAt, queue.executedAt, since);
      if (oldest === undefined || waiting < oldest) oldest = waiting;
    }
    return oldest;
  }

  /** Of each client that has waited since `before` or longer, the first request that is in no proposal. `since` as above. */
  *overdue(before: number, since: number): Iterable<Verified<Request>> {
    for (const queue of this.#clients.values()) {
      const [first] = queue.requests.values();
      if (!first || Math.max(first.learnedAt, queue.executedAt, since) > before) continue;
      for (const { request, proposed } of queue.requests.values()) {
        if (proposed) continue;
        yield request;
        break;
      }
    }
  }

  #queue(client: ClientId): ClientQueue {
    const queue = this.#clients.get(client) ?? { requests: new Map<RequestNumber, PendingRequest>(), executedAt: 0 };
    this.#clients.set(client, queue);
    return queue;
  }
}
