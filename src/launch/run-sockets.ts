/** A scenario over real processes and sockets: launch, drive, break, stop, and only then read what everybody wrote. */
import { mkdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { createClientCore } from "../client/client-core.ts";
import type { Cluster } from "../core/cluster.ts";
import { type ClientId, clientName, type NodeName, type ReplicaId, replicaName } from "../core/ids.ts";
import { LabError } from "../core/lab-error.ts";
import type { AnyMessage, Signed } from "../core/message.ts";
import { createRandom } from "../core/random.ts";
import { version } from "../core/version.ts";
import { nativeDigest, nativeScheme } from "../crypto/native.ts";
import { applies, type Fault, nameOfNode } from "../faults/fault.ts";
import { Driver } from "../harness/driver.ts";
import { judge } from "../harness/judge.ts";
import { merge } from "../harness/merge.ts";
import { recordOfMessage, recordsOfClient } from "../harness/recording.ts";
import { type Judgement, verdictRecord } from "../harness/result.ts";
import { runRecord } from "../harness/run-record.ts";
import { networkOf, retryOf, type Scenario } from "../harness/scenario.ts";
import type { TraceRecord } from "../harness/trace.ts";
import { parseTrace } from "../harness/trace-text.ts";
import { ClientHost } from "../node/client-host.ts";
import { checkBehaviour } from "../traitors/catalogue.ts";
import { createOpener, type Opener } from "../wire/open.ts";
import { hexToBytes } from "../wire/schema.ts";
import { createClientSeal } from "../wire/seal.ts";
import type { TraitorTask } from "./child-messages.ts";
import { type ClusterFile, toCluster } from "./cluster-file.ts";
import { generateCluster } from "./keys.ts";
import { frameId, monotonicMs } from "./replica-process.ts";
import { ReplicaSet, type ReplicaSetOptions } from "./replica-set.ts";

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

export interface SocketRun {
  readonly judgement: Judgement;
  readonly records: readonly TraceRecord[];
}

/** How often the end of the run is looked for, in ms. */
const tickMs = 20;

/** @throws LabError when the replicas cannot be started, or the run was aborted */
export async function runOverSockets(scenario: Scenario, options: SocketRunOptions): Promise<SocketRun> {
  rmSync(options.directory, { recursive: true, force: true });
  mkdirSync(options.directory, { recursive: true });
  const run = new SocketRunner(scenario, options);
  try {
    await run.launch();
    await run.drive();
  } finally {
    await run.stop();
  }
  return run.judged();
}

class SocketRunner {
  readonly #scenario: Scenario;
  readonly #options: SocketRunOptions;
  readonly #file: ClusterFile;
  readonly #cluster: Cluster;
  readonly #secretOf: (node: NodeName) => Uint8Array;
  readonly #driver: Driver;
  /** What the launcher saw itself: clients, faults, the network's promise. */
  readonly #records: TraceRecord[] = [];
  readonly #clients = new Map<ClientId, ClientHost>();
  readonly #timers = new Set<NodeJS.Timeout>();
  #set: ReplicaSet | undefined;
  #origin = 0;
  #restarts = 0;
  #failure: unknown;

  constructor(scenario: Scenario, options: SocketRunOptions) {
    const { replicas, f, quorums, limits, workload } = scenario;
    const { clientRetryMs: _first, clientRetryMaxMs: _max, ...timing } = scenario.timing;
    const generated = generateCluster({ replicas, f, quorums, limits, timing, clients: workload.clients });
    this.#scenario = scenario;
    this.#options = options;
    this.#file = generated.file;
    this.#cluster = toCluster(generated.file);
    this.#secretOf = (node) => generated.secrets.get(node) as Uint8Array;
    this.#driver = new Driver(scenario, this.#cluster.clients, createRandom(options.seed).fork("workload"));
  }

  /** Starts everything. @returns when all links are up */
  async launch(): Promise<void> {
    this.#set = await ReplicaSet.start({
      file: this.#file,
      secretOf: this.#secretOf,
      directory: this.#options.directory,
      network: networkOf(this.#scenario),
      seed: this.#options.seed,
      anyPort: true,
      traitors: this.#traitorTasks(),
      onDeath: (why) => this.#fail(why),
      ...(this.#options.signal && { signal: this.#options.signal }),
    });
    const { urls } = this.#set;
    for (const id of this.#cluster.clients) this.#clients.set(id, this.#connect(id, urls));
    await this.#set.linked(this.#clients.size);
  }

  /** Lets the clients work and the faults happen. @returns when the run may end */
  async drive(): Promise<void> {
    const { network, faults } = this.#scenario;
    this.#origin = monotonicMs();
    this.#set?.setOrigin(this.#origin);
    if (network.stableFrom !== undefined) this.#after(network.stableFrom, () => this.#harness({ event: "stable" }));
    for (const fault of faults) {
      if (!("after" in fault.when)) continue;
      this.#after(fault.when.after, () => {
        this.#fire(fault);
        this.#driver.fired();
      });
    }
    for (const client of this.#clients.values()) client.start();
    for (const { client, operation } of this.#driver.begin()) this.#invoke(client, operation);
    let executed = -1;
    while (!this.#driver.mayEnd(this.#now(), this.#settled())) {
      if (this.#failure) throw this.#failure;
      this.#options.signal?.throwIfAborted();
      const now = Math.max(...this.#watched().map(({ executed: slot }) => slot));
      if (now > executed) this.#driver.progressed(this.#now());
      executed = now;
      this.#options.onProgress?.(this.#driver.returned, this.#driver.operations);
      await new Promise((resolve) => setTimeout(resolve, tickMs));
    }
    this.#options.onProgress?.(this.#driver.returned, this.#driver.operations);
  }

  async stop(): Promise<void> {
    for (const timer of this.#timers) clearTimeout(timer);
    await Promise.all([...this.#clients.values()].map((client) => client.close()));
    await this.#set?.stop();
  }

  /** Reads what every process wrote, puts it into one order and judges it. */
  judged(): SocketRun {
    const names = this.#cluster.replicas.map((id) => replicaName(id));
    const lists = names.map((name) =>
      parseTrace(readFileSync(join(this.#options.directory, `${name}.jsonl`), "utf8")).map((record) => ({
        ...record,
        at: rounded(record.at - this.#origin),
      })),
    );
    const merged = merge([this.#records.map((record) => ({ ...record, at: rounded(record.at) })), ...lists]);
    const [first, last] = [merged[0]?.at ?? 0, merged.at(-1)?.at ?? 0];
    const records = [runRecord(this.#scenario, { version, seed: this.#options.seed, host: "ws", at: Math.min(0, first) }), ...merged];
    const judgement = judge(records);
    return { judgement, records: [...records, verdictRecord(judgement, last)] };
  }

  #now(): number {
    return monotonicMs() - this.#origin;
  }

  /** Built-in behaviours travel as data; a custom one is found again in the scenario's file. */
  #traitorTasks(): ReplicaSetOptions["traitors"] {
    const tasks = new Map<number, Pick<TraitorTask, "behaviours" | "module">>();
    for (const id of this.#cluster.replicas) {
      const behaviours = this.#scenario.traitors[id];
      if (!behaviours) continue;
      const data = behaviours.flatMap((behaviour) => ("make" in behaviour ? [] : [checkBehaviour(behaviour)]));
      tasks.set(id, data.length === behaviours.length ? { behaviours: data } : { behaviours: [], module: this.#moduleOf(id) });
    }
    return tasks;
  }

  #moduleOf(id: number): string {
    if (this.#options.module !== undefined) return this.#options.module;
    throw new LabError(
      "custom-traitor",
      `traitor ${id} is a custom one: over sockets its scenario must come from a file, which its process loads again`,
    );
  }

  #connect(id: ClientId, urls: readonly string[]): ClientHost {
    const secret = this.#secretOf(clientName(id));
    const cluster = this.#cluster;
    const seal = createClientSeal({ cluster: cluster.id, sender: id, incarnation: 0, sign: (bytes) => nativeScheme.sign(secret, bytes) });
    const message = (event: "send" | "receive", from: NodeName, to: NodeName, signed: Signed<AnyMessage>, frame: Uint8Array) =>
      this.#records.push(recordOfMessage(event, this.#now(), { id: frameId(frame), bytes: frame.length, from, to }, signed.message));
    return new ClientHost({
      self: id,
      core: createClientCore({ self: id, cluster, seal, digest: nativeDigest, retry: retryOf(this.#scenario) }),
      opener: replyOpener(this.#file, cluster),
      replicas: this.#file.members.map(({ publicKey }, replica) => ({
        id: replica as ReplicaId,
        url: urls[replica] as string,
        publicKey: hexToBytes(publicKey),
      })),
      link: { secret, cluster: cluster.id, scheme: nativeScheme, frameBytes: cluster.limits.frameBytes },
      now: monotonicMs,
      watcher: {
        sent: (from, to, signed, frame) => message("send", from, to, signed, frame),
        received: (from, to, signed, frame) => message("receive", from, to, signed, frame),
        did: (effect) => {
          this.#records.push(...recordsOfClient(effect, id, this.#now()));
        },
      },
    });
  }

  #invoke(client: ClientId, operation: Uint8Array): void {
    const returned = this.#clients.get(client)?.invoke(operation);
    returned?.then(
      (result) => {
        const { next, faults } = this.#driver.returnedTo(client, result, this.#now());
        for (const fault of faults) this.#fire(fault);
        const { think } = this.#scenario.workload;
        for (const invocation of next) {
          if (think > 0) this.#after(think, () => this.#invoke(invocation.client, invocation.operation));
          else this.#invoke(invocation.client, invocation.operation);
        }
      },
      // Closed before the result came: the trace shows an invocation without a return, and the judge says so.
      (error: unknown) => (error instanceof LabError && error.code === "client-closed" ? undefined : this.#fail(error)),
    );
  }

  #fire(fault: Fault): void {
    const set = this.#set;
    if (!set || ("replica" in fault && !applies(fault, set.progress(fault.replica)))) return;
    switch (fault.fault) {
      case "partition": {
        const groups = fault.groups.map((group) => group.map(nameOfNode));
        set.partition(groups);
        return this.#harness({ event: "partition", groups });
      }
      case "heal":
        set.heal();
        return this.#harness({ event: "heal" });
      case "kill":
        void set.kill(fault.replica);
        return this.#of(fault.replica, { event: "crash" });
      case "pause":
        set.pause(fault.replica);
        return this.#of(fault.replica, { event: "pause" });
      case "resume":
        set.resume(fault.replica);
        return this.#of(fault.replica, { event: "resume" });
      case "start":
        // Storage is in memory, so it went with the process, whatever the scenario hoped for.
        this.#restarts += 1;
        this.#of(fault.replica, { event: "restart", incarnation: this.#restarts, storage: "lost", slot: 0 });
        set.start(fault.replica).catch((error: unknown) => this.#fail(error));
        return;
    }
  }

  #harness(what: HarnessEvent): void {
    this.#records.push({ at: this.#now(), node: "harness", ...what } as TraceRecord);
  }

  #of(replica: number, what: HarnessEvent): void {
    this.#records.push({ at: this.#now(), node: replicaName(replica), ...what } as TraceRecord);
  }

  #after(ms: number, action: () => void): void {
    this.#timers.add(setTimeout(action, ms));
  }

  #fail(error: unknown): void {
    this.#failure ??= error;
  }

  #watched(): { readonly executed: number; readonly running: boolean }[] {
    return this.#cluster.replicas.filter((id) => !this.#scenario.traitors[id]).flatMap((id) => this.#set?.progress(id) ?? []);
  }

  #settled(): boolean {
    const running = this.#watched().filter((replica) => replica.running);
    return new Set(running.map(({ executed }) => executed)).size <= 1;
  }
}

type HarnessEvent = {
  [E in TraceRecord["event"]]: { readonly event: E } & Omit<Extract<TraceRecord, { event: E }>, "at" | "node" | "lamport" | "vector">;
}[TraceRecord["event"]];

function replyOpener(file: ClusterFile, cluster: Cluster): Opener<AnyMessage> {
  return createOpener<AnyMessage>({
    schemas: {},
    cluster: cluster.id,
    limits: cluster.limits,
    replicaKeys: file.members.map(({ publicKey }) => hexToBytes(publicKey)),
    clientKeys: file.clients.map(({ publicKey }) => hexToBytes(publicKey)),
    verify: nativeScheme.verify,
    digest: nativeDigest,
  });
}

/** Whole microseconds keep traces readable. */
function rounded(ms: number): number {
  return Math.round(ms * 1_000) / 1_000;
}
