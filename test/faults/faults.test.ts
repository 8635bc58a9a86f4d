import { describe, expect, it } from "vitest";
import { createRandom } from "../../src/core/random.ts";
import { faults, isCut, nameOfNode } from "../../src/faults/fault.ts";
import { type NetworkModel, perfectNetwork, transmit } from "../../src/faults/network.ts";

const model: NetworkModel = { delayMs: { min: 2, max: 6 }, loss: 0.2, duplicate: 0.1, reorder: 0.1, stableFromMs: 1_000 };

const deliveries = (changed: Partial<NetworkModel>, now: number): (readonly number[])[] => {
  const random = createRandom(5);
  return Array.from({ length: 5_000 }, () => transmit({ ...model, ...changed }, random, now));
};

describe("the network", () => {
  it("loses and doubles about as often as it is told, until GST", () => {
    const sent = deliveries({}, 999);
    expect(sent.filter((copies) => copies.length === 0).length / sent.length).toBeCloseTo(0.2, 1);
    expect(sent.filter((copies) => copies.length === 2).length / sent.length).toBeCloseTo(0.08, 1);
    expect(sent.some((copies) => copies.length === 2)).toBe(true);
  });

  it("is bounded from GST on: each message once, in time", () => {
    for (const copies of deliveries({}, 1_000)) {
      expect(copies).toHaveLength(1);
      expect(copies[0]).toBeGreaterThanOrEqual(2);
      expect(copies[0]).toBeLessThanOrEqual(6);
    }
  });

  it("stays faulty when no GST is stated", () => {
    expect(deliveries({ stableFromMs: undefined }, 1e9).some((copies) => copies.length === 0)).toBe(true);
  });

  it("holds some messages back beyond the longest delay, so that others overtake them", () => {
    const late = (reorder: number) => deliveries({ reorder, duplicate: 0 }, 0).filter(([first = 0]) => first > 6).length;
    expect(late(0)).toBe(0);
    expect(late(0.1)).toBeGreaterThan(100);
    expect(Math.max(...deliveries({ reorder: 1 }, 0).flat())).toBeLessThanOrEqual(66);
  });

  it("draws the same fate from the same seed, and a changed probability leaves the other messages as they were", () => {
    expect(deliveries({}, 0)).toEqual(deliveries({}, 0));
    const lossless = deliveries({ loss: 0, duplicate: 0, reorder: 0 }, 0);
    const lossy = deliveries({ loss: 0.2, duplicate: 0, reorder: 0 }, 0);
    for (const [index, copies] of lossy.entries()) if (copies.length > 0) expect(copies).toEqual(lossless[index]);
  });

  it("does nothing to messages when it is perfect", () => {
    expect(transmit(perfectNetwork, createRandom(1), 5)).toEqual([0]);
  });
});

describe("partitions", () => {
  const names = (groups: readonly (readonly (number | `client-${number}`)[])[]) => groups.map((group) => group.map(nameOfNode));

  it("cut the links between groups and no other", () => {
    const groups = names([
      [0, 1],
      [2, 3, "client-1"],
    ]);
    expect(isCut(groups, "replica-0", "replica-2")).toBe(true);
    expect(isCut(groups, "client-1", "replica-0")).toBe(true);
    expect(isCut(groups, "replica-2", "replica-3")).toBe(false);
    expect(isCut(groups, "client-1", "replica-3")).toBe(false);
  });

  it("leave a bridge between groups, and whoever stands in none", () => {
    const groups = names([
      [0, 1],
      [1, 2],
    ]);
    expect(isCut(groups, "replica-0", "replica-2")).toBe(true);
    expect(isCut(groups, "replica-0", "replica-1")).toBe(false);
    expect(isCut(groups, "replica-1", "replica-2")).toBe(false);
    expect(isCut(groups, "client-1", "replica-0")).toBe(false);
    expect(isCut(groups, "replica-0", "client-1")).toBe(false);
  });
});

describe("faults as data", () => {
  it("carry their moment in ms or returns", () => {
    expect(faults.partition({ afterReturns: 20 }, [[0], ["client-1"]])).toEqual({
      fault: "partition",
      when: { afterReturns: 20 },
      groups: [[0], ["client-1"]],
    });
    expect(faults.heal({ after: "2s" })).toEqual({ fault: "heal", when: { after: 2_000 } });
    expect(faults.kill({ after: 5 }, 2)).toEqual({ fault: "kill", when: { after: 5 }, replica: 2 });
    expect(faults.start({ after: 5 }, 2)).toEqual({ fault: "start", when: { after: 5 }, replica: 2, storage: "kept" });
    expect(faults.start({ after: 5 }, 2, { storage: "lost" })).toMatchObject({ storage: "lost" });
    expect(faults.pause({ after: 5 }, 2)).toEqual({ fault: "pause", when: { after: 5 }, replica: 2 });
    expect(faults.resume({ after: 5 }, 2)).toEqual({ fault: "resume", when: { after: 5 }, replica: 2 });
    expect(() => faults.heal({ after: "soon" as "1s" })).toThrow(/^after: expected a duration/);
  });
});
