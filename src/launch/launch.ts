/** `launch()`: a replica set inside anybody's test. It talks, can be broken and is judged, and is gone when the test is over. */
import { accessSync, constants, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type ClientId, clientId } from "../core/ids.ts";
import { LabError } from "../core/lab-error.ts";
import { replicasToTolerate } from "../core/quorum.ts";
import { applies, type Fault, type NodeReference } from "../faults/fault.ts";
import type { Result } from "../harness/result.ts";
import { type Scenario, type ScenarioDefinition, scenario } from "../harness/scenario.ts";
import { formatRecord } from "../harness/trace-text.ts";
import { type LogLevel, logLevels } from "../node/log.ts";
import type { TlsSettings } from "../transport/tls.ts";
import type { Client } from "./connect.ts";
import { Laboratory } from "./laboratory.ts";
import { type ReplicaStatus, statusOf, textOf } from "./probe.ts";
import { replicaFile } from "./replica-node.ts";

/** A wrong one gets an error that names it and what is allowed. */
export interface LaunchOptions
  extends Partial<
    Pick<ScenarioDefinition, "name" | "protocol" | "replicas" | "f" | "quorums" | "traitors" | "network" | "timing" | "limits" | "within">
  > {
  /** Clients that may connect, each once. @defaultValue 8 */
  readonly clients?: number;
  /** Clients whose keys stand in no file may take part too. @defaultValue false */
  readonly openClients?: boolean;
  /** What chance follows from: a traitor's draws, the network's losses. An integer from 0. @defaultValue 1 */
  readonly seed?: number;
  /** All replicas in this process: quick to start and open to a debugger, but none can be paused. @defaultValue false */
  readonly inProcess?: boolean;
  /** Where traces, logs and the result go; one set at a time may use it. @defaultValue a temporary folder, removed at the end unless a verdict was a surprise */
  readonly directory?: string;
  /** Links are `wss://` with it. */
  readonly tls?: TlsSettings;
  /** @defaultValue "info" */
  readonly logLevel?: LogLevel;
  /** A file that exports a scenario whose traitors are custom ones: each process loads it again. */
  readonly module?: string;
  /** Ends the launch, should it come before the set is up. */
  readonly signal?: AbortSignal;
}

const scenarioFields = ["name", "protocol", "replicas", "f", "quorums", "traitors", "network", "timing", "limits", "within"] as const;
const ownFields = ["clients", "openClients", "seed", "inProcess", "directory", "tls", "logLevel", "module", "signal"] as const;

/** How long replicas may stand still before a verdict stops waiting for them to draw level, in ms. */
const stillMs = 500;
const pollMs = 20;

/**
 * Launches replicas on this machine, each a process of its own, linked over WebSockets on ports that the system chooses.
 *
 * @param options - `replicas`: by default 4, or 3f+1 where `f` is given; the network is as good as the machine's unless `network` says otherwise
 * @returns when all links are up
 * @throws LabError in one line that names the option that is wrong and what is allowed, or says why the replicas could not be started
 * @example
 * await using set = await launch({ replicas: 4, traitors: { 0: traitors.equivocate() } });
 * await using client = await set.client();
 * await client.put("a", "3");
 * await set.kill(2);
 * (await set.verdict()).properties.agreement.verdict; // "holds"
 */
export async function launch(options: LaunchOptions = {}): Promise<LaunchedSet> {
  const planned = planOf(options);
  const { directory = mkdtempSync(join(tmpdir(), "quorate-")), seed = 1, inProcess, tls, openClients, module, logLevel, signal } = options;
  const remove = (): void => {
    if (options.directory === undefined) rmSync(directory, { recursive: true, force: true });
  };
  try {
    writable(directory);
    const laboratory = await Laboratory.start(planned, {
      seed,
      directory,
      log: { level: logLevel ?? "info", to: "file", pretty: false },
      ...(inProcess && { inProcess }),
      ...(tls && { tls }),
      ...(openClients && { openClients }),
      ...(module !== undefined && { module }),
      ...(signal && { signal }),
    });
    try {
      await laboratory.linked(0);
    } catch (error) {
      await laboratory.stop();
      throw error;
    }
    laboratory.begin();
    return new LaunchedSet(planned, laboratory, { directory, remove, ...(tls && { tls }) });
  } catch (error) {
    remove();
    throw error;
  }
}

/** What `launch` gives. Replicas are named by number; every fault is in the trace, so that the verdict can take it into account. */
export class LaunchedSet implements AsyncDisposable {
  /** Where traces, logs and the result lie. */
  readonly directory: string;
  readonly #scenario: Scenario;
  readonly #laboratory: Laboratory;
  readonly #tls: TlsSettings | undefined;
  readonly #remove: () => void;
  readonly #clients = new Map<ClientId, Client>();
  readonly #started = performance.now();
  #surprised = false;
  #stopped: Promise<void> | undefined;

  constructor(planned: Scenario, laboratory: Laboratory, more: { directory: string; remove: () => void; tls?: TlsSettings }) {
    this.#scenario = planned;
    this.#laboratory = laboratory;
    this.#tls = more.tls;
    this.#remove = more.remove;
    this.directory = more.directory;
    const { stableFrom } = planned.network;
    if (stableFrom !== undefined) setTimeout(() => laboratory.stable(), stableFrom).unref();
  }

  /** Where the replicas listen, by number. */
  get urls(): readonly string[] {
    return this.#laboratory.urls;
  }

  /** Of the processes, by number; undefined for one that is down, or lives in this process. */
  get pids(): readonly (number | undefined)[] {
    return this.#laboratory.pids;
  }

  /**
   * A client, linked to a quorum of replicas at least. Each number connects once.
   *
   * @param id - 1 up to `clients`; by default the lowest that did not connect yet
   * @throws LabError when there is no such client, or it connected before
   */
  async client(id?: number): Promise<Client> {
    this.#refuseWhenStopped();
    const { clients } = this.#laboratory.cluster;
    const next = id === undefined ? clients.find((one) => !this.#clients.has(one)) : clients.find((one) => one === id);
    if (next === undefined || this.#clients.has(next)) throw noClient(id, clients.length);
    return this.#connect(next);
  }

  /** A client that stands in no file, with a new key; the set must have been launched with `openClients`. @throws LabError when it was not */
  async openClient(): Promise<Client> {
    this.#refuseWhenStopped();
    return this.#connect(undefined);
  }

  /** SIGKILL. Storage is in memory, so the replica counts as faulty once it is started again (rule 77). @returns when it is gone */
  kill(replica: number): Promise<void> {
    return this.#fire({ fault: "kill", when: now, replica });
  }

  /** Starts a killed replica again, with nothing in its store. @returns when it listens */
  start(replica: number): Promise<void> {
    return this.#fire({ fault: "start", when: now, replica, storage: "lost" });
  }

  /** SIGSTOP: it keeps memory and links and does nothing. */
  pause(replica: number): Promise<void> {
    return this.#fire({ fault: "pause", when: now, replica });
  }

  /** SIGCONT. */
  resume(replica: number): Promise<void> {
    return this.#fire({ fault: "resume", when: now, replica });
  }

  /**
   * Cuts every link between nodes that share no group, and ends the cut before, by the time it returns. A node in two groups is a bridge, one in none reaches everybody.
   *
   * @param groups - of replica numbers and clients such as "client-1"
   */
  async partition(groups: readonly (readonly NodeReference[])[]): Promise<void> {
    this.#refuseWhenStopped();
    // As strict as a scenario that is written down: a cut that is not there would be believed in.
    scenario({ ...this.#scenario, faults: [{ fault: "partition", when: now, groups }] });
    await this.#laboratory.fire({ fault: "partition", when: now, groups });
    await this.#laboratory.heard();
  }

  /** Ends the partition. */
  async heal(): Promise<void> {
    this.#refuseWhenStopped();
    await this.#laboratory.fire({ fault: "heal", when: now });
    await this.#laboratory.heard();
  }

  /** From now on messages meet this network. With loss nobody promises termination any more: no time is stated from which none are lost. */
  async setNetwork(network: NonNullable<ScenarioDefinition["network"]>): Promise<void> {
    this.#laboratory.setNetwork(planOf({ network }).network);
    await this.#laboratory.heard();
  }

  /** How a replica is now, by its own word: its health endpoint. @throws LabError when it does not answer */
  status(replica: number): Promise<ReplicaStatus> {
    return statusOf(this.#urlOf(replica), this.#tls);
  }

  /** A replica's metrics in Prometheus' text format. @throws LabError when it does not answer */
  metrics(replica: number): Promise<string> {
    return textOf(this.#urlOf(replica), "/metrics", this.#tls);
  }

  /** The path of a replica's log, one JSON object a line. */
  logFile(replica: number): string {
    return replicaFile(this.directory, replica, "log");
  }

  /**
   * Judges what happened so far; the set goes on. First it waits for replicas that are drawing level, as long as any of them moves.
   *
   * @returns the verdicts; trace and result are in {@link directory}, which is kept when they are a surprise
   */
  async verdict(): Promise<Result> {
    if (this.#stopped === undefined) await this.#level();
    const { judgement, records } = await this.#laboratory.judged();
    const trace = join(this.directory, "trace.jsonl");
    const seconds = (performance.now() - this.#started) / 1_000;
    const result: Result = { ...judgement, trace, report: null, seconds };
    writeFileSync(trace, records.map((record) => `${formatRecord(record)}\n`).join(""));
    writeFileSync(join(this.directory, "result.json"), `${JSON.stringify(result, null, 2)}\n`);
    this.#surprised ||= !result.asExpected;
    return result;
  }

  /** Closes the clients and stops the replicas. @returns when every process is gone */
  stop(): Promise<void> {
    this.#stopped ??= this.#end();
    return this.#stopped;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    if (!this.#surprised) this.#remove();
  }

  async #end(): Promise<void> {
    await Promise.all([...this.#clients.values()].map((client) => client.close()));
    await this.#laboratory.stop();
  }

  async #connect(registered: ClientId | undefined): Promise<Client> {
    const client = this.#laboratory.connect(registered, (id) => this.#laboratory.ended(id));
    this.#clients.set(client.id as ClientId, client);
    await client.linked();
    return client;
  }

  #refuseWhenStopped(): void {
    if (this.#stopped !== undefined) throw new LabError("stopped", "the set was stopped: launch another");
  }

  async #fire(fault: Extract<Fault, { replica: number }>): Promise<void> {
    this.#refuseWhenStopped();
    const progress = this.#laboratory.progress(fault.replica);
    if (applies(fault, progress)) return this.#laboratory.fire(fault);
    const is = !progress.up ? "is down" : progress.running ? "is running" : "is paused";
    throw new LabError("not-applicable", `cannot ${fault.fault} replica ${fault.replica}: it ${is}`);
  }

  #urlOf(replica: number): string {
    this.#laboratory.progress(replica);
    return this.urls[replica] as string;
  }

  async #level(): Promise<void> {
    let [seen, since] = ["", performance.now()];
    for (;;) {
      const correct = this.#laboratory.cluster.replicas.filter((id) => !this.#scenario.traitors[id]);
      const executed = correct.map((id) => this.#laboratory.progress(id)).flatMap((one) => (one.running ? one.executed : []));
      const picture = executed.join();
      if (picture !== seen) [seen, since] = [picture, performance.now()];
      const still = performance.now() - since;
      if (still > stillMs || (still > 5 * pollMs && new Set(executed).size <= 1)) return;
      await new Promise((resolve) => setTimeout(resolve, pollMs));
    }
  }
}

/** A fault that is fired by hand has no trigger to wait for. */
const now = { after: 0 };

function planOf(options: LaunchOptions): Scenario {
  const unknown = Object.keys(options).find((field) => ![...scenarioFields, ...ownFields].some((known) => known === field));
  if (unknown !== undefined)
    throw bad(`unknown option ${JSON.stringify(unknown)}; allowed: ${[...scenarioFields, ...ownFields].join(", ")}`);
  const { clients = 8, seed = 1, logLevel = "info", f, replicas = replicasToTolerate(f ?? 1), name = "launched set" } = options;
  if (!Number.isSafeInteger(seed) || seed < 0) throw bad(`seed: expected an integer from 0, got ${seed}`);
  if (!logLevels.includes(logLevel)) throw bad(`logLevel: expected one of ${logLevels.join(", ")}, got ${JSON.stringify(logLevel)}`);
  const definition = Object.fromEntries(
    scenarioFields.flatMap((field) => (options[field] === undefined ? [] : [[field, options[field]]])),
  ) as Partial<ScenarioDefinition>;
  return scenario({
    ...definition,
    name,
    replicas,
    network: { delay: 0, ...options.network },
    workload: { clients, operations: 0 },
  });
}

function writable(directory: string): void {
  try {
    mkdirSync(directory, { recursive: true });
    accessSync(directory, constants.W_OK);
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    throw new LabError(
      "unwritable-directory",
      `launch: directory: cannot write in ${JSON.stringify(directory)} (${code}); choose another`,
      { cause },
    );
  }
}

function bad(problem: string): LabError {
  return new LabError("bad-launch", `launch: ${problem}`);
}

function noClient(id: number | undefined, clients: number): LabError {
  if (id === undefined)
    return new LabError("no-client", `all ${clients} clients have connected: launch with more, as in launch({ clients: ${2 * clients} })`);
  const known = Number.isSafeInteger(id) && id >= 1 && id <= clients;
  if (known)
    return new LabError(
      "no-client",
      `client ${clientId(id)} has connected before: each connects once, so that no request number is used twice (rule 62)`,
    );
  return new LabError("no-client", `expected a client in 1..${clients}, got ${id}`);
}
