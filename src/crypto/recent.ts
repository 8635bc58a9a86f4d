/** A memory of bounded size: what came in first goes first. The bound matters here, not which entry is made again. */
export class Recent<K, V> {
  readonly #entries = new Map<K, V>();
  readonly #size: number;

  /** @param size - entries kept, from 1 */
  constructor(size: number) {
    this.#size = size;
  }

  get(key: K): V | undefined {
    return this.#entries.get(key);
  }

  delete(key: K): void {
    this.#entries.delete(key);
  }

  set(key: K, value: V): void {
    this.#entries.set(key, value);
    if (this.#entries.size <= this.#size) return;
    for (const oldest of this.#entries.keys()) {
      this.#entries.delete(oldest);
      return;
    }
  }
}
