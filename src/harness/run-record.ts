/** The first record of a trace, from the scenario that is run: the same for both hosts. */
import { clientName, type NodeName } from "../core/ids.ts";
import type { Scenario } from "./scenario.ts";
import type { RecordOf } from "./trace.ts";

export interface RunIdentity {
  /** Of the laboratory. */
  readonly version: string;
  readonly seed: number;
  readonly host: "sim" | "ws";
  /** @defaultValue 0 */
  readonly at?: number;
}

export function runRecord(scenario: Scenario, { version, seed, host, at = 0 }: RunIdentity): RecordOf<"run"> {
  const { name, protocol, replicas, f, quorums, traitors, network, faults, workload, within, expect, timing, limits } = scenario;
  const liars = new Set(Object.keys(traitors));
  const ids = Array.from({ length: replicas }, (_, id) => id);
  return {
    at,
    node: "harness",
    event: "run",
    format: 1,
    version,
    scenario: name,
    protocol,
    n: replicas,
    f,
    quorum: quorums.order,
    seed,
    host,
    quorums,
    K: limits.checkpointInterval,
    L: limits.window,
    W: limits.clientWindow,
    within,
    traitors: ids.filter((id) => liars.has(`${id}`)),
    correct: ids.filter((id) => !liars.has(`${id}`)),
    clients: Array.from({ length: workload.clients }, (_, index) => clientOf(clientName(index + 1), liars)),
    expect,
    config: { traitors: traitorsAsData(scenario), network, faults, workload, timing, limits },
  };
}

function clientOf(name: NodeName, liars: ReadonlySet<string>): RecordOf<"run">["clients"][number] {
  return liars.has(name) ? { name, traitor: true } : { name };
}

/** A traitor of the user's own is code; the trace keeps its name. */
function traitorsAsData({ traitors }: Scenario): Readonly<Record<string, unknown>> {
  const entries = Object.entries(traitors).map(([node, behaviours]) => [
    node,
    behaviours?.map((behaviour) => ("make" in behaviour ? { custom: behaviour.name } : behaviour)),
  ]);
  return Object.fromEntries(entries);
}
