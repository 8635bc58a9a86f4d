/** Judging: verdicts from a trace alone. The same trace gives the same verdicts, whoever made it. */
import type { NodeName } from "../core/ids.ts";
import { clientName } from "../core/ids.ts";
import { type History, readHistory } from "./history.ts";
import { readLedger } from "./ledger.ts";
import { accountability, accusedIn } from "./properties/accountability.ts";
import { agreement } from "./properties/agreement.ts";
import { integrity } from "./properties/integrity.ts";
import { termination } from "./properties/termination.ts";
import { validity } from "./properties/validity.ts";
import type { Property, Tools } from "./property.ts";
import type { Judgement, PropertyResult } from "./result.ts";
import type { TraceRecord } from "./trace.ts";
import type { Expectation, PropertyName } from "./verdict.ts";

const properties: Readonly<Record<PropertyName, Property>> = { agreement, validity, integrity, termination, accountability };

/**
 * Judges a run.
 *
 * @param trace - the records in one order: a trace file's, or what `merge` gave; the first is `run`
 * @param tools - without `verifyRequest`, what traitor clients are recorded to have signed is believed
 * @throws LabError when the trace does not begin with a run record, or its `config` has a wrong field
 */
export function judge(trace: Iterable<TraceRecord>, tools: Tools = {}): Judgement {
  const history = readHistory(trace);
  const { run } = history;
  const results = Object.fromEntries(
    Object.entries(properties).map(([name, property]) => [name, judgeProperty(history, tools, property)]),
  ) as Record<PropertyName, PropertyResult>;
  const surprises = surprisesIn(history, results);
  const { version, scenario, protocol, host, seed, n, f, quorum } = run;
  return {
    version,
    scenario,
    protocol,
    host,
    seed,
    n,
    f,
    quorum,
    traitors: traitorsOf(history),
    asExpected: surprises.length === 0,
    surprises,
    properties: results,
    ledger: readLedger(history),
  };
}

function judgeProperty(history: History, tools: Tools, property: Property): PropertyResult {
  const { verdict, evidence, because, counterexample } = property.check(history, tools);
  const { claimed, reason } = property.claim(history);
  const stated = history.run.expect?.[property.name as keyof Omit<Expectation, "accused">];
  return {
    verdict,
    claimed,
    reason,
    expected: stated ?? (claimed ? "holds" : null),
    evidence,
    ...(because === undefined ? {} : { because }),
    ...(counterexample ? { counterexample } : {}),
  };
}

/** An expected property that is inconclusive is a surprise too. */
function surprisesIn(history: History, results: Readonly<Record<string, PropertyResult>>): string[] {
  const surprises = Object.entries(results)
    .filter(([, { expected, verdict }]) => expected !== null && expected !== verdict)
    .map(([name, { expected, verdict }]) => `${name}: expected ${expected}, found ${verdict}`);
  const { accused: expected } = history.run.expect ?? {};
  if (expected) {
    const accused = accusedIn(history).join(", ") || "nobody";
    const wanted = [...expected].sort((a, b) => a - b).join(", ") || "nobody";
    if (accused !== wanted) surprises.push(`accused: expected ${wanted}, found ${accused}`);
  }
  return surprises;
}

function traitorsOf({ traitors, traitorClients }: History): (number | NodeName)[] {
  const ascending = (ids: ReadonlySet<number>): number[] => [...ids].sort((a, b) => a - b);
  return [...ascending(traitors), ...ascending(traitorClients).map((id) => clientName(id))];
}
