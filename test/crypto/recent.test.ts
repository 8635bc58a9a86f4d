import { describe, expect, it } from "vitest";
import { Recent } from "../../src/crypto/recent.ts";

describe("a bounded memory", () => {
  it("forgets what came in first, and only when it is full", () => {
    const recent = new Recent<string, number>(2);
    recent.set("a", 1);
    recent.set("b", 2);
    expect([recent.get("a"), recent.get("b"), recent.get("c")]).toEqual([1, 2, undefined]);
    recent.set("c", 3);
    expect([recent.get("a"), recent.get("b"), recent.get("c")]).toEqual([undefined, 2, 3]);
  });

  it("forgets nothing when it is told something again", () => {
    const recent = new Recent<string, number>(2);
    recent.set("a", 1);
    recent.set("b", 2);
    recent.set("b", 4);
    expect([recent.get("a"), recent.get("b")]).toEqual([1, 4]);
  });
});
