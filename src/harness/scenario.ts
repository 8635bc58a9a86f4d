/** Scenarios: what a run consists of and what is expected of it. Checked once, then plain numbers in ms. */
import { defaultRetry, type RetryTiming } from "../client/client-core.ts";
import { type Cluster, defaultLimits, defaultTiming, type Limits, type Timing } from "../core/cluster.ts";
import type { Duration } from "../core/duration.ts";
import { clientId, type Digest, replicaId } from "../core/ids.ts";
import { LabError } from "../core/lab-error.ts";
import { faultsTolerated, type Quorums, quorumsFor } from "../core/quorum.ts";
import type { Fault, FaultTrigger, NodeReference } from "../faults/fault.ts";
import type { NetworkModel } from "../faults/network.ts";
import type { Behaviour } from "../traitors/behaviour.ts";
import { terminationBoundMs } from "./bound.ts";
import { definitionSchema, describeIssue, type ParsedDefinition } from "./scenario-schema.ts";
import type { Expectation } from "./verdict.ts";

/** Who lies, and how: replica numbers and `client-1`. Each of several behaviours sees what the ones before it made of a message. */
export type Traitors = { readonly [node in NodeReference]?: Behaviour | readonly Behaviour[] };

/** A fault as written by hand; `faults.partition()` and the others write the same. */
export type FaultDefinition = Fault extends infer F ? (F extends Fault ? Omit<F, "when" | "storage"> & FaultExtras : never) : never;

interface FaultExtras {
  readonly when: FaultTrigger<Duration>;
  readonly storage?: "kept" | "lost";
}

/** What a user writes. Durations are ms or text such as "5ms", "1s", "2m". */
export interface ScenarioDefinition {
  readonly name: string;
  /** @defaultValue "pbft" */
  readonly protocol?: "pbft";
  /** n, from 1. */
  readonly replicas: number;
  /** @defaultValue floor((n-1)/3) */
  readonly f?: number;
  /** To get them wrong on purpose. @defaultValue what n and f call for */
  readonly quorums?: Partial<Quorums>;
  readonly traitors?: Traitors;
  readonly network?: {
    /** Of each message: one value, or from and to. @defaultValue ["1ms", "5ms"] */
    readonly delay?: Duration | readonly [from: Duration, to: Duration];
    /** Probabilities 0..1, until `stableFrom`. @defaultValue 0 */
    readonly loss?: number;
    readonly duplicate?: number;
    readonly reorder?: number;
    /** GST. */
    readonly stableFrom?: Duration;
  };
  readonly faults?: readonly FaultDefinition[];
  readonly workload?: {
    /** @defaultValue 1 */
    readonly clients?: number;
    /** In total. @defaultValue 100 */
    readonly operations?: number;
    /** That each client keeps in flight. @defaultValue 1 */
    readonly window?: number;
    /** That the clients share. @defaultValue 4 */
    readonly keys?: number;
    /** Between a result and the next operation. @defaultValue 0 */
    readonly think?: Duration;
  };
  /** The termination bound, counted from `stableFrom`. @defaultValue T_client + (f+2) Tmax + catch-up */
  readonly within?: Duration;
  readonly expect?: Expectation;
  readonly timing?: { readonly [K in keyof ScenarioTiming]?: Duration };
  readonly limits?: Partial<Limits>;
}

/** Of replicas, and how long a client waits before it asks all, in ms. */
export interface ScenarioTiming extends Timing {
  readonly clientRetryMs: number;
  readonly clientRetryMaxMs: number;
}

/** A checked scenario: every field filled in, durations in ms. It is a definition again: `scenario(aScenario)` gives the same. */
export interface Scenario {
  readonly name: string;
  readonly protocol: "pbft";
  readonly replicas: number;
  readonly f: number;
  readonly quorums: Quorums;
  readonly traitors: { readonly [node in NodeReference]?: readonly Behaviour[] };
  readonly network: {
    readonly delay: readonly [from: number, to: number];
    readonly loss: number;
    readonly duplicate: number;
    readonly reorder: number;
    readonly stableFrom?: number;
  };
  readonly faults: readonly Fault[];
  readonly workload: {
    readonly clients: number;
    readonly operations: number;
    readonly window: number;
    readonly keys: number;
    readonly think: number;
  };
  readonly within: number;
  readonly expect: Expectation;
  readonly timing: ScenarioTiming;
  readonly limits: Limits;
}

/**
 * Checks a scenario and fills in what it leaves open.
 *
 * @throws LabError in one line that names the field, what is allowed there and what stands there
 * @example
 * export default scenario({ name: "silent primary", replicas: 4, traitors: { 0: traitors.silent() } });
 */
export function scenario(definition: ScenarioDefinition): Scenario {
  return checkedScenario(definition);
}

/** The same for what came from a file and may be anything. `source` stands in the error for a name that is missing. */
export function checkedScenario(value: unknown, source?: string): Scenario {
  const parsed = definitionSchema.safeParse(value);
  if (!parsed.success) throw bad(nameIn(value) ?? source, describeIssue(parsed.error, value));
  const fail = (problem: string): never => {
    throw bad(parsed.data.name, problem);
  };
  return filledIn(parsed.data, fail);
}

/** How the network treats messages. */
export function networkOf({ network }: Pick<Scenario, "network">): NetworkModel {
  const { delay, loss, duplicate, reorder, stableFrom } = network;
  return { delayMs: { min: delay[0], max: delay[1] }, loss, duplicate, reorder, stableFromMs: stableFrom };
}

/** The cluster as cores see it. `id`: the digest of whatever keys and numbers the host chose. */
export function clusterOf({ replicas, f, quorums, limits, timing, workload }: Scenario, id: Digest): Cluster {
  const { viewTimeoutMs, viewTimeoutMaxMs, statusIntervalMs, idleStatusIntervalMs } = timing;
  return {
    id,
    n: replicas,
    f,
    quorums,
    limits,
    timing: { viewTimeoutMs, viewTimeoutMaxMs, statusIntervalMs, idleStatusIntervalMs },
    replicas: Array.from({ length: replicas }, (_, index) => replicaId(index)),
    clients: Array.from({ length: workload.clients }, (_, index) => clientId(index + 1)),
  };
}

/** When clients ask again. */
export function retryOf({ timing }: Pick<Scenario, "timing">): RetryTiming {
  return { firstMs: timing.clientRetryMs, maxMs: timing.clientRetryMaxMs };
}

function filledIn(parsed: ParsedDefinition, fail: (problem: string) => never): Scenario {
  const { name, replicas } = parsed;
  const f = parsed.f ?? faultsTolerated(replicas);
  if (f >= replicas) fail(`f: expected an integer in 0..${replicas - 1}, got ${f}`);
  const quorums = defined(parsed.quorums ?? {});
  for (const [quorum, size] of Object.entries(quorums)) {
    if (size > replicas) fail(`quorums.${quorum}: expected an integer in 1..${replicas}, got ${size}`);
  }
  const retry = { clientRetryMs: defaultRetry.firstMs, clientRetryMaxMs: defaultRetry.maxMs };
  const timing: ScenarioTiming = { ...defaultTiming, ...retry, ...defined(parsed.timing ?? {}) };
  const limits: Limits = { ...defaultLimits, ...defined(parsed.limits ?? {}) };
  if (limits.window < 2 * limits.checkpointInterval) {
    fail(`limits.window: expected at least twice the checkpoint interval of ${limits.checkpointInterval} (rule 24), got ${limits.window}`);
  }
  checkNodes(parsed, fail);
  const { delay = [1, 5], loss = 0, duplicate = 0, reorder = 0, stableFrom } = parsed.network ?? {};
  if (delay[0] > delay[1]) fail(`network.delay: expected from and to in order, got ${JSON.stringify(delay)}`);
  return {
    name,
    protocol: "pbft",
    replicas,
    f,
    quorums: quorumsFor(replicas, f, quorums),
    traitors: parsed.traitors,
    network: { delay, loss, duplicate, reorder, ...(stableFrom === undefined ? {} : { stableFrom }) },
    faults: parsed.faults,
    workload: parsed.workload,
    within: parsed.within ?? terminationBoundMs({ n: replicas, f, clientRetryMaxMs: timing.clientRetryMaxMs, timing }),
    expect: defined(parsed.expect),
    timing,
    limits,
  };
}

/** Every node that is named has to be there. */
function checkNodes({ replicas, workload, traitors, faults, expect }: ParsedDefinition, fail: (problem: string) => never): void {
  const numbers = `expected replicas 0..${replicas - 1}`;
  const allowed = `${numbers} or client-1..client-${workload.clients}`;
  const known = (node: NodeReference): boolean => {
    const [, client] = /^client-([1-9]\d*)$/.exec(`${node}`) ?? [];
    return client === undefined ? /^\d+$/.test(`${node}`) && Number(node) < replicas : Number(client) <= workload.clients;
  };
  const beyond = Object.keys(traitors).find((node) => !/^(?:0|[1-9]\d*)$/.test(node) || Number(node) >= replicas);
  if (beyond !== undefined) fail(`traitors: ${numbers} (clients cannot be traitors yet), got ${JSON.stringify(beyond)}`);
  for (const [index, fault] of faults.entries()) {
    if (fault.fault === "partition") {
      const stranger = fault.groups.flat().find((node) => !known(node));
      if (stranger !== undefined) fail(`faults[${index}].groups: ${allowed}, got ${JSON.stringify(stranger)}`);
    } else if (fault.fault !== "heal" && fault.replica >= replicas) {
      fail(`faults[${index}].replica: expected an integer in 0..${replicas - 1}, got ${fault.replica}`);
    }
  }
  const stranger = expect.accused?.find((id) => id >= replicas);
  if (stranger !== undefined) fail(`expect.accused: expected replicas 0..${replicas - 1}, got ${stranger}`);
}

/** Without the fields that a caller set to undefined, which leave a default as it is. */
function defined<T extends object>(fields: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  const present = Object.entries(fields).filter(([, value]) => value !== undefined);
  return Object.fromEntries(present) as { [K in keyof T]?: Exclude<T[K], undefined> };
}

function nameIn(value: unknown): string | undefined {
  const name = typeof value === "object" && value !== null && "name" in value ? value.name : undefined;
  return typeof name === "string" && name !== "" ? name : undefined;
}

function bad(name: string | undefined, problem: string): LabError {
  return new LabError("bad-scenario", `scenario${name === undefined ? "" : ` ${JSON.stringify(name)}`}: ${problem}`);
}
