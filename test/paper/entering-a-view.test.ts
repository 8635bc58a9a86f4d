/** docs/protocol.md A.5, third part: what follows from a NEW-VIEW. Replica 1 is the primary of view 1, replica 3 the backup under test. */
import { describe, expect, it } from "vitest";
import type { Digest } from "../../src/core/ids.ts";
import type { Verified } from "../../src/core/message.ts";
import {
  bodyOf,
  certificate,
  checkpointProof,
  commit,
  digestIn,
  enterView,
  leave,
  type NewView,
  newView,
  prepare,
  prepared,
  someDigest,
  type ViewChange,
  viewChange,
} from "../support/forge.ts";
import { outline, Rig, sent, votes } from "../support/rig.ts";

const a = someDigest("a");
const b = someDigest("b");
const state = someDigest("state");

/** Hands a NEW-VIEW and all view changes that it may name to one replica. */
function deliver(rig: Rig, id: number, message: Verified<NewView>, changes: readonly Verified<ViewChange>[]): void {
  rig.receive(id, message);
  for (const change of changes) rig.receive(id, change);
}

describe("after entering", () => {
  it("rule 36: the proof of min-s is taken over before the NEW-VIEW is written", () => {
    const rig = new Rig();
    const changes = [
      viewChange(rig, 0, 1, { stable: 4, checkpoints: checkpointProof(rig, 4, state) }),
      viewChange(rig, 1, 1),
      viewChange(rig, 2, 1),
    ];
    deliver(rig, 3, newView(rig, 1, changes), changes);
    const lines = outline(rig.effects[3] ?? []).filter((line) => line.startsWith("persist"));
    expect(lines.indexOf("persist stable")).toBeLessThan(lines.indexOf("persist new-view"));
    expect(rig.state(3)).toMatchObject({ view: 1, active: true, stable: 4, executed: 0 });
  });

  it("rule 36: slots whose body is here are PREPAREd at once, the others when it comes, in any view", () => {
    const rig = new Rig();
    const known = rig.proposal(0, 0, 1, [rig.request(1, 1)]);
    const unknown = rig.proposal(0, 0, 2, [rig.request(1, 2)]);
    rig.receive(3, known);
    const changes = [
      viewChange(rig, 0, 1, { prepared: [prepared(rig, 0, 1, digestIn(known)), prepared(rig, 0, 2, digestIn(unknown))] }),
      viewChange(rig, 1, 1),
      viewChange(rig, 2, 1),
    ];
    const message = newView(rig, 1, changes, [
      [1, digestIn(known)],
      [2, digestIn(unknown)],
    ]);
    deliver(rig, 3, message, changes);
    const inView1 = (): number[] =>
      sent(rig.effects[3] ?? [], "prepare").flatMap(({ message: vote }) => (vote.view === 1 ? [vote.slot] : []));
    expect(inView1()).toEqual([1]);
    rig.receive(3, bodyOf(rig, 2, unknown));
    expect(inView1()).toEqual([1, 2]);
  });

  it("rule 36: what was executed is agreed on again and not executed again", () => {
    const rig = new Rig();
    for (const number of [1, 2]) rig.order(1, number);
    rig.partition([0], [1, 2, 3]);
    for (const id of [1, 2, 3]) rig.ask(id, rig.request(1, 3));
    rig.advance(3_000);
    expect(rig.views()).toEqual([0, 1, 1, 1]);
    for (const id of [1, 2, 3]) {
      expect(rig.decisions(id).map(({ slot }) => slot)).toEqual([1, 2, 3]);
      const again = sent(rig.effects[id] ?? [], "commit").flatMap(({ message }) => (message.view === 1 ? [message.slot] : []));
      expect(again).toEqual([1, 2, 3]);
      expect(rig.services[id]?.snapshot()).toHaveLength(12);
    }
  });

  it("rule 36: slots of O at or below the own checkpoint are skipped", () => {
    const rig = new Rig();
    rig.receive(3, certificate(rig, 2, checkpointProof(rig, 4, state)));
    const changes = [
      viewChange(rig, 0, 1, { prepared: [prepared(rig, 0, 2, a), prepared(rig, 0, 5, b)] }),
      viewChange(rig, 1, 1),
      viewChange(rig, 2, 1),
    ];
    const choices = [1, 2, 3, 4, 5].map((slot): [number, Digest] => [slot, slot === 2 ? a : slot === 5 ? b : rig.nullDigest]);
    deliver(rig, 3, newView(rig, 1, changes, choices), changes);
    expect(rig.state(3)).toMatchObject({ view: 1, active: true, stable: 4 });
    expect(sent(rig.effects[3] ?? [], "prepare")).toEqual([]);
    expect(rig.state(3)["slots"]).toMatchObject([{ slot: 5, proposed: b }]);
  });

  it("rule 36: an O that contradicts a slot executed here stops the replica: more than f lie", () => {
    const rig = new Rig();
    rig.order(1, 1);
    const changes = [viewChange(rig, 0, 1, { prepared: [prepared(rig, 0, 1, a)] }), viewChange(rig, 1, 1), viewChange(rig, 2, 1)];
    deliver(rig, 3, newView(rig, 1, changes, [[1, a]]), changes);
    expect(rig.state(3).halted).toBe(true);
    expect(rig.effects[3]).toContainEqual({ type: "observe", event: { event: "halt", reason: expect.stringContaining("slot 1") } });
    expect(sent(rig.effects[3] ?? [], "prepare").filter(({ message }) => message.view === 1)).toEqual([]);
  });

  it("rule 37: a null request goes through all phases, executes as nothing, is answered to nobody and counts for the checkpoint", () => {
    const rig = new Rig();
    rig.partition([0], [1, 2, 3]);
    const proposal = rig.proposal(0, 0, 4, [rig.request(1, 1)]);
    for (const id of [1, 2, 3]) {
      rig.receive(id, proposal);
      rig.ask(id, rig.request(1, 1));
    }
    rig.settle();
    rig.advance(3_000);
    expect(rig.executed()).toEqual([0, 4, 4, 4]);
    for (const id of [1, 2, 3]) {
      expect(rig.decisions(id)).toEqual([
        { slot: 1, digest: rig.nullDigest, requests: 0 },
        { slot: 2, digest: rig.nullDigest, requests: 0 },
        { slot: 3, digest: rig.nullDigest, requests: 0 },
        { slot: 4, digest: digestIn(proposal), requests: 1 },
      ]);
      expect(outline(rig.effects[id] ?? []).filter((line) => line === "reply")).toHaveLength(1);
      expect(rig.state(id).stable).toBe(4);
    }
  });

  it("rule 37: nulls leave the agreed clock alone", () => {
    const rig = new Rig();
    const changes = [
      viewChange(rig, 0, 1),
      viewChange(rig, 1, 1, { prepared: [prepared(rig, 0, 1, rig.nullDigest)] }),
      viewChange(rig, 2, 1),
    ];
    deliver(rig, 3, newView(rig, 1, changes, [[1, rig.nullDigest]]), changes);
    for (const id of [0, 1, 2]) rig.receive(3, commit(rig, id, 1, 1, rig.nullDigest));
    expect(rig.state(3)).toMatchObject({ executed: 1, clock: 0 });
  });

  it("rule 38: a batch from O is not measured by the clock again, whether its body is here or fetched", () => {
    for (const fetched of [false, true]) {
      const rig = new Rig();
      const old = rig.proposal(0, 0, 1, [rig.request(1, 1)]);
      if (!fetched) rig.receive(3, old);
      rig.now += 86_400_000;
      const changes = [
        viewChange(rig, 0, 1, { prepared: [prepared(rig, 0, 1, digestIn(old))] }),
        viewChange(rig, 1, 1),
        viewChange(rig, 2, 1),
      ];
      deliver(rig, 3, newView(rig, 1, changes, [[1, digestIn(old)]]), changes);
      if (fetched) rig.receive(3, bodyOf(rig, 2, old));
      const again = sent(rig.effects[3] ?? [], "prepare").filter(({ message }) => message.view === 1);
      expect(again.map(({ message }) => message.digest)).toEqual([digestIn(old)]);
    }
  });

  it("rule 39: on entering a view backups hand all that is pending to its primary, which orders it after O", () => {
    const rig = new Rig();
    rig.ask(3, rig.request(1, 1));
    rig.ask(3, rig.request(2, 1));
    const before = rig.effects[3]?.length ?? 0;
    enterView(rig, 3, 1);
    const relayed = (rig.effects[3] ?? [])
      .slice(before)
      .filter((effect) => effect.type === "send" && effect.message.message.kind === "request");
    expect(relayed).toHaveLength(2);
    expect(relayed.every((effect) => effect.type === "send" && effect.to.join() === "1")).toBe(true);
  });

  it("rule 39: a request that only fell out with the old view is executed in the new one", () => {
    const rig = new Rig();
    rig.partition([0], [1, 2, 3]);
    rig.receive(3, rig.proposal(0, 0, 1, [rig.request(1, 1)]));
    for (const id of [2, 3]) rig.ask(id, rig.request(2, 1));
    rig.advance(5_000);
    expect(rig.views()).toEqual([0, 1, 1, 1]);
    for (const id of [1, 2, 3]) {
      expect(rig.services[id]?.snapshot()).toHaveLength(8);
      expect(rig.decisions(id)).toEqual(rig.decisions(1));
    }
  });

  it("rule 36: votes of the view that was left count no more in the new one", () => {
    const rig = new Rig();
    const proposal = rig.proposal(0, 0, 1, [rig.request(1, 1)]);
    rig.receive(3, proposal);
    leave(rig, 3, 1, [0, 1]);
    const changes = [
      viewChange(rig, 0, 1, { prepared: [prepared(rig, 0, 1, digestIn(proposal))] }),
      viewChange(rig, 1, 1),
      viewChange(rig, 2, 1),
    ];
    deliver(rig, 3, newView(rig, 1, changes, [[1, digestIn(proposal)]]), changes);
    rig.receive(3, prepare(rig, 2, 0, 1, digestIn(proposal)));
    expect(sent(rig.effects[3] ?? [], "commit")).toEqual([]);
    rig.receive(3, prepare(rig, 2, 1, 1, digestIn(proposal)));
    expect(sent(rig.effects[3] ?? [], "commit").map(({ message }) => message.view)).toEqual([1]);
    expect(votes(rig.effects[3] ?? [])).toEqual(["send prepare", "send prepare", "send commit"]);
  });
});
