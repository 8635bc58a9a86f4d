/** Requests of one client in the order in which they came, any of which may leave before its turn. */
import type { Request, Verified } from "../../core/message.ts";

export interface PendingRequest {
  readonly request: Verified<Request>;
  readonly learnedAt: number;
  /** In a line; false once it is in a proposal of the current view, or gone. */
  waiting: boolean;
}

/** What left stays in the array until it is passed or half of the array is such. */
export class Line {
  #entries: PendingRequest[] = [];
  #head = 0;
  #length = 0;

  get length(): number {
    return this.#length;
  }

  get first(): PendingRequest | undefined {
    while (this.#entries[this.#head]?.waiting === false) this.#head += 1;
    return this.#entries[this.#head];
  }

  join(pending: PendingRequest): void {
    if (this.#entries.length >= 2 * this.#length + 32) {
      this.#entries = this.all();
      this.#head = 0;
    }
    pending.waiting = true;
    this.#entries.push(pending);
    this.#length += 1;
  }

  leave(pending: PendingRequest): void {
    if (pending.waiting) this.#length -= 1;
    pending.waiting = false;
  }

  all(): PendingRequest[] {
    return this.#entries.slice(this.#head).filter(({ waiting }) => waiting);
  }

  clear(): void {
    this.#entries = [];
    this.#head = 0;
    this.#length = 0;
  }
}
