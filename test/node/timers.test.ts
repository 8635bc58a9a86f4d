import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Timers } from "../../src/node/timers.ts";

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

function timers() {
  const fired: string[] = [];
  return { fired, timers: new Timers((name) => fired.push(name)) };
}

describe("timers", () => {
  it("fire once each, by name, and a name that is set again moves", () => {
    const { timers: some, fired } = timers();
    some.set("view", 10);
    some.set("status", 20);
    some.set("view", 30);
    vi.advanceTimersByTime(29);
    expect(fired).toEqual(["status"]);
    vi.advanceTimersByTime(100);
    expect(fired).toEqual(["status", "view"]);
  });

  it("are cancelled alone or altogether, and an unknown name is no mistake", () => {
    const { timers: some, fired } = timers();
    some.set("a", 1);
    some.set("b", 1);
    some.cancel("a");
    some.cancel("nobody");
    vi.advanceTimersByTime(1);
    expect(fired).toEqual(["b"]);
    some.set("c", 1);
    some.clear();
    vi.advanceTimersByTime(10);
    expect(fired).toEqual(["b"]);
  });

  it("wait as long as can be expressed when they are to wait longer, instead of firing at once (rule 46)", () => {
    const { timers: some, fired } = timers();
    some.set("far", 2 ** 40);
    some.set("never", Number.POSITIVE_INFINITY);
    vi.advanceTimersByTime(2 ** 31 - 2);
    expect(fired).toEqual([]);
    vi.advanceTimersByTime(1);
    expect(fired).toEqual(["far", "never"]);
  });

  it("may be set again by what fires", () => {
    const fired: string[] = [];
    const some: Timers = new Timers((name) => {
      fired.push(name);
      if (fired.length < 3) some.set(name, 5);
    });
    some.set("again", 5);
    vi.advanceTimersByTime(100);
    expect(fired).toEqual(["again", "again", "again"]);
  });
});
