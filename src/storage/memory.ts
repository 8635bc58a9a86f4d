/** Storage without a disk, for the simulator and for replicas of a short run. Like storage.ts it is pure: nothing of Node.js. */
import type { Storage } from "./storage.ts";

/** Fewer records are not worth a look. */
const recordsMin = 256;

/**
 * Storage that lives as long as the object: a node that restarts on the same object finds its records, one on a new object has
 * lost its disk. Records are durable at once.
 */
export class MemoryStorage<R> implements Storage<R> {
  readonly #compact: (records: readonly R[]) => readonly R[];
  #records: R[] = [];
  /** At this length the next look is due. */
  #full = recordsMin;

  /**
   * @param compact - leaves out what no restart needs any more. It is asked whenever there are twice as many records as it left the last
   *   time, which costs a constant per record and holds memory to twice the need. By default all records are kept
   */
  constructor(compact: (records: readonly R[]) => readonly R[] = (records) => records) {
    this.#compact = compact;
  }

  append(records: readonly R[], done: () => void): void {
    for (const record of records) this.#records.push(record);
    if (this.#records.length >= this.#full) {
      this.#records = [...this.#compact(this.#records)];
      this.#full = Math.max(recordsMin, 2 * this.#records.length);
    }
    done();
  }

  recover(): readonly R[] {
    return this.#records.slice();
  }
}
