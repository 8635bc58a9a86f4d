/** What an adversarial review found in the core, each as the attack that did it. Replica 0 leads view 0; four replicas, one traitor. */
import { describe, expect, it } from "vitest";
import { replicaId } from "../../src/core/ids.ts";
import type { Request, Verified } from "../../src/core/message.ts";
import { pbft } from "../../src/protocols/pbft/index.ts";
import { encodeFrame } from "../../src/wire/frame.ts";
import { createOpener } from "../../src/wire/open.ts";
import {
  bare,
  certificate,
  checkpointProof,
  commit,
  commitCertificate,
  digestIn,
  fetch,
  newView,
  prepare,
  snapshotOf,
  someDigest,
  status,
  viewChange,
} from "../support/forge.ts";
import { Rig, rejected, sent } from "../support/rig.ts";

const forEver = 60;

describe("bodies", () => {
  it("rule 15, A19: a batch named again by a later slot is kept when the checkpoint covers the first one", () => {
    const rig = new Rig();
    rig.partition([0], [1, 2, 3]);
    const propose = (proposal: ReturnType<typeof bare>): void => {
      for (const id of [1, 2, 3]) rig.receive(id, proposal);
    };
    const first = rig.proposal(0, 0, 1, [rig.request(1, 1)]);
    propose(first);
    rig.settle();
    for (const slot of [2, 3]) {
      propose(rig.proposal(0, 0, slot, [rig.request(1, slot)]));
      rig.settle();
    }
    propose(rig.proposal(0, 0, 4, [rig.request(1, 4)]));
    propose(bare(rig, 0, 5, digestIn(first)));
    // Slot 5 prepares before the checkpoint at 4 is stable, and commits after it.
    rig.settle((_from, _to, message) => !(message.kind === "commit" && message.slot === 5));
    expect([1, 2, 3].map((id) => rig.state(id).stable)).toEqual([4, 4, 4]);
    for (const id of [1, 2, 3]) rig.ask(id, rig.request(2, 1));
    for (let second = 0; second < forEver; second++) rig.advance(1_000);
    expect(rig.executed().slice(1)).toEqual([6, 6, 6]);
  });

  it("rule 99, A34: proposals whose bodies nobody has do not keep a needed body from being asked for", () => {
    const rig = new Rig({ limits: { window: 128, checkpointInterval: 32 } });
    rig.partition([0], [1, 2, 3]);
    for (let slot = 2; slot <= 100; slot++) rig.receive(3, bare(rig, 0, slot, someDigest(`nobody has ${slot}`)));
    const wanted = rig.proposal(0, 0, 1, [rig.request(1, 1)]);
    for (const id of [1, 2]) {
      rig.receive(id, wanted);
      rig.receive(id, commit(rig, 0, 0, 1, digestIn(wanted)));
    }
    rig.settle();
    expect(rig.executed()).toEqual([0, 1, 1, 0]);
    for (let second = 0; second < forEver; second++) rig.advance(1_000);
    expect(rig.executed()).toEqual([0, 1, 1, 1]);
  });

  it("rule 55, A61: a peer draws a bounded number of bytes by STATUS", () => {
    const rig = new Rig({ limits: { frameBytes: 1_000, window: 16 } });
    const large = "x".repeat(400);
    for (let number = 1; number <= 8; number++) rig.ask(0, rig.request(1, number, large));
    let drawn = 0;
    for (let round = 0; round < 10; round++) {
      rig.now += 100;
      for (const { body } of sent(rig.receive(0, status(rig, 3)), "pre-prepare")) drawn += body?.length ?? 0;
    }
    // Two frames at once, and one more in every idle interval of a second.
    expect(drawn).toBeGreaterThan(0);
    expect(drawn).toBeLessThanOrEqual(3_000);
  });
});

describe("a restart", () => {
  it("rules 65, 69, 75: a NEW-VIEW on disk binds its primary though the crash came before the next record", () => {
    const rig = new Rig();
    rig.partition([0], [1, 2, 3]);
    const proposal = rig.proposal(0, 0, 1, [rig.request(1, 1)]);
    for (const id of [1, 2, 3]) rig.receive(id, proposal);
    rig.settle((_from, _to, { kind }) => kind !== "commit");
    rig.now = 5_000;
    for (const id of [1, 2, 3]) rig.timeout(id, "view");
    rig.settle((_from, _to, { kind }) => kind === "view-change");
    const records = rig.records[1] ?? [];
    records.length = 1 + records.findIndex(({ type }) => type === "new-view");
    rig.restart(1);
    expect(rig.state(1)).toMatchObject({ view: 1, active: true });
    rig.ask(1, rig.request(2, 1));
    expect(sent(rig.effects[1] ?? [], "new-view")[0]?.message.prePrepares.map(({ message }) => message.slot)).toEqual([1]);
    const after = sent(rig.effects[1] ?? [], "pre-prepare").filter(({ message }) => message.view === 1);
    expect(after.map(({ message }) => [message.slot, message.digest === digestIn(proposal)])).toEqual([[2, false]]);
  });
});

describe("halting", () => {
  it("rule 36: a NEW-VIEW that comes after a later view decided otherwise halts nobody", () => {
    const rig = new Rig();
    const lost = rig.proposal(0, 0, 1, [rig.request(1, 1)]);
    rig.receive(3, lost);
    for (const id of [1, 2]) rig.receive(3, prepare(rig, id, 0, 1, digestIn(lost)));
    for (const id of [0, 2]) rig.receive(3, viewChange(rig, id, 1));
    const [own] = sent(rig.effects[3] ?? [], "view-change");
    if (!own) throw new Error("no view change");
    // View 1 proposed slot 1 again and came to nothing; view 2 did not hear of it and decided another batch, and one more.
    for (const slot of [1, 2]) {
      const decided = rig.proposal(2, 2, slot, [rig.request(2, slot)]);
      rig.receive(3, commitCertificate(rig, 0, 2, slot, digestIn(decided)));
      const { body, batch } = decided;
      if (body && batch) rig.receive(3, rig.seal(0, { kind: "batch-body", digest: digestIn(decided) }, { bytes: body, batch }));
    }
    expect(rig.state(3)).toMatchObject({ view: 1, active: false, executed: 2 });
    const changes = [viewChange(rig, 0, 1), viewChange(rig, 2, 1), own];
    rig.receive(3, newView(rig, 1, changes, [[1, digestIn(lost)]]));
    for (const change of changes) rig.receive(3, change);
    expect(rig.state(3)).toMatchObject({ view: 1, active: true, executed: 2, halted: false });
  });

  it("rule 36: bytes that f+1 signed for and that are no state halt the replica, and throw nothing", () => {
    for (const bytes of [Uint8Array.of(0xc1), Uint8Array.of(0x01), Uint8Array.of(0x90)]) {
      const rig = new Rig();
      const digest = rig.digest("checkpoint", bytes);
      for (const id of [1, 2]) rig.receive(3, rig.checkpoint(id, 4, digest));
      rig.advance(1_000, () => false);
      expect(rig.state(3)["transfer"]).toBe(4);
      rig.receive(3, snapshotOf(rig, 1, 4, bytes));
      expect(rig.state(3).halted).toBe(true);
    }
  });
});

describe("a replica far behind", () => {
  const behind = () => {
    const rig = new Rig();
    rig.receive(3, certificate(rig, 1, checkpointProof(rig, 40_000, someDigest("state"))));
    return rig;
  };

  it("rule 51: sends a STATUS that its peers can read", () => {
    const rig = behind();
    const [told] = sent(rig.timeout(3, "status"), "status");
    if (!told) throw new Error("no status");
    const opener = createOpener({
      schemas: pbft.messages,
      cluster: rig.cluster.id,
      limits: rig.cluster.limits,
      verify: () => true,
      digest: rig.digest,
      replicaKeys: rig.cluster.replicas.map(() => new Uint8Array(32)),
      clientKeys: rig.cluster.clients.map(() => new Uint8Array(32)),
    });
    expect(opener.open(encodeFrame(told))).toMatchObject({ ok: true });
  });

  it("A09: keeps one window of slots, whatever a peer commits to", () => {
    const rig = behind();
    for (let slot = 1; slot <= 200; slot++) rig.receive(3, commit(rig, 1, 0, slot, someDigest("x")));
    expect(rig.state(3)["slots"]).toHaveLength(rig.cluster.limits.window);
  });

  it("rule 29: fetches no state while it reaches in time each checkpoint that others are ahead by", () => {
    const rig = new Rig();
    for (const ahead of [4, 8, 12]) {
      for (const id of [1, 2]) rig.receive(3, rig.checkpoint(id, ahead, someDigest(`state ${ahead}`)));
      rig.timeout(3, "status");
      expect(rig.state(3)).toMatchObject({ executed: ahead - 4, transfer: undefined });
      for (let slot = ahead - 3; slot <= Math.min(ahead, rig.cluster.limits.window); slot++) {
        const proposal = rig.proposal(0, 0, slot, [rig.request(1, slot)]);
        rig.receive(3, proposal);
        for (const id of [0, 1, 2]) rig.receive(3, commit(rig, id, 0, slot, digestIn(proposal)));
      }
      rig.now += 100;
    }
  });
});

describe("budgets", () => {
  it("rule 55, A61: a question replayed by another peer is not answered, and costs its author nothing", () => {
    const rig = new Rig();
    rig.order(1, 1);
    const question = status(rig, 3);
    const over = (from: number) => rig.step(0, { type: "receive", now: rig.now, wall: rig.wall, message: question, from: replicaId(from) });
    rig.now += 1_000;
    expect(rejected(over(1))).toEqual(["peer-mismatch"]);
    expect(sent(over(3), "certificate")).toHaveLength(1);
    const asked = rig.step(0, {
      type: "receive",
      now: rig.now,
      wall: rig.wall,
      message: fetch(rig, 3, "batch", someDigest("x")),
      from: replicaId(2),
    });
    expect(rejected(asked)).toEqual(["peer-mismatch"]);
  });

  it("rule 55: a NEW-VIEW that comes again asks for its view changes no sooner than the tick does", () => {
    const rig = new Rig();
    const message = newView(
      rig,
      1,
      [0, 1, 2].map((id) => viewChange(rig, id, 1)),
    );
    expect(sent(rig.receive(3, message), "fetch")).toHaveLength(3);
    expect(sent(rig.receive(3, message), "fetch")).toEqual([]);
  });

  it("A09: a message replayed many times takes the room of one", () => {
    const rig = new Rig();
    const early = prepare(rig, 2, 1, 1, someDigest("x"));
    for (let times = 0; times < 100; times++) expect(rejected(rig.receive(3, early))).toEqual([]);
    expect(rig.state(3)["backlog"]).toBe(1);
  });
});

describe("views", () => {
  it("rule 24: a primary whose window others moved on proposes above it", () => {
    const rig = new Rig();
    rig.partition([0], [1, 2, 3]);
    for (const id of [1, 2, 3]) rig.ask(id, rig.request(1, 1));
    rig.advance(3_000);
    for (let number = 2; number <= 12; number++) rig.order(1, number, 1);
    rig.heal();
    // Its window and its state come through; what would tell it of the view does not.
    const votes = (message: { kind: string; votes?: readonly { message: { kind: string } }[] }) => message.votes?.[0]?.message.kind;
    for (let tick = 0; tick < 10; tick++) {
      rig.advance(300, (_from, to, message) => to !== 0 || (message.kind !== "new-view" && votes(message) !== "commit"));
    }
    expect(rig.state(0)).toMatchObject({ view: 0, active: true, stable: 12, executed: 12 });
    rig.effects[0]?.splice(0);
    rig.ask(0, rig.request(2, 1));
    expect(sent(rig.effects[0] ?? [], "pre-prepare").map(({ message }) => message.slot)).toEqual([13]);
  });

  it("rule 35: wants the PREPAREs of the view that it waits for, also of those who voted for the same batch before", () => {
    const rig = new Rig();
    const proposal = rig.proposal(0, 0, 1, [rig.request(1, 1)]);
    rig.receive(3, proposal);
    rig.receive(3, prepare(rig, 2, 0, 1, digestIn(proposal)));
    for (const id of [0, 2]) rig.receive(3, viewChange(rig, id, 1));
    const peek = { kind: "prepare", sender: 2, slot: 1, digest: digestIn(proposal) };
    expect([0, 1].map((view) => rig.cores[3]?.wants({ ...peek, view }))).toEqual([false, true]);
  });

  it("rule 42, A68: a client that fills its share at the primary first and elsewhere later deposes nobody", () => {
    const rig = new Rig({ limits: { pipeline: 1 } });
    for (let number = 1; number <= 16; number++) rig.ask(0, rig.request(1, number));
    for (const id of [1, 2, 3]) for (let number = 17; number <= 32; number++) rig.ask(id, rig.request(1, number));
    // What the backups relay finds no room.
    const relayed = rig.wire.filter(({ message }) => message.message.kind === "request");
    rig.wire = rig.wire.filter((sending) => !relayed.includes(sending));
    for (const { to, message } of relayed) rig.ask(to, message as Verified<Request>);
    // Another client keeps everybody busy.
    for (let number = 1; number <= 40; number++) {
      rig.order(2, number);
      rig.advance(100);
    }
    expect(rig.views()).toEqual([0, 0, 0, 0]);
  });

  it("A51: thresholds overridden to one are led far astray, and nothing throws", () => {
    const rig = new Rig({ quorums: { weak: 1, checkpoint: 1 } });
    const far = Number.MAX_SAFE_INTEGER - (Number.MAX_SAFE_INTEGER % 4);
    for (const message of [
      rig.checkpoint(1, far, someDigest("x")),
      rig.checkpoint(1, 2 ** 52, someDigest("x")),
      certificate(rig, 1, checkpointProof(rig, 2 ** 52 + 4, someDigest("x"), [1])),
      certificate(rig, 1, checkpointProof(rig, 3, someDigest("x"), [1])),
      viewChange(rig, 1, Number.MAX_SAFE_INTEGER),
      viewChange(rig, 2, 2 ** 52),
      status(rig, 1, { view: 2 ** 52, executed: Number.MAX_SAFE_INTEGER }),
    ]) {
      rig.receive(3, message);
      rig.advance(1_000, () => false);
    }
    expect(rig.state(3)).toMatchObject({ view: 2 ** 52, stable: 2 ** 52 });
  });
});
