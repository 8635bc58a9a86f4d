/** A scenario over real processes and sockets: launch, drive, break, stop, and only then read what everybody wrote. */
import { rmSync } from "node:fs";
import type { ClientId } from "../core/ids.ts";
import { LabError } from "../core/lab-error.ts";
import { createRandom } from "../core/random.ts";
import type { Fault } from "../faults/fault.ts";
import { Driver } from "../harness/driver.ts";
import type { Scenario } from "../harness/scenario.ts";
import type { Client } from "./connect.ts";
import { type Judged, Laboratory } from "./laboratory.ts";
import type { ReplicaProgress } from "./replica-set.ts";

export interface SocketRunOptions {
  readonly seed: number;
  /** Where the nodes' traces go; emptied first. */
  readonly directory: string;
  /** The scenario's own file: a process that has to run a custom traitor loads it again. */
  readonly module?: string;
  readonly onProgress?: (returned: number, total: number) => void;
  /** Aborts the run and stops every process. */
  readonly signal?: AbortSignal;
}

/** How often the end of the run is looked for, in ms. */
const tickMs = 20;

/** @throws LabError when the replicas cannot be started, or the run was aborted */
export async function runOverSockets(scenario: Scenario, options: SocketRunOptions): Promise<Judged> {
  rmSync(options.directory, { recursive: true, force: true });
  const failures: unknown[] = [];
  const { seed, directory, module, signal } = options;
  const laboratory = await Laboratory.start(scenario, {
    seed,
    directory,
    onDeath: (why) => failures.push(why),
    ...(module !== undefined && { module }),
    ...(signal && { signal }),
  });
  const run = new SocketRun(scenario, options, laboratory, failures);
  try {
    await run.drive();
  } finally {
    await run.stop();
  }
  return laboratory.judged();
}

class SocketRun {
  readonly #scenario: Scenario;
  readonly #options: SocketRunOptions;
  readonly #laboratory: Laboratory;
  readonly #driver: Driver;
  readonly #clients: ReadonlyMap<ClientId, Client>;
  readonly #timers = new Set<NodeJS.Timeout>();
  readonly #failures: unknown[];

  constructor(scenario: Scenario, options: SocketRunOptions, laboratory: Laboratory, failures: unknown[]) {
    const { clients } = laboratory.cluster;
    this.#scenario = scenario;
    this.#options = options;
    this.#laboratory = laboratory;
    this.#failures = failures;
    this.#driver = new Driver(scenario, clients, createRandom(options.seed).fork("workload"));
    this.#clients = new Map(clients.map((id) => [id, laboratory.connect(id)]));
  }

  /** Lets the clients work and the faults happen. @returns when the run may end */
  async drive(): Promise<void> {
    const { network, faults } = this.#scenario;
    await this.#laboratory.linked(this.#clients.size);
    this.#laboratory.begin();
    if (network.stableFrom !== undefined) this.#after(network.stableFrom, () => this.#laboratory.stable());
    for (const fault of faults) {
      if (!("after" in fault.when)) continue;
      this.#after(fault.when.after, () => {
        this.#fire(fault);
        this.#driver.fired();
      });
    }
    for (const { client, operation } of this.#driver.begin()) this.#invoke(client, operation);
    let executed = -1;
    while (!this.#driver.mayEnd(this.#laboratory.now(), this.#settled())) {
      if (this.#failures.length > 0) throw this.#failures[0];
      this.#options.signal?.throwIfAborted();
      const now = Math.max(...this.#watched().map(({ executed: slot }) => slot));
      if (now > executed) this.#driver.progressed(this.#laboratory.now());
      executed = now;
      this.#options.onProgress?.(this.#driver.returned, this.#driver.operations);
      await new Promise((resolve) => setTimeout(resolve, tickMs));
    }
    this.#options.onProgress?.(this.#driver.returned, this.#driver.operations);
  }

  async stop(): Promise<void> {
    for (const timer of this.#timers) clearTimeout(timer);
    await Promise.all([...this.#clients.values()].map((client) => client.close()));
    await this.#laboratory.stop();
  }

  #invoke(client: ClientId, operation: Uint8Array): void {
    // The run's own bound says how long is too long.
    const returned = this.#clients.get(client)?.invoke(operation, { timeoutMs: Number.POSITIVE_INFINITY });
    returned?.then(
      (result) => {
        const { next, faults } = this.#driver.returnedTo(client, result, this.#laboratory.now());
        for (const fault of faults) this.#fire(fault);
        const { think } = this.#scenario.workload;
        for (const invocation of next) {
          if (think > 0) this.#after(think, () => this.#invoke(invocation.client, invocation.operation));
          else this.#invoke(invocation.client, invocation.operation);
        }
      },
      // Closed before the result came: the trace shows an invocation without a return, and the judge says so.
      (error: unknown) => (error instanceof LabError && error.code === "client-closed" ? undefined : this.#failures.push(error)),
    );
  }

  #fire(fault: Fault): void {
    this.#laboratory.fire(fault).catch((error: unknown) => this.#failures.push(error));
  }

  #after(ms: number, action: () => void): void {
    this.#timers.add(setTimeout(action, ms));
  }

  #watched(): (ReplicaProgress & { readonly running: boolean })[] {
    const { replicas } = this.#laboratory.cluster;
    return replicas.filter((id) => !this.#scenario.traitors[id]).map((id) => this.#laboratory.progress(id));
  }

  #settled(): boolean {
    const running = this.#watched().filter((replica) => replica.running);
    return new Set(running.map(({ executed }) => executed)).size <= 1;
  }
}
