/** What a replica does not want verified (A83): nothing that would have had an effect, and all of what floods are made of. */
import { describe, expect, it } from "vitest";
import type { Peek } from "../../src/core/contract.ts";
import type { ReplicaId } from "../../src/core/ids.ts";
import type { Verified } from "../../src/core/message.ts";
import { createRandom, type Random } from "../../src/core/random.ts";
import type { PbftMessage } from "../../src/protocols/pbft/index.ts";
import {
  bare,
  bodyOf,
  commit,
  enterView,
  leave,
  newView,
  prepare,
  sealNewView,
  snapshotOf,
  someDigest,
  viewChange,
} from "../support/forge.ts";
import { evidence, Rig } from "../support/rig.ts";

const peek = ({ message }: Verified<PbftMessage>): Peek => message as unknown as Peek;
const wants = (rig: Rig, id: number, message: Verified<PbftMessage>): boolean => rig.cores[id]?.wants(peek(message)) ?? false;

/** Any message that any replica could sign, near where the cluster is. */
function drawn(rig: Rig, random: Random): Verified<PbftMessage> {
  const by = random.next(4);
  const view = random.next(6);
  const slot = random.next(30);
  const digest = someDigest(["a", "b"][random.next(2)] ?? "a");
  const change = viewChange(rig, by, view + 1);
  switch (random.next(9)) {
    case 0:
      return bare(rig, view, slot, digest, random.next(2) === 0 ? view % 4 : by);
    case 1:
      return rig.proposal(view % 4, view, slot, [rig.request(1, 1 + random.next(9))]);
    case 2:
    case 3:
      return prepare(rig, by, view, slot, digest);
    case 4:
      return commit(rig, by, view, slot, digest);
    case 5:
      return rig.checkpoint(by, slot, digest);
    case 6:
      return change;
    case 7:
      return random.next(2) === 0 ? newView(rig, view + 1, [change]) : sealNewView(rig, view + 1, [], [], by);
    default:
      return bodyOf(rig, by, rig.proposal(view % 4, view, slot, [rig.request(2, 1)]));
  }
}

describe("what is not wanted", () => {
  it.each([1, 2, 3, 4, 5, 6])("would have had no effect, whatever it is and whenever it comes (seed %d)", (seed) => {
    const random = createRandom(seed);
    const rig = new Rig({ clients: 3 });
    const unwanted = new Map<string, number>();
    let requests = 0;
    for (let step = 0; step < 1_500; step++) {
      const id = random.next(4);
      const message = drawn(rig, random);
      const before = rig.state(id);
      const wanted = wants(rig, id, message);
      const effects = rig.receive(id, message);
      if (!wanted) {
        unwanted.set(message.message.kind, (unwanted.get(message.message.kind) ?? 0) + 1);
        // Timers follow the state, which is what it was.
        expect(effects.map(({ type }) => type)).toEqual(["reject"]);
        expect(rig.state(id)).toEqual(before);
      }
      if (step % 40 === 0) rig.ask(random.next(4), rig.request(3, ++requests));
      if (step % 25 === 0) rig.settle(() => random.next(10) < 9);
      if (step % 200 === 0) rig.advance(700);
    }
    for (const kind of ["pre-prepare", "prepare", "commit", "checkpoint", "view-change", "new-view", "batch-body"]) {
      expect(unwanted.get(kind) ?? 0, kind).toBeGreaterThan(10);
    }
  });

  it("A83: is what cannot matter: repetitions, votes far away, votes for what is settled, bodies that nobody asked for", () => {
    const rig = new Rig();
    const proposal = rig.proposal(0, 0, 1, [rig.request(1, 1)]);
    const { digest } = proposal.message;
    for (const message of [proposal, prepare(rig, 2, 0, 1, digest), commit(rig, 2, 0, 1, digest), rig.checkpoint(2, 4, digest)]) {
      expect(wants(rig, 1, message)).toBe(true);
      rig.receive(1, message);
      expect(wants(rig, 1, message)).toBe(false);
    }
    const useless = [
      prepare(rig, 2, 0, 17, digest),
      commit(rig, 2, 0, 17, digest),
      prepare(rig, 0, 0, 2, digest),
      bare(rig, 0, 2, digest, 2),
      rig.checkpoint(2, 5, digest),
      viewChange(rig, 2, 0),
      sealNewView(rig, 1, [], [], 2),
      bodyOf(rig, 2, rig.proposal(0, 0, 2, [rig.request(1, 2)])),
      snapshotOf(rig, 2, 4, Uint8Array.of(1)),
    ];
    expect(useless.map((message) => wants(rig, 1, message))).toEqual(useless.map(() => false));
  });

  it("A83: is what there is no room for until a view or the window moves", () => {
    const rig = new Rig();
    for (let slot = 1; slot <= 8; slot++) for (const view of [1, 2]) rig.receive(1, commit(rig, 3, view, 8 + slot, someDigest("x")));
    expect(wants(rig, 1, prepare(rig, 3, 2, 1, someDigest("x")))).toBe(false);
    expect(wants(rig, 1, prepare(rig, 0, 2, 1, someDigest("x")))).toBe(true);
    expect(wants(rig, 1, prepare(rig, 3, 0, 1, someDigest("x")))).toBe(true);
  });

  it("is never the second of two that contradict each other: together they are proof", () => {
    const rig = new Rig();
    const [a, b] = [rig.proposal(0, 0, 1, [rig.request(1, 1)]), rig.proposal(0, 0, 1, [rig.request(1, 2)])];
    const pairs: (readonly [Verified<PbftMessage>, Verified<PbftMessage>])[] = [
      [a, b],
      [prepare(rig, 2, 0, 1, a.message.digest), prepare(rig, 2, 0, 1, b.message.digest)],
      [commit(rig, 2, 0, 1, a.message.digest), commit(rig, 2, 0, 1, b.message.digest)],
      [rig.checkpoint(2, 4, a.message.digest), rig.checkpoint(2, 4, b.message.digest)],
      [
        viewChange(rig, 3, 1),
        viewChange(rig, 3, 1, { stable: 4, checkpoints: [0, 1, 2].map((id) => rig.checkpoint(id, 4, a.message.digest)) }),
      ],
    ];
    for (const [first, second] of pairs) {
      rig.receive(1, first);
      expect(wants(rig, 1, second), second.message.kind).toBe(true);
      expect(evidence(rig.receive(1, second)), second.message.kind).toHaveLength(1);
    }
    leave(rig, 1, 2, [0, 3]);
    enterView(rig, 1, 2, [0, 2, 3]);
    const entered = sealNewView(rig, 2, [{ sender: 0 as ReplicaId, digest: a.message.digest }], [], 2);
    expect(wants(rig, 1, entered)).toBe(true);
    expect(evidence(rig.receive(1, entered))).toHaveLength(1);
  });

  it("is not a body that is missing, nor a proposal that may bring it", () => {
    const rig = new Rig();
    const proposal = rig.proposal(0, 0, 1, [rig.request(1, 1)]);
    rig.receive(1, bare(rig, 0, 1, proposal.message.digest));
    expect(wants(rig, 1, proposal)).toBe(true);
    expect(wants(rig, 1, bodyOf(rig, 2, proposal))).toBe(true);
    rig.receive(1, bodyOf(rig, 2, proposal));
    expect(wants(rig, 1, proposal)).toBe(false);
    expect(wants(rig, 1, bodyOf(rig, 2, proposal))).toBe(false);
  });
});
