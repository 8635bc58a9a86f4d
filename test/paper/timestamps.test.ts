/** docs/protocol.md A.10: agreed time. The bound delta is 10 s; a replica's own wall interval is its time give or take 2 ms. */
import { describe, expect, it } from "vitest";
import { bare, bodyOf, commit, digestIn, prepare } from "../support/forge.ts";
import { outline, Rig, rejected, sent, votes } from "../support/rig.ts";

const delta = 10_000;
const year = 365 * 86_400_000;

/** What replica 1 does with a proposal whose time lies `offset` ms from its own. */
function proposedAt(offset: number): { rig: Rig; proposal: ReturnType<Rig["proposal"]>; effects: ReturnType<Rig["receive"]> } {
  const rig = new Rig();
  const proposal = rig.proposal(0, 0, 1, [rig.request(1, 1)], rig.wallTime + offset);
  return { rig, proposal, effects: rig.receive(1, proposal) };
}

describe("admitting a timestamp", () => {
  it.each([0, 1, -1, delta, -delta, delta + 2, -delta - 2])("rule 79: %i ms from the own clock is within `timestampBoundMs`", (offset) => {
    expect(votes(proposedAt(offset).effects)).toEqual(["send prepare"]);
  });

  it("rule 79, A31: a time too far behind is refused", () => {
    const { effects } = proposedAt(-delta - 3);
    expect(rejected(effects)).toEqual(["timestamp-behind"]);
    expect(outline(effects)).toEqual([]);
  });

  it("rule 79: a time too far ahead is held, and prepared as soon as the own clock allows it", () => {
    const { rig, effects } = proposedAt(delta + 1_002);
    expect(rejected(effects)).toEqual(["timestamp-ahead"]);
    expect(outline(effects)).toEqual([]);
    rig.advance(990, () => false);
    expect(votes(rig.effects[1] ?? [])).toEqual([]);
    rig.advance(100, () => false);
    expect(votes(rig.effects[1] ?? [])).toEqual(["send prepare"]);
  });

  it("rule 79, A31: a time in the far future is never prepared, and costs the primary its view", () => {
    const { rig, proposal } = proposedAt(year);
    rig.partition([0], [1, 2, 3]);
    for (const id of [2, 3]) rig.receive(id, proposal);
    for (const id of [1, 2, 3]) rig.ask(id, rig.request(1, 1));
    rig.advance(3_000);
    expect(rig.views()).toEqual([0, 1, 1, 1]);
    expect(rig.executed()).toEqual([0, 1, 1, 1]);
    for (const id of [1, 2, 3]) {
      expect(rig.decisions(id)[0]?.digest).not.toBe(digestIn(proposal));
      expect(rig.state(id)["clock"]).toBeLessThan(rig.wallTime + delta);
    }
  });

  it.each([
    ["far ahead", year],
    ["far behind", -year],
  ])("rule 79, A31, A34: withholding the body does not get a time %s past the check", (_what, offset) => {
    const rig = new Rig();
    const proposal = rig.proposal(0, 0, 1, [rig.request(1, 1)], rig.wallTime + offset);
    rig.receive(1, bare(rig, 0, 1, digestIn(proposal)));
    expect(votes(rig.receive(1, bodyOf(rig, 2, proposal)))).toEqual([]);
    const repeated = new Rig();
    repeated.receive(1, bare(repeated, 0, 1, digestIn(proposal)));
    expect(votes(repeated.receive(1, proposal))).toEqual([]);
  });

  it("rule 79: the time is part of what the digest binds: two times are two proposals", () => {
    const rig = new Rig();
    const requests = [rig.request(1, 1)];
    const first = rig.proposal(0, 0, 1, requests, rig.wallTime);
    const second = rig.proposal(0, 0, 1, requests, rig.wallTime + 1);
    expect(digestIn(first)).not.toBe(digestIn(second));
    rig.receive(1, first);
    expect(rejected(rig.receive(1, second))).toEqual(["equivocation"]);
  });

  it("rule 79: a batch that q replicas committed executes whatever this replica's clock says (A80)", () => {
    const { rig, proposal } = proposedAt(-year);
    for (const voter of [2, 3]) rig.receive(1, prepare(rig, voter, 0, 1, digestIn(proposal)));
    for (const voter of [0, 2, 3]) rig.receive(1, commit(rig, voter, 0, 1, digestIn(proposal)));
    rig.receive(1, bodyOf(rig, 2, proposal));
    expect(rig.executed()[1]).toBe(1);
    expect(sent(rig.effects[1] ?? [], "prepare")).toEqual([]);
  });

  it("rule 79: the primary proposes the middle of its own wall interval", () => {
    const rig = new Rig();
    rig.now = 1_234;
    const [proposal] = sent(rig.ask(0, rig.request(1, 1)), "pre-prepare");
    expect(proposal?.batch).toMatchObject({ timestamp: rig.wallTime });
  });
});

describe("agreed time", () => {
  /** Executes batches with the given offsets, one per slot, and returns the agreed clock after each, relative to the first wall time. */
  function clocks(...offsets: readonly number[]): number[] {
    const rig = new Rig();
    const zero = rig.wallTime;
    return offsets.map((offset, index) => {
      const slot = index + 1;
      const proposal = rig.proposal(0, 0, slot, [rig.request(1, slot)], zero + offset);
      rig.receive(1, proposal);
      for (const voter of [0, 2, 3]) rig.receive(1, commit(rig, voter, 0, slot, digestIn(proposal)));
      return (rig.state(1)["clock"] as number) - zero;
    });
  }

  it("rule 80, A31: it is the largest time so far; an equal or past one is harmless and moves nothing", () => {
    expect(clocks(5, 5, 3, -9_000, 6)).toEqual([5, 5, 5, 5, 6]);
  });

  it("rule 80: many batches in one millisecond do not make it outrun real time", () => {
    expect(clocks(0, 0, 0, 0, 0, 0)).toEqual([0, 0, 0, 0, 0, 0]);
  });

  it("rule 80, rule 81: every replica hands the same time to the service, that of the batch and not its own", () => {
    const rig = new Rig();
    const seen: number[][] = rig.cluster.replicas.map(() => []);
    for (const [id, service] of rig.services.entries()) {
      const execute = service.execute.bind(service);
      service.execute = (operation, context) => {
        seen[id]?.push(context.clock);
        return execute(operation, context);
      };
    }
    const zero = rig.wallTime;
    rig.ask(0, rig.request(1, 1));
    rig.now += 700;
    rig.settle();
    rig.order(2, 1);
    expect(seen).toEqual(Array(4).fill([zero, zero + 700]));
  });
});
