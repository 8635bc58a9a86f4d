import { describe, expect, it } from "vitest";
import { createRandom } from "../../src/core/random.ts";

describe("seeded randomness", () => {
  it("gives the same numbers for ever: a kept seed has to replay", () => {
    const random = createRandom(7);
    expect(Array.from({ length: 8 }, () => random.next(1_000))).toEqual([323, 94, 649, 305, 229, 358, 390, 682]);
    expect([random.float(), random.float()]).toEqual([0.7669281181556835, 0.6574508511516023]);
    const fork = random.fork("network");
    expect(Array.from({ length: 4 }, () => fork.next(1_000))).toEqual([605, 859, 712, 196]);
  });

  it("differs from seed to seed and from name to name", () => {
    const firsts = [createRandom(1), createRandom(2), createRandom("1 "), createRandom(1).fork("a"), createRandom(1).fork("b")];
    expect(new Set(firsts.map((random) => random.next(2 ** 32))).size).toBe(firsts.length);
  });

  it("forks by seed and name, however much was drawn before", () => {
    const random = createRandom(3);
    const before = random
      .fork("a")
      .fork("b")
      .next(2 ** 32);
    random.next(10);
    expect(
      random
        .fork("a")
        .fork("b")
        .next(2 ** 32),
    ).toBe(before);
  });

  it("draws every value below its bound about equally often", () => {
    const random = createRandom(11);
    const counts = Array.from({ length: 6 }, () => 0);
    for (let draw = 0; draw < 60_000; draw++) {
      const value = random.next(6);
      counts[value] = (counts[value] ?? 0) + 1;
    }
    for (const count of counts) expect(Math.abs(count - 10_000)).toBeLessThan(500);
    const floats = Array.from({ length: 20_000 }, () => random.float());
    expect(Math.abs(floats.reduce((sum, value) => sum + value, 0) / floats.length - 0.5)).toBeLessThan(0.01);
    expect(floats.every((value) => value >= 0 && value < 1)).toBe(true);
  });

  it("takes bounds from 1 to 2^32 and refuses others", () => {
    expect(createRandom(1).next(1)).toBe(0);
    expect(createRandom(1).next(2 ** 32)).toBeLessThan(2 ** 32);
    for (const bound of [0, -1, 1.5, Number.NaN, 2 ** 32 + 1]) expect(() => createRandom(1).next(bound)).toThrow(RangeError);
  });
});
