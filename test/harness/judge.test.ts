import { describe, expect, it } from "vitest";
import { quorumsFor } from "../../src/core/quorum.ts";
import { judge } from "../../src/harness/judge.ts";
import { exitCodeOf, verdictRecord } from "../../src/harness/result.ts";
import { formatRecord, parseTrace } from "../../src/harness/trace-text.ts";
import { allDo, goodRun, type TraceBuilder, trace } from "./support.ts";

const verdictsOf = (builder: TraceBuilder): Record<string, string> =>
  Object.fromEntries(Object.entries(builder.judge().properties).map(([name, { verdict }]) => [name, verdict]));

const allHold = { agreement: "holds", validity: "holds", integrity: "holds", termination: "holds", accountability: "holds" };

/** A view change that proposes again, a laggard that installs a state, a restart that replays, a traitor that is found out. */
function eventfulRun(): TraceBuilder {
  const builder = trace({ traitors: [0] })
    .add("replica-3", "start", {})
    .invoke([1, 1], [2, 1], [1, 2]);
  builder.add("replica-0", "treason", { behaviour: "equivocate", what: "two batches for slot 1" });
  builder.does(1, 1, [[1, 1]]);
  builder.add("replica-2", "evidence", { culprit: 0, kind: "pre-prepare", messages: ["00", "01"] });
  for (const id of [1, 2] as const) builder.add(`replica-${id}`, "view-change", { view: 1 }).add(`replica-${id}`, "new-view", { view: 1 });
  builder.does(2, 1, [[1, 1]], { view: 1 }).returns([1, 1]);
  allDo(builder, [1, 2], 2, [[2, 1]], 1).returns([2, 1]);
  for (const id of [1, 2])
    builder
      .decide(id, 3, [], { view: 1 })
      .decide(id, 4, [[2, 1]], { view: 1 })
      .checkpoint(id, 4);
  builder.checkpoint(1, 4, "state 4", true);
  builder.install(3, 4, 2).checkpoint(3, 4);
  builder.add("replica-2", "crash", {}).restart(2, 4);
  allDo(builder, [1, 2, 3], 5, [[1, 2]], 1).returns([1, 2]);
  return builder;
}

describe("judging a whole run", () => {
  it("accuses nothing in a correct run with a view change, a state transfer and a restart", () => {
    const judgement = eventfulRun().judge();
    expect(verdictsOf(eventfulRun())).toEqual(allHold);
    expect(judgement).toMatchObject({ asExpected: true, surprises: [], traitors: [0], n: 4, f: 1, quorum: 3, seed: 7, host: "sim" });
    expect(judgement.properties.accountability.evidence).toMatchObject({ accused: [0], accusations: 1, violations: 0 });
    expect(judgement.properties.termination.evidence).toMatchObject({ viewChanges: 2, faults: 1 });
  });

  it("gives the same judgement from the trace as text", () => {
    const { records } = eventfulRun();
    const text = `${records.map(formatRecord).join("\n")}\n`;
    expect(judge(parseTrace(text))).toEqual(judge(records));
  });

  it("does not let its own verdict count as an event", () => {
    const { records } = eventfulRun();
    const judgement = judge(records);
    const last = verdictRecord(judgement, 1_000_000);
    expect(last.properties["agreement"]).toEqual({ verdict: "holds", claimed: true, expected: "holds" });
    expect(judge([...records, last])).toEqual(judgement);
  });

  it("refuses a trace that does not say which run it is of", () => {
    expect(() => judge([])).toThrow("a trace begins with a run record, got an empty trace");
    expect(() => judge(goodRun().records.slice(1))).toThrow("a trace begins with a run record, got invoke");
    expect(() => goodRun({ config: { network: { loss: "much" } } }).judge()).toThrow(/^run.config.network.loss: /);
  });
});

describe("expectations", () => {
  it("expects what is claimed to hold, and nothing outside the model", () => {
    const { properties, asExpected } = goodRun({ traitors: [2, 3] })
      .add("replica-2", "treason", { behaviour: "own", what: "lied" })
      .judge();
    expect(properties.agreement).toMatchObject({ claimed: false, expected: null });
    expect(asExpected).toBe(true);
  });

  it("takes an inconclusive property for a surprise where it is expected to hold", () => {
    const judgement = trace().invoke([1, 1]).judge();
    expect(judgement.surprises).toContain("agreement: expected holds, found inconclusive");
    expect(exitCodeOf(judgement)).toBe(1);
    expect(exitCodeOf(goodRun().judge())).toBe(0);
  });

  it("accepts a violation that was announced, and misses one that did not come", () => {
    const forked = (changes = {}) =>
      trace(changes)
        .invoke([1, 1], [2, 1])
        .does(0, 1, [[1, 1]])
        .does(1, 1, [[2, 1]]);
    expect(forked({ expect: { agreement: "violated" } }).judge().surprises).toEqual([]);
    expect(goodRun({ expect: { agreement: "violated" } }).judge().surprises).toEqual(["agreement: expected violated, found holds"]);
  });

  it("compares those accused with those expected", () => {
    const evidence = { culprit: 0, kind: "commit", messages: [] };
    const accusing = (accused: number[]) =>
      goodRun({ traitors: [0], expect: { accused } })
        .add("replica-0", "treason", { behaviour: "own", what: "lied" })
        .add("replica-1", "evidence", evidence)
        .judge().surprises;
    expect(accusing([0])).toEqual([]);
    expect(accusing([])).toEqual(["accused: expected nobody, found 0"]);
    expect(accusing([0, 2])).toEqual(["accused: expected 0, 2, found 0"]);
  });
});

describe("accountability", () => {
  const evidence = { culprit: 2, kind: "prepare", messages: ["00", "01"] };

  it("is violated when a correct replica is accused", () => {
    const { verdict, counterexample } = goodRun().add("replica-1", "evidence", evidence).judge().properties.accountability;
    expect(verdict).toBe("violated");
    expect(counterexample?.what).toBe("replica-1 accused replica-2 of prepare, which was correct");
  });

  it("ignores what a traitor says, and lets one without its storage be accused from then on", () => {
    const liar = goodRun({ traitors: [3] }).add("replica-3", "treason", { behaviour: "own", what: "lied" });
    expect(liar.add("replica-3", "evidence", evidence).judge().properties.accountability.verdict).toBe("holds");
    const wiped = goodRun().add("replica-2", "crash", {}).restart(2, 0, "lost").add("replica-1", "evidence", evidence);
    expect(wiped.judge().properties.accountability.verdict).toBe("holds");
    const early = goodRun().add("replica-1", "evidence", evidence).add("replica-2", "crash", {}).restart(2, 0, "lost");
    expect(early.judge().properties.accountability.verdict).toBe("violated");
  });
});

describe("what never happened", () => {
  it("is inconclusive when the traitors never lied", () => {
    const { agreement } = goodRun({ traitors: [3] }).judge().properties;
    expect(agreement).toMatchObject({ verdict: "inconclusive", because: "the traitors never lied" });
  });

  it("is inconclusive when a planned fault did not fire, and conclusive once it did", () => {
    const config = { faults: [{ fault: "partition" }, { fault: "heal" }, { fault: "kill" }] };
    const builder = goodRun({ config });
    expect(builder.judge().properties.integrity.because).toBe("0 of 1 faults of kind partition fired");
    builder.add("harness", "partition", { groups: [["replica-0"], ["replica-1"]] }).add("harness", "heal", {});
    expect(builder.judge().properties.integrity.because).toBe("0 of 1 faults of kind kill fired");
    builder.add("replica-3", "crash", {});
    expect(verdictsOf(builder)).toEqual(allHold);
  });

  it("says violated all the same when it found a violation", () => {
    const builder = trace({ traitors: [3] })
      .invoke([1, 1], [2, 1])
      .does(0, 1, [[1, 1]])
      .does(1, 1, [[2, 1]]);
    expect(builder.judge().properties.agreement.verdict).toBe("violated");
  });
});

describe("claims", () => {
  const claims = (builder: TraceBuilder) => {
    const { agreement, termination, validity } = builder.judge().properties;
    return { agreement, termination, validity };
  };

  it("claims all of a run inside the model", () => {
    const { agreement, termination } = claims(goodRun());
    expect(agreement).toMatchObject({ claimed: true, reason: "inside the model: n = 4, f = 1, traitors 0, quorum 3" });
    expect(termination.claimed).toBe(true);
  });

  it("counts traitors and lost storage against f, and for termination those that stay down", () => {
    const lost = goodRun({ traitors: [3] })
      .add("replica-2", "crash", {})
      .restart(2, 0, "lost");
    expect(claims(lost).agreement).toMatchObject({
      claimed: false,
      reason: expect.stringContaining("2 replicas lied or lost their storage"),
    });
    const down = claims(goodRun({ traitors: [3] }).add("replica-2", "crash", {}));
    expect(down.agreement.claimed).toBe(true);
    expect(down.termination).toMatchObject({
      claimed: false,
      reason: expect.stringContaining("2 replicas lied, lost their storage or stayed down"),
    });
  });

  it.each([
    [
      "n = 3f, small quorum",
      { n: 3, f: 1, quorums: quorumsFor(3, 1, { order: 2, viewChange: 2, checkpoint: 2 }) },
      "two ordering quorums of 2 out of 3",
      "agreement",
    ],
    ["n = 3f, large quorum", { n: 3, f: 1 }, "with 1 of 3 silent the others cannot form the ordering quorum of 3", "termination"],
    ["2f+1 for n = 6", { n: 6, f: 1, quorums: quorumsFor(6, 1, { order: 3 }) }, "two ordering quorums of 3 out of 6", "agreement"],
    ["small view-change quorum", { quorums: quorumsFor(4, 1, { viewChange: 2 }) }, "a view-change quorum of 2 may miss", "agreement"],
    ["reply quorum f", { quorums: quorumsFor(4, 1, { reply: 1 }) }, "1 traitors alone make a reply quorum of 1", "agreement"],
    ["weak quorum f", { quorums: quorumsFor(4, 1, { weak: 1 }) }, "1 traitors alone make a weak quorum of 1", "agreement"],
    [
      "weak quorum too large",
      { quorums: quorumsFor(4, 1, { weak: 3 }) },
      "with 1 of 4 silent a laggard does not hear of its lag",
      "termination",
    ],
    ["checkpoint quorum f+1", { quorums: quorumsFor(4, 1, { checkpoint: 2 }) }, "fewer than f+1 correct holders", "termination"],
    ["reply quorum n", { quorums: quorumsFor(4, 1, { reply: 4 }) }, "cannot form the reply quorum of 4", "termination"],
    ["promises too little", { within: 50 }, "within is 50 ms, and T_client + (f+2) Tmax + catch-up is", "termination"],
    ["loss for ever", { config: { network: { loss: 0.1 } } }, "no time is stated", "termination"],
  ] as const)("does not claim what theory does not promise: %s", (_, changes, reason, property) => {
    const found = claims(goodRun(changes));
    expect(found[property]).toMatchObject({ claimed: false, reason: expect.stringContaining(reason) });
    // Signatures are checked by each replica for itself.
    expect(found.validity.claimed).toBe(true);
    if (property === "termination") expect(found.agreement.claimed).toBe(true);
  });

  it("does not claim termination of a partition that never heals", () => {
    const builder = goodRun().add("harness", "partition", { groups: [["replica-0"], ["replica-1"]] });
    expect(claims(builder).termination).toMatchObject({ claimed: false, reason: expect.stringContaining("the partition never healed") });
    expect(claims(builder.add("harness", "heal", {})).termination.claimed).toBe(true);
  });
});
