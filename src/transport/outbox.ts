/** Frames that wait for a socket: bounded, and consensus leaves before client traffic (A68, A79). Knows no socket. */

/** Agreement first: what keeps the replicas deciding is never starved by what clients cause. */
export type Priority = "consensus" | "client";

export class Outbox {
  readonly #consensus = new Fifo();
  readonly #client = new Fifo();
  readonly #maxBytes: number;
  readonly #maxFrames: number;

  constructor(maxBytes: number, maxFrames: number) {
    this.#maxBytes = maxBytes;
    this.#maxFrames = maxFrames;
  }

  get bytes(): number {
    return this.#consensus.bytes + this.#client.bytes;
  }

  get frames(): number {
    return this.#consensus.length + this.#client.length;
  }

  /** @returns how many frames gave way: the oldest of the lowest priority, be it the new one. */
  push(frame: Uint8Array, priority: Priority): number {
    (priority === "consensus" ? this.#consensus : this.#client).push(frame);
    let dropped = 0;
    while (this.bytes > this.#maxBytes || this.frames > this.#maxFrames) {
      if (this.#client.shift() === undefined) this.#consensus.shift();
      dropped += 1;
    }
    return dropped;
  }

  /** The next frame to send. */
  shift(): Uint8Array | undefined {
    return this.#consensus.shift() ?? this.#client.shift();
  }
}

interface Entry {
  readonly frame: Uint8Array;
  next: Entry | undefined;
}

/** First in, first out, as a linked list: constant time, and what left is free at once. */
class Fifo {
  #first: Entry | undefined;
  #last: Entry | undefined;
  bytes = 0;
  length = 0;

  push(frame: Uint8Array): void {
    const entry: Entry = { frame, next: undefined };
    if (this.#last === undefined) this.#first = entry;
    else this.#last.next = entry;
    this.#last = entry;
    this.bytes += frame.length;
    this.length += 1;
  }

  shift(): Uint8Array | undefined {
    const entry = this.#first;
    if (entry === undefined) return undefined;
    this.#first = entry.next;
    if (entry.next === undefined) this.#last = undefined;
    this.bytes -= entry.frame.length;
    this.length -= 1;
    return entry.frame;
  }
}
