/** docs/protocol.md A.6: when a replica suspects its primary, and when it must not. T is 1 s, Tmax 8 s. */
import { describe, expect, it } from "vitest";
import { clientId } from "../../src/core/ids.ts";
import { commit, digestIn, enterView, invalidProposal, leave, prepare, someDigest, viewChange } from "../support/forge.ts";
import { type PbftEffect, Rig, sent } from "../support/rig.ts";

const state = someDigest("state");

/** Milliseconds until the view timer of `id` fires; undefined when it does not run. */
function viewTimer(rig: Rig, id: number): number | undefined {
  const at = rig.timers[id]?.get("view");
  return at === undefined ? undefined : at - rig.now;
}

/** The views that `id` asked for, in order. */
function asked(rig: Rig, id: number): number[] {
  const views = sent(rig.effects[id] ?? [], "view-change").map(({ message }) => message.view as number);
  return [...new Set(views)];
}

/** Replicas 1 to 3 work; the primary's proposals are made by hand. */
function withPrimaryByHand(): Rig {
  const rig = new Rig();
  rig.partition([0], [1, 2, 3]);
  return rig;
}

function proposeByHand(rig: Rig, slot: number, requests: Parameters<Rig["proposal"]>[3]): void {
  const proposal = rig.proposal(0, 0, slot, requests);
  for (const id of [1, 2, 3]) rig.receive(id, proposal);
  rig.settle();
}

describe("the view timer", () => {
  it("rule 41: an idle cluster runs none and changes no view", () => {
    const rig = new Rig();
    rig.advance(60_000);
    rig.order(1, 1);
    rig.advance(60_000);
    expect(rig.cluster.replicas.map((id) => viewTimer(rig, id))).toEqual([undefined, undefined, undefined, undefined]);
    expect(rig.views()).toEqual([0, 0, 0, 0]);
  });

  it("rule 41: it runs while a request is pending and stops when that executes", () => {
    const rig = new Rig();
    rig.ask(2, rig.request(1, 1));
    expect(viewTimer(rig, 2)).toBe(1_000);
    rig.settle();
    expect(rig.executed()).toEqual([1, 1, 1, 1]);
    expect(viewTimer(rig, 2)).toBeUndefined();
  });

  it("rule 41: a request that is known only from a proposal counts too (A17)", () => {
    const rig = new Rig();
    rig.receive(1, rig.proposal(0, 0, 1, [rig.request(1, 1)]));
    expect(viewTimer(rig, 1)).toBe(1_000);
  });

  it("rule 41: what the primary must refuse starts no timer", () => {
    const rig = new Rig({ limits: { clientWindow: 4, operationBytes: 8 } });
    rig.order(1, 100);
    rig.ask(1, rig.request(1, 100));
    rig.ask(1, rig.request(1, 96));
    rig.ask(1, rig.request(1, 101, "far too long"));
    rig.receive(1, invalidProposal(rig, 2, [rig.request(1, 102)]));
    expect(viewTimer(rig, 1)).toBeUndefined();
  });

  it("rule 41, A65: a request stops being pending when its number executes with another operation", () => {
    const rig = withPrimaryByHand();
    rig.ask(1, rig.request(1, 1, "one"));
    rig.ask(2, rig.request(1, 1, "other"));
    proposeByHand(rig, 1, [rig.request(1, 1, "one")]);
    for (const id of [1, 2, 3]) rig.receive(id, commit(rig, 0, 0, 1, digestIn(rig.proposal(0, 0, 1, [rig.request(1, 1, "one")]))));
    expect(rig.executed()).toEqual([0, 1, 1, 1]);
    expect([1, 2, 3].map((id) => viewTimer(rig, id))).toEqual([undefined, undefined, undefined]);
  });

  it("rule 41, A67: a request stops being pending when its number falls to the client's floor", () => {
    const rig = new Rig({ limits: { clientWindow: 4 } });
    rig.ask(1, rig.request(1, 1));
    rig.wire = [];
    rig.order(1, 1_000);
    expect(rig.executed()).toEqual([1, 1, 1, 1]);
    expect(viewTimer(rig, 1)).toBeUndefined();
    rig.advance(10_000);
    expect(rig.views()).toEqual([0, 0, 0, 0]);
  });

  it("rule 42: serving one client does not hide that another is starved (A27)", () => {
    const rig = withPrimaryByHand();
    for (const id of [1, 2, 3]) rig.ask(id, rig.request(2, 1));
    for (let number = 1; number <= 4; number++) {
      rig.ask(1, rig.request(1, number));
      proposeByHand(rig, number, [rig.request(1, number)]);
      rig.advance(240);
    }
    expect(rig.executed()[1]).toBe(4);
    expect(rig.views()).toEqual([0, 0, 0, 0]);
    rig.advance(100);
    expect(rig.views()).toEqual([0, 1, 1, 1]);
  });

  it("rule 42: ordering a client's old requests again does not hide that its new one is starved (A19, A27)", () => {
    const rig = withPrimaryByHand();
    proposeByHand(rig, 1, [rig.request(1, 1)]);
    for (const id of [1, 2, 3]) rig.ask(id, rig.request(1, 2));
    for (let slot = 2; slot <= 5; slot++) {
      proposeByHand(rig, slot, [rig.request(1, 1)]);
      rig.advance(240);
    }
    expect(rig.executed()[1]).toBe(5);
    rig.advance(100);
    expect(rig.views()).toEqual([0, 1, 1, 1]);
  });

  it("rule 42: a client's backlog is not summed up: as long as it is served, nobody is suspected", () => {
    const rig = withPrimaryByHand();
    for (let number = 1; number <= 16; number++) for (const id of [1, 2, 3]) rig.ask(id, rig.request(1, number));
    for (let number = 1; number <= 16; number++) {
      rig.advance(900);
      proposeByHand(rig, number, [rig.request(1, number)]);
    }
    expect(rig.now).toBeGreaterThan(14_000);
    expect(rig.views()).toEqual([0, 0, 0, 0]);
    expect(rig.executed()[1]).toBe(16);
  });

  it("rule 42: a client that tells the primary one half of a flood and the backups the other deposes nobody (A68)", () => {
    const rig = new Rig();
    for (let number = 1; number <= 16; number++) rig.ask(0, rig.request(1, number));
    for (let number = 17; number <= 32; number++) for (const id of [1, 2, 3]) rig.ask(id, rig.request(1, number));
    rig.settle();
    rig.advance(10_000);
    expect(rig.views()).toEqual([0, 0, 0, 0]);
  });

  it("rule 42: the primary takes the clients in turn", () => {
    const rig = new Rig({ limits: { pipeline: 1, batchRequests: 2 } });
    rig.ask(0, rig.request(1, 1));
    for (let number = 2; number <= 6; number++) rig.ask(0, rig.request(1, number));
    rig.ask(0, rig.request(2, 1));
    rig.settle();
    const served = sent(rig.effects[0] ?? [], "pre-prepare").map(({ batch }) =>
      batch?.valid ? batch.requests.map(({ message }) => message.sender) : [],
    );
    expect(served.slice(0, 3)).toEqual([[clientId(1)], [clientId(1), clientId(2)], [clientId(1), clientId(1)]]);
  });

  it("rule 42: on entering a view the age of what is pending starts anew (rule 47)", () => {
    const rig = new Rig();
    rig.ask(3, rig.request(1, 1));
    rig.now = 900;
    enterView(rig, 3, 1);
    expect(viewTimer(rig, 3)).toBe(1_000);
  });

  it("A23: a silent primary is replaced within T, the `viewTimeoutMs`, and the request executes", () => {
    const rig = withPrimaryByHand();
    for (const id of [1, 2, 3]) rig.ask(id, rig.request(1, 1));
    rig.advance(1_100);
    expect(rig.views()).toEqual([0, 1, 1, 1]);
    expect(rig.executed()).toEqual([0, 1, 1, 1]);
  });

  it("A49: two silent primaries in a row cost two view changes, the second waiting T for the NEW-VIEW", () => {
    const rig = new Rig({ n: 7 });
    rig.partition([0], [1], [2, 3, 4, 5, 6]);
    for (const id of [2, 3, 4, 5, 6]) rig.ask(id, rig.request(1, 1));
    rig.advance(1_900);
    expect(rig.views().slice(2)).toEqual([1, 1, 1, 1, 1]);
    rig.advance(300);
    expect(rig.views().slice(2)).toEqual([2, 2, 2, 2, 2]);
    expect(rig.executed().slice(2)).toEqual([1, 1, 1, 1, 1]);
  });
});

describe("waiting for a NEW-VIEW", () => {
  it("rule 43: an isolated replica's view grows by one and no more", () => {
    const rig = new Rig();
    rig.partition([3], [0, 1, 2]);
    rig.ask(3, rig.request(1, 1));
    rig.advance(120_000);
    expect(rig.state(3)).toMatchObject({ view: 1, active: false });
    expect(asked(rig, 3)).toEqual([1]);
  });

  it("rule 43: the wait begins with the q-th view change for this view or a later one", () => {
    const rig = new Rig({ n: 7 });
    leave(rig, 3, 1, [2, 4, 5]);
    expect(viewTimer(rig, 3)).toBeUndefined();
    rig.now += 5_000;
    rig.receive(3, viewChange(rig, 6, 9));
    expect(viewTimer(rig, 3)).toBe(1_000);
  });

  it("rule 43, rule 46: each wait in vain doubles the next one, up to Tmax, the `viewTimeoutMaxMs`", () => {
    const rig = new Rig({ n: 16 });
    const others = rig.cluster.replicas.slice(0, rig.cluster.quorums.order);
    const waits: (number | undefined)[] = [];
    for (let view = 1; view <= 12; view++) {
      for (const id of others) rig.receive(15, viewChange(rig, id, view));
      expect(rig.state(15)).toMatchObject({ view, active: false });
      const wait = viewTimer(rig, 15);
      waits.push(wait);
      rig.now += wait ?? 0;
      rig.timeout(15, "view");
      expect(rig.state(15).view).toBe(view + 1);
    }
    expect(waits).toEqual([1_000, 2_000, 4_000, 8_000, 8_000, 8_000, 8_000, 8_000, 8_000, 8_000, 8_000, 8_000]);
  });

  it("rule 43: a view that is entered and orders nothing new is left after the doubled time", () => {
    const rig = new Rig();
    rig.ask(3, rig.request(1, 1));
    rig.now = 1_000;
    rig.timeout(3, "view");
    enterView(rig, 3, 1);
    rig.now += viewTimer(rig, 3) ?? 0;
    rig.timeout(3, "view");
    expect(rig.state(3)).toMatchObject({ view: 2, active: false });
    for (const id of [0, 1, 2]) rig.receive(3, viewChange(rig, id, 2));
    expect(viewTimer(rig, 3)).toBe(2_000);
  });

  it("rule 46: the timeout shrinks again as requests execute", () => {
    const rig = new Rig();
    for (let view = 1; view <= 6; view++) leave(rig, 3, view, [1, 2]);
    expect(rig.state(3)["failures"]).toBe(4);
    enterView(rig, 3, 6);
    rig.ask(3, rig.request(2, 1));
    expect(viewTimer(rig, 3)).toBe(8_000);
    for (let slot = 1; slot <= 8; slot++) {
      const proposal = rig.proposal(2, 6, slot, [rig.request(1, slot)]);
      rig.receive(3, proposal);
      for (const id of [0, 1, 2]) rig.receive(3, commit(rig, id, 6, slot, digestIn(proposal)));
    }
    expect(rig.state(3)).toMatchObject({ executed: 8, failures: 3 });
  });

  it("rule 46: no timer is ever set beyond Tmax, whatever happens", () => {
    const rig = new Rig();
    for (let view = 1; view <= 200; view++) {
      leave(rig, 3, view * 3, [1, 2]);
      rig.receive(3, viewChange(rig, 0, view * 3));
    }
    rig.receive(3, rig.proposal(0, 0, 1, [rig.request(1, 1)], Number.MAX_SAFE_INTEGER));
    rig.advance(60_000, () => false);
    const set = rig.effects.flatMap((effects) => effects.flatMap((effect) => (effect.type === "set-timer" ? [effect.ms] : [])));
    expect(set.length).toBeGreaterThan(10);
    for (const ms of set) expect(Number.isSafeInteger(ms) && ms >= 0 && ms <= 8_000).toBe(true);
  });

  it("rule 47: the view timer rests while a state is fetched, and the age starts anew when it is there", () => {
    const source = new Rig();
    for (let number = 1; number <= 4; number++) {
      source.ask(0, source.request(1, number));
      source.settle((from, to) => from !== 3 && to !== 3);
    }
    source.wire = [];
    source.ask(3, source.request(2, 1));
    source.wire = [];
    expect(viewTimer(source, 3)).toBe(1_000);
    const [first, second] = [0, 1].map((id) => sent(source.effects[id] ?? [], "checkpoint")[0]);
    if (!first || !second) throw new Error("no checkpoints");
    for (const vote of [first, second]) source.receive(3, vote);
    source.advance(800, (from, to) => from !== 3 && to !== 3);
    expect(source.state(3)["transfer"]).toBe(4);
    expect(viewTimer(source, 3)).toBeUndefined();
    source.advance(3_000, (from, to) => from !== 3 && to !== 3);
    expect(source.state(3)).toMatchObject({ view: 0, active: true });
    for (let waited = 0; waited < 2_000 && source.state(3)["transfer"] !== undefined; waited += 50) {
      source.advance(50, (_from, _to, { kind }) => kind !== "request");
    }
    expect(source.executed()[3]).toBe(4);
    expect(viewTimer(source, 3)).toBeGreaterThanOrEqual(950);
    expect(asked(source, 3)).toEqual([]);
  });

  it("rule 47: a fetch that was overtaken by ordinary progress does not stop the timer for good", () => {
    const rig = new Rig();
    for (const id of [1, 2]) rig.receive(3, rig.checkpoint(id, 4, state));
    rig.advance(900, () => false);
    expect(rig.state(3)["transfer"]).toBe(4);
    for (let slot = 1; slot <= 4; slot++) {
      const proposal = rig.proposal(0, 0, slot, [rig.request(1, slot)]);
      rig.receive(3, proposal);
      for (const id of [0, 1, 2]) rig.receive(3, commit(rig, id, 0, slot, digestIn(proposal)));
    }
    expect(rig.executed()[3]).toBe(4);
    rig.ask(3, rig.request(2, 1));
    rig.advance(3_000, () => false);
    expect(asked(rig, 3)).toEqual([1]);
  });

  it("rule 48: jumps of the wall clock move no timer", () => {
    const rig = new Rig();
    const day = 86_400_000;
    const jump = (by: number): PbftEffect[] =>
      rig.step(1, {
        type: "request",
        now: rig.now,
        wall: { earliest: rig.wallTime + by, latest: rig.wallTime + by },
        request: rig.request(1, 1),
      });
    jump(day);
    rig.now += 500;
    jump(-day);
    rig.now += 400;
    jump(365 * day);
    expect(viewTimer(rig, 1)).toBe(100);
    rig.now += 50;
    rig.timeout(1, "view");
    expect(rig.state(1)).toMatchObject({ view: 0, active: true });
  });

  it("rule 49: a primary whose own proposals do not commit leaves its view too", () => {
    const rig = new Rig();
    rig.ask(0, rig.request(1, 1));
    expect(viewTimer(rig, 0)).toBe(1_000);
    rig.advance(1_000, () => false);
    expect(rig.state(0)).toMatchObject({ view: 1, active: false });
  });

  it("rule 49: a primary joins f+1 others as anybody does", () => {
    const rig = new Rig();
    leave(rig, 0, 1, [2, 3]);
    expect(rig.state(0)).toMatchObject({ view: 1, active: false });
  });

  it("rule 41: a timer that fires although nothing waits long enough moves nobody", () => {
    const rig = new Rig();
    rig.timeout(3, "view");
    rig.ask(3, rig.request(1, 1));
    rig.now = 999;
    rig.timeout(3, "view");
    expect(rig.state(3)).toMatchObject({ view: 0, active: true });
    expect(viewTimer(rig, 3)).toBe(1);
    rig.receive(3, prepare(rig, 2, 0, 1, state));
    rig.now = 1_000;
    rig.timeout(3, "view");
    expect(rig.state(3)).toMatchObject({ view: 1, active: false });
  });
});
