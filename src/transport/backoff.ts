/** Pauses between calls to a peer that cannot be had: capped, and jittered so that peers do not come back in step (A75). */
import type { TransportLimits } from "./limits.ts";

export class Backoff {
  readonly #limits: Pick<TransportLimits, "backoffMs" | "backoffMaxMs">;
  readonly #random: () => number;
  #failures = 0;

  /** @param random - 0 up to 1, for the jitter */
  constructor(limits: Pick<TransportLimits, "backoffMs" | "backoffMaxMs">, random: () => number) {
    this.#limits = limits;
    this.#random = random;
  }

  /**
   * The pause in ms after a call that ended, be it at once or after `lastedMs` as a link. It doubles each time. Only a link that
   * lasted ends the series: one that is opened and refused again and again keeps backing off.
   */
  next(lastedMs: number): number {
    const { backoffMs, backoffMaxMs } = this.#limits;
    if (lastedMs >= backoffMaxMs) this.#failures = 0;
    const whole = Math.min(backoffMaxMs, backoffMs * 2 ** Math.min(this.#failures, 30));
    this.#failures += 1;
    return Math.round(whole / 2 + (this.#random() * whole) / 2);
  }
}
