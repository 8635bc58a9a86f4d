/** A judgement for human eyes, as lines. Colours come from outside, so that a pipe gets none. */
import { commonNames } from "./property.ts";
import type { Judgement, PropertyResult } from "./result.ts";
import type { Verdict } from "./verdict.ts";

export interface Paint {
  good(text: string): string;
  bad(text: string): string;
  dim(text: string): string;
  bold(text: string): string;
}

const plainPaint: Paint = { good: same, bad: same, dim: same, bold: same };

/** The whole judgement: headline, one block per property, cost. */
export function renderJudgement(judgement: Judgement, paint: Paint = plainPaint): readonly string[] {
  const { scenario, protocol, host, seed, n, f, quorum, traitors, surprises } = judgement;
  const liars = traitors.length === 0 ? "no traitors" : `traitors ${traitors.join(", ")}`;
  return [
    paint.bold(scenario),
    paint.dim(`${protocol} on ${host}, seed ${seed}: n = ${n}, f = ${f}, quorum ${quorum}, ${liars}`),
    paint.dim(commonLine(judgement)),
    "",
    ...Object.entries(judgement.properties).flatMap(([name, result]) => propertyLines(name, result, paint)),
    "",
    ...costLines(judgement, paint),
    "",
    headline(judgement, paint),
    ...surprises.map((surprise) => `  ${paint.bad(surprise)}`),
  ];
}

/** FORK and STALL are the laboratory's words for what agreement and termination exclude. */
function headline({ properties, asExpected }: Judgement, paint: Paint): string {
  const names = [
    ...(properties.agreement.verdict === "violated" ? ["FORK"] : []),
    ...(properties.termination.verdict === "violated" ? ["STALL"] : []),
  ];
  const found = names.length === 0 ? "" : `${names.join(" and ")}, `;
  return asExpected ? paint.good(`${found}as expected`) : paint.bad(`${found}not as expected`);
}

function propertyLines(name: string, result: PropertyResult, paint: Paint): string[] {
  const { verdict, claimed, reason, expected, because, counterexample } = result;
  const colour: Record<Verdict, (text: string) => string> = { holds: paint.good, violated: paint.bad, inconclusive: paint.dim };
  const asked = expected !== null && expected !== verdict ? paint.bad(` (expected ${expected})`) : "";
  const lines = [`${paint.bold(name.padEnd(14))} ${colour[verdict](verdict.padEnd(12))} ${numbersOf(result)}${asked}`];
  const add = (text: string): number => lines.push(`${" ".repeat(15)}${text}`);
  if (because !== undefined) add(because);
  if (!claimed) add(paint.dim(reason));
  if (counterexample) {
    add(paint.bad(counterexample.what));
    const { first } = counterexample;
    if (first) add(paint.dim(`first event where they part: ${first.event} of ${first.node} at ${first.at} ms`));
    for (const line of counterexample.cause ?? []) add(`- ${line}`);
  }
  return lines;
}

/** What all verdicts rest on alike, once for all. */
function commonLine({ properties }: Judgement): string {
  const { evidence } = properties.agreement;
  return Object.entries(evidence)
    .filter(([name]) => isCommon(name))
    .map(inWords)
    .join(", ");
}

/** Nought says nothing, but for the counts that a verdict rests on, which come first. */
function numbersOf({ evidence }: PropertyResult): string {
  return Object.entries(evidence)
    .filter(([name, value], index) => !isCommon(name) && (index < 2 || (typeof value === "number" ? value > 0 : value.length > 0)))
    .map(inWords)
    .join(", ");
}

function isCommon(name: string): boolean {
  return (commonNames as readonly string[]).includes(name);
}

/** `liesTold: 3` reads as `lies told 3`. */
function inWords([name, value]: readonly [string, number | readonly number[]]): string {
  const words = name.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);
  return `${words} ${typeof value === "number" ? value : value.join(", ") || "nobody"}`;
}

function costLines({ ledger }: Judgement, paint: Paint): string[] {
  const { sent, received, decisions, requests, perDecision, formula, signatures, fsyncs } = ledger;
  const lines = [
    `${sent.messages} messages sent (${sent.bytes} bytes), ${received.messages} received, for ${decisions} decided slots with ${requests} requests`,
  ];
  if (perDecision) lines.push(`per decision: ${perDecision.messages} messages, ${perDecision.bytes} bytes`);
  if (formula) lines.push(`${formula.name} = ${formula.messages} messages per decision; measured ${formula.measured ?? "none"}`);
  if (signatures) lines.push(`${signatures.made} signatures made, ${signatures.verified} verified, ${fsyncs ?? 0} fsyncs`);
  return lines.map((line) => paint.dim(line));
}

function same(text: string): string {
  return text;
}
