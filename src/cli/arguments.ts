/** Arguments that several commands read the same way; a wrong one gets a line that says what is allowed. */
import { readFileSync } from "node:fs";
import { InvalidArgumentError, Option } from "commander";
import { LabError } from "../core/lab-error.ts";
import { faultsTolerated, replicasToTolerate } from "../core/quorum.ts";
import { type ClusterFile, replicasMax } from "../launch/cluster-file.ts";
import { type LogLevel, logLevels } from "../node/log.ts";
import type { TlsSettings } from "../transport/tls.ts";

/** Parses an integer from `low` to `high`. */
export function integer(low: number, high: number = Number.MAX_SAFE_INTEGER): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (/^\d+$/.test(text) && Number.isSafeInteger(value) && value >= low && value <= high) return value;
    throw new InvalidArgumentError(
      high === Number.MAX_SAFE_INTEGER ? `expected an integer from ${low}.` : `expected an integer in ${low}..${high}.`,
    );
  };
}

/** How many replicas: `--replicas`, or `--f` for 3f+1 of them. */
export interface SizeOptions {
  readonly replicas?: number;
  readonly f?: number;
}

export const sizeOptions = (): Option[] => [
  new Option("--replicas <number>", "how many replicas (default: 4, or 3f+1 with --f)").argParser(integer(1, replicasMax)),
  new Option("--f <number>", "how many of them may lie (default: as many as the replicas withstand)").argParser(
    integer(0, faultsTolerated(replicasMax)),
  ),
];

/** @returns n and f; with neither option 4 and 1 */
export function sizeOf({ replicas, f }: SizeOptions): { readonly replicas: number; readonly f?: number } {
  return { replicas: replicas ?? replicasToTolerate(f ?? 1), ...(f !== undefined && { f }) };
}

export interface LogOptions {
  readonly logLevel: LogLevel;
  readonly pretty?: boolean;
}

export const logOptions = (): Option[] => [
  new Option("--log-level <level>", "the least that is worth a line").choices(logLevels).default("info"),
  new Option("--pretty", "lines for people (default on a terminal)"),
  new Option("--no-pretty", "one JSON object a line (default elsewhere)"),
];

export interface TlsOptions {
  readonly tlsKey?: string;
  readonly tlsCert?: string;
  readonly tlsCa?: string;
}

/** For who listens. */
export const tlsOptions = (): Option[] => [
  new Option("--tls-key <file>", "private TLS key to listen with, in PEM; needed where the cluster file says wss://"),
  new Option("--tls-cert <file>", "its certificate, in PEM"),
  tlsAuthorityOption(),
];

/** For who dials only. */
export const tlsAuthorityOption = (): Option =>
  new Option("--tls-ca <file>", "certificate of the authority to trust instead of the system's, in PEM");

/** @throws LabError when a file cannot be read or holds something else */
export function tlsOf({ tlsKey, tlsCert, tlsCa }: TlsOptions): TlsSettings | undefined {
  if (tlsKey === undefined && tlsCert === undefined && tlsCa === undefined) return undefined;
  return {
    ...(tlsKey !== undefined && { key: pem("--tls-key", tlsKey, "PRIVATE KEY") }),
    ...(tlsCert !== undefined && { certificate: pem("--tls-cert", tlsCert, "CERTIFICATE") }),
    ...(tlsCa !== undefined && { authority: pem("--tls-ca", tlsCa, "CERTIFICATE") }),
  };
}

/** Options that change nothing would let a user believe that his links are encrypted. @throws LabError when no replica listens with TLS */
export function checkTlsWanted(tls: TlsSettings | undefined, { members }: ClusterFile): void {
  if (tls !== undefined && !members.some(({ url }) => url.startsWith("wss:")))
    throw new LabError("no-tls", "the cluster file says ws://: leave the TLS options out, or make keys with --tls");
}

function pem(option: string, path: string, what: "CERTIFICATE" | "PRIVATE KEY"): string {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (cause) {
    throw new LabError("unreadable-file", `${path}: cannot read this file (${(cause as NodeJS.ErrnoException).code})`, { cause });
  }
  if (!new RegExp(`-----BEGIN [A-Z0-9 ]*${what}-----`).test(text))
    throw new LabError("bad-pem", `${path}: expected ${option} to be a PEM file that holds a ${what.toLowerCase()}`);
  return text;
}
