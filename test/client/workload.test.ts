import { describe, expect, it } from "vitest";
import { createWorkload, sharesOf } from "../../src/client/workload.ts";
import { clientId } from "../../src/core/ids.ts";
import { createRandom } from "../../src/core/random.ts";
import { createKeyValueStore, decodeOperation, decodeResult, type KeyValueOperation } from "../../src/services/key-value.ts";

/** Runs a client against a store of its own; the operations and the kinds of their results. */
function run(options: { seed?: number; client?: number; operations?: number; keys?: number }): {
  operations: KeyValueOperation[];
  results: string[];
} {
  const { seed = 1, client = 1, operations: count = 300, ...rest } = options;
  const store = createKeyValueStore();
  const workload = createWorkload({ client: clientId(client), operations: count, random: createRandom(seed), ...rest });
  const operations: KeyValueOperation[] = [];
  const results: string[] = [];
  for (let operation = workload.next(); operation; ) {
    const decoded = decodeOperation(operation);
    if (!decoded) throw new Error("expected an operation of the store");
    const result = store.execute(operation, { client: clientId(client), clock: 0 });
    operations.push(decoded);
    results.push(decodeResult(result).type);
    operation = workload.next(result);
  }
  return { operations, results };
}

describe("a workload", () => {
  it("has as many operations as asked for, of every kind, on as many keys as asked for", () => {
    const { operations, results } = run({ operations: 300, keys: 3 });
    expect(operations).toHaveLength(300);
    expect(new Set(operations.map(({ type }) => type))).toEqual(new Set(["put", "get", "cas", "del"]));
    expect([...new Set(operations.map(({ key }) => key))].sort()).toEqual(["key-0", "key-1", "key-2"]);
    expect(new Set(results)).toEqual(new Set(["ok", "value", "none"]));
  });

  it("is the same for the same seed and differs for another", () => {
    expect(run({ seed: 5 })).toEqual(run({ seed: 5 }));
    expect(run({ seed: 5 })).not.toEqual(run({ seed: 6 }));
  });

  it("never writes a value twice, of whichever client", () => {
    const values = [1, 2, 11].flatMap((client) =>
      run({ client, seed: 3 }).operations.flatMap((operation) => ("value" in operation ? [operation.value] : [])),
    );
    expect(new Set(values).size).toBe(values.length);
  });

  it("builds a cas on what the client knows, so that most succeed when nobody interferes", () => {
    const { operations, results } = run({ operations: 1000, keys: 2 });
    const outcomes = operations.flatMap(({ type }, index) => (type === "cas" ? [results[index]] : []));
    expect(outcomes.filter((outcome) => outcome === "ok").length).toBeGreaterThan(outcomes.length * 0.9);
  });

  it("goes on when results are unknown", () => {
    const workload = createWorkload({ client: clientId(1), operations: 3, random: createRandom(1) });
    expect([1, 2, 3, 4].map(() => workload.next() !== undefined)).toEqual([true, true, true, false]);
  });

  it("is shared out evenly and completely", () => {
    expect(sharesOf(10, 4)).toEqual([3, 3, 2, 2]);
    expect(sharesOf(2, 3)).toEqual([1, 1, 0]);
    expect(sharesOf(6, 3)).toEqual([2, 2, 2]);
  });
});
