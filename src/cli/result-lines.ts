/** A result for people: the judgement, where its files are, and what to try next. */
import { type Paint, renderJudgement } from "../harness/render.ts";
import type { Result } from "../harness/result.ts";

export function resultLines(result: Result, file: string, paint: Paint): string[] {
  const { trace, seconds, seed } = result;
  const files = trace === null ? [] : [`trace   ${trace}`, `result  ${trace.replace(/trace\.jsonl$/, "result.json")}`];
  return [
    ...renderJudgement(result, paint),
    "",
    ...files.map((line) => paint.dim(line)),
    paint.dim(`took ${seconds.toFixed(1)} s`),
    "",
    `Next: edit ${file} and run npx quorate run ${file}`,
    `      or replay it in virtual time: npx quorate run ${file} --sim --seed ${seed}`,
    ...(trace === null ? [] : [`      or judge the trace again: npx quorate check ${trace}`]),
  ];
}
