/** The one event queue of a simulation: a binary heap by time, then by order of insertion, so that ties are no accident. */

interface Entry<E> {
  readonly at: number;
  readonly sequence: number;
  readonly event: E;
}

export class EventQueue<E> {
  readonly #heap: Entry<E>[] = [];
  #sequence = 0;

  get size(): number {
    return this.#heap.length;
  }

  /** @param at - virtual time in ms */
  push(at: number, event: E): void {
    const heap = this.#heap;
    const entry: Entry<E> = { at, sequence: this.#sequence++, event };
    let index = heap.length;
    heap.push(entry);
    while (index > 0) {
      const parent = (index - 1) >> 1;
      const above = heap[parent] as Entry<E>;
      if (isBefore(above, entry)) break;
      heap[index] = above;
      index = parent;
    }
    heap[index] = entry;
  }

  /** The earliest event, or undefined when nothing is left. */
  pop(): { readonly at: number; readonly event: E } | undefined {
    const heap = this.#heap;
    const first = heap[0];
    const last = heap.pop();
    if (!first || !last || heap.length === 0) return first;
    let index = 0;
    for (;;) {
      let child = 2 * index + 1;
      if (child >= heap.length) break;
      const right = heap[child + 1];
      if (right && isBefore(right, heap[child] as Entry<E>)) child += 1;
      const below = heap[child] as Entry<E>;
      if (isBefore(last, below)) break;
      heap[index] = below;
      index = child;
    }
    heap[index] = last;
    return first;
  }
}

function isBefore<E>(a: Entry<E>, b: Entry<E>): boolean {
  return a.at < b.at || (a.at === b.at && a.sequence < b.sequence);
}
