/** A node's own trace file: one JSON line per record. A decision is on its way to the kernel before the next effect, so that a SIGKILL loses none. */
import { closeSync, existsSync, openSync, readFileSync, truncateSync, writeSync } from "node:fs";
import type { TraceRecord } from "../harness/trace.ts";
import { formatRecord } from "../harness/trace-text.ts";

export class TraceWriter {
  readonly #file: number;
  #lines: string[] = [];
  #scheduled = false;
  #closed = false;

  /** @param path - created, or appended to when a node comes back; a last line that a SIGKILL cut short is dropped */
  constructor(path: string) {
    if (existsSync(path)) truncateSync(path, readFileSync(path).lastIndexOf("\n") + 1);
    this.#file = openSync(path, "a");
  }

  /** After `close` nothing is written any more. */
  write(record: TraceRecord): void {
    if (this.#closed) return;
    this.#lines.push(formatRecord(record));
    if (record.event === "decide") this.flush();
    else if (!this.#scheduled) {
      this.#scheduled = true;
      setImmediate(() => this.flush());
    }
  }

  flush(): void {
    this.#scheduled = false;
    if (this.#lines.length === 0) return;
    const text = `${this.#lines.join("\n")}\n`;
    this.#lines = [];
    let rest = Buffer.from(text);
    while (rest.length > 0) rest = rest.subarray(writeSync(this.#file, rest));
  }

  close(): void {
    if (this.#closed) return;
    this.flush();
    this.#closed = true;
    closeSync(this.#file);
  }
}
