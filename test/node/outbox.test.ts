import { describe, expect, it } from "vitest";
import type { Effect } from "../../src/core/contract.ts";
import { Outbox } from "../../src/node/outbox.ts";
import type { Storage } from "../../src/storage/storage.ts";

type Effects = readonly Effect<never, string>[];

/** A disk that is as slow as the test wants. */
class SlowStorage implements Storage<string> {
  readonly records: string[] = [];
  readonly #dones: (() => void)[] = [];

  append(records: readonly string[], done: () => void): void {
    this.records.push(...records);
    this.#dones.push(done);
  }

  recover(): readonly string[] {
    return this.records.slice();
  }

  /** The oldest append has become durable. */
  sync(): void {
    this.#dones.shift()?.();
  }
}

const persist = (record: string): Effects => [{ type: "persist", records: [record] }];
const timer = (...names: readonly string[]): Effects => names.map((name) => ({ type: "cancel-timer", timer: name }));

function outboxOn(storage: Storage<string>) {
  const done: string[] = [];
  const outbox = new Outbox<never, string>(storage, (effect) => done.push(effect.type === "cancel-timer" ? effect.timer : effect.type));
  return { outbox, done };
}

describe("the outbox", () => {
  it("carries out at once what no persist stands before, and nothing behind one that is not durable (rule 72)", () => {
    const storage = new SlowStorage();
    const { outbox, done } = outboxOn(storage);
    outbox.push([...timer("a"), ...persist("vote"), ...timer("b", "c")]);
    expect({ done, records: storage.records }).toEqual({ done: ["a"], records: ["vote"] });
    storage.sync();
    expect(done).toEqual(["a", "b", "c"]);
  });

  it("holds back what later steps emit, though they persist nothing, and keeps the order of all", () => {
    const storage = new SlowStorage();
    const { outbox, done } = outboxOn(storage);
    outbox.push([...persist("1"), ...timer("a")]);
    outbox.push(timer("b"));
    outbox.push([...timer("c"), ...persist("2"), ...timer("d")]);
    outbox.push(timer("e"));
    expect(done).toEqual([]);
    storage.sync();
    expect(done).toEqual(["a", "b", "c"]);
    storage.sync();
    expect(done).toEqual(["a", "b", "c", "d", "e"]);
  });

  it("asks for one append at a time, so that none overtakes another", () => {
    const storage = new SlowStorage();
    const { outbox } = outboxOn(storage);
    outbox.push([...persist("1"), ...persist("2")]);
    expect(storage.records).toEqual(["1"]);
    storage.sync();
    expect(storage.records).toEqual(["1", "2"]);
  });

  it("brings one effect to its end before the next, though carrying it out pushes more", () => {
    const storage = new SlowStorage();
    const done: string[] = [];
    const outbox: Outbox<never, string> = new Outbox<never, string>(storage, (effect) => {
      if (effect.type !== "cancel-timer") return;
      if (effect.timer === "a") outbox.push(timer("pushed by a"));
      done.push(effect.timer);
    });
    outbox.push(timer("a", "b"));
    expect(done).toEqual(["a", "b", "pushed by a"]);
  });

  it("goes on where storage is durable before append returns", () => {
    const storage: Storage<string> = { append: (_, durable) => durable(), recover: () => [] };
    const { outbox, done } = outboxOn(storage);
    outbox.push([...persist("1"), ...timer("a"), ...persist("2"), ...timer("b")]);
    expect(done).toEqual(["a", "b"]);
  });
});
