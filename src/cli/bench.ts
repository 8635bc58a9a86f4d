/** `quorate bench`: what a replica set costs on this machine, as a table or as JSON. */
import { closeSync, existsSync, openSync, rmSync, writeFileSync } from "node:fs";
import { Command, InvalidArgumentError, Option } from "commander";
import { LabError } from "../core/lab-error.ts";
import { type BenchFigures, type BenchOptions, type BenchResult, bench } from "../launch/bench.ts";
import { keyValueLimits } from "../services/key-value.ts";
import { integer, type SizeOptions, sizeOf, sizeOptions } from "./arguments.ts";
import { paint } from "./paint.ts";
import { progressLine } from "./progress.ts";

type BenchCommandOptions = SizeOptions & Omit<BenchOptions, "replicas" | "f"> & { readonly json?: true; readonly out?: string };

/** What the clients of a set can have under way together, at their default window. */
const inFlightMax = 2_000;

const signals = ["SIGINT", "SIGTERM"] as const;

export function benchCommand(): Command {
  const command = new Command("bench").description("measures throughput, latency and CPU time of real replica processes on this machine");
  for (const option of sizeOptions()) command.addOption(option);
  return command
    .addOption(
      new Option("--in-flight <numbers>", "operations under way at a time, one level each")
        .argParser(levels)
        .default([1, 10, 50, 200], "1,10,50,200"),
    )
    .addOption(new Option("--runs <number>", "how often everything is launched and measured").argParser(integer(1, 1_000)).default(5))
    .addOption(
      new Option("--operations <number>", "how many a run measures at each level").argParser(integer(1, 10_000_000)).default(2_000),
    )
    .addOption(new Option("--warm-up <number>", "how many come before, after each launch").argParser(integer(1, 10_000_000)).default(4_000))
    .addOption(new Option("--value-bytes <number>", "size of a value").argParser(integer(0, keyValueLimits.valueBytes)).default(100))
    .option("--json", "print one JSON object instead of a table")
    .option("--out <file>", "write that object to a file besides")
    .addHelpText("after", "\nExample:\n  quorate bench --f 2 --in-flight 10,50 --runs 3\n\nWhat the figures mean: docs/benchmarks.md")
    .action(run);
}

async function run({ json, out, ...options }: BenchCommandOptions): Promise<void> {
  const { inFlight, runs, operations, warmUp, valueBytes } = options;
  if (out !== undefined) checkWritable(out);
  const interrupted = new AbortController();
  const stop = (): void => interrupted.abort();
  for (const signal of signals) process.once(signal, stop);
  const progress = progressLine(json === true);
  const result = await bench(
    { ...sizeOf(options), inFlight, runs, operations, warmUp, valueBytes },
    { onProgress: progress.show, signal: interrupted.signal },
  ).finally(() => {
    progress.end();
    for (const signal of signals) process.off(signal, stop);
  });
  if (out !== undefined) writable(out, () => writeFileSync(out, `${JSON.stringify(result, null, 2)}\n`));
  if (json) console.log(JSON.stringify(result));
  else for (const line of benchLines(result)) console.log(line);
}

interface Column {
  readonly head: string;
  readonly figure: keyof BenchFigures;
  readonly digits: number;
  /** Show the lowest and the highest run, too. */
  readonly spread?: true;
}

const columns: readonly Column[] = [
  { head: "operations/s", figure: "throughput", digits: 0, spread: true },
  { head: "p50 ms", figure: "p50Ms", digits: 1, spread: true },
  { head: "p99 ms", figure: "p99Ms", digits: 1, spread: true },
  { head: "CPU ms/op", figure: "replicaCpuMs", digits: 2, spread: true },
  { head: "clients'", figure: "clientCpuMs", digits: 2 },
  { head: "ops/slot", figure: "batch", digits: 1 },
  { head: "messages/op", figure: "messages", digits: 1 },
  { head: "bytes/op", figure: "bytes", digits: 0 },
];

/** The table, and the line for a README last. */
export function benchLines(result: BenchResult): string[] {
  const { settings, machine, levels } = result;
  const rows = levels.map(({ inFlight, median, min, max }) => [
    `${inFlight}`,
    ...columns.map(({ figure, digits, spread }) => {
      const text = (of: BenchFigures): string => of[figure].toFixed(digits);
      return spread ? `${text(median)} (${text(min)}..${text(max)})` : text(median);
    }),
  ]);
  const heads = ["in flight", ...columns.map(({ head }) => head)];
  const widths = heads.map((head, column) => Math.max(head.length, ...rows.map((row) => row[column]?.length ?? 0)));
  const lineOf = (cells: readonly string[]): string => cells.map((cell, column) => cell.padStart(widths[column] ?? 0)).join("  ");
  const changes = levels.reduce((total, { runs }) => runs.reduce((sum, { viewChanges }) => sum + viewChanges, total), 0);
  return [
    `${settings.replicas} replicas, f = ${settings.f}; ${settings.runs} runs of ${settings.operations} operations each; values of ${settings.valueBytes} bytes`,
    paint.dim("median (lowest..highest) of the runs; CPU: of all replicas together, and of the clients' process"),
    paint.bold(lineOf(heads)),
    ...rows.map(lineOf),
    ...(changes > 0 ? [paint.bad(`replicas changed views ${changes} times meanwhile: the machine was too busy for these figures`)] : []),
    ...(machine.load > machine.cores / 4 ? [paint.bad(`the machine was busy before: load ${machine.load.toFixed(1)}`)] : []),
    "",
    readmeLine(result),
  ];
}

/** At 10 operations in flight where those were measured. */
function readmeLine({ settings, machine, levels }: BenchResult): string {
  const level = levels.find(({ inFlight }) => inFlight === 10) ?? levels[0];
  if (level === undefined) return "";
  const { throughput, p50Ms, p99Ms, replicaCpuMs } = level.median;
  const node = machine.node.replace(/^v(\d+\.\d+).*/, "$1");
  return `${settings.replicas} replicas, ${level.inFlight} in flight: ${throughput.toFixed(0)} ops/s, p50 ${p50Ms.toFixed(1)} ms, p99 ${p99Ms.toFixed(1)} ms, ${replicaCpuMs.toFixed(2)} ms CPU of all replicas per operation (${machine.cpu}, ${machine.cores} cores, Node ${node})`;
}

function levels(text: string): readonly number[] {
  const numbers = text.split(",").map(Number);
  const good = numbers.every((number) => Number.isInteger(number) && number >= 1 && number <= inFlightMax);
  if (good && new Set(numbers).size === numbers.length) return numbers;
  throw new InvalidArgumentError(`expected different integers in 1..${inFlightMax}, as in 1,10,50.`);
}

/** Before anything is measured, which takes minutes; leaves everything as it was. */
function checkWritable(path: string): void {
  writable(path, () => {
    const existed = existsSync(path);
    closeSync(openSync(path, "a"));
    if (!existed) rmSync(path);
  });
}

function writable(path: string, write: () => void): void {
  try {
    write();
  } catch (cause) {
    throw new LabError("unwritable-file", `${path || '""'}: cannot write there (${(cause as NodeJS.ErrnoException).code})`, { cause });
  }
}
