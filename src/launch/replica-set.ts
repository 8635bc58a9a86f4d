/** A set of replica processes on this machine: started, linked up, killed, paused, cut off, and stopped without orphans. */
import { type ChildProcess, fork } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type NodeName, replicaName } from "../core/ids.ts";
import { LabError } from "../core/lab-error.ts";
import { isCut } from "../faults/fault.ts";
import type { NetworkModel } from "../faults/network.ts";
import type { FromChild, ReplicaTask, ToChild, TraitorTask } from "./child-messages.ts";
import type { ClusterFile } from "./cluster-file.ts";

export interface ReplicaSetOptions {
  readonly file: ClusterFile;
  readonly secretOf: (node: NodeName) => Uint8Array;
  /** Where each process writes its own trace. */
  readonly directory: string;
  readonly network: NetworkModel;
  readonly seed: number;
  /** The behaviours of the replicas that lie, by number; all others run the honest program. */
  readonly traitors: ReadonlyMap<number, Pick<TraitorTask, "behaviours" | "module">>;
  /** Listen on ports that the system chooses, whatever the urls say. */
  readonly anyPort: boolean;
  /** A replica ended that nobody stopped, and why, in one line. */
  readonly onDeath: (why: LabError) => void;
  /** Ends every wait for the replicas. */
  readonly signal?: AbortSignal;
}

/** What a replica last told of itself; for progress, never for a verdict. */
export interface ReplicaProgress {
  readonly view: number;
  readonly executed: number;
  readonly active: boolean;
  readonly halted: boolean;
}

interface Slot {
  child: ChildProcess | undefined;
  port: number;
  links: { replicas: number; clients: number };
  progress: ReplicaProgress;
  paused: boolean;
  /** False once it was killed or stopped on purpose, or has died. */
  wanted: boolean;
  /** When the process before has ended, and with it its port is free. */
  gone: Promise<unknown>;
  life: number;
  failure: LabError | undefined;
}

const unstarted: ReplicaProgress = { view: 0, executed: 0, active: true, halted: false };

/** How long all processes may take until they listen and are linked, and to stop, in ms: generous, a loaded machine is slow. */
const patienceMs = 30_000;
const stopMs = 3_000;

export class ReplicaSet {
  readonly #options: ReplicaSetOptions;
  readonly #slots: Slot[];
  #origin: number | undefined;
  #groups: readonly (readonly NodeName[])[] = [];
  #changed: (() => void)[] = [];
  #stopped = false;

  private constructor(options: ReplicaSetOptions) {
    this.#options = options;
    options.signal?.addEventListener("abort", () => this.#notify(), { once: true });
    this.#slots = options.file.members.map(() => ({
      child: undefined,
      port: 0,
      links: { replicas: 0, clients: 0 },
      progress: unstarted,
      paused: false,
      wanted: true,
      gone: Promise.resolve(),
      life: 0,
      failure: undefined,
    }));
  }

  /** Starts all replicas. @returns when each of them listens. @throws LabError when one cannot. */
  static async start(options: ReplicaSetOptions): Promise<ReplicaSet> {
    const set = new ReplicaSet(options);
    try {
      for (const id of set.#slots.keys()) set.#spawn(id, options.anyPort ? 0 : portOf(options.file.members[id]?.url ?? ""));
      await set.#until(() => set.#slots.every((slot) => slot.port > 0), "listening");
      set.#tellPeers();
    } catch (error) {
      await set.stop();
      throw error;
    }
    return set;
  }

  /** Where the replicas listen, by number. */
  get urls(): readonly string[] {
    return this.#slots.map((slot, id) => withPort(this.#options.file.members[id]?.url ?? "", slot.port));
  }

  get pids(): readonly (number | undefined)[] {
    return this.#slots.map((slot) => slot.child?.pid);
  }

  /** What it last told; `up`: its process is there; `running`: and not paused. */
  progress(id: number): ReplicaProgress & { readonly up: boolean; readonly running: boolean } {
    const slot = this.#slot(id);
    return { ...slot.progress, up: slot.child !== undefined, running: slot.child !== undefined && !slot.paused };
  }

  /** @returns when every running replica is linked to all others and to `clients` clients. */
  async linked(clients: number): Promise<void> {
    const running = this.#slots.filter((slot) => slot.child).length;
    await this.#until(
      () => this.#slots.every((slot) => !slot.child || (slot.links.replicas >= running - 1 && slot.links.clients >= clients)),
      "linked to each other",
    );
  }

  /** @param at - ms on the machine's monotonic clock that the run counts from */
  setOrigin(at: number): void {
    this.#origin = at;
    for (const slot of this.#slots) send(slot, { type: "origin", at });
  }

  /** SIGKILL, at once. @returns when the process is gone */
  async kill(id: number): Promise<void> {
    const slot = this.#slot(id);
    slot.wanted = false;
    slot.child?.kill("SIGKILL");
    // Links of a dead process are gone; a new one reports its own.
    slot.links = { replicas: 0, clients: 0 };
    slot.paused = false;
    slot.child = undefined;
    await slot.gone;
  }

  /** Starts a replica again that was killed or died, on the port that the others know. Its memory is gone, and with it all that it stored. */
  async start(id: number): Promise<void> {
    const slot = this.#slot(id);
    if (slot.wanted) return;
    const { port } = slot;
    slot.wanted = true;
    slot.failure = undefined;
    slot.port = 0;
    await slot.gone;
    // Killed once more, or everything stopped, in the meantime.
    if (!slot.wanted) {
      slot.port = port;
      return;
    }
    this.#spawn(id, port);
    await this.#until(() => slot.port > 0, "listening");
    this.#tellPeers();
    if (this.#origin !== undefined) send(slot, { type: "origin", at: this.#origin });
    this.#tellCuts();
  }

  /** SIGSTOP: it keeps memory and links and does nothing. */
  pause(id: number): void {
    const slot = this.#slot(id);
    slot.paused = slot.child?.kill("SIGSTOP") ?? false;
  }

  /** SIGCONT. */
  resume(id: number): void {
    const slot = this.#slot(id);
    slot.child?.kill("SIGCONT");
    slot.paused = false;
  }

  /** Cuts every link between nodes that share no group; replaces what was cut before. */
  partition(groups: readonly (readonly NodeName[])[]): void {
    this.#groups = groups;
    this.#tellCuts();
  }

  heal(): void {
    this.partition([]);
  }

  /** Asks every process to stop, and makes the rest. @returns when all are gone. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#notify();
    await Promise.all(
      this.#slots.map(async (slot) => {
        const { child } = slot;
        slot.wanted = false;
        child?.kill("SIGCONT");
        send(slot, { type: "stop" });
        const timer = setTimeout(() => child?.kill("SIGKILL"), stopMs);
        await slot.gone;
        clearTimeout(timer);
        slot.child = undefined;
      }),
    );
  }

  #slot(id: number): Slot {
    const slot = this.#slots[id];
    if (!slot) throw new RangeError(`there is no replica ${id}`);
    return slot;
  }

  #spawn(id: number, port: number): void {
    const slot = this.#slot(id);
    const { file, secretOf, directory, network, seed, traitors } = this.#options;
    const traitor = traitors.get(id);
    const child = fork(programPath(traitor ? "traitor-main" : "honest-main"), [], {
      execArgv: sourceFlags(),
      serialization: "advanced",
      // What a traitor of the user's own prints is for people: the launcher's stdout may be JSON.
      stdio: ["ignore", 2, 2, "ipc"],
    });
    const task: ReplicaTask = {
      type: "task",
      id,
      file,
      secret: secretOf(replicaName(id)),
      tracePath: join(directory, `${replicaName(id)}.jsonl`),
      network,
      seed,
      incarnation: slot.life,
      port,
    };
    slot.child = child;
    slot.gone = new Promise((resolve) => child.once("close", resolve));
    slot.life += 1;
    slot.progress = unstarted;
    child.on("message", (message: FromChild) => this.#hear(slot, child, message));
    child.on("error", (error) => this.#died(id, slot, child, error.message));
    // Not "exit": what the child told last may then still be on its way.
    child.on("close", (code, signal) => this.#died(id, slot, child, signal ?? `exit code ${code}`));
    child.send(traitor ? { ...task, ...traitor } : task);
  }

  #hear(slot: Slot, child: ChildProcess, message: FromChild): void {
    if (slot.child !== child) return;
    if (message.type === "listening") slot.port = message.port;
    else if (message.type === "links") slot.links = message;
    else if (message.type === "state") slot.progress = message;
    else slot.failure = new LabError(message.code, message.message, { exitCode: message.exitCode });
    this.#notify();
  }

  #died(id: number, slot: Slot, child: ChildProcess, why: string): void {
    if (slot.child !== child) return;
    slot.child = undefined;
    if (slot.wanted) {
      slot.wanted = false;
      slot.failure ??= new LabError("replica-died", `replica ${id} ended unexpectedly: ${why}`, { exitCode: 3 });
      this.#options.onDeath(slot.failure);
    }
    this.#notify();
  }

  #notify(): void {
    const waiting = this.#changed;
    this.#changed = [];
    for (const wake of waiting) wake();
  }

  /** Waits for what the children tell. @throws LabError when one of them failed, or none of it came true in time. */
  async #until(condition: () => boolean, what: string): Promise<void> {
    const deadline = performance.now() + patienceMs;
    for (;;) {
      const failure = this.#slots.find((slot) => slot.failure)?.failure;
      if (failure) throw failure;
      this.#options.signal?.throwIfAborted();
      if (this.#stopped) throw new LabError("stopped", `the replicas were stopped before they were ${what}`, { exitCode: 3 });
      if (condition()) return;
      const left = deadline - performance.now();
      if (left <= 0) throw new LabError("too-slow", `the replicas were not ${what} within ${patienceMs / 1_000} s`, { exitCode: 3 });
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, left);
        this.#changed.push(() => {
          clearTimeout(timer);
          resolve();
        });
      });
    }
  }

  #tellPeers(): void {
    const { urls } = this;
    for (const slot of this.#slots) send(slot, { type: "peers", urls });
  }

  #tellCuts(): void {
    const { clients, members } = this.#options.file;
    const nodes: NodeName[] = [...members.map(({ id }) => replicaName(id)), ...clients.map(({ id }) => `client-${id}` as const)];
    for (const [id, slot] of this.#slots.entries()) {
      const cut = nodes.filter((node) => isCut(this.#groups, replicaName(id), node));
      send(slot, { type: "block", to: cut, from: cut });
    }
  }
}

function send(slot: Slot, message: ToChild): void {
  if (slot.child?.connected) slot.child.send(message);
}

/** From sources a child needs the loader; from the build it does not. */
function sourceFlags(): string[] {
  return import.meta.url.endsWith(".ts") ? ["--import", import.meta.resolve("tsx"), "--conditions=quorate-source"] : [];
}

function programPath(name: string): string {
  const source = fileURLToPath(new URL(`./${name}.ts`, import.meta.url));
  return existsSync(source) ? source : source.replace(/\.ts$/, ".js");
}

function portOf(url: string): number {
  return Number(new URL(url).port);
}

function withPort(url: string, port: number): string {
  const parsed = new URL(url);
  parsed.port = String(port);
  return parsed.href.replace(/\/$/, "");
}
