import { describe, expect, it } from "vitest";
import type { NodeName } from "../../src/core/ids.ts";
import { merge } from "../../src/harness/merge.ts";
import type { TraceRecord } from "../../src/harness/trace.ts";
import { runRecordOf } from "./support.ts";

const message = (event: "send" | "receive", at: number, from: NodeName, to: NodeName, id = "aa"): TraceRecord => ({
  at,
  node: event === "send" ? from : to,
  event,
  id,
  kind: "prepare",
  bytes: 10,
  from,
  to,
});
const send = (at: number, from: NodeName, to: NodeName, id?: string) => message("send", at, from, to, id);
const receive = (at: number, from: NodeName, to: NodeName, id?: string) => message("receive", at, from, to, id);
const resumed = (at: number, node: NodeName): TraceRecord => ({ at, node, event: "resume" });

const shown = (records: readonly TraceRecord[]): string[] => records.map(({ node, event, at }) => `${node} ${event} ${at}`);
const lamports = (records: readonly TraceRecord[]): (number | undefined)[] => records.map(({ lamport }) => lamport);

describe("merge", () => {
  it("orders by time, earlier lists first at equal times, and never changes the order of one list", () => {
    const merged = merge([
      [resumed(2, "replica-0"), resumed(1, "replica-0")],
      [resumed(1, "replica-1"), resumed(2, "replica-1")],
    ]);
    expect(shown(merged)).toEqual(["replica-1 resume 1", "replica-0 resume 2", "replica-0 resume 1", "replica-1 resume 2"]);
  });

  it("puts the run record first, though replicas started before the moment that time counts from", () => {
    expect(shown(merge([[resumed(-5, "replica-0")], [runRecordOf()]]))).toEqual(["harness run 0", "replica-0 resume -5"]);
  });

  it("never puts a receive before its send, whatever the clocks say", () => {
    const merged = merge([
      [receive(3, "replica-1", "replica-0"), resumed(4, "replica-0")],
      [resumed(5, "replica-1"), send(9, "replica-1", "replica-0")],
    ]);
    expect(shown(merged)).toEqual(["replica-1 resume 5", "replica-1 send 9", "replica-0 receive 3", "replica-0 resume 4"]);
  });

  it("does not wait for a send that nobody recorded, nor for another link's", () => {
    const merged = merge([[receive(3, "replica-1", "replica-0")], [send(9, "replica-1", "replica-2")]]);
    expect(shown(merged)).toEqual(["replica-0 receive 3", "replica-1 send 9"]);
  });

  it("does not hold a second copy back until the message is sent again", () => {
    const merged = merge([
      [receive(2, "replica-1", "replica-0"), receive(3, "replica-1", "replica-0")],
      [send(1, "replica-1", "replica-0"), send(50, "replica-1", "replica-0")],
    ]);
    expect(shown(merged)).toEqual(["replica-1 send 1", "replica-0 receive 2", "replica-0 receive 3", "replica-1 send 50"]);
  });

  it("ends even when two lists wait for each other", () => {
    const merged = merge([
      [receive(1, "replica-1", "replica-0"), send(2, "replica-0", "replica-1", "bb")],
      [receive(3, "replica-0", "replica-1", "bb"), send(4, "replica-1", "replica-0")],
    ]);
    expect(shown(merged)).toEqual(["replica-0 receive 1", "replica-0 send 2", "replica-1 receive 3", "replica-1 send 4"]);
  });

  it("counts logical time: a receive is later than its own send, the earliest that is not yet matched", () => {
    const merged = merge([
      [send(1, "replica-0", "replica-1"), resumed(2, "replica-0"), send(3, "replica-0", "replica-1")],
      [receive(4, "replica-0", "replica-1"), receive(5, "replica-0", "replica-1")],
    ]);
    expect(lamports(merged)).toEqual([1, 2, 3, 2, 4]);
  });

  it("gives vector clocks on request, and only then", () => {
    const lists = [[send(1, "replica-0", "replica-1")], [resumed(0, "replica-1"), receive(4, "replica-0", "replica-1")]];
    expect(merge(lists, { vector: true }).map(({ vector }) => vector)).toEqual([
      { "replica-1": 1 },
      { "replica-0": 1 },
      { "replica-0": 1, "replica-1": 2 },
    ]);
    expect(merge(lists).every(({ vector }) => vector === undefined)).toBe(true);
  });
});
