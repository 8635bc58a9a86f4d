/** docs/protocol.md A.15 as far as whole snapshots go: catching up by state. Replica 3 lags behind. */
import { describe, expect, it } from "vitest";
import type { Verified } from "../../src/core/message.ts";
import type { PbftMessage } from "../../src/protocols/pbft/index.ts";
import {
  certificate,
  checkpointProof,
  commit,
  digestIn,
  fetch,
  newView,
  prepare,
  snapshotOf,
  someDigest,
  viewChange,
} from "../support/forge.ts";
import { outline, Rig, rejected, sent, votes } from "../support/rig.ts";

const nowhere = someDigest("no state");

/** Replica 3 saw nothing while `count` slots were executed by the others. */
function lagging(count: number, n = 4): Rig {
  const rig = new Rig({ n });
  for (let number = 1; number <= count; number++) {
    rig.ask(0, rig.request(1, number));
    rig.settle((from, to) => from !== 3 && to !== 3);
  }
  rig.wire = [];
  return rig;
}

/** The digest of the state after a slot, as replica 1 signed it, and its bytes, as it serves them. */
function stateAfter(rig: Rig, slot: number): { digest: string; bytes: Uint8Array } {
  const digest = sent(rig.effects[1] ?? [], "checkpoint").find(({ message }) => message.slot === slot)?.message.digest ?? "";
  const [served] = sent(rig.receive(1, fetch(rig, 2, "snapshot", digest, slot)), "snapshot");
  rig.wire = [];
  return { digest, bytes: served?.body ?? new Uint8Array(0) };
}

/** Lets replica 3 know of the checkpoint by the signatures of `ids`, and begin to fetch. */
function fetching(rig: Rig, slot: number, ids: readonly number[]): void {
  const { digest } = stateAfter(rig, slot);
  for (const id of ids) rig.receive(3, rig.checkpoint(id, slot, digest));
  rig.wire = [];
  rig.advance(900, () => false);
  expect(rig.state(3)["transfer"]).toBe(slot);
}

/** The peers that replica 3 asked for a state, in order. */
function askedForState(rig: Rig): number[] {
  return (rig.effects[3] ?? []).flatMap((effect) =>
    effect.type === "send" && effect.message.message.kind === "fetch" && effect.message.message.what === "snapshot" ? [...effect.to] : [],
  );
}

describe("catching up", () => {
  it("rule 100, rule 101: a replica that missed a checkpoint gets its state and goes on from there", () => {
    const rig = lagging(6);
    rig.advance(4_000);
    expect(rig.executed()).toEqual([6, 6, 6, 6]);
    expect(rig.services[3]?.snapshot()).toEqual(rig.services[1]?.snapshot());
    expect(rig.decisions(3).map(({ slot }) => slot)).toEqual([5, 6]);
    expect(rig.effects[3]).toContainEqual({
      type: "observe",
      event: expect.objectContaining({ event: "install", slot: 4, digest: stateAfter(rig, 4).digest }),
    });
  });

  it("rule 98: afterwards its vote is as good as any: the cluster lives when another replica falls silent", () => {
    const rig = lagging(6);
    rig.advance(4_000);
    rig.partition([2], [0, 1, 3]);
    rig.order(1, 7);
    expect(rig.executed()).toEqual([7, 7, 6, 7]);
  });

  it("rule 100: f+1 signatures justify the fetch and setting what is executed, and only q move the watermark", () => {
    const rig = lagging(4, 7);
    const { digest, bytes } = stateAfter(rig, 4);
    fetching(rig, 4, [0, 1, 2]);
    const effects = rig.receive(3, snapshotOf(rig, 1, 4, bytes));
    expect(rig.state(3)).toMatchObject({ executed: 4, stable: 0, transfer: undefined });
    expect(outline(effects)).toContain("persist snapshot");
    const [own] = sent(effects, "checkpoint");
    expect(own?.message.digest).toBe(digest);
    rig.receive(3, rig.checkpoint(4, 4, digest));
    expect(rig.state(3)).toMatchObject({ executed: 4, stable: 4 });
  });

  it("rule 100: the dedup table and the agreed clock come with the state (A37, A60)", () => {
    const rig = lagging(4);
    rig.advance(2_000);
    expect(rig.state(3)["clock"]).toBe(rig.state(1)["clock"]);
    const known = rig.ask(3, rig.request(1, 2));
    expect(known.some(({ type }) => type === "reply")).toBe(true);
  });

  it("rule 100: votes above the installed slot stay", () => {
    const rig = lagging(4);
    const { bytes } = stateAfter(rig, 4);
    const proposal = rig.proposal(0, 0, 5, [rig.request(2, 1)]);
    rig.receive(3, proposal);
    fetching(rig, 4, [1, 2]);
    rig.receive(3, snapshotOf(rig, 1, 4, bytes));
    expect(votes(rig.receive(3, prepare(rig, 2, 0, 5, digestIn(proposal))))).toEqual(["send commit"]);
    for (const id of [0, 1]) rig.receive(3, commit(rig, id, 0, 5, digestIn(proposal)));
    expect(rig.executed()[3]).toBe(5);
  });

  it("rule 100: a state never lowers what was executed, and only the one asked for is installed", () => {
    const rig = lagging(6);
    const { bytes } = stateAfter(rig, 4);
    expect(rejected(rig.receive(1, snapshotOf(rig, 2, 4, bytes)))).toEqual(["unsolicited"]);
    expect(rejected(rig.receive(3, snapshotOf(rig, 1, 4, bytes)))).toEqual(["unsolicited"]);
    expect(rig.executed()).toEqual([6, 6, 6, 0]);
  });

  it("rule 101: a newer checkpoint takes over the fetch, an older one does not", () => {
    const rig = lagging(8);
    fetching(rig, 8, [0, 1, 2]);
    const older = rig.checkpoint(0, 4, nowhere);
    expect(rejected(rig.receive(3, older))).toEqual(["stale-checkpoint"]);
    for (const id of [0, 1]) rig.receive(3, rig.checkpoint(id, 12, nowhere));
    rig.advance(2_000, () => false);
    expect(rig.state(3)["transfer"]).toBe(12);
  });

  it("rule 99, A59: who does not answer is asked once a round, and the others in turn", () => {
    const rig = lagging(4);
    fetching(rig, 4, [0, 1, 2]);
    rig.advance(6_000, () => false);
    const asked = askedForState(rig);
    expect(asked.length).toBeGreaterThanOrEqual(6);
    expect(asked.slice(0, 6)).toEqual([0, 1, 2, 0, 1, 2]);
  });

  it("rule 99, rule 102: one peer that answers is enough, the others may be silent", () => {
    const rig = lagging(6);
    rig.advance(6_000, (from, to, message) => to !== 3 || from === 1 || message.kind === "status");
    expect(rig.executed()[3]).toBe(6);
    expect(rig.services[3]?.snapshot()).toEqual(rig.services[1]?.snapshot());
  });

  it.each([
    ["an older state", (rig: Rig) => snapshotOf(rig, 0, 0, stateAfter(rig, 4).bytes)],
    ["the state under another slot", (rig: Rig) => snapshotOf(rig, 0, 8, stateAfter(rig, 4).bytes)],
    ["other bytes", (rig: Rig) => snapshotOf(rig, 0, 4, Uint8Array.of(1, 2, 3))],
  ])("rule 102, A57: %s from the peer that was asked is refused, and another peer's answer taken", (_what, make) => {
    const rig = lagging(4);
    const { bytes } = stateAfter(rig, 4);
    const lie = make(rig);
    fetching(rig, 4, [0, 1, 2]);
    expect(rejected(rig.receive(3, lie))).toEqual(["unsolicited"]);
    expect(rig.executed()[3]).toBe(0);
    rig.receive(3, snapshotOf(rig, 2, 4, bytes));
    expect(rig.executed()[3]).toBe(4);
  });

  it("rule 102, A56: CHECKPOINTs of one liar for a state that does not exist make nobody fetch", () => {
    const rig = new Rig();
    rig.receive(3, rig.checkpoint(0, 4, nowhere));
    rig.advance(2_000, () => false);
    expect(askedForState(rig)).toEqual([]);
  });

  it("rule 103: while a state is fetched, proposals without body get no vote, CHECKPOINTs and view changes are heard", () => {
    const rig = lagging(4);
    fetching(rig, 4, [0, 1, 2]);
    const { payload, signature, message } = rig.proposal(0, 0, 5, [rig.request(2, 1)]);
    const bare = { payload, signature, message } as Verified<PbftMessage>;
    expect(votes(rig.receive(3, bare))).toEqual([]);
    for (const id of [1, 2]) rig.receive(3, viewChange(rig, id, 1));
    expect(rig.state(3)).toMatchObject({ view: 1, active: false });
    rig.receive(3, certificate(rig, 1, checkpointProof(rig, 8, nowhere)));
    expect(rig.state(3).stable).toBe(8);
  });

  it("rule 104, A63: a later view is entered through its NEW-VIEW only, not because f+1 say that they are in it", () => {
    const rig = new Rig();
    rig.partition([0], [1, 2, 3]);
    const changes = [1, 2, 3].map((id) => viewChange(rig, id, 1));
    rig.heal();
    for (const id of [1, 2]) {
      rig.receive(3, rig.proposal(1, 1, 1, [rig.request(1, id)]));
      rig.receive(3, prepare(rig, 2, 1, 1, nowhere));
    }
    expect(rig.state(3)).toMatchObject({ view: 0, active: true });
    rig.receive(3, newView(rig, 1, changes));
    for (const change of changes) rig.receive(3, change);
    expect(rig.state(3)).toMatchObject({ view: 1, active: true });
  });

  it("rule 104: a replica that was away for several views is brought into the present one, state and all", () => {
    const rig = new Rig({ n: 7 });
    rig.partition([6], [0, 1, 2, 3, 4, 5]);
    for (let number = 1; number <= 5; number++) rig.order(1, number);
    rig.partition([6], [0], [1, 2, 3, 4, 5]);
    for (const id of [1, 2, 3, 4, 5]) rig.ask(id, rig.request(1, 6));
    rig.advance(4_000);
    expect(rig.executed()).toEqual([5, 6, 6, 6, 6, 6, 0]);
    rig.heal();
    rig.advance(8_000);
    expect(rig.executed()).toEqual([6, 6, 6, 6, 6, 6, 6]);
    expect(rig.views()).toEqual([1, 1, 1, 1, 1, 1, 1]);
    expect(new Set(rig.services.map((service) => String(service.snapshot()))).size).toBe(1);
  });
});
