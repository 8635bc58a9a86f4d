import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { clientId } from "../../src/core/ids.ts";
import {
  createKeyValueStore,
  decodeOperation,
  decodeResult,
  describeOperation,
  encodeResult,
  type KeyValueResult,
  keyValueErrors,
  keyValueLimits,
  kv,
} from "../../src/services/key-value.ts";
import { encode } from "../../src/wire/msgpack.ts";

const context = { client: clientId(1), clock: 0 };

function run(store: ReturnType<typeof createKeyValueStore>, ...operations: Uint8Array[]): KeyValueResult[] {
  return operations.map((operation) => decodeResult(store.execute(operation, context)));
}

const ok: KeyValueResult = { type: "ok" };
const none: KeyValueResult = { type: "none" };
const value = (text: string): KeyValueResult => ({ type: "value", value: text });
const error = (code: keyof typeof keyValueErrors): KeyValueResult => ({ type: "error", code });

describe("the key-value store", () => {
  it("puts, gets, swaps and deletes", () => {
    const store = createKeyValueStore();
    expect(run(store, kv.get("a"), kv.put("a", "1"), kv.get("a"), kv.put("a", "2"), kv.get("a"))).toEqual([
      none,
      ok,
      value("1"),
      ok,
      value("2"),
    ]);
    expect(run(store, kv.cas("a", "1", "3"), kv.get("a"), kv.cas("a", "2", "3"), kv.get("a"))).toEqual([
      value("2"),
      value("2"),
      ok,
      value("3"),
    ]);
    expect(run(store, kv.del("a"), kv.del("a"), kv.get("a"))).toEqual([ok, none, none]);
  });

  it("swaps where nothing stands when nothing is expected, and tells an absent key from an empty value", () => {
    const store = createKeyValueStore();
    expect(run(store, kv.cas("a", "", "x"), kv.cas("a", undefined, ""), kv.cas("a", undefined, "y"), kv.cas("a", "", "z"))).toEqual([
      none,
      ok,
      value(""),
      ok,
    ]);
  });

  it("takes names of object properties for ordinary keys", () => {
    const store = createKeyValueStore();
    expect(run(store, kv.get("__proto__"), kv.get("constructor"), kv.put("__proto__", "1"), kv.get("__proto__"))).toEqual([
      none,
      none,
      ok,
      value("1"),
    ]);
  });

  it("refuses keys above `keyBytes` and values above `valueBytes`, counted in UTF-8", () => {
    const store = createKeyValueStore();
    const key = "é".repeat(keyValueLimits.keyBytes / 2);
    const text = "x".repeat(keyValueLimits.valueBytes);
    expect(run(store, kv.put(key, "1"), kv.put(`${key}x`, "1"), kv.get(""), kv.put("a", text), kv.put("a", `${text}x`))).toEqual([
      ok,
      error("bad-key"),
      error("bad-key"),
      ok,
      error("bad-value"),
    ]);
    expect(run(store, kv.get("a"))).toEqual([value(text)]);
  });

  it("refuses what would make it larger than `storeBytes`, and has room again after a delete", () => {
    const store = createKeyValueStore();
    const text = "x".repeat(keyValueLimits.valueBytes);
    const last = keyValueLimits.storeBytes / keyValueLimits.valueBytes - 1;
    for (let index = 0; index < last; index++) expect(run(store, kv.put(`k${index}`, text))).toEqual([ok]);
    expect(run(store, kv.put("full", text), kv.cas("full", undefined, text), kv.put("k0", text))).toEqual([
      error("store-full"),
      error("store-full"),
      ok,
    ]);
    expect(run(store, kv.del("k0"), kv.put("full", text))).toEqual([ok, ok]);
    expect(store.snapshot().length).toBeLessThan(keyValueLimits.storeBytes + 64 * 1024);
  });

  it("refuses one key more than `entries`", () => {
    const store = createKeyValueStore();
    for (let index = 1; index < keyValueLimits.entries; index++) store.execute(kv.put(`${index}`, ""), context);
    expect(run(store, kv.put("0", "x"))).toEqual([ok]);
    expect(run(store, kv.put("more", ""), kv.put("0", "y"))).toEqual([error("store-full"), ok]);
    const copy = createKeyValueStore();
    copy.restore(store.snapshot());
    expect(run(copy, kv.get("0"), kv.put("more", ""))).toEqual([value("y"), error("store-full")]);
  });
});

describe("poison operations (A35)", () => {
  it.each([
    ["nothing", new Uint8Array()],
    ["no msgpack", Uint8Array.of(0xc1)],
    ["no list", encode("get")],
    ["an unknown word", encode(["drop", "a"])],
    ["a key that is no text", encode(["get", 1])],
    ["a value that is no text", encode(["put", "a", [1]])],
    ["too few parts", encode(["put", "a"])],
    ["too many parts", encode(["get", "a", "b"])],
    ["a put with a part too many", encode(["put", "a", "b", "c"])],
    ["a cas with a part too many", encode(["cas", "a", "b", "c", "d"])],
    ["an expectation that is neither text nor nothing", encode(["cas", "a", ["b"], "c"])],
    ["a list nested deep", encode(["get", [[["a"]]]])],
    ["bytes after the end", Uint8Array.of(...kv.get("a"), 0)],
  ])("gives an error for %s", (_, operation) => {
    expect(run(createKeyValueStore(), operation)).toEqual([error("bad-operation")]);
    expect(decodeOperation(operation)).toBeUndefined();
    expect(describeOperation(operation)).toBe(`unreadable operation of ${operation.length} bytes`);
  });

  it("never throws for any bytes and answers equal bytes equally", () => {
    const mangled = fc
      .tuple(fc.constantFrom(kv.put("a", "1"), kv.cas("a", "1", "2"), kv.del("a")), fc.nat(), fc.nat(255))
      .map(([bytes, at, byte]) => {
        const copy = bytes.slice();
        copy[at % copy.length] = byte;
        return copy;
      });
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 40 }), mangled), (operation) => {
        const once = createKeyValueStore().execute(operation, context);
        expect(createKeyValueStore().execute(operation, context)).toEqual(once);
        expect(describeOperation(operation)).toBeTypeOf("string");
      }),
    );
  });
});

const operations = fc.array(
  fc.oneof(
    fc
      .tuple(fc.string({ unit: "binary", maxLength: 3 }), fc.string({ maxLength: 3 }))
      .map(([key, text]) => encode(["put", `k${key}`, `v${text}`])),
    fc.constantFrom("ka", "kb").map((key) => kv.get(key)),
    fc.constantFrom("ka", "kb").map((key) => kv.del(key)),
    fc.constantFrom("ka", "kb").map((key) => kv.put(key, "1")),
    fc.constantFrom("ka", "kb").map((key) => kv.cas(key, "1", "2")),
  ),
  { maxLength: 30 },
);

describe("snapshots of the key-value store", () => {
  it("restore to the same snapshot and the same answers", () => {
    fc.assert(
      fc.property(operations, operations, (before, after) => {
        const store = createKeyValueStore();
        run(store, ...before);
        const copy = createKeyValueStore();
        copy.restore(store.snapshot());
        expect(copy.snapshot()).toEqual(store.snapshot());
        expect(run(copy, ...after)).toEqual(run(store, ...after));
        expect(copy.snapshot()).toEqual(store.snapshot());
      }),
    );
  });

  it("are equal for equal contents, whatever the order in which they came", () => {
    const keys = ["ä", "z", "Z", "10", "9", "😀", "\uffff", "a"];
    const [first, second] = [keys, [...keys].reverse()].map((order) => {
      const store = createKeyValueStore();
      run(store, kv.put("gone", "x"), ...order.map((key) => kv.put(key, key)), kv.del("gone"));
      return store.snapshot();
    });
    expect(second).toEqual(first);
  });

  it("differ when a value differs", () => {
    const [one, two] = ["1", "2"].map((text) => {
      const store = createKeyValueStore();
      run(store, kv.put("a", text));
      return store.snapshot();
    });
    expect(one).not.toEqual(two);
  });

  it.each([
    ["no msgpack", Uint8Array.of(0xc1)],
    ["another format", encode([2])],
    ["keys out of order", encode([1, ["b", "1"], ["a", "1"]])],
    ["a key twice", encode([1, ["a", "1"], ["a", "1"]])],
    ["an entry that is no pair", encode([1, ["a"]])],
    ["an empty key", encode([1, ["", "1"]])],
    ["a value over its bound", encode([1, ["a", "x".repeat(keyValueLimits.valueBytes + 1)]])],
  ])("are refused with %s, and the state stays", (_, snapshot) => {
    const store = createKeyValueStore();
    run(store, kv.put("kept", "1"));
    expect(() => store.restore(snapshot)).toThrow(/key-value/);
    expect(run(store, kv.get("kept"))).toEqual([value("1")]);
  });
});

describe("results and descriptions", () => {
  it("decode to what was encoded", () => {
    const all = [ok, none, value("é"), ...Object.keys(keyValueErrors).map((code) => error(code as keyof typeof keyValueErrors))];
    for (const result of all) expect(decodeResult(encodeResult(result))).toEqual(result);
  });

  it.each([new Uint8Array(), encode(["ok", "x"]), encode(["value"]), encode(["error", "toString"]), encode(["value", "a", "b"])])(
    "take bytes that are no result for an error, like %s",
    (bytes) => {
      expect(decodeResult(bytes)).toEqual(error("bad-result"));
    },
  );

  it("name operations in one line", () => {
    expect([kv.put("a", "3"), kv.get("a"), kv.del("a"), kv.cas("a", "3", "4"), kv.cas("a", undefined, "4")].map(describeOperation)).toEqual(
      ['put "a" = "3"', 'get "a"', 'del "a"', 'cas "a" from "3" to "4"', 'cas "a" from nothing to "4"'],
    );
    expect(describeOperation(kv.put("a\n", "x".repeat(1000))).length).toBeLessThan(100);
    expect(describeOperation(kv.put("a\n", "b"))).not.toContain("\n");
  });

  it("refuse a text that is no well-formed Unicode when it is written", () => {
    expect(() => kv.put("a", "\ud800")).toThrow(RangeError);
  });
});
