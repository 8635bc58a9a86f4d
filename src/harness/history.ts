/**
 * What the checkers need of a trace, built in one pass: the lives of the correct replicas, what they did while they were correct,
 * and what correct clients asked and got.
 */
import type { NodeName } from "../core/ids.ts";
import { replicaName } from "../core/ids.ts";
import { LabError } from "../core/lab-error.ts";
import type { RejectionCode } from "../core/rejection.ts";
import { type RunConfig, runConfigOf } from "./run-config.ts";
import type { RecordOf, TraceRecord } from "./trace.ts";

/** What a replica does that its integrity is judged by. */
export type Deed = RecordOf<"decide" | "execute" | "install" | "restart">;

/** A replica that was never given a traitor. */
export interface Life {
  readonly id: number;
  readonly name: NodeName;
  /** In order, while it was in C. */
  readonly deeds: Deed[];
  /** When it came back without its storage: from then on it is outside C and counts against f (rule 77). */
  leftAt: number | undefined;
  /** Times without it; `until` is undefined when it never came back. */
  readonly outages: { readonly from: number; until: number | undefined }[];
  /** Since when it has been up without a break. */
  upSince: number;
  /** The end of its last record; where it was stopped in an orderly way, that moment. */
  stoppedAt: number | undefined;
  viewWanted: RecordOf<"view-change"> | undefined;
  viewEntered: RecordOf<"new-view"> | undefined;
  lastTimer: RecordOf<"timer"> | undefined;
  halted: RecordOf<"halt"> | undefined;
}

/** What a correct client asked for. */
export interface Invocation {
  readonly record: RecordOf<"invoke">;
  returned: RecordOf<"return"> | undefined;
}

export interface History {
  readonly run: RecordOf<"run">;
  readonly config: RunConfig;
  /** The whole trace, for those who explain a violation. */
  readonly records: readonly TraceRecord[];
  /** `at` of the last event. */
  readonly endedAt: number;
  /** Replicas given a traitor, or that confessed to one. */
  readonly traitors: ReadonlySet<number>;
  readonly traitorClients: ReadonlySet<number>;
  /** All replicas that are no traitors, by number. */
  readonly lives: ReadonlyMap<number, Life>;
  /** Of nodes that were in C at that moment. */
  readonly decisions: readonly RecordOf<"decide">[];
  readonly executions: readonly RecordOf<"execute">[];
  readonly states: readonly RecordOf<"checkpoint" | "install">[];
  readonly accusations: readonly RecordOf<"evidence">[];
  /** Of correct clients, by {@link requestKey}. A client that uses a number twice has two. */
  readonly invocations: ReadonlyMap<string, readonly Invocation[]>;
  readonly returns: readonly RecordOf<"return">[];
  /** What traitor clients signed, by {@link requestKey}. */
  readonly signed: ReadonlyMap<string, readonly RecordOf<"request">[]>;
  /** When correct clients ended, by number: crashed, stopped or paused. */
  readonly clientsEnded: ReadonlyMap<number, number>;
  readonly tally: Tally;
  /** When the network became stable for good: GST or the last heal, 0 when it was never faulty; undefined: not within this trace. */
  readonly stableFrom: number | undefined;
  /** A partition that never healed. */
  readonly partitioned: boolean;
}

/** What happened besides, in numbers. */
interface Tally {
  /** `treason` records. */
  lies: number;
  /** Rejections by nodes of C of what a traitor sent and an honest node would not have. */
  rejected: number;
  /** Messages of traitors that nodes of C received. */
  received: number;
  newViews: number;
  crashes: number;
  pauses: number;
  partitions: number;
}

/** What is turned away from honest nodes too: late, early, repeated, or too often. */
const innocentCodes: ReadonlySet<string> = new Set<RejectionCode>([
  "duplicate",
  "wrong-view",
  "view-inactive",
  "outside-window",
  "missing-body",
  "buffer-full",
  "client-window",
  "client-full",
  "stale-checkpoint",
  "stale-view-change",
  "stale-new-view",
  "unsolicited",
  "rate-limited",
  "halted",
  "queue-full",
]);

function isInnocent(code: string): boolean {
  return innocentCodes.has(code);
}

export function requestKey({ client, request }: { readonly client: number; readonly request: number }): string {
  return `${client}/${request}`;
}

/** @throws LabError when the trace does not begin with a `run` record */
export function readHistory(trace: Iterable<TraceRecord>): History {
  const records = [...trace];
  const [run] = records;
  if (run?.event !== "run") throw new LabError("bad-trace", `a trace begins with a run record, got ${run ? run.event : "an empty trace"}`);
  const reader = new Reader(run, records);
  for (const record of records) reader.read(record);
  return reader.finish();
}

/** The number of a replica or client, when `name` is one. */
export function numberOf(role: "replica" | "client", name: NodeName): number | undefined {
  return name.startsWith(`${role}-`) ? Number(name.slice(role.length + 1)) : undefined;
}

class Reader {
  readonly #run: RecordOf<"run">;
  readonly #records: readonly TraceRecord[];
  readonly #traitors: Set<number>;
  readonly #traitorClients: Set<number>;
  readonly #lives = new Map<number, Life>();
  readonly #byName = new Map<NodeName, Life>();
  readonly #decisions: RecordOf<"decide">[] = [];
  readonly #executions: RecordOf<"execute">[] = [];
  readonly #states: RecordOf<"checkpoint" | "install">[] = [];
  readonly #accusations: RecordOf<"evidence">[] = [];
  readonly #invocations = new Map<string, Invocation[]>();
  readonly #returns: RecordOf<"return">[] = [];
  readonly #signed = new Map<string, RecordOf<"request">[]>();
  readonly #clientsEnded = new Map<number, number>();
  readonly #tally: Tally = { lies: 0, rejected: 0, received: 0, newViews: 0, crashes: 0, pauses: 0, partitions: 0 };
  #stableAt: number | undefined;
  #healedAt: number | undefined;
  #partitioned = false;
  #endedAt = 0;

  constructor(run: RecordOf<"run">, records: readonly TraceRecord[]) {
    this.#run = run;
    this.#records = records;
    const confessed = records.filter(({ event }) => event === "treason").map(({ node }) => node);
    const named = run.clients.filter(({ traitor }) => traitor).map(({ name }) => name);
    this.#traitors = new Set([...run.traitors, ...numbers("replica", confessed)]);
    this.#traitorClients = new Set(numbers("client", [...confessed, ...named]));
    for (let id = 0; id < run.n; id++) if (!this.#traitors.has(id)) this.#begin(id);
  }

  read(record: TraceRecord): void {
    // The verdict is written when all is over; it is no event of the run.
    if (record.event === "verdict") return;
    this.#endedAt = Math.max(this.#endedAt, record.at);
    this.#readNetwork(record);
    const life = this.#byName.get(record.node);
    if (life) this.#readReplica(life, record);
    const client = numberOf("client", record.node);
    if (client !== undefined) this.#readClient(client, record);
    else if (record.event === "treason") this.#tally.lies += 1;
  }

  finish(): History {
    const config = runConfigOf(this.#run);
    return {
      run: this.#run,
      config,
      records: this.#records,
      endedAt: this.#endedAt,
      traitors: this.#traitors,
      traitorClients: this.#traitorClients,
      lives: this.#lives,
      decisions: this.#decisions,
      executions: this.#executions,
      states: this.#states,
      accusations: this.#accusations,
      invocations: this.#invocations,
      returns: this.#returns,
      signed: this.#signed,
      clientsEnded: this.#clientsEnded,
      tally: this.#tally,
      stableFrom: this.#stableFrom(config),
      partitioned: this.#partitioned,
    };
  }

  #begin(id: number): void {
    const life: Life = {
      id,
      name: replicaName(id),
      deeds: [],
      leftAt: undefined,
      outages: [],
      upSince: Number.NEGATIVE_INFINITY,
      stoppedAt: undefined,
      viewWanted: undefined,
      viewEntered: undefined,
      lastTimer: undefined,
      halted: undefined,
    };
    this.#lives.set(id, life);
    this.#byName.set(life.name, life);
  }

  #readNetwork(record: TraceRecord): void {
    if (record.event === "stable") this.#stableAt = record.at;
    else if (record.event === "partition") {
      this.#partitioned = true;
      this.#tally.partitions += 1;
    } else if (record.event === "heal") {
      this.#partitioned = false;
      this.#healedAt = record.at;
    }
  }

  #readReplica(life: Life, record: TraceRecord): void {
    this.#readLife(life, record);
    if (life.leftAt !== undefined) return;
    switch (record.event) {
      case "decide":
        this.#decisions.push(record);
        life.deeds.push(record);
        break;
      case "execute":
        this.#executions.push(record);
        life.deeds.push(record);
        break;
      case "install":
        this.#states.push(record);
        life.deeds.push(record);
        break;
      case "restart":
        life.deeds.push(record);
        break;
      case "checkpoint":
        this.#states.push(record);
        break;
      case "evidence":
        this.#accusations.push(record);
        break;
      case "receive":
        if (this.#isTraitor(record.from)) this.#tally.received += 1;
        break;
      case "reject":
        if (record.from !== undefined && this.#isTraitor(record.from) && !isInnocent(record.code)) this.#tally.rejected += 1;
        break;
      case "view-change":
        life.viewWanted = record;
        break;
      case "new-view":
        life.viewEntered = record;
        this.#tally.newViews += 1;
        break;
      case "timer":
        life.lastTimer = record;
        break;
      case "halt":
        life.halted ??= record;
        break;
      default:
    }
  }

  #readLife(life: Life, record: TraceRecord): void {
    switch (record.event) {
      case "crash":
        this.#tally.crashes += 1;
        goDown(life, record.at);
        break;
      case "pause":
        this.#tally.pauses += 1;
        goDown(life, record.at);
        break;
      case "stop":
        life.stoppedAt = record.at;
        break;
      case "start":
      case "resume":
        comeUp(life, record.at);
        break;
      case "restart":
        comeUp(life, record.at);
        if (record.storage !== "kept") life.leftAt ??= record.at;
        break;
      default:
    }
  }

  #readClient(client: number, record: TraceRecord): void {
    if (record.event === "treason") this.#tally.lies += 1;
    if (this.#traitorClients.has(client)) {
      if (record.event === "request") append(this.#signed, requestKey(record), record);
      return;
    }
    if (record.event === "invoke") append(this.#invocations, requestKey(record), { record, returned: undefined });
    else if (record.event === "return") {
      this.#returns.push(record);
      const invocation = this.#invocations.get(requestKey(record))?.find(({ returned }) => !returned);
      if (invocation) invocation.returned = record;
    } else if (record.event === "crash" || record.event === "stop" || record.event === "pause") {
      if (!this.#clientsEnded.has(client)) this.#clientsEnded.set(client, record.at);
    }
  }

  #isTraitor(name: NodeName): boolean {
    const replica = numberOf("replica", name);
    return replica === undefined ? this.#traitorClients.has(numberOf("client", name) ?? -1) : this.#traitors.has(replica);
  }

  #stableFrom({ network }: RunConfig): number | undefined {
    const healed = this.#healedAt ?? 0;
    if (this.#stableAt !== undefined) return Math.max(this.#stableAt, healed);
    // A stated GST that did not come within the run promises nothing yet; an unstated one never will, and time counts from the start.
    return network.loss > 0 && network.stableFrom !== undefined ? undefined : healed;
  }
}

function goDown(life: Life, at: number): void {
  if (life.outages.at(-1)?.until !== undefined || life.outages.length === 0) life.outages.push({ from: at, until: undefined });
}

function comeUp(life: Life, at: number): void {
  const last = life.outages.at(-1);
  if (last && last.until === undefined) last.until = at;
  if (last || life.upSince === Number.NEGATIVE_INFINITY) life.upSince = at;
  life.stoppedAt = undefined;
}

/** Whether the replica was down or paused when the trace ended. */
export function isDown(life: Life): boolean {
  const last = life.outages.at(-1);
  return last !== undefined && last.until === undefined;
}

/** Correct replicas that ran when the trace ended: those that termination is asked of. */
export function runningLives({ lives }: History): Life[] {
  return [...lives.values()].filter((life) => life.leftAt === undefined && !isDown(life));
}

function numbers(role: "replica" | "client", names: readonly NodeName[]): number[] {
  return names.map((name) => numberOf(role, name)).filter((id) => id !== undefined);
}

function append<K, V>(map: Map<K, V[]>, key: K, value: V): void {
  const list = map.get(key);
  if (list) list.push(value);
  else map.set(key, [value]);
}
