/** Every scenario under scripts/ runs as it stands, on both hosts, and ends as it expects. The command line runs the main one in test/cli. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it, vi } from "vitest";
import { judge } from "../../src/harness/judge.ts";
import { exitCodeOf } from "../../src/harness/result.ts";
import { parseTrace } from "../../src/harness/trace-text.ts";
import { loadScenario } from "../../src/launch/load-scenario.ts";
import { run } from "../../src/launch/run.ts";
import { repository, useFolders } from "../support/folder.ts";

// Two at a time: most of a run is waiting, and a starved process looks like a faulty one.
vi.setConfig({ maxConcurrency: 2 });

const newFolder = useFolders();
const scripts = readdirSync(join(repository, "scripts")).filter((name) => name.endsWith(".ts"));

async function outcome(script: string, host: "sim" | "ws") {
  const scenario = await loadScenario(join(repository, "scripts", script));
  const result = await run(scenario, { host, out: newFolder() });
  const again = judge(parseTrace(readFileSync(result.trace ?? "", "utf8")));
  expect(again.properties).toMatchObject(result.properties);
  return { code: exitCodeOf(result), surprises: result.surprises, host: result.host, scenario: result.scenario };
}

const asExpected = (script: string, host: "sim" | "ws") => ({
  code: 0,
  surprises: [],
  host,
  scenario: script.replace(/\.ts$/, "").replaceAll("-", " "),
});

describe("in the simulator", () => {
  it.each(scripts)("%s", async (script) => {
    expect(await outcome(script, "sim")).toEqual(asExpected(script, "sim"));
  });
});

describe.concurrent("over sockets", () => {
  // Backwards, so that the one that waits longest for nothing does not wait alone in the end.
  it.each(scripts.filter((script) => script !== "first-traitor.ts").reverse())("%s", async (script) => {
    expect(await outcome(script, "ws")).toEqual(asExpected(script, "ws"));
  });
});
