/** The vocabulary of behaviour options: what scripts write as values and the command line as text. */
import { z } from "zod";
import { parseDuration } from "../core/duration.ts";
import { LabError } from "../core/lab-error.ts";
import { pbftSchemas } from "../protocols/pbft/messages.ts";
import { commonSchemas } from "../wire/schema.ts";

/** Every kind that a behaviour may name. */
const messageKinds: readonly string[] = [...Object.keys(commonSchemas), ...Object.keys(pbftSchemas)];

/** A node as scripts name it: a replica by its number, a client as `client-1`. */
export type NodeReference = number | `client-${number}`;

export const count: z.ZodType<number, number> = z.number().int().nonnegative();

const isNode = (value: unknown): boolean =>
  typeof value === "number" ? Number.isSafeInteger(value) && value >= 0 : typeof value === "string" && /^client-[1-9]\d*$/.test(value);

export const node: z.ZodType<NodeReference, NodeReference> = z.custom<NodeReference>(isNode, {
  error: "expected a replica number, or a client like client-1",
});

/** One value stands for a list of one. */
export function list<T>(of: z.ZodType<T, T>) {
  return z.preprocess((value: T | readonly T[]) => (Array.isArray(value) ? value : [value]), z.array(of).min(1));
}

export const kinds = list<string>(z.enum(messageKinds as [string, ...string[]]));

/** Ms as a number, or a text like `"5ms"`, `"1.5s"`, `"2m"`; in 0..2^31-1. */
export const duration = z
  .union([z.number(), z.string()], { error: "expected a duration like 5, 5ms or 1s" })
  .transform((value) => parseDuration(value) ?? Number.NaN)
  .pipe(
    z
      .int({ error: "expected a duration in whole ms, like 5, 5ms or 1s" })
      .min(0)
      .max(2 ** 31 - 1),
  );

/** Parses what a user wrote. @throws LabError of one line: `what`, the field, what is wrong with it, what is allowed */
export function parseOptions<S extends z.ZodType>(what: string, schema: S, value: unknown, allowed: readonly string[]): z.output<S> {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  const where = issue && issue.path.length > 0 ? `${issue.path.join(".")}: ` : "";
  const problem =
    issue?.code === "unrecognized_keys" ? `there is no option ${issue.keys.map((key) => JSON.stringify(key)).join(", ")}` : issue?.message;
  throw new LabError("bad-traitor", `${what}: ${where}${problem} (options: ${allowed.length > 0 ? allowed.join(", ") : "none"})`);
}
