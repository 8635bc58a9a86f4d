/** docs/protocol.md A.4: checkpoints, watermarks, garbage collection. With K=4 and L=8 unless said otherwise. */
import { describe, expect, it } from "vitest";
import { bare, bodyOf, certificate, checkpointProof, commit, fetch, leave, prepare, someDigest, status } from "../support/forge.ts";
import { Rig, type RigOptions, rejected, sent, votes } from "../support/rig.ts";

const state = someDigest("state");
const otherState = someDigest("other state");

/** Orders requests 1..count of client 1, one per slot. */
function ordered(count: number, options: RigOptions = {}): Rig {
  const rig = new Rig(options);
  for (let number = 1; number <= count; number++) rig.order(1, number);
  return rig;
}

/** Digest of the CHECKPOINT that replica 1 sent for a slot. */
function checkpointOf(rig: Rig, slot: number): string {
  const [vote] = sent(rig.effects[1] ?? [], "checkpoint").filter(({ message }) => message.slot === slot);
  if (!vote) throw new Error(`no checkpoint at ${slot}`);
  return vote.message.digest;
}

describe("the window", () => {
  it("rule 24: the primary proposes up to H, one `window` above the stable checkpoint, and no further", () => {
    const rig = new Rig({ limits: { pipeline: 100 } });
    for (let number = 1; number <= 12; number++) {
      rig.ask(0, rig.request(1, number));
      rig.settle((_from, _to, message) => message.kind !== "checkpoint");
    }
    expect(rig.state(0)).toMatchObject({ executed: 8, stable: 0, nextSlot: 9 });
    expect(rig.executed()).toEqual([8, 8, 8, 8]);
    rig.advance(3_000);
    expect(rig.state(0)).toMatchObject({ stable: 8, pending: 0 });
    for (const service of rig.services) expect(service.snapshot().filter((byte) => byte === 255)).toHaveLength(12);
  });

  it("rule 24: with L = 2K the cluster goes on while a checkpoint stabilises", () => {
    const rig = new Rig();
    for (let number = 1; number <= 6; number++) {
      rig.ask(0, rig.request(1, number));
      rig.settle((_from, _to, message) => message.kind !== "checkpoint");
    }
    expect(rig.executed()).toEqual([6, 6, 6, 6]);
    expect(rig.state(0).stable).toBe(0);
  });
});

describe("taking checkpoints", () => {
  it("rule 25: exactly after the slots divisible by K, the `checkpointInterval`, all replicas the same ones", () => {
    const rig = ordered(13);
    for (const effects of rig.effects) {
      expect(sent(effects, "checkpoint").map(({ message }) => message.slot)).toEqual([4, 8, 12]);
    }
  });

  it("rule 25: never by time", () => {
    const rig = ordered(3);
    rig.advance(60_000);
    expect(rig.effects.flatMap((effects) => sent(effects, "checkpoint"))).toEqual([]);
  });

  it("rule 26: equal histories give equal digests", () => {
    expect(checkpointOf(ordered(4), 4)).toBe(checkpointOf(ordered(4), 4));
  });

  it("rule 26: the digest covers the slot: a no-op that changes no state still changes it", () => {
    const rig = new Rig({ limits: { checkpointInterval: 1, window: 4 } });
    rig.partition([0], [1, 2, 3]);
    for (const slot of [1, 2]) {
      for (const id of [1, 2, 3]) rig.receive(id, rig.proposal(0, 0, slot, [rig.request(1, 1)]));
      rig.settle();
    }
    expect(rig.executed()).toEqual([0, 2, 2, 2]);
    expect(rig.services[1]?.snapshot()).toHaveLength(4);
    expect(checkpointOf(rig, 1)).not.toBe(checkpointOf(rig, 2));
  });

  it("rule 26: the digest covers the agreed clock, the dedup table, the state and the cluster", () => {
    const digestAfter = (change: (rig: Rig) => void, options: RigOptions = {}): string => {
      const rig = new Rig({ limits: { checkpointInterval: 1, window: 4 }, ...options });
      change(rig);
      rig.settle();
      return checkpointOf(rig, 1);
    };
    const digests = [
      digestAfter((rig) => rig.ask(0, rig.request(1, 1, "x"))),
      digestAfter((rig) => rig.ask(0, rig.request(1, 1, "y"))),
      digestAfter((rig) => rig.ask(0, rig.request(1, 2, "x"))),
      digestAfter((rig) => rig.ask(0, rig.request(2, 1, "x"))),
      digestAfter((rig) => {
        rig.now = 1;
        rig.ask(0, rig.request(1, 1, "x"));
      }),
      digestAfter((rig) => rig.ask(0, rig.request(1, 1, "x")), { n: 5 }),
    ];
    expect(new Set(digests).size).toBe(digests.length);
  });
});

describe("stability", () => {
  it.each([4, 5, 6, 7, 10])("rule 27: among %i replicas the q-th equal CHECKPOINT moves the watermark", (n) => {
    const rig = new Rig({ n });
    const moved = rig.cluster.replicas.filter((id) => {
      if (id === 1 || rig.state(1).stable > 0) return false;
      rig.receive(1, rig.checkpoint(id, 4, state));
      return rig.state(1).stable === 4;
    });
    expect(moved).toEqual([rig.cluster.replicas.filter((id) => id !== 1)[rig.cluster.quorums.checkpoint - 1]]);
  });

  it("rule 27: one replica's CHECKPOINT counts once, and two different ones convict it", () => {
    const rig = new Rig();
    for (let again = 0; again < 5; again++) rig.receive(1, rig.checkpoint(2, 4, state));
    rig.receive(1, rig.checkpoint(3, 4, state));
    expect(rig.state(1).stable).toBe(0);
    expect(rejected(rig.receive(1, rig.checkpoint(2, 4, otherState)))).toEqual(["equivocation"]);
    expect(rig.effects[1]).toContainEqual(expect.objectContaining({ type: "evidence", culprit: 2, kind: "checkpoint" }));
  });

  it("rule 27, A55: a CHECKPOINT with another digest does not count, and the right q still form", () => {
    const rig = new Rig({ n: 5 });
    rig.receive(1, rig.checkpoint(2, 4, otherState));
    for (const id of [0, 3, 4]) rig.receive(1, rig.checkpoint(id, 4, state));
    expect(rig.state(1).stable).toBe(0);
    const cluster = new Rig();
    cluster.receive(1, cluster.checkpoint(3, 4, otherState));
    for (let number = 1; number <= 4; number++) cluster.order(1, number);
    expect(cluster.state(1).stable).toBe(4);
  });

  it("rule 27: CHECKPOINTs for different slots do not add up", () => {
    const rig = new Rig();
    rig.receive(1, rig.checkpoint(0, 4, state));
    rig.receive(1, rig.checkpoint(2, 8, state));
    rig.receive(1, rig.checkpoint(3, 12, state));
    expect(rig.state(1).stable).toBe(0);
  });

  it("rule 27: one's own checkpoint alone, or with fewer than q others, collects nothing", () => {
    const rig = new Rig();
    for (let number = 1; number <= 5; number++) {
      rig.ask(0, rig.request(1, number));
      rig.settle((from, _to, message) => message.kind !== "checkpoint" || from === 2);
    }
    expect(rig.state(1)).toMatchObject({ executed: 5, stable: 0 });
    expect(rejected(rig.receive(1, rig.proposal(0, 0, 1, [rig.request(1, 9)])))).toEqual(["equivocation"]);
  });

  it("rule 27: a proof moves the watermark of a replica that has executed nothing, and it fetches the state", () => {
    const rig = new Rig();
    for (const id of [0, 2, 3]) rig.receive(1, rig.checkpoint(id, 4, state));
    expect(rig.state(1)).toMatchObject({ stable: 4, executed: 0 });
    rig.advance(400, () => false);
    const asked = sent(rig.effects[1] ?? [], "fetch").map(({ message }) => message);
    expect(asked).toContainEqual(expect.objectContaining({ what: "snapshot", slot: 4, digest: state }));
  });

  it.each([
    ["q-1 signatures", (rig: Rig) => checkpointProof(rig, 4, state, [0, 2])],
    ["one signature twice", (rig: Rig) => checkpointProof(rig, 4, state, [0, 2, 2])],
    ["two digests", (rig: Rig) => [...checkpointProof(rig, 4, state, [0, 2]), rig.checkpoint(3, 4, otherState)]],
    ["two slots", (rig: Rig) => [...checkpointProof(rig, 4, state, [0, 2]), rig.checkpoint(3, 8, state)]],
    ["nothing", () => []],
  ])("rule 27: a certificate of %s proves no checkpoint", (_what, make) => {
    const rig = new Rig();
    expect(rejected(rig.receive(1, certificate(rig, 2, make(rig))))).toEqual(["bad-certificate"]);
    expect(rig.state(1).stable).toBe(0);
  });

  it("rule 27: a whole proof from one peer is enough", () => {
    const rig = new Rig();
    rig.receive(1, certificate(rig, 2, checkpointProof(rig, 8, state, [0, 2, 3])));
    expect(rig.state(1).stable).toBe(8);
  });

  it("rule 27: the watermark never falls", () => {
    const rig = new Rig();
    rig.receive(1, certificate(rig, 2, checkpointProof(rig, 8, state, [0, 2, 3])));
    rig.receive(1, certificate(rig, 2, checkpointProof(rig, 4, state, [0, 2, 3])));
    for (const id of [0, 2, 3]) expect(rejected(rig.receive(1, rig.checkpoint(id, 4, state)))).toEqual(["stale-checkpoint"]);
    expect(rig.state(1).stable).toBe(8);
  });

  it("rule 27: a certified digest that contradicts the own state stops the replica", () => {
    const rig = new Rig();
    for (let number = 1; number <= 4; number++) {
      rig.ask(0, rig.request(1, number));
      rig.settle((_from, _to, message) => message.kind !== "checkpoint");
    }
    rig.receive(1, certificate(rig, 2, checkpointProof(rig, 4, otherState, [0, 2, 3])));
    expect(rig.state(1)).toMatchObject({ halted: true, stable: 0 });
    expect(rig.ask(1, rig.request(1, 5))).toEqual([]);
  });

  it("rule 27: the own snapshot stays until a newer stable one is held", () => {
    const rig = ordered(4);
    const digest = checkpointOf(rig, 4);
    const served = (): number => sent(rig.receive(1, fetch(rig, 2, "snapshot", digest, 4)), "snapshot").length;
    rig.receive(1, certificate(rig, 2, checkpointProof(rig, 8, state, [0, 2, 3])));
    expect(rig.state(1)).toMatchObject({ stable: 8, executed: 4 });
    expect(served()).toBe(1);
    const gone = ordered(8);
    expect(gone.state(1).stable).toBe(8);
    expect(sent(gone.receive(1, fetch(gone, 2, "snapshot", digest, 4)), "snapshot")).toEqual([]);
  });

  it("rule 28: the q signatures of the stable checkpoint stand in the view change and in the answer to a laggard", () => {
    const rig = ordered(4);
    const digest = checkpointOf(rig, 4);
    const [proof] = sent(rig.receive(1, status(rig, 3)), "certificate");
    expect(proof?.message.votes.map(({ message }) => [message.kind, message.slot, message.digest])).toEqual([
      ["checkpoint", 4, digest],
      ["checkpoint", 4, digest],
      ["checkpoint", 4, digest],
    ]);
    leave(rig, 3, 1, [1, 2]);
    const [change] = sent(rig.effects[3] ?? [], "view-change");
    expect(change?.message.stable).toBe(4);
    expect(new Set(change?.message.checkpoints.map(({ message }) => message.sender)).size).toBe(3);
  });
});

describe("collecting", () => {
  it("rule 23: votes are kept until their slot lies at or below a stable checkpoint, and not after", () => {
    const rig = ordered(5);
    expect(rig.state(1)["slots"]).toMatchObject([{ slot: 5 }]);
    expect(rejected(rig.receive(1, prepare(rig, 2, 0, 4, state)))).toEqual(["outside-window"]);
    expect(votes(rig.receive(1, bare(rig, 0, 4, state)))).toEqual([]);
  });

  it("rule 27: slots below a stable checkpoint that were decided here and not executed keep what executing them takes", () => {
    const rig = new Rig();
    rig.partition([0], [1, 2, 3]);
    const proposals = [1, 2, 3, 4].map((slot) => rig.proposal(0, 0, slot, [rig.request(1, slot)]));
    for (const proposal of proposals) for (const id of [1, 2, 3]) if (id !== 1 || proposal !== proposals[0]) rig.receive(id, proposal);
    for (const id of [1, 2, 3]) rig.receive(id, commit(rig, 0, 0, 1, proposals[0]?.message.digest ?? ""));
    rig.settle();
    expect(rig.executed()).toEqual([0, 0, 4, 4]);
    for (const id of [0, 2, 3]) rig.receive(1, rig.checkpoint(id, 4, checkpointDigest(rig)));
    expect(rig.state(1)).toMatchObject({ stable: 4, executed: 0 });
    const [first] = proposals;
    if (!first) throw new Error("no proposal");
    rig.receive(1, bodyOf(rig, 2, first));
    expect(rig.executed()[1]).toBe(4);
    expect(rig.decisions(1)).toEqual(rig.decisions(2));
  });
});

function checkpointDigest(rig: Rig): string {
  const [vote] = sent(rig.effects[2] ?? [], "checkpoint");
  if (!vote) throw new Error("replica 2 took no checkpoint");
  return vote.message.digest;
}

describe("being behind", () => {
  it("rule 29, A56: one replica's CHECKPOINTs, however far ahead, move nothing and start no fetch", () => {
    const rig = new Rig();
    for (let slot = 4; slot < 4_000; slot += 4) rig.receive(1, rig.checkpoint(3, slot, state));
    rig.receive(1, rig.checkpoint(3, 4 * 2 ** 50, state));
    rig.advance(2_000, () => false);
    expect(rig.state(1)).toMatchObject({ stable: 0, executed: 0, transfer: undefined });
    expect(sent(rig.effects[1] ?? [], "fetch")).toEqual([]);
  });

  it("rule 29, A56: a flood of one sender pushes nobody else's CHECKPOINTs out", () => {
    const rig = new Rig({ n: 7 });
    for (const id of [0, 2, 4]) rig.receive(1, rig.checkpoint(id, 4, state));
    for (let slot = 4; slot < 4_000; slot += 4) rig.receive(1, rig.checkpoint(3, slot, otherState));
    for (const id of [5, 6]) rig.receive(1, rig.checkpoint(id, 4, state));
    expect(rig.state(1).stable).toBe(4);
  });

  it("rule 29: f+1 equal CHECKPOINTs ahead start a fetch after a while, and leave the watermark alone", () => {
    const rig = new Rig();
    for (const id of [2, 3]) rig.receive(1, rig.checkpoint(id, 4, state));
    rig.advance(100, () => false);
    expect(sent(rig.effects[1] ?? [], "fetch")).toEqual([]);
    rig.advance(1_000, () => false);
    const asked = sent(rig.effects[1] ?? [], "fetch").map(({ message }) => [message.what, message.slot, message.digest]);
    expect(asked[0]).toEqual(["snapshot", 4, state]);
    expect(rig.state(1)).toMatchObject({ stable: 0, executed: 0, transfer: 4 });
  });

  it("rule 29: f+1 CHECKPOINTs for one slot with different digests start nothing", () => {
    const rig = new Rig();
    rig.receive(1, rig.checkpoint(2, 4, state));
    rig.receive(1, rig.checkpoint(3, 4, otherState));
    rig.advance(2_000, () => false);
    expect(sent(rig.effects[1] ?? [], "fetch")).toEqual([]);
  });
});
