/**
 * A replica set under observation: it can be broken on purpose, everything it does is written down, and what was written can be
 * judged. Scenarios over sockets (`run-sockets.ts`) and sets that a test launches (`launch.ts`) are both one of these.
 */
import { randomBytes } from "node:crypto";
import { mkdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { Cluster } from "../core/cluster.ts";
import { type ClientId, clientName, type NodeName, replicaName } from "../core/ids.ts";
import { LabError } from "../core/lab-error.ts";
import type { AnyMessage, Signed } from "../core/message.ts";
import { version } from "../core/version.ts";
import { nativeDigest, nativeScheme } from "../crypto/native.ts";
import { applies, type Fault, type NodeReference, nameOfNode } from "../faults/fault.ts";
import { type NetworkModel, perfectNetwork } from "../faults/network.ts";
import { judge } from "../harness/judge.ts";
import { merge } from "../harness/merge.ts";
import { recordOfMessage, recordsOfClient } from "../harness/recording.ts";
import { type Judgement, verdictRecord } from "../harness/result.ts";
import { runRecord } from "../harness/run-record.ts";
import { networkOf, retryOf, type Scenario } from "../harness/scenario.ts";
import type { TraceRecord } from "../harness/trace.ts";
import { parseTrace } from "../harness/trace-text.ts";
import type { ClientWatcher } from "../node/client-host.ts";
import { checkBehaviour } from "../traitors/catalogue.ts";
import type { TlsSettings } from "../transport/tls.ts";
import { openClientId } from "../wire/open-client.ts";
import type { TraitorPart } from "./body.ts";
import type { LogSettings } from "./child-messages.ts";
import { toCluster } from "./cluster-file.ts";
import { type Client, connect } from "./connect.ts";
import { type GeneratedCluster, generateCluster } from "./keys.ts";
import { frameId } from "./laboratory-replica.ts";
import { monotonicMs, replicaFile } from "./replica-node.ts";
import { type ReplicaProgress, ReplicaSet } from "./replica-set.ts";
import { TraceWriter } from "./trace-writer.ts";

export interface LaboratoryOptions {
  readonly seed: number;
  /** Where every node's own trace and log go; traces of an earlier set there are removed. */
  readonly directory: string;
  /** The scenario's own file: a process that has to run a custom traitor loads it again. */
  readonly module?: string;
  /** @defaultValue false */
  readonly inProcess?: boolean;
  /** With it the links are `wss://`. */
  readonly tls?: TlsSettings;
  /** @defaultValue `info`, to files in the directory */
  readonly log?: LogSettings;
  /** Clients whose keys stand in no file may take part. @defaultValue false */
  readonly openClients?: boolean;
  /** A replica ended that nobody killed. @defaultValue the trace says so, as of one that was */
  readonly onDeath?: (why: LabError) => void;
  readonly signal?: AbortSignal;
}

export interface Judged {
  readonly judgement: Judgement;
  readonly records: readonly TraceRecord[];
}

/** One event of the launcher's own, without when and who. */
type Event = {
  [E in TraceRecord["event"]]: { readonly event: E } & Omit<Extract<TraceRecord, { event: E }>, "at" | "node" | "lamport" | "vector">;
}[TraceRecord["event"]];

const launcherTrace = "launcher.jsonl";

export class Laboratory {
  readonly cluster: Cluster;
  readonly #scenario: Scenario;
  readonly #options: LaboratoryOptions;
  readonly #keys: GeneratedCluster;
  /** What the launcher saw itself: clients, faults, the network's promise. */
  readonly #trace: TraceWriter;
  readonly #set: ReplicaSet;
  #origin = 0;
  #restarts = 0;
  /** The worst that the network was told to be, for the judge. */
  #network: Scenario["network"];

  private constructor(parts: {
    scenario: Scenario;
    options: LaboratoryOptions;
    keys: GeneratedCluster;
    trace: TraceWriter;
    set: ReplicaSet;
  }) {
    this.#scenario = parts.scenario;
    this.#options = parts.options;
    this.#keys = parts.keys;
    this.#trace = parts.trace;
    this.#set = parts.set;
    this.#network = parts.scenario.network;
    this.cluster = toCluster(parts.keys.file);
  }

  /** Starts the replicas of a scenario. @returns when all of them listen. @throws LabError when one cannot, or a traitor is none */
  static async start(scenario: Scenario, options: LaboratoryOptions): Promise<Laboratory> {
    const { directory, seed, inProcess = false, tls, log, onDeath, signal } = options;
    const keys = keysFor(scenario, options);
    mkdirSync(directory, { recursive: true });
    const traitors = traitorParts(scenario, options);
    // What an earlier set left there is no part of this run.
    for (const file of traceFiles(directory, scenario.replicas)) rmSync(file, { force: true });
    const trace = new TraceWriter(join(directory, launcherTrace));
    const died = (why: LabError, replica: number): void => {
      trace.write({ at: monotonicMs(), node: replicaName(replica), event: "crash" });
      onDeath?.(why);
    };
    try {
      const set = await ReplicaSet.start({
        file: keys.file,
        secretOf: (node) => keys.secrets.get(node) as Uint8Array,
        directory,
        network: effective(networkOf(scenario)),
        seed,
        anyPort: true,
        traitors,
        inProcess,
        onDeath: died,
        ...(tls && { tls }),
        ...(log && { log }),
        ...(signal && { signal }),
      });
      return new Laboratory({ scenario, options, keys, trace, set });
    } catch (error) {
      trace.close();
      throw error;
    }
  }

  get urls(): readonly string[] {
    return this.#set.urls;
  }

  get pids(): readonly (number | undefined)[] {
    return this.#set.pids;
  }

  progress(replica: number): ReplicaProgress & { readonly up: boolean; readonly running: boolean } {
    return this.#set.progress(replica);
  }

  /** @returns when every running replica is linked to the others and to `clients` clients */
  linked(clients: number): Promise<void> {
    return this.#set.linked(clients);
  }

  /** Time counts from now on. */
  begin(): void {
    this.#origin = monotonicMs();
    this.#set.setOrigin(this.#origin);
  }

  /** Ms since {@link begin}. */
  now(): number {
    return monotonicMs() - this.#origin;
  }

  /** A client whose every step is in the trace; without a number one that stands in no file. @param onClose - called when it is closed */
  connect(registered: ClientId | undefined, onClose?: (client: ClientId) => void): Client {
    const { tls } = this.#options;
    const { secret, client } = this.#identity(registered);
    return connect({
      ...(onClose && { onClose: () => onClose(client) }),
      cluster: this.#keys.file,
      ...(registered === undefined ? { open: true } : { id: registered }),
      secret,
      urls: this.urls,
      ...(tls && { tls }),
      retry: retryOf(this.#scenario),
      watcher: this.#watcherOf(client),
      now: monotonicMs,
    });
  }

  /** The client ends here, for the judge: what it has not got by now, nobody owes it. */
  ended(client: ClientId): void {
    this.#write(clientName(client), { event: "stop" });
  }

  /** Carries out a fault and writes it down. What cannot happen to a replica in its state, such as killing a dead one, does not. */
  async fire(fault: Fault): Promise<void> {
    if ("replica" in fault && !applies(fault, this.#set.progress(fault.replica))) return;
    switch (fault.fault) {
      case "partition":
        return this.#partition(fault.groups);
      case "heal":
        this.#set.heal();
        return this.#write("harness", { event: "heal" });
      case "kill": {
        const gone = this.#set.kill(fault.replica);
        this.#write(replicaName(fault.replica), { event: "crash" });
        return gone;
      }
      case "pause":
        this.#set.pause(fault.replica);
        return this.#write(replicaName(fault.replica), { event: "pause" });
      case "resume":
        this.#set.resume(fault.replica);
        return this.#write(replicaName(fault.replica), { event: "resume" });
      case "start":
        // Storage is in memory, so it went with the process, whatever the scenario hoped for.
        this.#restarts += 1;
        this.#write(replicaName(fault.replica), { event: "restart", incarnation: this.#restarts, storage: "lost", slot: 0 });
        return this.#set.start(fault.replica);
    }
  }

  /** From now on messages meet this network. */
  setNetwork(network: Scenario["network"]): void {
    const { stableFrom: _, ...before } = this.#network;
    if (network.loss > 0) this.#network = { ...before, loss: Math.max(before.loss, network.loss) };
    this.#set.setNetwork(effective(networkOf({ network })));
  }

  /** @returns when every running replica has carried out what it was told, such as to lose what comes from another */
  heard(): Promise<void> {
    // What is told to one replica arrives in order.
    return this.#set.flush();
  }

  /** GST has come. */
  stable(): void {
    this.#write("harness", { event: "stable" });
  }

  /** Reads what every node has written so far, puts it into one order and judges it. */
  async judged(): Promise<Judged> {
    await this.#set.flush();
    this.#trace.flush();
    const { directory, seed } = this.#options;
    const merged = merge(traceFiles(directory, this.cluster.n).map((file) => this.#read(file)));
    const [first, last] = [merged[0]?.at ?? 0, merged.at(-1)?.at ?? 0];
    const scenario = { ...this.#scenario, network: this.#network };
    const records = [runRecord(scenario, { version, seed, host: "ws", at: Math.min(0, first) }), ...merged];
    const judgement = judge(records);
    return { judgement, records: [...records, verdictRecord(judgement, last)] };
  }

  /** @returns when every process is gone */
  async stop(): Promise<void> {
    await this.#set.stop();
    this.#trace.close();
  }

  #identity(registered: ClientId | undefined): { readonly client: ClientId; readonly secret: Uint8Array } {
    if (registered !== undefined) return { client: registered, secret: this.#keys.secrets.get(clientName(registered)) as Uint8Array };
    const secret = Uint8Array.from(randomBytes(32));
    return { client: openClientId(nativeScheme.publicKeyOf(secret), nativeDigest), secret };
  }

  #partition(groups: readonly (readonly NodeReference[])[]): void {
    const named = groups.map((group) => group.map(nameOfNode));
    this.#set.partition(named);
    this.#write("harness", { event: "partition", groups: named });
  }

  #read(file: string): TraceRecord[] {
    return parseTrace(readFileSync(file, "utf8")).map((record) => ({ ...record, at: microseconds(record.at - this.#origin) }));
  }

  #write(node: NodeName, event: Event): void {
    this.#trace.write({ at: monotonicMs(), node, ...event } as TraceRecord);
  }

  #watcherOf(client: ClientId): ClientWatcher {
    const message = (event: "send" | "receive", from: NodeName, to: NodeName, signed: Signed<AnyMessage>, frame: Uint8Array) =>
      this.#trace.write(recordOfMessage(event, monotonicMs(), { id: frameId(frame), bytes: frame.length, from, to }, signed.message));
    return {
      sent: (from, to, signed, frame) => message("send", from, to, signed, frame),
      received: (from, to, signed, frame) => message("receive", from, to, signed, frame),
      did: (effect) => {
        for (const record of recordsOfClient(effect, client, monotonicMs())) this.#trace.write(record);
      },
    };
  }
}

function traceFiles(directory: string, replicas: number): string[] {
  return [join(directory, launcherTrace), ...Array.from({ length: replicas }, (_, id) => replicaFile(directory, id, "jsonl"))];
}

function keysFor(scenario: Scenario, { tls, openClients }: LaboratoryOptions): GeneratedCluster {
  const { replicas, f, quorums, limits, workload } = scenario;
  const { clientRetryMs: _first, clientRetryMaxMs: _max, ...timing } = scenario.timing;
  return generateCluster({
    replicas,
    f,
    quorums,
    limits,
    timing,
    clients: workload.clients,
    ...(tls && { secure: true }),
    ...(openClients && { openClients }),
  });
}

/** Built-in behaviours travel as data; a custom one is found again in the scenario's file, or is at hand within one process. */
function traitorParts(scenario: Scenario, { inProcess, module }: LaboratoryOptions): ReadonlyMap<number, TraitorPart> {
  const parts = new Map<number, TraitorPart>();
  for (let id = 0; id < scenario.replicas; id++) {
    const behaviours = scenario.traitors[id];
    if (!behaviours) continue;
    const custom = behaviours.some((behaviour) => "make" in behaviour);
    if (!custom) parts.set(id, { behaviours: behaviours.flatMap((behaviour) => ("make" in behaviour ? [] : [checkBehaviour(behaviour)])) });
    else if (inProcess) parts.set(id, { behaviours });
    else parts.set(id, { behaviours: [], module: moduleOf(id, module) });
  }
  return parts;
}

function moduleOf(id: number, module: string | undefined): string {
  if (module !== undefined) return module;
  throw new LabError(
    "custom-traitor",
    `traitor ${id} is a custom one: in a process of its own its scenario must come from a file, which that process loads again`,
  );
}

/** Links without faults need none of the machinery for them. */
function effective(network: NetworkModel): NetworkModel {
  const { delayMs, loss, duplicate, reorder } = network;
  return delayMs.max === 0 && loss === 0 && duplicate === 0 && reorder === 0 ? perfectNetwork : network;
}

/** Whole microseconds keep traces readable. */
function microseconds(ms: number): number {
  return Math.round(ms * 1_000) / 1_000;
}
