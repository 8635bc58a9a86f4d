/** A run from its first record to its last: how the clients work, when faults fire, and when it is over. */
import { describe, expect, it } from "vitest";
import { LabError } from "../../src/core/lab-error.ts";
import { faults } from "../../src/faults/fault.ts";
import { judge } from "../../src/harness/judge.ts";
import { type ScenarioDefinition, scenario } from "../../src/harness/scenario.ts";
import { formatRecord, parseTrace } from "../../src/harness/trace-text.ts";
import { traitors } from "../../src/traitors/catalogue.ts";
import { traitor } from "../../src/traitors/traitor.ts";
import { simulated } from "../support/simulated.ts";
import { momentOf, type Records, recordsOf } from "./records.ts";

const run = (definition: Partial<ScenarioDefinition> = {}, seed = 1) =>
  simulated(scenario({ name: "runs", replicas: 4, workload: { operations: 10 }, ...definition }), { seed });

/** When the last thing happened; the verdict comes after. */
const endOf = (records: Records): number => records.at(-2)?.at ?? 0;

describe("a trace", () => {
  const { records, judgement } = run({ workload: { clients: 2, operations: 10 } });

  it("begins with the run and ends with the verdict, in the order of time", () => {
    expect(records[0]).toMatchObject({ event: "run", host: "sim", seed: 1, n: 4, f: 1, quorum: 3, traitors: [], correct: [0, 1, 2, 3] });
    expect(records.at(-1)).toMatchObject({ event: "verdict", asExpected: true });
    for (const [index, { at }] of records.entries()) expect(at).toBeGreaterThanOrEqual(records[index - 1]?.at ?? 0);
  });

  it("starts and stops every replica and starts every client", () => {
    expect(recordsOf(records, "start").map(({ node }) => node)).toEqual([
      "replica-0",
      "replica-1",
      "replica-2",
      "replica-3",
      "client-1",
      "client-2",
    ]);
    expect(recordsOf(records, "stop").map(({ node }) => node)).toEqual(["replica-0", "replica-1", "replica-2", "replica-3"]);
  });

  it("receives nothing that was not sent", () => {
    const sent = new Set(recordsOf(records, "send").map(({ id, from, to }) => `${id} ${from} ${to}`));
    const received = recordsOf(records, "receive");
    expect(received.length).toBeGreaterThan(100);
    for (const { id, from, to } of received) expect(sent).toContain(`${id} ${from} ${to}`);
  });

  it("is judged the same from its text alone", () => {
    const text = records.filter(({ event }) => event !== "verdict").map((record) => `${formatRecord(record)}\n`);
    expect(judge(parseTrace(text.join("")))).toEqual(judgement);
  });
});

describe("the clients of a run", () => {
  it("think for exactly as long as they are told between a result and the next operation", () => {
    const { records } = run({ workload: { clients: 2, operations: 12, think: 40 } });
    for (const client of ["client-1", "client-2"]) {
      const returns = recordsOf(records, "return", client);
      const invocations = recordsOf(records, "invoke", client);
      expect(invocations.length).toBe(6);
      expect(invocations.slice(1).map(({ at }) => at)).toEqual(returns.slice(0, -1).map(({ at }) => Math.round((at + 40) * 1_000) / 1_000));
    }
  });

  it("share the operations, and get a result for each", () => {
    const { records } = run({ workload: { clients: 3, operations: 11 } });
    expect([1, 2, 3].map((id) => recordsOf(records, "invoke", `client-${id}`).length)).toEqual([4, 4, 3]);
    expect(recordsOf(records, "return").length).toBe(11);
  });

  it.each([1, 3])("keep %d operations in flight", (window) => {
    const { records, judgement } = run({ workload: { operations: 20, window } });
    let [flying, most] = [0, 0];
    for (const { event } of records) {
      if (event === "invoke") flying += 1;
      else if (event === "return") flying -= 1;
      most = Math.max(most, flying);
    }
    expect(most).toBe(window);
    expect(judgement.surprises).toEqual([]);
  });

  it("never have more requests under way than the replicas remember", () => {
    const { records, judgement } = run({ workload: { operations: 20, window: 8 }, limits: { clientWindow: 2 } });
    expect(recordsOf(records, "reject").map(({ code }) => code)).not.toContain("client-window");
    expect(recordsOf(records, "return").length).toBe(20);
    expect(judgement.surprises).toEqual([]);
  });

  it("tell whoever watches how far they have come", () => {
    const heard: [number, number][] = [];
    simulated(scenario({ name: "progress", replicas: 4, workload: { operations: 5 } }), {
      seed: 1,
      onProgress: (returned, total) => heard.push([returned, total]),
    });
    const counts = heard.map(([returned]) => returned);
    expect(new Set(counts)).toEqual(new Set([0, 1, 2, 3, 4, 5]));
    expect(counts).toEqual([...counts].sort((a, b) => a - b));
    expect(heard.every(([, total]) => total === 5)).toBe(true);
  });
});

describe("faults of a run", () => {
  it("fire at their time, whatever the clients do", () => {
    const { records } = run({ faults: [faults.pause({ after: 1_234 }, 3), faults.resume({ after: "2s" }, 3)] });
    expect(momentOf(records, "pause")).toBe(1_234);
    expect(momentOf(records, "resume")).toBe(2_000);
  });

  it("fire at the moment of a return that they wait for", () => {
    const { records, judgement } = run({ faults: [faults.kill({ afterReturns: 4 }, 3), faults.start({ afterReturns: 7 }, 3)] });
    const returns = recordsOf(records, "return").map(({ at }) => at);
    expect(momentOf(records, "crash")).toBe(returns[3]);
    expect(momentOf(records, "restart")).toBe(returns[6]);
    expect(judgement.surprises).toEqual([]);
  });

  it("fire with the last return too, before the run is over", () => {
    // With one delay for all messages, the three that run are done at the same moment.
    const { records, judgement } = run({
      network: { delay: 5 },
      faults: [faults.pause({ after: 1 }, 3), faults.resume({ afterReturns: 10 }, 3)],
    });
    expect(momentOf(records, "resume")).toBe(recordsOf(records, "return").at(-1)?.at);
    expect(recordsOf(records, "decide", "replica-3").length).toBe(recordsOf(records, "decide", "replica-0").length);
    expect(judgement.surprises).toEqual([]);
  });
});

describe("the end of a run", () => {
  it("comes when all returned and every correct replica has executed as much", () => {
    const { records } = run();
    const slots = new Map(recordsOf(records, "decide").map(({ node, slot }) => [node, slot]));
    expect(slots.size).toBe(4);
    expect(new Set(slots.values()).size).toBe(1);
    expect(endOf(records)).toBeLessThan(1_000);
  });

  it("waits for faults that are still to come", () => {
    expect(endOf(run({ faults: [faults.kill({ after: "5s" }, 3)] }).records)).toBeGreaterThanOrEqual(5_000);
  });

  it("waits for a replica that lags behind", () => {
    const { records, judgement } = run({ faults: [faults.pause({ after: 1 }, 3), faults.resume({ after: "3s" }, 3)] });
    expect(recordsOf(records, "return").every(({ at }) => at < 3_000)).toBe(true);
    expect(recordsOf(records, "decide", "replica-3").length).toBe(recordsOf(records, "decide", "replica-0").length);
    expect(judgement.surprises).toEqual([]);
  });

  it("does not wait for a traitor that lags behind", () => {
    const deaf = traitor("is deaf to proposals", () => ({ receive: { "pre-prepare": () => "drop" } }));
    const { records, judgement } = run({ traitors: { 3: deaf } });
    expect(endOf(records)).toBeLessThan(1_000);
    expect(judgement.surprises).toEqual([]);
  });

  it("comes when nothing has moved for the bound, so that what is missing is called late", () => {
    const { records, judgement } = run({ traitors: { 2: traitors.silent(), 3: traitors.silent() }, within: "3s" });
    const { termination } = judgement.properties;
    expect(termination).toMatchObject({ verdict: "violated", claimed: false });
    expect(termination.counterexample?.cause?.length).toBeGreaterThan(0);
    expect(endOf(records)).toBeGreaterThan(3_000);
    expect(endOf(records)).toBeLessThanOrEqual(3_002);
  });

  it("gives an operation that is thought about for long its whole bound", () => {
    const halves = [
      faults.partition({ after: 100 }, [
        [0, 1],
        [2, 3],
      ]),
    ];
    const { judgement } = run({ faults: halves, workload: { operations: 10, think: 90 }, within: "2s" });
    expect(judgement.properties.termination.verdict).toBe("violated");
  });

  it("does not come while a client thinks longer than the bound", () => {
    const { records, judgement } = run({ workload: { operations: 3, think: "60s" } });
    expect(recordsOf(records, "return").length).toBe(3);
    expect(endOf(records)).toBeGreaterThan(120_000);
    expect(judgement.surprises).toEqual([]);
  });

  it("counts the bound from GST when that is later", () => {
    const { records } = run({
      traitors: { 2: traitors.silent(), 3: traitors.silent() },
      network: { loss: 0.1, stableFrom: "4s" },
      within: "3s",
    });
    expect(endOf(records)).toBeGreaterThan(7_000);
    expect(endOf(records)).toBeLessThanOrEqual(7_002);
  });

  it("comes at once when there is nothing to do, and nothing could be judged", () => {
    const { judgement } = run({ workload: { operations: 0 } });
    expect(judgement.properties.agreement).toMatchObject({ verdict: "inconclusive", because: "there was no decision to judge" });
    expect(judgement.asExpected).toBe(false);
  });
});

describe("a traitor of the user's own", () => {
  it("that answers what no hook may ends the run with an error that names it", () => {
    const confused = traitor("confused", () => ({ send: { prepare: () => 7 as never } }));
    expect(() => run({ traitors: { 1: confused } })).toThrow(LabError);
    expect(() => run({ traitors: { 1: confused } })).toThrow(/"confused", hook for prepare/);
  });

  it("is begun anew, as its replica is, when that is killed and started again", () => {
    let made = 0;
    const counted = traitor("counts its lives", () => {
      made += 1;
      return { send: { commit: () => "drop" } };
    });
    run({ traitors: { 3: counted }, faults: [faults.kill({ after: 30 }, 3), faults.start({ after: 60 }, 3)] });
    expect(made).toBe(2);
  });
});
