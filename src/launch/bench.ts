/**
 * What a replica set costs: real processes over loopback, at several numbers of operations in flight, several times. Nothing slows
 * them down on purpose and no trace is written; docs/benchmarks.md says what each figure means.
 */
import { setMaxListeners } from "node:events";
import { mkdtempSync, readdirSync, rmdirSync } from "node:fs";
import { availableParallelism, cpus, loadavg, release, tmpdir, totalmem, type } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { clientName } from "../core/ids.ts";
import { LabError } from "../core/lab-error.ts";
import { faultsTolerated } from "../core/quorum.ts";
import { version } from "../core/version.ts";
import { perfectNetwork } from "../faults/network.ts";
import { defaultTransportLimits } from "../transport/limits.ts";
import { type Client, connect } from "./connect.ts";
import { generateCluster } from "./keys.ts";
import { type LoadOptions, type LoadResult, load } from "./load.ts";
import { textOf } from "./probe.ts";
import { ReplicaSet } from "./replica-set.ts";

export interface BenchOptions {
  readonly replicas: number;
  /** @defaultValue the most that so many replicas withstand */
  readonly f?: number;
  /** Operations under way at a time, one number for each level. */
  readonly inFlight: readonly number[];
  /** How often a set is launched and measured at every level. */
  readonly runs: number;
  /** That a run measures at a level; a tenth as many come before, unmeasured. */
  readonly operations: number;
  /** Once after each launch, unmeasured: a process is slow while its code is new. */
  readonly warmUp: number;
  /** Size of a value, in bytes. */
  readonly valueBytes: number;
}

/** One run at one level. */
export interface BenchFigures {
  /** Operations per second. */
  readonly throughput: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
  /** CPU time of all replicas together per operation, in ms. */
  readonly replicaCpuMs: number;
  /** The same of the one process that all clients share. */
  readonly clientCpuMs: number;
  /** Sent by all replicas per operation, replies included. */
  readonly messages: number;
  /** Of those messages. */
  readonly bytes: number;
  /** Operations that a slot decided, on average. */
  readonly batch: number;
  /** View changes of all replicas together; where there were any, the figures tell of them too. */
  readonly viewChanges: number;
}

export interface BenchLevel {
  readonly inFlight: number;
  readonly clients: number;
  readonly runs: readonly BenchFigures[];
  /** Of each figure by itself, over the runs. */
  readonly median: BenchFigures;
  readonly min: BenchFigures;
  readonly max: BenchFigures;
}

export interface BenchResult {
  readonly version: string;
  /** When it began. */
  readonly date: string;
  readonly machine: Machine;
  readonly settings: BenchOptions & { readonly f: number; readonly keys: number };
  readonly levels: readonly BenchLevel[];
}

export interface Machine {
  readonly cpu: string;
  readonly cores: number;
  readonly memoryBytes: number;
  readonly os: string;
  readonly node: string;
  /** Processes that wanted a core before it began, on average over a minute; 0 where the system does not tell. */
  readonly load: number;
}

export interface BenchEvents {
  /** So many measured operations returned, of all; not told of each, which would cost what is measured. */
  onProgress?(returned: number, total: number): void;
  readonly signal?: AbortSignal;
}

/** More clients would not ask for more: each has several operations under way. */
const clientsMax = 8;
/** That all operations share. */
const keys = 100;
/** Of the warm-up: code becomes fast by being used often, and few operations in flight are small batches, so many messages. */
const warmUpInFlight = 16;
/** How often a level of a run tells how far it is. */
const progressSteps = 20;

/**
 * @returns the figures of all runs
 * @throws LabError when a replica or an operation fails: there are no figures then. The reason of the signal when that ended it.
 */
export async function bench(options: BenchOptions, events: BenchEvents = {}): Promise<BenchResult> {
  const settings = { ...options, f: options.f ?? faultsTolerated(options.replicas), keys };
  const about = { version, date: new Date().toISOString(), machine: machine(), settings };
  const { runs: count, inFlight, operations } = options;
  const total = count * inFlight.length * operations;
  let before = 0;
  const measured = (returned: number): void => {
    if (returned % Math.ceil(operations / progressSteps) === 0) events.onProgress?.(before + returned, total);
    if (returned === operations) before += operations;
  };
  const runs: (readonly BenchFigures[])[] = [];
  while (runs.length < count) runs.push(await oneRun(options, measured, events.signal));
  const levels = inFlight.map((level, index) => {
    const figures = runs.flatMap((run) => run[index] ?? []);
    return { inFlight: level, clients: clientsAt(level), runs: figures, ...spread(figures) };
  });
  return { ...about, levels };
}

/** Launches a set and measures it at every level. */
async function oneRun(options: BenchOptions, onReturn: (returned: number) => void, signal?: AbortSignal): Promise<BenchFigures[]> {
  const { replicas, f, inFlight, warmUp, operations, valueBytes } = options;
  const died = new AbortController();
  const ended = AbortSignal.any([died.signal, ...(signal ? [signal] : [])]);
  // Every operation under way listens to it.
  setMaxListeners(0, ended);
  const { file, secrets } = generateCluster({
    replicas,
    ...(f !== undefined && { f }),
    clients: clientsAt(Math.max(warmUpInFlight, ...inFlight)),
  });
  const directory = mkdtempSync(join(tmpdir(), "quorate-bench-"));
  const clients: Client[] = [];
  let set: ReplicaSet | undefined;
  try {
    set = await ReplicaSet.start({
      file,
      secretOf: (node) => secrets.get(node) as Uint8Array,
      directory,
      trace: false,
      log: { level: "error", to: "stderr", pretty: false },
      network: perfectNetwork,
      seed: 1,
      traitors: new Map(),
      anyPort: true,
      penalties: true,
      onDeath: (why) => died.abort(why),
      signal: ended,
    });
    for (const { id } of file.clients)
      clients.push(connect({ cluster: file, id, secret: secrets.get(clientName(id)) as Uint8Array, urls: set.urls }));
    await set.linked(clients.length);
    const ask = (level: number, count: number, told?: (returned: number) => void): Promise<Asked> =>
      askAll(clients, level, { operations: count, window: 1, keys, valueBytes }, told, ended);
    await ask(warmUpInFlight, warmUp);
    const meter = new Meter(set.urls);
    const figures: BenchFigures[] = [];
    for (const level of inFlight) {
      await ask(level, Math.ceil(operations / 10));
      const begin = await meter.read();
      const asked = await ask(level, operations, onReturn);
      figures.push(figuresOf(asked, begin, await meter.read()));
    }
    return figures;
  } finally {
    await Promise.all(clients.map((client) => client.close()));
    await set?.stop();
    // What a replica that crashed left there is what the error points at.
    if (readdirSync(directory).length === 0) rmdirSync(directory);
  }
}

type Asked = LoadResult & { readonly cpuMs: number };

/** One caller for each operation in flight; they share the clients evenly. */
async function askAll(
  clients: readonly Client[],
  inFlight: number,
  options: LoadOptions,
  onReturn: ((returned: number) => void) | undefined,
  signal: AbortSignal,
): Promise<Asked> {
  const callers = Array.from({ length: inFlight }, (_, caller) => clients[caller % clientsAt(inFlight)] as Client);
  const before = process.cpuUsage();
  const result = await load(callers, options, onReturn ?? (() => undefined), signal);
  const { user, system } = process.cpuUsage(before);
  const failed = Object.entries(result.failed).map(([code, times]) => `${times} ${code}`);
  if (failed.length > 0)
    throw new LabError("failed-operations", `of ${options.operations} operations some failed: ${failed.join(", ")}`, { exitCode: 3 });
  return { ...result, cpuMs: (user + system) / 1_000 };
}

function clientsAt(inFlight: number): number {
  return Math.min(inFlight, clientsMax);
}

/** What all replicas together say that they did so far. */
interface Reading {
  readonly cpuMs: number;
  readonly messages: number;
  readonly bytes: number;
  readonly executed: number;
  readonly decided: number;
  readonly viewChanges: number;
}

/** Reads the replicas' metrics. */
class Meter {
  readonly #urls: readonly string[];
  #readAt = Number.NEGATIVE_INFINITY;

  constructor(urls: readonly string[]) {
    this.#urls = urls;
  }

  /** A replica gives out the same page for a while. It has nothing to do until it makes a new one. */
  async read(): Promise<Reading> {
    const fresh = this.#readAt + 2 * defaultTransportLimits.pageMs;
    await sleep(Math.max(0, fresh - performance.now()));
    const pages = await Promise.all(this.#urls.map((url) => textOf(url, "/metrics")));
    this.#readAt = performance.now();
    const sum = (name: string): number => pages.reduce((total, page) => total + sumOf(page, name), 0);
    return {
      cpuMs: sum("process_cpu_seconds_total") * 1_000,
      messages: sum('quorate_messages_total{.*direction="sent".*}'),
      bytes: sum('quorate_message_bytes_total{.*direction="sent".*}'),
      executed: sum("quorate_executed_requests_total"),
      decided: sum("quorate_decided_slots_total"),
      viewChanges: sum("quorate_view_changes_total"),
    };
  }
}

/** @param name - and labels, as a regular expression. @returns the sum of all that match */
function sumOf(page: string, name: string): number {
  const lines = page.matchAll(new RegExp(`^${name} (\\S+)$`, "gm"));
  return [...lines].reduce((total, [, value]) => total + Number(value), 0);
}

function figuresOf({ operations, throughput, latencyMs, cpuMs }: Asked, begin: Reading, end: Reading): BenchFigures {
  const did = (what: keyof Reading): number => end[what] - begin[what];
  return {
    throughput,
    p50Ms: latencyMs.p50,
    p99Ms: latencyMs.p99,
    maxMs: latencyMs.max,
    replicaCpuMs: did("cpuMs") / operations,
    clientCpuMs: cpuMs / operations,
    messages: did("messages") / operations,
    bytes: did("bytes") / operations,
    batch: did("executed") / Math.max(1, did("decided")),
    viewChanges: did("viewChanges"),
  };
}

function spread(runs: readonly BenchFigures[]): Pick<BenchLevel, "median" | "min" | "max"> {
  const every = (pick: (sorted: readonly number[]) => number): BenchFigures => {
    const names = Object.keys(runs[0] ?? {}) as (keyof BenchFigures)[];
    const picked = names.map((name) => [name, pick(runs.map((run) => run[name]).sort((a, b) => a - b))] as const);
    return Object.fromEntries(picked) as unknown as BenchFigures;
  };
  return { median: every(median), min: every((sorted) => sorted[0] ?? 0), max: every((sorted) => sorted.at(-1) ?? 0) };
}

/** Of an even number of them: halfway between the two in the middle. */
function median(sorted: readonly number[]): number {
  const middle = (sorted.length - 1) / 2;
  return ((sorted[Math.floor(middle)] ?? 0) + (sorted[Math.ceil(middle)] ?? 0)) / 2;
}

function machine(): Machine {
  const [load = 0] = loadavg();
  return {
    cpu: cpus()[0]?.model.trim() ?? "unknown",
    cores: availableParallelism(),
    memoryBytes: totalmem(),
    os: `${type()} ${release()}`,
    node: process.version,
    load,
  };
}
