import { describe, expect, it } from "vitest";
import { LabError } from "../../src/core/lab-error.ts";
import type { TraceRecord } from "../../src/harness/trace.ts";
import { formatRecord, parseTrace, parseTraceLine } from "../../src/harness/trace-text.ts";
import { runRecordOf } from "./support.ts";

const replica = { at: 1.5, node: "replica-0" } as const;
const message = { id: "0011223344556677", kind: "prepare", bytes: 200, from: "replica-0", to: "replica-1" } as const;

/** One record of each event, with every field. */
const records: readonly TraceRecord[] = [
  runRecordOf({
    clients: [{ name: "client-1", traitor: true }],
    expect: { agreement: "holds", accused: [0] },
    config: { network: { loss: 0.1, delay: [1, 5] } },
  }),
  { ...replica, event: "start", incarnation: 0 },
  { ...replica, event: "stop", stats: { signed: 1, verified: 2, fsyncs: 3 } },
  { ...replica, event: "link", peer: "replica-1", up: true },
  { at: 2, node: "client-1", event: "invoke", client: 1, request: 1, digest: "aa", op: "00ff" },
  { at: 2, node: "client-1", event: "request", client: 1, request: 1, digest: "aa", frame: "00" },
  { at: 2, node: "client-1", event: "return", client: 1, request: 1, result: "" },
  { ...replica, event: "send", ...message, view: 0, slot: 1, digest: "aa", lamport: 4, vector: { "replica-0": 2 } },
  { ...replica, event: "receive", ...message },
  { ...replica, event: "drop", id: "aa", reason: "loss", from: "replica-0", to: "replica-1" },
  { ...replica, event: "reject", code: "duplicate", from: "replica-1", kind: "commit", detail: "again" },
  { ...replica, event: "decide", view: 0, slot: 1, digest: "aa", requests: [{ client: 1, request: 1, digest: "aa" }] },
  { ...replica, event: "execute", slot: 1, client: 1, request: 1, result: "01", replayed: true },
  { ...replica, event: "checkpoint", slot: 4, digest: "aa", stable: false },
  { ...replica, event: "install", slot: 4, digest: "aa", from: "replica-1" },
  { ...replica, event: "view-change", view: 1 },
  { ...replica, event: "new-view", view: 1 },
  { ...replica, event: "halt", reason: "why" },
  { ...replica, event: "crash" },
  { ...replica, event: "restart", incarnation: 1, storage: "kept", slot: 4 },
  { ...replica, event: "disk-fault", kind: "full" },
  { ...replica, event: "timer", name: "view", view: 0, what: "set", ms: 500 },
  { ...replica, event: "pause" },
  { ...replica, event: "resume" },
  { at: 3, node: "harness", event: "partition", groups: [["replica-0"], ["replica-1", "client-1"]] },
  { at: 3, node: "harness", event: "heal" },
  { at: 3, node: "harness", event: "stable" },
  { ...replica, event: "treason", behaviour: "equivocate", what: "two batches" },
  { ...replica, event: "evidence", culprit: 1, kind: "prepare", messages: ["00", "01"] },
  {
    at: 9,
    node: "harness",
    event: "verdict",
    asExpected: true,
    properties: { agreement: { verdict: "holds", claimed: true, expected: null } },
  },
];

describe("the trace as text", () => {
  it.each(records.map((record) => [record.event, record] as const))("keeps every field of %s", (_, record) => {
    expect(parseTraceLine(formatRecord(record), 1)).toEqual(record);
  });

  it("writes equal records as equal bytes, in whatever order their keys came", () => {
    const turned = (value: unknown): unknown => {
      if (Array.isArray(value)) return value.map(turned);
      if (typeof value !== "object" || value === null) return value;
      return Object.fromEntries(
        Object.entries(value)
          .reverse()
          .map(([key, entry]) => [key, turned(entry)]),
      );
    };
    for (const record of records) expect(formatRecord(turned(record) as TraceRecord)).toBe(formatRecord(record));
  });

  it("writes the fields of the contract in its order", () => {
    expect(formatRecord({ event: "new-view", view: 1, node: "replica-0", at: 1 })).toBe(
      '{"at":1,"node":"replica-0","event":"new-view","view":1}',
    );
  });

  it("parses a whole trace, and drops a last line that a kill cut off", () => {
    const text = records.map(formatRecord).join("\n");
    expect(parseTrace(`${text}\n`)).toEqual(records);
    expect(parseTrace(text)).toEqual(records);
    expect(parseTrace(`${text}\n{"at":9,"no`)).toEqual(records);
    expect(parseTrace("")).toEqual([]);
  });

  it.each([
    ["not JSON", "{", 'trace line 3: expected one JSON object, got "{"'],
    ["no object", "[1]", "trace line 3: expected one JSON object, got [1]"],
    ["no event", '{"at":1,"node":"harness"}', "trace line 3: unknown event nothing; allowed: run, start, stop, link,"],
    ["an unknown event", '{"at":1,"node":"harness","event":"party"}', 'trace line 3: unknown event "party"; allowed: run, start,'],
    ["an event that objects inherit", '{"at":1,"node":"harness","event":"toString"}', 'trace line 3: unknown event "toString"'],
    ["no time", '{"node":"harness","event":"heal"}', "trace line 3: heal.at: expected milliseconds, got nothing"],
    [
      "a strange node",
      '{"at":1,"node":"bob","event":"heal"}',
      'trace line 3: heal.node: expected a node such as replica-0, client-1 or harness, got "bob"',
    ],
    [
      "a missing field",
      '{"at":1,"node":"replica-0","event":"new-view"}',
      "trace line 3: new-view.view: expected an integer from 0, got nothing",
    ],
    [
      "a wrong field",
      '{"at":1,"node":"replica-0","event":"new-view","view":-1}',
      "trace line 3: new-view.view: expected an integer from 0, got -1",
    ],
    [
      "upper-case hex",
      '{"at":1,"node":"replica-0","event":"checkpoint","slot":4,"digest":"AA","stable":true}',
      'checkpoint.digest: expected lowercase hex, got "AA"',
    ],
    [
      "a wrong request",
      '{"at":1,"node":"replica-0","event":"decide","view":0,"slot":1,"digest":"aa","requests":[{}]}',
      "decide.requests: expected a list of {client, request, digest}",
    ],
    [
      "null for an optional field",
      '{"at":1,"node":"replica-0","event":"start","incarnation":null}',
      "start.incarnation: expected an integer from 0, got null",
    ],
    [
      "a wrong word",
      '{"at":1,"node":"replica-0","event":"restart","incarnation":1,"storage":"gone","slot":0}',
      'restart.storage: expected one of kept, lost, damaged, got "gone"',
    ],
  ])("names the line and the field: %s", (_, line, message) => {
    const parsing = () => parseTraceLine(line, 3);
    expect(parsing).toThrow(LabError);
    expect(parsing).toThrow(message);
    expect(() => parseTrace(`\n\n${line}\n`)).toThrow("trace line 3: ");
  });

  it("says what is wrong in one short line, however long the value is", () => {
    const line = JSON.stringify({ ...replica, event: "halt", reason: { long: "x".repeat(10_000) } });
    expect(() => parseTraceLine(line, 1)).toThrow(/^[^\n]{0,200}$/);
  });
});
