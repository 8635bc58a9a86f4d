import { describe, expect, it } from "vitest";
import { digestOf, goodRun, type TraceBuilder, trace } from "./support.ts";

const wordsOf = (builder: TraceBuilder): string | undefined => builder.judge().properties.integrity.counterexample?.what;
const verdictOf = (builder: TraceBuilder): string => builder.judge().properties.integrity.verdict;

/** Three requests of client 1, invoked. */
const invoked = (): TraceBuilder => trace().invoke([1, 1], [1, 2], [1, 3], [1, 4], [1, 5]);

describe("integrity", () => {
  it("holds for a run in order", () => {
    expect(goodRun().judge().properties.integrity).toMatchObject({ verdict: "holds", evidence: { decisions: 8, executions: 8 } });
  });

  it("is violated by two digests for one slot in one incarnation", () => {
    const builder = invoked()
      .decide(0, 1, [[1, 1]])
      .decide(0, 1, [[1, 2]], { view: 1 });
    expect(wordsOf(builder)).toMatch(/^replica-0 decided both .* and .* at slot 1$/);
  });

  it("is violated by two digests for one slot in two incarnations", () => {
    const builder = invoked()
      .does(0, 1, [[1, 1]])
      .add("replica-0", "crash", {})
      .restart(0, 0)
      .decide(0, 1, [[1, 2]]);
    expect(wordsOf(builder)).toMatch(/decided both/);
  });

  it("is violated by deciding a slot twice in one incarnation, even alike", () => {
    expect(
      wordsOf(
        invoked()
          .decide(0, 1, [[1, 1]])
          .decide(0, 1, [[1, 1]]),
      ),
    ).toBe("replica-0 decided slot 1 twice in one incarnation");
  });

  it("lets a restarted node decide the same again", () => {
    const builder = invoked()
      .does(0, 1, [[1, 1]])
      .add("replica-0", "crash", {})
      .restart(0, 0)
      .does(0, 1, [[1, 1]]);
    expect(verdictOf(builder)).toBe("holds");
  });

  it("is violated by a request that takes effect twice at two slots", () => {
    const builder = invoked()
      .does(0, 1, [[1, 1]])
      .does(0, 2, [[1, 1]]);
    expect(wordsOf(builder)).toBe("replica-0 let request 1/1 take effect twice, at slot 1 and at slot 2");
  });

  it("is violated by a request that takes effect twice in one batch", () => {
    const builder = invoked()
      .decide(0, 1, [
        [1, 1],
        [1, 1],
      ])
      .execute(0, 1, [1, 1])
      .execute(0, 1, [1, 1]);
    expect(wordsOf(builder)).toMatch(/take effect twice, at slot 1 and at slot 1/);
  });

  it("accepts a batch that executes nothing new, and a null request", () => {
    const builder = invoked()
      .does(0, 1, [[1, 1]])
      .decide(0, 2, [[1, 1]])
      .decide(0, 3, [])
      .does(0, 4, [[1, 2]]);
    expect(verdictOf(builder)).toBe("holds");
  });

  it("accepts a request below the client's floor as a no-op", () => {
    const builder = invoked()
      .does(0, 1, [[1, 5]])
      .decide(0, 2, [[1, 1]])
      .does(0, 3, [[1, 2]]);
    expect(verdictOf(builder)).toBe("holds");
    const inside = invoked()
      .does(0, 1, [[1, 4]])
      .decide(0, 2, [[1, 1]])
      .does(0, 3, [[1, 2]]);
    expect(wordsOf(inside)).toBe("replica-0 went on to slot 3 without executing request 1/1 of slot 2");
  });

  it("is violated by a gap: a slot that was neither decided nor installed", () => {
    const builder = invoked()
      .does(0, 1, [[1, 1]])
      .does(0, 3, [[1, 3]]);
    expect(wordsOf(builder)).toBe("replica-0 executed slot 3 after slot 1: slot 2 was neither decided nor installed");
  });

  it("is violated by a node that begins in the middle", () => {
    expect(wordsOf(invoked().does(0, 2, [[1, 1]]))).toMatch(/slot 1 was neither decided nor installed/);
  });

  it("is violated by executing above a state before that state is installed", () => {
    const early = invoked()
      .does(0, 5, [[1, 5]])
      .install(0, 4, 1);
    expect(wordsOf(early)).toMatch(/slot 1 was neither decided nor installed/);
    const inTime = invoked()
      .install(0, 4, 1)
      .does(0, 5, [[1, 5]]);
    expect(verdictOf(inTime)).toBe("holds");
  });

  it("is violated by executing what an installed state already covers", () => {
    expect(
      wordsOf(
        invoked()
          .install(0, 4, 1)
          .does(0, 4, [[1, 4]]),
      ),
    ).toMatch(/executed slot 4 although its state already covered slot 4/);
  });

  it("is violated by executing out of order", () => {
    const builder = invoked()
      .decide(0, 1, [
        [1, 1],
        [1, 3],
      ])
      .decide(0, 2, [[1, 2]])
      .execute(0, 1, [1, 1])
      .execute(0, 2, [1, 2]);
    expect(wordsOf(builder.execute(0, 1, [1, 3]))).toMatch(/went on to slot 2 without executing request 1\/3/);
    const later = invoked()
      .decide(0, 1, [[1, 1]])
      .decide(0, 2, [])
      .decide(0, 3, [[1, 3]])
      .execute(0, 3, [1, 3])
      .execute(0, 1, [1, 1]);
    expect(later.judge().properties.integrity.evidence["violations"]).toBe(2);
  });

  it("is violated by executing another request than was decided, or at a slot that was not", () => {
    expect(
      wordsOf(
        invoked()
          .decide(0, 1, [[1, 1]])
          .execute(0, 1, [1, 2]),
      ),
    ).toMatch(/executed request 1\/2 at slot 1, where it decided other requests/);
    expect(wordsOf(invoked().execute(0, 1, [1, 1]))).toBe("replica-0 executed slot 1, which it did not decide");
  });

  it("is violated when a request takes effect again in a state that was installed without the reply table", () => {
    const builder = invoked()
      .does(1, 1, [[1, 1]])
      .checkpoint(1, 1)
      .install(0, 1, 1)
      .does(0, 2, [[1, 1]]);
    expect(wordsOf(builder)).toBe("replica-0 let request 1/1 take effect twice, at slot 1 and at slot 2");
    // The state of another digest says nothing of what is in this one.
    const forked = invoked()
      .does(1, 1, [[1, 1]])
      .checkpoint(1, 1, "other")
      .install(0, 1, 1)
      .does(0, 2, [[1, 1]]);
    expect(verdictOf(forked)).toBe("holds");
  });

  it("accepts a replay after a restart, whether its slots were lost with the state or are marked", () => {
    const marked = invoked()
      .does(0, 1, [[1, 1]])
      .does(0, 2, [[1, 2]])
      .add("replica-0", "crash", {})
      .restart(0, 2);
    marked
      .execute(0, 1, [1, 1], { replayed: true })
      .execute(0, 2, [1, 2], { replayed: true })
      .does(0, 3, [[1, 3]]);
    expect(verdictOf(marked)).toBe("holds");
    const rolled = invoked()
      .does(0, 1, [[1, 1]])
      .does(0, 2, [[1, 2]])
      .add("replica-0", "crash", {})
      .restart(0, 1)
      .does(0, 2, [[1, 2]]);
    expect(verdictOf(rolled)).toBe("holds");
  });

  it("is violated by a second effect after a restart that kept the first", () => {
    const builder = invoked()
      .does(0, 1, [[1, 1]])
      .add("replica-0", "crash", {})
      .restart(0, 1)
      .does(0, 2, [[1, 1]]);
    expect(wordsOf(builder)).toMatch(/take effect twice, at slot 1 and at slot 2/);
  });

  it("does not let a node call an execution replayed that never restarted", () => {
    const builder = invoked()
      .does(0, 1, [[1, 1]])
      .execute(0, 1, [1, 1], { replayed: true });
    expect(wordsOf(builder)).toMatch(/marked request 1\/1 as replayed, but never restarted/);
  });

  it("does not judge a traitor, nor what a node does without its storage", () => {
    const traitor = trace({ traitors: [0] })
      .invoke([1, 1])
      .add("replica-0", "treason", { behaviour: "own", what: "forked" });
    traitor
      .decide(0, 1, [[1, 1]])
      .decide(0, 1, [[1, 1]], { digest: digestOf("other") })
      .does(1, 1, [[1, 1]]);
    expect(verdictOf(traitor)).toBe("holds");
    const wiped = invoked()
      .does(0, 1, [[1, 1]])
      .add("replica-0", "crash", {})
      .restart(0, 0, "lost")
      .decide(0, 1, [[1, 2]]);
    expect(verdictOf(wiped)).toBe("holds");
  });
});
