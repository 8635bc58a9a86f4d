/**
 * The key-value store that the laboratory replicates by default: texts under texts.
 *
 * The room `services` holds deterministic applications (rule 81). It imports `core`, `crypto` and `wire` only.
 */
import { utf8ToBytes } from "@noble/hashes/utils.js";
import type { Service } from "../core/contract.ts";
import { decode, encode } from "../wire/msgpack.ts";
import type { Plain } from "../wire/schema.ts";

/** Bytes of UTF-8, and entries, at most. A whole store fits into one snapshot frame, and its largest value into one result. */
export const keyValueLimits = { keyBytes: 256, valueBytes: 32 * 1024, entries: 32 * 1024, storeBytes: 4 * 1024 * 1024 } as const;

export type KeyValueOperation =
  | { readonly type: "put"; readonly key: string; readonly value: string }
  | { readonly type: "get"; readonly key: string }
  /** Writes `value` only where `expected` stands; undefined expects the key to be absent. */
  | { readonly type: "cas"; readonly key: string; readonly expected: string | undefined; readonly value: string }
  | { readonly type: "del"; readonly key: string };

export const keyValueErrors = {
  "bad-operation": "the bytes are no operation of the key-value store",
  "bad-key": `a key has 1..${keyValueLimits.keyBytes} bytes of UTF-8`,
  "bad-value": `a value has at most ${keyValueLimits.valueBytes} bytes of UTF-8`,
  "store-full": `a store holds at most ${keyValueLimits.entries} keys and ${keyValueLimits.storeBytes} bytes`,
  "bad-result":
    "the bytes are no result of the key-value store; an empty one says that the replicas had none to give: the operation failed, or its result was over the limit",
} as const;

export type KeyValueErrorCode = keyof typeof keyValueErrors;

/**
 * `ok`: done. `value`: what stands under the key, for a get, or for a cas that expected something else. `none`: there is no such
 * key, for a get, a del, or a cas that expected a value.
 */
export type KeyValueResult =
  | { readonly type: "ok" }
  | { readonly type: "value"; readonly value: string }
  | { readonly type: "none" }
  | { readonly type: "error"; readonly code: KeyValueErrorCode };

/** Operations as the bytes that a request carries. @throws RangeError for a text that is not well-formed Unicode. */
export const kv = {
  put: (key: string, value: string): Uint8Array => encode(["put", key, value]),
  get: (key: string): Uint8Array => encode(["get", key]),
  cas: (key: string, expected: string | undefined, value: string): Uint8Array => encode(["cas", key, optional(expected), value]),
  del: (key: string): Uint8Array => encode(["del", key]),
} as const;

/** Undefined when the bytes are no operation; sizes are not checked here but at execution. */
export function decodeOperation(bytes: Uint8Array): KeyValueOperation | undefined {
  const [type, key, first, second, ...rest] = decodeList(bytes);
  if (typeof key !== "string" || rest.length > 0) return undefined;
  if ((type === "get" || type === "del") && first === undefined) return { type, key };
  if (type === "put" && typeof first === "string" && second === undefined) return { type, key, value: first };
  if (type !== "cas" || typeof second !== "string") return undefined;
  if (typeof first === "string") return { type, key, expected: first, value: second };
  return Array.isArray(first) && first.length === 0 ? { type, key, expected: undefined, value: second } : undefined;
}

/** One short line for people and traces, like `put "a" = "3"`. */
export function describeOperation(bytes: Uint8Array): string {
  const operation = decodeOperation(bytes);
  if (!operation) return `unreadable operation of ${bytes.length} bytes`;
  const key = quoted(operation.key);
  if (operation.type === "put") return `put ${key} = ${quoted(operation.value)}`;
  if (operation.type !== "cas") return `${operation.type} ${key}`;
  const expected = operation.expected === undefined ? "nothing" : quoted(operation.expected);
  return `cas ${key} from ${expected} to ${quoted(operation.value)}`;
}

export function encodeResult(result: KeyValueResult): Uint8Array {
  if (result.type === "value") return encode(["value", result.value]);
  return encode(result.type === "error" ? ["error", result.code] : [result.type]);
}

/** Never throws: bytes that are no result become the error `bad-result`. */
export function decodeResult(bytes: Uint8Array): KeyValueResult {
  const [type, detail, ...rest] = decodeList(bytes);
  if (rest.length > 0) return failed("bad-result");
  if ((type === "ok" || type === "none") && detail === undefined) return { type };
  if (type === "value" && typeof detail === "string") return { type, value: detail };
  if (type === "error" && typeof detail === "string" && Object.hasOwn(keyValueErrors, detail)) return failed(detail as KeyValueErrorCode);
  return failed("bad-result");
}

/** An empty store. */
export function createKeyValueStore(): Service {
  let store = new Store();
  return {
    execute(operation) {
      const decoded = decodeOperation(operation);
      return encodeResult(decoded ? store.apply(decoded) : failed("bad-operation"));
    },
    snapshot: () => encode([snapshotFormat, ...store.sorted()]),
    restore(snapshot) {
      store = restored(snapshot);
    },
  };
}

const snapshotFormat = 1;

/** The entries, and their size in bytes of UTF-8. */
class Store {
  readonly #entries: Map<string, string> = new Map();
  #bytes = 0;

  apply(operation: KeyValueOperation): KeyValueResult {
    const { key } = operation;
    if (!isKey(key)) return failed("bad-key");
    const current = this.#entries.get(key);
    switch (operation.type) {
      case "get":
        return found(current);
      case "put":
        return this.put(key, operation.value);
      case "cas":
        return current === operation.expected ? this.put(key, operation.value) : found(current);
      case "del":
        if (current === undefined) return { type: "none" };
        this.#entries.delete(key);
        this.#bytes -= sizeOf(key) + sizeOf(current);
        return { type: "ok" };
    }
  }

  put(key: string, value: string): KeyValueResult {
    if (sizeOf(value) > keyValueLimits.valueBytes) return failed("bad-value");
    const current = this.#entries.get(key);
    const bytes = this.#bytes + sizeOf(value) + (current === undefined ? sizeOf(key) : -sizeOf(current));
    const entries = this.#entries.size + (current === undefined ? 1 : 0);
    if (entries > keyValueLimits.entries || bytes > keyValueLimits.storeBytes) return failed("store-full");
    this.#entries.set(key, value);
    this.#bytes = bytes;
    return { type: "ok" };
  }

  /** By UTF-16 code units: the order in which the keys arrived, or a locale, would split correct replicas (rule 81). */
  sorted(): readonly Plain[] {
    return [...this.#entries].sort(([a], [b]) => (a < b ? -1 : 1));
  }
}

/** @throws Error unless `snapshot` is what some store's `snapshot` gave: equal states have one encoding only. */
function restored(snapshot: Uint8Array): Store {
  const [format, ...entries] = decodeList(snapshot, { depth: 2, elements: 2 + 3 * keyValueLimits.entries });
  if (format !== snapshotFormat) throw new Error(`expected a key-value snapshot of format ${snapshotFormat}`);
  const store = new Store();
  let previous: string | undefined;
  for (const entry of entries) {
    const [key, value] = Array.isArray(entry) && entry.length === 2 ? (entry as readonly Plain[]) : [];
    const isNext = typeof key === "string" && isKey(key) && (previous === undefined || previous < key);
    if (!isNext || typeof value !== "string" || store.put(key, value).type !== "ok") {
      throw new Error("expected key-value entries within the limits, sorted by key, each key once");
    }
    previous = key;
  }
  return store;
}

function decodeList(bytes: Uint8Array, limits = { depth: 2, elements: 8 }): readonly Plain[] {
  const decoded = decode(bytes, limits);
  return decoded.ok && Array.isArray(decoded.value) ? (decoded.value as readonly Plain[]) : [];
}

function isKey(key: string): boolean {
  const size = sizeOf(key);
  return size >= 1 && size <= keyValueLimits.keyBytes;
}

function sizeOf(text: string): number {
  return utf8ToBytes(text).length;
}

function found(value: string | undefined): KeyValueResult {
  return value === undefined ? { type: "none" } : { type: "value", value };
}

function failed(code: KeyValueErrorCode): KeyValueResult {
  return { type: "error", code };
}

/** The profile has no nil (rule 88): a text that is absent is an empty list. */
function optional(text: string | undefined): Plain {
  return text ?? [];
}

function quoted(text: string): string {
  return JSON.stringify(text.length <= 64 ? text : `${text.slice(0, 63)}…`);
}
