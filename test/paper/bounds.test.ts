/** docs/limits.md, "Of a cluster" and "Of a PBFT replica": what happens at the bounds that no other file here meets. */
import { describe, expect, it } from "vitest";
import { type Slot, view as viewOf } from "../../src/core/ids.ts";
import { pbftSchemas } from "../../src/protocols/pbft/messages.ts";
import { SlotLog } from "../../src/protocols/pbft/slot-log.ts";
import { decodePayload, encodePayload, kindEntry, kindTable } from "../../src/wire/codec.ts";
import { bare, commit, commitCertificate, prepare, someDigest } from "../support/forge.ts";
import { type MessageOf, Rig, sent } from "../support/rig.ts";

describe("a primary", () => {
  it("rule 24: opens two slots for whatever there is, and more, up to `pipeline`, only for many requests", () => {
    const rig = new Rig({ clients: 1, limits: { pipeline: 4, clientWindow: 256, batchRequests: 256 } });
    const slots = (): number[] => sent(rig.effects[0] ?? [], "pre-prepare").map(({ message }) => message.slot);
    for (let number = 1; number <= 65; number++) rig.ask(0, rig.request(1, number));
    expect(slots()).toEqual([1, 2]);
    rig.ask(0, rig.request(1, 66));
    expect(slots()).toEqual([1, 2, 3]);
    for (let number = 67; number <= 129; number++) rig.ask(0, rig.request(1, number));
    expect(slots()).toEqual([1, 2, 3]);
    rig.settle();
    // What waited shares one slot.
    expect(slots()).toEqual([1, 2, 3, 4]);
    expect(rig.executed()).toEqual([4, 4, 4, 4]);
  });

  it("rule 24: keeps as many slots open as `pipeline` allows, and the next batch takes all that came meanwhile", () => {
    const rig = new Rig({ limits: { pipeline: 2 } });
    for (let number = 1; number <= 6; number++) rig.ask(0, rig.request(1, number));
    expect(sent(rig.effects[0] ?? [], "pre-prepare").map(({ message }) => message.slot)).toEqual([1, 2]);
    rig.settle();
    expect(rig.decisions(0).map(({ requests }) => requests)).toEqual([1, 1, 4]);
  });
});

describe("a slot", () => {
  it("rule 22: keeps four COMMITs of older views, per sender and slot: the newest", () => {
    const rig = new Rig();
    const log = new SlotLog(1 as Slot);
    for (const view of [3, 0, 5, 1, 4, 2]) log.addCommit(commit(rig, 2, view, 1, someDigest("x")));
    log.addCommit(commit(rig, 3, 0, 1, someDigest("x")));
    expect(log.commitChoices().map(({ view }) => view)).toEqual([5, 4, 3, 2, 0]);
    expect(log.commitsFor(viewOf(0), someDigest("x")).map(({ message }) => message.sender)).toEqual([3]);
  });
});

describe("a list on the wire", () => {
  const rig = new Rig();
  const table = kindTable(pbftSchemas, rig.cluster.id);
  const read = (kind: "status" | "view-change" | "new-view" | "certificate", fields: object): string => {
    const payload = encodePayload(table, kindEntry(table, kind), { kind, sender: 1, incarnation: 0, ...fields });
    const decoded = decodePayload(table, payload, []);
    return decoded.ok ? "read" : decoded.code;
  };
  const many = <T>(count: number, one: T): T[] => Array.from({ length: count }, () => one);
  const vote = commit(rig, 1, 0, 1, someDigest("x"));
  const checkpoint = rig.checkpoint(1, 4, someDigest("x"));
  const proposal = bare(rig, 0, 1, someDigest("x"));
  const status = {
    view: 0,
    active: true,
    stable: 0,
    executed: 0,
    prepared: new Uint8Array(0),
    committed: new Uint8Array(0),
    viewChanges: [],
  };
  const change = { view: 1, stable: 0, checkpoints: [], prepared: [] };
  const certificate: MessageOf<"view-change">["prepared"][number] = {
    prePrepare: proposal,
    prepares: [prepare(rig, 1, 0, 1, someDigest("x"))],
  };

  it.each<[string, (count: number) => string]>([
    ["a STATUS", (count) => read("status", { ...status, viewChanges: many(count, 0) })],
    ["the proof of a checkpoint", (count) => read("view-change", { ...change, checkpoints: many(count, checkpoint) })],
    [
      "a prepared certificate",
      (count) => read("view-change", { ...change, prepared: [{ ...certificate, prepares: many(count, certificate.prepares[0]) }] }),
    ],
    [
      "a NEW-VIEW",
      (count) => read("new-view", { view: 1, viewChanges: many(count, { sender: 1, digest: someDigest("x") }), prePrepares: [] }),
    ],
    ["a certificate", (count) => read("certificate", { votes: many(count, vote) })],
  ])("A81: there is a bound on replicas in any list on the wire: %s", (_what, of) => {
    expect([of(256), of(257)]).toEqual(["read", "malformed"]);
  });

  it.each<[string, (count: number) => string]>([
    ["a STATUS", (count) => read("status", { ...status, prepared: new Uint8Array(Math.ceil(count / 8)) })],
    ["a VIEW-CHANGE", (count) => read("view-change", { ...change, prepared: many(count, certificate) })],
    ["a NEW-VIEW", (count) => read("new-view", { view: 1, viewChanges: [], prePrepares: many(count, proposal) })],
  ])("A81: there is a bound on slots in any list on the wire: %s", (_what, of) => {
    expect([of(4_096), of(4_097)]).toEqual(["read", "malformed"]);
  });
});

describe("a replica that lacks much", () => {
  it("rule 99: bounds the bodies and view changes asked for at one time: 64 with one STATUS, the others with the next", () => {
    const rig = new Rig({ limits: { window: 128, checkpointInterval: 32 } });
    rig.cut.add("0>3");
    for (let slot = 1; slot <= 100; slot++) rig.receive(3, commitCertificate(rig, 1, 0, slot, someDigest(`body ${slot}`)));
    const asked = (): Set<string> => new Set(sent(rig.effects[3] ?? [], "fetch").map(({ message }) => message.digest));
    rig.effects[3]?.splice(0);
    rig.timeout(3, "status");
    expect(asked().size).toBe(64);
    rig.timeout(3, "status");
    expect(asked().size).toBe(100);
  });
});
