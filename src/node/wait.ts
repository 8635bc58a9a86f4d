/** A promise that is settled once: by its maker, by a deadline, or by an AbortSignal, whichever comes first. */

export interface WaitOptions {
  /** How long to wait, in ms, from 0; `Infinity` is for ever. @defaultValue for ever */
  readonly timeoutMs?: number;
  /** Ends the wait early, with its reason. */
  readonly signal?: AbortSignal;
}

/** What `setTimeout` can express, about 25 days; on more it fires at once (rule 46). */
const timerMaxMs = 2 ** 31 - 1;

export class Wait<T> {
  readonly promise: Promise<T>;
  readonly #signal: AbortSignal | undefined;
  readonly #timer: NodeJS.Timeout | undefined;
  readonly #givenUp: (why: "deadline" | "abort") => unknown;
  #settle: { readonly resolve: (value: T) => void; readonly reject: (error: unknown) => void } | undefined;

  /** @param givenUp - called when a deadline or the signal ends the wait; gives the error to reject with */
  constructor({ timeoutMs, signal }: WaitOptions, givenUp: (why: "deadline" | "abort") => unknown) {
    this.promise = new Promise((resolve, reject) => {
      this.#settle = { resolve, reject };
    });
    this.#signal = signal;
    this.#givenUp = givenUp;
    signal?.addEventListener("abort", this.#onAbort, { once: true });
    if (timeoutMs !== undefined && timeoutMs <= timerMaxMs) this.#timer = setTimeout(this.#onDeadline, timeoutMs);
  }

  /** Nobody waits any more. */
  get settled(): boolean {
    return this.#settle === undefined;
  }

  resolve(value: T): void {
    this.#end()?.resolve(value);
  }

  reject(error: unknown): void {
    this.#end()?.reject(error);
  }

  readonly #onDeadline = (): void => this.reject(this.#givenUp("deadline"));
  readonly #onAbort = (): void => this.reject(this.#givenUp("abort"));

  #end() {
    const settle = this.#settle;
    this.#settle = undefined;
    clearTimeout(this.#timer);
    this.#signal?.removeEventListener("abort", this.#onAbort);
    return settle;
  }
}
