/** A set of replicas on this machine: started, linked up, killed, paused, cut off, and stopped without orphans. */
import { type NodeName, replicaName } from "../core/ids.ts";
import { LabError } from "../core/lab-error.ts";
import { isCut } from "../faults/fault.ts";
import type { NetworkModel } from "../faults/network.ts";
import type { TlsSettings } from "../transport/tls.ts";
import { type Body, type Embody, inProcessOfItsOwn, inThisProcess, type TraitorPart } from "./body.ts";
import type { FromChild, LogSettings, ReplicaTask, ToReplica } from "./child-messages.ts";
import type { ClusterFile } from "./cluster-file.ts";
import { Warden } from "./warden.ts";

export interface ReplicaSetOptions {
  readonly file: ClusterFile;
  readonly secretOf: (node: NodeName) => Uint8Array;
  /** Where each replica writes its trace and log. */
  readonly directory: string;
  /** @defaultValue true */
  readonly trace?: boolean;
  /** @defaultValue `info`, to files */
  readonly log?: LogSettings;
  readonly network: NetworkModel;
  readonly seed: number;
  /** The behaviours of the replicas that lie, by number; all others run the honest program. */
  readonly traitors: ReadonlyMap<number, TraitorPart>;
  /** Listen on ports that the system chooses, whatever the urls say. */
  readonly anyPort: boolean;
  /** All replicas within this process: quick, but none can be paused. @defaultValue false */
  readonly inProcess?: boolean;
  readonly tls?: TlsSettings;
  /** Whether who sends an invalid signature is cut off. @defaultValue false: a laboratory wants to see the lies after the first */
  readonly penalties?: boolean;
  /** Have the warden from the start: replicas that somebody else pauses end with the launcher too. @defaultValue false */
  readonly warden?: boolean;
  /** A replica ended that nobody stopped, and why, in one line. */
  readonly onDeath: (why: LabError, replica: number) => void;
  /** Ends every wait for the replicas. */
  readonly signal?: AbortSignal;
}

/** What a replica last told of itself; for progress, never for a verdict. */
export interface ReplicaProgress {
  readonly view: number;
  readonly executed: number;
  readonly stable: number;
  readonly active: boolean;
  readonly halted: boolean;
}

interface Slot {
  body: Body | undefined;
  /** Kept while it is down: the others know it. */
  port: number;
  listening: boolean;
  links: { replicas: number; clients: number };
  progress: ReplicaProgress;
  paused: boolean;
  /** False once it was killed or stopped on purpose, or has died. */
  wanted: boolean;
  /** When what ran before has ended, and with it its port is free. */
  gone: Promise<void>;
  life: number;
  flushes: number;
  failure: LabError | undefined;
  /** A start that is under way. */
  starting: Promise<void> | undefined;
}

const unstarted: ReplicaProgress = { view: 0, executed: 0, stable: 0, active: true, halted: false };
const defaultLog: LogSettings = { level: "info", to: "file", pretty: false };

/** How long all processes may take until they listen and are linked, and to stop, in ms: generous, a loaded machine is slow. */
const patienceMs = 30_000;
const stopMs = 3_000;

export class ReplicaSet {
  readonly #options: ReplicaSetOptions;
  readonly #embody: Embody;
  readonly #slots: Slot[];
  #warden: Warden | undefined;
  #origin: number | undefined;
  #network: NetworkModel;
  #groups: readonly (readonly NodeName[])[] = [];
  #changed: (() => void)[] = [];
  #stopped = false;

  private constructor(options: ReplicaSetOptions) {
    this.#options = options;
    this.#network = options.network;
    this.#embody = options.inProcess ? inThisProcess : inProcessOfItsOwn;
    if (options.warden && !options.inProcess) this.#warden = new Warden();
    options.signal?.addEventListener("abort", () => this.#notify(), { once: true });
    this.#slots = options.file.members.map(() => ({
      body: undefined,
      port: 0,
      listening: false,
      links: { replicas: 0, clients: 0 },
      progress: unstarted,
      paused: false,
      wanted: true,
      gone: Promise.resolve(),
      life: 0,
      flushes: 0,
      failure: undefined,
      starting: undefined,
    }));
  }

  /** Starts all replicas. @returns when each of them listens. @throws LabError when one cannot. */
  static async start(options: ReplicaSetOptions): Promise<ReplicaSet> {
    const set = new ReplicaSet(options);
    try {
      for (const id of set.#slots.keys()) set.#spawn(id, options.anyPort ? 0 : portOf(options.file.members[id]?.url ?? ""));
      await set.#until(() => set.#slots.every((slot) => slot.listening), "listening");
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

  /** Of the processes, by number; undefined where there is none now. */
  get pids(): readonly (number | undefined)[] {
    return this.#slots.map((slot) => slot.body?.pid);
  }

  /** What it last told; `up`: it is there; `running`: and not paused. */
  progress(id: number): ReplicaProgress & { readonly up: boolean; readonly running: boolean } {
    const slot = this.#slot(id);
    return { ...slot.progress, up: slot.body !== undefined, running: slot.body !== undefined && !slot.paused };
  }

  /** @returns when every running replica is linked to all others and to `clients` clients. */
  async linked(clients: number): Promise<void> {
    await this.#until(() => {
      const running = this.#slots.filter((slot) => slot.body && !slot.paused);
      return running.every(({ links }) => links.replicas >= running.length - 1 && links.clients >= clients);
    }, "linked to each other");
  }

  /** @param at - ms on the machine's monotonic clock that the run counts from */
  setOrigin(at: number): void {
    this.#origin = at;
    this.#tellAll({ type: "origin", at });
  }

  /** SIGKILL, at once. @returns when the process is gone */
  async kill(id: number): Promise<void> {
    const slot = this.#slot(id);
    slot.wanted = false;
    slot.body?.kill();
    // Links of a dead process are gone; a new one reports its own.
    slot.links = { replicas: 0, clients: 0 };
    slot.paused = false;
    slot.body = undefined;
    await slot.gone;
    this.#guard();
  }

  /**
   * Starts a replica again that was killed or died, on the port that the others know. Its memory is gone, and with it all that it stored.
   *
   * @returns when it listens. @throws LabError when it cannot, or everything was stopped
   */
  async start(id: number): Promise<void> {
    const slot = this.#slot(id);
    this.#refuseWhenStopped();
    if (slot.wanted) return slot.starting;
    slot.wanted = true;
    slot.failure = undefined;
    slot.starting = this.#startAgain(id, slot);
    try {
      await slot.starting;
    } finally {
      slot.starting = undefined;
    }
  }

  /** SIGSTOP: it keeps memory and links and does nothing. @throws LabError when the set lives within one process */
  pause(id: number): void {
    const slot = this.#slot(id);
    // Paused, it would not notice the launcher's death.
    if (slot.body?.pid !== undefined) this.#warden ??= new Warden();
    this.#guard();
    slot.paused = slot.body?.pause() ?? false;
  }

  /** SIGCONT. */
  resume(id: number): void {
    const slot = this.#slot(id);
    slot.body?.resume();
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

  /** From now on messages meet this network. */
  setNetwork(network: NetworkModel): void {
    this.#network = network;
    this.#tellAll({ type: "network", network });
  }

  /** @returns when every running replica has written down what happened so far */
  async flush(): Promise<void> {
    const asked = this.#slots.filter((slot) => slot.body && !slot.paused).map((slot) => ({ slot, body: slot.body, seen: slot.flushes }));
    for (const { body } of asked) body?.send({ type: "flush" });
    const done = () => asked.every(({ slot, body, seen }) => slot.body !== body || slot.paused || slot.flushes > seen);
    await this.#until(done, "done with writing", { despite: "failures" });
  }

  /** Asks every replica to stop, and makes the rest. @returns when all are gone. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#notify();
    await Promise.all(
      this.#slots.map(async (slot) => {
        const { body } = slot;
        slot.wanted = false;
        body?.resume();
        body?.send({ type: "stop" });
        const timer = setTimeout(() => body?.kill(), stopMs);
        await slot.gone;
        clearTimeout(timer);
        slot.body = undefined;
      }),
    );
    await this.#warden?.dismiss();
  }

  #slot(id: number): Slot {
    const slot = this.#slots[id];
    if (!slot) throw new LabError("no-such-replica", `expected a replica in 0..${this.#slots.length - 1}, got ${id}`);
    return slot;
  }

  async #startAgain(id: number, slot: Slot): Promise<void> {
    await slot.gone;
    this.#refuseWhenStopped();
    // Killed once more in the meantime.
    if (!slot.wanted) return;
    slot.listening = false;
    this.#spawn(id, slot.port);
    // Others may have failed: that is no reason to leave this one half started.
    await this.#until(() => slot.listening || !slot.wanted, "listening", { despite: "failures" });
    if (slot.failure) throw slot.failure;
    this.#tellPeers();
    if (this.#origin !== undefined) slot.body?.send({ type: "origin", at: this.#origin });
    this.#tellCuts();
  }

  #refuseWhenStopped(): void {
    if (this.#stopped) throw new LabError("stopped", "the replicas were stopped: launch others");
  }

  #spawn(id: number, port: number): void {
    const slot = this.#slot(id);
    const { file, secretOf, directory, trace = true, log = defaultLog, seed, traitors, tls, penalties = false } = this.#options;
    const task: ReplicaTask = {
      type: "task",
      id,
      file,
      secret: secretOf(replicaName(id)),
      directory,
      trace,
      log,
      network: this.#network,
      seed,
      incarnation: slot.life,
      port,
      ...(tls && { tls }),
      penalties,
      ownProcess: !this.#options.inProcess,
    };
    slot.life += 1;
    slot.progress = unstarted;
    const body: Body = this.#embody(task, traitors.get(id), {
      hear: (message) => this.#hear(slot, body, message),
      ended: (why) => this.#ended(id, slot, body, why),
    });
    slot.body = body;
    slot.gone = body.gone;
    this.#guard();
  }

  #hear(slot: Slot, body: Body, message: FromChild): void {
    if (slot.body !== body) return;
    switch (message.type) {
      case "listening":
        slot.port = message.port;
        slot.listening = true;
        break;
      case "links":
        slot.links = message;
        break;
      case "state":
        slot.progress = message;
        break;
      case "flushed":
        slot.flushes += 1;
        break;
      case "failed":
        slot.failure = new LabError(message.code, message.message, { exitCode: message.exitCode });
    }
    this.#notify();
  }

  #ended(id: number, slot: Slot, body: Body, why: string): void {
    if (slot.body !== body) return;
    slot.body = undefined;
    slot.paused = false;
    slot.links = { replicas: 0, clients: 0 };
    if (slot.wanted) {
      slot.wanted = false;
      slot.failure ??= new LabError("replica-died", `replica ${id} ended unexpectedly: ${why}`, { exitCode: 3 });
      this.#options.onDeath(slot.failure, id);
    }
    this.#guard();
    this.#notify();
  }

  #guard(): void {
    this.#warden?.guard(this.pids);
  }

  #notify(): void {
    const waiting = this.#changed;
    this.#changed = [];
    for (const wake of waiting) wake();
  }

  /** Waits for what the replicas tell. @throws LabError when one of them failed, or none of it came true in time. */
  async #until(condition: () => boolean, what: string, { despite }: { readonly despite?: "failures" } = {}): Promise<void> {
    const deadline = performance.now() + patienceMs;
    for (;;) {
      const failure = despite ? undefined : this.#slots.find((slot) => slot.failure)?.failure;
      if (failure) throw failure;
      this.#options.signal?.throwIfAborted();
      if (condition()) return;
      if (this.#stopped) throw new LabError("stopped", `the replicas were stopped before they were ${what}`, { exitCode: 3 });
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

  #tellAll(message: ToReplica): void {
    for (const { body } of this.#slots) body?.send(message);
  }

  #tellPeers(): void {
    const { urls } = this;
    this.#tellAll({ type: "peers", urls });
  }

  #tellCuts(): void {
    const { clients, members } = this.#options.file;
    const nodes: NodeName[] = [...members.map(({ id }) => replicaName(id)), ...clients.map(({ id }) => `client-${id}` as const)];
    for (const [id, { body }] of this.#slots.entries()) {
      const cut = nodes.filter((node) => isCut(this.#groups, replicaName(id), node));
      body?.send({ type: "block", to: cut, from: cut });
    }
  }
}

function portOf(url: string): number {
  const { port, protocol } = new URL(url);
  return port === "" ? (protocol === "wss:" ? 443 : 80) : Number(port);
}

function withPort(url: string, port: number): string {
  const parsed = new URL(url);
  parsed.port = String(port);
  return parsed.href.replace(/\/$/, "");
}
