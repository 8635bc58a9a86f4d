/** The built-in behaviours against real replicas: f of them are survived (catalogue, attacks 1, 2 and 5), f+1 are not. */
import { describe, expect, it } from "vitest";
import { traitors } from "../../src/traitors/catalogue.ts";
import { traitor } from "../../src/traitors/traitor.ts";
import { TraitorCluster } from "./cluster.ts";

const puts = 6;
const allOk = new Map(Array.from({ length: puts }, (_, index) => [index + 1, { type: "ok" }]));

describe("one traitor among four", () => {
  it.each([
    ["a silent primary", 0, traitors.silent()],
    ["a silent backup", 3, traitors.silent()],
    ["an equivocating primary with a majority on one side", 0, traitors.equivocate()],
    ["an equivocating primary that tells everyone something else", 0, traitors.equivocate({ groups: [[1], [2], [3]] })],
    ["an equivocating primary that tells one nothing", 0, traitors.equivocate({ groups: [[1], [2]], differ: "fewer" })],
    ["a primary that keeps one in the dark", 0, traitors.withhold({ kinds: ["pre-prepare", "commit"], to: 3 })],
    ["a backup that never commits", 2, traitors.withhold({ kinds: "commit" })],
    ["a backup that never replies", 2, traitors.withhold({ kinds: "reply" })],
    ["a slow primary", 0, traitors.delay({ ms: 300 })],
    ["a primary with bad signatures", 0, traitors.corruptSignature()],
    ["a liar to clients", 1, traitors.lieInReplies()],
  ])("is survived: %s", (_, id, behaviour) => {
    const cluster = new TraitorCluster({ traitors: { [id]: behaviour } }).run(puts);
    const correct = [0, 1, 2, 3].filter((replica) => replica !== id);
    expect(cluster.results).toEqual(allOk);
    expect(cluster.forks(...correct)).toEqual([]);
    const heights = correct.map((replica) => cluster.decided.get(replica)?.size ?? 0);
    expect(new Set(heights).size).toBe(1);
    expect(cluster.treasons).toContain(`replica-${id} ${behaviour.behaviour}`);
    for (const culprit of cluster.accused) expect(culprit).toBe(id);
  });

  it("is no traitor when it equivocates as a backup and nobody gives it two digests to choose from", () => {
    const cluster = new TraitorCluster({ traitors: { 3: traitors.equivocate() } }).run(puts);
    expect(cluster.results).toEqual(allOk);
    expect(cluster.treasons).toEqual([]);
    expect([0, 1, 2].map((replica) => cluster.view(replica))).toEqual([0, 0, 0]);
  });

  it("is deposed when it is primary and silent, and stays when it is a backup", () => {
    const views = [0, 3].map((id) => new TraitorCluster({ traitors: { [id]: traitors.silent() } }).run(puts).view(1));
    expect(views).toEqual([1, 0]);
  });

  it("is proven guilty when it tells one replica two things (A02)", () => {
    const doubleVoter = traitor("votes twice", (self) => ({
      send: {
        prepare: (m) => {
          self.said("voted twice");
          return [m, { ...m, digest: self.digestOf({ timestamp: 0, requests: [] }) }];
        },
      },
    }));
    expect([...new TraitorCluster({ traitors: { 2: doubleVoter } }).run(puts).accused]).toEqual([2]);
  });

  it("is named by the client it lied to (A11)", () => {
    const cluster = new TraitorCluster({ traitors: { 2: traitors.lieInReplies() } }).run(puts);
    expect([...cluster.suspected]).toEqual([2]);
  });

  it("cannot hide an invented request from anybody (A21)", () => {
    const inventor = traitor("invents", (self) => ({
      send: {
        "pre-prepare": (m) => {
          const [request] = m.batch?.requests ?? [];
          if (!m.batch || !request) return undefined;
          self.said("altered an operation");
          return { ...m, batch: { ...m.batch, requests: [{ ...request, signature: request.signature.map((byte) => byte ^ 1) }] } };
        },
      },
    }));
    const cluster = new TraitorCluster({ traitors: { 0: inventor } }).run(puts);
    expect(cluster.results).toEqual(allOk);
    expect(cluster.view(1)).toBe(1);
  });
});

describe("too many traitors", () => {
  it("fork four replicas when two of them equivocate (B.8)", () => {
    const cluster = new TraitorCluster({ traitors: { 0: traitors.equivocate(), 3: traitors.equivocate() } }).run(1);
    expect(cluster.forks(1, 2)).toEqual([1]);
    expect(cluster.treasons).toEqual(expect.arrayContaining(["replica-0 equivocate", "replica-3 equivocate"]));
  });

  it("stall four replicas when two of them are silent", () => {
    const cluster = new TraitorCluster({ traitors: { 0: traitors.silent(), 3: traitors.silent() } }).run(1);
    expect(cluster.results.size).toBe(0);
    expect(cluster.forks(1, 2)).toEqual([]);
  });

  it("deceive a client when two tell it the same lie (A11)", () => {
    const cluster = new TraitorCluster({ far: [2], traitors: { 1: traitors.lieInReplies(), 3: traitors.lieInReplies() } }).run(1);
    expect(cluster.results.get(1)).toEqual({ type: "value", value: "a lie" });
    expect([...cluster.suspected]).toEqual([0, 2]);
  });
});

describe("one traitor against wrong quorums", () => {
  it("forks four replicas that order with two votes (M02)", () => {
    const cluster = new TraitorCluster({ quorums: { order: 2, viewChange: 2 }, traitors: { 0: traitors.equivocate() } }).run(1);
    expect(cluster.forks(1, 2, 3)).toEqual([1]);
  });

  it("forks three replicas (B.3)", () => {
    const cluster = new TraitorCluster({ n: 3, f: 1, quorums: { order: 2, viewChange: 2 }, traitors: { 0: traitors.equivocate() } }).run(1);
    expect(cluster.forks(1, 2)).toEqual([1]);
  });
});
