/**
 * A circuit breaker: when one operation after the other runs into its deadline, new ones are refused at once for a while, instead
 * of piling up behind a cluster that has no quorum. Pure: time is handed in, the host tells what became of each operation.
 */

export interface BreakerSettings {
  /** Operations in a row that ran into their deadline and open it, from 1; `Infinity` never does. */
  readonly failures: number;
  /** From opening to the first try, in ms; doubled each time that a try fails. */
  readonly coolDownMs: number;
  /** Where doubling ends. */
  readonly coolDownMaxMs: number;
}

export const defaultBreaker: BreakerSettings = { failures: 5, coolDownMs: 1_000, coolDownMaxMs: 30_000 };

/**
 * `closed`: everything goes through. `open`: nothing does, until the cool-down is over. `half-open`: one operation is let through
 * as a probe, and what becomes of it decides.
 */
export type BreakerState = "closed" | "open" | "half-open";

/** The answer to an operation that wants to go through. */
export type Admission =
  | { readonly admitted: true; readonly ticket: number }
  /** `failures`: how many in a row ran into their deadline. `retryInMs`: when the next one is let through; 0: a probe is on its way. */
  | { readonly admitted: false; readonly failures: number; readonly retryInMs: number };

/** Keeps a few numbers only. Times are monotonic ms. */
export class CircuitBreaker {
  readonly #settings: BreakerSettings;
  #failures = 0;
  #coolDownMs: number;
  /** When the next probe may go; undefined while closed. */
  #openUntil: number | undefined;
  #tickets = 0;
  /** The ticket of the operation that is let through while half-open. */
  #probe: number | undefined;

  /** @throws RangeError when a setting is out of range */
  constructor(settings: BreakerSettings = defaultBreaker) {
    this.#settings = checked(settings);
    this.#coolDownMs = settings.coolDownMs;
  }

  state(now: number): BreakerState {
    if (this.#openUntil === undefined) return "closed";
    return now < this.#openUntil ? "open" : "half-open";
  }

  /** Whoever is admitted must be followed up by `returned`, `timedOut` or `withdrawn`. */
  admit(now: number): Admission {
    const retryInMs = Math.max(0, (this.#openUntil ?? now) - now);
    if (retryInMs > 0 || this.#probe !== undefined) return { admitted: false, failures: this.#failures, retryInMs };
    this.#tickets += 1;
    if (this.#openUntil !== undefined) this.#probe = this.#tickets;
    return { admitted: true, ticket: this.#tickets };
  }

  /** Any result shows that there is a quorum, also that of an operation which its caller has given up. */
  returned(): void {
    this.#failures = 0;
    this.#coolDownMs = this.#settings.coolDownMs;
    this.#openUntil = undefined;
    this.#probe = undefined;
  }

  /** An operation ran into its deadline. While open only the probe says something new; the others were admitted before. */
  timedOut(now: number, ticket: number): void {
    this.#failures += 1;
    if (this.#openUntil === undefined) {
      if (this.#failures >= this.#settings.failures) this.#openUntil = now + this.#coolDownMs;
    } else if (ticket === this.#probe) {
      this.#coolDownMs = Math.min(2 * this.#coolDownMs, this.#settings.coolDownMaxMs);
      this.#openUntil = now + this.#coolDownMs;
      this.#probe = undefined;
    }
  }

  /** The operation ended without an outcome, because its caller gave it up or it was refused: the next one may be the probe. */
  withdrawn(ticket: number): void {
    if (ticket === this.#probe) this.#probe = undefined;
  }
}

function checked(settings: BreakerSettings): BreakerSettings {
  const { failures, coolDownMs, coolDownMaxMs } = settings;
  if (failures < 1 || !(Number.isInteger(failures) || failures === Number.POSITIVE_INFINITY))
    throw new RangeError(`expected failures to be an integer from 1, or Infinity, got ${failures}`);
  if (!(coolDownMs >= 1) || !(coolDownMaxMs >= coolDownMs) || !Number.isFinite(coolDownMaxMs))
    throw new RangeError(`expected cool-downs from 1 ms, first <= max, got ${coolDownMs} and ${coolDownMaxMs}`);
  return settings;
}
