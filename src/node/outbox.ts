/**
 * One FIFO outbox per node: nothing emitted after a `persist`, by the same or any later input, is carried out before the
 * records are durable (PROTOCOL pins; rules 65-71).
 */
import type { Effect } from "../core/contract.ts";
import type { Storage } from "../storage/storage.ts";

type Persist<R> = { readonly type: "persist"; readonly records: readonly R[] };

export class Outbox<M, R> {
  readonly #storage: Pick<Storage<R>, "append">;
  readonly #carryOut: (effect: Exclude<Effect<M, R>, Persist<R>>) => void;
  readonly #waiting: Effect<M, R>[] = [];
  #blocked = false;
  #draining = false;

  constructor(storage: Pick<Storage<R>, "append">, carryOut: (effect: Exclude<Effect<M, R>, Persist<R>>) => void) {
    this.#storage = storage;
    this.#carryOut = carryOut;
  }

  push(effects: readonly Effect<M, R>[]): void {
    this.#waiting.push(...effects);
    this.#drain();
  }

  #drain(): void {
    if (this.#draining) return;
    this.#draining = true;
    while (!this.#blocked) {
      const effect = this.#waiting.shift();
      if (!effect) break;
      if (effect.type === "persist") this.#persist(effect.records);
      else this.#carryOut(effect);
    }
    this.#draining = false;
  }

  #persist(records: readonly R[]): void {
    this.#blocked = true;
    this.#storage.append(records, () => {
      this.#blocked = false;
      this.#drain();
    });
  }
}
