import { describe, expect, it } from "vitest";
import type { NodeName } from "../../src/core/ids.ts";
import { goodRun, type TraceBuilder, trace } from "./support.ts";

const ids = [0, 1, 2, 3] as const;

function sends(builder: TraceBuilder, kind: string, from: readonly NodeName[], to: readonly NodeName[], bytes: number): void {
  for (const sender of from) {
    for (const receiver of to) {
      if (sender !== receiver) builder.add(sender, "send", { id: "aa", kind, bytes, from: sender, to: receiver });
    }
  }
}

describe("the cost ledger", () => {
  it("measures the normal case by its formula, and splits costs by kind and phase", () => {
    const all = ids.map((id): NodeName => `replica-${id}`);
    const builder = goodRun();
    for (let slot = 1; slot <= 2; slot++) {
      sends(builder, "pre-prepare", ["replica-0"], all, 300);
      sends(builder, "prepare", all.slice(1), all, 100);
      sends(builder, "commit", all, all, 100);
    }
    sends(builder, "request", ["client-1"], ["replica-0"], 50);
    sends(builder, "gossip", ["replica-0"], ["replica-1"], 7);
    const { ledger } = builder.receive(1, 0, "commit").add("replica-2", "drop", { id: "aa", reason: "loss" }).judge();
    expect(ledger.formula).toEqual({ name: "PBFT normal case: 2n(n-1)", messages: 24, measured: 24 });
    expect(ledger.kinds).toMatchObject({
      "pre-prepare": { messages: 6, bytes: 1800 },
      prepare: { messages: 18 },
      commit: { messages: 24 },
    });
    expect(ledger.phases).toMatchObject({
      normal: { messages: 48, bytes: 6000 },
      client: { messages: 1, bytes: 50 },
      other: { messages: 1, bytes: 7 },
      "view-change": { messages: 0, bytes: 0 },
    });
    expect(ledger).toMatchObject({ sent: { messages: 50, bytes: 6057 }, received: { messages: 1, bytes: 100 }, dropped: 1 });
    expect(ledger).toMatchObject({ decisions: 2, requests: 2, perDecision: { messages: 25, bytes: 3028.5 } });
  });

  it("sums what nodes tell of signatures and fsyncs at their end", () => {
    const builder = goodRun();
    for (const id of ids) builder.add(`replica-${id}`, "stop", { stats: { signed: 10 + id, verified: 20, fsyncs: 3 } });
    expect(builder.judge().ledger).toMatchObject({ signatures: { made: 46, verified: 80 }, fsyncs: 12 });
    expect(goodRun().judge().ledger).toMatchObject({ signatures: null, fsyncs: null });
  });

  it("divides by nothing when nothing was decided, and knows no formula for other protocols", () => {
    expect(trace().judge().ledger).toMatchObject({ perDecision: null, formula: { messages: 24, measured: null } });
    expect(goodRun({ protocol: "raft" }).judge().ledger.formula).toBeNull();
  });
});
