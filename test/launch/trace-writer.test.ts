import { appendFileSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import type { TraceRecord } from "../../src/harness/trace.ts";
import { parseTrace } from "../../src/harness/trace-text.ts";
import { TraceWriter } from "../../src/launch/trace-writer.ts";
import { useFolders } from "../support/folder.ts";

const newFolder = useFolders();
const newPath = (): string => join(newFolder(), "replica-0.jsonl");
const read = (path: string): string[] => parseTrace(readFileSync(path, "utf8")).map(({ event }) => event);

const start: TraceRecord = { at: 1, node: "replica-0", event: "start", incarnation: 0 };
const change: TraceRecord = { at: 2, node: "replica-0", event: "view-change", view: 1 };
const decide: TraceRecord = { at: 3, node: "replica-0", event: "decide", view: 0, slot: 1, digest: "aa", requests: [] };

describe("a node's trace file", () => {
  it("has a decision, and all that came before it, as soon as it is written", () => {
    const path = newPath();
    const writer = new TraceWriter(path);
    writer.write(start);
    writer.write(change);
    expect(read(path)).toEqual([]);
    writer.write(decide);
    expect(read(path)).toEqual(["start", "view-change", "decide"]);
    writer.close();
  });

  it("gets the rest a moment later, or when it is closed", async () => {
    const path = newPath();
    const writer = new TraceWriter(path);
    writer.write(start);
    await expect.poll(() => read(path)).toEqual(["start"]);
    writer.write(change);
    writer.close();
    expect(read(path)).toEqual(["start", "view-change"]);
  });

  it("goes on where a killed process left it, without the line that was cut short", () => {
    const path = newPath();
    const killed = new TraceWriter(path);
    killed.write(start);
    killed.close();
    appendFileSync(path, '{"at":2,"node":"repl');
    const next = new TraceWriter(path);
    next.write(change);
    next.close();
    expect(read(path)).toEqual(["start", "view-change"]);
  });
});
