/** Attacks 3 of the catalogue: what a replica can do while views change. */
import { describe, expect, it } from "vitest";
import type { Digest, View } from "../../src/core/ids.ts";
import { faults } from "../../src/faults/fault.ts";
import type { NewView } from "../../src/protocols/pbft/messages.ts";
import { traitor } from "../../src/traitors/traitor.ts";
import { Attack } from "./attack.ts";

/** Cuts the first primary off after a few slots, so that the next view has something to carry over. */
const withoutPrimary = { faults: [faults.partition({ after: 60 }, [[0], [1, 2, 3]]), faults.heal({ after: "4s" })] };

const forgetful = traitor("forgets what it prepared", (self) => ({
  send: {
    "view-change": (m) => {
      if (m.prepared.length === 0) return undefined;
      self.said(`hid ${m.prepared.length} certificates`);
      return { ...m, prepared: [] };
    },
  },
}));

describe("a view change that hides its certificates (A39)", () => {
  it.each([2, 3])("of replica %d changes nothing: another one of the quorum carries them", (liar) => {
    const attack = new Attack({ traitors: { [liar]: forgetful }, ...withoutPrimary });
    attack.expectSurvived();
    expect(attack.lies.some((lie) => /^hid [1-9]\d* certificates$/.test(lie))).toBe(true);
    expect(attack.views).toContain(1);
    // What was decided before the view changed was decided again by those who agreed on it once more.
    const before = attack.of("decide").filter(({ view }) => view === 0);
    expect(before.length).toBeGreaterThan(0);
    expect(attack.received("pre-prepare", 2).length).toBeGreaterThan(0);
  });
});

/** A NEW-VIEW that the traitor, primary of view 1, sends in place of the honest one. */
const alters = (what: string, change: (proposals: NewView["prePrepares"]) => NewView["prePrepares"]) =>
  traitor(`new view: ${what}`, (self) => ({
    send: {
      "new-view": (m) => {
        const prePrepares = change(m.prePrepares);
        if (m.prePrepares.length < 2) return undefined;
        self.said(`sent a new view for view ${m.view} with another O: ${what}`);
        return { ...m, prePrepares };
      },
    },
  }));

describe("a new view with another O (A44)", () => {
  it.each<[string, (proposals: NewView["prePrepares"]) => NewView["prePrepares"]]>([
    ["no slot at all", () => []],
    ["without the first slot", (proposals) => proposals.slice(1)],
    ["without the last slot", (proposals) => proposals.slice(0, -1)],
    ["one slot twice", (proposals) => [...proposals, ...proposals.slice(-1)]],
    ["slots out of order", (proposals) => [...proposals].reverse()],
  ])("is refused by everybody, and the next view does it right: %s", (what, change) => {
    const attack = new Attack({
      traitors: { 1: alters(what, change) },
      replicas: 7,
      ...{ faults: [faults.partition({ after: 60 }, [[0], [1, 2, 3, 4, 5, 6]]), faults.heal({ after: "4s" })] },
    });
    attack.expectSurvived();
    expect(attack.lies).toContain(`sent a new view for view 1 with another O: ${what}`);
    expect(attack.rejectedOf(1)).toContain("bad-new-view");
    const correct = attack.of("new-view").filter(({ node }) => node !== "replica-1");
    expect(correct.map(({ view }) => view)).not.toContain(1);
    expect(correct.map(({ view }) => view)).toContain(2);
  });
});

/** Sends a NEW-VIEW that nobody asked for whenever it votes. */
const unasked = (view: number, viewChanges: NewView["viewChanges"]) =>
  traitor("announces views", (self) => ({
    send: {
      prepare: () => {
        self.said(`announced view ${view} with ${viewChanges.length} view changes`);
        const others = self.cluster.replicas.filter((id) => id !== self.id);
        for (const to of others) self.send([to], { kind: "new-view", view: view as View, viewChanges, prePrepares: [] });
        return undefined;
      },
    },
  }));

describe("a new view that nobody asked for (A48)", () => {
  const invented = [0, 1, 2].map((sender) => ({ sender, digest: "ab".repeat(32) as Digest })) as unknown as NewView["viewChanges"];

  it.each([
    ["the next view", 1, 1],
    ["a far view of its own", 1, 4_001],
    ["a view of somebody else", 2, 1],
  ])("moves nobody when it names no view changes: %s", (_, liar, view) => {
    const attack = new Attack({ traitors: { [liar]: unasked(view, []) } });
    attack.expectSurvived();
    expect(attack.rejectedOf(liar).filter((code) => code === "bad-new-view" || code === "not-primary").length).toBe(1);
    expect(attack.views).toEqual([]);
    expect(attack.of("view-change")).toEqual([]);
  });

  it.each([1, 4_001])("moves nobody when it names view changes that were never sent: view %d", (view) => {
    const attack = new Attack({ traitors: { 1: unasked(view, invented) } });
    attack.expectSurvived();
    expect(attack.lies).toContain(`announced view ${view} with 3 view changes`);
    // They ask for what it names, in vain, and go on meanwhile.
    expect(attack.of("send", "replica-2").some(({ kind }) => kind === "fetch")).toBe(true);
    expect(attack.views).toEqual([]);
    expect(attack.of("view-change")).toEqual([]);
  });

  it("for one view after the other moves nobody either", () => {
    const climbing = traitor("announces ever later views", (self) => {
      let view = 1;
      return {
        send: {
          commit: (_m, to) => {
            self.said("announced yet another view");
            self.send([to], { kind: "new-view", view: view as View, viewChanges: [], prePrepares: [] });
            view += self.n;
            return undefined;
          },
        },
      };
    });
    const attack = new Attack({ traitors: { 1: climbing } });
    attack.expectSurvived();
    const announced = attack.of("send", "replica-1").flatMap(({ kind, view }) => (kind === "new-view" ? view : []));
    expect(new Set(announced).size).toBeGreaterThan(20);
    expect(attack.views).toEqual([]);
  });

  it("does not keep a real view change from happening", () => {
    const attack = new Attack({ traitors: { 2: unasked(2, invented) }, ...withoutPrimary });
    attack.expectSurvived();
    expect(attack.views).toContain(1);
  });
});
