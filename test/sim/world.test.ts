/** The world itself, below scenarios: real cores and clients, with the network and the watcher in the test's hands. */
import { describe, expect, it } from "vitest";
import { createClientCore } from "../../src/client/client-core.ts";
import type { Core } from "../../src/core/contract.ts";
import { clientId, type NodeName, replicaId } from "../../src/core/ids.ts";
import { nobleDigest } from "../../src/crypto/digest.ts";
import { symbolicScheme } from "../../src/crypto/symbolic.ts";
import { type PbftMessage, type PbftRecord, pbft } from "../../src/protocols/pbft/index.ts";
import { createKeyValueStore, kv } from "../../src/services/key-value.ts";
import { World } from "../../src/sim/world.ts";
import { createReplicaSeal } from "../../src/wire/seal.ts";
import { testCluster } from "../support/keys.ts";
import { clientSeal, openerOf } from "../support/wire.ts";

/** ms since 1970, at virtual time 0 of every run. */
const wallAtStart = 1_800_000_000_000;

type PbftCore = Core<PbftMessage, PbftRecord>;

interface Options {
  readonly route?: (from: NodeName, to: NodeName, now: number) => readonly number[];
  readonly checked?: boolean;
  readonly wrap?: (core: PbftCore) => PbftCore;
}

/** Four replicas and a client; `heard` has what the watcher was told, in order. */
function worldOf({ route = () => [1], checked = false, wrap = (core) => core }: Options = {}) {
  const test = testCluster(4, { scheme: symbolicScheme() });
  const { cluster, scheme, replicaSecrets } = test;
  const heard: { at: number; event: string; from?: string; to?: string; kind?: string; slot?: number }[] = [];
  const seal = clientSeal(test, 1);
  const world: World<PbftMessage, PbftRecord> = new World({
    cluster,
    opener: openerOf(test, { signaturesKept: 0 }),
    checked,
    createReplica: (self) =>
      wrap(
        pbft.createCore({
          self,
          cluster,
          digest: nobleDigest,
          service: createKeyValueStore(),
          seal: createReplicaSeal<PbftMessage>({
            schemas: pbft.messages,
            cluster: cluster.id,
            sender: self,
            incarnation: 0,
            sign: (bytes) => scheme.sign(replicaSecrets[self] ?? new Uint8Array(32), bytes),
          }),
        }),
      ),
    createClient: (self) => createClientCore({ self, cluster, seal: (request) => seal(request), digest: nobleDigest }),
    route,
    watcher: {
      sent: (from, to, _message, { kind }) => heard.push({ at: world.now, event: "sent", from, to, kind }),
      received: (from, to, _message, { kind }) => heard.push({ at: world.now, event: "received", from, to, kind }),
      dropped: (from, to, { kind }, reason) => heard.push({ at: world.now, event: `dropped: ${reason}`, from, to, kind }),
      rejected: (node, { code }) => heard.push({ at: world.now, event: `rejected: ${code}`, to: node }),
      replicaDid: (id, effect) => {
        if (effect.type === "decide") heard.push({ at: world.now, event: "decide", from: `replica-${id}`, slot: effect.slot });
        if (effect.type === "set-timer") heard.push({ at: world.now, event: `set ${effect.timer}`, from: `replica-${id}` });
      },
      clientDid: (_id, effect) => {
        if (effect.type === "return") heard.push({ at: world.now, event: "return" });
      },
    },
  });
  const begin = (): void => {
    for (const id of cluster.replicas) world.start(id);
    world.stepClient(clientId(1), { type: "start", now: 0 });
  };
  const put = (): void => world.stepClient(clientId(1), { type: "invoke", now: world.now, operation: kv.put("key", "value") });
  const runUntil = (until: number): void => {
    while (world.advance(until));
  };
  const count = (event: string): number => heard.filter((entry) => entry.event === event).length;
  return { world, heard, begin, put, runUntil, count };
}

describe("virtual time", () => {
  it("moves from event to event, and to where it is told when there is none left", () => {
    const { world } = worldOf();
    const seen: number[] = [];
    for (const at of [7, 3, 11]) world.at(at, () => seen.push(world.now));
    expect(world.advance(10)).toBe(true);
    expect(world.advance(10)).toBe(true);
    expect(world.advance(10)).toBe(false);
    expect(seen).toEqual([3, 7]);
    expect(world.now).toBe(10);
    expect(world.advance(11)).toBe(true);
    expect(seen).toEqual([3, 7, 11]);
  });

  it("never runs backwards: what was due in the past happens now", () => {
    const { world } = worldOf();
    world.advance(50);
    const seen: number[] = [];
    world.at(20, () => seen.push(world.now));
    world.advance(100);
    expect(seen).toEqual([50]);
  });

  it("takes as long as the network says", () => {
    const { heard, begin, put, runUntil } = worldOf({ route: () => [10] });
    begin();
    put();
    runUntil(200);
    // Request, pre-prepare, prepare, commit, reply: five hops.
    expect(heard.find(({ event }) => event === "return")?.at).toBe(50);
  });

  it("is what replicas take for wall time, plus a constant", () => {
    const walls: number[] = [];
    const { begin, put, runUntil } = worldOf({
      wrap: (core) => ({
        ...core,
        step: (input) => {
          if ("wall" in input)
            walls.push(input.wall.earliest - wallAtStart - Math.floor(input.now), input.wall.latest - wallAtStart - Math.floor(input.now));
          return core.step(input);
        },
      }),
    });
    begin();
    put();
    runUntil(100);
    expect(walls.length).toBeGreaterThan(20);
    expect(new Set(walls)).toEqual(new Set([-2, 2]));
  });
});

describe("the network of a world", () => {
  it("delivers as many copies as there are delays, each at its time", () => {
    const { heard, begin, runUntil } = worldOf({ route: () => [2, 5] });
    begin();
    runUntil(6);
    const arrivals = heard.filter(({ event, to, from }) => event === "received" && from === "replica-0" && to === "replica-1");
    expect(new Set(arrivals.map(({ at }) => at))).toEqual(new Set([2, 5]));
    expect(arrivals.filter(({ at }) => at === 2).length).toBe(arrivals.filter(({ at }) => at === 5).length);
  });

  it("says of every message without a delay that it is lost", () => {
    const { heard, begin, put, runUntil, count } = worldOf({ route: () => [] });
    begin();
    put();
    runUntil(1_000);
    expect(count("dropped: lost")).toBe(count("sent"));
    expect(count("sent")).toBeGreaterThan(10);
    expect(heard.some(({ event }) => event === "received")).toBe(false);
  });

  it("asks for the way with the time of sending", () => {
    const asked: number[] = [];
    const { heard, begin, put, runUntil } = worldOf({
      route: (_from, _to, now) => {
        asked.push(now);
        return [1];
      },
    });
    begin();
    put();
    runUntil(20);
    expect(asked).toEqual(heard.filter(({ event }) => event === "sent").map(({ at }) => at));
  });
});

describe("a replica of a world", () => {
  const two = replicaId(2);

  it("hears of its links when it starts, and so do those at the other end", () => {
    const { heard, begin } = worldOf();
    begin();
    const greetings = heard.filter(({ event, kind }) => event === "sent" && kind === "status").map(({ from, to }) => `${from} ${to}`);
    for (const [from, to] of [
      ["replica-3", "replica-0"],
      ["replica-0", "replica-3"],
    ])
      expect(greetings).toContain(`${from} ${to}`);
  });

  it("is up and running, then paused, then down", () => {
    const { world, begin } = worldOf();
    expect(world.inspect(two)).toMatchObject({ up: false, running: false });
    begin();
    expect(world.inspect(two)).toMatchObject({ up: true, running: true });
    world.pause(two);
    expect(world.inspect(two)).toMatchObject({ up: true, running: false });
    world.kill(two);
    expect(world.inspect(two)).toMatchObject({ up: false, running: false });
    world.start(two);
    expect(world.inspect(two)).toMatchObject({ up: true, running: true, executed: 0 });
  });

  it("forgets its timers when it is killed: none of an earlier life fires", () => {
    const fired = (restarted: boolean): Set<string> => {
      const timers = new Set<string>();
      const { world, begin, put, runUntil } = worldOf({
        wrap: (core) => ({
          ...core,
          step: (input) => {
            if (input.type === "timeout") timers.add(input.timer);
            return core.step(input);
          },
        }),
        // The request reaches it at 251, and nothing else ever does: its view timer runs until 751.
        route: (from) => (from === "client-1" ? [1] : []),
      });
      begin();
      put();
      for (const id of [0, 1, 3]) world.kill(replicaId(id));
      runUntil(400);
      if (restarted) {
        world.kill(two);
        world.start(two);
      }
      runUntil(752);
      return timers;
    };
    expect(fired(false)).toEqual(new Set(["status", "view"]));
    expect(fired(true)).toEqual(new Set(["status"]));
  });

  it("says where its recovered state ends before it does anything", () => {
    const { world, heard, begin, put, runUntil } = worldOf();
    begin();
    put();
    runUntil(100);
    world.kill(two);
    const before = heard.length;
    const announced: number[] = [];
    world.start(two, "kept", (slot) => announced.push(slot, heard.length - before));
    expect(announced).toEqual([0, 0]);
    expect(heard.length).toBeGreaterThan(before);
  });

  it("decides again what it had decided above its last snapshot, from the proofs of the others", () => {
    const { world, heard, begin, put, runUntil } = worldOf();
    begin();
    put();
    runUntil(100);
    world.kill(two);
    world.start(two);
    runUntil(300);
    expect(heard.filter(({ event, from }) => event === "decide" && from === "replica-2").map(({ slot }) => slot)).toEqual([1, 1]);
  });

  it("has its invariants checked after each step, if they are to be", () => {
    const counted = (checked: boolean): { steps: number; checks: number } => {
      const counts = { steps: 0, checks: 0 };
      const { begin, put, runUntil } = worldOf({
        checked,
        wrap: (core) => ({
          ...core,
          step: (input) => {
            counts.steps += input.type === "start" ? 0 : 1;
            return core.step(input);
          },
          assertInvariants: () => {
            counts.checks += 1;
            core.assertInvariants();
          },
        }),
      });
      begin();
      put();
      runUntil(50);
      return counts;
    };
    const [off, on] = [counted(false), counted(true)];
    expect(off.checks).toBe(0);
    expect(on.checks).toBe(on.steps);
    expect(on.steps).toBeGreaterThan(20);
    expect(on.steps).toBe(off.steps);
  });
});
