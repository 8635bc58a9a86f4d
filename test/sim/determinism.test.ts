/** The same scenario, seed and version give the same bytes, in any process; chance is the seed and nothing else. */
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { scenario } from "../../src/harness/scenario.ts";
import { formatRecord } from "../../src/harness/trace-text.ts";
import { simulate } from "../../src/sim/simulate.ts";
import { swarmTraceDigest, traceDigest } from "./swarm-trace.ts";

const seeds = [3, 11, 26];

/** The digest that a process of its own comes to. */
function digestElsewhere(seed: number): string {
  const program = fileURLToPath(new URL("print-trace-digest.ts", import.meta.url));
  const child = spawnSync(process.execPath, ["--import", "tsx", program, `${seed}`], { encoding: "utf8" });
  if (child.status !== 0) throw new Error(child.stderr);
  return child.stdout;
}

describe("a simulation", () => {
  it("writes the same bytes when it runs again", () => {
    for (const seed of seeds) expect(swarmTraceDigest(seed)).toBe(swarmTraceDigest(seed));
  });

  it("writes the same bytes in another process, whatever ran there before", () => {
    const [here, there] = [seeds.map(swarmTraceDigest), seeds.map(digestElsewhere)];
    expect(there).toEqual(here);
    for (const digest of there) expect(digest).toMatch(/^[0-9a-f]{64}$/);
  });

  it("writes others for another seed, with the network and the workload drawn anew", () => {
    const plain = scenario({ name: "plain", replicas: 4, workload: { operations: 10 } });
    expect(traceDigest(plain, 1)).not.toBe(traceDigest(plain, 2));
    const [first, second] = [1, 2].map((seed) => simulate(plain, { seed }).records);
    const operations = (records: typeof first) => records?.flatMap((record) => (record.event === "invoke" ? record.op : []));
    expect(operations(first)).not.toEqual(operations(second));
    const delays = (records: typeof first) => records?.flatMap((record) => (record.event === "receive" ? record.at : []));
    expect(delays(first)).not.toEqual(delays(second));
  });

  it("leaves its records alone when it is checked step by step", () => {
    const plain = scenario({ name: "plain", replicas: 4, workload: { operations: 10 } });
    const [unchecked, checked] = [false, true].map((on) => simulate(plain, { seed: 5, checked: on }).records.map(formatRecord).join("\n"));
    expect(checked).toBe(unchecked);
  });
});
