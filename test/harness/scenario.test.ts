import { describe, expect, it } from "vitest";
import { defaultLimits, defaultTiming } from "../../src/core/cluster.ts";
import { digestOf } from "../../src/core/ids.ts";
import { faults } from "../../src/faults/fault.ts";
import { judge } from "../../src/harness/judge.ts";
import { runRecord } from "../../src/harness/run-record.ts";
import { checkedScenario, clusterOf, networkOf, retryOf, scenario } from "../../src/harness/scenario.ts";
import { formatRecord, parseTraceLine } from "../../src/harness/trace-text.ts";
import { traitor } from "../../src/traitors/traitor.ts";

const equivocate = { behaviour: "equivocate", options: {} } as const;

/** The example of the guide. */
const example = () =>
  scenario({
    name: "an equivocating primary is found out",
    protocol: "pbft",
    replicas: 4,
    traitors: { 0: equivocate },
    network: { delay: ["1ms", "5ms"], loss: 0.01, stableFrom: "5s" },
    faults: [
      faults.partition({ afterReturns: 20 }, [
        [0, 1],
        [2, 3],
      ]),
      faults.heal({ after: "2s" }),
    ],
    workload: { clients: 2, operations: 200 },
    within: "10s",
    expect: { agreement: "holds", accused: [0] },
  });

describe("scenario", () => {
  it("turns durations into ms and fills in the rest", () => {
    expect(example()).toMatchObject({
      f: 1,
      quorums: { order: 3, viewChange: 3, weak: 2, reply: 2, checkpoint: 3 },
      network: { delay: [1, 5], loss: 0.01, duplicate: 0, reorder: 0, stableFrom: 5_000 },
      faults: [
        { fault: "partition", when: { afterReturns: 20 } },
        { fault: "heal", when: { after: 2_000 } },
      ],
      workload: { clients: 2, operations: 200, window: 1, keys: 4, think: 0 },
      within: 10_000,
      timing: defaultTiming,
      limits: defaultLimits,
    });
  });

  it("needs a name and a number of replicas only, and promises the bound that theory gives", () => {
    const { within, timing, f } = scenario({ name: "small", replicas: 7 });
    expect(f).toBe(2);
    expect(within).toBe(
      timing.clientRetryMaxMs + 4 * timing.viewTimeoutMaxMs + 2 * timing.idleStatusIntervalMs + 7 * timing.statusIntervalMs,
    );
  });

  it("takes what it gave back", () => {
    expect(scenario(example())).toEqual(example());
    expect(checkedScenario(JSON.parse(JSON.stringify(example())))).toEqual(example());
  });

  it("lets quorums be wrong on purpose, and undefined leave a default as it is", () => {
    const { quorums, limits } = checkedScenario({
      name: "x",
      replicas: 4,
      quorums: { order: 2, reply: undefined },
      limits: { window: undefined },
    });
    expect(quorums).toEqual({ order: 2, viewChange: 3, weak: 2, reply: 2, checkpoint: 3 });
    expect(limits.window).toBe(defaultLimits.window);
  });

  it("takes faults as data with durations as text, and one delay for both ends", () => {
    const parsed = scenario({
      name: "x",
      replicas: 4,
      network: { delay: "2ms" },
      faults: [
        { fault: "kill", when: { after: "1s" }, replica: 2 },
        { fault: "start", when: { after: "1.5s" }, replica: 2 },
      ],
    });
    expect(parsed.faults).toEqual([
      { fault: "kill", when: { after: 1_000 }, replica: 2 },
      { fault: "start", when: { after: 1_500 }, replica: 2, storage: "kept" },
    ]);
    expect(networkOf(parsed)).toEqual({ delayMs: { min: 2, max: 2 }, loss: 0, duplicate: 0, reorder: 0, stableFromMs: undefined });
  });

  it("says in one line what is wrong, and what is allowed", () => {
    const base = { name: "x", replicas: 4 };
    const when = { after: 1 };
    const mistakes: readonly (readonly [unknown, string])[] = [
      [{ name: "x", replicas: "four" }, 'scenario "x": replicas: expected an integer from 1, got "four"'],
      [{ name: "x" }, 'scenario "x": replicas: expected an integer from 1, got nothing'],
      [{ replicas: 4 }, 'scenario "a.ts": name: expected text that is not empty, got nothing'],
      [5, 'scenario "a.ts": expected an object with the fields name, protocol,'],
      [
        { ...base, replica: 3 },
        'scenario "x": unknown field "replica"; allowed: name, protocol, replicas, f, quorums, traitors, network, faults,',
      ],
      [
        { ...base, network: { lost: 1 } },
        'scenario "x": network: unknown field "lost"; allowed: delay, loss, duplicate, reorder, stableFrom',
      ],
      [{ ...base, network: { loss: 2 } }, 'scenario "x": network.loss: expected a probability from 0 to 1, got 2'],
      [{ ...base, network: { delay: [5, 1] } }, 'scenario "x": network.delay: expected from and to in order, got [5,1]'],
      [
        { ...base, within: "soon" },
        'scenario "x": within: expected a duration: milliseconds from 0, or text such as "5ms", "1.5s", "2m", got "soon"',
      ],
      [{ ...base, f: 4 }, 'scenario "x": f: expected an integer in 0..3, got 4'],
      [{ ...base, quorums: { order: 9 } }, 'scenario "x": quorums.order: expected an integer in 1..4, got 9'],
      [{ ...base, protocol: "raft" }, 'scenario "x": protocol: expected one of "pbft", got "raft"'],
      [
        { ...base, traitors: { 7: equivocate } },
        'scenario "x": traitors: expected replicas 0..3 (clients cannot be traitors yet), got "7"',
      ],
      [{ ...base, traitors: { "client-1": equivocate } }, '(clients cannot be traitors yet), got "client-1"'],
      [{ ...base, traitors: { "01": equivocate } }, 'got "01"'],
      [
        { ...base, traitors: { 0: "equivocate" } },
        'scenario "x": traitors.0[0]: expected a traitor, such as traitors.equivocate() or what traitor() made',
      ],
      [
        { ...base, faults: [{ fault: "boom" }] },
        'scenario "x": faults[0].fault: expected one of "partition", "heal", "kill", "start", "pause", "resume", got "boom"',
      ],
      [{ ...base, faults: [{ fault: "kill", when }] }, 'scenario "x": faults[0].replica: expected an integer from 0, got nothing'],
      [{ ...base, faults: [{ fault: "kill", when, replica: 4 }] }, 'scenario "x": faults[0].replica: expected an integer in 0..3, got 4'],
      [{ ...base, faults: [{ fault: "kill", when: {}, replica: 1 }] }, 'scenario "x": faults[0].when: expected { after:'],
      [
        { ...base, faults: [{ fault: "heal", when, replica: 1 }] },
        'scenario "x": faults[0]: unknown field "replica"; allowed: fault, when',
      ],
      [
        { ...base, faults: [{ fault: "partition", when, groups: [[0, 9]] }] },
        'scenario "x": faults[0].groups: expected replicas 0..3 or client-1..client-1, got 9',
      ],
      [
        { ...base, expect: { agrement: "holds" } },
        'scenario "x": expect: unknown field "agrement"; allowed: agreement, validity, integrity, termination, accountability, accused',
      ],
      [
        { ...base, expect: { agreement: "yes" } },
        'scenario "x": expect.agreement: expected one of "holds", "violated", "inconclusive", got "yes"',
      ],
      [{ ...base, expect: { accused: [4] } }, 'scenario "x": expect.accused: expected replicas 0..3, got 4'],
      [{ ...base, timing: { viewTimeoutMs: 0 } }, 'scenario "x": timing.viewTimeoutMs: expected an interval from 1 ms to 2^31-1 ms'],
      [
        { ...base, limits: { window: 10 } },
        'scenario "x": limits.window: expected at least twice the checkpoint interval of 32 (rule 24), got 10',
      ],
      [{ ...base, workload: { clients: 0 } }, 'scenario "x": workload.clients: expected an integer from 1, got 0'],
    ];
    for (const [definition, message] of mistakes) {
      expect(() => checkedScenario(definition, "a.ts")).toThrow(message);
      expect(() => checkedScenario(definition, "a.ts")).toThrow(/^[^\n]*$/);
    }
  });

  it("gives cores their cluster and clients their patience", () => {
    const parsed = scenario({ name: "x", replicas: 4, workload: { clients: 2 }, timing: { viewTimeoutMs: "2s", clientRetryMs: 70 } });
    const cluster = clusterOf(parsed, digestOf("00".repeat(32)));
    expect(cluster).toMatchObject({ n: 4, f: 1, replicas: [0, 1, 2, 3], clients: [1, 2], timing: { viewTimeoutMs: 2_000 } });
    expect(Object.keys(cluster.timing)).toEqual(Object.keys(defaultTiming));
    expect(retryOf(parsed).firstMs).toBe(70);
  });
});

describe("the run record", () => {
  const custom = traitor("my own", () => ({}));

  it("tells who lies and what was planned, and is text like any other record", () => {
    const planned = scenario({
      name: "x",
      replicas: 4,
      traitors: { 1: equivocate },
      faults: [faults.kill({ after: 5 }, 2)],
    });
    // No host runs traitor clients yet; the format of the trace knows them.
    const withClient = { ...planned, traitors: { ...planned.traitors, "client-1": [custom] } };
    const record = runRecord(withClient, { version: "1.2.3", seed: 9, host: "ws" });
    expect(record).toMatchObject({
      traitors: [1],
      correct: [0, 2, 3],
      clients: [{ name: "client-1", traitor: true }],
      K: 32,
      L: 128,
      W: 256,
    });
    expect(record.config).toMatchObject({ traitors: { 1: [equivocate], "client-1": [{ custom: "my own" }] } });
    expect(parseTraceLine(formatRecord(record), 1)).toEqual(record);
  });

  it("lets the judge see a planned fault that never fired", () => {
    const planned = scenario({ name: "x", replicas: 4, faults: [faults.kill({ after: 5 }, 2)] });
    const record = runRecord(planned, { version: "1.2.3", seed: 9, host: "sim" });
    const decided = { at: 1, node: "replica-0", event: "decide", view: 0, slot: 1, digest: "aa", requests: [] } as const;
    const { agreement, termination } = judge([record, decided]).properties;
    expect(agreement.because).toBe("0 of 1 faults of kind kill fired");
    expect(termination.claimed).toBe(true);
  });
});
