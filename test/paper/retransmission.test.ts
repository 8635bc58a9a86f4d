/** docs/protocol.md A.7: every message may be lost. Replica 1 answers STATUS, unless said otherwise. */
import { describe, expect, it } from "vitest";
import { createRandom } from "../../src/core/random.ts";
import { checkpointProof, digestIn, fetch, leave, newView, prepare, prepared, someDigest, status, viewChange } from "../support/forge.ts";
import { outline, type PbftEffect, Rig, rejected, sent } from "../support/rig.ts";

const interval = 150;
const state = someDigest("state");

/** Everything that left, as "kind>to". */
function letters(effects: readonly PbftEffect[]): string[] {
  return effects.flatMap((effect) => (effect.type === "send" ? [`${effect.message.message.kind}>${effect.to.join(",")}`] : []));
}

/** Four replicas of which replica 3 saw nothing while `count` slots were executed. */
function withLaggard(count: number): Rig {
  const rig = new Rig();
  for (let number = 1; number <= count; number++) {
    rig.ask(0, rig.request(1, number));
    rig.settle((from, to) => from !== 3 && to !== 3);
  }
  rig.wire = [];
  return rig;
}

describe("under loss", () => {
  it.each([1, 2, 3, 4, 5, 6])(
    "rule 50: with three of ten messages lost, every request executes everywhere in the end (seed %i)",
    (seed) => {
      const rig = new Rig();
      const random = createRandom(seed);
      const lossy = (): boolean => random.float() >= 0.3;
      for (let number = 1; number <= 12; number++) {
        for (const id of [0, 1, 2, 3]) rig.ask(id, rig.request(1, number));
        rig.settle(lossy);
        rig.advance(200, lossy);
      }
      rig.advance(20_000, lossy);
      rig.advance(5_000);
      expect(rig.services.map((service) => service.snapshot().filter((byte) => byte === 255).length)).toEqual([12, 12, 12, 12]);
      expect(new Set(rig.services.map((service) => String(service.snapshot()))).size).toBe(1);
    },
  );

  it.each(["pre-prepare", "prepare", "commit"])(
    "rule 50: with the first %s of everybody lost, the slot completes without a view change",
    (kind) => {
      const rig = new Rig();
      for (const id of [0, 1, 2, 3]) rig.ask(id, rig.request(1, 1));
      rig.settle((_from, _to, message) => message.kind !== kind);
      rig.advance(900);
      expect(rig.executed()).toEqual([1, 1, 1, 1]);
      expect(rig.views()).toEqual([0, 0, 0, 0]);
    },
  );

  it.each(["view-change", "new-view", "fetch"])("rule 50: with the first %s of everybody lost, the view change completes", (kind) => {
    const rig = new Rig();
    rig.partition([0], [1, 2, 3]);
    const proposal = rig.proposal(0, 0, 1, [rig.request(1, 1)]);
    for (const id of [1, 2]) rig.receive(id, proposal);
    for (const id of [1, 2, 3]) rig.ask(id, rig.request(1, 1));
    rig.settle((_from, _to, message) => message.kind !== "commit");
    rig.advance(1_100, (_from, _to, message) => message.kind !== kind);
    rig.advance(8_000);
    expect(rig.executed()).toEqual([0, 1, 1, 1]);
  });

  it("rule 50: with all CHECKPOINTs lost, the watermark moves once they get through", () => {
    const rig = new Rig();
    for (let number = 1; number <= 4; number++) {
      rig.ask(0, rig.request(1, number));
      rig.settle((_from, _to, message) => message.kind !== "checkpoint");
    }
    rig.advance(3_000);
    expect(rig.cores.map((core) => core.inspect().stable)).toEqual([4, 4, 4, 4]);
  });
});

describe("STATUS", () => {
  it("rule 51: goes to everybody every `statusIntervalMs` while something is missing, and every `idleStatusIntervalMs` when nothing is", () => {
    const rig = new Rig();
    rig.advance(10_000, () => false);
    const idle = sent(rig.effects[1] ?? [], "status").length;
    expect(idle).toBeGreaterThanOrEqual(9);
    expect(idle).toBeLessThanOrEqual(11);
    rig.receive(1, rig.proposal(0, 0, 1, [rig.request(1, 1)]));
    rig.advance(interval, () => false);
    expect(sent(rig.effects[1] ?? [], "status").length).toBe(idle + 1);
    expect(letters(rig.effects[1] ?? []).at(-1)).toBe("status>0,2,3");
  });

  it("rule 51: goes to a peer whose link came back, at once", () => {
    const rig = new Rig();
    expect(letters(rig.step(1, { type: "link-up", now: 5, peer: rig.cluster.replicas[2] ?? (2 as never) }))).toEqual(["status>2"]);
  });

  it("rule 51: tells view, watermark, what was executed, and which slots are prepared or committed here", () => {
    const rig = new Rig();
    for (let number = 1; number <= 5; number++) rig.order(1, number);
    const open = rig.proposal(0, 0, 7, [rig.request(1, 7)]);
    rig.receive(1, open);
    rig.receive(1, prepare(rig, 2, 0, 7, digestIn(open)));
    const [told] = sent(rig.timeout(1, "status"), "status");
    expect(told?.message).toMatchObject({ view: 0, active: true, stable: 4, executed: 5 });
    expect([...(told?.message.prepared ?? [])]).toEqual([0b10]);
    expect([...(told?.message.committed ?? [])]).toEqual([0]);
  });

  it("rule 52 (a): one whose watermark is lower gets the proof of the stable checkpoint", () => {
    const rig = new Rig();
    for (let number = 1; number <= 4; number++) rig.order(1, number);
    const [proof] = sent(rig.receive(1, status(rig, 3)), "certificate");
    expect(proof?.message.votes.map(({ message }) => `${message.kind} ${message.slot}`)).toEqual(Array(3).fill("checkpoint 4"));
    rig.now += interval;
    expect(sent(rig.receive(1, status(rig, 3, { stable: 4, executed: 4 })), "certificate")).toEqual([]);
  });

  it("rule 52 (a): a FETCH for something below the stable checkpoint is answered with its proof", () => {
    const rig = new Rig();
    for (let number = 1; number <= 4; number++) rig.order(1, number);
    const [first] = rig.decisions(1);
    expect(letters(rig.receive(1, fetch(rig, 3, "batch", first?.digest ?? "", 1)))).toEqual(["certificate>3"]);
  });

  it("rule 52 (b): own CHECKPOINTs above the peer's watermark are sent again", () => {
    const rig = new Rig();
    for (let number = 1; number <= 4; number++) {
      rig.ask(0, rig.request(1, number));
      rig.settle((_from, _to, message) => message.kind !== "checkpoint");
    }
    const [before] = sent(rig.effects[1] ?? [], "checkpoint");
    const again = sent(rig.receive(1, status(rig, 3, { executed: 4 })), "checkpoint");
    expect(again.map(({ payload }) => payload)).toEqual([before?.payload]);
  });

  it("rule 52 (c): one in an older view gets the view change of one that is leaving", () => {
    const rig = new Rig();
    leave(rig, 1, 2, [2, 3]);
    const [before] = sent(rig.effects[1] ?? [], "view-change");
    expect(sent(rig.receive(1, status(rig, 3)), "view-change").map(({ payload }) => payload)).toEqual([before?.payload]);
  });

  it("rule 52 (c), rule 56: one in an older view gets the NEW-VIEW from anybody who entered, and the view changes on asking", () => {
    const rig = new Rig();
    const changes = [0, 1, 2].map((id) => viewChange(rig, id, 1));
    const message = newView(rig, 1, changes);
    rig.receive(2, message);
    for (const change of changes) rig.receive(2, change);
    expect(rig.state(2)).toMatchObject({ view: 1, active: true });
    const answer = rig.receive(2, status(rig, 3));
    expect(sent(answer, "new-view").map(({ payload }) => payload)).toEqual([message.payload]);
    for (const { digest } of message.message.viewChanges) {
      const [relayed] = sent(rig.receive(2, fetch(rig, 3, "view-change", digest)), "view-change");
      expect(rig.digest("view-change", relayed?.payload ?? new Uint8Array(0))).toBe(digest);
    }
  });

  it("rule 52 (d): in the same view, own votes for what the peer has not prepared or committed are sent again", () => {
    const rig = new Rig();
    const proposal = rig.proposal(0, 0, 1, [rig.request(1, 1)]);
    rig.receive(1, proposal);
    rig.receive(1, prepare(rig, 2, 0, 1, digestIn(proposal)));
    expect(letters(rig.receive(1, status(rig, 3)))).toEqual(["commit>3", "prepare>3"]);
    rig.now += interval;
    expect(letters(rig.receive(1, status(rig, 3, { prepared: [0] })))).toEqual(["commit>3"]);
    rig.now += interval;
    expect(letters(rig.receive(1, status(rig, 3, { prepared: [0], committed: [0] })))).toEqual([]);
  });

  it("rule 52 (d): the primary sends its proposal again, body and all", () => {
    const rig = new Rig();
    const [before] = sent(rig.ask(0, rig.request(1, 1)), "pre-prepare");
    const [again] = sent(rig.receive(0, status(rig, 3)), "pre-prepare");
    expect([again?.payload, again?.signature, again?.body]).toEqual([before?.payload, before?.signature, before?.body]);
  });

  it("rule 52 (e): in the same view and both leaving, the peer gets the view change that it lacks, and no other", () => {
    const rig = new Rig();
    leave(rig, 1, 2, [2, 3]);
    expect(letters(rig.receive(1, status(rig, 3, { view: 2, active: false })))).toEqual(["view-change>3"]);
    rig.now += interval;
    expect(letters(rig.receive(1, status(rig, 3, { view: 2, active: false, viewChanges: [0, 2, 0, 2] })))).toEqual([]);
  });

  it("rule 52 (f): one in a later view, too, gets the commit certificates of what it has not executed", () => {
    const rig = new Rig();
    for (let number = 1; number <= 2; number++) rig.order(1, number);
    const proofs = sent(rig.receive(1, status(rig, 3, { view: 9, active: false })), "certificate");
    expect(proofs.map(({ message }) => message.votes.map((vote) => `${vote.message.kind} ${vote.message.slot}`))).toEqual([
      Array(3).fill("commit 1"),
      Array(3).fill("commit 2"),
    ]);
    const [first] = rig.decisions(1);
    expect(letters(rig.receive(1, fetch(rig, 3, "batch", first?.digest ?? "", 1)))).toEqual(["batch-body>3"]);
  });

  it("rule 53, rule 98: a laggard catches up with the help of one correct peer alone", () => {
    const rig = withLaggard(3);
    for (const id of [0, 2])
      for (const [from, to] of [
        [id, 3],
        [3, id],
      ])
        rig.cut.add(`${from}>${to}`);
    rig.advance(3_000);
    expect(rig.executed()).toEqual([3, 3, 3, 3]);
    expect(rig.decisions(3)).toEqual(rig.decisions(1));
  });

  it("rule 54: votes that are sent again are the same bytes", () => {
    const rig = new Rig();
    const proposal = rig.proposal(0, 0, 1, [rig.request(1, 1)]);
    rig.receive(1, proposal);
    rig.receive(1, prepare(rig, 2, 0, 1, digestIn(proposal)));
    for (let round = 0; round < 3; round++) {
      rig.now += interval;
      rig.receive(1, status(rig, 3));
    }
    for (const kind of ["prepare", "commit"] as const) {
      const said = sent(rig.effects[1] ?? [], kind).map(({ payload, signature }) => String([payload, signature]));
      expect(said).toHaveLength(4);
      expect(new Set(said).size).toBe(1);
    }
  });

  it("rule 55, A61: a peer that asks again at once gets nothing, others are served", () => {
    const rig = new Rig();
    rig.order(1, 1);
    expect(sent(rig.receive(1, status(rig, 3)), "certificate")).toHaveLength(1);
    for (let again = 0; again < 100; again++) expect(rejected(rig.receive(1, status(rig, 3)))).toEqual(["rate-limited"]);
    expect(sent(rig.receive(1, status(rig, 2)), "certificate")).toHaveLength(1);
    rig.now += interval;
    expect(sent(rig.receive(1, status(rig, 3)), "certificate")).toHaveLength(1);
  });

  it("rule 55: answers go to who asked and to nobody else", () => {
    const rig = new Rig();
    for (let number = 1; number <= 5; number++) rig.order(1, number);
    const answer = letters(rig.receive(1, status(rig, 3)));
    expect(answer.length).toBeGreaterThan(1);
    expect(answer.every((line) => line.endsWith(">3"))).toBe(true);
  });

  it("rule 55, A61: there is a bound on bytes that a peer may fetch, and it fills up again with time", () => {
    const rig = new Rig({ limits: { frameBytes: 4_096 } });
    rig.ask(0, rig.request(1, 1, "x".repeat(1_000)));
    rig.settle();
    const [decision] = rig.decisions(1);
    const draw = (id: number): number => sent(rig.receive(1, fetch(rig, id, "batch", decision?.digest ?? "", 1)), "batch-body").length;
    let drawn = 0;
    for (let again = 0; again < 50; again++) drawn += draw(3);
    expect(drawn).toBeGreaterThan(2);
    expect(drawn).toBeLessThanOrEqual(8);
    expect(rejected(rig.effects[1] ?? [])).toContain("rate-limited");
    expect(draw(2)).toBe(1);
    rig.now += 1_000;
    expect(draw(3)).toBe(1);
  });

  it.each([
    { view: Number.MAX_SAFE_INTEGER, executed: Number.MAX_SAFE_INTEGER, stable: Number.MAX_SAFE_INTEGER },
    { view: 0, executed: Number.MAX_SAFE_INTEGER, stable: 0 },
    { view: 0, executed: Number.MAX_SAFE_INTEGER - 40, stable: Number.MAX_SAFE_INTEGER },
  ])("rule 55, A51: a STATUS with the largest numbers there are is answered in bounded time and moves nothing: $executed", (parts) => {
    const rig = new Rig();
    rig.order(1, 1);
    const effects = rig.receive(1, status(rig, 3, parts));
    expect(letters(effects).filter((line) => line !== "status>3")).toEqual([]);
    expect(rig.state(1)).toMatchObject({ view: 0, executed: 1, stable: 0 });
  });

  it("rule 56: a wish to change views reaches those who did not hear it", () => {
    const rig = new Rig();
    rig.partition([0], [1, 2, 3]);
    for (const id of [1, 2, 3]) rig.ask(id, rig.request(1, 1));
    rig.advance(1_001, (_from, _to, message) => message.kind !== "view-change");
    expect(rig.views()).toEqual([0, 1, 1, 1]);
    expect(rig.cores.slice(1).map((core) => core.inspect().active)).toEqual([false, false, false]);
    rig.advance(2_500);
    expect(rig.executed()).toEqual([0, 1, 1, 1]);
    expect(rig.views()).toEqual([0, 1, 1, 1]);
  });

  it("rule 56: a replica that slept through a view change is brought into the view", () => {
    const rig = new Rig();
    rig.partition([0], [1, 2, 3]);
    for (const id of [1, 2, 3]) rig.ask(id, rig.request(1, 1));
    rig.advance(3_000);
    expect(rig.views()).toEqual([0, 1, 1, 1]);
    rig.heal();
    rig.advance(3_000);
    expect(rig.views()).toEqual([1, 1, 1, 1]);
    expect(rig.executed()).toEqual([1, 1, 1, 1]);
  });

  it("rule 52: a STATUS moves nobody: not its view, not its watermark, not what it says it executed", () => {
    const rig = new Rig();
    for (const id of [0, 2, 3]) rig.receive(1, status(rig, id, { view: 5, stable: 400, executed: 400 }));
    expect(rig.state(1)).toMatchObject({ view: 0, active: true, stable: 0, executed: 0 });
  });

  it("rule 52: the proof of a checkpoint and certificates from a lower watermark are of no use and do no harm", () => {
    const rig = new Rig();
    rig.receive(
      1,
      viewChange(rig, 2, 1, { stable: 4, checkpoints: checkpointProof(rig, 4, state), prepared: [prepared(rig, 0, 5, state)] }),
    );
    expect(rig.state(1)).toMatchObject({ view: 0, stable: 0 });
    expect(outline(rig.effects[1] ?? [])).toEqual([]);
  });
});
