/** Starts the warden, which ends the replicas when this process dies without having stopped them. */
import { type ChildProcess, spawn } from "node:child_process";
import { programPath, sourceFlags } from "./body.ts";

export class Warden {
  readonly #process: ChildProcess;

  constructor() {
    this.#process = spawn(process.execPath, [...sourceFlags(), programPath("warden-main")], { stdio: ["pipe", "ignore", 2] });
    // Without a warden the replicas still stop by themselves, but for those that are paused.
    this.#process.on("error", () => undefined);
    this.#process.stdin?.on("error", () => undefined);
    this.#process.unref();
  }

  /** From now on these are the processes to end. */
  guard(pids: readonly (number | undefined)[]): void {
    this.#process.stdin?.write(`${pids.filter((pid) => pid !== undefined).join(" ")}\n`);
  }

  /** @returns when it is gone; it ends nobody that it was not told of last */
  async dismiss(): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null || this.#process.pid === undefined) return;
    const gone = new Promise((resolve) => this.#process.once("close", resolve));
    this.#process.ref();
    this.#process.stdin?.end("\n");
    await gone;
  }
}
