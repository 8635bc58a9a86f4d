/** Clients that stand in no cluster file: what execution and admission promise them, and what their number may cost (A37, A68). */
import { describe, expect, it } from "vitest";
import { openClientLimits } from "../../src/core/cluster.ts";
import type { Service } from "../../src/core/contract.ts";
import type { Request, Verified } from "../../src/core/message.ts";
import { ClientTable } from "../../src/protocols/pbft/client-table.ts";
import { type PbftEffect, Rig, rejected, replies } from "../support/rig.ts";

const limits = { clientWindow: 16, resultBytes: 1_024 };
const rig = new Rig();

/** A table in which every row for open clients is taken. */
function fullTable(): ClientTable {
  const table = new ClientTable(limits);
  for (let key = 0; key < openClientLimits.openClients; key++) table.record(rig.openClient(key).request(1).message, Uint8Array.of(1));
  return table;
}

const answers = (effects: readonly PbftEffect[]): number[][] =>
  replies(effects).flatMap(({ results }) => results.map(({ result }) => [...result]));

/** Hands the batch to all replicas as slot 1 of view 0 and lets them agree. */
function order(on: Rig, slot: number, requests: readonly Verified<Request>[]): void {
  const proposal = on.proposal(0, 0, slot, requests);
  for (const id of [0, 1, 2, 3]) on.receive(id, proposal);
  on.settle();
}

describe("an open client", () => {
  it("rule 60: is served as others are: once, with the result again for a repetition", () => {
    const on = new Rig();
    const client = on.openClient(7);
    on.ask(0, client.request(1));
    on.settle();
    expect(on.executed()).toEqual([1, 1, 1, 1]);
    expect(replies(on.effects[2] ?? []).map((reply) => reply.client)).toEqual([client.id]);
    expect(answers(on.ask(2, client.request(1)))).toEqual(answers(on.effects[2]?.slice(0, -1) ?? []));
    expect(on.executed()).toEqual([1, 1, 1, 1]);
  });

  it("rule 60: has a row that a state transfer brings along", () => {
    const table = new ClientTable(limits);
    const client = rig.openClient(7);
    table.record(client.request(3).message, Uint8Array.of(9));
    const copy = new ClientTable(limits);
    copy.restore(table.toPlain());
    expect(copy.toPlain()).toEqual(table.toPlain());
    expect(copy.isNew(client.request(3).message)).toBe(false);
    expect(copy.belongsToAnother(rig.openClient(8, client).request(4).message)).toBe(true);
  });

  it("A37: shares its number with nobody: another key that gives the same one has no effect", () => {
    const on = new Rig();
    const client = on.openClient(7);
    const twin = on.openClient(8, client);
    order(on, 1, [client.request(1)]);
    expect(rejected(on.ask(1, twin.request(2)))).toEqual(["bad-key"]);
    // A traitor may have it ordered.
    order(on, 2, [twin.request(2), client.request(3)]);
    expect(on.executed()).toEqual([2, 2, 2, 2]);
    const executed = on.effects[1]?.flatMap((effect) =>
      effect.type === "observe" && effect.event.event === "execute" ? [[effect.event.slot, effect.event.request]] : [],
    );
    expect(executed).toEqual([
      [1, 1],
      [2, 3],
    ]);
    order(on, 3, [client.request(2)]);
    expect(answers(on.effects[1] ?? [])).toHaveLength(3);
  });
});

describe("the rows of open clients", () => {
  it("A68: are bounded by `openClients`: beyond them a new client has no effect, whatever it tries, and those with a row go on", () => {
    const table = fullTable();
    const [old, fresh] = [rig.openClient(5), rig.openClient(9_999)];
    expect(table.size).toBe(4_096);
    expect([table.isClosedTo(old.id), table.hasRoomFor(old.id)]).toEqual([false, true]);
    expect([table.isClosedTo(fresh.id), table.hasRoomFor(fresh.id)]).toEqual([true, false]);
    const registered = rig.request(1, 1).message;
    expect([table.isClosedTo(registered.sender), table.hasRoomFor(registered.sender)]).toEqual([false, true]);
    const copy = new ClientTable(limits);
    copy.restore(table.toPlain());
    expect(copy.isClosedTo(fresh.id)).toBe(true);
  });

  describe("all taken", () => {
    const everybody = Array.from({ length: openClientLimits.openClients }, (_, key) => rig.openClient(key).request(1));
    const fresh = rig.openClient(9_999).request(1);

    it("A68: end the wait for a client that came too late, so that it costs no primary its view", () => {
      const on = new Rig();
      on.ask(3, fresh);
      on.wire = [];
      order(on, 1, everybody);
      expect(on.executed()).toEqual([1, 1, 1, 1]);
      expect(on.state(3)["pending"]).toBe(0);
      on.advance(10_000);
      expect(on.views()).toEqual([0, 0, 0, 0]);
    });

    it("A68: end it also when a state transfer brings them", () => {
      const on = new Rig();
      on.ask(3, fresh);
      on.wire = [];
      on.partition([0, 1, 2], [3]);
      for (let slot = 1; slot <= 4; slot++) {
        const proposal = on.proposal(0, 0, slot, slot === 1 ? everybody : [on.request(1, slot)]);
        for (const id of [0, 1, 2]) on.receive(id, proposal);
        on.settle();
      }
      expect(on.executed()).toEqual([4, 4, 4, 0]);
      on.heal();
      // The relay of what it waits for is lost, lest somebody tell it.
      on.advance(900, (_from, _to, message) => message.kind !== "request");
      expect(on.state(3)).toMatchObject({ executed: 4, rows: openClientLimits.openClients + 1, pending: 0 });
    });

    it("A68: let nobody wait for a late client whom a traitor proposes", () => {
      const on = new Rig();
      order(on, 1, everybody);
      for (const id of [1, 2, 3]) on.receive(id, on.proposal(0, 0, 3, [fresh]));
      expect([1, 2, 3].map((id) => on.state(id)["pending"])).toEqual([0, 0, 0]);
      on.advance(10_000);
      expect(on.views()).toEqual([0, 0, 0, 0]);
    });
  });

  it("A68: hold results of `openResultBytes`: without room for one more nothing takes effect, until the window moves on", () => {
    const wide = { clientWindow: 2, resultBytes: 16 * 1024 * 1024 };
    const table = new ClientTable(wide);
    const big = new Uint8Array(wide.resultBytes);
    const [a, b, c] = [rig.openClient(1), rig.openClient(2), rig.openClient(3)];
    for (const client of [a, b]) for (const number of [1, 2]) table.record(client.request(number).message, big);
    expect(table.hasRoomFor(c.id)).toBe(false);
    expect(table.hasRoomFor(rig.request(1, 1).message.sender)).toBe(true);
    table.record(a.request(3).message, new Uint8Array(0));
    expect(table.hasRoomFor(c.id)).toBe(true);
  });

  /** A service whose every result is as long as a result may be, so that four of them fill what there is for open clients. */
  function verbose(length: number): Service {
    return { execute: () => new Uint8Array(length).fill(1), snapshot: () => new Uint8Array(0), restore: () => undefined };
  }

  it("A68: when full, give the same empty result on every replica and change nothing", () => {
    const length = openClientLimits.openResultBytes / 4;
    const on = new Rig({ service: () => verbose(length), limits: { resultBytes: length } });
    const clients = Array.from({ length: 5 }, (_, key) => on.openClient(key));
    order(
      on,
      1,
      clients.map((client) => client.request(1)),
    );
    for (const effects of on.effects)
      expect(replies(effects).map(({ results }) => results[0]?.result.length)).toEqual([...Array(4).fill(length), 0]);
    expect(on.cores.map((core) => core.inspect()["rows"])).toEqual([4, 4, 4, 4]);
    expect(on.state(1)["pending"]).toBe(0);
  });
});
