import { describe, expect, it } from "vitest";
import { Outbox } from "../../src/transport/outbox.ts";

const frame = (label: number, length = 1): Uint8Array => new Uint8Array(length).fill(label);
const drain = (outbox: Outbox): (number | undefined)[] => Array.from({ length: outbox.frames }, () => outbox.shift()?.[0]);

describe("the outbox of a link", () => {
  it("lets consensus leave before client traffic, each in order", () => {
    const outbox = new Outbox(100, 100);
    outbox.push(frame(1), "client");
    outbox.push(frame(2), "consensus");
    outbox.push(frame(3), "client");
    outbox.push(frame(4), "consensus");
    expect(drain(outbox)).toEqual([2, 4, 1, 3]);
    expect(outbox.shift()).toBeUndefined();
  });

  it("drops the oldest client frame when it holds too many bytes, whoever comes", () => {
    const outbox = new Outbox(10, 100);
    outbox.push(frame(1, 4), "client");
    outbox.push(frame(2, 4), "client");
    expect(outbox.push(frame(3, 4), "consensus")).toBe(1);
    expect(outbox.bytes).toBe(8);
    expect(drain(outbox)).toEqual([3, 2]);
  });

  it("drops the oldest consensus frame only when no client frame is left, and a client frame before any", () => {
    const outbox = new Outbox(100, 2);
    outbox.push(frame(1), "consensus");
    outbox.push(frame(2), "consensus");
    expect(outbox.push(frame(3), "client")).toBe(1);
    expect(outbox.push(frame(4), "consensus")).toBe(1);
    expect(drain(outbox)).toEqual([2, 4]);
  });

  it("never holds more than its bounds, and drops several small frames for a large one", () => {
    const outbox = new Outbox(10, 100);
    for (let label = 0; label < 10; label++) outbox.push(frame(label), "client");
    expect(outbox.push(frame(10, 5), "client")).toBe(5);
    expect([outbox.bytes, outbox.frames]).toEqual([10, 6]);
    expect(outbox.push(frame(11, 11), "consensus")).toBe(7);
    expect([outbox.bytes, outbox.frames]).toEqual([0, 0]);
  });
});
