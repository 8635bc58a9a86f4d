import { describe, expect, it } from "vitest";
import type { Effect } from "../../src/core/contract.ts";
import { clientId, digestOf, replicaId, requestNumber, slot, view } from "../../src/core/ids.ts";
import { type AnyMessage, type Signed, trusted } from "../../src/core/message.ts";
import { describeMessage, recordOfMessage, recordsOf, recordsOfClient } from "../../src/harness/recording.ts";
import { formatRecord, parseTraceLine } from "../../src/harness/trace-text.ts";
import { decodeFrame } from "../../src/wire/frame.ts";
import { hexToBytes } from "../../src/wire/schema.ts";

const digest = digestOf("ab".repeat(32));
const prepare: AnyMessage = { kind: "prepare", sender: 2, incarnation: 0, view: 3, slot: 4, digest } as AnyMessage;
const signed: Signed<AnyMessage> = { message: prepare, payload: new Uint8Array([1, 2]), signature: new Uint8Array(64) };

const only = (effect: Effect<AnyMessage>) => {
  const records = recordsOf(effect, "replica-1", 7);
  expect(records).toHaveLength(1);
  // Whatever is recorded is text that a trace may hold.
  for (const record of records) expect(parseTraceLine(formatRecord(record), 1)).toEqual(record);
  return records[0];
};

describe("recording what a core says", () => {
  it("records decisions", () => {
    const requests = [{ client: clientId(1), request: requestNumber(2), digest }];
    expect(only({ type: "decide", view: view(3), slot: slot(4), digest, requests })).toEqual({
      at: 7,
      node: "replica-1",
      event: "decide",
      view: 3,
      slot: 4,
      digest,
      requests,
    });
  });

  it("records observations, results as hex", () => {
    const result = new Uint8Array([0, 255]);
    const event = { event: "execute", slot: slot(4), client: clientId(1), request: requestNumber(2), result } as const;
    expect(only({ type: "observe", event })).toMatchObject({ event: "execute", slot: 4, client: 1, request: 2, result: "00ff" });
    expect(only({ type: "observe", event: { event: "halt", reason: "why" } })).toMatchObject({ event: "halt", reason: "why" });
  });

  it("records rejections as they are", () => {
    const rejection = { code: "duplicate", from: "replica-2", kind: "prepare" } as const;
    expect(only({ type: "reject", rejection })).toEqual({ at: 7, node: "replica-1", event: "reject", ...rejection });
  });

  it("records evidence as whole frames, which anybody can verify", () => {
    const record = only({ type: "evidence", culprit: replicaId(2), kind: "prepare", messages: [trusted(signed)] });
    const [frame = ""] = record?.event === "evidence" ? record.messages : [];
    expect(decodeFrame(hexToBytes(frame), { frameBytes: 1_000 })).toMatchObject({ ok: true, frame: { payload: signed.payload } });
  });

  it("leaves out what only a host carries out", () => {
    const effects: Effect<AnyMessage>[] = [
      { type: "persist", records: [] },
      { type: "set-timer", timer: "view", ms: 5 },
      { type: "cancel-timer", timer: "view" },
    ];
    for (const effect of effects) expect(recordsOf(effect, "replica-1", 7)).toEqual([]);
  });

  it("records messages at the node that sends or receives, with view, slot and digest where they have them", () => {
    const envelope = { id: "00", bytes: 10, from: "replica-2", to: "replica-1" } as const;
    expect(recordOfMessage("send", 1, envelope, prepare)).toMatchObject({ node: "replica-2", event: "send", kind: "prepare", view: 3 });
    expect(recordOfMessage("receive", 2, envelope, prepare)).toMatchObject({ node: "replica-1", event: "receive", slot: 4, digest });
    expect(describeMessage({ kind: "status", sender: 1, incarnation: 0 })).toEqual({});
  });

  it("records what clients do", () => {
    const event = { event: "invoke", client: clientId(1), request: requestNumber(2), digest, operation: new Uint8Array([9]) } as const;
    expect(recordsOfClient({ type: "observe", event }, clientId(1), 3)).toEqual([
      { at: 3, node: "client-1", event: "invoke", client: 1, request: 2, digest, op: "09" },
    ]);
    expect(recordsOfClient({ type: "return", number: requestNumber(2), result: new Uint8Array([1]) }, clientId(1), 4)).toEqual([
      { at: 4, node: "client-1", event: "return", client: 1, request: 2, result: "01" },
    ]);
    expect(recordsOfClient({ type: "cancel-timer", timer: "retry" }, clientId(1), 4)).toEqual([]);
  });
});
