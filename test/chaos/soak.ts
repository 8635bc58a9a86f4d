/**
 * `npm run soak`: many operations on four replicas, of which one stands still for a while and one is killed and comes back with nothing.
 * Memory must stay flat, checkpoints become stable, every result be right, and the verdicts hold. Exit code 1 when something is not so.
 */
import { existsSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import type { TraceRecord } from "../../src/harness/trace.ts";
import { parseTrace } from "../../src/harness/trace-text.ts";
import { type Client, type LaunchedSet, launch } from "../../src/node.ts";
import { Bounds, checkMemory, numbers, Sampler, say, scratch, sleep, table, until } from "./support.ts";

const options = numbers({
  operations: 20_000,
  clients: 8,
  "window-per-client": 4,
  "checkpoint-interval": 32,
  "pause-seconds": 5,
  "catch-up-seconds": 10,
  "growth-percent": 25,
  // Between two collections of V8 a young process swings by tens of MB; over 80,000 operations the last quarter lies below the second.
  "growth-mb": 64,
  "sample-ms": 250,
  "table-seconds": 5,
});
const replicas = [0, 1, 2, 3];
/** The primary of the first view stands still: a view change. It is not faulty for that, so afterwards one more may fail. */
const paused = 0;
const wiped = 2;

const bounds = new Bounds();
const folder = scratch("soak");
const K = options["checkpoint-interval"];
const window = 4 * K;

say(`soak: ${options.operations} operations, ${options.clients} clients with ${options["window-per-client"]} under way each, K = ${K}`);
await using set = await launch({
  name: "soak",
  clients: options.clients,
  directory: folder,
  limits: { checkpointInterval: K, window },
});
const samplers = new Map(replicas.map((id) => [`replica-${id}`, new Sampler(() => set.metrics(id), options["sample-ms"])]));
const started = performance.now();

const work = { returned: 0, wrong: 0, done: false };
const clients = await Promise.all(Array.from({ length: options.clients }, () => set.client()));
const workers = clients.flatMap((client) => Array.from({ length: options["window-per-client"] }, (_, worker) => toil(client, worker)));
const ticker = setInterval(showProgress, 1_000 * options["table-seconds"]);
const story = breakThings();
// Whatever comes first: a wrong turn of the story must not wait for the load, nor the other way round.
await Promise.all([story, Promise.all(workers)]);
clearInterval(ticker);
const seconds = (performance.now() - started) / 1_000;
const level = await until("all replicas have executed the same", 1_000 * options["catch-up-seconds"], isLevel);
for (const sampler of samplers.values()) sampler.stop();

say();
say(
  `${work.returned} operations in ${seconds.toFixed(1)} s: ${Math.round(work.returned / seconds)} a second; level ${Math.round(level)} ms later`,
);
bounds.check(work.wrong === 0, `every operation returned what it must (${work.returned} returned, ${work.wrong} wrong)`);
checkMemory(bounds, { percent: options["growth-percent"], mb: options["growth-mb"] }, samplers);
await checkVerdicts(set);
checkTraces();
// What a log sums up is in it at the latest when its replica stops.
await set.stop();
checkLogs(set);

bounds.sum();

/** One operation after the other on keys that nobody else touches, until there were enough and nothing is left to break. */
async function toil(client: Client, worker: number): Promise<void> {
  for (let round = 0; !work.done || work.returned < options.operations; round++) {
    const key = `client-${client.id}/${worker}/${round % 16}`;
    const [first, second] = [`${round} first`, `${round} second`];
    await expecting(() => client.put(key, first), undefined);
    await expecting(() => client.get(key), first);
    await expecting(() => client.cas(key, "something else", second), false);
    await expecting(() => client.cas(key, first, second), true);
    if (round % 3 === 0) {
      await expecting(() => client.del(key), true);
      await expecting(() => client.get(key), undefined);
    } else await expecting(() => client.get(key), second);
  }
}

async function expecting<T>(operate: () => Promise<T>, expected: T): Promise<void> {
  const got = await operate();
  work.returned += 1;
  if (got === expected) return;
  work.wrong += 1;
  say(`wrong: expected ${JSON.stringify(expected)}, got ${JSON.stringify(got)}`);
}

/** The faults, each when its share of the operations has returned. */
async function breakThings(): Promise<void> {
  await share(0.2);
  say(`replica-${paused}, the primary, stands still for ${options["pause-seconds"]} s`);
  await set.pause(paused);
  await sleep(1_000 * options["pause-seconds"]);
  await set.resume(paused);
  await caughtUp(paused, "paused");
  await share(0.5);
  say(`replica-${wiped} is killed`);
  await set.kill(wiped);
  await share(0.6);
  await set.start(wiped);
  say(`replica-${wiped} is started again, with nothing`);
  await caughtUp(wiped, "wiped");
  work.done = true;
}

async function share(part: number): Promise<void> {
  await until(`${100 * part} % of the operations return`, 600_000, () => work.returned >= part * options.operations);
}

/** From now on until it has executed what the others have by now. */
async function caughtUp(replica: number, which: string): Promise<void> {
  const others = await Promise.all(replicas.filter((id) => id !== replica).map((id) => set.status(id)));
  const goal = Math.max(...others.map(({ executed }) => executed));
  const within = options["catch-up-seconds"];
  const ms = await until(`replica-${replica} catches up`, 1_000 * within, async () => {
    const status = await set.status(replica).catch(() => undefined);
    return status !== undefined && status.executed >= goal;
  });
  bounds.check(true, `the ${which} replica catches up within ${within} s (to slot ${goal} in ${(ms / 1_000).toFixed(2)} s)`);
}

async function isLevel(): Promise<boolean> {
  const states = await Promise.all(replicas.map((id) => set.status(id).catch(() => undefined)));
  return states[0] !== undefined && new Set(states.map((state) => state?.executed)).size === 1;
}

function showProgress(): void {
  say(`\n${((performance.now() - started) / 1_000).toFixed(0)} s, ${work.returned} returned`);
  table(
    ["", "resident MB", "heap MB", "executed", "stable"],
    [...samplers].map(([name, { last }]) => [
      name,
      ...(last ? [last.rss.toFixed(1), last.heap.toFixed(1), last.executed, last.stable] : ["", "", "", ""]),
    ]),
  );
}

async function checkVerdicts(launched: LaunchedSet): Promise<void> {
  const { properties, surprises } = await launched.verdict();
  const verdicts = Object.entries(properties).map(([name, { verdict, claimed }]) => `${name} ${claimed ? "" : "(not claimed) "}${verdict}`);
  say();
  for (const surprise of surprises) say(surprise);
  bounds.check(
    Object.values(properties).every(({ verdict, claimed }) => claimed && verdict === "holds"),
    `the verdicts hold (${verdicts.join(", ")})`,
  );
}

/** What a replica wrote down of its checkpoints and installs, over all its lives. */
function recordsOf(replica: number): TraceRecord[] {
  const lines = readFileSync(join(folder, `replica-${replica}.jsonl`), "utf8").split("\n");
  return parseTrace(lines.filter((line) => /"event":"(checkpoint|install|decide)"/.test(line)).join("\n"));
}

function checkTraces(): void {
  const seen = replicas.map((id) => {
    const records = recordsOf(id);
    const slots = (of: (record: TraceRecord) => number | undefined) => new Set(records.flatMap((record) => of(record) ?? []));
    return {
      id,
      stable: slots((record) => (record.event === "checkpoint" && record.stable ? record.slot : undefined)),
      installs: slots((record) => (record.event === "install" ? record.slot : undefined)),
      decided: slots((record) => (record.event === "decide" ? record.slot : undefined)),
    };
  });
  const last = Math.max(...seen.flatMap(({ decided }) => [...decided]));
  const due = Array.from({ length: Math.max(0, Math.floor((last - window) / K)) }, (_, index) => (index + 1) * K);
  say();
  table(
    ["", "decided", "stable checkpoints", `of ${due.length} due`, "installs"],
    seen.map(({ id, stable, installs, decided }) => [
      `replica-${id}`,
      decided.size,
      stable.size,
      due.filter((slot) => stable.has(slot)).length,
      installs.size,
    ]),
  );
  // One replica may go from one checkpoint to the next but one when it is a little behind; all together miss none.
  for (const { id, stable } of seen.filter((one) => one.id !== paused && one.id !== wiped)) {
    const slots = [0, ...stable].sort((a, b) => a - b);
    const widest = Math.max(...slots.map((slot, index) => slot - (slots[index - 1] ?? 0)), last - (slots.at(-1) ?? 0));
    bounds.check(widest <= window, `replica-${id} has stable checkpoints all along (${stable.size}, at most ${widest} slots apart)`);
  }
  const nowhere = due.filter((slot) => !seen.some(({ stable }) => stable.has(slot)));
  bounds.check(
    due.length > 0 && nowhere.length === 0,
    `every ${K} slots there is a stable checkpoint (${due.length - nowhere.length} of ${due.length} due)`,
  );
  const { installs, decided } = seen[wiped] ?? { installs: new Set<number>(), decided: new Set<number>() };
  const installed = Math.max(0, ...installs);
  const reached = Math.max(installed, ...decided);
  bounds.check(installed > 0, `the wiped replica installs a state (that after slot ${installed})`);
  bounds.check(reached === last, `and follows (to slot ${reached} of ${last})`);
}

interface LogLine {
  readonly event: string;
  readonly peer?: string;
}

function checkLogs(launched: LaunchedSet): void {
  const logs = replicas.map((id) => {
    const path = launched.logFile(id);
    const lines = existsSync(path) ? readFileSync(path, "utf8").split("\n").filter(Boolean) : [];
    return lines.map((line) => JSON.parse(line) as LogLine);
  });
  const times = (id: number, event: string, peer?: string): number =>
    (logs[id] ?? []).filter((line) => line.event === event && (peer === undefined || line.peer === peer)).length;
  const events = ["started", "link-up", "link-down", "view-change", "new-view", "install"];
  say();
  table(
    ["lines in the log", "all", ...events],
    replicas.map((id) => [basename(launched.logFile(id)), logs[id]?.length ?? 0, ...events.map((event) => times(id, event))]),
  );
  const bystanders = replicas.filter((id) => id !== paused && id !== wiped);
  const both = (what: (id: number) => boolean): boolean => bystanders.every(what);
  bounds.check(
    replicas.every((id) => times(id, "started") > 0),
    "every replica has a log",
  );
  bounds.check(
    both((id) => times(id, "view-change") > 0 && times(id, "new-view") > 0),
    "the logs tell of the view change",
  );
  bounds.check(
    both((id) => times(id, "link-down", `replica-${wiped}`) > 0 && times(id, "link-up", `replica-${wiped}`) > 1),
    "the logs tell that a link ended and opened again",
  );
  bounds.check(
    times(wiped, "started") === 2 && times(wiped, "install") > 0,
    "the wiped replica's log tells of its second start and of its install",
  );
}
