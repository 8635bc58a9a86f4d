import { describe, expect, it } from "vitest";
import { allDo, goodRun, type TraceBuilder, trace } from "./support.ts";

const found = (builder: TraceBuilder) => builder.judge().properties.termination;
const causes = (builder: TraceBuilder): string => (found(builder).counterexample?.cause ?? []).join("\n");

/** Long enough for every bound of the traces below to pass. */
const long = 1_000;
const within = 100;

describe("termination: results", () => {
  it("holds when all that was invoked returned, and says what it judged", () => {
    expect(found(goodRun())).toMatchObject({ verdict: "holds", evidence: { requests: 2, returned: 2, slots: 8, tooLateToJudge: 0 } });
  });

  it("is violated by a result that never came", () => {
    const builder = goodRun({ within }).invoke([1, 2]).wait(long).add("harness", "link", { peer: "replica-0", up: true });
    const { verdict, counterexample } = found(builder);
    expect(verdict).toBe("violated");
    expect(counterexample?.what).toMatch(/^request 1\/2, invoked at \d+ ms, never returned; it was due at \d+ ms$/);
    expect(counterexample?.cause?.[0]).toBe("no correct replica decided it");
  });

  it("is violated by a result that came too late", () => {
    const builder = goodRun({ within });
    allDo(builder.invoke([1, 2]).wait(long), [0, 1, 2, 3], 3, [[1, 2]]).returns([1, 2]);
    expect(found(builder).counterexample?.what).toMatch(/returned at \d+ ms; it was due/);
  });

  it("does not judge a request whose bound ends after the trace, and is inconclusive when there is no other", () => {
    expect(found(goodRun({ within }).invoke([1, 2]))).toMatchObject({ verdict: "holds", evidence: { requests: 2, tooLateToJudge: 1 } });
    expect(found(trace({ within }).invoke([1, 1]))).toMatchObject({ verdict: "inconclusive", evidence: { tooLateToJudge: 1 } });
  });

  it("counts the bound from GST where that is later than the invocation", () => {
    const late = trace({ within }).invoke([1, 1]).wait(long).add("harness", "stable", {});
    allDo(late, [0, 1, 2, 3], 1, [[1, 1]]).returns([1, 1]);
    expect(found(late).verdict).toBe("holds");
    const never = trace({ within }).invoke([1, 1]).wait(long).add("harness", "stable", {}).wait(within).add("harness", "heal", {});
    // The heal is what counts: until then the network was not stable.
    expect(found(never).verdict).toBe("inconclusive");
    expect(found(never.wait(within + 1).add("harness", "link", { peer: "replica-0", up: true })).verdict).toBe("violated");
  });

  it("judges nothing when a stated GST was not reached within the trace", () => {
    const config = { network: { loss: 0.1, stableFrom: 5_000 } };
    const builder = trace({ within, config }).invoke([1, 1]).wait(long).add("harness", "link", { peer: "replica-0", up: true });
    expect(found(builder).verdict).toBe("inconclusive");
    const unstated = trace({ within, config: { network: { loss: 0.1 } } })
      .invoke([1, 1])
      .wait(long)
      .add("harness", "heal", {})
      .wait(long);
    expect(found(unstated.add("harness", "link", { peer: "replica-0", up: true })).verdict).toBe("violated");
  });

  it("does not ask for results of a client that ended, or that is a traitor", () => {
    const ended = goodRun({ within }).invoke([1, 2]).add("client-1", "crash", {}).wait(long).add("client-2", "stop", {});
    expect(found(ended).verdict).toBe("holds");
    const clients = [{ name: "client-1" as const, traitor: true }, { name: "client-2" as const }];
    const traitor = goodRun({ within, clients }).add("client-1", "treason", { behaviour: "own", what: "lied" }).invoke([1, 2]).wait(long);
    expect(found(traitor.add("client-2", "stop", {})).verdict).toBe("holds");
  });

  it("counts from when faults came back within the model, when more than f replicas were down for a while", () => {
    const builder = trace({ within }).add("replica-2", "crash", {}).add("replica-3", "crash", {}).invoke([1, 1]).wait(long);
    allDo(builder.restart(2, 0), [0, 1, 2], 1, [[1, 1]])
      .returns([1, 1])
      .wait(long)
      .add("client-1", "stop", {});
    expect(found(builder).verdict).toBe("holds");
    const within1 = trace({ within }).add("replica-3", "crash", {}).invoke([1, 1]).wait(long);
    allDo(within1, [0, 1, 2], 1, [[1, 1]]).returns([1, 1]);
    expect(found(within1).verdict).toBe("violated");
  });

  it("is violated, and not claimed, when more than f replicas stay down", () => {
    const builder = trace({ within }).add("replica-2", "crash", {}).add("replica-3", "crash", {}).invoke([1, 1]).wait(long);
    expect(found(builder.add("client-1", "stop", {}))).toMatchObject({ verdict: "violated", claimed: false, expected: null });
  });
});

describe("termination: totality", () => {
  it("is violated by a correct replica that never learns a decision", () => {
    const builder = trace({ within }).invoke([1, 1]);
    allDo(builder, [0, 1, 2], 1, [[1, 1]])
      .returns([1, 1])
      .wait(long)
      .add("client-1", "stop", {});
    const { verdict, counterexample } = found(builder);
    expect(verdict).toBe("violated");
    expect(counterexample).toMatchObject({ nodes: ["replica-3"], slot: 1 });
    expect(counterexample?.what).toMatch(/^replica-3 neither decided nor installed slot 1 by \d+ ms/);
  });

  it("is satisfied by an install that covers the slot, or by a recovered state", () => {
    const installed = trace({ within }).invoke([1, 1]);
    allDo(installed, [0, 1, 2], 1, [[1, 1]])
      .returns([1, 1])
      .install(3, 4, 0)
      .wait(long)
      .add("client-1", "stop", {});
    expect(found(installed).verdict).toBe("holds");
    const recovered = trace({ within }).invoke([1, 1]);
    allDo(recovered, [0, 1, 2], 1, [[1, 1]])
      .returns([1, 1])
      .add("replica-3", "crash", {})
      .restart(3, 1);
    expect(found(recovered.wait(long).add("client-1", "stop", {})).verdict).toBe("holds");
  });

  it("asks nothing of a replica that is down, paused or without its storage", () => {
    for (const down of ["crash", "pause"] as const) {
      const builder = trace({ within }).invoke([1, 1]);
      allDo(builder.add("replica-3", down, {}), [0, 1, 2], 1, [[1, 1]])
        .returns([1, 1])
        .wait(long)
        .add("client-1", "stop", {});
      expect(found(builder).verdict).toBe("holds");
    }
    const wiped = trace({ within }).invoke([1, 1]).add("replica-3", "crash", {}).restart(3, 0, "lost");
    allDo(wiped, [0, 1, 2], 1, [[1, 1]])
      .returns([1, 1])
      .wait(long)
      .add("client-1", "stop", {});
    expect(found(wiped).verdict).toBe("holds");
  });

  it("gives a replica that came back the whole bound from then on", () => {
    const builder = trace({ within }).invoke([1, 1]).add("replica-3", "pause", {});
    allDo(builder, [0, 1, 2], 1, [[1, 1]])
      .returns([1, 1])
      .wait(long)
      .add("replica-3", "resume", {});
    expect(found(builder)).toMatchObject({ verdict: "holds", evidence: { tooLateToJudge: 1 } });
    expect(found(builder.wait(within + 1).add("client-1", "stop", {})).verdict).toBe("violated");
  });

  it("does not judge a decision that came too late", () => {
    const builder = goodRun({ within }).does(0, 3, []);
    expect(found(builder)).toMatchObject({ verdict: "holds", evidence: { tooLateToJudge: 3 } });
  });
});

describe("termination: the cause", () => {
  const stuck = (changes = {}): TraceBuilder => trace({ within, ...changes }).invoke([1, 1]);
  const end = (builder: TraceBuilder): TraceBuilder => builder.wait(long).add("client-1", "stop", {});
  const vote = { view: 0, slot: 1, digest: "aa" };

  it("names the quorum that was missing and who withheld his vote", () => {
    const builder = stuck({ traitors: [3] }).add("replica-3", "treason", { behaviour: "withhold", what: "sent no commit" });
    builder.add("replica-2", "crash", {});
    builder.receive(1, 0, "pre-prepare", vote).receive(1, 1, "prepare", vote).receive(1, 3, "prepare", vote);
    builder.receive(1, 0, "commit", vote).receive(1, 1, "commit", vote);
    expect(causes(end(builder))).toContain("replica-1 had commit votes for slot 1 in view 0 (aa) from 2 of 3 needed: replica-0, replica-1");
    expect(causes(builder)).toContain("no such vote from replica-2 (down), replica-3 (traitor)");
  });

  it("does not add up votes for different digests", () => {
    const builder = stuck()
      .receive(1, 0, "pre-prepare", vote)
      .receive(1, 2, "prepare", { ...vote, digest: "bb" });
    builder.receive(1, 3, "prepare", vote);
    expect(causes(end(builder))).toContain("prepare votes for slot 1 in view 0 (aa) from 2 of 3 needed: replica-0, replica-3");
  });

  it("names the primary that proposed nothing", () => {
    const builder = stuck({ traitors: [0] }).add("replica-0", "treason", { behaviour: "silent", what: "said nothing" });
    builder.add("replica-1", "timer", { name: "view", view: 0, what: "set", ms: 500 });
    expect(causes(end(builder))).toContain("saw no vote for slot 1");
    expect(causes(builder)).toContain("in view 0, whose primary is replica-0 (traitor)");
    expect(causes(builder)).toContain("the view timer of replica-1 was set for 500 ms and has not fired since");
  });

  it("names the view that was not entered: too few asked, or its primary kept quiet", () => {
    const few = stuck().add("replica-2", "view-change", { view: 1 }).add("replica-3", "view-change", { view: 1 });
    expect(causes(end(few))).toContain("view 1 was asked for by 2 of 3 needed: replica-2, replica-3");
    expect(causes(few)).toContain("no view change from replica-0, replica-1");
    const enough = stuck().add("replica-1", "crash", {});
    for (const id of [0, 2, 3] as const) enough.add(`replica-${id}`, "view-change", { view: 1 });
    expect(causes(end(enough))).toContain("no new view of its primary replica-1 (down) was accepted");
  });

  it("names the replies that a client got, when its request was decided", () => {
    const builder = stuck();
    allDo(builder, [0, 1, 2, 3], 1, [[1, 1]]);
    builder.add("client-1", "receive", { id: "aa", kind: "reply", bytes: 9, from: "replica-2", to: "client-1", view: 0 });
    expect(causes(end(builder))).toContain("client-1 needs 2 equal replies and got replies from replica-2");
  });

  it("names a replica that halted", () => {
    const builder = stuck().add("replica-0", "halt", { reason: "own state differs from the certified one" });
    expect(causes(end(builder))).toContain("replica-0 halted: own state differs from the certified one");
  });
});
