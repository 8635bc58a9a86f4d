/** docs/protocol.md A.5, first part: leaving a view. Replica 3 is the backup under test, replica 1 the next primary. */
import { describe, expect, it } from "vitest";
import type { Verified } from "../../src/core/message.ts";
import {
  bare,
  bodyOf,
  type Certificate,
  checkpointProof,
  commit,
  digestIn,
  enterView,
  handBodies,
  leave,
  newView,
  prepare,
  prepared,
  someDigest,
  type ViewChange,
  viewChange,
} from "../support/forge.ts";
import { evidence, outline, Rig, rejected, sent, votes } from "../support/rig.ts";

const digest = someDigest("batch");
const other = someDigest("another batch");
const state = someDigest("state");

/** [view, slot, digest] of every certificate in P of the last view change that `id` sent. */
function claims(rig: Rig, id: number): (readonly [number, number, string])[] {
  const change = sent(rig.effects[id] ?? [], "view-change").at(-1);
  if (!change) throw new Error(`replica ${id} sent no view change`);
  return change.message.prepared.map(({ prePrepare: { message } }) => [message.view, message.slot, message.digest] as const);
}

/** Replica 3 prepares a fresh batch in `view` at `slot`, and returns its digest. */
function prepareAt(rig: Rig, view: number, slot: number, number: number): string {
  const primary = view % 4;
  const proposal = rig.proposal(primary, view, slot, [rig.request(1, number)]);
  rig.receive(3, proposal);
  const [voter] = [0, 1, 2].filter((id) => id !== primary);
  rig.receive(3, prepare(rig, voter ?? 0, view, slot, digestIn(proposal)));
  return digestIn(proposal);
}

describe("leaving a view", () => {
  it("rule 30: when its timer expires, a backup stops voting and asks everybody for the next view", () => {
    const rig = new Rig();
    rig.ask(3, rig.request(1, 1));
    rig.advance(1_000, () => false);
    expect(rig.state(3)).toMatchObject({ view: 1, active: false });
    const [change] = sent(rig.effects[3] ?? [], "view-change");
    expect(change?.message).toMatchObject({ view: 1, stable: 0, checkpoints: [], prepared: [] });
  });

  it("rule 30: after that it votes in no view up to the one it left, whatever completes there", () => {
    const rig = new Rig();
    const proposal = rig.proposal(0, 0, 1, [rig.request(1, 1)]);
    const later = rig.proposal(0, 0, 2, [rig.request(1, 2)]);
    rig.receive(3, proposal);
    leave(rig, 3, 1, [1, 2]);
    const before = votes(rig.effects[3] ?? []);
    for (const voter of [1, 2]) rig.receive(3, prepare(rig, voter, 0, 1, digestIn(proposal)));
    rig.receive(3, later);
    for (const voter of [1, 2]) rig.receive(3, prepare(rig, voter, 0, 2, digestIn(later)));
    expect(votes(rig.effects[3] ?? [])).toEqual(before);
    expect(before).toEqual(["send prepare"]);
  });

  it("rule 30: a body that comes after leaving draws no PREPARE, nor a COMMIT where enough PREPAREs wait for it", () => {
    const rig = new Rig();
    const proposal = rig.proposal(0, 0, 1, [rig.request(1, 1)]);
    rig.receive(3, bare(rig, 0, 1, digestIn(proposal)));
    for (const voter of [1, 2]) rig.receive(3, prepare(rig, voter, 0, 1, digestIn(proposal)));
    leave(rig, 3, 1, [1, 2]);
    rig.receive(3, bodyOf(rig, 2, proposal));
    expect(votes(rig.effects[3] ?? [])).toEqual([]);
    for (const voter of [0, 1, 2]) rig.receive(3, commit(rig, voter, 0, 1, digestIn(proposal)));
    expect(rig.executed()[3]).toBe(1);
  });

  it("rule 30: it goes on taking CHECKPOINTs, and COMMITs of the view that it left", () => {
    const rig = new Rig();
    const proposal = rig.proposal(0, 0, 1, [rig.request(1, 1)]);
    rig.receive(3, proposal);
    leave(rig, 3, 1, [1, 2]);
    for (const voter of [0, 1, 2]) rig.receive(3, commit(rig, voter, 0, 1, digestIn(proposal)));
    expect(rig.decisions(3)).toEqual([{ slot: 1, digest: digestIn(proposal), requests: 1 }]);
    for (const id of [0, 1, 2]) rig.receive(3, rig.checkpoint(id, 4, state));
    expect(rig.state(3).stable).toBe(4);
  });

  it("rule 31: a certificate stays in P however many views were left since", () => {
    const rig = new Rig();
    const batch = prepareAt(rig, 0, 1, 1);
    for (const view of [1, 2, 5, 9]) {
      leave(
        rig,
        3,
        view,
        [0, 1].map((id) => (view % 4 === id ? 2 : id)),
      );
      expect(rig.state(3).view).toBe(view);
      expect(claims(rig, 3)).toEqual([[0, 1, batch]]);
    }
  });

  it("rule 31: executing a slot does not take it out of P", () => {
    const rig = new Rig();
    for (const number of [1, 2, 3]) rig.order(1, number);
    expect(rig.executed()[3]).toBe(3);
    leave(rig, 3, 1, [1, 2]);
    expect(claims(rig, 3)).toEqual(rig.decisions(3).map((decision) => [0, decision.slot, decision.digest]));
  });

  it("rule 31: P holds the certificate of the highest view", () => {
    const rig = new Rig();
    const batch = prepareAt(rig, 0, 1, 1);
    const changes = [
      viewChange(rig, 0, 1),
      viewChange(rig, 1, 1, { prepared: [prepared(rig, 0, 1, batch)] }),
      viewChange(rig, 2, 1, { prepared: [prepared(rig, 0, 1, batch)] }),
    ];
    rig.receive(3, newView(rig, 1, changes, [[1, batch]]));
    for (const change of changes) rig.receive(3, change);
    expect(rig.state(3)).toMatchObject({ view: 1, active: true });
    leave(rig, 3, 2, [0, 1]);
    expect(claims(rig, 3)).toEqual([[0, 1, batch]]);
    const again = new Rig();
    const same = prepareAt(again, 0, 1, 1);
    again.receive(3, newView(again, 1, changes, [[1, same]]));
    for (const change of changes) again.receive(3, change);
    for (const voter of [0, 2]) again.receive(3, prepare(again, voter, 1, 1, same));
    leave(again, 3, 2, [0, 1]);
    expect(claims(again, 3)).toEqual([[1, 1, same]]);
  });

  it("rule 31: only a stable checkpoint takes slots out of P", () => {
    const rig = new Rig();
    for (let number = 1; number <= 5; number++) rig.order(1, number);
    leave(rig, 3, 1, [1, 2]);
    const [change] = sent(rig.effects[3] ?? [], "view-change");
    expect(change?.message.stable).toBe(4);
    expect(change?.message.checkpoints).toHaveLength(3);
    expect(claims(rig, 3).map(([, slot]) => slot)).toEqual([5]);
  });

  it("rule 31: what was accepted and never prepared is not claimed", () => {
    const rig = new Rig();
    rig.receive(3, rig.proposal(0, 0, 1, [rig.request(1, 1)]));
    leave(rig, 3, 1, [1, 2]);
    expect(claims(rig, 3)).toEqual([]);
  });
});

/** Every way of rule 32 to get a view change wrong: made by replica 3 for view 1, under genuine signatures. */
const invalid: readonly (readonly [string, (rig: Rig) => Verified<ViewChange>])[] = [
  ["PP by a backup", (rig) => claiming(rig, { prePrepare: bare(rig, 0, 1, digest, 2), prepares: prepares(rig, [1, 3]) })],
  ["q-2 PREPAREs", (rig) => claiming(rig, prepared(rig, 0, 1, digest, [1]))],
  ["no PREPARE", (rig) => claiming(rig, prepared(rig, 0, 1, digest, []))],
  ["one signer twice", (rig) => claiming(rig, prepared(rig, 0, 1, digest, [2, 2]))],
  ["one signer twice beside enough others", (rig) => claiming(rig, prepared(rig, 0, 1, digest, [1, 2, 2]))],
  ["the primary counted as a backup", (rig) => claiming(rig, prepared(rig, 0, 1, digest, [0, 2]))],
  [
    "a PREPARE for another digest",
    (rig) =>
      claiming(rig, {
        prePrepare: bare(rig, 0, 1, digest),
        prepares: [prepare(rig, 1, 0, 1, digest), prepare(rig, 2, 0, 1, other)],
      }),
  ],
  [
    "a PREPARE for another slot",
    (rig) =>
      claiming(rig, {
        prePrepare: bare(rig, 0, 1, digest),
        prepares: [prepare(rig, 1, 0, 1, digest), prepare(rig, 2, 0, 2, digest)],
      }),
  ],
  [
    "a PREPARE of another view",
    (rig) =>
      claiming(rig, {
        prePrepare: bare(rig, 0, 1, digest),
        prepares: [prepare(rig, 1, 0, 1, digest), prepare(rig, 2, 4, 1, digest)],
      }),
  ],
  ["a certificate of the view wanted", (rig) => claiming(rig, prepared(rig, 1, 1, digest))],
  ["a certificate of a later view", (rig) => claiming(rig, prepared(rig, 4, 1, digest))],
  ["slot 0", (rig) => claiming(rig, prepared(rig, 0, 0, digest))],
  ["a slot above its window", (rig) => claiming(rig, prepared(rig, 0, 9, digest))],
  ["two entries for one slot", (rig) => claiming(rig, prepared(rig, 0, 1, digest), prepared(rig, 0, 1, digest))],
  ["one good and one bad entry", (rig) => claiming(rig, prepared(rig, 0, 1, digest), prepared(rig, 0, 2, digest, [2]))],
  [
    "a slot below its own checkpoint",
    (rig) => viewChange(rig, 3, 1, { stable: 4, checkpoints: checkpointProof(rig, 4, state), prepared: [prepared(rig, 0, 4, digest)] }),
  ],
  ["a checkpoint without proof (A42)", (rig) => viewChange(rig, 3, 1, { stable: 4 })],
  ["a thin proof (A42)", (rig) => viewChange(rig, 3, 1, { stable: 4, checkpoints: checkpointProof(rig, 4, state, [0, 1]) })],
  ["one signature twice (A42)", (rig) => viewChange(rig, 3, 1, { stable: 4, checkpoints: checkpointProof(rig, 4, state, [0, 1, 1]) })],
  ["a proof for another slot (A42)", (rig) => viewChange(rig, 3, 1, { stable: 8, checkpoints: checkpointProof(rig, 4, state) })],
  [
    "a proof of two digests (A42)",
    (rig) =>
      viewChange(rig, 3, 1, {
        stable: 4,
        checkpoints: [...checkpointProof(rig, 4, state, [0, 1]), ...checkpointProof(rig, 4, other, [2])],
      }),
  ],
  ["a proof of the genesis checkpoint", (rig) => viewChange(rig, 3, 1, { checkpoints: checkpointProof(rig, 4, state) })],
];

function claiming(rig: Rig, ...certificates: readonly Certificate[]): Verified<ViewChange> {
  return viewChange(rig, 3, 1, { prepared: certificates });
}

function prepares(rig: Rig, voters: readonly number[]): Certificate["prepares"] {
  return voters.map((id) => prepare(rig, id, 0, 1, digest));
}

describe("a view change of a traitor", () => {
  it.each(invalid)("rule 32, A40: with %s it is dropped whole, and the others are used without it", (_what, make) => {
    const rig = new Rig();
    leave(rig, 1, 1, [0]);
    expect(rejected(rig.receive(1, make(rig)))).toEqual(["bad-view-change"]);
    expect(sent(rig.effects[1] ?? [], "new-view")).toEqual([]);
    const change = viewChange(rig, 2, 1, { prepared: [prepared(rig, 0, 2, other)] });
    rig.receive(1, change);
    handBodies(rig, 1, change);
    const [message] = sent(rig.effects[1] ?? [], "new-view");
    expect(message?.message.viewChanges.map(({ sender }) => sender)).toEqual([0, 1, 2]);
    expect(message?.message.prePrepares.map((proposal) => [proposal.message.slot, proposal.message.digest])).toEqual([
      [1, rig.nullDigest],
      [2, other],
    ]);
  });

  it("rule 32: the same message made right is used", () => {
    const rig = new Rig();
    leave(rig, 1, 1, [0]);
    const certificates = [prepared(rig, 0, 5, digest), prepared(rig, 0, 12, digest)];
    const change = viewChange(rig, 3, 1, { stable: 4, checkpoints: checkpointProof(rig, 4, state), prepared: certificates });
    rig.receive(1, change);
    handBodies(rig, 1, change);
    const [message] = sent(rig.effects[1] ?? [], "new-view");
    expect(message?.message.viewChanges.map(({ sender }) => sender)).toEqual([0, 1, 3]);
    expect(message?.message.prePrepares.map((proposal) => proposal.message.slot)).toEqual([5, 6, 7, 8, 9, 10, 11, 12]);
  });

  it("rule 32: two different view changes for one view convict their sender, and the first stands", () => {
    const rig = new Rig();
    rig.receive(3, viewChange(rig, 2, 1));
    const effects = rig.receive(3, viewChange(rig, 2, 1, { prepared: [prepared(rig, 0, 1, digest)] }));
    expect(evidence(effects)).toEqual([{ culprit: 2, kind: "view-change" }]);
    expect(rejected(effects)).toEqual(["equivocation"]);
  });

  it("rule 33, A39: hiding its certificates loses nothing that somebody executed", () => {
    const rig = new Rig();
    rig.ask(0, rig.request(1, 1));
    // Replica 3 will claim nothing: it took no part. Only replica 0 sees the COMMITs, executes and falls silent.
    rig.settle((from, to, message) => from !== 3 && to !== 3 && (message.kind !== "commit" || to === 0));
    expect(rig.executed()).toEqual([1, 0, 0, 0]);
    rig.partition([0], [1, 2, 3]);
    for (const id of [1, 2, 3]) for (const number of [1, 2]) rig.ask(id, rig.request(1, number));
    rig.advance(5_000);
    expect(rig.executed()).toEqual([1, 2, 2, 2]);
    for (const id of [1, 2, 3]) expect(rig.decisions(id)[0]).toEqual(rig.decisions(0)[0]);
  });

  it("rule 31: what one replica executed survives two view changes in a row, the first of which gets nothing done", () => {
    const rig = new Rig();
    rig.ask(0, rig.request(1, 1));
    rig.settle((from, to, message) => from !== 3 && to !== 3 && (message.kind !== "commit" || to === 0));
    expect(rig.executed()).toEqual([1, 0, 0, 0]);
    rig.partition([0], [1, 2, 3]);
    for (const id of [1, 2, 3]) rig.ask(id, rig.request(1, 1));
    const stalled = 1;
    rig.advance(8_000, (_from, _to, message) => message.kind !== "prepare" || message.view !== stalled);
    expect(rig.executed()).toEqual([1, 1, 1, 1]);
    for (const id of [1, 2, 3]) {
      expect(rig.state(id).view).toBeGreaterThan(stalled);
      expect(rig.decisions(id)[0]).toEqual(rig.decisions(0)[0]);
    }
  });
});

describe("who moves, and who does not", () => {
  it("rule 40: a view change of the present primary makes its backups ask for the next view, and for that only", () => {
    const rig = new Rig();
    rig.receive(3, viewChange(rig, 0, 7));
    expect(rig.state(3)).toMatchObject({ view: 1, active: false });
    expect(sent(rig.effects[3] ?? [], "view-change").map(({ message }) => message.view)).toEqual([1]);
    rig.receive(3, viewChange(rig, 0, 2 ** 50));
    expect(rig.state(3).view).toBe(1);
  });

  it("rule 40: a cluster whose primary abdicates is in the next view at once and works there", () => {
    const rig = new Rig();
    rig.partition([0], [1, 2, 3]);
    for (const id of [1, 2, 3]) rig.receive(id, viewChange(rig, 0, 7));
    rig.settle();
    expect(rig.views()).toEqual([0, 1, 1, 1]);
    rig.order(1, 1, 1);
    expect(rig.executed()).toEqual([0, 1, 1, 1]);
  });

  it("rule 44: f+1 view changes are joined without waiting for the timer, fewer are not", () => {
    const rig = new Rig({ n: 7 });
    for (const id of [2, 4]) rig.receive(3, viewChange(rig, id, 1));
    expect(rig.state(3)).toMatchObject({ view: 0, active: true });
    rig.receive(3, viewChange(rig, 5, 1));
    expect(rig.state(3)).toMatchObject({ view: 1, active: false });
    expect(sent(rig.effects[3] ?? [], "view-change")).toHaveLength(1);
  });

  it("rule 44: one replica's view changes count once, its latest", () => {
    const rig = new Rig({ n: 7 });
    for (const view of [1, 2, 3, 4, 5]) expect(rejected(rig.receive(3, viewChange(rig, 2, view)))).toEqual([]);
    for (const view of [4, 5]) expect(rejected(rig.receive(3, viewChange(rig, 2, view)))).toEqual(["stale-view-change"]);
    rig.receive(3, viewChange(rig, 4, 3));
    expect(rig.state(3).view).toBe(0);
    rig.receive(3, viewChange(rig, 5, 9));
    expect(rig.state(3).view).toBe(3);
  });

  it("rule 44: the view joined is the largest that f+1 replicas want or have passed", () => {
    const rig = new Rig({ n: 7 });
    rig.receive(3, viewChange(rig, 2, 9));
    rig.receive(3, viewChange(rig, 4, 5));
    rig.receive(3, viewChange(rig, 5, 3));
    expect(rig.state(3).view).toBe(3);
    rig.receive(3, viewChange(rig, 6, 8));
    expect(rig.state(3).view).toBe(5);
  });

  it("rule 44: a replica that has left its view joins a later one just so", () => {
    const rig = new Rig();
    leave(rig, 3, 1, [1, 2]);
    leave(rig, 3, 4, [1, 2]);
    expect(rig.state(3)).toMatchObject({ view: 4, active: false });
  });

  it("rule 45: view changes alone move nobody into a view", () => {
    const rig = new Rig();
    for (const id of [0, 1, 2]) rig.receive(3, viewChange(rig, id, 1));
    expect(rig.state(3)).toMatchObject({ view: 1, active: false });
    enterView(rig, 3, 1);
    expect(rig.state(3)).toMatchObject({ view: 1, active: true });
  });

  it("rule 45, A16: a backup that accuses everybody for ever causes no view change and no delay", () => {
    const rig = new Rig();
    for (let round = 1; round <= 30; round++) {
      for (const id of [0, 1, 2]) {
        for (const view of [round, round * 100, 2 ** 50 + round]) rig.receive(id, viewChange(rig, 3, view));
      }
      rig.order(1, round);
      expect(rig.executed()).toEqual([round, round, round, round]);
    }
    expect(rig.views()).toEqual([0, 0, 0, 0]);
    expect(rig.effects.flatMap((effects) => sent(effects, "view-change"))).toEqual([]);
  });

  it("rule 45, A51: a view change for the last view there is moves nobody, alone or beside an honest one", () => {
    const rig = new Rig();
    expect(rejected(rig.receive(3, viewChange(rig, 2, Number.MAX_SAFE_INTEGER)))).toEqual(["bad-view-change"]);
    rig.receive(3, viewChange(rig, 2, 2 ** 52));
    expect(rig.state(3).view).toBe(0);
    rig.receive(3, viewChange(rig, 1, 1));
    expect(rig.state(3).view).toBe(1);
    expect(outline(rig.receive(3, newView(rig, Number.MAX_SAFE_INTEGER, [])))).toEqual([]);
    expect(rig.state(3)).toMatchObject({ view: 1, active: false });
  });

  it("rule 30, A38: a primary that left its own view proposes nothing in it", () => {
    const rig = new Rig();
    leave(rig, 0, 1, [2, 3]);
    rig.ask(0, rig.request(1, 1));
    expect(votes(rig.effects[0] ?? [])).toEqual([]);
  });
});
