/** docs/protocol.md A.10 (rule 81) and A.13: a core is a function of its inputs, and no input makes it throw. */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Verified } from "../../src/core/message.ts";
import type { PbftMessage } from "../../src/protocols/pbft/index.ts";
import {
  bare,
  bodyOf,
  certificate,
  checkpointProof,
  commit,
  fetch,
  invalidProposal,
  newView,
  prepare,
  prepared,
  snapshotOf,
  someDigest,
  status,
  viewChange,
} from "../support/forge.ts";
import { outline, Rig, rejected, sent } from "../support/rig.ts";

/** A short history with a checkpoint, a view change and a laggard; returns all effects of all replicas. */
function drama(): string {
  const rig = new Rig();
  for (let number = 1; number <= 5; number++) rig.order(1 + (number % 2), number);
  rig.partition([0], [1, 2, 3]);
  for (const id of [1, 2, 3]) rig.ask(id, rig.request(1, 9));
  rig.advance(4_000);
  rig.heal();
  rig.advance(2_000);
  return JSON.stringify(rig.effects, (_key, value: unknown) => (value instanceof Uint8Array ? String(value) : value));
}

describe("a core", () => {
  it("rule 92, rule 81: gives the same effects for the same inputs", () => {
    const first = drama();
    expect(first).toContain("new-view");
    expect(drama()).toBe(first);
  });

  it("rule 93: of two proposals for one slot that arrive together one PREPARE leaves", () => {
    const rig = new Rig();
    const effects = [
      ...rig.receive(1, rig.proposal(0, 0, 1, [rig.request(1, 1)])),
      ...rig.receive(1, rig.proposal(0, 0, 1, [rig.request(1, 2)])),
    ];
    expect(sent(effects, "prepare")).toHaveLength(1);
  });

  it("rule 94: nothing that a traitor signs makes it throw or breaks what must hold after every step", () => {
    const numbers = fc.oneof(fc.integer({ min: 0, max: 20 }), fc.constantFrom(2 ** 31, 2 ** 32, 2 ** 53 - 1));
    const spec = fc.record({
      kind: fc.integer({ min: 0, max: 13 }),
      by: fc.integer({ min: 0, max: 3 }),
      x: numbers,
      y: numbers,
      to: fc.integer({ min: 0, max: 3 }),
    });
    fc.assert(
      fc.property(fc.array(spec, { maxLength: 60 }), (script) => {
        const rig = new Rig();
        for (const step of script) {
          rig.receive(step.to, anything(rig, step));
          rig.now += step.kind;
        }
        rig.settle();
        rig.advance(3_000);
        const histories = rig.cluster.replicas.map((id) => rig.decisions(id));
        for (const history of histories) expect(history.map(({ slot }) => slot)).toEqual(history.map((_, index) => index + 1));
      }),
      { numRuns: 200, seed: 1 },
    );
  });

  it("rule 36: once stopped it does nothing any more", () => {
    const rig = new Rig();
    rig.order(1, 1);
    for (const voter of [0, 2, 3]) rig.receive(1, commit(rig, voter, 7, 1, someDigest("other")));
    expect(rig.state(1).halted).toBe(true);
    expect(outline(rig.ask(1, rig.request(1, 2)))).toEqual([]);
    const heard = rig.receive(1, viewChange(rig, 0, 1));
    expect(rejected(heard)).toEqual(["halted"]);
    expect(outline(heard)).toEqual([]);
    expect(rig.timeout(1, "status")).toEqual([]);
  });
});

/** One message out of small numbers: mostly nonsense, always well signed. */
function anything(rig: Rig, { kind, by, x, y }: { kind: number; by: number; x: number; y: number }): Verified<PbftMessage> {
  const digest = someDigest(String(x % 3));
  const proposal = rig.proposal(by, x, y, [rig.request(1, 1 + (x % 3))]);
  const made: readonly (() => Verified<PbftMessage>)[] = [
    () => proposal,
    () => bare(rig, x % 8, y, digest, by),
    () => invalidProposal(rig, y, [rig.request(1, 1)]),
    () => prepare(rig, by, x, y, digest),
    () => commit(rig, by, x, y, digest),
    () => rig.checkpoint(by, y, digest),
    () => viewChange(rig, by, x, { stable: 4 * (y % 3), checkpoints: y % 3 === 0 ? [] : checkpointProof(rig, 4 * (y % 3), digest) }),
    () => viewChange(rig, by, x, { prepared: [prepared(rig, x % 3, y, digest)] }),
    () =>
      newView(
        rig,
        x,
        [0, 1, 2].map((id) => viewChange(rig, id, x)),
        [[y, digest]],
      ),
    () => status(rig, by, { view: x, executed: y, stable: x, active: y % 2 === 0, prepared: [y % 9], committed: [x % 9] }),
    () => fetch(rig, by, x % 2 === 0 ? "batch" : "snapshot", digest, y),
    () => bodyOf(rig, by, proposal),
    () => snapshotOf(rig, by, y, Uint8Array.of(x % 256)),
    () => certificate(rig, by, [commit(rig, by, x, y, digest), rig.checkpoint(by, y, digest)]),
  ];
  return (made[kind] ?? (() => proposal))();
}
