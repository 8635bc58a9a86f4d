/** docs/protocol.md A.2 and A.3, second half: votes that come early or late, committing, executing. Replica 1 is the backup under test unless said otherwise. */
import { describe, expect, it } from "vitest";
import type { Verified } from "../../src/core/message.ts";
import type { PbftMessage } from "../../src/protocols/pbft/index.ts";
import { bodyOf, commit, commitCertificate, digestIn, enterView, leave, type PrePrepare, prepare, someDigest } from "../support/forge.ts";
import { evidence, outline, type PbftEffect, Rig, rejected, sent, votes } from "../support/rig.ts";

const wrong = someDigest("wrong");

/** A cluster whose replica 1 holds the proposal of slot 1. */
function proposed(n = 4): { rig: Rig; proposal: Verified<PrePrepare>; digest: ReturnType<typeof digestIn> } {
  const rig = new Rig({ n });
  const proposal = rig.proposal(0, 0, 1, [rig.request(1, 1)]);
  rig.receive(1, proposal);
  return { rig, proposal, digest: digestIn(proposal) };
}

/** The same, prepared: the next COMMITs decide. */
function preparedAtBackup(n = 4): ReturnType<typeof proposed> {
  const made = proposed(n);
  for (const voter of made.rig.cluster.replicas.slice(2, made.rig.cluster.quorums.order)) {
    made.rig.receive(1, prepare(made.rig, voter, 0, 1, made.digest));
  }
  return made;
}

describe("votes for other views and slots", () => {
  it("rule 18: PREPAREs and COMMITs outside the window are refused", () => {
    const rig = new Rig();
    for (const slot of [0, 17, Number.MAX_SAFE_INTEGER]) {
      expect(rejected(rig.receive(1, prepare(rig, 2, 0, slot, wrong)))).toEqual(["outside-window"]);
      expect(rejected(rig.receive(1, commit(rig, 2, 0, slot, wrong)))).toEqual(["outside-window"]);
    }
  });

  it("rule 18: a PREPARE of an earlier view is refused, a COMMIT of an earlier view still counts", () => {
    const rig = new Rig();
    enterView(rig, 3, 1);
    expect(rejected(rig.receive(3, prepare(rig, 2, 0, 1, wrong)))).toEqual(["wrong-view"]);
    const proposal = rig.proposal(0, 0, 1, [rig.request(1, 1)]);
    for (const voter of [0, 1, 2]) rig.receive(3, commit(rig, voter, 0, 1, digestIn(proposal)));
    rig.receive(3, bodyOf(rig, 2, proposal));
    expect(rig.decisions(3)).toEqual([{ slot: 1, digest: digestIn(proposal), requests: 1 }]);
  });

  it("rule 18: what came early for a later view is counted on entering it", () => {
    const rig = new Rig();
    const proposal = rig.proposal(1, 1, 1, [rig.request(1, 1)]);
    rig.receive(3, proposal);
    rig.receive(3, prepare(rig, 2, 1, 1, digestIn(proposal)));
    expect(votes(rig.effects[3] ?? [])).toEqual([]);
    enterView(rig, 3, 1);
    expect(votes(rig.effects[3] ?? [])).toEqual(["send prepare", "send commit"]);
  });

  it("rule 18: what came early for the next window is counted when the window moves", () => {
    const rig = new Rig();
    const proposal = rig.proposal(0, 0, 9, [rig.request(1, 9)]);
    rig.receive(1, proposal);
    expect(votes(rig.effects[1] ?? [])).toEqual([]);
    for (let number = 1; number <= 4; number++) rig.order(1, number);
    expect(rig.state(1).stable).toBe(4);
    const late = sent(rig.effects[1] ?? [], "prepare").filter(({ message }) => message.slot === 9);
    expect(late.map(({ message }) => message.digest)).toEqual([digestIn(proposal)]);
  });

  it("rule 18, A09: there is a bound on votes that came early, per sender, and one sender fills its own share only", () => {
    const rig = new Rig();
    for (let number = 1; number <= 2_000; number++) rig.receive(3, prepare(rig, 2, number * 4 + 1, 1 + (number % 8), wrong));
    expect(rig.state(3)["backlog"]).toBeLessThanOrEqual(2 * rig.cluster.limits.window);
    expect(rejected(rig.effects[3] ?? [])).toContain("buffer-full");
    const proposal = rig.proposal(1, 1, 1, [rig.request(1, 1)]);
    expect(rejected(rig.receive(3, proposal))).toEqual([]);
    enterView(rig, 3, 1);
    expect(votes(rig.effects[3] ?? [])).toEqual(["send prepare"]);
  });
});

describe("committing", () => {
  it("rule 19: the certificate is durable before the COMMIT leaves, and there is one COMMIT", () => {
    const { rig, digest } = proposed();
    const effects = rig.receive(1, prepare(rig, 2, 0, 1, digest));
    expect(outline(effects)).toEqual(["persist prepared", "send commit"]);
    expect(outline(rig.receive(1, prepare(rig, 3, 0, 1, digest)))).toEqual([]);
  });

  it.each([4, 5, 6, 7, 10])("rule 20: among %i replicas the slot is decided with the COMMIT that makes q, the own one included", (n) => {
    const { rig, digest } = preparedAtBackup(n);
    const others = rig.cluster.replicas.filter((id) => id !== 1);
    const deciding = others.filter((voter) => outline(rig.receive(1, commit(rig, voter, 0, 1, digest))).includes("decide 1"));
    expect(deciding).toEqual([others[rig.cluster.quorums.order - 2]]);
  });

  it.each([
    ["digest", (rig: Rig) => commit(rig, 0, 0, 1, wrong)],
    ["slot", (rig: Rig, digest: string) => commit(rig, 0, 0, 2, digest)],
    ["view", (rig: Rig, digest: string) => commit(rig, 0, 1, 1, digest)],
  ])("rule 20, A03, A07: a COMMIT with another %s does not count, first or last", (_what, make) => {
    const { rig, digest } = preparedAtBackup();
    rig.receive(1, make(rig, digest));
    rig.receive(1, commit(rig, 2, 0, 1, digest));
    expect(rig.executed()[1]).toBe(0);
    rig.receive(1, commit(rig, 3, 0, 1, digest));
    expect(rig.decisions(1)).toEqual([{ slot: 1, digest, requests: 1 }]);
  });

  it("rule 20: one replica's COMMIT counts once, and two different ones convict it (A03, A06)", () => {
    const { rig, digest } = preparedAtBackup();
    for (let again = 0; again < 10; again++) rig.receive(1, commit(rig, 2, 0, 1, digest));
    expect(rig.executed()[1]).toBe(0);
    const effects = rig.receive(1, commit(rig, 2, 0, 1, wrong));
    expect(evidence(effects)).toEqual([{ culprit: 2, kind: "commit" }]);
    expect(rejected(effects)).toEqual(["equivocation"]);
  });

  it("rule 20, A03: q COMMITs for a digest whose body nobody has do not execute", () => {
    const rig = new Rig();
    for (const voter of [0, 2, 3]) rig.receive(1, commit(rig, voter, 0, 1, wrong));
    expect(rig.executed()[1]).toBe(0);
    expect(rig.decisions(1)).toEqual([]);
  });

  it("rule 20, A07: the order in which votes arrive changes nothing", () => {
    const build = (): [Rig, Verified<PbftMessage>[], string] => {
      const rig = new Rig();
      const proposal = rig.proposal(0, 0, 1, [rig.request(1, 1)]);
      const digest = digestIn(proposal);
      const good = [proposal, prepare(rig, 2, 0, 1, digest), commit(rig, 0, 0, 1, digest), commit(rig, 2, 0, 1, digest)];
      return [rig, [...good, prepare(rig, 3, 0, 1, wrong), commit(rig, 3, 0, 1, wrong)], digest];
    };
    for (const order of permutations([0, 1, 2, 3, 4, 5])) {
      const [rig, messages, digest] = build();
      for (const index of order) rig.receive(1, messages[index] as Verified<PbftMessage>);
      expect(rig.decisions(1)).toEqual([{ slot: 1, digest, requests: 1 }]);
    }
  });
});

function permutations(values: readonly number[]): number[][] {
  if (values.length === 0) return [[]];
  return values.flatMap((value) => permutations(values.filter((other) => other !== value)).map((rest) => [value, ...rest]));
}

describe("executing", () => {
  it("rule 21: a decided slot waits for all lower ones", () => {
    const rig = new Rig();
    const proposals = [1, 2, 3].map((slot) => rig.proposal(0, 0, slot, [rig.request(1, slot)]));
    const finish = (proposal: Verified<PrePrepare> | undefined): PbftEffect[] => {
      if (!proposal) throw new Error("no such proposal");
      const { slot, digest } = proposal.message;
      rig.receive(1, proposal);
      return [0, 2, 3].flatMap((voter) => rig.receive(1, commit(rig, voter, 0, slot, digest)));
    };
    expect(outline(finish(proposals[2])).filter((line) => line.startsWith("decide"))).toEqual([]);
    expect(outline(finish(proposals[1])).filter((line) => line.startsWith("decide"))).toEqual([]);
    expect(outline(finish(proposals[0])).filter((line) => line.startsWith("decide"))).toEqual(["decide 1", "decide 2", "decide 3"]);
  });

  it("rule 22: q COMMITs of a view that was left execute, and draw no vote for it", () => {
    const { rig, digest } = proposed();
    leave(rig, 1, 2, [2, 3]);
    const before = votes(rig.effects[1] ?? []);
    for (const voter of [0, 2, 3]) rig.receive(1, commit(rig, voter, 0, 1, digest));
    rig.receive(1, prepare(rig, 2, 0, 1, digest));
    rig.receive(1, prepare(rig, 3, 0, 1, digest));
    expect(rig.decisions(1)).toEqual([{ slot: 1, digest, requests: 1 }]);
    expect(votes(rig.effects[1] ?? [])).toEqual(before);
  });

  it("rule 22: a whole certificate from one peer executes in a later view", () => {
    const rig = new Rig();
    const proposal = rig.proposal(0, 0, 1, [rig.request(1, 1)]);
    enterView(rig, 3, 1);
    rig.receive(3, commitCertificate(rig, 2, 0, 1, digestIn(proposal)));
    rig.receive(3, bodyOf(rig, 2, proposal));
    expect(rig.decisions(3)).toEqual([{ slot: 1, digest: digestIn(proposal), requests: 1 }]);
    expect(votes(rig.effects[3] ?? [])).toEqual([]);
  });

  it.each([
    ["q-1 signatures", (rig: Rig, digest: string) => commitCertificate(rig, 2, 0, 1, digest, [0, 2])],
    ["one signature twice", (rig: Rig, digest: string) => commitCertificate(rig, 2, 0, 1, digest, [0, 2, 2])],
  ])("rule 22: a certificate of %s proves nothing", (_what, make) => {
    const rig = new Rig();
    const proposal = rig.proposal(0, 0, 1, [rig.request(1, 1)]);
    expect(rejected(rig.receive(3, make(rig, digestIn(proposal))))).toEqual(["bad-certificate"]);
    rig.receive(3, proposal);
    expect(rig.executed()[3]).toBe(0);
  });

  it("rule 23: after execution, and until a checkpoint is stable, a second proposal for the slot is still found out", () => {
    const rig = new Rig();
    rig.order(1, 1);
    expect(rig.executed()).toEqual([1, 1, 1, 1]);
    const effects = rig.receive(1, rig.proposal(0, 0, 1, [rig.request(1, 2)]));
    expect(rejected(effects)).toEqual(["equivocation"]);
    expect(votes(effects)).toEqual([]);
    for (let number = 2; number <= 4; number++) rig.order(1, number);
    expect(rejected(rig.receive(1, rig.proposal(0, 0, 1, [rig.request(1, 5)])))).toEqual(["outside-window"]);
  });
});

describe("messages", () => {
  it("rule 8: what the primary signs, and what certificates carry, does not grow with the body", () => {
    const rig = new Rig();
    const small = rig.proposal(0, 0, 1, [rig.request(1, 1, "a")]);
    const large = rig.proposal(0, 0, 1, [rig.request(1, 1, "a".repeat(10_000))]);
    expect(large.body?.length).toBeGreaterThan(10_000);
    expect(large.payload.length).toBe(small.payload.length);
    rig.ask(0, rig.request(1, 1, "a".repeat(10_000)));
    rig.settle();
    leave(rig, 3, 1, [1, 2]);
    const [change] = sent(rig.effects[3] ?? [], "view-change");
    expect(change?.message.prepared).toHaveLength(1);
    expect(change?.payload.length).toBeLessThan(2_000);
  });

  it("rule 9: a reply names the client, its number and the result", () => {
    const rig = new Rig();
    rig.order(2, 7);
    const answers = (rig.effects[1] ?? []).flatMap((effect) => (effect.type === "reply" ? [[effect.to, effect.message.message]] : []));
    expect(answers).toEqual([
      [2, { kind: "reply", sender: 1, incarnation: 0, view: 0, client: 2, results: [{ number: 7, result: Uint8Array.of(4, 0) }] }],
    ]);
  });

  it("rule 12: the view in a reply is that of the replica that answers", () => {
    const rig = new Rig();
    rig.partition([0], [1, 2, 3]);
    for (const id of [1, 2, 3]) rig.ask(id, rig.request(1, 1));
    rig.advance(3_000);
    const views = (rig.effects[2] ?? []).flatMap((effect) => (effect.type === "reply" ? [effect.message.message.view] : []));
    expect(views).toEqual([1]);
  });
});
