import { describe, expect, it } from "vitest";
import { type Duration, durationMs, parseDuration } from "../../src/core/duration.ts";

describe("durations", () => {
  it.each([
    [5, 5],
    [0, 0],
    ["5ms", 5],
    ["1s", 1_000],
    ["1.5s", 1_500],
    ["0.1s", 100],
    ["2m", 120_000],
  ] as const)("reads %s as %d ms", (text, ms) => {
    expect(durationMs(text)).toBe(ms);
  });

  it.each(["5", "5 ms", "-1s", "1h", "", "s", -1, Number.NaN, Number.POSITIVE_INFINITY, null, undefined])(
    "does not take %s for one",
    (value) => {
      expect(parseDuration(value)).toBeUndefined();
      expect(() => durationMs(value as Duration, "within")).toThrow(/^within: expected a duration: .*, got /);
    },
  );
});
