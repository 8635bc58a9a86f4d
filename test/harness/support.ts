/** Writes traces tersely: `replica(1).decide(3, "aa", [1, 3])`. Time moves by 1 ms with each record. */
import type { NodeName } from "../../src/core/ids.ts";
import { quorumsFor } from "../../src/core/quorum.ts";
import { judge } from "../../src/harness/judge.ts";
import type { Tools } from "../../src/harness/property.ts";
import type { Judgement } from "../../src/harness/result.ts";
import type { EventName, RecordOf, RunFields, TraceEvents, TraceRecord } from "../../src/harness/trace.ts";

type Key = readonly [client: number, request: number];

/** Digests and results are what the words hash to, as far as a test can see. */
export const digestOf = (word: string): string =>
  [...word].map((letter) => (letter.codePointAt(0) ?? 0).toString(16).padStart(2, "0")).join("");

export const requestDigest = ([client, request]: Key): string => digestOf(`request ${client}/${request}`);

export const resultOf = ([client, request]: Key): string => digestOf(`result ${client}/${request}`);

/** Four replicas of the correct build inside the model, with a bound that is claimed. */
export function runRecordOf(changes: Partial<RunFields> = {}): RecordOf<"run"> {
  const { n = 4, f = 1, traitors = [] } = changes;
  const quorums = changes.quorums ?? quorumsFor(n, f);
  return {
    at: 0,
    node: "harness",
    event: "run",
    format: 1,
    version: "0.0.0",
    scenario: "hand-made",
    protocol: "pbft",
    n,
    f,
    quorum: quorums.order,
    seed: 7,
    host: "sim",
    quorums,
    K: 4,
    L: 8,
    W: 4,
    within: 100_000,
    traitors,
    correct: Array.from({ length: n }, (_, id) => id).filter((id) => !traitors.includes(id)),
    clients: [{ name: "client-1" }, { name: "client-2" }],
    ...changes,
  };
}

export class TraceBuilder {
  readonly records: TraceRecord[];
  #at = 0;

  constructor(changes: Partial<RunFields> = {}) {
    this.records = [runRecordOf(changes)];
  }

  /** Writes any record of `node`. */
  add<E extends EventName>(node: NodeName, event: E, fields: TraceEvents[E]): this {
    this.#at += 1;
    this.records.push({ at: this.#at, node, event, ...fields } as unknown as TraceRecord);
    return this;
  }

  /** The next record comes this much later. */
  wait(ms: number): this {
    this.#at += ms;
    return this;
  }

  invoke(...keys: readonly Key[]): this {
    for (const key of keys) {
      const [client, request] = key;
      this.add(`client-${client}`, "invoke", { client, request, digest: requestDigest(key), op: "00" });
    }
    return this;
  }

  returns(key: Key, result = resultOf(key)): this {
    const [client, request] = key;
    return this.add(`client-${client}`, "return", { client, request, result });
  }

  /** Decides a slot; the digest follows from its requests unless it is given. */
  decide(replica: number, slot: number, keys: readonly Key[], { digest, view = 0 }: { digest?: string; view?: number } = {}): this {
    const requests = keys.map((key) => ({ client: key[0], request: key[1], digest: requestDigest(key) }));
    return this.add(`replica-${replica}`, "decide", { view, slot, digest: digest ?? digestOf(`batch ${keys.join(" ")}`), requests });
  }

  execute(replica: number, slot: number, key: Key, { result = resultOf(key), replayed = false } = {}): this {
    const [client, request] = key;
    return this.add(`replica-${replica}`, "execute", { slot, client, request, result, ...(replayed ? { replayed: true as const } : {}) });
  }

  /** Decides a slot and executes all of it. */
  does(replica: number, slot: number, keys: readonly Key[], options: { view?: number } = {}): this {
    this.decide(replica, slot, keys, options);
    for (const key of keys) this.execute(replica, slot, key);
    return this;
  }

  checkpoint(replica: number, slot: number, word = `state ${slot}`, stable = false): this {
    return this.add(`replica-${replica}`, "checkpoint", { slot, digest: digestOf(word), stable });
  }

  install(replica: number, slot: number, from: number, word = `state ${slot}`): this {
    return this.add(`replica-${replica}`, "install", { slot, digest: digestOf(word), from: `replica-${from}` });
  }

  restart(replica: number, slot: number, storage: "kept" | "lost" | "damaged" = "kept"): this {
    return this.add(`replica-${replica}`, "restart", { incarnation: 1, storage, slot });
  }

  receive(replica: number, from: number, kind: string, fields: { view?: number; slot?: number; digest?: string } = {}): this {
    const message = { id: digestOf(`${kind}${from}`), kind, bytes: 100, from: `replica-${from}`, to: `replica-${replica}` } as const;
    return this.add(`replica-${replica}`, "receive", { ...message, ...fields });
  }

  judge(tools: Tools = {}): Judgement {
    return judge(this.records, tools);
  }
}

export const trace = (changes: Partial<RunFields> = {}): TraceBuilder => new TraceBuilder(changes);

/** Every replica given does the slot. */
export function allDo(builder: TraceBuilder, replicas: readonly number[], slot: number, keys: readonly Key[], view = 0): TraceBuilder {
  for (const replica of replicas) builder.does(replica, slot, keys, { view });
  return builder;
}

/** Two slots that all four decide, and every result returned: nothing wrong with it. */
export function goodRun(changes: Partial<RunFields> = {}): TraceBuilder {
  const builder = trace(changes).invoke([1, 1], [2, 1]);
  allDo(builder, [0, 1, 2, 3], 1, [[1, 1]]);
  allDo(builder, [0, 1, 2, 3], 2, [[2, 1]]);
  return builder.returns([1, 1]).returns([2, 1]);
}
