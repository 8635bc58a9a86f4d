import { describe, expect, it } from "vitest";
import { createRandom } from "../../src/core/random.ts";
import { createTraitor, traitors } from "../../src/traitors/catalogue.ts";
import { traitor } from "../../src/traitors/traitor.ts";
import { fires, type Occasion, type Trigger, triggerSchema } from "../../src/traitors/trigger.ts";
import { digestB, digestsTo, inbox, Stage, send } from "./stage.ts";

const at = (occasion: Partial<Occasion>, state = { view: 0, executed: 0 }): Occasion => ({ to: 1, state: () => state, ...occasion });
const judge = (trigger: Trigger | undefined, occasion: Occasion): boolean => fires(trigger, occasion, createRandom(1));

describe("a trigger", () => {
  it("fires always when it has no condition", () => {
    expect(judge(undefined, at({}))).toBe(true);
    expect(judge({}, at({}))).toBe(true);
  });

  it("goes by the message's view, else by the view that the traitor is in", () => {
    const views = { views: [1, 3] };
    expect([0, 1, 2, 3].map((view) => judge(views, at({ view })))).toEqual([false, true, false, true]);
    expect([0, 1].map((view) => judge(views, at({}, { view, executed: 0 })))).toEqual([false, true]);
  });

  it("includes the first and the last slot of its range", () => {
    const slots = { slots: [5, 7] } as const;
    expect([4, 5, 7, 8].map((slot) => judge(slots, at({ slot })))).toEqual([false, true, true, false]);
    expect([4, 5].map((executed) => judge(slots, at({}, { view: 0, executed })))).toEqual([false, true]);
  });

  it("goes by destination, telling clients from replicas of the same number", () => {
    const to = { to: [1, "client-2"] } as const;
    expect(([1, 2, "client-1", "client-2"] as const).map((node) => judge(to, at({ to: node })))).toEqual([true, false, false, true]);
  });

  it("waits for a slot to be executed and for a view to be reached", () => {
    const reached = (after: Trigger["after"], view: number, executed: number): boolean =>
      judge({ after }, at({ view: 9, slot: 9 }, { view, executed }));
    expect([2, 3, 4].map((executed) => reached({ slot: 3 }, 0, executed))).toEqual([false, true, true]);
    expect([1, 2, 3].map((view) => reached({ view: 2 }, view, 0))).toEqual([false, true, true]);
    expect(reached({ slot: 3, view: 2 }, 2, 2)).toBe(false);
    expect(reached({ slot: 3, view: 2 }, 2, 3)).toBe(true);
  });

  it("needs all of its conditions", () => {
    const trigger: Trigger = { views: [1], slots: [5, 5], to: [2] };
    expect(judge(trigger, at({ view: 1, slot: 5, to: 2 }))).toBe(true);
    expect(judge(trigger, at({ view: 0, slot: 5, to: 2 }))).toBe(false);
    expect(judge(trigger, at({ view: 1, slot: 6, to: 2 }))).toBe(false);
    expect(judge(trigger, at({ view: 1, slot: 5, to: 3 }))).toBe(false);
  });

  it("draws its probability only where everything else holds", () => {
    const random = createRandom(4);
    const count = (trigger: Trigger): number => Array.from({ length: 1000 }, () => fires(trigger, at({}), random)).filter(Boolean).length;
    expect(count({ probability: 0 })).toBe(0);
    expect(count({ probability: 1 })).toBe(1000);
    expect(Math.abs(count({ probability: 0.3 }) - 300)).toBeLessThan(60);
    const [used, unused] = [createRandom(4), createRandom(4)];
    fires({ probability: 0.5, to: [3] }, at({ to: 1 }), used);
    expect(used.float()).toBe(unused.float());
  });

  it("asks the core for its state only when a condition needs it", () => {
    const occasion: Occasion = {
      view: 0,
      slot: 1,
      to: 1,
      state: () => {
        throw new Error("asked");
      },
    };
    expect(judge({ views: [0], slots: [1, 1], to: [1], probability: 1 }, occasion)).toBe(true);
    expect(() => judge({ after: { slot: 1 } }, occasion)).toThrow("asked");
  });

  it.each([
    { probability: 1.1 },
    { views: [-1] },
    { slots: [5, 4] },
    { slots: [5] },
    { to: ["node-1"] },
    { to: ["client-0"] },
    { when: 1 },
    { after: { ms: 5 } },
  ])("is refused as %o", (trigger) => {
    expect(triggerSchema.safeParse(trigger).success).toBe(false);
  });

  it("takes one value for a list of one", () => {
    expect(triggerSchema.parse({ views: 1, to: "client-2" })).toEqual({ views: [1], to: ["client-2"] });
  });
});

describe("a traitor with a trigger", () => {
  it("lies to the targets alone", () => {
    const stage = new Stage([createTraitor(traitors.silent({ when: { to: [2] } }))]);
    const effects = stage.says(send(stage.vote("commit"), 1, 2, 3), send(stage.request(1), 1, 2));
    expect([1, 2, 3].map((to) => inbox(effects, to).length)).toEqual([2, 0, 1]);
  });

  it("lies once its core has got far enough", () => {
    const lies = (executed: number): number => {
      const stage = new Stage([createTraitor(traitors.silent({ when: { after: { slot: 3 } } }))], { state: { executed } });
      return 1 - inbox(stage.says(send(stage.vote("commit", { n: 9 }), 1)), 1).length;
    };
    expect([2, 3].map(lies)).toEqual([0, 1]);
  });

  it("begins to lie when its core gets there", () => {
    const state = { view: 0, executed: 2 };
    const stage = new Stage([createTraitor(traitors.silent({ when: { after: { slot: 3 } } }))], { state });
    expect(inbox(stage.says(send(stage.vote("commit"), 1)), 1)).toHaveLength(1);
    stage.state.executed = 3;
    expect(inbox(stage.says(send(stage.vote("commit"), 1)), 1)).toHaveLength(0);
  });

  it("does not lie of its own accord to others either", () => {
    const eager = traitor(
      "eager",
      (self) => ({
        receive: {
          commit: ({ message }) => {
            self.send([1, 2, 3], { kind: "commit", view: message.view, slot: message.slot, digest: digestB });
            return undefined;
          },
        },
      }),
      { when: { to: [2], views: [0] } },
    );
    const stage = new Stage([eager]);
    const effects = [...stage.hears(stage.vote("commit", { by: 1 })), ...stage.hears(stage.vote("commit", { by: 1, v: 1 }))];
    expect([1, 2, 3].map((to) => digestsTo(effects, to, "commit"))).toEqual([[], [digestB], []]);
  });
});
