/** Attacks 1 of the catalogue: what a backup can do. With f of them nothing breaks; with one more, what theory says. */
import { describe, expect, it } from "vitest";
import { faults } from "../../src/faults/fault.ts";
import { decodeResult } from "../../src/services/key-value.ts";
import { traitors } from "../../src/traitors/catalogue.ts";
import { traitor } from "../../src/traitors/traitor.ts";
import { hexToBytes } from "../../src/wire/schema.ts";
import { Attack, rashCommitter } from "./attack.ts";

describe("silent backups (A01)", () => {
  it.each([
    [4, [3]],
    [7, [4, 6]],
  ])("of %d replicas, %j, stop nothing and change no view", (replicas, silent) => {
    const attack = new Attack({ replicas, traitors: Object.fromEntries(silent.map((id) => [id, traitors.silent()])) });
    attack.expectSurvived();
    expect(attack.views).toEqual([]);
    for (const id of silent) expect(attack.of("send", `replica-${id}`)).toEqual([]);
    expect(attack.of("return").length).toBe(12);
  });

  it("stop everything when they are f+1, and nobody gets a wrong result", () => {
    const attack = new Attack({ traitors: { 2: traitors.silent(), 3: traitors.silent() }, within: "3s" });
    attack.expectStall();
    expect(attack.of("return")).toEqual([]);
  });
});

/** Another digest than the one that was proposed. */
const doubleVoter = (kind: "prepare" | "commit") =>
  traitor(`votes twice: ${kind}`, (self) => ({
    send: {
      [kind]: (m: { view: number; slot: number; digest: string }, to: number) => {
        const other = { ...m, digest: self.digestOf({ timestamp: m.slot, requests: [] }) };
        self.said(`cast two ${kind} votes for slot ${m.slot} of view ${m.view}`);
        // Half of them hear the lie first.
        return to % 2 === 0 ? [m, other] : [other, m];
      },
    },
  }));

describe("a double vote (A02, A03, A07)", () => {
  it.each(["prepare", "commit"] as const)("%s: counts once, and is proof against its signer", (kind) => {
    const attack = new Attack({ traitors: { 2: doubleVoter(kind) } });
    attack.expectSurvived();
    expect(attack.accused).toEqual([2]);
    expect(attack.rejectedOf(2)).toContain("equivocation");
    expect(attack.of("evidence").every((record) => record.kind === kind && record.messages.length === 2)).toBe(true);
  });

  it("forks four replicas when the primary is of the party: f+1 traitors (B.8)", () => {
    const attack = new Attack({
      traitors: { 0: traitors.equivocate(), 3: traitors.equivocate() },
      workload: { operations: 4 },
      within: "2s",
    });
    attack.expectFork();
    expect(attack.judgement.properties.agreement.counterexample?.nodes).toEqual(expect.arrayContaining(["replica-1", "replica-2"]));
    expect(attack.lies.some((lie) => lie.startsWith("voted for what each replica believed"))).toBe(true);
  });
});

describe("COMMIT without being prepared (A04)", () => {
  it("cannot make a quorum: what is executed has prepared at f+1 correct replicas", () => {
    const attack = new Attack({ traitors: { 3: rashCommitter({ prepareTo: [0, 1, 2], commitTo: [0, 1, 2] }) } });
    attack.expectSurvived();
    expect(attack.lies).toContain("committed to slot 1 without being prepared");
    for (const { slot, node } of attack.of("decide").filter(({ node }) => node !== "replica-3")) {
      const prepared = [0, 1, 2].filter((id) => attack.of("send", `replica-${id}`).some((m) => m.kind === "commit" && m.slot === slot));
      expect(prepared.length, `${node} decided slot ${slot}`).toBeGreaterThanOrEqual(2);
    }
  });

  it("forks four replicas when f+1 do: the new view does not know of what one of them decided (B.8)", () => {
    const liar = rashCommitter({ prepareTo: [0], commitTo: [0], deafTo: [0] });
    const attack = new Attack({
      traitors: { 1: liar, 3: liar },
      // The one correct replica that decides does not reach the other.
      faults: [
        faults.partition({ after: 0 }, [
          [0, 1, 3],
          [1, 2, 3],
        ]),
      ],
      workload: { operations: 1 },
      within: "3s",
    });
    attack.expectFork();
    expect(attack.views).toContain(1);
    const [first] = attack.of("decide", "replica-0");
    const [second] = attack.of("decide", "replica-2");
    expect([first?.view, second?.view]).toEqual([0, 1]);
    expect(first?.slot).toBe(second?.slot);
    // The one that was deceived notices, and goes no further (rule 36).
    expect(attack.of("halt", "replica-0")[0]?.reason).toContain("leaves out slot 1");
  });
});

describe("hidden votes (A05)", () => {
  const hides = traitors.withhold({ kinds: ["prepare", "commit"], to: [1] });

  it("keep a replica from its quorum, and the proofs of the others bring it along", () => {
    // The third correct replica is away for a while: the victim cannot do without the hidden votes.
    const attack = new Attack({
      traitors: { 2: hides },
      faults: [faults.partition({ after: 0 }, [[0, 1, 2], [3]]), faults.heal({ after: "2s" })],
    });
    attack.expectSurvived();
    expect([...attack.sent("prepare", 2, 1), ...attack.sent("commit", 2, 1)]).toEqual([]);
    expect(attack.sent("commit", 2, 0).length).toBeGreaterThan(0);
    const meanwhile = attack.of("decide", "replica-1").filter(({ at }) => at < 2_000);
    expect(meanwhile.length).toBeGreaterThan(0);
    expect(attack.received("certificate", 1).some(({ at }) => at < 2_000)).toBe(true);
    expect(attack.decidedBy(1)).toEqual(attack.decidedBy(0));
  });

  it("stop everything when f+1 hide them from all that are correct", () => {
    const hidden = [traitors.withhold({ kinds: ["prepare", "commit", "certificate"], to: [0, 1] }), traitors.withhold({ kinds: "reply" })];
    const attack = new Attack({ traitors: { 2: hidden, 3: hidden }, within: "3s" });
    attack.expectStall();
    expect(attack.of("decide", "replica-0")).toEqual([]);
  });
});

describe("garbage for signatures (A10)", () => {
  it.each([
    ["a backup", 2, []],
    ["the primary", 0, [1]],
  ])("of %s are dropped and counted", (_, liar, views) => {
    const attack = new Attack({ traitors: { [liar]: traitors.corruptSignature() } });
    attack.expectSurvived();
    expect(attack.rejectedOf(liar)).toEqual(["bad-signature"]);
    expect(attack.views).toEqual(views);
    expect(attack.accused).toEqual([]);
    expect(Number(attack.judgement.properties.agreement.evidence["liesRejected"])).toBeGreaterThan(10);
  });
});

describe("wrong results (A11)", () => {
  const lie = "a lie";
  const believed = (attack: Attack): number =>
    attack.of("return").filter(({ result }) => {
      const decoded = decodeResult(hexToBytes(result));
      return decoded.type === "value" && decoded.value === lie;
    }).length;

  it("of one replica convince no client", () => {
    const attack = new Attack({ traitors: { 2: traitors.lieInReplies({ value: lie }) } });
    attack.expectSurvived();
    expect(attack.lies.length).toBe(12);
    expect(believed(attack)).toBe(0);
    expect(attack.of("return").length).toBe(12);
  });

  it("of f+1 replicas convince one now and then, although replicas agree", () => {
    const liar = traitors.lieInReplies({ value: lie });
    const attack = new Attack({ traitors: { 1: liar, 3: liar }, network: { delay: [1, 20] } });
    attack.expectFork();
    expect(believed(attack)).toBeGreaterThan(0);
    expect(attack.judgement.properties.agreement.counterexample?.nodes).toEqual(
      expect.arrayContaining([expect.stringMatching(/^client-/)]),
    );
    expect(attack.decidedBy(0)).toEqual(attack.decidedBy(2));
    expect(attack.judgement.properties.integrity.verdict).toBe("holds");
  });
});

describe("a replica that never replies (A12)", () => {
  it("leaves enough others who do", () => {
    const attack = new Attack({ traitors: { 2: traitors.withhold({ kinds: "reply" }) } });
    attack.expectSurvived();
    expect(attack.sent("reply", 2, "client-1")).toEqual([]);
    expect(attack.sent("reply", 0, "client-1").length).toBeGreaterThan(0);
    expect(attack.views).toEqual([]);
  });
});

describe("one phase left out (A17)", () => {
  it.each(["commit", "prepare"])("%s: slots complete with the others", (kind) => {
    const attack = new Attack({ traitors: { 2: traitors.withhold({ kinds: kind }) } });
    attack.expectSurvived();
    expect(attack.sent(kind, 2, 0)).toEqual([]);
    expect(attack.sent(kind === "commit" ? "prepare" : "commit", 2, 0).length).toBeGreaterThan(0);
    expect(attack.views).toEqual([]);
  });

  it("by f+1 replicas stops everything", () => {
    // Certificates would hold their COMMITs too, and clients would believe two equal replies.
    const quiet = traitors.withhold({ kinds: ["commit", "certificate", "reply"] });
    const attack = new Attack({ traitors: { 2: quiet, 3: quiet }, within: "3s" });
    attack.expectStall();
    expect(attack.sent("commit", 0, 1).length).toBeGreaterThan(0);
    expect(attack.of("decide", "replica-0")).toEqual([]);
  });
});
