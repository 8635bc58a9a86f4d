/** What happens often, told seldom: the first time at once, and then how often it happened meanwhile. */
import type { HostLimits } from "./limits.ts";

/** Writes that it happened `count` times since the last line, or for the first time: 1. */
type Write = (count: number) => void;

interface Repeated {
  count: number;
  /** The latest one tells for all. */
  write: Write;
  timer: NodeJS.Timeout;
}

export class Summary {
  readonly #limits: Pick<HostLimits, "summaryMs" | "summaries">;
  readonly #repeated = new Map<string, Repeated>();

  constructor(limits: Pick<HostLimits, "summaryMs" | "summaries">) {
    this.#limits = limits;
  }

  /**
   * @param kind - of which there are few
   * @param about - what tells one from another of its kind; when too many are told apart, the kind alone does
   * @param amount - what is counted, for example frames
   */
  add(kind: string, about: string, amount: number, write: Write): void {
    const name = `${kind} ${about}`;
    const key = this.#repeated.has(name) || this.#repeated.size < this.#limits.summaries ? name : kind;
    const repeated = this.#repeated.get(key);
    if (repeated !== undefined) {
      repeated.count += amount;
      repeated.write = write;
      return;
    }
    write(amount);
    this.#repeated.set(key, { count: 0, write, timer: this.#tellLater(key) });
  }

  /** Tells what is not told yet, and waits for nothing more. */
  flush(): void {
    for (const { count, write, timer } of this.#repeated.values()) {
      clearTimeout(timer);
      if (count > 0) write(count);
    }
    this.#repeated.clear();
  }

  #tellLater(key: string): NodeJS.Timeout {
    return setTimeout(() => this.#tell(key), this.#limits.summaryMs).unref();
  }

  #tell(key: string): void {
    const repeated = this.#repeated.get(key);
    if (repeated === undefined) return;
    const { count, write } = repeated;
    if (count === 0) return void this.#repeated.delete(key);
    write(count);
    repeated.count = 0;
    repeated.timer = this.#tellLater(key);
  }
}
