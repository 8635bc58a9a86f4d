/** Durations as users write them: milliseconds, or text with a unit. */
import { LabError } from "./lab-error.ts";

export type Duration = number | `${number}ms` | `${number}s` | `${number}m`;

export const durationExpected = `a duration: milliseconds from 0, or text such as "5ms", "1.5s", "2m"`;

const unitMs: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000 };

/** Milliseconds, or undefined when `value` is no duration. */
export function parseDuration(value: unknown): number | undefined {
  if (typeof value === "number") return Number.isFinite(value) && value >= 0 ? value : undefined;
  if (typeof value !== "string") return undefined;
  const [, amount, unit = ""] = /^(\d+(?:\.\d+)?)(ms|s|m)$/.exec(value) ?? [];
  const factor = unitMs[unit];
  // Rounded to a microsecond: "0.1s" shall be 100, whatever binary fractions say.
  return factor === undefined ? undefined : Math.round(Number(amount) * factor * 1_000) / 1_000;
}

/** Milliseconds. @throws LabError in one line that names `what` and the forms allowed. */
export function durationMs(value: Duration, what = "duration"): number {
  const ms = parseDuration(value);
  if (ms === undefined) throw new LabError("bad-duration", `${what}: expected ${durationExpected}, got ${JSON.stringify(value)}`);
  return ms;
}
