/** Quorums that are one too small or one too large (B.3, B.5, B.6): the laboratory finds the fork or the stall, and says why. */
import { describe, expect, it } from "vitest";
import { faults } from "../../src/faults/fault.ts";
import { traitors } from "../../src/traitors/catalogue.ts";
import { Attack, rashCommitter } from "./attack.ts";

/** The seeds out of the first few that fork. */
const forks = (make: (seed: number) => Attack, seeds: number): number[] =>
  Array.from({ length: seeds }, (_, index) => index + 1).filter((seed) => make(seed).judgement.properties.agreement.verdict === "violated");

describe("an ordering quorum one too small (B.5, M02)", () => {
  const small = (seed: number) =>
    new Attack(
      {
        quorums: { order: 2 },
        traitors: { 0: traitors.equivocate({ groups: [[1], [2], [3]] }) },
        network: { delay: [1, 30] },
        workload: { operations: 4 },
        within: "2s",
      },
      seed,
    );

  it("forks four replicas with one equivocating primary, within a few seeds", () => {
    const [first] = forks(small, 5);
    expect(first).toBeDefined();
    const attack = small(first ?? 0);
    attack.expectFork();
    expect(attack.judgement.properties.agreement.reason).toContain("two ordering quorums of 2 out of 4 need not share a correct replica");
    expect(attack.accused).toEqual([0]);
  });

  it("and the right one stands the same attack on the same seeds", () => {
    for (let seed = 1; seed <= 5; seed++) {
      new Attack(
        {
          traitors: { 0: traitors.equivocate({ groups: [[1], [2], [3]] }) },
          network: { delay: [1, 30] },
          workload: { operations: 4 },
        },
        seed,
      ).expectSurvived();
    }
  });

  it("forks three replicas, however they vote: n = 3f is too few (B.3)", () => {
    const attack = new Attack({
      replicas: 3,
      f: 1,
      quorums: { order: 2, viewChange: 2, checkpoint: 2 },
      traitors: { 0: traitors.equivocate() },
      workload: { operations: 4 },
      within: "2s",
    });
    attack.expectFork();
  });

  it("forks six replicas of which none lies: two halves are two quorums (M01)", () => {
    const halves = [
      [0, 1, 2, "client-1"],
      [3, 4, 5, "client-2"],
    ] as const;
    const attack = new Attack({
      replicas: 6,
      quorums: { order: 3, viewChange: 3 },
      faults: [faults.partition({ after: 0 }, halves), faults.heal({ after: "6s" })],
      workload: { clients: 2, operations: 4 },
      within: "8s",
    });
    attack.expectFork();
    expect(attack.of("treason")).toEqual([]);
  });
});

describe("a fork without a liar", () => {
  it.each([1, 2, 3])("regression: accuses nobody, although replicas halt between two views with votes of the old one (seed %d)", (seed) => {
    const attack = new Attack(
      {
        replicas: 6,
        quorums: { order: 3, viewChange: 3 },
        network: { delay: [1, 40] },
        faults: [
          faults.partition({ after: 0 }, [
            [0, 1, 2, "client-1"],
            [3, 4, 5, "client-2"],
          ]),
          // Both halves have decided something, and the second one goes on proposing.
          faults.heal({ after: 3_300 }),
        ],
        workload: { clients: 2, operations: 80, window: 2, think: 100 },
        within: "3s",
      },
      seed,
    );
    attack.expectFork();
    expect(attack.of("halt").some(({ reason }) => reason.startsWith("the new view"))).toBe(true);
    expect(attack.judgement.properties.accountability).toMatchObject({ claimed: true, verdict: "holds" });
  });
});

describe("an ordering quorum one too large (B.5, M03)", () => {
  it("stalls four replicas as soon as one is silent", () => {
    const attack = new Attack({ quorums: { order: 4 }, traitors: { 3: traitors.silent() }, within: "3s" });
    attack.expectStall();
    expect(attack.judgement.properties.termination.reason).toContain("cannot form the ordering quorum of 4");
    const cause = attack.judgement.properties.termination.counterexample?.cause?.join("\n");
    expect(cause).toContain("prepare votes for slot 1 in view 0");
    expect(cause).toContain("no such vote from replica-3 (traitor)");
  });

  it("stalls three replicas too: with q = 3 nobody may be missing (B.3)", () => {
    new Attack({ replicas: 3, f: 1, quorums: { order: 3 }, traitors: { 2: traitors.silent() }, within: "3s" }).expectStall();
  });

  it("works as long as nobody is missing", () => {
    const attack = new Attack({ quorums: { order: 4 } });
    expect(attack.of("return").length).toBe(12);
    expect(attack.judgement.properties.termination).toMatchObject({ verdict: "holds", claimed: false });
  });
});

describe("a view-change quorum one too small (B.6, A39)", () => {
  /** R0 decides slot 1 and is cut off at once; the next primary, a traitor, has never heard that anything prepared. */
  const cut = [faults.partition({ after: 0 }, [[0, 1, 2], [3]]), faults.partition({ after: 21 }, [[0], [1, 2, 3]])];
  const liar = rashCommitter({ prepareTo: [0, 2], commitTo: [0], deafTo: [2] });
  const attackWith = (viewChange: number) =>
    new Attack({
      quorums: { viewChange },
      traitors: { 1: liar },
      network: { delay: 5 },
      faults: cut,
      workload: { operations: 1 },
      within: "3s",
    });

  it("loses what was decided: the new view rests on two that know nothing of it", () => {
    const attack = attackWith(2);
    attack.expectFork();
    const [first] = attack.of("decide", "replica-0");
    const later = attack.of("decide").filter(({ node }) => node !== "replica-0");
    expect(first).toMatchObject({ view: 0, slot: 1 });
    expect(later[0]).toMatchObject({ view: 1, slot: 1 });
    expect(later[0]?.digest).not.toBe(first?.digest);
    expect(attack.judgement.properties.agreement.reason).toContain("a view-change quorum of 2 may miss every correct replica");
  });

  it("and the right one carries it over", () => {
    const attack = attackWith(3);
    expect(attack.judgement.properties.agreement.verdict).toBe("holds");
    const decided = attack.of("decide").filter(({ slot }) => slot === 1);
    expect(new Set(decided.map(({ digest }) => digest)).size).toBe(1);
  });
});

describe("a view-change quorum one too large (B.6)", () => {
  it("makes a silent primary permanent", () => {
    const attack = new Attack({ quorums: { viewChange: 4 }, traitors: { 0: traitors.silent() }, within: "5s" });
    attack.expectStall();
    expect(attack.views).toEqual([]);
    expect(attack.of("view-change").length).toBeGreaterThan(0);
  });
});
