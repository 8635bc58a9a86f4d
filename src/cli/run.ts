/** `quorate run FILE`: a scenario over sockets or in the simulator, to its verdict. */
import { relative } from "node:path";
import { Command } from "commander";
import { exitCodeOf } from "../harness/result.ts";
import { loadScenario } from "../launch/load-scenario.ts";
import { run } from "../launch/run.ts";
import { integer } from "./arguments.ts";
import { paint } from "./paint.ts";
import { progressLine } from "./progress.ts";
import { resultLines } from "./result-lines.ts";

interface RunOptions {
  readonly sim?: true;
  readonly seed?: number;
  readonly json?: true;
  readonly out: string;
}

/** A second one ends the command at once; its processes follow when they notice. */
const signals = ["SIGINT", "SIGTERM"] as const;

export function runCommand(): Command {
  return new Command("run")
    .description("runs a scenario to its verdict: four verdicts with the evidence they rest on")
    .argument("<file>", "a file that exports a scenario (.ts, .mts, .js, .mjs)")
    .option("--sim", "in the deterministic simulator instead of over sockets")
    .option("--seed <number>", "what chance follows from: an integer from 0 (default 1)", integer(0))
    .option("--json", "print one JSON object instead of text")
    .option("--out <directory>", "where runs/NAME-SEED/ is written", "runs")
    .addHelpText("after", "\nExample:\n  quorate run scripts/first-traitor.ts --sim --seed 7")
    .action(async (file: string, options: RunOptions) => {
      const scenario = await loadScenario(file);
      const host = options.sim ? "sim" : "ws";
      const interrupted = new AbortController();
      const stop = () => interrupted.abort();
      // The simulator never waits, so that no handler would run: there the signal does what it always does.
      if (host === "ws") for (const signal of signals) process.once(signal, stop);
      const progress = progressLine(options.json === true);
      progress.say(
        `${scenario.name}: ${counted(scenario.replicas, "replica")}, ${counted(scenario.workload.clients, "client")}, ${counted(scenario.workload.operations, "operation")}, ${host === "ws" ? "over WebSockets" : "in virtual time"}`,
      );
      const result = await run(scenario, {
        host,
        seed: options.seed ?? 1,
        out: options.out,
        module: file,
        signal: interrupted.signal,
        onProgress: progress.show,
      }).finally(() => {
        progress.end();
        for (const signal of signals) process.off(signal, stop);
      });
      if (options.json) console.log(JSON.stringify(result));
      else for (const line of resultLines(result, relative(process.cwd(), file), paint)) console.log(line);
      process.exitCode = exitCodeOf(result);
    });
}

const counted = (count: number, what: string): string => `${count} ${what}${count === 1 ? "" : "s"}`;
