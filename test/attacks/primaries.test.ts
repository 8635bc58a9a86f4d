/** Attacks 2 of the catalogue: what a primary can do. */
import { describe, expect, it } from "vitest";
import { traitors } from "../../src/traitors/catalogue.ts";
import { traitor } from "../../src/traitors/traitor.ts";
import { Attack } from "./attack.ts";

describe("an equivocating primary (A18)", () => {
  it.each([
    ["to two groups", traitors.equivocate()],
    ["to each something else", traitors.equivocate({ groups: [[1], [2], [3]] })],
    ["and tells one nothing", traitors.equivocate({ groups: [[1], [2]] })],
  ])("that proposes different things, %s, gets at most one of them through, and is found out", (_, behaviour) => {
    const attack = new Attack({ traitors: { 0: behaviour } });
    attack.expectSurvived();
    expect(attack.lies.some((lie) => lie.startsWith("proposed different batches for slot 1 of view 0"))).toBe(true);
    const told = new Set(
      [1, 2, 3].flatMap((to) => attack.sent("pre-prepare", 0, to).flatMap(({ slot, digest }) => (slot === 1 ? digest : []))),
    );
    expect(told.size).toBeGreaterThan(1);
    expect(attack.accused).toEqual([0]);
    expect(attack.of("return").length).toBe(12);
  });

  it("forks four replicas when one more votes with both sides (B.8)", () => {
    const attack = new Attack({
      traitors: { 0: traitors.equivocate({ groups: [[1], [2, 3]] }), 3: traitors.equivocate() },
      workload: { operations: 4 },
      within: "2s",
    });
    attack.expectFork();
  });
});

describe("a silent primary (A23)", () => {
  it("is deposed within the timeout, and every request returns", () => {
    const attack = new Attack({ traitors: { 0: traitors.silent() } });
    attack.expectSurvived();
    expect(attack.views).toEqual([1]);
    // The client asks all after 250 ms; T runs from then on.
    const entered = attack.of("new-view").map(({ at }) => at);
    expect(Math.min(...entered)).toBeGreaterThan(750);
    expect(Math.max(...entered)).toBeLessThan(900);
  });

  it("may be followed by f-1 more: each costs one view", () => {
    const attack = new Attack({ replicas: 7, traitors: { 0: traitors.silent(), 1: traitors.silent() } });
    attack.expectSurvived();
    expect(attack.views).toEqual([2]);
  });

  it("stops everything when one more is silent", () => {
    const attack = new Attack({ traitors: { 0: traitors.silent(), 1: traitors.silent() }, within: "3s" });
    attack.expectStall();
    expect(attack.views).toEqual([]);
    expect(attack.judgement.properties.termination.counterexample?.cause?.join(" ")).toContain("replica-0 (traitor)");
  });
});

describe("a replica kept in the dark (A24)", () => {
  it("executes everything all the same, without a view change", () => {
    const attack = new Attack({
      traitors: { 0: traitors.withhold({ kinds: ["pre-prepare", "commit", "certificate", "batch-body"], to: 3 }) },
    });
    attack.expectSurvived();
    expect(attack.sent("pre-prepare", 0, 3)).toEqual([]);
    expect(attack.sent("pre-prepare", 0, 1).length).toBeGreaterThan(0);
    expect(attack.views).toEqual([]);
    expect(attack.received("batch-body", 3).length).toBeGreaterThan(0);
    expect(attack.decidedBy(3)).toEqual(attack.decidedBy(1));
  });

  it("catches up by a state when it was left behind by a whole window", () => {
    const attack = new Attack({
      traitors: { 0: traitors.withhold({ kinds: ["pre-prepare", "commit", "certificate", "batch-body"], to: 3 }) },
      limits: { checkpointInterval: 2, window: 4 },
      workload: { clients: 2, operations: 40 },
    });
    attack.expectSurvived();
    expect(attack.of("install", "replica-3").length).toBeGreaterThan(0);
  });
});

describe("a body withheld from some (A34)", () => {
  const withholds = (from: readonly number[]) =>
    traitor("withholds bodies", (self) => ({
      send: {
        "pre-prepare": (m, to) => {
          if (!m.batch || !from.includes(to)) return undefined;
          self.said(`sent the proposal for slot ${m.slot} without its body`);
          return { ...m, batch: undefined };
        },
        "batch-body": () => "drop",
      },
    }));

  it("is fetched by its digest from those who prepared it", () => {
    const attack = new Attack({ traitors: { 0: withholds([3]) } });
    attack.expectSurvived();
    expect(attack.of("reject", "replica-3").map(({ code }) => code)).toContain("missing-body");
    expect(attack.of("send", "replica-3").some(({ kind }) => kind === "fetch")).toBe(true);
    expect(new Set(attack.received("batch-body", 3).map(({ from }) => from))).not.toContain("replica-0");
    expect(attack.views).toEqual([]);
    expect(attack.decidedBy(3)).toEqual(attack.decidedBy(1));
  });

  it("from so many that nobody can vote for it ends in a view change, and nothing is lost", () => {
    const attack = new Attack({ traitors: { 0: withholds([1, 2, 3]) } });
    attack.expectSurvived();
    expect(attack.views).toEqual([1]);
    expect(attack.of("decide").every(({ view }) => view >= 1)).toBe(true);
  });
});
