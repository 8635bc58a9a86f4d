/**
 * The replicated dedup table (rules 59-61): per client the highest number executed and the results within its window. It is
 * part of the state, inside the checkpoint digest; rows hold results only and are never evicted (A37).
 */
import { sameBytes } from "../../core/bytes.ts";
import { type Limits, openClientLimits } from "../../core/cluster.ts";
import { type ClientId, isOpenClient, type RequestNumber } from "../../core/ids.ts";
import type { Request } from "../../core/message.ts";
import type { Plain } from "../../wire/schema.ts";

interface Row {
  max: number;
  readonly results: Map<number, Uint8Array>;
  /** Of an open client: the first key that took effect has the row for good, should another one ever give the same number. */
  readonly publicKey: Uint8Array | undefined;
}

export class ClientTable {
  readonly #window: number;
  readonly #resultBytes: number;
  readonly #rows = new Map<ClientId, Row>();
  #openRows = 0;
  #openBytes = 0;

  /** @param limits - W, the numbers remembered per client (rule 59), and the longest result */
  constructor(limits: Pick<Limits, "clientWindow" | "resultBytes">) {
    this.#window = limits.clientWindow;
    this.#resultBytes = limits.resultBytes;
  }

  /** Clients with a row. */
  get size(): number {
    return this.#rows.size;
  }

  /** Numbers up to here are no-ops without a reply (rule 60). */
  floor(client: ClientId): number {
    return Math.max(0, (this.#rows.get(client)?.max ?? 0) - this.#window);
  }

  result(client: ClientId, number: RequestNumber): Uint8Array | undefined {
    return this.#rows.get(client)?.results.get(number);
  }

  /** Decides at execution, deterministically, whether the request is one that was not executed before (rule 61). */
  isNew({ sender, number, publicKey }: Request): boolean {
    const row = this.#rows.get(sender);
    if (!row) return number > 0;
    return number > Math.max(0, row.max - this.#window) && !row.results.has(number) && !isOfAnother(row, publicKey);
  }

  /** True when the sender's row belongs to another key: somebody tried some 2^52 keys to find one with the same number. */
  belongsToAnother({ sender, publicKey }: Request): boolean {
    const row = this.#rows.get(sender);
    return row !== undefined && isOfAnother(row, publicKey);
  }

  /** True when all rows for open clients are taken; rows are never evicted (A37, A68). */
  get isClosed(): boolean {
    return this.#openRows >= openClientLimits.openClients;
  }

  /** True when this client is a new open one, which can never take effect again once the table is closed. */
  isClosedTo(client: ClientId): boolean {
    return this.isClosed && isOpenClient(client) && !this.#rows.has(client);
  }

  /** Decides at execution whether there is room for one more result of this client; the same on every replica. */
  hasRoomFor(client: ClientId): boolean {
    if (!isOpenClient(client)) return true;
    return !this.isClosedTo(client) && this.#openBytes + this.#resultBytes <= openClientLimits.openResultBytes;
  }

  record({ sender: client, number, publicKey }: Request, result: Uint8Array): void {
    const row = this.#rows.get(client) ?? this.#addRow(client, { max: 0, results: new Map(), publicKey });
    row.results.set(number, result);
    this.#weigh(client, result.length);
    if (number <= row.max) return;
    const before = row.max;
    row.max = number;
    const floor = number - this.#window;
    // The usual step is one number; a jump looks at every row.
    if (number === before + 1) this.#forget(client, row, floor);
    else for (const known of row.results.keys()) if (known <= floor) this.#forget(client, row, known);
  }

  /** In one canonical order: by client, by number. */
  toPlain(): Plain {
    return [...this.#rows.entries()]
      .sort(([a], [b]) => a - b)
      .map(([client, { max, results, publicKey }]) => [
        client,
        max,
        [...results.entries()].sort(([a], [b]) => a - b).map(([number, result]) => [number, result]),
        ...(publicKey ? [publicKey] : []),
      ]);
  }

  /** Replaces all rows by what `toPlain` gave. The bytes were certified by a checkpoint, so shape errors are bugs of ours. */
  restore(plain: Plain): void {
    this.#rows.clear();
    this.#openRows = 0;
    this.#openBytes = 0;
    for (const [client, max, results, publicKey] of plain as [ClientId, number, [number, Uint8Array][], Uint8Array?][]) {
      this.#addRow(client, { max, results: new Map(results), publicKey });
      for (const [, result] of results) this.#weigh(client, result.length);
    }
  }

  #addRow(client: ClientId, row: Row): Row {
    this.#rows.set(client, row);
    if (isOpenClient(client)) this.#openRows += 1;
    return row;
  }

  #forget(client: ClientId, { results }: Row, number: number): void {
    this.#weigh(client, -(results.get(number)?.length ?? 0));
    results.delete(number);
  }

  #weigh(client: ClientId, bytes: number): void {
    if (isOpenClient(client)) this.#openBytes += bytes;
  }
}

function isOfAnother(row: Row, publicKey: Uint8Array | undefined): boolean {
  return row.publicKey !== undefined && (publicKey === undefined || !sameBytes(row.publicKey, publicKey));
}
