/** The browser-safe door: scenarios, traitors, faults, the simulator and the judge. What needs Node.js is in `quorate/node`. */
export type { Duration } from "./core/duration.ts";
export { InvariantError } from "./core/invariant.ts";
export { LabError } from "./core/lab-error.ts";
export { faultsTolerated, orderingQuorum, type Quorums, quorumIsLive, quorumIsSafe, quorumsFor } from "./core/quorum.ts";
export { createRandom, type Random } from "./core/random.ts";
export { type RejectionCode, rejections } from "./core/rejection.ts";
export { version } from "./core/version.ts";
export { type Fault, faults } from "./faults/fault.ts";
export { judge } from "./harness/judge.ts";
export {
  type ClientOperation,
  checkLinearizable,
  type Linearizability,
  type LinearizabilityOptions,
  operationsOf,
} from "./harness/linearizability.ts";
export { type Paint, renderJudgement } from "./harness/render.ts";
export { exitCodeOf, type Judgement, type PropertyResult, type Result } from "./harness/result.ts";
export { type Scenario, type ScenarioDefinition, scenario } from "./harness/scenario.ts";
export type { EventName, RecordOf, TraceRecord } from "./harness/trace.ts";
export { formatRecord, parseTrace, parseTraceLine } from "./harness/trace-text.ts";
export type { Expectation, Verdict } from "./harness/verdict.ts";
export { type SimulateOptions, type Simulation, simulate } from "./sim/simulate.ts";
export type { Behaviour, BehaviourData } from "./traitors/behaviour.ts";
export { traitors } from "./traitors/catalogue.ts";
export { type Draft, type Hooks, type Traitor, type TraitorSelf, traitor } from "./traitors/traitor.ts";
export type { Trigger } from "./traitors/trigger.ts";
