/** The shape of a scenario definition. Every leaf says in one sentence what it expects, so that an error can name it. */
import { z } from "zod";
import { defaultLimits, defaultTiming } from "../core/cluster.ts";
import { durationExpected, parseDuration } from "../core/duration.ts";
import { quorumsFor } from "../core/quorum.ts";
import type { Fault, FaultTrigger, NodeReference } from "../faults/fault.ts";
import type { Behaviour } from "../traitors/behaviour.ts";
import { propertyNames, type Verdict, verdicts } from "./verdict.ts";

/** A leaf: whatever the predicate accepts, else `expected ...`. */
function leaf<T>(expected: string, accepts: (value: unknown) => boolean) {
  return z.custom<T>(accepts, { error: `expected ${expected}` });
}

/** An object with these fields and no other. */
function object<S extends z.ZodRawShape>(shape: S) {
  const allowed = Object.keys(shape).join(", ");
  return z.strictObject(shape, {
    error: (issue) =>
      issue.code === "unrecognized_keys"
        ? `unknown field ${issue.keys.map((key) => JSON.stringify(key)).join(", ")}; allowed: ${allowed}`
        : `expected an object with the fields ${allowed}`,
  });
}

function list<T extends z.ZodType>(of: T, expected: string) {
  return z.array(of, { error: `expected a list of ${expected}` });
}

const isObject = (value: unknown): value is object => typeof value === "object" && value !== null && !Array.isArray(value);

const whole = (from: number) =>
  leaf<number>(`an integer from ${from}`, (value) => Number.isSafeInteger(value) && (value as number) >= from);

const text = leaf<string>("text that is not empty", (value) => typeof value === "string" && value.trim() !== "");

const probability = leaf<number>("a probability from 0 to 1", (value) => typeof value === "number" && value >= 0 && value <= 1);

const oneOf = <W extends string>(words: readonly W[]) =>
  leaf<W>(`one of ${words.map((word) => JSON.stringify(word)).join(", ")}`, (value) => words.includes(value as W));

const duration = leaf<unknown>(durationExpected, (value) => parseDuration(value) !== undefined).transform(
  (value) => parseDuration(value) ?? 0,
);

/** For timers (rule 46): none fires at once, none overflows. */
const interval = leaf<unknown>(`an interval from 1 ms to 2^31-1 ms, as milliseconds or text such as "5ms", "1.5s", "2m"`, (value) => {
  const ms = parseDuration(value);
  return ms !== undefined && ms >= 1 && ms < 2 ** 31;
}).transform((value) => parseDuration(value) ?? 0);

const delay = leaf<unknown>(`${durationExpected}; or a list of two, from and to`, isDelay).transform((value): readonly [number, number] => {
  const [from, to] = Array.isArray(value) ? value : [value, value];
  return [parseDuration(from) ?? 0, parseDuration(to) ?? 0];
});

function isDelay(value: unknown): boolean {
  const ends: readonly unknown[] = Array.isArray(value) ? value : [value, value];
  return ends.length === 2 && ends.every((end) => parseDuration(end) !== undefined);
}

const when = leaf<FaultTrigger<unknown>>(`{ after: ${durationExpected} } or { afterReturns: an integer from 0 }`, (value) => {
  if (!isObject(value) || Object.keys(value).length !== 1) return false;
  if ("after" in value) return parseDuration(value.after) !== undefined;
  return "afterReturns" in value && whole(0).safeParse(value.afterReturns).success;
}).transform((value): FaultTrigger => ("after" in value ? { after: parseDuration(value.after) ?? 0 } : value));

const node = leaf<NodeReference>(
  `a replica number or a client such as "client-1"`,
  (value) => whole(0).safeParse(value).success || (typeof value === "string" && /^client-[1-9]\d*$/.test(value)),
);

const replica = whole(0);
const faultShapes: Readonly<Record<Fault["fault"], z.ZodType<unknown>>> = {
  partition: object({ fault: text, when, groups: list(list(node, "nodes"), "groups of nodes") }),
  heal: object({ fault: text, when }),
  kill: object({ fault: text, when, replica }),
  start: object({ fault: text, when, replica, storage: oneOf(["kept", "lost"]).default("kept") }),
  pause: object({ fault: text, when, replica }),
  resume: object({ fault: text, when, replica }),
};

/** Chosen by its `fault`, so that the error speaks of that kind alone. */
const fault = z.unknown().transform((value, context): Fault => {
  const kind = isObject(value) && "fault" in value ? value.fault : undefined;
  const shape = typeof kind === "string" && Object.hasOwn(faultShapes, kind) ? faultShapes[kind as Fault["fault"]] : undefined;
  const parsed = (shape ?? object({ fault: oneOf(Object.keys(faultShapes)) })).safeParse(value);
  if (parsed.success) return parsed.data as Fault;
  for (const { path, message } of parsed.error.issues) context.issues.push({ code: "custom", input: value, path: [...path], message });
  return z.NEVER;
});

/** Data, or what `traitor()` made; the traitors check what is inside. */
const behaviour = leaf<Behaviour>(
  "a traitor, such as traitors.equivocate() or what traitor() made",
  (value) =>
    isObject(value) &&
    (("behaviour" in value && typeof value.behaviour === "string") || ("make" in value && typeof value.make === "function")),
);

/** One behaviour stands for a list of one. */
const behaviours = z.preprocess(
  (value) => (Array.isArray(value) ? value : [value]),
  list(behaviour, "traitors").refine((all) => all.length > 0, { error: "expected a traitor, or a list of them" }),
);

function optionals<K extends string, T extends z.ZodType>(names: readonly K[], type: T) {
  return Object.fromEntries(names.map((name) => [name, type.optional()])) as unknown as Record<K, z.ZodOptional<T>>;
}

const namesOf = <T extends object>(fields: T) => Object.keys(fields) as (keyof T & string)[];

const expectation = object({
  ...optionals(propertyNames, oneOf<Verdict>(verdicts)),
  accused: list(replica, "replica numbers").optional(),
});

export const definitionSchema = object({
  name: text,
  protocol: oneOf(["pbft"]).default("pbft"),
  replicas: whole(1),
  f: whole(0).optional(),
  quorums: object(optionals(namesOf(quorumsFor(1)), whole(1))).optional(),
  traitors: z.record(z.string(), behaviours, { error: "expected an object from replica numbers and client names to traitors" }).default({}),
  network: object({
    delay: delay.optional(),
    loss: probability.optional(),
    duplicate: probability.optional(),
    reorder: probability.optional(),
    stableFrom: duration.optional(),
  }).optional(),
  faults: list(fault, "faults, such as faults.heal({ after: 100 })").default([]),
  workload: object({
    clients: whole(1).default(1),
    operations: whole(0).default(100),
    window: whole(1).default(1),
    keys: whole(1).default(4),
    think: duration.default(0),
  }).prefault({}),
  within: duration.optional(),
  expect: expectation.default({}),
  timing: object(optionals([...namesOf(defaultTiming), "clientRetryMs", "clientRetryMaxMs"], interval)).optional(),
  limits: object(optionals(namesOf(defaultLimits), whole(1))).optional(),
});

export type ParsedDefinition = z.output<typeof definitionSchema>;

/** The first thing that is wrong, in one line: the field, what is allowed, what stands there. */
export function describeIssue(error: z.ZodError, input: unknown): string {
  const [issue] = error.issues;
  if (!issue) return "it is no scenario";
  const field = issue.path.map((step) => (typeof step === "number" ? `[${step}]` : `.${String(step)}`)).join("");
  const where = field === "" ? "" : `${field.replace(/^\./, "")}: `;
  const unknown = issue.message.startsWith("unknown field");
  return unknown ? `${where}${issue.message}` : `${where}${issue.message}, got ${shown(valueAt(input, issue.path))}`;
}

function valueAt(input: unknown, path: readonly PropertyKey[]): unknown {
  let value = input;
  for (const step of path)
    value = isObject(value) || Array.isArray(value) ? (value as Readonly<Record<PropertyKey, unknown>>)[step] : undefined;
  return value;
}

function shown(value: unknown): string {
  if (value === undefined) return "nothing";
  if (typeof value === "function") return "a function";
  const json = JSON.stringify(value) ?? String(value);
  return json.length > 80 ? `${json.slice(0, 80)}...` : json;
}
