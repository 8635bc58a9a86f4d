/** A scenario, in virtual time: the same scenario, seed and version give the same bytes. */
import { createClientCore } from "../client/client-core.ts";
import type { Cluster } from "../core/cluster.ts";
import type { Core, CoreSetup } from "../core/contract.ts";
import { type ClientId, clientName, type NodeName, type ReplicaId, replicaId, replicaName } from "../core/ids.ts";
import { createRandom, type Random } from "../core/random.ts";
import { version } from "../core/version.ts";
import { nobleDigest } from "../crypto/digest.ts";
import type { SignatureScheme } from "../crypto/signature.ts";
import { symbolicScheme } from "../crypto/symbolic.ts";
import { applies, type Fault, isCut, nameOfNode } from "../faults/fault.ts";
import { transmit } from "../faults/network.ts";
import { Driver, type Invocation } from "../harness/driver.ts";
import { judge } from "../harness/judge.ts";
import { type Result, verdictRecord } from "../harness/result.ts";
import { runRecord } from "../harness/run-record.ts";
import { clusterOf, networkOf, retryOf, type Scenario } from "../harness/scenario.ts";
import type { TraceRecord } from "../harness/trace.ts";
import { type PbftMessage, type PbftRecord, pbft } from "../protocols/pbft/index.ts";
import { createKeyValueStore } from "../services/key-value.ts";
import { betray } from "../traitors/betray.ts";
import { createTraitor } from "../traitors/catalogue.ts";
import { clusterDigest } from "../wire/cluster-digest.ts";
import { createOpener } from "../wire/open.ts";
import { createClientSeal, createReplicaSeal } from "../wire/seal.ts";
import { recorder } from "./recorder.ts";
import { World } from "./world.ts";

export interface SimulateOptions {
  /** An integer from 0. Everything that chance decides follows from it. */
  readonly seed: number;
  /** Check every replica's invariants after every step. @defaultValue false */
  readonly checked?: boolean;
  /** Hears how many operations returned, out of how many. */
  readonly onProgress?: (returned: number, total: number) => void;
}

/** The verdicts; `seconds` are virtual ones, and no file is written. */
export interface Simulation extends Result {
  /** The whole trace, its verdict last. */
  readonly records: readonly TraceRecord[];
}

/**
 * Runs a scenario to its end, or to where its bound has passed. Pure: no clock, no chance but the seed's.
 *
 * @throws LabError when a traitor's module answers what no hook may
 */
export function simulate(scenario: Scenario, options: SimulateOptions): Simulation {
  const run = new Run(scenario, options);
  run.begin();
  run.toEnd();
  const records = run.records();
  const judgement = judge(records);
  const result: Result = { ...judgement, trace: null, report: null, seconds: run.now / 1_000 };
  return { ...result, records: [...records, verdictRecord(judgement, run.now)] };
}

class Run {
  readonly #scenario: Scenario;
  readonly #options: SimulateOptions;
  readonly #cluster: Cluster;
  readonly #world: World<PbftMessage, PbftRecord>;
  readonly #driver: Driver;
  readonly #records: TraceRecord[] = [];
  readonly #random: Random;
  readonly #keys: Keys;
  readonly #restarts = new Map<number, number>();
  #groups: readonly (readonly NodeName[])[] = [];
  /** Faults whose moment has come and that are not carried out yet: the last return may bring one. */
  #due = 0;

  constructor(scenario: Scenario, options: SimulateOptions) {
    this.#scenario = scenario;
    this.#options = options;
    this.#random = createRandom(options.seed);
    this.#keys = symbolicKeys(scenario);
    this.#cluster = clusterOf(scenario, this.#keys.clusterId);
    this.#driver = new Driver(scenario, this.#cluster.clients, this.#random.fork("workload"));
    const write = recorder<PbftMessage, PbftRecord>(
      () => this.now,
      (record) => this.#records.push(record),
    );
    this.#world = new World({
      cluster: this.#cluster,
      opener: this.#keys.opener(this.#cluster),
      checked: options.checked ?? false,
      createReplica: (id) => this.#createReplica(id),
      createClient: (id) =>
        createClientCore({
          self: id,
          cluster: this.#cluster,
          seal: this.#keys.clientSeal(id),
          digest: nobleDigest,
          retry: retryOf(scenario),
        }),
      route: this.#router(),
      watcher: {
        ...write,
        replicaDid: (id, effect) => {
          write.replicaDid(id, effect);
          if (effect.type === "decide") this.#driver.progressed(this.now);
        },
        clientDid: (id, effect) => {
          write.clientDid(id, effect);
          if (effect.type === "return") this.#returned(id, effect.result);
        },
      },
    });
  }

  /** Virtual ms. */
  get now(): number {
    return this.#world?.now ?? 0;
  }

  /** Starts every node at time 0 and plans what the scenario times. */
  begin(): void {
    const { network, faults } = this.#scenario;
    this.#records.push(runRecord(this.#scenario, { version, seed: this.#options.seed, host: "sim" }));
    for (const id of this.#cluster.replicas) this.#of(replicaName(id), { event: "start", incarnation: 0 });
    for (const id of this.#cluster.replicas) this.#world.start(id);
    if (network.stableFrom !== undefined) this.#world.at(network.stableFrom, () => this.#of("harness", { event: "stable" }));
    for (const fault of faults) {
      if (!("after" in fault.when)) continue;
      this.#world.at(fault.when.after, () => {
        this.#fire(fault);
        this.#driver.fired();
      });
    }
    for (const id of this.#cluster.clients) {
      this.#of(clientName(id), { event: "start" });
      this.#world.stepClient(id, { type: "start", now: this.now });
    }
    for (const invocation of this.#driver.begin()) this.#invoke(invocation);
  }

  toEnd(): void {
    // Looking into every core costs more than a step: only when nothing else keeps the run going.
    while (!this.#driver.mayEnd(this.now, this.#driver.allReturned && this.#settled())) {
      this.#world.advance(this.#driver.endsBy);
      this.#options.onProgress?.(this.#driver.returned, this.#driver.operations);
    }
    for (const id of this.#cluster.replicas) if (this.#world.inspect(id).running) this.#of(replicaName(id), { event: "stop" });
  }

  records(): readonly TraceRecord[] {
    return this.#records;
  }

  #createReplica(id: ReplicaId): Core<PbftMessage, PbftRecord> {
    const handed: CoreSetup<PbftMessage> = {
      self: id,
      cluster: this.#cluster,
      seal: this.#keys.replicaSeal(id),
      digest: nobleDigest,
      service: createKeyValueStore(),
    };
    const core = pbft.createCore(handed);
    const traitors = (this.#scenario.traitors[id] ?? []).map(createTraitor);
    return betray(core, { ...handed, random: this.#random.fork(`traitor ${id}`) }, traitors);
  }

  #router(): (from: NodeName, to: NodeName, now: number) => readonly number[] {
    const model = networkOf(this.#scenario);
    const links = new Map<string, Random>();
    return (from, to, now) => {
      const link = `${from} ${to}`;
      // A stream of its own for each link: what one link carries does not change the luck of the others.
      const random = links.get(link) ?? this.#random.fork(`link ${link}`);
      links.set(link, random);
      const delays = transmit(model, random, now);
      return isCut(this.#groups, from, to) ? [] : delays;
    };
  }

  #invoke({ client, operation }: Invocation): void {
    this.#world.stepClient(client, { type: "invoke", now: this.now, operation });
  }

  #returned(client: ClientId, result: Uint8Array): void {
    const { next, faults } = this.#driver.returnedTo(client, result, this.now);
    // Not within the step that returned: the client's effects come to their end first.
    this.#due += faults.length;
    for (const fault of faults) {
      this.#world.at(this.now, () => {
        this.#due -= 1;
        this.#fire(fault);
      });
    }
    for (const invocation of next) this.#world.at(this.now + this.#scenario.workload.think, () => this.#invoke(invocation));
  }

  #fire(fault: Fault): void {
    if ("replica" in fault && !applies(fault, this.#world.inspect(replicaId(fault.replica)))) return;
    switch (fault.fault) {
      case "partition":
        this.#groups = fault.groups.map((group) => group.map(nameOfNode));
        return this.#of("harness", { event: "partition", groups: this.#groups });
      case "heal":
        this.#groups = [];
        return this.#of("harness", { event: "heal" });
      case "kill":
        this.#of(replicaName(fault.replica), { event: "crash" });
        return this.#world.kill(replicaId(fault.replica));
      case "start":
        return this.#restart(replicaId(fault.replica), fault.storage);
      case "pause":
        this.#of(replicaName(fault.replica), { event: "pause" });
        return this.#world.pause(replicaId(fault.replica));
      case "resume":
        this.#of(replicaName(fault.replica), { event: "resume" });
        return this.#world.resume(replicaId(fault.replica));
    }
  }

  #restart(id: ReplicaId, storage: "kept" | "lost"): void {
    const incarnation = (this.#restarts.get(id) ?? 0) + 1;
    this.#restarts.set(id, incarnation);
    this.#world.start(id, storage, (slot) => this.#of(replicaName(id), { event: "restart", incarnation, storage, slot }));
  }

  #of(node: NodeName, what: Happening): void {
    this.#records.push({ at: this.now, node, ...what } as TraceRecord);
  }

  #settled(): boolean {
    if (this.#due > 0) return false;
    const watched = this.#cluster.replicas.filter((id) => !this.#scenario.traitors[id]).map((id) => this.#world.inspect(id));
    return new Set(watched.filter(({ running, halted }) => running && !halted).map(({ executed }) => executed)).size <= 1;
  }
}

/** A record without its stamp. */
type Happening = {
  [E in TraceRecord["event"]]: Omit<Extract<TraceRecord, { event: E }>, "at" | "node" | "lamport" | "vector">;
}[TraceRecord["event"]];

interface Keys {
  readonly clusterId: Cluster["id"];
  opener(cluster: Cluster): ReturnType<typeof createOpener<PbftMessage>>;
  replicaSeal(id: ReplicaId): CoreSetup<PbftMessage>["seal"];
  clientSeal(id: ClientId): ReturnType<typeof createClientSeal>;
}

/** Symbolic keys: secrets are counters, which nobody but the scheme could use anyway. */
function symbolicKeys(scenario: Scenario): Keys {
  const scheme: SignatureScheme = symbolicScheme();
  const { replicas, f, quorums, limits, workload } = scenario;
  const secretsOf = (role: number, count: number) => Array.from({ length: count }, (_, index) => secret(role, index));
  const [replicaSecrets, clientSecrets] = [secretsOf(1, replicas), secretsOf(2, workload.clients)];
  const replicaKeys = replicaSecrets.map((key) => scheme.publicKeyOf(key));
  const clientKeys = clientSecrets.map((key) => scheme.publicKeyOf(key));
  const clusterId = clusterDigest({ n: replicas, f, quorums, limits, replicaKeys, clientKeys }, nobleDigest);
  const identity = { schemas: pbft.messages, cluster: clusterId, incarnation: 0 };
  const signer = (key: Uint8Array | undefined) => (bytes: Uint8Array) => scheme.sign(key as Uint8Array, bytes);
  return {
    clusterId,
    opener: ({ limits: bounds }) =>
      createOpener<PbftMessage>({
        schemas: pbft.messages,
        cluster: clusterId,
        limits: bounds,
        replicaKeys,
        clientKeys,
        verify: scheme.verify,
        digest: nobleDigest,
        // A symbolic signature is checked faster than it is remembered.
        signaturesKept: 0,
      }),
    replicaSeal: (id) => createReplicaSeal<PbftMessage>({ ...identity, sender: id, sign: signer(replicaSecrets[id]) }),
    clientSeal: (id) => createClientSeal({ ...identity, sender: id, sign: signer(clientSecrets[id - 1]) }),
  };
}

function secret(role: number, index: number): Uint8Array {
  const bytes = new Uint8Array(32);
  bytes.set([role, index >>> 8, index & 255]);
  return bytes;
}
