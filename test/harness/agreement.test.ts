import { describe, expect, it } from "vitest";
import { allDo, digestOf, goodRun, resultOf, trace } from "./support.ts";

describe("agreement", () => {
  it("holds when all correct replicas decide alike, and says what it compared", () => {
    const { verdict, evidence } = goodRun().judge().properties.agreement;
    expect(verdict).toBe("holds");
    expect(evidence).toMatchObject({ decisions: 8, slots: 2, nodes: 4, returned: 2, violations: 0 });
  });

  it("is violated by a fork at one slot, and names both nodes, both views and the first event where they part", () => {
    const builder = trace()
      .invoke([1, 1], [2, 1])
      .does(0, 1, [[1, 1]])
      .does(2, 1, [[2, 1]], { view: 1 });
    const { verdict, counterexample } = builder.judge().properties.agreement;
    expect(verdict).toBe("violated");
    expect(counterexample).toMatchObject({ nodes: ["replica-0", "replica-2"], slot: 1, first: { node: "replica-2", event: "decide" } });
    expect(counterexample?.what).toMatch(/replica-0 decided .* at slot 1 in view 0, replica-2 decided .* there in view 1/);
    expect(counterexample?.records).toHaveLength(2);
  });

  it("is not violated when a view change proposes the same digest again", () => {
    const builder = trace()
      .invoke([1, 1])
      .does(0, 1, [[1, 1]])
      .does(1, 1, [[1, 1]], { view: 1 });
    expect(builder.judge().properties.agreement.verdict).toBe("holds");
  });

  it("does not count what a traitor says that it decided", () => {
    const builder = trace({ traitors: [0] })
      .invoke([1, 1], [2, 1])
      .add("replica-0", "treason", { behaviour: "equivocate", what: "lied" });
    allDo(builder.does(0, 1, [[2, 1]]), [1, 2, 3], 1, [[1, 1]]);
    expect(builder.judge().properties.agreement).toMatchObject({ verdict: "holds", evidence: { nodes: 3, liesTold: 1, decisions: 3 } });
  });

  it("takes a node that confesses treason for a traitor, whatever the run record says", () => {
    const builder = trace()
      .invoke([1, 1], [2, 1])
      .does(0, 1, [[2, 1]])
      .does(1, 1, [[1, 1]]);
    expect(builder.judge().properties.agreement.verdict).toBe("violated");
    builder.add("replica-0", "treason", { behaviour: "own", what: "lied" });
    expect(builder.judge().properties.agreement.verdict).toBe("holds");
  });

  it("is violated by different state digests at one slot", () => {
    const builder = goodRun().checkpoint(0, 2, "one state").checkpoint(1, 2, "another state");
    const { verdict, counterexample } = builder.judge().properties.agreement;
    expect(verdict).toBe("violated");
    expect(counterexample?.what).toMatch(/the state after slot 2 is .* at replica-0 and .* at replica-1/);
  });

  it("is violated by an installed state that differs from a checkpoint", () => {
    const builder = goodRun().checkpoint(0, 2).install(1, 2, 3, "forged");
    expect(builder.judge().properties.agreement.verdict).toBe("violated");
  });

  it("is violated by a returned result that is not the executed one", () => {
    const builder = trace().invoke([1, 1]);
    allDo(builder, [0, 1, 2, 3], 1, [[1, 1]]).returns([1, 1], digestOf("a lie"));
    const { verdict, counterexample } = builder.judge().properties.agreement;
    expect(verdict).toBe("violated");
    expect(counterexample?.what).toMatch(/client-1 got .* for its request 1, but replica-0 executed it at slot 1/);
  });

  it("is violated by a returned result of a request that nobody decided", () => {
    const builder = goodRun().invoke([1, 2]).returns([1, 2]);
    expect(builder.judge().properties.agreement.counterexample?.what).toMatch(/no correct replica decided or executed/);
  });

  it("accepts a returned result whose executions a kill took out of the trace, since decisions are never lost", () => {
    const builder = goodRun()
      .invoke([1, 2])
      .decide(1, 3, [[1, 2]])
      .returns([1, 2]);
    expect(builder.judge().properties.agreement.verdict).toBe("holds");
  });

  it("does not ask what a traitor client says that it got", () => {
    const clients = [{ name: "client-1" as const }, { name: "client-2" as const, traitor: true }];
    const builder = goodRun({ clients }).add("client-2", "treason", { behaviour: "own", what: "made a result up" });
    builder.returns([2, 9], digestOf("made up"));
    expect(builder.judge().properties.agreement.verdict).toBe("holds");
  });

  it("is violated by different results of one request at one slot", () => {
    const builder = trace()
      .invoke([1, 1])
      .does(0, 1, [[1, 1]])
      .decide(1, 1, [[1, 1]]);
    builder.execute(1, 1, [1, 1], { result: resultOf([9, 9]) });
    expect(builder.judge().properties.agreement.counterexample?.what).toMatch(/request 1\/1 gave .* at replica-0 and .* at replica-1/);
  });

  it("counts what a node decided before it lost its storage, and nothing after", () => {
    const before = trace()
      .invoke([1, 1], [2, 1])
      .does(0, 1, [[1, 1]])
      .does(1, 1, [[2, 1]]);
    before.add("replica-1", "crash", {}).restart(1, 0, "lost");
    expect(before.judge().properties.agreement.verdict).toBe("violated");
    const after = trace()
      .invoke([1, 1], [2, 1])
      .does(0, 1, [[1, 1]])
      .add("replica-1", "crash", {})
      .restart(1, 0, "damaged");
    after.does(1, 1, [[2, 1]]);
    expect(after.judge().properties.agreement.verdict).toBe("holds");
  });

  it("is inconclusive when nobody decided anything", () => {
    const { verdict, because } = trace().invoke([1, 1]).judge().properties.agreement;
    expect(verdict).toBe("inconclusive");
    expect(because).toBe("there was no decision to judge");
  });
});
