/** The trace as text: one JSON object per line. Checked by hand per field, since a kept run has hundreds of thousands of lines. */
import { LabError } from "../core/lab-error.ts";
import type { EventName, RecordOf, Stamp, TraceEvents, TraceRecord } from "./trace.ts";
import { propertyNames, type Verdict, verdicts } from "./verdict.ts";

interface Check<T, Optional extends boolean = boolean> {
  readonly expected: string;
  readonly optional: Optional;
  accepts(value: unknown): boolean;
  /** Gives nested objects one order of keys, so that equal records are equal bytes. */
  write?(value: T): unknown;
}

type Fields<F> = { readonly [K in keyof F]-?: Check<NonNullable<F[K]>, Record<never, never> extends Pick<F, K> ? true : false> };

const must = <T>(expected: string, accepts: (value: unknown) => boolean, write?: (value: T) => unknown): Check<T, false> => ({
  expected,
  optional: false,
  accepts,
  ...(write ? { write } : {}),
});

const may = <T>(check: Check<T, false>): Check<T, true> => ({ ...check, optional: true });

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === "object" && value !== null && !Array.isArray(value);
const isWhole = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0;
const isMs = (value: unknown): value is number => Number.isFinite(value) && (value as number) >= 0;
const isText = (value: unknown): value is string => typeof value === "string";
const isHex = (value: unknown): value is string => typeof value === "string" && /^[0-9a-f]*$/.test(value);
const isNode = (value: unknown): value is string => typeof value === "string" && /^(?:replica-\d+|client-\d+|harness)$/.test(value);
const isList = (value: unknown, of: (entry: unknown) => boolean): boolean => Array.isArray(value) && value.every(of);
const oneOf = <W extends string>(...words: readonly W[]): Check<W, false> =>
  must<W>(`one of ${words.join(", ")}`, (value) => words.includes(value as W));

const whole = must<number>("an integer from 0", isWhole);
const positive = must<number>("an integer from 1", (value) => isWhole(value) && value > 0);
const ms = must<number>("milliseconds from 0", isMs);
const text = must<string>("text", isText);
const hex = must<string>("lowercase hex", isHex);
const flag = must<boolean>("true or false", (value) => typeof value === "boolean");
const node = must<Stamp["node"]>("a node such as replica-0, client-1 or harness", isNode);
const wholes = must<readonly number[]>("a list of integers from 0", (value) => isList(value, isWhole));
const quorumNames = ["order", "viewChange", "weak", "reply", "checkpoint"];

const key = { client: whole, request: whole };
const message: Fields<TraceEvents["send"]> = {
  id: hex,
  kind: text,
  bytes: whole,
  from: node,
  to: node,
  view: may(whole),
  slot: may(whole),
  digest: may(hex),
};

const isVerdict = (value: unknown): value is Verdict => verdicts.includes(value as Verdict);

function isExpectation(value: unknown): boolean {
  if (!isObject(value)) return false;
  return Object.entries(value).every(([name, expected]) =>
    name === "accused" ? isList(expected, isWhole) : (propertyNames as readonly string[]).includes(name) && isVerdict(expected),
  );
}

const isRequest = (value: unknown): boolean =>
  isObject(value) && isWhole(value["client"]) && isWhole(value["request"]) && isHex(value["digest"]);

const events: { readonly [E in EventName]: Fields<TraceEvents[E]> } = {
  run: {
    format: must<1>("1, the one format known", (value) => value === 1),
    version: text,
    scenario: text,
    protocol: text,
    n: positive,
    f: whole,
    quorum: positive,
    seed: whole,
    host: oneOf("sim", "ws"),
    quorums: must(
      `integers from 1 for ${quorumNames.join(", ")}`,
      (value) => isObject(value) && quorumNames.every((name) => positive.accepts(value[name])),
      sorted,
    ),
    K: positive,
    L: positive,
    W: positive,
    within: ms,
    traitors: wholes,
    correct: wholes,
    clients: must(
      "a list of {name, traitor?}",
      (value) =>
        isList(
          value,
          (entry) => isObject(entry) && isNode(entry["name"]) && (entry["traitor"] === undefined || typeof entry["traitor"] === "boolean"),
        ),
      sorted,
    ),
    expect: may(must(`verdicts for ${propertyNames.join(", ")}, and accused: a list of replicas`, isExpectation, sorted)),
    config: may(must("an object", isObject, sorted)),
  },
  start: { incarnation: may(whole) },
  stop: {
    stats: may(
      must(
        "integers from 0 for signed, verified, fsyncs",
        (value) => isObject(value) && ["signed", "verified", "fsyncs"].every((name) => isWhole(value[name])),
        sorted,
      ),
    ),
  },
  link: { peer: node, up: flag },
  invoke: { ...key, digest: hex, op: hex },
  request: { ...key, digest: hex, frame: hex },
  return: { ...key, result: hex },
  send: message,
  receive: message,
  drop: { id: hex, reason: text, from: may(node), to: may(node) },
  reject: { code: text, from: may(node), kind: may(text), detail: may(text) },
  decide: {
    view: whole,
    slot: whole,
    digest: hex,
    requests: must(
      "a list of {client, request, digest}",
      (value) => isList(value, isRequest),
      (requests: RecordOf<"decide">["requests"]) => requests.map(({ client, request, digest }) => ({ client, request, digest })),
    ),
  },
  execute: { slot: whole, ...key, result: hex, replayed: may(must<true>("true or nothing", (value) => value === true)) },
  checkpoint: { slot: whole, digest: hex, stable: flag },
  install: { slot: whole, digest: hex, from: node },
  "view-change": { view: whole },
  "new-view": { view: whole },
  halt: { reason: text },
  crash: {},
  restart: { incarnation: whole, storage: oneOf("kept", "lost", "damaged"), slot: whole },
  "disk-fault": { kind: text },
  timer: { name: text, view: whole, what: oneOf("set", "fire", "cancel"), ms: may(ms) },
  pause: {},
  resume: {},
  partition: { groups: must("a list of lists of nodes", (value) => isList(value, (group) => isList(group, isNode))) },
  heal: {},
  stable: {},
  treason: { behaviour: text, what: text },
  evidence: { culprit: whole, kind: text, messages: must("a list of frames in lowercase hex", (value) => isList(value, isHex)) },
  verdict: {
    asExpected: flag,
    properties: must(
      "a verdict per property",
      (value) => isObject(value) && Object.values(value).every((entry) => isObject(entry) && isVerdict(entry["verdict"])),
      sorted,
    ),
  },
};

type AnyChecks = Readonly<Record<string, Check<unknown>>>;

const tables = new Map<string, readonly (readonly [string, Check<unknown>])[]>(
  Object.entries(events).map(([event, checks]) => [event, Object.entries(checks as unknown as AnyChecks)]),
);

/**
 * One line of a trace.
 *
 * @param line - one JSON object
 * @param number - of the line, from 1, for the error
 * @throws LabError in one line that names the line, the field, what is allowed there and what stands there
 */
export function parseTraceLine(line: string, number: number): TraceRecord {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    throw bad(number, `expected one JSON object, got ${shown(line)}`);
  }
  if (!isObject(value)) throw bad(number, `expected one JSON object, got ${shown(value)}`);
  const event = value["event"];
  const table = typeof event === "string" ? tables.get(event) : undefined;
  if (!table) throw bad(number, `unknown event ${shown(event)}; allowed: ${[...tables.keys()].join(", ")}`);
  if (!Number.isFinite(value["at"])) throw bad(number, `${event}.at: expected milliseconds, got ${shown(value["at"])}`);
  if (!isNode(value["node"])) throw bad(number, `${event}.node: expected ${node.expected}, got ${shown(value["node"])}`);
  for (const [name, check] of table) {
    const field = value[name];
    if (field === undefined ? !check.optional : !check.accepts(field)) {
      throw bad(number, `${event}.${name}: expected ${check.expected}, got ${shown(field)}`);
    }
  }
  return value as unknown as TraceRecord;
}

/**
 * A whole trace. Blank lines do not count; a last line that was cut off by a kill is dropped, since nothing followed from it.
 *
 * @throws LabError as {@link parseTraceLine} does
 */
export function parseTrace(content: string): TraceRecord[] {
  const lines = content.split("\n");
  const cut = lines.at(-1) ?? "";
  if (cut !== "" && !isWholeLine(cut)) lines.pop();
  const records: TraceRecord[] = [];
  for (const [index, line] of lines.entries()) if (line.trim() !== "") records.push(parseTraceLine(line, index + 1));
  return records;
}

/** The record as one line, without the line break. Equal records give equal bytes, in whatever order their keys were written. */
export function formatRecord(record: TraceRecord): string {
  const plain: Record<string, unknown> = { at: record.at, node: record.node, event: record.event };
  if (record.lamport !== undefined) plain["lamport"] = record.lamport;
  if (record.vector !== undefined) plain["vector"] = sorted(record.vector);
  for (const [name, check] of tables.get(record.event) ?? []) {
    const value = (record as unknown as Readonly<Record<string, unknown>>)[name];
    if (value !== undefined) plain[name] = check.write ? check.write(value) : value;
  }
  return JSON.stringify(plain);
}

function isWholeLine(line: string): boolean {
  try {
    JSON.parse(line);
    return true;
  } catch {
    return false;
  }
}

/** Plain data with the keys of every object in order. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (!isObject(value)) return value;
  const names = Object.keys(value).sort();
  return Object.fromEntries(names.map((name) => [name, sorted(value[name])]));
}

function bad(line: number, problem: string): LabError {
  return new LabError("bad-trace", `trace line ${line}: ${problem}`);
}

function shown(value: unknown): string {
  if (value === undefined) return "nothing";
  const json = JSON.stringify(value);
  return json.length > 80 ? `${json.slice(0, 80)}...` : json;
}
