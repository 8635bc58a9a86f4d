/** Partitions, loss and GST in virtual time: what is cut is cut, and only as long as it is. */
import { describe, expect, it } from "vitest";
import { faults } from "../../src/faults/fault.ts";
import { type ScenarioDefinition, scenario } from "../../src/harness/scenario.ts";

import { simulated } from "../support/simulated.ts";
import { during, momentOf, type Records, recordsOf } from "./records.ts";

const [cutAt, healedAt, longestMs] = [100, 1_500, 5];

const run = (definition: Partial<ScenarioDefinition>, seed = 1) =>
  simulated(scenario({ name: "network", replicas: 4, workload: { clients: 2, operations: 40, think: 50 }, ...definition }), {
    seed,
    checked: true,
  });

const cut = (groups: (number | `client-${number}`)[][]) => ({
  faults: [faults.partition({ after: cutAt }, groups), faults.heal({ after: healedAt })],
});

/** While the partition stands and what was under way before has arrived. */
const standing = [cutAt + longestMs + 1, healedAt] as const;

/** Receptions between two nodes, either way. */
function crossed(records: Records, a: string, b: string, [from, until]: readonly [number, number] = standing): number {
  const between = recordsOf(records, "receive").filter(
    (record) => (record.from === a && record.to === b) || (record.from === b && record.to === a),
  );
  return during(between, from, until).length;
}

describe("a partition", () => {
  const isolated = run(cut([[0, 1, 2], [3]]));

  it("lets nothing through between its sides, and everything within one", () => {
    const { records } = isolated;
    for (const inside of [0, 1, 2]) expect(crossed(records, `replica-${inside}`, "replica-3")).toBe(0);
    expect(crossed(records, "replica-0", "replica-1")).toBeGreaterThan(0);
    expect(crossed(records, "replica-0", "replica-3", [0, cutAt])).toBeGreaterThan(0);
    expect(crossed(records, "replica-0", "replica-3", [healedAt, Number.POSITIVE_INFINITY])).toBeGreaterThan(0);
  });

  it("accounts for every message that it cut", () => {
    const { records } = isolated;
    const sent = during(recordsOf(records, "send", "replica-0"), cutAt, healedAt).filter(({ to }) => to === "replica-3");
    const lost = during(recordsOf(records, "drop", "replica-3"), cutAt, healedAt).filter(({ from }) => from === "replica-0");
    expect(sent.length).toBeGreaterThan(0);
    expect(lost.map(({ id, reason }) => [id, reason])).toEqual(sent.map(({ id }) => [id, "lost"]));
  });

  it("leaves clients that stand in no group alone", () => {
    const { records, judgement } = run(cut([[1, 2, 3], [0]]));
    for (const replica of [0, 1, 2, 3]) expect(crossed(records, "client-1", `replica-${replica}`)).toBeGreaterThan(0);
    expect(crossed(records, "replica-0", "replica-1")).toBe(0);
    expect(judgement.surprises).toEqual([]);
  });

  it("cuts clients off like replicas when they stand on a side", () => {
    const { records, judgement } = run(cut([[0, 1, 2, 3, "client-2"], ["client-1"]]));
    expect(crossed(records, "client-1", "replica-0")).toBe(0);
    expect(crossed(records, "client-2", "replica-0")).toBeGreaterThan(0);
    expect(judgement.surprises).toEqual([]);
  });

  it("keeps the smaller side from deciding, and the larger one goes on (A74)", () => {
    const { records, judgement } = isolated;
    const decisions = during(recordsOf(records, "decide"), cutAt + longestMs + 1, healedAt);
    expect(decisions.some(({ node }) => node === "replica-3")).toBe(false);
    expect(decisions.some(({ node }) => node === "replica-1")).toBe(true);
    expect(judgement.surprises).toEqual([]);
  });

  it("stops everybody when no side has a quorum, until it heals (A74)", () => {
    const { records, judgement } = run(
      cut([
        [0, 1],
        [2, 3],
      ]),
    );
    // Votes that were under way when the links were cut may still complete a slot.
    expect(during(recordsOf(records, "decide"), cutAt + 2 * longestMs, healedAt)).toEqual([]);
    expect(during(recordsOf(records, "decide"), healedAt, Number.POSITIVE_INFINITY).length).toBeGreaterThan(0);
    expect(judgement.surprises).toEqual([]);
    expect(judgement.properties.termination).toMatchObject({ claimed: true, verdict: "holds" });
  });

  it("that a bridge spans is no fork, and stops nobody for good (A74)", () => {
    const { records, judgement } = run(
      cut([
        [0, 1, 2],
        [2, 3],
      ]),
    );
    expect(crossed(records, "replica-2", "replica-3")).toBeGreaterThan(0);
    expect(crossed(records, "replica-2", "replica-0")).toBeGreaterThan(0);
    expect(crossed(records, "replica-0", "replica-3")).toBe(0);
    expect(judgement.surprises).toEqual([]);
  });

  it("takes a new shape when another one follows", () => {
    const { records } = run({
      faults: [
        faults.partition({ after: cutAt }, [[0, 1, 2], [3]]),
        faults.partition({ after: 700 }, [[1, 2, 3], [0]]),
        faults.heal({ after: healedAt }),
      ],
    });
    const before = [cutAt + longestMs + 1, 700] as const;
    const after = [700 + longestMs + 1, healedAt] as const;
    expect(crossed(records, "replica-1", "replica-3", before)).toBe(0);
    expect(crossed(records, "replica-1", "replica-3", after)).toBeGreaterThan(0);
    expect(crossed(records, "replica-1", "replica-0", before)).toBeGreaterThan(0);
    expect(crossed(records, "replica-1", "replica-0", after)).toBe(0);
  });

  it("that never heals is outside the model, which the judge says", () => {
    const { judgement } = run({
      faults: [
        faults.partition({ after: cutAt }, [
          [0, 1],
          [2, 3],
        ]),
      ],
      within: "2s",
    });
    expect(judgement.properties.termination).toMatchObject({ claimed: false, verdict: "violated" });
    expect(judgement.properties.termination.reason).toContain("the partition never healed");
    expect(judgement.properties.agreement).toMatchObject({ claimed: true, verdict: "holds" });
  });
});

describe("GST", () => {
  const stormy = run({ network: { delay: [1, 20], loss: 0.2, duplicate: 0.2, reorder: 0.2, stableFrom: "1s" } });

  it("stands in the trace when it comes", () => {
    expect(momentOf(stormy.records, "stable")).toBe(1_000);
    expect(recordsOf(run({}).records, "stable")).toEqual([]);
  });

  it("ends loss and duplication, which were there before (A73)", () => {
    const { records } = stormy;
    const [sent, received, lost] = [recordsOf(records, "send"), recordsOf(records, "receive"), recordsOf(records, "drop")];
    expect(during(lost, 0, 1_000).length).toBeGreaterThan(0);
    expect(during(lost, 1_000, Number.POSITIVE_INFINITY)).toEqual([]);
    // What is neither lost nor doubled arrives once, if the run goes on for long enough.
    const late = (all: readonly { at: number }[]) => all.filter(({ at }) => at >= 1_000 + 200).length;
    expect(late(received) - late(sent)).toBeLessThan(50);
    expect(received.length + lost.length).toBeGreaterThan(sent.length);
  });

  it("bounds what termination promises: the bound counts from there", () => {
    expect(stormy.judgement.properties.termination).toMatchObject({ claimed: true, verdict: "holds" });
    const endless = run({ network: { loss: 0.05 } });
    expect(endless.judgement.properties.termination.claimed).toBe(false);
  });

  it("holds no message longer than the longest delay from then on", () => {
    const { records } = stormy;
    const receptions = during(recordsOf(records, "receive"), 1_300, Number.POSITIVE_INFINITY);
    const sent = recordsOf(records, "send");
    expect(receptions.length).toBeGreaterThan(0);
    for (const { id, from, to, at } of receptions) {
      expect(
        sent.some((send) => send.id === id && send.from === from && send.to === to && send.at <= at - 1 && send.at >= at - 20.001),
      ).toBe(true);
    }
  });
});
