import { describe, expect, it } from "vitest";
import type { CoreState, Effect } from "../../src/core/contract.ts";
import { clientId, digestOf, replicaId, requestNumber, slot, view } from "../../src/core/ids.ts";
import { nativeScheme } from "../../src/crypto/native.ts";
import { createMetrics, type MetricsSetup } from "../../src/node/metrics.ts";
import { Tally } from "../../src/transport/counters.ts";
import { clientPeer, type Peer, peerName, replicaPeer } from "../../src/transport/peer.ts";
import { testCluster } from "../support/keys.ts";
import { clientSeal, replicaSeal } from "../support/wire.ts";

const nodes = testCluster(4, { clients: 2, scheme: nativeScheme });
const digest = digestOf("ab".repeat(32));
const prepare = replicaSeal(nodes, 1)({ kind: "prepare", view: view(0), slot: slot(1), digest });
const request = (number: number) => clientSeal(nodes, 1)({ kind: "request", number: requestNumber(number), operation: Uint8Array.of(1) });
const execute = (number: number, replayed?: true): Effect<never, never> => ({
  type: "observe",
  event: {
    event: "execute",
    slot: slot(1),
    client: clientId(1),
    request: requestNumber(number),
    result: Uint8Array.of(1),
    ...(replayed && { replayed }),
  },
});
const decide = (requests: number): Effect<never, never> => ({
  type: "decide",
  view: view(0),
  slot: slot(1),
  digest,
  requests: Array.from({ length: requests }, () => ({ client: clientId(1), request: requestNumber(1), digest })),
});

function metricsWith(more: Partial<MetricsSetup> = {}) {
  const time = { now: 0 };
  const state: { -readonly [K in keyof CoreState]: CoreState[K] } = { view: 3, active: true, executed: 40, stable: 32, halted: false };
  const counters = new Tally();
  const waiting = new Map<string, number>();
  const links: Peer[] = [];
  const metrics = createMetrics({
    self: replicaId(0),
    state: () => state,
    transport: () => ({ counters, links: () => links, waitingBytes: (peer) => waiting.get(peerName(peer)) ?? 0 }),
    now: () => time.now,
    ...more,
  });
  const read = async (): Promise<string> => (await metrics.page()).body;
  /** The samples of one metric, labels and all. */
  const samples = async (name: string): Promise<string[]> =>
    (await read()).split("\n").filter((line) => new RegExp(`^quorate_${name}(_bucket|_sum|_count)?[{ ]`).test(line));
  return { metrics, time, state, counters, waiting, links, read, samples };
}

describe("the metrics of a replica", () => {
  it("are a page in the text format of Prometheus", async () => {
    const { metrics } = metricsWith();
    const { status, type } = await metrics.page();
    expect([status, type]).toEqual([200, "text/plain; version=0.0.4; charset=utf-8"]);
  });

  it("tell the state of the core at the time of asking", async () => {
    const { state, read } = metricsWith();
    expect(await read()).toMatch(/\nquorate_view 3\n/);
    Object.assign(state, { view: 4, active: false, executed: 41, stable: 32, halted: true });
    const text = await read();
    for (const line of ["view 4", "view_active 0", "executed_slot 41", "stable_slot 32", "halted 1"])
      expect(text).toContain(`\nquorate_${line}\n`);
  });

  it("count messages and bytes by kind and direction", async () => {
    const { metrics, samples } = metricsWith();
    for (let to = 1; to < 4; to++) metrics.sent("replica-0", `replica-${to}`, prepare, new Uint8Array(100));
    metrics.received("replica-1", "replica-0", prepare, new Uint8Array(120));
    metrics.received("client-1", "replica-0", request(1), new Uint8Array(50));
    expect(await samples("messages_total")).toEqual([
      'quorate_messages_total{kind="prepare",direction="sent"} 3',
      'quorate_messages_total{kind="prepare",direction="received"} 1',
      'quorate_messages_total{kind="request",direction="received"} 1',
    ]);
    expect(await samples("message_bytes_total")).toEqual([
      'quorate_message_bytes_total{kind="prepare",direction="sent"} 300',
      'quorate_message_bytes_total{kind="prepare",direction="received"} 120',
      'quorate_message_bytes_total{kind="request",direction="received"} 50',
    ]);
  });

  it("count decisions, executions, view changes and rejections, the same however often they are read", async () => {
    const { metrics, samples } = metricsWith();
    metrics.did(decide(3));
    metrics.did(decide(0));
    metrics.did(execute(1));
    metrics.did(execute(2, true));
    metrics.did({ type: "observe", event: { event: "view-change", view: view(1) } });
    for (const code of ["duplicate", "bad-signature", "duplicate"] as const) metrics.did({ type: "reject", rejection: { code } });
    metrics.did({ type: "cancel-timer", timer: "view" });
    for (let time = 0; time < 3; time++) {
      expect(await samples("decided_slots_total")).toEqual(["quorate_decided_slots_total 2"]);
      expect(await samples("executed_requests_total")).toEqual(["quorate_executed_requests_total 1"]);
      expect(await samples("view_changes_total")).toEqual(["quorate_view_changes_total 1"]);
      expect(await samples("rejections_total")).toEqual([
        'quorate_rejections_total{code="duplicate"} 2',
        'quorate_rejections_total{code="bad-signature"} 1',
      ]);
    }
    expect(await samples("batch_requests")).toEqual(
      expect.arrayContaining([
        'quorate_batch_requests_bucket{le="0"} 1',
        'quorate_batch_requests_bucket{le="2"} 1',
        'quorate_batch_requests_bucket{le="4"} 2',
        "quorate_batch_requests_sum 3",
        "quorate_batch_requests_count 2",
      ]),
    );
  });

  it("measure a request from its first arrival to its execution, and only one that arrived by itself", async () => {
    const { metrics, time, samples } = metricsWith();
    const arrive = (number: number): void => metrics.received("client-1", "replica-0", request(number), new Uint8Array(1));
    arrive(1);
    time.now = 15;
    arrive(1);
    time.now = 30;
    metrics.did(execute(1));
    metrics.did(execute(1));
    metrics.did(execute(2));
    const found = await samples("request_execution_seconds");
    expect(found).toEqual(
      expect.arrayContaining([
        'quorate_request_execution_seconds_bucket{le="0.02"} 0',
        'quorate_request_execution_seconds_bucket{le="0.05"} 1',
        "quorate_request_execution_seconds_sum 0.03",
        "quorate_request_execution_seconds_count 1",
      ]),
    );
  });

  it("remember no more than `remembered` arrivals: a client that asks and asks fills nothing", async () => {
    const { metrics, time, samples } = metricsWith({ limits: { remembered: 2 } });
    for (const number of [1, 2, 3]) metrics.received("client-1", "replica-0", request(number), new Uint8Array(1));
    time.now = 1_000;
    for (const number of [1, 2, 3]) metrics.did(execute(number));
    expect(await samples("request_execution_seconds")).toContain("quorate_request_execution_seconds_count 2");
    expect(await samples("executed_requests_total")).toEqual(["quorate_executed_requests_total 3"]);
  });

  it("tell how long records take to become durable", async () => {
    const { metrics, samples } = metricsWith();
    metrics.persisted(3, 1);
    metrics.persisted(1, 20);
    expect(await samples("persisted_records_total")).toEqual(["quorate_persisted_records_total 4"]);
    expect(await samples("persist_seconds")).toEqual(
      expect.arrayContaining(['quorate_persist_seconds_bucket{le="0.002"} 1', "quorate_persist_seconds_sum 0.021"]),
    );
  });

  it("tell of links, of what waits for each replica and for all clients together, and of what was lost", async () => {
    const { counters, waiting, links, samples } = metricsWith();
    links.push(replicaPeer(1), replicaPeer(2), clientPeer(1), clientPeer(2));
    for (const [name, bytes] of [
      ["replica-1", 10],
      ["client-1", 3],
      ["client-2", 4],
    ] as const)
      waiting.set(name, bytes);
    counters.add("queue-full", "replica-1", 7);
    counters.add("handshake-timeout");
    expect(await samples("links")).toEqual(['quorate_links{role="replica"} 2', 'quorate_links{role="client"} 2']);
    expect(await samples("waiting_bytes")).toEqual([
      'quorate_waiting_bytes{peer="clients"} 7',
      'quorate_waiting_bytes{peer="replica-1"} 10',
      'quorate_waiting_bytes{peer="replica-2"} 0',
    ]);
    expect(await samples("transport_losses_total")).toEqual([
      'quorate_transport_losses_total{reason="queue-full"} 7',
      'quorate_transport_losses_total{reason="handshake-timeout"} 1',
    ]);
    links.splice(0, 1);
    expect(await samples("waiting_bytes")).not.toContainEqual(expect.stringContaining("replica-1"));
  });

  it("can be read before there is a transport", async () => {
    const { samples } = metricsWith({ transport: () => undefined });
    expect(await samples("links")).toEqual(['quorate_links{role="replica"} 0', 'quorate_links{role="client"} 0']);
  });

  it("are those of one replica, though several live in a process; the process itself is told of when asked for", async () => {
    const [one, two] = [metricsWith(), metricsWith({ self: replicaId(1), process: true })];
    one.metrics.did(decide(1));
    expect(await two.samples("decided_slots_total")).toEqual(["quorate_decided_slots_total 0"]);
    expect(await two.samples("info")).toEqual([expect.stringMatching(/^quorate_info\{node="replica-1",version="[\d.]+"\} 1$/)]);
    expect(await one.read()).not.toContain("process_");
    for (const name of ["process_cpu_seconds_total", "process_resident_memory_bytes", "nodejs_eventloop_lag_seconds"])
      expect(await two.read()).toContain(`\n${name}`);
  });

  it("follow the conventions: a prefix, a help text, a unit or what is counted, and labels of few values", async () => {
    const { read } = metricsWith();
    const text = await read();
    const types = [...text.matchAll(/^# TYPE (\S+) (\S+)$/gm)].map(([, name = "", type = ""]) => ({ name, type }));
    expect(types.length).toBeGreaterThan(15);
    for (const { name, type } of types) {
      expect(name).toMatch(/^quorate_[a-z_]+$/);
      expect(name.endsWith("_total")).toBe(type === "counter");
      expect(text).toMatch(new RegExp(`^# HELP ${name} .{10,}\\.$`, "m"));
    }
  });
});
