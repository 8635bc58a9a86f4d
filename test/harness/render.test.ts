import { describe, expect, it } from "vitest";
import { type Paint, renderJudgement } from "../../src/harness/render.ts";
import { goodRun, type TraceBuilder, trace } from "./support.ts";

const textOf = (builder: TraceBuilder, paint?: Paint): string => renderJudgement(builder.judge(), paint).join("\n");

describe("a judgement as text", () => {
  it("shows who took part, each verdict with its numbers, the cost and the end", () => {
    const text = textOf(goodRun());
    expect(text).toContain("nodes 4, faults 0, lies told 0, lies rejected 0, traitor messages accepted 0, view changes 0");
    expect(text).toContain("pbft on sim, seed 7: n = 4, f = 1, quorum 3, no traitors");
    expect(text).toMatch(/^agreement +holds +decisions 8, slots 2, returned 2$/m);
    expect(text).toMatch(/^termination +holds +requests 2, returned 2, slots 8, bound ms 100000$/m);
    expect(text).toContain("PBFT normal case: 2n(n-1) = 24 messages per decision; measured 0");
    expect(text).toMatch(/^as expected$/m);
  });

  it("calls a fork a fork, and tells it in words", () => {
    const text = textOf(
      trace()
        .invoke([1, 1], [2, 1])
        .does(0, 1, [[1, 1]])
        .does(1, 1, [[2, 1]]),
    );
    expect(text).toMatch(/^FORK, not as expected$/m);
    expect(text).toMatch(/replica-0 decided .* at slot 1 in view 0, replica-1 decided .* there in view 0/);
    expect(text).toMatch(/first event where they part: decide of replica-1 at \d+ ms/);
    expect(text).toContain("agreement: expected holds, found violated");
  });

  it("calls a stall a stall, with its cause, and says why nothing was claimed", () => {
    const builder = trace({ within: 100 }).invoke([1, 1]).wait(1_000).add("client-2", "stop", {});
    expect(textOf(builder)).toContain("STALL, not as expected");
    expect(textOf(builder)).toContain("- no correct replica decided it");
    expect(textOf(builder)).toContain("outside the model: within is 100 ms");
  });

  it("says why a verdict is inconclusive, and who was accused", () => {
    expect(textOf(goodRun({ traitors: [3] }))).toContain("the traitors never lied");
    const builder = goodRun({ traitors: [3] }).add("replica-3", "treason", { behaviour: "own", what: "lied" });
    builder.add("replica-1", "evidence", { culprit: 3, kind: "commit", messages: [] });
    expect(textOf(builder)).toMatch(/^accountability holds +accusations 1, accused 3$/m);
  });

  it("colours with the paint that it is handed, and with nothing else", () => {
    const paint: Paint = { good: (text) => `<g>${text}</g>`, bad: (text) => `<b>${text}</b>`, dim: (text) => text, bold: (text) => text };
    expect(textOf(goodRun(), paint)).toContain("<g>as expected</g>");
    expect(textOf(goodRun(), paint)).toMatch(/^agreement +<g>holds +<\/g>/m);
    expect([...textOf(goodRun())].every((letter) => letter === "\n" || letter >= " ")).toBe(true);
  });
});
