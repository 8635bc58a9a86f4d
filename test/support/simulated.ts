/** A simulation, taken apart into what follows from the trace and the trace. */
import type { Judgement } from "../../src/harness/result.ts";
import type { Scenario } from "../../src/harness/scenario.ts";
import type { TraceRecord } from "../../src/harness/trace.ts";
import { type SimulateOptions, simulate } from "../../src/sim/simulate.ts";

export function simulated(
  scenario: Scenario,
  options: SimulateOptions,
): { readonly judgement: Judgement; readonly records: readonly TraceRecord[] } {
  const { records, trace: _trace, report: _report, seconds: _seconds, ...judgement } = simulate(scenario, options);
  return { judgement, records };
}
