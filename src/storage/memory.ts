/** Storage without a disk, for the simulator and for replicas of a short run. Like storage.ts it is pure: nothing of Node.js. */
import type { Storage } from "./storage.ts";

/**
 * Storage that lives as long as the object: a node that restarts on the same object finds its records, one on a new object has
 * lost its disk. Records are durable at once.
 */
export class MemoryStorage<R> implements Storage<R> {
  readonly #records: R[] = [];

  append(records: readonly R[], done: () => void): void {
    for (const record of records) this.#records.push(record);
    done();
  }

  recover(): readonly R[] {
    return this.#records.slice();
  }
}
