import { describe, expect, it } from "vitest";
import type { Effect, Observation } from "../../src/core/contract.ts";
import { digestOf, replicaId, slot, view } from "../../src/core/ids.ts";
import type { AnyMessage } from "../../src/core/message.ts";
import type { RejectionCode } from "../../src/core/rejection.ts";
import { EventLog, events } from "../../src/node/event-log.ts";
import type { HostLimits } from "../../src/node/limits.ts";
import { createLog, type LogLevel } from "../../src/node/log.ts";
import type { TransportNotice } from "../../src/transport/notice.ts";

function eventLog(level: LogLevel = "info", limits: Partial<HostLimits> = {}) {
  const lines: Record<string, unknown>[] = [];
  const destination = { write: (line: string) => void lines.push(JSON.parse(line) as Record<string, unknown>) };
  const log = new EventLog(createLog({ node: "replica-0", level, destination }), limits);
  /** Without what every line has. */
  const told = () => lines.map(({ time: _time, node: _node, msg: _msg, ...rest }) => rest);
  return { log, lines, told };
}

const digest = digestOf("ab".repeat(32));
const observe = (event: Observation): Effect<AnyMessage, unknown> => ({ type: "observe", event });
const reject = (code: RejectionCode): Effect<AnyMessage, unknown> => ({
  type: "reject",
  rejection: { code, from: "replica-3", kind: "prepare" },
});

const effects: readonly (readonly [Effect<AnyMessage, unknown>, object])[] = [
  [observe({ event: "view-change", view: view(1) }), { level: "warn", event: "view-change", view: 1 }],
  [observe({ event: "new-view", view: view(1) }), { level: "info", event: "new-view", view: 1 }],
  [
    observe({ event: "install", slot: slot(32), digest, from: "replica-2" }),
    { level: "info", event: "install", slot: 32, from: "replica-2" },
  ],
  [observe({ event: "halt", reason: "contradiction" }), { level: "fatal", event: "halt", reason: "contradiction" }],
  [observe({ event: "checkpoint", slot: slot(32), digest, stable: true }), { level: "debug", event: "checkpoint", slot: 32 }],
  [
    { type: "evidence", culprit: replicaId(3), kind: "prepare", messages: [] },
    { level: "warn", event: "evidence", culprit: 3, kind: "prepare" },
  ],
  [
    reject("bad-signature"),
    { level: "warn", event: "invalid-signature", peer: "replica-3", code: "bad-signature", kind: "prepare", count: 1 },
  ],
  [
    reject("verify-budget"),
    { level: "warn", event: "invalid-signature", peer: "replica-3", code: "verify-budget", kind: "prepare", count: 1 },
  ],
];

const [peer, client] = ["replica-1", "client-1"] as const;
const notices: readonly (readonly [TransportNotice, object])[] = [
  [
    { type: "link-up", peer },
    { level: "info", event: "link-up", peer, count: 1 },
  ],
  [
    { type: "link-up", peer: client },
    { level: "debug", event: "link-up", peer: client, count: 1 },
  ],
  [
    { type: "link-down", peer, reason: "idle" },
    { level: "warn", event: "link-down", peer, reason: "idle", count: 1 },
  ],
  [
    { type: "link-down", peer: client, reason: "idle" },
    { level: "debug", event: "link-down", peer: client, reason: "idle", count: 1 },
  ],
  [
    { type: "link-down", peer: client, reason: "oversize" },
    { level: "warn", event: "link-down", peer: client, reason: "oversize", count: 1 },
  ],
  [
    { type: "link-down", peer: client, reason: "slow-reader" },
    { level: "warn", event: "slow-reader", peer: client, reason: "slow-reader", count: 1 },
  ],
  [
    { type: "call-failed", peer, reason: "connection-lost", detail: "ECONNREFUSED" },
    { level: "warn", event: "call-failed", peer, reason: "connection-lost", detail: "ECONNREFUSED", count: 1 },
  ],
  [
    { type: "stranger-refused", reason: "bad-signature", address: "192.0.2.1" },
    { level: "warn", event: "stranger-refused", reason: "bad-signature", address: "192.0.2.1", count: 1 },
  ],
  [
    { type: "cut-off", peer, reason: "bad-signature", ms: 2_000 },
    { level: "warn", event: "cut-off", peer, reason: "bad-signature", ms: 2_000, count: 1 },
  ],
  [
    { type: "frames-dropped", peer, reason: "queue-full", frames: 12 },
    { level: "warn", event: "queue-full", peer, reason: "queue-full", count: 12 },
  ],
  [
    { type: "held-back", peer },
    { level: "warn", event: "held-back", peer, count: 1 },
  ],
];

describe("one line for each event", () => {
  it.each(effects)("of the core: %o", (effect, expected) => {
    const { log, told } = eventLog("debug");
    log.effect(effect);
    expect(told()).toEqual([expected]);
  });

  it.each(notices)("of the links: %o", (notice, expected) => {
    const { log, told } = eventLog("debug");
    log.notice(notice);
    expect(told()).toEqual([expected]);
  });

  it("of a page that could not be made, with the error", () => {
    const { log, told } = eventLog();
    log.notice({ type: "page-failed", path: "/metrics", error: new Error("out of ink") });
    expect(told()).toEqual([
      { level: "error", event: "page-failed", path: "/metrics", error: expect.objectContaining({ message: "out of ink" }), count: 1 },
    ]);
  });

  it("says loudly when anybody may send requests", () => {
    const { log, told } = eventLog("warn");
    log.openClients();
    expect(told()).toEqual([{ level: "warn", event: "open-clients" }]);
  });

  it("at the start and at the end", () => {
    const { log, told } = eventLog();
    log.started({ address: "ws://127.0.0.1:7000", cluster: digest, replicas: 4, faults: 1 });
    log.stopped();
    expect(told()).toEqual([
      {
        level: "info",
        event: "started",
        address: "ws://127.0.0.1:7000",
        cluster: digest,
        replicas: 4,
        faults: 1,
        version: expect.any(String),
      },
      { level: "info", event: "stopped" },
    ]);
  });

  it("and none for what happens with every slot", () => {
    const { log, told } = eventLog("trace");
    log.effect({ type: "decide", view: view(0), slot: slot(1), digest, requests: [] });
    log.effect(observe({ event: "timer", name: "view", view: view(0), what: "fire" }));
    log.effect(observe({ event: "checkpoint", slot: slot(32), digest, stable: false }));
    log.effect(reject("duplicate"));
    log.effect({ type: "set-timer", timer: "view", ms: 1 });
    expect(told()).toEqual([]);
  });

  it("says what happened in a sentence of its own, and every event is met above", () => {
    const { log, lines } = eventLog("debug");
    for (const [effect] of effects) log.effect(effect);
    for (const [notice] of notices) log.notice(notice);
    const met = new Set([...lines.map((line) => line["event"]), "page-failed", "started", "open-clients", "stopped"]);
    expect(met).toEqual(new Set(Object.keys(events)));
    expect(new Set(Object.values(events).map(({ text }) => text)).size).toBe(met.size);
  });
});

describe("a flood", () => {
  it("of strangers costs one line at once and one for each `summaryMs`, whatever their addresses", async () => {
    const { log, told } = eventLog("info", { summaryMs: 50 });
    for (let count = 0; count < 5_000; count++)
      log.notice({ type: "stranger-refused", reason: "handshake-timeout", address: `192.0.2.${count % 256}` });
    expect(told()).toHaveLength(1);
    await expect.poll(() => told().length).toBe(2);
    expect(told()[1]).toMatchObject({ event: "stranger-refused", count: 4_999 });
  });

  it("is told of before the last line", () => {
    const { log, told } = eventLog();
    for (let count = 0; count < 100; count++) log.effect(reject("bad-signature"));
    log.stopped();
    expect(told().map(({ event, count }) => [event, count])).toEqual([
      ["invalid-signature", 1],
      ["invalid-signature", 99],
      ["stopped", undefined],
    ]);
  });

  it("that nobody reads takes no place from what is read", () => {
    const { log, told } = eventLog("info", { summaries: 1 });
    log.notice({ type: "link-up", peer: client });
    for (const reason of ["bad-signature", "unknown-sender"] as const)
      log.notice({ type: "stranger-refused", reason, address: "192.0.2.1" });
    expect(told().map(({ reason }) => reason)).toEqual(["bad-signature", "unknown-sender"]);
  });
});
