/** The log of a node: lines of JSON for programs, or a readable form for a terminal. No private key gets into it, wherever it is handed in. */
import { type Bindings, type ChildLoggerOptions, type DestinationStream, type Logger, pino } from "pino";
import { prettyFactory } from "pino-pretty";
import type { NodeName } from "../core/ids.ts";

/** The least important first; `silent` writes nothing. */
export const logLevels = ["trace", "debug", "info", "warn", "error", "fatal", "silent"] as const;
export type LogLevel = (typeof logLevels)[number];

export interface LogOptions {
  readonly node: NodeName;
  /** The least important level that is written. @defaultValue "info" */
  readonly level?: LogLevel;
  /** For people at a terminal instead of programs. @defaultValue false */
  readonly pretty?: boolean;
  /** Where lines go. @defaultValue standard error, each line before the call returns */
  readonly destination?: DestinationStream;
}

/** Lines carry the time as ISO 8601 in UTC, the level by name, and the node. */
export function createLog(options: LogOptions): Logger {
  const { node, level = "info", destination = pino.destination({ dest: 2, sync: true }) } = options;
  const log = pino(
    {
      level,
      base: { node },
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }), log: shownFields },
      // What an error shows is settled by then.
      serializers: { err: (error: unknown) => error },
    },
    options.pretty === true ? readable(destination) : destination,
  );
  // No formatter of pino sees what a child is bound to.
  const child: (this: Logger, bindings: Bindings, options?: ChildLoggerOptions) => Logger = log.child;
  return Object.assign(log, {
    child(this: Logger, bindings: Bindings, options?: ChildLoggerOptions): Logger {
      return child.call(this, shownFields(bindings), options);
    },
  });
}

function readable(destination: DestinationStream): DestinationStream {
  const prettify = prettyFactory({ translateTime: "SYS:HH:MM:ss.l", singleLine: true });
  return { write: (line) => destination.write(prettify(line)) };
}

const secretName = /secret|private|passphrase|password|^key$/i;
const secretText = /PRIVATE KEY-----/;
/** Levels of objects in one line, and entries in one object. */
const [deepest, widest] = [6, 64];

const shownFields = (fields: object): Record<string, unknown> => shown(fields, 0) as Record<string, unknown>;

/** A copy without what nobody may read: fields by their name, key files by their text, and bytes altogether, for a key is bytes. */
function shown(value: unknown, depth: number): unknown {
  if (typeof value === "string") return secretText.test(value) ? "[redacted]" : value;
  if (typeof value !== "object" || value === null) return value;
  if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer) return `[${value.byteLength} bytes]`;
  if (depth >= deepest) return "[...]";
  if (value instanceof Error) return shown({ ...value, type: value.name, message: value.message, stack: value.stack }, depth);
  if (value instanceof Date || value instanceof URL) return value.toJSON();
  if (Array.isArray(value)) return value.slice(0, widest).map((item) => shown(item, depth + 1));
  const entries = Object.entries(value).slice(0, widest);
  return Object.fromEntries(entries.map(([name, item]) => [name, secretName.test(name) ? "[redacted]" : shown(item, depth + 1)]));
}
