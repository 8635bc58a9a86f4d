/** What a judge reads of the scenario that stands in `run.config`. Everything is optional: a trace may come from elsewhere. */
import { z } from "zod";
import { defaultTiming } from "../core/cluster.ts";
import { LabError } from "../core/lab-error.ts";
import type { RecordOf } from "./trace.ts";

const ms = z.number().nonnegative();

const schema = z.looseObject({
  network: z.looseObject({ loss: z.number().default(0), stableFrom: ms.optional() }).default({ loss: 0 }),
  faults: z.array(z.looseObject({ fault: z.string() })).default([]),
  timing: z
    .looseObject({
      viewTimeoutMaxMs: ms.default(defaultTiming.viewTimeoutMaxMs),
      statusIntervalMs: ms.default(defaultTiming.statusIntervalMs),
      idleStatusIntervalMs: ms.default(defaultTiming.idleStatusIntervalMs),
      clientRetryMaxMs: ms.optional(),
    })
    .default({ ...defaultTiming }),
});

/** Times in ms. */
export interface RunConfig {
  readonly network: { readonly loss: number; readonly stableFrom?: number | undefined };
  /** What was meant to go wrong. */
  readonly faults: readonly { readonly fault: string }[];
  readonly timing: {
    readonly viewTimeoutMaxMs: number;
    readonly statusIntervalMs: number;
    readonly idleStatusIntervalMs: number;
    readonly clientRetryMaxMs?: number | undefined;
  };
}

/** @throws LabError in one line that names the field */
export function runConfigOf(run: RecordOf<"run">): RunConfig {
  const parsed = schema.safeParse(run.config ?? {});
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw new LabError("bad-trace", `run.config.${issue?.path.join(".")}: ${issue?.message}`);
}
