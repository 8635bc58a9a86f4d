import fc from "fast-check";
import { describe, expect, it } from "vitest";
import firstTraitor from "../../scripts/first-traitor.ts";
import { clientId } from "../../src/core/ids.ts";
import { createRandom } from "../../src/core/random.ts";
import { type ClientOperation, checkLinearizable, operationsOf } from "../../src/harness/linearizability.ts";
import {
  createKeyValueStore,
  decodeResult,
  encodeResult,
  type KeyValueOperation,
  type KeyValueResult,
  kv,
} from "../../src/services/key-value.ts";
import { simulate } from "../../src/sim/simulate.ts";
import { bytesToHex } from "../../src/wire/schema.ts";
import { trace } from "./support.ts";

const put = (value: string, key = "k"): KeyValueOperation => ({ type: "put", key, value });
const get = (key = "k"): KeyValueOperation => ({ type: "get", key });
const cas = (expected: string | undefined, value: string, key = "k"): KeyValueOperation => ({ type: "cas", key, expected, value });
const del = (key = "k"): KeyValueOperation => ({ type: "del", key });

const context = { client: clientId(1), clock: 0 };

const ok: KeyValueResult = { type: "ok" };
const none: KeyValueResult = { type: "none" };
const value = (text: string): KeyValueResult => ({ type: "value", value: text });
const error = (code: "store-full" | "bad-value" | "bad-result"): KeyValueResult => ({ type: "error", code });

type Interval = readonly [invokedAt: number, returnedAt?: number];

/** An operation of some client over an interval; without a result its outcome is unknown. */
function done(client: number, operation: KeyValueOperation, [invokedAt, returnedAt]: Interval, result?: KeyValueResult): ClientOperation {
  const known = returnedAt === undefined || result === undefined ? {} : { returnedAt, result };
  return { client: `client-${client}`, operation, invokedAt, ...known };
}

const isLinearizable = (...history: readonly ClientOperation[]): boolean | "unknown" => checkLinearizable(history).ok;

describe("a linearizable history", () => {
  it("may be empty", () => {
    expect(checkLinearizable([])).toEqual({ ok: true });
  });

  it("lets a read see a concurrent write, or not", () => {
    const write = done(1, put("1"), [0, 10], ok);
    expect(isLinearizable(write, done(2, get(), [5, 6], none))).toBe(true);
    expect(isLinearizable(write, done(2, get(), [5, 6], value("1")))).toBe(true);
  });

  it("lets an operation that returned at t and one that was invoked at t come in either order", () => {
    expect(isLinearizable(done(1, put("1"), [0, 5], ok), done(2, get(), [5, 9], none))).toBe(true);
    expect(isLinearizable(done(1, put("1"), [0, 5], ok), done(2, get(), [5.001, 9], none))).toBe(false);
  });

  it("is judged key by key", () => {
    const stale = [done(1, put("1", "a"), [0, 1], ok), done(1, get("a"), [2, 3], none)];
    expect(checkLinearizable([done(1, put("1", "b"), [0, 1], ok), ...stale])).toMatchObject({ ok: false, key: "a" });
    expect(isLinearizable(done(1, put("1", "b"), [0, 1], ok), done(1, get("a"), [2, 3], none))).toBe(true);
  });

  it("lets a write of unknown outcome be seen later, or never", () => {
    const unknown = done(1, put("1"), [0]);
    expect(isLinearizable(unknown, done(2, get(), [10, 11], none), done(2, get(), [20, 21], value("1")))).toBe(true);
    expect(isLinearizable(unknown, done(2, get(), [10, 11], none), done(2, get(), [20, 21], none))).toBe(true);
  });

  it("takes a result that is none for an unknown outcome", () => {
    const failed = done(1, put("1"), [0, 1], error("bad-result"));
    expect(isLinearizable(failed, done(2, get(), [2, 3], none))).toBe(true);
    expect(isLinearizable(failed, done(2, get(), [2, 3], value("1")))).toBe(true);
  });

  it("lets the store refuse an operation, which then has no effect", () => {
    for (const refusal of [error("store-full"), error("bad-value")]) {
      expect(isLinearizable(done(1, put("1"), [0, 1], refusal), done(2, get(), [2, 3], none))).toBe(true);
      expect(isLinearizable(done(1, put("1"), [0, 1], refusal), done(2, get(), [2, 3], value("1")))).toBe(false);
    }
  });
});

describe("a history that is not linearizable", () => {
  it("has a stale read, which is explained", () => {
    const first = done(1, put("1"), [0, 1], ok);
    const second = done(1, put("2"), [2, 3], ok);
    const stale = done(2, get(), [4, 5], value("1"));
    expect(checkLinearizable([stale, second, first])).toEqual({
      ok: false,
      key: "k",
      prefix: [first],
      stuck: [second],
      because:
        'after 1 operation, the last being client-1\'s put "1" (invoked at 0, ok at 1), "1" stands under "k", and nothing can come next: ' +
        'client-1\'s put "2" (invoked at 2, ok at 3), but client-2\'s get (invoked at 4, "1" at 5) must find "1", which nothing writes again',
    });
  });

  it("loses an update when two cas from the same value both succeed", () => {
    const verdict = checkLinearizable([
      done(1, put("0"), [0, 1], ok),
      done(1, cas("0", "1"), [2, 8], ok),
      done(2, cas("0", "2"), [2, 9], ok),
    ]);
    expect(verdict).toMatchObject({ ok: false, prefix: [{ operation: { type: "put" } }] });
  });

  it("reads a value that nobody wrote", () => {
    const read = done(2, get(), [0, 9], value("9"));
    expect(checkLinearizable([done(1, put("1"), [0, 9], ok), read])).toMatchObject({
      ok: false,
      stuck: [read],
      because: expect.stringMatching(/"9" at 9\), which nothing left can lead to$/),
    });
  });

  it("shows a value to one reader and then the older one to another", () => {
    const write = [done(1, put("1"), [0, 1], ok), done(1, put("2"), [2, 20], ok)];
    const [newer, older] = [done(2, get(), [3, 5], value("2")), done(3, get(), [6, 8], value("1"))];
    expect(isLinearizable(...write, newer, older)).toBe(false);
    expect(isLinearizable(...write, { ...newer, invokedAt: 6 - 1, returnedAt: 6 }, older)).toBe(true);
  });

  it("loses a write of unknown outcome that was seen", () => {
    const [unknown, seen] = [done(1, put("1"), [0]), done(2, get(), [5, 6], value("1"))];
    expect(isLinearizable(unknown, seen, done(2, get(), [7, 8], none))).toBe(false);
    expect(isLinearizable(unknown, seen, done(3, del(), [6, 8]), done(2, get(), [7, 8], none))).toBe(true);
  });

  it("sees a write before its invocation", () => {
    expect(isLinearizable(done(2, get(), [0, 1], value("1")), done(1, put("1"), [2, 3], ok))).toBe(false);
    expect(isLinearizable(done(2, get(), [0, 1], value("1")), done(1, put("1"), [2]))).toBe(false);
  });

  it("is explained by the longest order found, not by the last one", () => {
    const writes = [done(1, put("1"), [0, 10], ok), done(2, put("2"), [0, 11], ok)];
    const reads = [done(1, get(), [12, 13], value("2")), done(1, get(), [14, 15], value("2"))];
    const wrong = done(1, get(), [16, 17], value("1"));
    const verdict = checkLinearizable([...writes, ...reads, wrong, done(1, put("1"), [18, 19], ok)]);
    expect(verdict).toMatchObject({ ok: false, prefix: [...writes, ...reads], stuck: [wrong] });
  });

  it("is explained in a few words, however many operations are stuck", () => {
    const rivals = Array.from({ length: 8 }, (_, index) => done(index, cas("0", `next ${index}`), [2, 9], ok));
    const verdict = checkLinearizable([done(1, put("0"), [0, 1], ok), ...rivals]);
    expect(verdict).toMatchObject({
      ok: false,
      because: expect.stringMatching(/^after 1 operation, (.*?, but client-\d's cas .*? must find "0"){5}.*; and 3 more$/),
    });
    expect(verdict).toHaveProperty("stuck.length", 8);
    expect(verdict).toHaveProperty(
      "because",
      expect.stringContaining('client-0\'s cas from "0" to "next 0" (invoked at 2, ok at 9), but client-1\'s'),
    );
  });

  it("has a result that no such operation gives", () => {
    expect(isLinearizable(done(1, put("1"), [0, 1], none))).toBe(false);
    expect(isLinearizable(done(1, get(), [0, 1], ok))).toBe(false);
    expect(isLinearizable(done(1, put("1"), [0, 1], ok), done(1, cas("1", "2"), [2, 3], value("1")))).toBe(false);
    expect(isLinearizable(done(1, put("1"), [0, 1], ok), done(1, del(), [2, 3], value("1")))).toBe(false);
  });
});

/** `count` concurrent writes and then two reads that cannot both be right: what differs is only which writes came before. */
const hopeless = (count: number, key: string): ClientOperation[] => [
  ...Array.from({ length: count }, (_, index) => done(index, put(`${index}`, key), [0, 10], ok)),
  done(1, get(key), [11, 12], value("0")),
  done(2, get(key), [11, 12], value("1")),
];

describe("the bound of steps", () => {
  it("ends a search with unknown", () => {
    const verdict = checkLinearizable(hopeless(40, "k"), { steps: 100_000 });
    expect(verdict).toEqual({ ok: "unknown", keys: ["k"], because: '100000 steps were not enough for 1 of 1 keys, the first being "k"' });
    expect(checkLinearizable(hopeless(6, "k"), { steps: 100_000 }).ok).toBe(false);
  });

  it("leaves its share to every key, so that a violation is found behind a key that was given up", () => {
    const history = [...hopeless(40, "hard"), done(1, get("easy"), [0, 1], value("1"))];
    expect(checkLinearizable(history, { steps: 100_000 })).toMatchObject({ ok: false, key: "easy" });
    const fine = [...hopeless(40, "hard"), done(1, get("easy"), [0, 1], none)];
    expect(checkLinearizable(fine, { steps: 100_000 })).toMatchObject({ ok: "unknown", keys: ["hard"] });
  });

  it("is an integer from 1", () => {
    for (const steps of [0, -1, 1.5, Number.NaN]) expect(() => checkLinearizable([], { steps })).toThrow(/^steps is an integer from 1/);
    expect(() => checkLinearizable([done(1, get(), [2, 1], none)])).toThrow(/an operation returns at or after its invocation$/);
  });
});

/** Tries every order, without a thought. */
function bruteForce(history: readonly ClientOperation[], store: ReadonlyMap<string, string> = new Map()): boolean {
  const isUncertain = ({ result }: ClientOperation): boolean => !result || (result.type === "error" && result.code === "bad-result");
  if (history.every(isUncertain)) return true;
  return history.some((next) => {
    const others = history.filter((other) => other !== next);
    const mustWait = others.some((other) => !isUncertain(other) && (other.returnedAt ?? 0) < next.invokedAt);
    if (mustWait) return false;
    if (next.result?.type === "error" && !isUncertain(next)) return bruteForce(others, store);
    const after = new Map(store);
    const result = applied(after, next.operation);
    return (isUncertain(next) || JSON.stringify(result) === JSON.stringify(next.result)) && bruteForce(others, after);
  });
}

function applied(store: Map<string, string>, operation: KeyValueOperation): KeyValueResult {
  const current = store.get(operation.key);
  const found = current === undefined ? none : value(current);
  if (operation.type === "get") return found;
  if (operation.type === "del") return store.delete(operation.key) ? ok : none;
  if (operation.type === "cas" && operation.expected !== current) return found;
  store.set(operation.key, operation.value);
  return ok;
}

const texts = fc.constantFrom("1", "2", "3");
const anyOperation: fc.Arbitrary<KeyValueOperation> = fc
  .tuple(fc.constantFrom("put", "get", "cas", "del"), fc.constantFrom("a", "a", "b"), fc.option(texts, { nil: undefined }), texts)
  .map(([type, key, expected, text]) =>
    type === "put" ? put(text, key) : type === "cas" ? cas(expected, text, key) : type === "get" ? get(key) : del(key),
  );
const anyResult = fc.oneof(
  { weight: 3, arbitrary: fc.constant(ok) },
  { weight: 3, arbitrary: fc.constant(none) },
  { weight: 6, arbitrary: texts.map(value) },
  { weight: 1, arbitrary: fc.constantFrom(error("store-full"), error("bad-result")) },
);
const isUnknown = fc.integer({ min: 0, max: 4 }).map((chance) => chance === 0);
const anyClient = fc.integer({ min: 1, max: 3 });

const anyHistory = fc.array(
  fc
    .tuple(anyClient, anyOperation, fc.integer({ min: 0, max: 9 }), fc.integer({ min: 0, max: 6 }), isUnknown, anyResult)
    .map(([client, operation, at, lasting, unknown, result]) =>
      done(client, operation, [at, at + lasting], unknown ? undefined : plausible(operation, result)),
    ),
  { minLength: 1, maxLength: 6 },
);

/** Results of the wrong kind for an operation are seen at once: mostly such as it may have. */
function plausible({ type }: KeyValueOperation, result: KeyValueResult): KeyValueResult {
  if (type === "put") return result.type === "value" ? ok : result;
  if (type === "get") return result.type === "ok" ? none : result;
  return type === "del" && result.type === "value" ? ok : result;
}

/** What the real store did, one operation after the other, each seen as lasting from before to after its moment. */
const realHistory = fc
  .array(fc.tuple(anyClient, anyOperation, fc.integer({ min: 0, max: 8 }), fc.integer({ min: 0, max: 8 }), isUnknown, isUnknown), {
    minLength: 1,
    maxLength: 6,
  })
  .map((steps) => {
    const store = createKeyValueStore();
    return steps.map(([client, operation, before, after, unknown, lost], index) => {
      const moment = 4 * index;
      // What is lost never reached the store.
      const result = unknown && lost ? undefined : decodeResult(store.execute(bytesOf(operation), context));
      return done(client, operation, [moment - before, moment + after], unknown ? undefined : result);
    });
  });

function bytesOf(operation: KeyValueOperation): Uint8Array {
  if (operation.type === "put") return kv.put(operation.key, operation.value);
  if (operation.type === "cas") return kv.cas(operation.key, operation.expected, operation.value);
  return kv[operation.type](operation.key);
}

const alteredHistory = fc
  .tuple(realHistory, fc.nat(), anyResult)
  .map(([history, choice, result]) =>
    history.map((operation, index) =>
      index === choice % history.length && operation.result ? { ...operation, result: plausible(operation.operation, result) } : operation,
    ),
  );

/** Both checkers on every case; how often each verdict came. */
function compare(histories: fc.Arbitrary<ClientOperation[]>): { readonly linearizable: number; readonly not: number } {
  const count = { linearizable: 0, not: 0 };
  const property = fc.property(histories, (history) => {
    const expected = bruteForce(history);
    const verdict = checkLinearizable(history);
    count[expected ? "linearizable" : "not"] += 1;
    expect(verdict.ok).toBe(expected);
    if (verdict.ok === false) {
      expect(bruteForce(verdict.prefix)).toBe(true);
      expect(verdict.stuck.length).toBeGreaterThan(0);
    }
  });
  fc.assert(property, { seed: 4, numRuns: 4_000 });
  return count;
}

describe("beside a checker that tries every order", () => {
  it("agrees on histories made of chance", () => {
    const { linearizable, not } = compare(anyHistory);
    expect(linearizable).toBeGreaterThan(800);
    expect(not).toBeGreaterThan(800);
  });

  it("finds linearizable whatever the store really did", () => {
    expect(compare(realHistory)).toEqual({ linearizable: 4_000, not: 0 });
  });

  it("agrees on what the store did with one result altered", () => {
    const { linearizable, not } = compare(alteredHistory);
    expect(linearizable).toBeGreaterThan(800);
    expect(not).toBeGreaterThan(800);
  });
});

/** What clients saw of a store whose operations took effect at some moment of their interval; some never returned. */
function longHistory(options: { operations: number; keys: number; clients: number; window: number; unknown: number }): ClientOperation[] {
  const random = createRandom(11);
  const seats = options.clients * options.window;
  const planned = Array.from({ length: options.operations }, (_, index) => {
    const round = Math.floor(index / seats) * 100;
    const invokedAt = round + random.next(40);
    const [moment, key] = [invokedAt + random.next(30), `key-${random.next(options.keys)}`];
    const operation = [put(`${index}`, key), get(key), cas(undefined, `${index}`, key), del(key)][random.next(4)] ?? get(key);
    return { client: 1 + (index % options.clients), operation, invokedAt, moment, returnedAt: moment + random.next(29), index };
  });
  const store = createKeyValueStore();
  return planned
    .sort((a, b) => a.moment - b.moment || a.index - b.index)
    .map(({ client, operation, invokedAt, returnedAt }) => {
      const result = decodeResult(store.execute(bytesOf(operation), context));
      return done(client, operation, [invokedAt, returnedAt], random.next(1_000) < options.unknown ? undefined : result);
    });
}

describe("a long history", () => {
  it("of 20 000 operations on 100 keys is judged within the default bound", () => {
    const history = longHistory({ operations: 20_000, keys: 100, clients: 8, window: 16, unknown: 10 });
    expect(checkLinearizable(history)).toEqual({ ok: true });
    const read = history.findLastIndex(({ operation, result }) => operation.type === "get" && result?.type === "value");
    const altered = history.map((operation, index) => (index === read ? { ...operation, result: value("0") } : operation));
    expect(checkLinearizable(altered).ok).toBe(false);
  });

  it("of one key is no matter of depth", () => {
    const history = longHistory({ operations: 20_000, keys: 1, clients: 2, window: 2, unknown: 0 });
    expect(checkLinearizable(history)).toEqual({ ok: true });
  });
});

describe("the operations of a trace", () => {
  it("are those of correct clients, with what they returned", () => {
    const invoke = (client: number, request: number, op: Uint8Array) => ({ client, request, digest: "00", op: bytesToHex(op) });
    const { records } = trace({ clients: [{ name: "client-1" }, { name: "client-2" }, { name: "client-3", traitor: true }] })
      .add("client-1", "invoke", invoke(1, 1, kv.put("k", "1")))
      .add("client-2", "invoke", invoke(2, 1, kv.get("k")))
      .add("client-3", "invoke", invoke(3, 1, kv.get("k")))
      .add("client-1", "invoke", invoke(1, 2, Uint8Array.of(7)))
      .returns([1, 1], bytesToHex(encodeResult(ok)));
    expect(operationsOf(records)).toEqual([
      { client: "client-1", operation: put("1"), invokedAt: 1, returnedAt: 5, result: ok },
      { client: "client-2", operation: get(), invokedAt: 2 },
    ]);
  });

  it("are linearizable while a primary lies, and not when one result is altered", () => {
    const { records } = simulate(firstTraitor, { seed: 7 });
    const operations = operationsOf(records);
    expect(operations).toHaveLength(300);
    expect(checkLinearizable(operations)).toEqual({ ok: true });
    const reads = operations.filter(({ result }) => result?.type === "value");
    const last = reads.at(-1);
    const older = reads.find(({ operation, result }) => operation.key === last?.operation.key && result !== last.result);
    const altered = records.map((record) =>
      older?.result && record.event === "return" && record.node === last?.client && record.at === last.returnedAt
        ? { ...record, result: bytesToHex(encodeResult(older.result)) }
        : record,
    );
    expect(altered.filter((record, index) => record !== records[index])).toHaveLength(1);
    const verdict = checkLinearizable(operationsOf(altered));
    expect(verdict).toMatchObject({ ok: false, because: expect.stringMatching(/^after \d+ operations?, .* can come next: client-/) });
  });
});
