/** docs/protocol.md A.5, second part: making and judging a NEW-VIEW. Replica 1 is the primary of view 1, replica 3 the backup under test. */
import { describe, expect, it } from "vitest";
import { replicaId } from "../../src/core/ids.ts";
import type { Verified } from "../../src/core/message.ts";
import {
  bare,
  bodyOf,
  checkpointProof,
  enterView,
  handBodies,
  leave,
  type NewView,
  named,
  newView,
  type PrePrepare,
  prepared,
  sealNewView,
  someDigest,
  status,
  type ViewChange,
  viewChange,
} from "../support/forge.ts";
import { evidence, outline, type PbftEffect, Rig, rejected, sent, votes } from "../support/rig.ts";

const a = someDigest("a");
const b = someDigest("b");
const c = someDigest("c");
const state = someDigest("state");

/** [slot, digest] of O in the NEW-VIEW that replica `id` makes out of its own view change and `changes`, which are f+1 at least. */
function chosenBy(rig: Rig, id: number, changes: readonly Verified<ViewChange>[]): (readonly [number, string])[] | undefined {
  for (const change of changes) rig.receive(id, change);
  for (const change of changes) handBodies(rig, id, change);
  const [made] = sent(rig.effects[id] ?? [], "new-view");
  return made?.message.prePrepares.map(({ message }) => [message.slot, message.digest] as const);
}

/** Hands a NEW-VIEW and all view changes that it may name to one replica. */
function deliver(rig: Rig, id: number, message: Verified<NewView>, changes: readonly Verified<ViewChange>[]): void {
  rig.receive(id, message);
  for (const change of changes) rig.receive(id, change);
}

describe("computing O", () => {
  it("rule 33: a slot that anybody prepared is proposed again, one that nobody prepared is null", () => {
    const rig = new Rig();
    const changes = [
      viewChange(rig, 2, 1, { prepared: [prepared(rig, 0, 2, a)] }),
      viewChange(rig, 3, 1, { prepared: [prepared(rig, 0, 4, b)] }),
    ];
    expect(chosenBy(rig, 1, changes)).toEqual([
      [1, rig.nullDigest],
      [2, a],
      [3, rig.nullDigest],
      [4, b],
    ]);
  });

  it("rule 33: with no certificate above the checkpoint, O is empty", () => {
    const rig = new Rig();
    expect(chosenBy(rig, 1, [viewChange(rig, 2, 1), viewChange(rig, 3, 1)])).toEqual([]);
  });

  it.each([
    [0, 4],
    [4, 0],
  ])("rule 33: the certificate of the highest view wins, in whatever order they stand (%i, %i)", (first, second) => {
    const rig = new Rig();
    const certificates: Readonly<Record<number, string>> = { 0: a, 4: b };
    const changes = [
      viewChange(rig, 2, 5, { prepared: [prepared(rig, first, 1, certificates[first] ?? "")] }),
      viewChange(rig, 3, 5, { prepared: [prepared(rig, second, 1, certificates[second] ?? "")] }),
    ];
    expect(chosenBy(rig, 1, changes)).toEqual([[1, b]]);
  });

  it("rule 33: O begins above the highest proven checkpoint and ends with the highest certificate", () => {
    const rig = new Rig();
    const changes = [
      viewChange(rig, 2, 1, { prepared: [prepared(rig, 0, 3, a), prepared(rig, 0, 4, a), prepared(rig, 0, 5, b)] }),
      viewChange(rig, 3, 1, { stable: 4, checkpoints: checkpointProof(rig, 4, state), prepared: [prepared(rig, 0, 7, c)] }),
    ];
    expect(chosenBy(rig, 1, changes)).toEqual([
      [5, b],
      [6, rig.nullDigest],
      [7, c],
    ]);
  });

  it("rule 33: the own log beyond what prepared plays no part", () => {
    const rig = new Rig();
    for (const slot of [1, 2, 3]) rig.receive(1, rig.proposal(0, 0, slot, [rig.request(1, slot)]));
    expect(chosenBy(rig, 1, [viewChange(rig, 2, 1, { prepared: [prepared(rig, 0, 1, a)] }), viewChange(rig, 3, 1)])).toEqual([[1, a]]);
  });

  it("rule 34: the new primary waits for qv view changes for exactly its view", () => {
    const rig = new Rig({ n: 7 });
    for (const id of [2, 3, 4]) rig.receive(1, viewChange(rig, id, 1));
    rig.receive(1, viewChange(rig, 5, 8));
    expect(sent(rig.effects[1] ?? [], "new-view")).toEqual([]);
    rig.receive(1, viewChange(rig, 6, 1));
    const [made] = sent(rig.effects[1] ?? [], "new-view");
    expect(made?.message.viewChanges.map(({ sender }) => sender)).toEqual([1, 2, 3, 4, 6]);
  });

  it("rule 34: it takes over a checkpoint proof that is ahead of its own and proposes from max-s + 1 on", () => {
    const rig = new Rig();
    rig.ask(1, rig.request(1, 1));
    chosenBy(rig, 1, [
      viewChange(rig, 2, 1, { prepared: [prepared(rig, 0, 5, b)] }),
      viewChange(rig, 3, 1, { stable: 4, checkpoints: checkpointProof(rig, 4, state) }),
    ]);
    expect(rig.state(1)).toMatchObject({ view: 1, active: true, stable: 4 });
    expect(sent(rig.effects[1] ?? [], "pre-prepare").map(({ message }) => [message.view, message.slot])).toEqual([[1, 6]]);
  });

  it("rule 15: it waits for the bodies that its view changes name, asks for them, and goes on without one that only a traitor has", () => {
    const rig = new Rig();
    rig.receive(1, viewChange(rig, 0, 1));
    const nobodys = viewChange(rig, 3, 1, { prepared: [prepared(rig, 0, 2, a)] });
    rig.receive(1, nobodys);
    expect(rig.state(1)).toMatchObject({ view: 1, active: false });
    expect(sent(rig.effects[1] ?? [], "new-view")).toEqual([]);
    rig.advance(rig.cluster.timing.statusIntervalMs);
    expect(sent(rig.effects[1] ?? [], "fetch").map(({ message }) => [message.what, message.digest])).toContainEqual(["batch", a]);
    const honest = viewChange(rig, 2, 1, { prepared: [prepared(rig, 0, 1, b)] });
    rig.receive(1, honest);
    expect(sent(rig.effects[1] ?? [], "new-view")).toEqual([]);
    handBodies(rig, 1, honest);
    const [made] = sent(rig.effects[1] ?? [], "new-view");
    expect(made?.message.viewChanges.map(({ sender }) => sender)).toEqual([0, 1, 2]);
    expect(made?.message.prePrepares.map(({ message }) => message.digest)).toEqual([b]);
  });

  it("rule 15: it asks the sender of a view change for its bodies at once, and once, for a bounded number", () => {
    const rig = new Rig({ limits: { window: 128, checkpointInterval: 32 } });
    rig.receive(1, viewChange(rig, 0, 1));
    const certificates = Array.from({ length: 100 }, (_, index) => prepared(rig, 0, index + 1, someDigest(`body ${index}`)));
    const asked = (effects: readonly PbftEffect[]): (readonly number[])[] =>
      effects.flatMap((effect) => (effect.type === "send" && effect.message.message.kind === "fetch" ? [effect.to] : []));
    expect(asked(rig.receive(1, viewChange(rig, 3, 1, { prepared: certificates })))).toEqual(Array(64).fill([3]));
    expect(asked(rig.receive(1, viewChange(rig, 2, 1, { prepared: [prepared(rig, 0, 1, a)] })))).toEqual([[2]]);
  });

  it("rule 79: a body that it waits for is not measured against the clock, however old its time has become", () => {
    const rig = new Rig();
    const old = rig.proposal(0, 0, 1, [rig.request(1, 1)]);
    rig.receive(1, bare(rig, 0, 1, old.message.digest));
    rig.now += 2 * rig.cluster.limits.timestampBoundMs;
    rig.receive(1, viewChange(rig, 3, 1));
    rig.receive(1, viewChange(rig, 2, 1, { prepared: [prepared(rig, 0, 1, old.message.digest, [2, 3])] }));
    const [made] = sent(rig.receive(1, bodyOf(rig, 2, old)), "new-view");
    expect(made?.message.prePrepares.map(({ message }) => message.digest)).toEqual([old.message.digest]);
  });

  it("rule 79, A31: a body that came between two views is measured when the new view proposes it of its own accord", () => {
    const rig = new Rig();
    const old = rig.proposal(0, 0, 1, [rig.request(1, 1)]);
    rig.receive(3, bare(rig, 0, 1, old.message.digest));
    rig.now += 2 * rig.cluster.limits.timestampBoundMs;
    leave(rig, 3, 1, [0, 1]);
    rig.receive(3, bodyOf(rig, 2, old));
    expect(rig.state(3)).toMatchObject({ active: false, missingBodies: 0 });
    enterView(rig, 3, 1);
    const effects = rig.receive(3, bare(rig, 1, 1, old.message.digest));
    expect(rejected(effects)).toEqual(["timestamp-behind"]);
    expect(sent(effects, "prepare")).toEqual([]);
  });

  it("rule 36: the bodies that it waited for survive the newer checkpoint that its NEW-VIEW brings", () => {
    const rig = new Rig();
    const proposal = rig.proposal(0, 0, 6, [rig.request(1, 1)]);
    const parts = {
      stable: 4,
      checkpoints: checkpointProof(rig, 4, state, [0, 2, 3]),
      prepared: [prepared(rig, 0, 6, proposal.message.digest, [2, 3])],
    };
    for (const sender of [2, 3]) rig.receive(1, viewChange(rig, sender, 1, parts));
    const [made] = sent(rig.receive(1, bodyOf(rig, 2, proposal)), "new-view");
    expect(made?.message.prePrepares.map(({ message }) => message.slot)).toEqual([5, 6]);
    expect(rig.state(1)).toMatchObject({ stable: 4, missingBodies: 0, bodies: 1 });
  });

  it("rule 34: it sends one NEW-VIEW for a view, whatever arrives later", () => {
    const rig = new Rig();
    chosenBy(rig, 1, [viewChange(rig, 2, 1), viewChange(rig, 3, 1)]);
    rig.receive(1, viewChange(rig, 0, 1, { prepared: [prepared(rig, 0, 1, a)] }));
    rig.receive(1, status(rig, 3, { view: 0 }));
    const made = sent(rig.effects[1] ?? [], "new-view");
    expect(made.length).toBeGreaterThanOrEqual(2);
    expect(new Set(made.map(({ payload }) => String(payload))).size).toBe(1);
  });
});

interface Scene {
  readonly rig: Rig;
  /** Valid view changes of replicas 0, 1 and 2 for view 1: a prepared at slot 1, b at slot 3. */
  readonly changes: readonly Verified<ViewChange>[];
  readonly v: NewView["viewChanges"];
  readonly o: readonly Verified<PrePrepare>[];
}

function scene(): Scene {
  const rig = new Rig();
  const changes = [
    viewChange(rig, 0, 1, { prepared: [prepared(rig, 0, 1, a), prepared(rig, 0, 3, b)] }),
    viewChange(rig, 1, 1, { prepared: [prepared(rig, 0, 1, a)] }),
    viewChange(rig, 2, 1),
  ];
  const v = changes.map((change) => named(rig, change));
  return { rig, changes, v, o: [bare(rig, 1, 1, a), bare(rig, 1, 2, rig.nullDigest), bare(rig, 1, 3, b)] };
}

/** Every way of rule 35 to get a NEW-VIEW for view 1 wrong, under genuine signatures. */
const wrong: readonly (readonly [string, (scene: Scene) => Verified<NewView>])[] = [
  ["a dropped slot (A44)", ({ rig, v, o }) => sealNewView(rig, 1, v, o.slice(0, 2))],
  ["the first slot dropped (A44)", ({ rig, v, o }) => sealNewView(rig, 1, v, o.slice(1))],
  ["all slots dropped (A44)", ({ rig, v }) => sealNewView(rig, 1, v, [])],
  ["another digest (A44)", ({ rig, v, o }) => sealNewView(rig, 1, v, [bare(rig, 1, 1, c), ...o.slice(1)])],
  ["null for a prepared slot (A44)", ({ rig, v, o }) => sealNewView(rig, 1, v, [bare(rig, 1, 1, rig.nullDigest), ...o.slice(1)])],
  ["a batch where null belongs (A44)", ({ rig, v, o }) => sealNewView(rig, 1, v, o.toSpliced(1, 1, bare(rig, 1, 2, c)))],
  ["a missing null (A44)", ({ rig, v, o }) => sealNewView(rig, 1, v, o.toSpliced(1, 1))],
  ["a slot too many (A44)", ({ rig, v, o }) => sealNewView(rig, 1, v, [...o, bare(rig, 1, 4, c)])],
  ["a null too many (A44)", ({ rig, v, o }) => sealNewView(rig, 1, v, [...o, bare(rig, 1, 4, rig.nullDigest)])],
  ["a slot 0 (A44)", ({ rig, v, o }) => sealNewView(rig, 1, v, [bare(rig, 1, 0, a), ...o])],
  ["a slot twice (A44)", ({ rig, v, o }) => sealNewView(rig, 1, v, [...o.slice(0, 1), ...o])],
  ["swapped slots (A44)", ({ rig, v, o }) => sealNewView(rig, 1, v, o.toReversed())],
  ["a proposal signed by a backup (A44)", ({ rig, v, o }) => sealNewView(rig, 1, v, [bare(rig, 1, 1, a, 2), ...o.slice(1)])],
  ["a proposal of another view (A44)", ({ rig, v, o }) => sealNewView(rig, 1, v, [bare(rig, 5, 1, a), ...o.slice(1)])],
  ["V too small (A45)", ({ rig, v, o }) => sealNewView(rig, 1, v.slice(0, 2), o)],
  ["an empty V (A45)", ({ rig }) => sealNewView(rig, 1, [], [])],
  ["a sender twice in V (A45)", ({ rig, v, o }) => sealNewView(rig, 1, [...v.slice(0, 2), ...v.slice(1, 2)], o)],
  ["a sender twice beside enough others (A45)", ({ rig, v, o }) => sealNewView(rig, 1, [...v, ...v.slice(2)], o)],
  ["a stranger in V (A45)", ({ rig, v, o }) => sealNewView(rig, 1, v.with(2, { sender: replicaId(9), digest: c }), o)],
];

describe("judging a NEW-VIEW", () => {
  it("rule 35: a backup enters by a NEW-VIEW that is right, though it never asked for the view", () => {
    const { rig, changes, v, o } = scene();
    deliver(rig, 3, sealNewView(rig, 1, v, o), changes);
    expect(rig.state(3)).toMatchObject({ view: 1, active: true });
    expect(rejected(rig.effects[3] ?? [])).not.toContain("bad-new-view");
  });

  it.each(wrong)("rule 35: with %s it is refused, and who asked for exactly this view asks for the next", (_what, make) => {
    const made = scene();
    const { rig, changes } = made;
    for (const change of changes.slice(0, 2)) rig.receive(3, change);
    expect(rig.state(3)).toMatchObject({ view: 1, active: false });
    deliver(rig, 3, make(made), changes);
    expect(rejected(rig.effects[3] ?? [])).toContain("bad-new-view");
    expect(rig.state(3)).toMatchObject({ view: 2, active: false });
    expect(sent(rig.effects[3] ?? [], "view-change").map(({ message }) => message.view)).toEqual([1, 2]);
    expect(outline(rig.effects[3] ?? [])).not.toContain("persist new-view");
    expect(votes(rig.effects[3] ?? [])).toEqual([]);
  });

  it.each(wrong)("rule 35, A48: with %s and nobody asking for the view, it moves nobody", (_what, make) => {
    const made = scene();
    deliver(made.rig, 3, make(made), []);
    expect(made.rig.state(3)).toMatchObject({ view: 0, active: true });
    expect(votes(made.rig.receive(3, made.rig.proposal(0, 0, 1, [made.rig.request(1, 1)])))).toEqual(["send prepare"]);
  });

  it("rule 35: only the primary of the view may send it", () => {
    const { rig, changes, v, o } = scene();
    for (const by of [0, 2]) expect(rejected(rig.receive(3, sealNewView(rig, 1, v, o, by)))).toEqual(["not-primary"]);
    for (const change of changes) rig.receive(3, change);
    expect(rig.state(3)).toMatchObject({ view: 1, active: false });
  });

  it("rule 35: V must be valid in every member: a bad view change never completes it", () => {
    const rig = new Rig();
    const good = [viewChange(rig, 1, 1), viewChange(rig, 2, 1)];
    const bad = viewChange(rig, 0, 1, { prepared: [prepared(rig, 0, 1, a, [2])] });
    deliver(rig, 3, newView(rig, 1, [bad, ...good], [[1, a]]), [bad, ...good]);
    expect(rejected(rig.effects[3] ?? [])).toContain("bad-view-change");
    expect(rig.state(3).active).toBe(false);
  });

  it("rule 35, A45: one view change under three names is one", () => {
    const rig = new Rig();
    const own = viewChange(rig, 1, 1);
    const { digest } = named(rig, own);
    const v = [0, 1, 2].map((sender) => ({ sender: replicaId(sender), digest }));
    deliver(rig, 3, sealNewView(rig, 1, v, []), [own]);
    expect(rig.state(3)).toMatchObject({ view: 0, active: true });
    expect(outline(rig.effects[3] ?? [])).not.toContain("persist new-view");
  });

  it("rule 35, A45: view changes for another view do not justify this one, though an honest NEW-VIEW names them", () => {
    const rig = new Rig();
    const changes = [0, 1, 3].map((id) => viewChange(rig, id, 1));
    const later = sealNewView(
      rig,
      2,
      changes.map((change) => named(rig, change)),
      [],
    );
    const honest = newView(rig, 1, changes);
    const backup = 0;
    rig.receive(backup, honest);
    rig.receive(backup, later);
    for (const change of changes) rig.receive(backup, change);
    rig.receive(backup, later);
    expect(rig.state(backup)).toMatchObject({ view: 1, active: true });
    const first = new Rig();
    first.receive(backup, later);
    first.receive(backup, honest);
    for (const change of changes.toReversed()) first.receive(backup, change);
    expect(first.state(backup).view).toBe(1);
  });

  it("rule 35: two NEW-VIEWs for one view convict the primary", () => {
    const { rig, changes, v, o } = scene();
    deliver(rig, 3, sealNewView(rig, 1, v, o), changes);
    const effects = rig.receive(3, sealNewView(rig, 1, v, []));
    expect(evidence(effects)).toEqual([{ culprit: 1, kind: "new-view" }]);
    expect(rejected(effects)).toEqual(["equivocation"]);
  });

  it("rule 35: the view changes that V names are asked for, of any peer in turn", () => {
    const { rig, changes, v, o } = scene();
    const asked = sent(rig.receive(3, sealNewView(rig, 1, v, o)), "fetch");
    expect(asked.map(({ message }) => [message.what, message.digest])).toEqual(v.map(({ digest }) => ["view-change", digest]));
    rig.advance(1_000, () => false);
    const peers = (rig.effects[3] ?? []).flatMap((effect) =>
      effect.type === "send" && effect.message.message.kind === "fetch" ? effect.to : [],
    );
    expect(new Set(peers)).toEqual(new Set([0, 1, 2]));
    for (const change of changes) rig.receive(3, change);
    expect(rig.state(3)).toMatchObject({ view: 1, active: true });
  });

  it.each([1, 2, 6, 2 ** 40 + 1, Number.MAX_SAFE_INTEGER])("rule 35, A48: an unsolicited NEW-VIEW for view %i moves nobody", (view) => {
    const rig = new Rig();
    for (const id of [0, 1, 2, 3]) {
      rig.receive(id, sealNewView(rig, view, [], []));
      rig.receive(
        id,
        sealNewView(
          rig,
          view,
          [0, 1, 2].map((sender) => ({ sender: replicaId(sender), digest: a })),
          [],
        ),
      );
    }
    rig.advance(10_000);
    expect(rig.views()).toEqual([0, 0, 0, 0]);
    expect(rig.cores.every((core) => core.inspect().active)).toBe(true);
    rig.order(1, 1);
    expect(rig.executed()).toEqual([1, 1, 1, 1]);
  });

  it("rule 35: a NEW-VIEW for a view that was passed is refused", () => {
    const { rig, changes, v, o } = scene();
    leave(rig, 3, 2, [0, 1]);
    deliver(rig, 3, sealNewView(rig, 1, v, o), changes);
    expect(rejected(rig.effects[3] ?? [])).toContain("stale-new-view");
    expect(rig.state(3)).toMatchObject({ view: 2, active: false });
  });
});
