/** docs/protocol.md A.9 as far as a core goes: what is written before what leaves, and what a restarted replica says. */
import { describe, expect, it } from "vitest";
import {
  bare,
  bodyOf,
  commit,
  digestIn,
  enterView,
  leave,
  newView,
  prepare,
  prepared,
  someDigest,
  status,
  viewChange,
} from "../support/forge.ts";
import { outline, type PbftEffect, Rig, rejected, sent, votes } from "../support/rig.ts";

/** The part of an outline that tells about writing and sending. */
const order = (effects: readonly PbftEffect[]): string[] =>
  outline(effects).filter(
    (line) => line.startsWith("persist") || /^send (pre-prepare|prepare|commit|view-change|new-view|checkpoint)$/.test(line),
  );

describe("what is durable before what leaves", () => {
  it("rule 65: the batch, body and all, before the PRE-PREPARE", () => {
    const rig = new Rig();
    const effects = rig.ask(0, rig.request(1, 1));
    expect(order(effects)).toEqual(["persist accepted", "send pre-prepare"]);
    const [record] = rig.records[0] ?? [];
    const [proposal] = sent(effects, "pre-prepare");
    expect(record).toMatchObject({ type: "accepted", message: { payload: proposal?.payload, body: proposal?.body } });
  });

  it("rule 66: the accepted batch, body and all, before the PREPARE", () => {
    const rig = new Rig();
    const proposal = rig.proposal(0, 0, 1, [rig.request(1, 1)]);
    expect(order(rig.receive(1, proposal))).toEqual(["persist accepted", "send prepare"]);
    expect(rig.records[1]).toMatchObject([{ type: "accepted", message: { body: proposal.body } }]);
  });

  it("rule 66: a body that came later is durable before the PREPARE that vouches for it", () => {
    const rig = new Rig();
    const proposal = rig.proposal(0, 0, 1, [rig.request(1, 1)]);
    rig.receive(1, bare(rig, 0, 1, digestIn(proposal)));
    expect(order(rig.receive(1, bodyOf(rig, 2, proposal)))).toEqual(["persist accepted", "send prepare"]);
    expect(rig.records[1]?.at(-1)).toMatchObject({ type: "accepted", message: { body: proposal.body } });
  });

  it("rule 67: the whole certificate, the others' signatures included, before the COMMIT", () => {
    const rig = new Rig();
    const proposal = rig.proposal(0, 0, 1, [rig.request(1, 1)]);
    rig.receive(1, proposal);
    expect(order(rig.receive(1, prepare(rig, 2, 0, 1, digestIn(proposal))))).toEqual(["persist prepared", "send commit"]);
    const record = rig.records[1]?.at(-1);
    if (record?.type !== "prepared") throw new Error("no certificate was written");
    expect(record.certificate.prePrepare.signature).toEqual(proposal.signature);
    expect(record.certificate.prepares.map(({ message }) => message.sender)).toEqual([1, 2]);
  });

  it("rule 68: the very VIEW-CHANGE that leaves, before it leaves", () => {
    const rig = new Rig();
    leave(rig, 3, 1, [1, 2]);
    expect(order(rig.effects[3] ?? [])).toEqual(["persist view-change", "send view-change"]);
    const [change] = sent(rig.effects[3] ?? [], "view-change");
    expect(rig.records[3]).toMatchObject([{ type: "view-change", message: { payload: change?.payload } }]);
  });

  it("rule 69: the NEW-VIEW, and its proposals, before it leaves", () => {
    const rig = new Rig();
    rig.receive(1, viewChange(rig, 2, 1, { prepared: [prepared(rig, 0, 1, rig.nullDigest)] }));
    const before = rig.effects[1]?.length ?? 0;
    rig.receive(1, viewChange(rig, 3, 1));
    const lines = order((rig.effects[1] ?? []).slice(before));
    expect(lines.slice(-3)).toEqual(["persist new-view", "persist accepted", "send new-view"]);
  });

  it("rule 70: the accepted NEW-VIEW, and each proposal of it, before the PREPAREs", () => {
    const rig = new Rig();
    const changes = [
      viewChange(rig, 0, 1, { prepared: [prepared(rig, 0, 2, rig.nullDigest)] }),
      viewChange(rig, 1, 1),
      viewChange(rig, 2, 1),
    ];
    const message = newView(rig, 1, changes, [
      [1, rig.nullDigest],
      [2, rig.nullDigest],
    ]);
    rig.receive(3, message);
    for (const change of changes) rig.receive(3, change);
    const lines = order(rig.effects[3] ?? []);
    expect(lines.slice(lines.indexOf("persist new-view"))).toEqual([
      "persist new-view",
      "persist accepted",
      "send prepare",
      "persist accepted",
      "send prepare",
    ]);
  });

  it("rule 71: the snapshot before the CHECKPOINT", () => {
    const rig = new Rig();
    for (let number = 1; number <= 4; number++) rig.order(1, number);
    const lines = order(rig.effects[1] ?? []);
    expect(lines.indexOf("persist snapshot")).toBeGreaterThan(0);
    expect(lines[lines.indexOf("send checkpoint") - 1]).toBe("persist snapshot");
  });

  it("rule 72: the stability proof is written when the watermark moves", () => {
    const rig = new Rig();
    for (let number = 1; number <= 4; number++) rig.order(1, number);
    const record = rig.records[1]?.find(({ type }) => type === "stable");
    expect(record).toMatchObject({ type: "stable", proof: [{ message: { slot: 4 } }, { message: { slot: 4 } }, { message: { slot: 4 } }] });
  });
});

describe("a restarted replica", () => {
  it("rule 73: never votes for another digest in a slot in which it voted", () => {
    const rig = new Rig();
    rig.receive(1, rig.proposal(0, 0, 1, [rig.request(1, 1)]));
    rig.restart(1);
    const effects = rig.receive(1, rig.proposal(0, 0, 1, [rig.request(1, 2)]));
    expect(rejected(effects)).toEqual(["equivocation"]);
    expect(votes(effects)).toEqual([]);
  });

  it("rule 73: a primary never proposes another batch for a slot that it filled, and goes on behind it", () => {
    const rig = new Rig();
    const [first] = sent(rig.ask(0, rig.request(1, 1)), "pre-prepare");
    rig.wire = [];
    rig.restart(0);
    const [next] = sent(rig.ask(0, rig.request(2, 1)), "pre-prepare");
    expect(next?.message.slot).toBe(2);
    rig.settle();
    rig.advance(2_000);
    expect(rig.executed()).toEqual([2, 2, 2, 2]);
    expect(rig.decisions(1)[0]?.digest).toBe(first?.message.digest);
    expect(rig.views()).toEqual([0, 0, 0, 0]);
  });

  it("rule 73: a primary goes on at the first slot that its view has not filled, whatever an earlier view held", () => {
    const rig = new Rig();
    for (const slot of [1, 2, 3]) rig.receive(1, rig.proposal(0, 0, slot, [rig.request(1, slot)]));
    for (const id of [2, 3]) rig.receive(1, viewChange(rig, id, 1));
    rig.wire = [];
    expect(rig.state(1)).toMatchObject({ view: 1, active: true });
    rig.restart(1);
    expect(rig.state(1)).toMatchObject({ view: 1, active: true });
    rig.ask(1, rig.request(2, 1));
    // What view 0 had proposed at slots 1 to 3 went into one batch of view 1.
    expect(sent(rig.effects[1] ?? [], "pre-prepare").map(({ message }) => [message.view, message.slot])).toEqual([
      [1, 1],
      [1, 2],
    ]);
  });

  it("rule 73: does not come back into a view that it left, and votes there no more", () => {
    const rig = new Rig();
    leave(rig, 3, 1, [1, 2]);
    rig.restart(3);
    expect(rig.state(3)).toMatchObject({ view: 1, active: false });
    expect(votes(rig.receive(3, rig.proposal(0, 0, 1, [rig.request(1, 1)])))).toEqual([]);
  });

  it("rule 73: comes back into the view that it entered", () => {
    const rig = new Rig();
    enterView(rig, 3, 1);
    rig.restart(3);
    expect(rig.state(3)).toMatchObject({ view: 1, active: true });
    expect(votes(rig.receive(3, rig.proposal(1, 1, 1, [rig.request(1, 1)])))).toEqual(["send prepare"]);
  });

  it("rule 73: sends STATUS at once", () => {
    const rig = new Rig();
    expect(sent(rig.restart(2), "status")).toHaveLength(1);
  });

  it("rule 74, rule 54: says its recorded votes again, in the same bytes", () => {
    const rig = new Rig();
    const proposal = rig.proposal(0, 0, 1, [rig.request(1, 1)]);
    rig.receive(1, proposal);
    rig.receive(1, prepare(rig, 2, 0, 1, digestIn(proposal)));
    const before = [...sent(rig.effects[1] ?? [], "prepare"), ...sent(rig.effects[1] ?? [], "commit")];
    rig.restart(1);
    const answer = rig.receive(1, status(rig, 3));
    const again = [...sent(answer, "prepare"), ...sent(answer, "commit")];
    expect(again.map(({ payload, signature }) => [payload, signature])).toEqual(
      before.map(({ payload, signature }) => [payload, signature]),
    );
  });

  it("rule 74, rule 68: sends its recorded VIEW-CHANGE again, in the same bytes", () => {
    const rig = new Rig();
    leave(rig, 3, 1, [1, 2]);
    const [before] = sent(rig.effects[3] ?? [], "view-change");
    rig.restart(3);
    const [again] = sent(rig.receive(3, status(rig, 2, { view: 1, active: false })), "view-change");
    expect(again?.payload).toEqual(before?.payload);
  });

  it("rule 34, rule 69: a new primary that crashed right after writing its NEW-VIEW sends that one and no other", () => {
    const rig = new Rig();
    rig.receive(1, viewChange(rig, 2, 1));
    rig.receive(1, viewChange(rig, 3, 1));
    const [written] = sent(rig.effects[1] ?? [], "new-view");
    rig.restart(1);
    rig.receive(1, viewChange(rig, 0, 1, { prepared: [prepared(rig, 0, 1, someDigest("late"))] }));
    const [again] = sent(rig.receive(1, status(rig, 3)), "new-view");
    expect(again?.payload).toEqual(written?.payload);
    expect(sent(rig.effects[1] ?? [], "new-view").every(({ payload }) => String(payload) === String(written?.payload))).toBe(true);
  });

  it("rule 67: its certificates are in the next view change", () => {
    const rig = new Rig();
    const proposal = rig.proposal(0, 0, 1, [rig.request(1, 1)]);
    rig.receive(3, proposal);
    rig.receive(3, prepare(rig, 2, 0, 1, digestIn(proposal)));
    rig.restart(3);
    leave(rig, 3, 1, [1, 2]);
    const [change] = sent(rig.effects[3] ?? [], "view-change");
    expect(change?.message.prepared.map((certificate) => certificate.prePrepare.message.digest)).toEqual([digestIn(proposal)]);
  });

  it("rule 72: knows its stable checkpoint and state, and executes on from there", () => {
    const rig = new Rig();
    for (let number = 1; number <= 5; number++) rig.order(1, number);
    const before = rig.services[2]?.snapshot();
    rig.restart(2);
    expect(rig.state(2)).toMatchObject({ stable: 4, executed: 4 });
    rig.advance(2_000);
    expect(rig.executed()).toEqual([5, 5, 5, 5]);
    expect(rig.services[2]?.snapshot()).toEqual(before);
    expect(rig.decisions(2).map(({ slot }) => slot)).toEqual([1, 2, 3, 4, 5, 5]);
  });

  it("rule 74: says its CHECKPOINT again when that was not stable yet", () => {
    const rig = new Rig();
    for (let number = 1; number <= 4; number++) {
      rig.ask(0, rig.request(1, number));
      rig.settle((_from, _to, message) => message.kind !== "checkpoint");
    }
    const [before] = sent(rig.effects[1] ?? [], "checkpoint");
    rig.restart(1);
    expect(rig.state(1)).toMatchObject({ executed: 4, stable: 0 });
    const again = sent(rig.receive(1, status(rig, 2, { executed: 4 })), "checkpoint");
    expect(again.map(({ payload }) => payload)).toEqual([before?.payload]);
  });
});

describe("after a power cut", () => {
  /** Everybody restarts at once; nothing that was under way arrives. */
  function powerCut(rig: Rig): void {
    rig.wire = [];
    for (const id of rig.cluster.replicas) rig.restart(id);
  }

  it.each(["prepare", "commit"])("rule 74: a slot whose %ss were all lost is decided as it was proposed", (lost) => {
    const rig = new Rig();
    const [proposal] = sent(rig.ask(0, rig.request(1, 1)), "pre-prepare");
    rig.settle((_from, _to, message) => message.kind !== lost);
    powerCut(rig);
    rig.advance(3_000);
    expect(rig.executed()).toEqual([1, 1, 1, 1]);
    for (const id of [0, 1, 2, 3]) expect(rig.decisions(id)).toEqual([{ slot: 1, digest: proposal?.message.digest, requests: 1 }]);
    expect(rig.views()).toEqual([0, 0, 0, 0]);
  });

  it("rule 74: the cluster comes out of a full window whose checkpoints were all lost", () => {
    const rig = new Rig();
    for (let number = 1; number <= 8; number++) {
      rig.ask(0, rig.request(1, number));
      rig.settle((_from, _to, message) => message.kind !== "checkpoint");
    }
    expect(rig.executed()).toEqual([8, 8, 8, 8]);
    powerCut(rig);
    rig.advance(3_000);
    for (const id of [0, 1, 2, 3]) rig.ask(id, rig.request(1, 9));
    rig.advance(3_000);
    for (const service of rig.services) expect(service.snapshot().filter((byte) => byte === 255)).toHaveLength(9);
  });

  it("rule 73: in the middle of a view change, everybody goes on with it", () => {
    const rig = new Rig();
    for (const number of [1, 2]) rig.order(1, number);
    rig.partition([0], [1, 2, 3]);
    for (const id of [1, 2, 3]) rig.ask(id, rig.request(1, 3));
    rig.advance(1_050, (_from, _to, message) => message.kind !== "new-view");
    powerCut(rig);
    for (const id of [1, 2, 3]) rig.ask(id, rig.request(1, 3));
    rig.advance(5_000);
    for (const id of [1, 2, 3]) {
      expect(rig.services[id]?.snapshot().filter((byte) => byte === 255)).toHaveLength(3);
      expect(rig.state(id).view).toBeGreaterThanOrEqual(1);
    }
  });

  it("rule 74: at any moment, and again and again, nothing is decided twice differently", () => {
    for (let moment = 0; moment < 40; moment++) {
      const rig = new Rig();
      for (let number = 1; number <= 5; number++) {
        rig.ask(0, rig.request(1, number));
        let left = moment - 3;
        rig.settle(() => left-- > 0 || number !== 3);
        if (number === 3) {
          powerCut(rig);
          rig.advance(400);
        }
      }
      for (const id of [0, 1, 2, 3]) for (let number = 1; number <= 5; number++) rig.ask(id, rig.request(1, number));
      rig.advance(6_000);
      const fates = new Map<number, string>();
      for (const id of [0, 1, 2, 3]) {
        for (const { slot, digest } of rig.decisions(id)) {
          expect(fates.get(slot) ?? digest).toBe(digest);
          fates.set(slot, digest);
        }
        expect(rig.services[id]?.snapshot().filter((byte) => byte === 255)).toHaveLength(5);
      }
    }
  });

  it("rule 30: COMMITs of the view that was left still decide after the restart", () => {
    const rig = new Rig();
    const proposal = rig.proposal(0, 0, 1, [rig.request(1, 1)]);
    rig.receive(3, proposal);
    leave(rig, 3, 1, [1, 2]);
    rig.restart(3);
    for (const id of [0, 1, 2]) rig.receive(3, commit(rig, id, 0, 1, digestIn(proposal)));
    expect(rig.executed()[3]).toBe(1);
  });
});
