/** docs/protocol.md A.1: the arithmetic on which everything rests. */
import { describe, expect, it } from "vitest";
import { primaryOf } from "../../src/core/cluster.ts";
import { view } from "../../src/core/ids.ts";
import {
  faultsTolerated,
  orderingQuorum,
  type Quorums,
  quorumIsLive,
  quorumIsSafe,
  quorumsFor,
  viewChangeQuorumIsSafe,
} from "../../src/core/quorum.ts";

/** All (n, f, q) with n <= 13. */
const cells = Array.from({ length: 13 }, (_, index) => index + 1).flatMap((n) =>
  Array.from({ length: n }, (_, f) => f).flatMap((f) => Array.from({ length: n }, (_, index) => ({ n, f, q: index + 1 }))),
);

/** All subsets of n replicas of one size, as bit sets. */
function subsets(n: number, size: number): number[] {
  return Array.from({ length: 1 << n }, (_, set) => set).filter((set) => members(set) === size);
}

function members(set: number): number {
  let count = 0;
  for (let rest = set; rest > 0; rest >>= 1) count += rest & 1;
  return count;
}

/** The fewest replicas that a set of `a` and a set of `b` out of n have in common, by trying: one set may stay fixed. */
function leastOverlap(n: number, a: number, b: number): number {
  const fixed = (1 << a) - 1;
  return Math.min(...subsets(n, b).map((set) => members(set & fixed)));
}

const overlaps = new Map<string, number>();

function overlapOf(n: number, a: number, b: number): number {
  const key = `${n} ${a} ${b}`;
  const known = overlaps.get(key) ?? leastOverlap(n, a, b);
  overlaps.set(key, known);
  return known;
}

describe("quorum arithmetic", () => {
  it("rule 1: a third minus one may lie, and the primary goes round with the view", () => {
    expect([1, 2, 3, 4, 5, 6, 7, 9, 10, 13].map(faultsTolerated)).toEqual([0, 0, 0, 1, 1, 1, 2, 2, 3, 4]);
    expect([0, 1, 3, 4, 9, 2 ** 53 - 1].map((number) => primaryOf(view(number), 4))).toEqual([0, 1, 3, 0, 1, 3]);
  });

  it("rule 2: a quorum is safe exactly when any two of its size share f+1 replicas, for every n up to 13", () => {
    const wrong = cells.filter(({ n, f, q }) => quorumIsSafe(n, f, q) !== overlapOf(n, q, q) >= f + 1);
    expect(wrong).toEqual([]);
    expect(cells.length).toBe(819);
  });

  it("rule 2: a quorum is live exactly when the correct replicas alone can form it", () => {
    expect(cells.filter(({ n, f, q }) => quorumIsLive(n, f, q) !== subsets(n - f, q).length > 0)).toEqual([]);
  });

  it("rule 2: a quorum that is both exists exactly from 3f+1 replicas on, and the ordering quorum is the smallest safe one", () => {
    for (const { n, f } of cells.filter(({ q }) => q === 1)) {
      const candidates = Array.from({ length: n }, (_, index) => index + 1);
      expect(candidates.some((q) => quorumIsSafe(n, f, q) && quorumIsLive(n, f, q))).toBe(n >= 3 * f + 1);
      if (n >= 3 * f + 1) expect(orderingQuorum(n, f)).toBe(candidates.find((q) => overlapOf(n, q, q) >= f + 1));
    }
  });

  it.each([
    [4, 3],
    [5, 4],
    [6, 4],
    [7, 5],
    [8, 6],
    [9, 6],
    [10, 7],
  ])("rule 3: %i replicas order with quorums of %i", (n, q) => {
    expect(quorumsFor(n).order).toBe(q);
  });

  it("rule 3: 2f+1 forks with one traitor among five, and among six without any", () => {
    expect(overlapOf(5, 3, 3)).toBe(1);
    expect(quorumIsSafe(5, 1, 3)).toBe(false);
    expect(overlapOf(6, 3, 3)).toBe(0);
    expect(quorumIsSafe(6, 1, 3)).toBe(false);
    expect(quorumIsSafe(6, 0, 3)).toBe(false);
  });

  it("rule 4: f+1 are the fewest that hold a correct replica, and as many equal replies satisfy a client", () => {
    for (const { n, f } of cells) expect(quorumsFor(n, f)).toMatchObject({ weak: f + 1, reply: f + 1 });
  });

  it("rule 5: a view-change quorum is safe exactly when it shares f+1 replicas with every ordering quorum", () => {
    for (const { n, f, q: qv } of cells) {
      const q = orderingQuorum(n, f);
      expect(viewChangeQuorumIsSafe(n, f, q, qv)).toBe(overlapOf(n, q, qv) >= f + 1);
    }
  });

  it("rule 5: q and n-f both serve as view-change quorum wherever a safe and live quorum exists", () => {
    for (const { n, f } of cells.filter((cell) => cell.n >= 3 * cell.f + 1)) {
      const { order, viewChange } = quorumsFor(n, f);
      expect(viewChange).toBeLessThanOrEqual(n - f);
      expect(viewChangeQuorumIsSafe(n, f, order, viewChange)).toBe(true);
      expect(viewChangeQuorumIsSafe(n, f, order, n - f)).toBe(true);
    }
  });

  it("rule 6: q checkpoint signatures leave f+1 correct holders of the state", () => {
    for (const { n, f } of cells.filter((cell) => cell.n >= 3 * cell.f + 1)) {
      expect(quorumsFor(n, f).checkpoint - f).toBeGreaterThanOrEqual(f + 1);
      expect(quorumsFor(n, f).checkpoint).toBeLessThanOrEqual(n - f);
    }
  });

  it.each([
    { n: 3, f: 1, safe: [3], live: [1, 2] },
    { n: 4, f: 1, safe: [3, 4], live: [1, 2, 3] },
    { n: 5, f: 1, safe: [4, 5], live: [1, 2, 3, 4] },
    { n: 6, f: 2, safe: [5, 6], live: [1, 2, 3, 4] },
    { n: 7, f: 2, safe: [5, 6, 7], live: [1, 2, 3, 4, 5] },
    { n: 9, f: 3, safe: [7, 8, 9], live: [1, 2, 3, 4, 5, 6] },
  ])("B.5: with n=$n and f=$f the safe quorums are $safe and the live ones $live", ({ n, f, safe, live }) => {
    const all = Array.from({ length: n }, (_, index) => index + 1);
    expect(all.filter((q) => quorumIsSafe(n, f, q))).toEqual(safe);
    expect(all.filter((q) => quorumIsLive(n, f, q))).toEqual(live);
  });
});

describe("choosing thresholds by hand", () => {
  it("rule 1: each may be overridden, unsafe ones too, and the rest stays computed", () => {
    expect(quorumsFor(4, 1, { order: 2, reply: 1 })).toEqual({ order: 2, viewChange: 3, weak: 2, reply: 1, checkpoint: 3 });
    expect(quorumsFor(3, 1)).toEqual({ order: 3, viewChange: 3, weak: 2, reply: 2, checkpoint: 3 });
  });

  it.each([
    { n: 0, f: 0, overrides: {}, message: "expected replicas to be an integer from 1, got 0" },
    { n: 4.5, f: 1, overrides: {}, message: "expected replicas to be an integer from 1, got 4.5" },
    { n: 4, f: -1, overrides: {}, message: "expected f to be an integer in 0..3, got -1" },
    { n: 4, f: 4, overrides: {}, message: "expected f to be an integer in 0..3, got 4" },
    { n: 4, f: 1, overrides: { order: 5 }, message: "expected quorum order to be an integer in 1..4, got 5" },
    { n: 4, f: 1, overrides: { viewChange: 0 }, message: "expected quorum viewChange to be an integer in 1..4, got 0" },
    { n: 4, f: 1, overrides: { weak: 1.5 }, message: "expected quorum weak to be an integer in 1..4, got 1.5" },
    { n: 4, f: 1, overrides: { reply: Number.NaN }, message: "expected quorum reply to be an integer in 1..4, got NaN" },
    { n: 4, f: 1, overrides: { checkpoint: -3 }, message: "expected quorum checkpoint to be an integer in 1..4, got -3" },
  ])(
    "names the number that is out of range: $message",
    ({ n, f, overrides, message }: { n: number; f: number; overrides: Partial<Quorums>; message: string }) => {
      expect(() => quorumsFor(n, f, overrides)).toThrow(new RangeError(message));
    },
  );
});
