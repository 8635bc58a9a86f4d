/** The swarm as tests: each takes a share of the seeds, shows what it saw, and fails when it saw too little. */
import { expect, it } from "vitest";
import { described, runSwarm, type Sightings } from "./swarm.ts";

const seedsPerTest = 50;

/** A quiet swarm proves nothing: at least this much must happen in every share. */
const leastPerTest: Sightings = {
  seeds: seedsPerTest,
  betrayed: 20,
  decisions: 3_000,
  lies: 1_000,
  viewChanges: 50,
  installs: 10,
  restarts: 15,
  partitions: 25,
  virtualMs: 100_000,
};

export function swarmTests(first: number, count: number): void {
  const starts = Array.from({ length: count }, (_, index) => first + index * seedsPerTest);
  it.each(starts)("holds what theory promises in 50 random scenarios from seed %d on", (from) => {
    const { sightings, failures } = runSwarm(from, from + seedsPerTest - 1);
    process.stdout.write(`${described(sightings)}\n`);
    expect(failures.join("\n\n")).toBe("");
    for (const [what, least] of Object.entries(leastPerTest)) {
      expect(sightings[what as keyof Sightings], what).toBeGreaterThanOrEqual(least);
    }
  });
}
