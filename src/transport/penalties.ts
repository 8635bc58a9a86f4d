/** Who is cut off, and until when. Temporary: a correct peer whose bytes were damaged once comes back (rule 90). */
import type { NodeName } from "../core/ids.ts";
import type { TransportLimits } from "./limits.ts";

interface Sentence {
  readonly until: number;
  readonly ms: number;
}

export class Penalties {
  readonly #limits: Pick<TransportLimits, "penaltyMs" | "penaltyMaxMs">;
  readonly #sentences = new Map<NodeName, Sentence>();

  constructor(limits: Pick<TransportLimits, "penaltyMs" | "penaltyMaxMs">) {
    this.#limits = limits;
  }

  /**
   * Cuts `peer` off from `now` on: for twice as long as last time, unless it behaved for longer than `penaltyMaxMs` since.
   *
   * @returns for how many ms
   */
  impose(peer: NodeName, now: number): number {
    const last = this.#sentences.get(peer);
    const again = last !== undefined && now - last.until <= this.#limits.penaltyMaxMs;
    const ms = again ? Math.min(last.ms * 2, this.#limits.penaltyMaxMs) : this.#limits.penaltyMs;
    this.#sentences.set(peer, { until: now + ms, ms });
    return ms;
  }

  /** Until when `peer` is cut off, on the clock of `impose`; 0 when it never was. */
  until(peer: NodeName): number {
    return this.#sentences.get(peer)?.until ?? 0;
  }
}
