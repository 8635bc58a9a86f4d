/** What may be left out of the records (rules 72, 73; A84): a replica that restarts with the rest is as one that restarts with all. */
import { describe, expect, it } from "vitest";
import type { Core, CoreState } from "../../src/core/contract.ts";
import { createRandom, type Random } from "../../src/core/random.ts";
import { type PbftMessage, type PbftRecord, pbft } from "../../src/protocols/pbft/index.ts";
import { MemoryStorage } from "../../src/storage/memory.ts";
import { bytesToHex } from "../../src/wire/schema.ts";
import { enterView, leave, newView, prepare, prepared, status, viewChange } from "../support/forge.ts";
import { type PbftEffect, Rig } from "../support/rig.ts";

/** Replica `id` as it comes back with these records, and all that it does on its own. */
function restarted(
  rig: Rig,
  id: number,
  recovered: readonly PbftRecord[],
): { core: Core<PbftMessage, PbftRecord>; effects: readonly PbftEffect[] } {
  const seal = (message: never, body: never) => rig.seal(id, message, body);
  const service = { execute: () => new Uint8Array(1), snapshot: () => new Uint8Array(0), restore: () => undefined };
  const core = pbft.createCore({ self: id as never, cluster: rig.cluster, seal: seal as never, digest: rig.digest, service });
  const effects = core.step({ type: "start", now: rig.now, recovered });
  core.assertInvariants();
  return { core, effects };
}

/** What it can be seen to be: its state, and everything that it says when it starts and when others ask for what they lack. */
function likeness(rig: Rig, id: number, records: readonly PbftRecord[]) {
  const { core, effects } = restarted(rig, id, records);
  const { bodies: _bodies, slots, ...state } = core.inspect() as CoreState & { readonly slots: readonly { readonly slot: number }[] };
  const said = [...effects];
  for (const peer of rig.cluster.replicas) {
    if (peer === id) continue;
    // The same view, or the one before: what is sent to a peer differs.
    for (const [view, active] of [
      [state.view, true],
      [state.view, false],
      [Math.max(0, state.view - 1), true],
    ] as const) {
      const now = rig.now + 10_000 * said.length;
      const message = status(rig, peer, { view, active });
      said.push(...core.step({ type: "receive", now, wall: rig.wall, message, from: peer }));
    }
  }
  const messages = said.flatMap((effect) =>
    effect.type === "send" ? [`${effect.to} ${bytesToHex(effect.message.payload)} ${effect.message.body?.length}`] : [],
  );
  return { state, slots: [...slots].sort((a, b) => a.slot - b.slot), messages: messages.sort() };
}

/** A cluster through all that leaves records: requests, cuts, restarts, views that come and go, votes that lead nowhere. */
function wildRun(seed: number, steps: number, look: (rig: Rig) => void): void {
  const random = createRandom(seed);
  const rig = new Rig({ n: 4, clients: 5, limits: { pipeline: 4, batchRequests: 3 } });
  const numbers = [0, 0, 0];
  for (let step = 0; step < steps; step++) {
    happen(rig, random, numbers);
    look(rig);
  }
}

function happen(rig: Rig, random: Random, numbers: number[]): void {
  const some = <T>(all: readonly T[]): T => all[random.next(all.length)] as T;
  const id = some(rig.cluster.replicas);
  const choice = random.next(24);
  if (choice < 11) {
    const client = random.next(3);
    numbers[client] = (numbers[client] ?? 0) + 1;
    rig.ask(id, rig.request(client + 1, numbers[client] ?? 1));
    if (choice < 8) rig.settle(() => random.next(100) < 97);
  } else if (choice < 14) rig.advance(some([100, 1_200, 5_000]), () => random.next(100) < 95);
  else if (choice === 14)
    rig.partition(
      [id],
      rig.cluster.replicas.filter((other) => other !== id),
    );
  else if (choice === 15) rig.partition([0, 1], [2, 3]);
  else if (choice === 16) rig.restart(id);
  else if (choice < 20) rig.heal();
  else if (choice < 22) depose(rig, random.next(2) === 0);
  else tell(rig, id, random.next(6));
}

/** The primary is cut off while somebody wants something; then it is back, or not yet. */
function depose(rig: Rig, healed: boolean): void {
  const primary = Math.max(...rig.views()) % 4;
  const others = rig.cluster.replicas.filter((id) => id !== primary);
  rig.partition([primary], others);
  for (const id of others) rig.ask(id, rig.request(4, 1 + Math.max(...rig.views())));
  rig.advance(4_000);
  if (healed) rig.heal();
}

/** Replica 0, where it leads, tells one replica alone of a batch that will lead nowhere. */
function tell(rig: Rig, id: number, ahead: number): void {
  const { view, executed } = rig.state(id);
  if (view % 4 !== 0 || id === 0) return;
  const slot = executed + 1 + ahead;
  rig.receive(id, rig.proposal(0, view, slot, [rig.request(5, slot)]));
}

describe("compaction", () => {
  it.each([1, 2, 3, 4, 5, 6, 7, 8, 9, 10])("leaves a replica as it was, at every moment of a wild run (seed %d)", (seed) => {
    let compared = 0;
    let views = 0;
    const random = createRandom(`moments ${seed}`);
    wildRun(seed, 120, (rig) => {
      views = Math.max(views, ...rig.views());
      const id = random.next(4);
      const all = rig.records[id] ?? [];
      // A crash may fall between two records of one step.
      const records = random.next(2) === 0 ? all : all.slice(0, random.next(all.length + 1));
      const rest = pbft.compact(records, rig.cluster);
      expect(likeness(rig, id, rest)).toEqual(likeness(rig, id, records));
      const bodies = (of: readonly PbftRecord[]) => Number(restarted(rig, id, of).core.inspect()["bodies"]);
      expect(bodies(rest)).toBeGreaterThanOrEqual(bodies(records));
      compared += 1;
    });
    expect(compared).toBe(120);
    expect(views).toBeGreaterThan(2);
  });

  it("may be done again and again, with records coming in between", () => {
    for (const seed of [11, 12, 13]) {
      const kept: (readonly PbftRecord[])[] = [[], [], [], []];
      const seen = [0, 0, 0, 0];
      wildRun(seed, 80, (rig) => {
        for (const id of rig.cluster.replicas) {
          const all = rig.records[id] ?? [];
          kept[id] = pbft.compact([...(kept[id] ?? []), ...all.slice(seen[id])], rig.cluster);
          seen[id] = all.length;
        }
        const id = (seed + (seen[0] ?? 0)) % 4;
        expect(likeness(rig, id, kept[id] ?? [])).toEqual(likeness(rig, id, rig.records[id] ?? []));
      });
    }
  });

  it("A84: bounds what storage holds, however long the run", () => {
    const rig = new Rig({ limits: { pipeline: 4 } });
    const storage = rig.cluster.replicas.map(() => new MemoryStorage<PbftRecord>((records) => pbft.compact(records, rig.cluster)));
    const seen = [0, 0, 0, 0];
    let [most, need] = [0, 0];
    for (let number = 1; number <= 600; number++) {
      rig.order(1, number);
      for (const id of rig.cluster.replicas) {
        storage[id]?.append(rig.records[id]?.slice(seen[id]) ?? [], () => undefined);
        seen[id] = rig.records[id]?.length ?? 0;
        need = Math.max(need, pbft.compact(rig.records[id] ?? [], rig.cluster).length);
        most = Math.max(most, storage[id]?.recover().length ?? 0);
      }
    }
    expect(rig.records[0]?.length).toBeGreaterThan(1_400);
    // Two records a slot above the stable checkpoint, and a few for checkpoints and views.
    expect(need).toBeLessThan(2 * 8 + 6);
    expect(most).toBeLessThanOrEqual(256);
  });

  it("rule 15: keeps the bodies that this replica vouched for in f older views, and no more", () => {
    const rig = new Rig();
    for (const view of [0, 4, 8, 12]) {
      if (view > 0) {
        leave(rig, 1, view, [2, 3]);
        enterView(rig, 1, view);
      }
      rig.receive(1, rig.proposal(0, view, 1, [rig.request(1, view + 1)]));
    }
    const records = pbft.compact(rig.records[1] ?? [], rig.cluster);
    const bodies = records.flatMap((record) => (record.type === "accepted" && record.message.body ? [record.message.message.view] : []));
    expect(bodies).toEqual([8, 12]);
    // What fell out goes when the next view begins.
    expect(rig.state(1)["bodies"]).toBe(3);
    expect(restarted(rig, 1, records).core.inspect()["bodies"]).toBe(2);
  });

  it("rule 70: keeps the body of what a NEW-VIEW binds it to, though the crash came before it was accepted anew", () => {
    const rig = new Rig();
    const old = rig.proposal(0, 0, 1, [rig.request(1, 1)]);
    rig.receive(1, old);
    for (const view of [4, 8]) {
      leave(rig, 1, view, [2, 3]);
      enterView(rig, 1, view, [0, 2, 3]);
      rig.receive(1, rig.proposal(0, view, 1, [rig.request(1, view + 1)]));
    }
    const { digest } = old.message;
    const changes = [0, 2, 3].map((id) => viewChange(rig, id, 12, id === 3 ? { prepared: [prepared(rig, 0, 1, digest)] } : {}));
    leave(rig, 1, 12, [2, 3]);
    for (const message of [newView(rig, 12, changes, [[1, digest]]), ...changes]) rig.receive(1, message);
    const all = rig.records[1] ?? [];
    const records = all.slice(0, all.findLastIndex(({ type }) => type === "new-view") + 1);
    expect(records.length).toBeLessThan(all.length);
    expect(likeness(rig, 1, pbft.compact(records, rig.cluster))).toEqual(likeness(rig, 1, records));
    expect(likeness(rig, 1, records).state["missingBodies"]).toBe(0);
  });

  it("rule 67: keeps the body of what prepared, however many views ago", () => {
    const rig = new Rig();
    const proposal = rig.proposal(0, 0, 1, [rig.request(1, 1)]);
    rig.receive(1, proposal);
    for (const id of [2, 3]) rig.receive(1, prepare(rig, id, 0, 1, proposal.message.digest));
    for (const view of [4, 8, 12]) {
      leave(rig, 1, view, [2, 3]);
      enterView(rig, 1, view, [0, 2, 3]);
      rig.receive(1, rig.proposal(0, view, 1, [rig.request(1, view + 1)]));
    }
    const records = pbft.compact(rig.records[1] ?? [], rig.cluster);
    const bodies = records.flatMap((record) => (record.type === "accepted" && record.message.body ? [record.message.message.view] : []));
    expect(bodies).toEqual([0, 8, 12]);
    expect(restarted(rig, 1, records).core.inspect()["bodies"]).toBe(3);
    expect(likeness(rig, 1, records)).toEqual(likeness(rig, 1, rig.records[1] ?? []));
  });
});
