/** Why a run stalled, as far as its trace tells: which quorum, view or timer was missing, and who withheld it. */

import { primaryOf } from "../core/cluster.ts";
import type { NodeName } from "../core/ids.ts";
import { replicaName, view as viewNumber } from "../core/ids.ts";
import { type History, isDown, type Life, numberOf, requestKey, runningLives } from "./history.ts";
import { short } from "./property.ts";
import type { RecordOf, TraceRecord } from "./trace.ts";

/** Votes that count together: a pre-prepare is its primary's prepare (rule 17). A kind that is not listed is a phase of its own. */
const phaseOf: Readonly<Record<string, string>> = { "pre-prepare": "prepare" };

/** Kinds that carry no vote. */
const noVotes: ReadonlySet<string> = new Set([
  "request",
  "reply",
  "status",
  "fetch",
  "batch-body",
  "snapshot",
  "certificate",
  "checkpoint",
]);

/** Why a correct client got no result in time: one line per reason. */
export function whyNoResult(history: History, invoked: RecordOf<"invoke">): readonly string[] {
  const key = requestKey(invoked);
  const deciders = history.decisions.filter(({ requests }) => requests.some((request) => requestKey(request) === key));
  const [decision] = deciders;
  const running = runningLives(history);
  if (!decision) {
    const next = 1 + Math.max(0, ...running.flatMap(({ deeds }) => deeds.map((deed) => deed.slot)));
    return ["no correct replica decided it", ...whyNotDecided(history, next, running)];
  }
  const names = [...new Set(deciders.map(({ node }) => node))];
  const repliers = distinct(
    history.records.filter((record) => record.event === "receive" && record.node === invoked.node && record.kind === "reply"),
    invoked.at,
  );
  const lines = [
    `decided at slot ${decision.slot} by ${names.join(", ")}`,
    `${invoked.node} needs ${history.run.quorums.reply} equal replies and got replies from ${listed(history, repliers)}`,
  ];
  const laggards = running.filter(({ name }) => !names.includes(name));
  return laggards.length === 0 ? lines : [...lines, ...whyNotDecided(history, decision.slot, laggards)];
}

/** Why none of `lives` decided `slot`. */
export function whyNotDecided(history: History, slot: number, lives: readonly Life[]): readonly string[] {
  if (lives.length === 0) return ["no correct replica was running"];
  const halts = lives.flatMap(({ name, halted }) => (halted ? [`${name} halted: ${halted.reason}`] : []));
  return [...halts, ...whichVotes(history, slot, lives), ...whichView(history, lives), ...whichTimer(lives)];
}

/** The node that came closest, and the first phase in which it fell short of the quorum. */
function whichVotes(history: History, slot: number, lives: readonly Life[]): string[] {
  const { quorum } = history.run;
  const tallies = lives.flatMap((life) => tallyOf(history.records, life.name, slot));
  const phases = [...new Set(tallies.map(({ phase }) => phase))];
  for (const phase of phases) {
    const best = tallies.filter((tally) => tally.phase === phase).reduce((a, b) => (b.senders.size > a.senders.size ? b : a));
    if (best.senders.size >= quorum) continue;
    const seen = [...best.senders];
    const withheld = replicas(history).filter((name) => !best.senders.has(name));
    return [
      `${best.node} had ${phase} votes for slot ${slot} in view ${best.view}${best.digest ? ` (${short(best.digest)})` : ""} from ${seen.length} of ${quorum} needed: ${listed(history, seen)}`,
      `no such vote from ${listed(history, withheld)}`,
    ];
  }
  if (tallies.length === 0) return [`${lives.map(({ name }) => name).join(", ")} saw no vote for slot ${slot}`];
  return [`the votes for slot ${slot} were there; a body or a lower slot was missing`];
}

interface Tally {
  readonly node: NodeName;
  readonly phase: string;
  readonly view: number;
  readonly digest: string | undefined;
  readonly senders: Set<NodeName>;
}

/** Distinct voters per phase, view and digest, in the order in which the phases began; a node's own votes are those it sent. */
function tallyOf(records: readonly TraceRecord[], node: NodeName, slot: number): Tally[] {
  const tallies = new Map<string, Tally>();
  for (const record of records) {
    if (record.node !== node || (record.event !== "receive" && record.event !== "send") || record.slot !== slot) continue;
    if (record.view === undefined || noVotes.has(record.kind)) continue;
    const phase = phaseOf[record.kind] ?? record.kind;
    const key = `${phase} ${record.view} ${record.digest}`;
    const tally = tallies.get(key) ?? { node, phase, view: record.view, digest: record.digest, senders: new Set<NodeName>() };
    tally.senders.add(record.from);
    tallies.set(key, tally);
  }
  return [...tallies.values()];
}

/** Who waits for which view, and what is missing to enter it. */
function whichView(history: History, lives: readonly Life[]): string[] {
  const { run } = history;
  const waiting = lives.filter(({ viewWanted, viewEntered }) => (viewWanted?.view ?? 0) > (viewEntered?.view ?? 0));
  const wanted = Math.max(0, ...waiting.map(({ viewWanted }) => viewWanted?.view ?? 0));
  if (waiting.length === 0) {
    const view = Math.max(0, ...lives.map(({ viewEntered }) => viewEntered?.view ?? 0));
    return [`in view ${view}, whose primary is ${primaryName(history, view)}`];
  }
  const asked = [...history.lives.values()].filter(({ viewWanted }) => (viewWanted?.view ?? 0) >= wanted).map(({ name }) => name);
  const line = `view ${wanted} was asked for by ${asked.length} of ${run.quorums.viewChange} needed: ${listed(history, asked)}`;
  if (asked.length >= run.quorums.viewChange) return [line, `no new view of its primary ${primaryName(history, wanted)} was accepted`];
  return [
    line,
    `no view change from ${listed(
      history,
      replicas(history).filter((name) => !asked.includes(name)),
    )}`,
  ];
}

function whichTimer(lives: readonly Life[]): string[] {
  const [life] = lives;
  const timer = life?.lastTimer;
  if (!life || !timer) return [];
  const ms = timer.ms === undefined ? "" : ` for ${timer.ms} ms`;
  const did = { set: `was set${ms} and has not fired since`, fire: "fired last", cancel: "was cancelled" }[timer.what];
  return [`the ${timer.name} timer of ${life.name} ${did} (at ${timer.at} ms, view ${timer.view})`];
}

function primaryName(history: History, view: number): string {
  return listed(history, [replicaName(primaryOf(viewNumber(view), history.run.n))]);
}

function replicas({ run }: History): NodeName[] {
  return Array.from({ length: run.n }, (_, id) => replicaName(id));
}

/** Names with what is known against them. */
function listed(history: History, names: readonly NodeName[]): string {
  if (names.length === 0) return "nobody";
  return names.map((name) => `${name}${labelOf(history, name)}`).join(", ");
}

function labelOf({ traitors, lives }: History, name: NodeName): string {
  const id = numberOf("replica", name) ?? -1;
  if (traitors.has(id)) return " (traitor)";
  const life = lives.get(id);
  if (life?.leftAt !== undefined) return " (lost its storage)";
  return life && isDown(life) ? " (down)" : "";
}

function distinct(records: readonly TraceRecord[], from: number): NodeName[] {
  return [...new Set(records.flatMap((record) => (record.event === "receive" && record.at >= from ? [record.from] : [])))];
}
