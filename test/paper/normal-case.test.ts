/** docs/protocol.md A.3, first half: proposing and preparing. Replica 1 is the backup under test unless said otherwise. */
import { describe, expect, it } from "vitest";
import type { Verified } from "../../src/core/message.ts";
import type { PbftMessage } from "../../src/protocols/pbft/index.ts";
import {
  bare,
  bodyOf,
  commit,
  digestIn,
  enterView,
  invalidProposal,
  leave,
  type PrePrepare,
  prepare,
  someDigest,
} from "../support/forge.ts";
import { evidence, Rig, rejected, sent, votes } from "../support/rig.ts";

const wrong = someDigest("wrong");

/** A cluster whose replica 1 holds the proposal of slot 1. */
function proposed(n = 4): { rig: Rig; proposal: Verified<PrePrepare>; digest: ReturnType<typeof digestIn> } {
  const rig = new Rig({ n });
  const proposal = rig.proposal(0, 0, 1, [rig.request(1, 1)]);
  rig.receive(1, proposal);
  return { rig, proposal, digest: digestIn(proposal) };
}

describe("accepting a proposal", () => {
  it("rule 13: a backup answers a valid proposal with one PREPARE for exactly its view, slot and digest, to all others", () => {
    const rig = new Rig();
    const proposal = rig.proposal(0, 0, 1, [rig.request(1, 1)]);
    const effects = rig.receive(1, proposal);
    expect(sent(effects, "prepare").map(({ message }) => message)).toEqual([
      { kind: "prepare", sender: 1, incarnation: 0, view: 0, slot: 1, digest: digestIn(proposal) },
    ]);
    expect(effects.flatMap((effect) => (effect.type === "send" ? [effect.to] : []))).toEqual([[0, 2, 3]]);
  });

  it("rule 13: only the primary of the view may propose", () => {
    const rig = new Rig();
    const effects = rig.receive(1, rig.proposal(2, 0, 1, [rig.request(1, 1)]));
    expect(rejected(effects)).toEqual(["not-primary"]);
    expect(votes(effects)).toEqual([]);
  });

  it("rule 13, A21: a batch with a request that its client did not sign gets no PREPARE and convicts the primary", () => {
    const rig = new Rig();
    const effects = rig.receive(1, invalidProposal(rig, 1, [rig.request(1, 1)]));
    expect(rejected(effects)).toEqual(["bad-request-signature"]);
    expect(evidence(effects)).toEqual([{ culprit: 0, kind: "invalid-proposal" }]);
    expect(votes(effects)).toEqual([]);
    expect(rig.state(1)["pending"]).toBe(0);
  });

  it("rule 13, A21: an invalid batch does not take the slot: the primary may still propose a good one", () => {
    const rig = new Rig();
    rig.receive(1, invalidProposal(rig, 1, [rig.request(1, 1)]));
    expect(votes(rig.receive(1, rig.proposal(0, 0, 1, [rig.request(1, 2)])))).toEqual(["send prepare"]);
  });

  it("rule 13, A22: another body than the one that the digest names does not unlock the PREPARE", () => {
    const rig = new Rig();
    const other = rig.proposal(0, 0, 1, [rig.request(1, 2)]);
    rig.receive(1, bare(rig, 0, 1, digestIn(rig.proposal(0, 0, 1, [rig.request(1, 1)]))));
    const effects = rig.receive(1, bodyOf(rig, 2, other));
    expect(rejected(effects)).toEqual(["unsolicited"]);
    expect(votes(effects)).toEqual([]);
  });

  it("rule 13: a proposal for a view that was left gets no vote", () => {
    const rig = new Rig();
    enterView(rig, 3, 1);
    const effects = rig.receive(3, rig.proposal(0, 0, 1, [rig.request(1, 1)]));
    expect(rejected(effects)).toEqual(["wrong-view"]);
    expect(votes(effects)).toEqual([]);
  });

  it("rule 13, A38: while the view is changing, neither the old primary nor the next one gets a vote", () => {
    const rig = new Rig();
    leave(rig, 3, 1, [1, 2]);
    const old = rig.receive(3, rig.proposal(0, 0, 1, [rig.request(1, 1)]));
    const next = rig.receive(3, rig.proposal(1, 1, 1, [rig.request(1, 1)]));
    expect(rejected(old)).toEqual(["view-inactive"]);
    expect([...votes(old), ...votes(next)]).toEqual([]);
  });

  it("rule 13, A18: a second proposal for one slot gets no second PREPARE, and the pair is evidence", () => {
    const { rig } = proposed();
    const effects = rig.receive(1, rig.proposal(0, 0, 1, [rig.request(1, 2)]));
    expect(rejected(effects)).toEqual(["equivocation"]);
    expect(evidence(effects)).toEqual([{ culprit: 0, kind: "pre-prepare" }]);
    expect(votes(effects)).toEqual([]);
  });

  it.each([
    ["the genesis slot", 0, "outside-window"],
    ["far above the next window", 17, "outside-window"],
    ["2^53-1", Number.MAX_SAFE_INTEGER, "outside-window"],
  ])("rule 13, A26: a proposal for %s is refused", (_what, slot, code) => {
    const rig = new Rig();
    const effects = rig.receive(1, rig.proposal(0, 0, slot, [rig.request(1, 1)]));
    expect(rejected(effects)).toEqual([code]);
    expect(votes(effects)).toEqual([]);
  });

  it("rule 13, A26: the high watermark itself is inside the window, the slot above it waits and gets no vote yet", () => {
    const rig = new Rig();
    expect(votes(rig.receive(1, rig.proposal(0, 0, 8, [rig.request(1, 1)])))).toEqual(["send prepare"]);
    expect(votes(rig.receive(1, rig.proposal(0, 0, 9, [rig.request(1, 2)])))).toEqual([]);
  });

  it("rule 13, A33: a batch without requests and the null digest are refused outside a new view", () => {
    const rig = new Rig();
    const empty = rig.receive(1, rig.proposal(0, 0, 1, []));
    const nothing = rig.receive(1, bare(rig, 0, 1, rig.nullDigest));
    expect(rejected(empty)).toEqual(["empty-batch"]);
    expect(rejected(nothing)).toEqual(["empty-batch"]);
    expect([...votes(empty), ...votes(nothing)]).toEqual([]);
  });

  it("rule 13, A33: a batch without requests that is fetched later is refused just so", () => {
    const rig = new Rig();
    const proposal = rig.proposal(0, 0, 1, []);
    rig.receive(1, bare(rig, 0, 1, digestIn(proposal)));
    expect(votes(rig.receive(1, bodyOf(rig, 2, proposal)))).toEqual([]);
  });

  it("rule 14: all backups judge one proposal alike", () => {
    const rig = new Rig();
    const requests = [rig.request(1, 1)];
    const far = rig.wallTime + 365 * 86_400_000;
    const proposals = [
      rig.proposal(0, 0, 1, requests),
      rig.proposal(2, 0, 2, requests),
      invalidProposal(rig, 3, requests),
      rig.proposal(0, 0, 17, requests),
      bare(rig, 0, 4, rig.nullDigest),
      rig.proposal(0, 0, 5, requests, far),
    ];
    for (const proposal of proposals) {
      const verdicts = [1, 2, 3].map((id) => {
        const effects = rig.receive(id, proposal);
        return JSON.stringify([rejected(effects), votes(effects)]);
      });
      expect(new Set(verdicts).size).toBe(1);
    }
  });
});

describe("preparing", () => {
  it("rule 15: without the body there is no PREPARE; with it there is", () => {
    const rig = new Rig();
    const proposal = rig.proposal(0, 0, 1, [rig.request(1, 1)]);
    const effects = rig.receive(1, bare(rig, 0, 1, digestIn(proposal)));
    expect(rejected(effects)).toEqual(["missing-body"]);
    expect(votes(effects)).toEqual([]);
    expect(votes(rig.receive(1, bodyOf(rig, 2, proposal)))).toEqual(["send prepare"]);
  });

  it("rule 15: votes of all others do not make up for the body, neither for preparing nor for executing", () => {
    const rig = new Rig();
    const digest = digestIn(rig.proposal(0, 0, 1, [rig.request(1, 1)]));
    rig.receive(1, bare(rig, 0, 1, digest));
    for (const voter of [2, 3]) rig.receive(1, prepare(rig, voter, 0, 1, digest));
    for (const voter of [0, 2, 3]) rig.receive(1, commit(rig, voter, 0, 1, digest));
    expect(votes(rig.effects[1] ?? [])).toEqual([]);
    expect(rig.executed()[1]).toBe(0);
  });

  it("rule 15, A34: a backup from which the body was withheld gets it by digest and executes with the others", () => {
    const rig = new Rig();
    rig.ask(0, rig.request(1, 1));
    rig.wire = rig.wire.map((letter) =>
      letter.to === 3 && letter.message.message.kind === "pre-prepare"
        ? { ...letter, message: bare(rig, 0, 1, letter.message.message.digest) as Verified<PbftMessage> }
        : letter,
    );
    rig.settle();
    expect(rig.executed()).toEqual([1, 1, 1, 0]);
    rig.advance(900, (from, to) => from !== 0 || to !== 3);
    expect(rig.executed()).toEqual([1, 1, 1, 1]);
    expect(rig.views()).toEqual([0, 0, 0, 0]);
  });

  it("rule 16: the same proposal again brings no second PREPARE", () => {
    const { rig, proposal } = proposed();
    const effects = rig.receive(1, proposal);
    expect(rejected(effects)).toEqual(["duplicate"]);
    expect(votes(effects)).toEqual([]);
  });

  it("rule 16: the primary sends its proposal and no PREPARE", () => {
    const rig = new Rig();
    expect(votes(rig.ask(0, rig.request(1, 1)))).toEqual(["send pre-prepare"]);
    rig.settle();
    expect(sent(rig.effects[0] ?? [], "prepare")).toEqual([]);
    expect(rig.executed()[0]).toBe(1);
  });

  it("rule 16, A13: PREPAREs of the primary do not count", () => {
    const { rig, digest } = proposed();
    const effects = rig.receive(1, prepare(rig, 0, 0, 1, digest));
    expect(rejected(effects)).toEqual(["primary-prepare"]);
    expect(votes(effects)).toEqual([]);
    expect(votes(rig.receive(1, prepare(rig, 2, 0, 1, digest)))).toEqual(["send commit"]);
  });

  it("rule 16, A13: whose PREPARE is ignored depends on the message's view, not on the present one", () => {
    const rig = new Rig();
    expect(rejected(rig.receive(2, prepare(rig, 1, 1, 1, wrong)))).toEqual(["primary-prepare"]);
    expect(rejected(rig.receive(2, prepare(rig, 0, 1, 1, wrong)))).toEqual([]);
  });

  it.each([4, 5, 6, 7, 10])("rule 17: among %i replicas the COMMIT leaves with the PREPARE that makes q with the proposal", (n) => {
    const { rig, digest } = proposed(n);
    const completing: number[] = [];
    for (let voter = 2; voter < n; voter++) {
      if (votes(rig.receive(1, prepare(rig, voter, 0, 1, digest))).length > 0) completing.push(voter);
    }
    // The proposal, the own PREPARE, and those of replicas 2..k are k+1 votes.
    expect(completing).toEqual([rig.cluster.quorums.order - 1]);
  });

  it("rule 17: one backup's PREPARE counts once, however often it comes (A06)", () => {
    const { rig, digest } = proposed(7);
    for (let again = 0; again < 10; again++) rig.receive(1, prepare(rig, 2, 0, 1, digest));
    expect(sent(rig.effects[1] ?? [], "commit")).toEqual([]);
    rig.receive(1, prepare(rig, 3, 0, 1, digest));
    expect(sent(rig.effects[1] ?? [], "commit")).toEqual([]);
    expect(votes(rig.receive(1, prepare(rig, 4, 0, 1, digest)))).toEqual(["send commit"]);
  });

  it.each([
    ["digest", (rig: Rig) => prepare(rig, 2, 0, 1, wrong)],
    ["slot", (rig: Rig, digest: string) => prepare(rig, 2, 0, 2, digest)],
    ["view", (rig: Rig, digest: string) => prepare(rig, 2, 4, 1, digest)],
  ])("rule 17, A07: a PREPARE with another %s does not count, and the right ones still complete the slot", (_what, make) => {
    for (const first of [true, false]) {
      const { rig, digest } = proposed();
      if (first) rig.receive(1, make(rig, digest));
      else expect(sent(rig.effects[1] ?? [], "commit")).toEqual([]);
      expect(sent(rig.effects[1] ?? [], "commit")).toEqual([]);
      expect(votes(rig.receive(1, prepare(rig, 3, 0, 1, digest)))).toEqual(["send commit"]);
      if (!first) rig.receive(1, make(rig, digest));
      expect(sent(rig.effects[1] ?? [], "commit")).toHaveLength(1);
    }
  });

  it("rule 17, A07: PREPAREs that came before the proposal count, those for another digest do not", () => {
    const rig = new Rig();
    const proposal = rig.proposal(0, 0, 1, [rig.request(1, 1)]);
    rig.receive(1, prepare(rig, 2, 0, 1, wrong));
    expect(votes(rig.receive(1, proposal))).toEqual(["send prepare"]);
    expect(votes(rig.receive(1, prepare(rig, 3, 0, 1, digestIn(proposal))))).toEqual(["send commit"]);
    const other = new Rig();
    other.receive(1, prepare(other, 2, 0, 1, digestIn(proposal)));
    expect(votes(other.receive(1, proposal))).toEqual(["send prepare", "send commit"]);
  });

  it("rule 17, A02: whoever PREPAREs two digests is convicted, and only the first counts", () => {
    const { rig, digest } = proposed();
    rig.receive(1, prepare(rig, 2, 0, 1, wrong));
    const effects = rig.receive(1, prepare(rig, 2, 0, 1, digest));
    expect(rejected(effects)).toEqual(["equivocation"]);
    expect(evidence(effects)).toEqual([{ culprit: 2, kind: "prepare" }]);
    expect(votes(effects)).toEqual([]);
  });
});

/** Every way to tell each of the three backups one of two batches, or nothing. */
const lies = ["a", "b", "-"].flatMap((x) => ["a", "b", "-"].flatMap((y) => ["a", "b", "-"].map((z) => [x, y, z].join(""))));

describe("an equivocating primary", () => {
  it.each(lies)("rule 17, A18, A02, A03: telling the backups %s forks nothing, and both requests execute in the end", (told) => {
    const rig = new Rig();
    rig.partition([0], [1, 2, 3]);
    const requests = [rig.request(1, 1), rig.request(2, 1)] as const;
    const a = rig.proposal(0, 0, 1, [requests[0]]);
    const b = rig.proposal(0, 0, 1, [requests[1]]);
    for (const id of [1, 2, 3]) {
      for (const request of requests) rig.ask(id, request);
      const [first, second] = told[id - 1] === "b" ? [b, a] : [a, b];
      if (told[id - 1] !== "-") rig.receive(id, first);
      for (const { message } of [first, second]) rig.receive(id, commit(rig, 0, 0, 1, message.digest));
    }
    rig.settle();
    const before = [1, 2, 3].flatMap((id) => rig.decisions(id).map(({ digest }) => digest));
    const preparedDigests = [1, 2, 3].flatMap((id) => sent(rig.effects[id] ?? [], "commit").map(({ message }) => message.digest));
    expect(new Set([...before, ...preparedDigests]).size).toBeLessThanOrEqual(1);
    rig.advance(6_000);
    const histories = [1, 2, 3].map((id) => rig.decisions(id));
    expect(new Set(histories.map((history) => JSON.stringify(history))).size).toBe(1);
    expect(new Set([1, 2, 3].map((id) => String(rig.services[id]?.snapshot()))).size).toBe(1);
    expect(rig.services[1]?.snapshot()).toHaveLength(2 * 4);
    for (const digest of before) expect(histories[0]?.[0]?.digest).toBe(digest);
  });
});
