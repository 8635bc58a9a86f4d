/** What a judged run says of itself: the object that `--json` prints. */
import type { NodeName } from "../core/ids.ts";
import type { Ledger } from "./ledger.ts";
import type { Counterexample, Evidence } from "./property.ts";
import type { RecordOf } from "./trace.ts";
import type { PropertyName, Verdict } from "./verdict.ts";

/** The verdict on one property. */
export interface PropertyResult {
  readonly verdict: Verdict;
  /** Whether the run stayed inside the model, where theory promises that the property holds. */
  readonly claimed: boolean;
  /** Why it is claimed or not. */
  readonly reason: string;
  /** From `expect`; else `holds` where claimed and null, nothing, where not. */
  readonly expected: Verdict | null;
  readonly evidence: Evidence;
  /** Why it is inconclusive. */
  readonly because?: string;
  readonly counterexample?: Counterexample;
}

/** Everything that follows from the trace alone. */
export interface Judgement {
  readonly version: string;
  readonly scenario: string;
  readonly protocol: string;
  readonly host: "sim" | "ws";
  readonly seed: number;
  readonly n: number;
  readonly f: number;
  readonly quorum: number;
  /** Replicas by number, clients by name. */
  readonly traitors: readonly (number | NodeName)[];
  readonly asExpected: boolean;
  /** What was not as expected, in words; empty when all was. */
  readonly surprises: readonly string[];
  readonly properties: Readonly<Record<PropertyName, PropertyResult>> & Readonly<Record<string, PropertyResult>>;
  readonly ledger: Ledger;
}

/** A judged run, with where its files are; null where none were written. */
export interface Result extends Judgement {
  readonly trace: string | null;
  readonly report: string | null;
  /** Present when somebody was proven guilty and the proof was written. */
  readonly evidenceBundle?: string;
  /** How long the run took on the host's clock. */
  readonly seconds: number;
}

/** 0: all as expected; 1: not. 2, 3 and 130 belong to the command line. */
export function exitCodeOf({ asExpected }: Pick<Judgement, "asExpected">): 0 | 1 {
  return asExpected ? 0 : 1;
}

/** The last record of a trace. `at`: not before that of any other. */
export function verdictRecord({ asExpected, properties }: Judgement, at: number): RecordOf<"verdict"> {
  const entries = Object.entries(properties).map(([name, { verdict, claimed, expected }]) => [name, { verdict, claimed, expected }]);
  return { at, node: "harness", event: "verdict", asExpected, properties: Object.fromEntries(entries) };
}
