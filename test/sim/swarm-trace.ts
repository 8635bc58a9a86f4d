/** The bytes of a run, as one digest. */
import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex, utf8ToBytes } from "@noble/hashes/utils.js";
import type { Scenario } from "../../src/harness/scenario.ts";
import { formatRecord } from "../../src/harness/trace-text.ts";
import { simulate } from "../../src/sim/simulate.ts";
import { swarmScenario } from "./swarm.ts";

/** Of every record, the run's first and the verdict included, as a trace file would hold them. */
export function traceDigest(scenario: Scenario, seed: number): string {
  return bytesToHex(sha256(utf8ToBytes(simulate(scenario, { seed }).records.map(formatRecord).join("\n"))));
}

export function swarmTraceDigest(seed: number): string {
  return traceDigest(swarmScenario(seed), seed);
}
