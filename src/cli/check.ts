/** `quorate check TRACE`: the same verdicts, from a trace alone. */
import { readFileSync } from "node:fs";
import { Command } from "commander";
import { LabError } from "../core/lab-error.ts";
import { judge } from "../harness/judge.ts";
import { renderJudgement } from "../harness/render.ts";
import { exitCodeOf, type Judgement } from "../harness/result.ts";
import { parseTrace } from "../harness/trace-text.ts";
import { paint } from "./paint.ts";

export function checkCommand(): Command {
  return new Command("check")
    .description("judges a trace: the same verdicts, from the records alone")
    .argument("<trace>", "a trace file, one JSON record per line")
    .option("--json", "print one JSON object instead of text")
    .addHelpText("after", "\nExample:\n  quorate check runs/first-traitor-1/trace.jsonl")
    .action((path: string, options: { json?: true }) => {
      const started = performance.now();
      const judgement = judgeFile(path);
      const seconds = (performance.now() - started) / 1_000;
      if (options.json) console.log(JSON.stringify({ ...judgement, trace: path, report: null, seconds }));
      else for (const line of renderJudgement(judgement, paint)) console.log(line);
      process.exitCode = exitCodeOf(judgement);
    });
}

function judgeFile(path: string): Judgement {
  const text = read(path);
  try {
    return judge(parseTrace(text));
  } catch (cause) {
    if (cause instanceof LabError) throw new LabError(cause.code, `${path}: ${cause.message}`, { cause });
    throw cause;
  }
}

function read(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch (cause) {
    throw new LabError("unreadable-file", `${path}: cannot read this trace file (${(cause as NodeJS.ErrnoException).code})`, { cause });
  }
}
