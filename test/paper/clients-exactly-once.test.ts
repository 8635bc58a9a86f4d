/** docs/protocol.md A.8 as far as replicas go (rule 58, matching replies, and rule 62, never reusing a number, are the client's). W is 16. */
import { describe, expect, it } from "vitest";
import type { Verified } from "../../src/core/message.ts";
import type { PbftMessage } from "../../src/protocols/pbft/index.ts";
import { bodyOf, certificate, commit, commitCertificate, digestIn } from "../support/forge.ts";
import { outline, Rig, type RigOptions, rejected, replies, sent } from "../support/rig.ts";

/** Replica 1 decides one slot after another out of hand-made batches: what a traitor primary may order. */
function orders(rig: Rig, ...batches: readonly Parameters<Rig["proposal"]>[3][]): void {
  for (const requests of batches) {
    const slot = rig.state(1).executed + 1;
    const proposal = rig.proposal(0, 0, slot, requests);
    rig.receive(1, proposal);
    const effects = [0, 2, 3].flatMap((voter) => rig.receive(1, commit(rig, voter, 0, slot, digestIn(proposal))));
    for (const { message } of sent(effects, "checkpoint")) {
      for (const id of [2, 3]) rig.receive(1, rig.checkpoint(id, slot, message.digest));
    }
    if (rig.state(1).executed !== slot) throw new Error(`slot ${slot} did not execute`);
  }
}

/** The operations that took effect at a replica, in order. */
function history(rig: Rig, id = 1): string[] {
  const operations = String.fromCharCode(...(rig.services[id]?.snapshot() ?? [])).split("\u00ff");
  return operations.slice(0, -1);
}

/** The numbers answered by replica 1, in order. */
function answered(rig: Rig): number[] {
  return replies(rig.effects[1] ?? []).flatMap(({ results }) => results.map(({ number }) => number));
}

describe("asking", () => {
  it("rule 57: a backup relays a request to the primary, which proposes it", () => {
    const rig = new Rig();
    const request = rig.request(1, 1);
    const effects = rig.ask(2, request);
    expect(effects).toContainEqual({ type: "send", to: [0], message: request });
    rig.settle();
    expect(rig.executed()).toEqual([1, 1, 1, 1]);
  });

  it("rule 57: who executed it answers a repeated request from the cache, with the same result", () => {
    const rig = new Rig();
    rig.order(1, 1);
    rig.order(2, 1);
    const [first] = replies(rig.effects[2] ?? []);
    const [again] = replies(rig.ask(2, rig.request(1, 1)));
    expect(again?.results).toEqual(first?.results);
    expect(again?.client).toBe(1);
    expect(rig.executed()).toEqual([2, 2, 2, 2]);
  });

  it("rule 57: a repeated request that is pending is not proposed twice", () => {
    const rig = new Rig();
    rig.ask(0, rig.request(1, 1));
    expect(rejected(rig.ask(0, rig.request(1, 1)))).toEqual(["duplicate"]);
    for (const id of [1, 2, 3]) rig.ask(id, rig.request(1, 1));
    rig.settle();
    expect(rig.executed()).toEqual([1, 1, 1, 1]);
  });

  it("rule 82: no request is answered before it is ordered", () => {
    const rig = new Rig();
    for (const id of [0, 1, 2, 3]) expect(replies(rig.ask(id, rig.request(1, 1)))).toEqual([]);
    rig.settle();
    for (const effects of rig.effects) {
      const lines = outline(effects).filter((line) => line === "reply" || line.startsWith("decide"));
      expect(lines).toEqual(["decide 1", "reply"]);
    }
  });
});

describe("the window of a client", () => {
  it("rule 59: ordering a later number first does not censor an earlier one", () => {
    const rig = new Rig();
    orders(rig, [rig.request(1, 3)], [rig.request(1, 1)], [rig.request(1, 2)]);
    expect(history(rig)).toEqual(["1/3", "1/1", "1/2"]);
    expect(answered(rig)).toEqual([3, 1, 2]);
  });

  it("rule 59: a client's requests beyond its `clientWindow` wait with the client, and those of others are not touched", () => {
    const rig = new Rig();
    for (let number = 1; number <= 16; number++) expect(rejected(rig.ask(1, rig.request(1, number)))).toEqual([]);
    expect(rejected(rig.ask(1, rig.request(1, 17)))).toEqual(["client-full"]);
    expect(rejected(rig.ask(1, rig.request(2, 1)))).toEqual([]);
  });

  it("rule 60: a number at or below the floor has no effect and gets no answer, just above it takes effect", () => {
    const rig = new Rig();
    orders(rig, [rig.request(1, 20)], [rig.request(1, 4)], [rig.request(1, 5)]);
    expect(history(rig)).toEqual(["1/20", "1/5"]);
    expect(answered(rig)).toEqual([20, 5]);
    const effects = rig.ask(1, rig.request(1, 4));
    expect(rejected(effects)).toEqual(["client-window"]);
    expect(replies(effects)).toEqual([]);
  });

  it("rule 60: results are kept for the last W numbers and no longer", () => {
    const rig = new Rig();
    orders(rig, [rig.request(1, 1), rig.request(1, 2)], [rig.request(1, 17)]);
    expect(replies(rig.ask(1, rig.request(1, 2)))).toHaveLength(1);
    expect(rejected(rig.ask(1, rig.request(1, 1)))).toEqual(["client-window"]);
  });

  it("rule 60: rows of clients that were silent for long stay", () => {
    const rig = new Rig();
    orders(rig, [rig.request(2, 1)]);
    for (let number = 1; number <= 7; number++) orders(rig, [rig.request(1, number)]);
    orders(rig, [rig.request(2, 1)]);
    expect(history(rig).filter((operation) => operation === "2/1")).toHaveLength(1);
  });

  it("rule 60: the table is in the checkpoint digest: a replica that answered otherwise has another one", () => {
    const digestOf = (...batches: readonly (readonly [number, number])[]): string => {
      const rig = new Rig({ limits: { checkpointInterval: 1, window: 4 } });
      orders(rig, ...batches.map(([client, number]) => [rig.request(client, number, "same")]));
      const [made] = (rig.effects[1] ?? []).flatMap((effect) =>
        effect.type === "send" && effect.message.message.kind === "checkpoint" ? [effect.message.message.digest] : [],
      );
      return made ?? "";
    };
    expect(digestOf([1, 1])).toBe(digestOf([1, 1]));
    expect(new Set([digestOf([1, 1]), digestOf([1, 2]), digestOf([2, 1])]).size).toBe(3);
  });

  it("A67: the largest number, falling numbers and number 0 harm their own client only", () => {
    const rig = new Rig();
    const top = Number.MAX_SAFE_INTEGER;
    orders(rig, [rig.request(1, top)], [rig.request(1, 0)], [rig.request(1, top - 1)], [rig.request(1, 5)], [rig.request(2, 1)]);
    expect(history(rig)).toEqual([`1/${top}`, `1/${top - 1}`, "2/1"]);
    expect(rig.state(1).halted).toBe(false);
  });
});

describe("at most once", () => {
  it("rule 61, A19: a request ordered at two slots executes once, and the second decision stands empty", () => {
    const rig = new Rig();
    const request = rig.request(1, 1);
    orders(rig, [request], [request, rig.request(2, 1)], [request]);
    expect(history(rig)).toEqual(["1/1", "2/1"]);
    expect(rig.decisions(1).map(({ requests }) => requests)).toEqual([1, 2, 1]);
    expect(answered(rig)).toEqual([1, 1]);
  });

  it("rule 61, A20: a request that stands twice in one batch executes once", () => {
    const rig = new Rig();
    const request = rig.request(1, 1);
    orders(rig, [request, request, rig.request(1, 2), request]);
    expect(history(rig)).toEqual(["1/1", "1/2"]);
    expect(answered(rig)).toEqual([1, 2]);
  });

  it("rule 61: a request in flight through a view change executes once", () => {
    const rig = new Rig();
    rig.partition([0], [1, 2, 3]);
    const request = rig.request(1, 1);
    for (const slot of [1, 2]) for (const id of [1, 2, 3]) rig.receive(id, rig.proposal(0, 0, slot, [request]));
    for (const id of [1, 2, 3]) rig.ask(id, request);
    rig.settle((_from, _to, message) => message.kind !== "commit");
    rig.advance(5_000);
    for (const id of [1, 2, 3]) expect(history(rig, id)).toEqual(["1/1"]);
  });

  it("rule 61, A37: a batch from before the checkpoint has no effect at a later slot, nor where the state came by transfer", () => {
    const rig = new Rig();
    const old = rig.request(1, 1);
    for (let number = 1; number <= 4; number++) {
      rig.ask(0, rig.request(1, number));
      rig.settle((from, to) => from !== 3 && to !== 3);
    }
    rig.advance(1_000);
    expect(rig.state(3)).toMatchObject({ executed: 4, stable: 4 });
    expect(rig.effects[3]).toContainEqual(expect.objectContaining({ event: expect.objectContaining({ event: "install" }) }));
    rig.partition([0], [1, 2, 3]);
    for (const id of [1, 2, 3]) rig.receive(id, rig.proposal(0, 0, 5, [old]));
    rig.settle();
    expect(rig.executed()).toEqual([4, 5, 5, 5]);
    for (const id of [1, 2, 3]) expect(history(rig, id)).toEqual(["1/1", "1/2", "1/3", "1/4"]);
  });

  it("rule 63, A65: of two operations under one number the first ordered wins everywhere", () => {
    const rig = new Rig();
    rig.ask(1, rig.request(1, 1, "left"));
    rig.ask(2, rig.request(1, 1, "right"));
    rig.ask(3, rig.request(1, 1, "third"));
    rig.settle();
    rig.advance(5_000);
    expect(rig.cluster.replicas.map((id) => history(rig, id).length)).toEqual([1, 1, 1, 1]);
    expect(new Set(rig.cluster.replicas.map((id) => history(rig, id).join())).size).toBe(1);
    expect(rig.views()).toEqual([0, 0, 0, 0]);
  });

  it("rule 63, A65: the loser has no effect when it is ordered too, and gets the winner's result", () => {
    const rig = new Rig();
    orders(rig, [rig.request(1, 1, "left")], [rig.request(1, 1, "right")]);
    expect(history(rig)).toEqual(["left"]);
    const [again] = replies(rig.ask(1, rig.request(1, 1, "right")));
    expect(again?.results).toEqual(replies(rig.effects[1] ?? [])[0]?.results);
  });

  it("rule 64: the replies of correct replicas to one request carry equal results", () => {
    const rig = new Rig();
    rig.order(1, 1);
    rig.order(2, 5);
    const told = rig.effects.map((effects) => JSON.stringify(replies(effects).map(({ client, results }) => ({ client, results }))));
    expect(new Set(told).size).toBe(1);
    expect(replies(rig.effects[3] ?? []).map(({ sender }) => sender)).toEqual([3, 3]);
  });
});

describe("operations that are out of bounds", () => {
  it("A33: an operation over `operationBytes` is refused on admission", () => {
    const rig = new Rig({ limits: { operationBytes: 4 } });
    expect(rejected(rig.ask(0, rig.request(1, 1, "12345")))).toEqual(["operation-too-large"]);
    expect(rejected(rig.ask(0, rig.request(1, 1, "1234")))).toEqual([]);
  });

  it("A33: batches keep to `batchRequests` and `batchBytes`", () => {
    const served = (limits: NonNullable<RigOptions["limits"]>): number[] => {
      const rig = new Rig({ limits: { pipeline: 1, ...limits } });
      for (let number = 1; number <= 9; number++) rig.ask(0, rig.request(1, number, "x".repeat(100)));
      rig.settle();
      return rig.decisions(1).map(({ requests }) => requests);
    };
    expect(served({ batchRequests: 3 })).toEqual([1, 3, 3, 2]);
    expect(Math.max(...served({ batchBytes: 700 }))).toBeLessThanOrEqual(3);
    expect(served({ batchBytes: 700 }).reduce((sum, count) => sum + count, 0)).toBe(9);
  });

  it("A35: a result over `resultBytes` becomes the same short one everywhere", () => {
    const rig = new Rig({ limits: { resultBytes: 1 } });
    rig.order(1, 1);
    for (const effects of rig.effects) expect(replies(effects)[0]?.results).toEqual([{ number: 1, result: new Uint8Array(0) }]);
  });

  it("A21: a commit certificate for a batch with a forged request executes nothing: no number of traitors replaces a client", () => {
    const rig = new Rig();
    const forged = rig.proposal(0, 0, 1, [rig.request(1, 1)]);
    rig.receive(1, commitCertificate(rig, 2, 0, 1, digestIn(forged)));
    const body = bodyOf(rig, 2, { ...forged, batch: { valid: false, code: "bad-request-signature" } } as typeof forged);
    expect(rejected(rig.receive(1, body))).toEqual(["bad-request-signature"]);
    expect(rig.executed()[1]).toBe(0);
    expect(rejected(rig.receive(1, certificate(rig, 2, []) as Verified<PbftMessage>))).toEqual(["bad-certificate"]);
  });
});
