/** Every scenario under scripts/ runs as it stands, on both hosts, and ends as it expects. */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { exitCodeOf } from "../../src/harness/result.ts";
import { loadScenario } from "../../src/launch/load-scenario.ts";
import { run } from "../../src/launch/run.ts";
import { temporaryFolder } from "../support/folder.ts";

const directory = join(import.meta.dirname, "../../scripts");
const files = readdirSync(directory).filter((name) => name.endsWith(".ts"));

describe.each(files)("%s", (file) => {
  it.each(["sim", "ws"] as const)("%s", async (host) => {
    const scenario = await loadScenario(join(directory, file));
    const result = await run(scenario, { host, seed: 1, out: temporaryFolder() });
    expect(exitCodeOf(result)).toBe(0);
  });
});
