/** Named timers on the event loop; the core derives them, the host only keeps them. */
export class Timers {
  readonly #timers = new Map<string, NodeJS.Timeout>();
  readonly #fire: (name: string) => void;

  constructor(fire: (name: string) => void) {
    this.#fire = fire;
  }

  /** Setting a name again moves it. @param ms - clamped to what `setTimeout` can express, or it would fire at once (rule 46) */
  set(name: string, ms: number): void {
    clearTimeout(this.#timers.get(name));
    const timer = setTimeout(
      () => {
        this.#timers.delete(name);
        this.#fire(name);
      },
      Math.min(Math.max(0, ms), 2 ** 31 - 1),
    );
    this.#timers.set(name, timer);
  }

  cancel(name: string): void {
    clearTimeout(this.#timers.get(name));
    this.#timers.delete(name);
  }

  clear(): void {
    for (const timer of this.#timers.values()) clearTimeout(timer);
    this.#timers.clear();
  }
}
