/** What paces peers: rates, pauses between calls, penalties. Pure, so time is a number. */
import { describe, expect, it } from "vitest";
import { Backoff } from "../../src/transport/backoff.ts";
import { Penalties } from "../../src/transport/penalties.ts";
import { TokenBucket } from "../../src/transport/token-bucket.ts";

describe("a token bucket", () => {
  it("is free up to the burst, then says how long the debt takes to pay", () => {
    const bucket = new TokenBucket(10, 5, 0);
    expect(bucket.take(5, 0)).toBe(0);
    expect(bucket.take(1, 0)).toBe(100);
    expect(bucket.take(1, 0)).toBe(200);
    expect(bucket.take(0, 150)).toBe(50);
    expect(bucket.take(0, 200)).toBe(0);
  });

  it("holds no more than the burst however long nobody asks", () => {
    const bucket = new TokenBucket(10, 5, 0);
    expect(bucket.take(6, 1_000_000)).toBe(100);
  });

  it("gives nothing on credit when asked to try", () => {
    const bucket = new TokenBucket(1, 2, 0);
    expect([bucket.tryTake(1, 0), bucket.tryTake(1, 0), bucket.tryTake(1, 0)]).toEqual([true, true, false]);
    expect([bucket.tryTake(1, 999), bucket.tryTake(1, 1_000)]).toEqual([false, true]);
  });

  it("takes a clock that stands still or falls back for no time passed", () => {
    const bucket = new TokenBucket(1, 1, 1_000);
    expect([bucket.tryTake(1, 1_000), bucket.tryTake(1, 0)]).toEqual([true, false]);
  });
});

describe("the pause before dialling again", () => {
  const limits = { backoffMs: 100, backoffMaxMs: 2_000 };
  const pauses = (backoff: Backoff, count: number): number[] => Array.from({ length: count }, () => backoff.next(0));

  it("is `backoffMs` at first, doubles with each failure up to `backoffMaxMs`, and stays there", () => {
    expect(pauses(new Backoff(limits, () => 1), 7)).toEqual([100, 200, 400, 800, 1_600, 2_000, 2_000]);
    expect(pauses(new Backoff(limits, () => 1), 5_000).at(-1)).toBe(2_000);
  });

  it("is jittered over its upper half, so that peers do not come back in step", () => {
    expect([0, 0.5, 1].map((jitter) => pauses(new Backoff(limits, () => jitter), 3)[2])).toEqual([200, 300, 400]);
  });

  it("starts anew after a link that lasted, and not after one that was cut at once", () => {
    const backoff = new Backoff(limits, () => 1);
    pauses(backoff, 3);
    expect([backoff.next(1_999), backoff.next(2_000), backoff.next(0)]).toEqual([800, 100, 200]);
  });
});

describe("penalties", () => {
  const limits = { penaltyMs: 100, penaltyMaxMs: 1_000 };

  it("cut off one peer for a while, and no other", () => {
    const penalties = new Penalties(limits);
    penalties.impose("replica-1", 50);
    expect([penalties.until("replica-1"), penalties.until("replica-2")]).toEqual([150, 0]);
  });

  it("last `penaltyMs` at first, double for who comes back to lie, up to `penaltyMaxMs`", () => {
    const penalties = new Penalties(limits);
    const lengths = [];
    for (let now = 0; lengths.length < 6; now = penalties.until("client-1") + 1) {
      penalties.impose("client-1", now);
      lengths.push(penalties.until("client-1") - now);
    }
    expect(lengths).toEqual([100, 200, 400, 800, 1_000, 1_000]);
  });

  it("start anew after a long time without", () => {
    const penalties = new Penalties(limits);
    penalties.impose("client-1", 0);
    penalties.impose("client-1", 100);
    penalties.impose("client-1", 1_301);
    expect(penalties.until("client-1")).toBe(1_401);
  });
});
