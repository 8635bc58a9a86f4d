import { describe, expect, it } from "vitest";
import { MemoryStorage } from "../../src/storage/memory.ts";

describe("storage in memory", () => {
  it("gives back what was appended, oldest first, to whoever restarts on it", () => {
    const storage = new MemoryStorage<string>();
    storage.append(["vote 1", "vote 2"], () => undefined);
    storage.append(["vote 3"], () => undefined);
    expect(storage.recover()).toEqual(["vote 1", "vote 2", "vote 3"]);
    expect(new MemoryStorage<string>().recover()).toEqual([]);
  });

  it("says once that each append is durable, in order, and only when recovery would find it", () => {
    const storage = new MemoryStorage<number>();
    const done: string[] = [];
    for (const record of [1, 2, 3]) storage.append([record], () => done.push(`${record}: ${storage.recover().join()}`));
    storage.append([], () => done.push("nothing"));
    expect(done).toEqual(["1: 1", "2: 1,2", "3: 1,2,3", "nothing"]);
  });

  it("lets later appends leave alone what was recovered, and the caller's array alone what is stored", () => {
    const storage = new MemoryStorage<number>();
    const mine = [1];
    storage.append(mine, () => undefined);
    mine.push(2);
    const recovered = storage.recover();
    storage.append([3], () => undefined);
    expect(recovered).toEqual([1]);
    expect(storage.recover()).toEqual([1, 3]);
  });
});

describe("storage in memory that is told what to leave out", () => {
  const ended = () => undefined;

  it("holds twice as many records in memory as are needed: it asks when there are twice as many as were left the last time", () => {
    const asked: number[] = [];
    const storage = new MemoryStorage<number>((records) => {
      asked.push(records.length);
      return records.slice(-100);
    });
    let most = 0;
    for (let record = 0; record < 5_000; record++) {
      storage.append([record], ended);
      most = Math.max(most, storage.recover().length);
    }
    expect(most).toBeLessThan(256);
    expect(storage.recover().at(-1)).toBe(4_999);
    // Each look costs its length: altogether less than twice what was appended.
    expect(asked.reduce((sum, length) => sum + length, 0)).toBeLessThan(2 * 5_000);
  });

  it("grows with the need, and asks ever more rarely", () => {
    const asked: number[] = [];
    const storage = new MemoryStorage<number>((records) => {
      asked.push(records.length);
      return records;
    });
    for (let record = 0; record < 3_000; record++) storage.append([record], ended);
    expect(asked).toEqual([256, 512, 1_024, 2_048]);
    expect(storage.recover()).toHaveLength(3_000);
  });

  it("leaves alone what was recovered before", () => {
    const storage = new MemoryStorage<number>((records) => records.slice(-1));
    for (let record = 0; record < 255; record++) storage.append([record], ended);
    const recovered = storage.recover();
    storage.append([255], ended);
    expect([recovered.length, storage.recover()]).toEqual([255, [255]]);
  });
});
