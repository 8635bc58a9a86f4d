/** Replicas that stop: frozen, or killed and started again with or without what they had persisted. */
import { describe, expect, it } from "vitest";
import { faults } from "../../src/faults/fault.ts";
import { type ScenarioDefinition, scenario } from "../../src/harness/scenario.ts";
import { traitor } from "../../src/traitors/traitor.ts";
import { simulated } from "../support/simulated.ts";
import { contradictions, during, momentOf, recordsOf } from "./records.ts";

const longestMs = 5;
const workload = { clients: 2, operations: 60, think: 30 };

const run = (definition: Partial<ScenarioDefinition>, seed = 1) =>
  simulated(scenario({ name: "outages", replicas: 4, workload, limits: { checkpointInterval: 8, window: 16 }, ...definition }), {
    seed,
    checked: true,
  });

/** All that a replica did itself between two moments; what is dropped in front of it is not its doing. */
const deeds = ({ records }: ReturnType<typeof run>, replica: number, from: number, until: number) =>
  during(records, from, until).filter(({ node, event }) => node === `replica-${replica}` && event !== "drop");

describe("a killed replica", () => {
  const killed = run({ faults: [faults.kill({ after: 200 }, 2), faults.start({ after: 600 }, 2)] });

  it("does nothing from then on: no timer fires, nothing is received or sent", () => {
    expect(deeds(killed, 2, 0, 200).length).toBeGreaterThan(0);
    expect(deeds(killed, 2, 200, 600).map(({ event }) => event)).toEqual(["crash"]);
    const lost = during(recordsOf(killed.records, "drop", "replica-2"), 200, 600);
    expect(lost.length).toBeGreaterThan(0);
    expect(new Set(lost.map(({ reason }) => reason))).toEqual(new Set(["down"]));
  });

  it("does not stop the others", () => {
    expect(during(recordsOf(killed.records, "decide", "replica-1"), 250, 600).length).toBeGreaterThan(0);
    expect(killed.judgement.surprises).toEqual([]);
  });

  it("loses what lay in its inbox", () => {
    const { records } = run({
      faults: [faults.pause({ after: 200 }, 2), faults.kill({ after: 500 }, 2), faults.start({ after: 510 }, 2)],
    });
    const waiting = during(recordsOf(records, "send"), 200, 500 - 2 * longestMs).filter(({ to }) => to === "replica-2");
    const late = during(recordsOf(records, "send"), 500 - 2 * longestMs, Number.POSITIVE_INFINITY).filter(({ to }) => to === "replica-2");
    const again = new Set(late.map(({ id }) => id));
    const gone = waiting.filter(({ id }) => !again.has(id));
    const received = new Set(recordsOf(records, "receive", "replica-2").map(({ id }) => id));
    expect(gone.length).toBeGreaterThan(0);
    expect(gone.filter(({ id }) => received.has(id))).toEqual([]);
  });

  it("that stays down counts against f for termination, and for nothing else", () => {
    const { properties } = run({ faults: [faults.kill({ after: 100 }, 2), faults.kill({ after: 200 }, 3)], within: "12s" }).judgement;
    expect(properties.termination).toMatchObject({ verdict: "violated", claimed: false });
    expect(properties.termination.reason).toContain("2 replicas lied, lost their storage or stayed down");
    expect(properties.agreement).toMatchObject({ verdict: "holds", claimed: true });
  });

  it("cannot be killed, paused or resumed as long as it is down", () => {
    const { records, judgement } = run({
      faults: [
        faults.kill({ after: 100 }, 2),
        faults.kill({ after: 150 }, 2),
        faults.pause({ after: 200 }, 2),
        faults.resume({ after: 300 }, 2),
      ],
    });
    expect(recordsOf(records, "crash", "replica-2").length).toBe(1);
    expect(recordsOf(records, "pause", "replica-2")).toEqual([]);
    expect(recordsOf(records, "resume", "replica-2")).toEqual([]);
    expect(judgement.properties.termination).toMatchObject({ claimed: true, verdict: "inconclusive" });
    expect(judgement.properties.termination.because).toContain("faults of kind kill fired");
  });

  it("cannot be started twice", () => {
    const { records } = run({ faults: [faults.kill({ after: 100 }, 2), faults.start({ after: 200 }, 2), faults.start({ after: 300 }, 2)] });
    expect(recordsOf(records, "restart").length).toBe(1);
  });
});

describe("a replica that comes back with its storage", () => {
  // Every replica once, the primary too, at different points of its log.
  const lives = [0, 1, 2, 3].flatMap((replica) => [170, 210, 333].map((after) => ({ replica, after })));

  it.each(lives)("stays correct: replica $replica, killed at $after ms", ({ replica, after }) => {
    const { records, judgement } = run({ faults: [faults.kill({ after }, replica), faults.start({ after: after + 250 }, replica)] }, after);
    const node = `replica-${replica}`;
    expect(contradictions(records, node)).toEqual([]);
    expect(judgement.properties.accountability.evidence["accused"]).toEqual([]);
    expect(judgement.surprises).toEqual([]);
    expect(momentOf(records, "restart", node)).toBe(after + 250);
    expect(during(recordsOf(records, "decide", node), after + 250, Number.POSITIVE_INFINITY).length).toBeGreaterThan(0);
  });

  it("begins with the state that it had persisted last, and decides the slots above it again, the same way", () => {
    const [killedAt, backAt] = [500, 505];
    const { records } = run({
      faults: [faults.kill({ after: killedAt }, 2), faults.start({ after: backAt }, 2)],
      limits: { checkpointInterval: 16, window: 32 },
    });
    const [restart] = recordsOf(records, "restart", "replica-2");
    expect(restart).toMatchObject({ incarnation: 1, storage: "kept" });
    const saved = during(recordsOf(records, "checkpoint", "replica-2"), 0, killedAt).filter(({ stable }) => !stable);
    expect(restart?.slot).toBe(Math.max(...saved.map(({ slot }) => slot)));
    expect(restart?.slot).toBeGreaterThan(0);
    const decisions = recordsOf(records, "decide", "replica-2");
    const before = during(decisions, 0, killedAt);
    const again = decisions.filter(({ at, slot }) => at >= backAt && before.some((earlier) => earlier.slot === slot));
    expect(again.length).toBeGreaterThan(0);
    for (const { slot, digest } of again) {
      expect(slot).toBeGreaterThan(restart?.slot ?? 0);
      expect(before.find((earlier) => earlier.slot === slot)?.digest).toBe(digest);
    }
  });

  it("counts its incarnations", () => {
    const twice = [
      faults.kill({ after: 150 }, 3),
      faults.start({ after: 250 }, 3),
      faults.kill({ after: 350 }, 3),
      faults.start({ after: 450 }, 3),
    ];
    const { records, judgement } = run({ faults: twice });
    expect(recordsOf(records, "restart", "replica-3").map(({ incarnation }) => incarnation)).toEqual([1, 2]);
    expect(contradictions(records, "replica-3")).toEqual([]);
    expect(judgement.surprises).toEqual([]);
  });

  it("comes back even when all were killed at once, as in a power cut", () => {
    const all = [0, 1, 2, 3];
    const cuts = [...all.map((id) => faults.kill({ after: 222 }, id)), ...all.map((id) => faults.start({ after: 400 + 10 * id }, id))];
    const { records, judgement } = run({ faults: cuts });
    for (const id of all) expect(contradictions(records, `replica-${id}`)).toEqual([]);
    expect(judgement.surprises).toEqual([]);
    expect(judgement.properties.termination).toMatchObject({ claimed: true, verdict: "holds" });
  });
});

describe("a replica that comes back without its storage", () => {
  const wiped = [faults.kill({ after: 210 }, 2), faults.start({ after: 600 }, 2, { storage: "lost" })];

  it("begins anew and catches up from the others", () => {
    const { records, judgement } = run({ faults: wiped });
    expect(recordsOf(records, "restart", "replica-2")[0]).toMatchObject({ storage: "lost", slot: 0, incarnation: 1 });
    expect(recordsOf(records, "install", "replica-2").length).toBeGreaterThan(0);
    expect(judgement.properties.agreement).toMatchObject({ claimed: true, verdict: "holds" });
    expect(judgement.surprises).toEqual([]);
  });

  it("is faulty from then on: one more traitor is one too many (rule 77)", () => {
    const mute = traitor("never commits", () => ({ send: { commit: () => "drop" } }));
    const { properties } = run({ faults: wiped, traitors: { 1: mute } }).judgement;
    expect(properties.agreement.claimed).toBe(false);
    expect(properties.agreement.reason).toContain("2 replicas lied or lost their storage, and f is 1");
  });
});

describe("a paused replica", () => {
  const paused = run({ faults: [faults.pause({ after: 200 }, 3), faults.resume({ after: 700 }, 3)] });

  it("does nothing, and loses nothing", () => {
    expect(deeds(paused, 3, 200, 700).map(({ event }) => event)).toEqual(["pause"]);
    expect(recordsOf(paused.records, "drop")).toEqual([]);
    const sent = during(recordsOf(paused.records, "send"), 200, 700 - 2 * longestMs).filter(({ to }) => to === "replica-3");
    const received = recordsOf(paused.records, "receive", "replica-3").map(({ id }) => id);
    expect(sent.length).toBeGreaterThan(0);
    for (const { id } of sent) expect(received).toContain(id);
  });

  it("sees all that waited the moment it resumes, in the order in which it came", () => {
    // With one delay for all messages the order of arrival is that of sending.
    const { records } = run({ network: { delay: 5 }, faults: [faults.pause({ after: 200 }, 3), faults.resume({ after: 700 }, 3)] });
    const received = recordsOf(records, "receive", "replica-3").filter(({ at }) => at === 700);
    const sent = during(recordsOf(records, "send"), 195, 695).filter(({ to }) => to === "replica-3");
    expect(sent.length).toBeGreaterThan(50);
    expect(received.map(({ id, from }) => [id, from]).slice(0, sent.length)).toEqual(sent.map(({ id, from }) => [id, from]));
  });

  it("is only late: it was correct all the time", () => {
    expect(paused.judgement.surprises).toEqual([]);
    expect(paused.judgement.properties.agreement.evidence["faults"]).toBe(1);
    expect(paused.judgement.properties.accountability.evidence["accused"]).toEqual([]);
  });

  it("fires the timers that ran out meanwhile after it resumes, not before", () => {
    // The primary is frozen: its view timer runs out while it cannot notice.
    const { records, judgement } = run({ faults: [faults.pause({ after: 200 }, 0), faults.resume({ after: 1_600 }, 0)] });
    expect(during(recordsOf(records, "timer", "replica-0"), 200, 1_600)).toEqual([]);
    expect(during(recordsOf(records, "timer", "replica-1"), 200, 1_600).some(({ what }) => what === "fire")).toBe(true);
    expect(during(recordsOf(records, "new-view", "replica-1"), 200, 1_600).length).toBeGreaterThan(0);
    expect(judgement.surprises).toEqual([]);
  });
});
