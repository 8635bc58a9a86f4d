/** Drives the clients of a run and fires its faults: the same closed loop in virtual time and over sockets. Pure: the host acts. */
import { createWorkload, sharesOf, type Workload } from "../client/workload.ts";
import type { ClientId } from "../core/ids.ts";
import type { Random } from "../core/random.ts";
import type { Fault } from "../faults/fault.ts";
import type { Scenario } from "./scenario.ts";

/** What a host is to do next. */
export interface Invocation {
  readonly client: ClientId;
  readonly operation: Uint8Array;
}

export class Driver {
  readonly #operations: number;
  readonly #window: number;
  readonly #think: number;
  readonly #workloads: ReadonlyMap<ClientId, Workload>;
  /** Nothing is late before GST and the last timed fault. */
  readonly #patience: { readonly within: number; readonly from: number };
  #waiting: Fault[];
  #toFire: number;
  #returned = 0;
  #progressAt = 0;

  constructor({ workload, faults, within, network }: Scenario, clients: readonly ClientId[], random: Random) {
    const shares = sharesOf(workload.operations, clients.length);
    this.#operations = workload.operations;
    this.#window = workload.window;
    this.#think = workload.think;
    this.#workloads = new Map(
      clients.map((client, index) => [
        client,
        createWorkload({ client, operations: shares[index] ?? 0, keys: workload.keys, random: random.fork(`client ${client}`) }),
      ]),
    );
    this.#waiting = faults.filter(({ when }) => "afterReturns" in when);
    const times = faults.flatMap(({ when }) => ("after" in when ? when.after : []));
    this.#toFire = times.length;
    this.#patience = { within, from: Math.max(network.stableFrom ?? 0, ...times) };
  }

  get returned(): number {
    return this.#returned;
  }

  get operations(): number {
    return this.#operations;
  }

  get allReturned(): boolean {
    return this.#returned >= this.#operations;
  }

  /** A fault that waits for its time, not for returns, was carried out. */
  fired(): void {
    this.#toFire -= 1;
  }

  /**
   * Whether the run may end. Either all is done, timed faults too, and `settled`; or nothing has moved for as long as the bound
   * allows, so that a judge can call what is missing late.
   *
   * @param now - ms of the run
   * @param settled - every correct, running replica has executed as much as the others
   */
  mayEnd(now: number, settled: boolean): boolean {
    if (this.allReturned && this.#toFire <= 0 && settled) return true;
    return now > Math.max(this.#progressAt, this.#patience.from) + this.#patience.within + 1;
  }

  /** When at the latest {@link mayEnd} turns true, if nothing moves. */
  get endsBy(): number {
    return Math.max(this.#progressAt, this.#patience.from) + this.#patience.within + 2;
  }

  /** Something moved: a result arrived, or a slot was decided. */
  progressed(now: number): void {
    this.#progressAt = Math.max(this.#progressAt, now);
  }

  /** The first operations of every client. */
  begin(): Invocation[] {
    const first: Invocation[] = [];
    for (let round = 0; round < this.#window; round++) for (const client of this.#workloads.keys()) first.push(...this.#next(client));
    return first;
  }

  /** A result arrived at `now`: what the client invokes next, and the faults whose moment this is. */
  returnedTo(client: ClientId, result: Uint8Array, now: number): { readonly next: Invocation[]; readonly faults: Fault[] } {
    this.#returned += 1;
    const due = this.#waiting.filter(({ when }) => "afterReturns" in when && when.afterReturns <= this.#returned);
    this.#waiting = this.#waiting.filter((fault) => !due.includes(fault));
    // With several in flight a result need not be that of the latest operation, so it teaches the workload nothing.
    const next = this.#next(client, this.#window === 1 ? result : undefined);
    // The bound of the next operation counts from its invocation.
    this.progressed(next.length > 0 ? now + this.#think : now);
    return { next, faults: due };
  }

  #next(client: ClientId, previous?: Uint8Array): Invocation[] {
    const operation = this.#workloads.get(client)?.next(previous);
    return operation ? [{ client, operation }] : [];
  }
}
