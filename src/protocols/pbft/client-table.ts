/**
 * The replicated dedup table (rules 59-61): per client the highest number executed and the results within its window. It is
 * part of the state, inside the checkpoint digest; rows hold results only and are never evicted (A37).
 */
import type { ClientId, RequestNumber } from "../../core/ids.ts";
import type { Plain } from "../../wire/schema.ts";

interface Row {
  max: number;
  readonly results: Map<number, Uint8Array>;
}

export class ClientTable {
  readonly #window: number;
  readonly #rows = new Map<ClientId, Row>();

  /** @param window - W, the numbers remembered per client (rule 59) */
  constructor(window: number) {
    this.#window = window;
  }

  /** Numbers up to here are no-ops without a reply (rule 60). */
  floor(client: ClientId): number {
    return Math.max(0, (this.#rows.get(client)?.max ?? 0) - this.#window);
  }

  result(client: ClientId, number: RequestNumber): Uint8Array | undefined {
    return this.#rows.get(client)?.results.get(number);
  }

  /** Decides at execution, deterministically, whether the request takes effect (rule 61). */
  isNew(client: ClientId, number: RequestNumber): boolean {
    return number > this.floor(client) && this.result(client, number) === undefined;
  }

  record(client: ClientId, number: RequestNumber, result: Uint8Array): void {
    const row = this.#rows.get(client) ?? { max: 0, results: new Map<number, Uint8Array>() };
    this.#rows.set(client, row);
    row.results.set(number, result);
    if (number <= row.max) return;
    const before = row.max;
    row.max = number;
    const floor = number - this.#window;
    // The usual step is one number; a jump looks at every row.
    if (number === before + 1) row.results.delete(floor);
    else for (const known of row.results.keys()) if (known <= floor) row.results.delete(known);
  }

  /** In one canonical order: by client, by number. */
  toPlain(): Plain {
    return [...this.#rows.entries()]
      .sort(([a], [b]) => a - b)
      .map(([client, row]) => [
        client,
        row.max,
        [...row.results.entries()].sort(([a], [b]) => a - b).map(([number, result]) => [number, result]),
      ]);
  }

  /** Replaces all rows by what `toPlain` gave. The bytes were certified by a checkpoint, so shape errors are bugs of ours. */
  restore(plain: Plain): void {
    this.#rows.clear();
    for (const [client, max, results] of plain as [ClientId, number, [number, Uint8Array][]][]) {
      this.#rows.set(client, { max, results: new Map(results) });
    }
  }
}
