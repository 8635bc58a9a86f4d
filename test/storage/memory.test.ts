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
