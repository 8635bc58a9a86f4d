import { afterEach, describe, expect, it, vi } from "vitest";
import { Summary } from "../../src/node/summary.ts";

afterEach(() => void vi.useRealTimers());

function summary(summaries = 10) {
  vi.useFakeTimers();
  const lines: string[] = [];
  const made = new Summary({ summaryMs: 1_000, summaries });
  const add = (kind: string, about: string, amount = 1): void =>
    made.add(kind, about, amount, (count) => lines.push(`${kind} ${about}: ${count}`));
  return { made, lines, add };
}

describe("what repeats", () => {
  it("is told at once the first time, and then once every `summaryMs` with how often it happened", () => {
    const { lines, add } = summary();
    add("refused", "a");
    expect(lines).toEqual(["refused a: 1"]);
    for (let count = 0; count < 500; count++) add("refused", "a");
    vi.advanceTimersByTime(999);
    expect(lines).toHaveLength(1);
    vi.advanceTimersByTime(1);
    expect(lines.slice(1)).toEqual(["refused a: 500"]);
    add("refused", "a", 7);
    vi.advanceTimersByTime(1_000);
    expect(lines.slice(2)).toEqual(["refused a: 7"]);
  });

  it("is a first time again when it did not happen for as long", () => {
    const { lines, add } = summary();
    add("refused", "a");
    vi.advanceTimersByTime(1_000);
    expect(vi.getTimerCount()).toBe(0);
    add("refused", "a");
    expect(lines).toEqual(["refused a: 1", "refused a: 1"]);
  });

  it("is told apart by what it is about", () => {
    const { lines, add } = summary();
    add("refused", "a");
    add("refused", "b");
    add("closed", "a");
    add("refused", "b");
    vi.advanceTimersByTime(1_000);
    expect(lines).toEqual(["refused a: 1", "refused b: 1", "closed a: 1", "refused b: 1"]);
  });

  it("is told apart up to `summaries` lines, and beyond by its kind alone", () => {
    const { lines, add } = summary(2);
    for (const about of ["a", "b", "c", "d", "e", "c"]) add("refused", about);
    expect(lines).toEqual(["refused a: 1", "refused b: 1", "refused c: 1"]);
    vi.advanceTimersByTime(1_000);
    expect(lines.slice(3)).toEqual(["refused c: 3"]);
  });

  it("is told at the end, and nothing comes after", () => {
    const { made, lines, add } = summary();
    add("refused", "a");
    add("refused", "a");
    made.flush();
    expect(lines).toEqual(["refused a: 1", "refused a: 1"]);
    expect(vi.getTimerCount()).toBe(0);
  });
});
