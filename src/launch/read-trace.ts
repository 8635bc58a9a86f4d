/** Reads a trace file record by record, however long it is. */
import { createReadStream } from "node:fs";
import { createInterface } from "node:readline";
import type { TraceRecord } from "../harness/trace.ts";
import { parseTraceLine } from "../harness/trace-text.ts";

/** @throws LabError naming the line that is no record */
export async function* readTrace(path: string): AsyncGenerator<TraceRecord> {
  let number = 0;
  for await (const line of createInterface({ input: createReadStream(path, "utf8"), crlfDelay: Number.POSITIVE_INFINITY })) {
    number += 1;
    if (line !== "") yield parseTraceLine(line, number);
  }
}
