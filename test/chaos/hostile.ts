/**
 * `npm run hostile`: four replicas, one of them a traitor that floods votes, and a process full of hostile peers on their ports. Honest clients
 * must keep more than half of their throughput, memory must stay flat, and everything must be counted. Exit code 1 when it is not so.
 */
import { fork } from "node:child_process";
import { join } from "node:path";
import { clientName } from "../../src/core/ids.ts";
import { perfectNetwork } from "../../src/faults/network.ts";
import { sourceFlags } from "../../src/launch/body.ts";
import { generateCluster } from "../../src/launch/keys.ts";
import { statusOf, textOf } from "../../src/launch/probe.ts";
import { ReplicaSet } from "../../src/launch/replica-set.ts";
import { type Client, connect } from "../../src/node.ts";
import { type Attack, attacks, type FromAttackers, hostileRoles, kinds, type ToAttackers, voteFlood } from "./attacks.ts";
import { Bounds, checkMemory, Figures, mean, numbers, Sampler, say, scratch, sleep, table, until } from "./support.ts";

const options = numbers({
  seconds: 60,
  "peace-seconds": 10,
  "warm-up-seconds": 5,
  clients: 4,
  "window-per-client": 4,
  "throughput-percent": 50,
  "growth-percent": 25,
  "growth-mb": 40,
  "sample-ms": 500,
  "table-seconds": 10,
});
const traitor = 3;
const honest = [0, 1, 2];
/** An attacker that is cut off for a time, or closed, sends less than it would; what it did send is nearly all counted. */
const countedShare = 0.9;

/** The labels that tell metrics apart. */
const namesOf = (metrics: readonly string[]): string => metrics.map((metric) => /"(.+?)"/.exec(metric)?.[1]).join(", ");

const total = (all: readonly Figures[], name: string): number => all.reduce((sum, one) => sum + one.value(name), 0);

const bounds = new Bounds();
const folder = scratch("hostile");
const keys = generateCluster({ replicas: 4, clients: options.clients + hostileRoles.length });
const secretOf = (name: Parameters<typeof keys.secrets.get>[0]): Uint8Array => keys.secrets.get(name) as Uint8Array;
const deaths: string[] = [];

say(`hostile: ${options.clients} honest clients with ${options["window-per-client"]} operations under way each`);
const set = await ReplicaSet.start({
  file: keys.file,
  secretOf,
  directory: folder,
  trace: false,
  network: perfectNetwork,
  seed: 1,
  traitors: new Map([[traitor, { behaviours: [], module: join(import.meta.dirname, "vote-flood.ts") }]]),
  anyPort: true,
  penalties: true,
  onDeath: ({ message }) => deaths.push(message),
});
const attackers = startAttackers();
const ready = attackers.next("ready");
const work = { returned: 0, wrong: 0, done: false };
const clients = Array.from({ length: options.clients }, (_, index) => {
  const id = index + 1;
  return connect({ cluster: keys.file, id, secret: secretOf(clientName(id)), urls: set.urls });
});

try {
  await set.linked(0);
  await Promise.all(clients.map((client) => client.linked()));
  await ready;
  const workers = clients.flatMap((client) => Array.from({ length: options["window-per-client"] }, (_, worker) => toil(client, worker)));
  await Promise.race([stormed(), ...workers]);
  work.done = true;
  await Promise.all(workers);
  await until("all honest replicas have executed the same", 30_000, isLevel);
  bounds.check(
    work.wrong === 0,
    `every operation of the honest clients returned what it must (${work.returned} returned, ${work.wrong} wrong)`,
  );
  bounds.check(
    deaths.length === 0,
    `no replica ended, and all honest ones have executed the same${deaths.map((death) => `; ${death}`).join("")}`,
  );
} finally {
  attackers.process.kill();
  await Promise.all(clients.map((client) => client.close()));
  await set.stop();
}
bounds.sum();

/** Measures under attack, and in peace before and after it, for the machine may be slower at one time than at another. */
async function stormed(): Promise<void> {
  await sleep(1_000 * options["warm-up-seconds"]);
  const peace = [await measured("in peace", options["peace-seconds"])];

  const before = await figures();
  const samplers = new Map(honest.map((id) => [`replica-${id}`, new Sampler(() => metricsOf(id), options["sample-ms"])]));
  attackers.tell({ type: "attack" });
  flood();
  const storm = await measured("under attack", options.seconds);
  await until("each replica was sampled often enough", 60_000, () => [...samplers.values()].every(({ enough }) => enough));
  for (const sampler of samplers.values()) sampler.stop();
  attackers.tell({ type: "stop" });
  flood();
  const { sent, cpuSeconds } = await attackers.next("done");
  // What is still in a socket is counted a moment later.
  await sleep(1_000);
  const after = await figures();
  peace.push(await measured("in peace again", options["peace-seconds"]));

  say();
  const [rates, costs] = [peace.map(({ rate }) => rate), peace.map(({ perCpuSecond }) => perCpuSecond)];
  const share = (100 * storm.rate) / mean(rates);
  bounds.check(
    share > options["throughput-percent"],
    `honest throughput under attack is ${share.toFixed(0)} % of that in peace: ${Math.round(storm.rate)} operations a second of ${rates.map(Math.round).join(" before and ")} after`,
  );
  // What a machine that does other things as well cannot distort.
  say(
    `operations for each second of CPU of the honest replicas: ${Math.round(storm.perCpuSecond)} of ${costs.map(Math.round).join(" before and ")} after;` +
      ` the attackers took ${((100 * cpuSeconds) / options.seconds).toFixed(0)} % of a core, the honest replicas ${(100 * storm.cores).toFixed(0)} %`,
  );
  checkMemory(bounds, { percent: options["growth-percent"], mb: options["growth-mb"] }, samplers);
  checkCounts(sent, (name) => total(after, name) - total(before, name));
}

/** Tells the traitor to begin, or to end. */
function flood(): void {
  const pid = set.pids[traitor];
  if (pid !== undefined) process.kill(pid, voteFlood.signal);
}

/** So many seconds from now: operations of the honest clients a second, and the CPU of the honest replicas that went by. */
async function measured(when: string, seconds: number): Promise<{ rate: number; cores: number; perCpuSecond: number }> {
  const cpu = async (): Promise<number> => total(await figures(), "process_cpu_seconds_total");
  const [cpuBefore, from, before] = [await cpu(), performance.now(), work.returned];
  const rate = (): number => (1_000 * (work.returned - before)) / (performance.now() - from);
  const ticker = setInterval(() => say(`${when}: ${Math.round(rate())} operations a second`), 1_000 * options["table-seconds"]);
  await sleep(1_000 * seconds);
  clearInterval(ticker);
  const reached = rate();
  const [used, returned] = [(await cpu()) - cpuBefore, work.returned - before];
  return { rate: reached, cores: used / seconds, perCpuSecond: returned / used };
}

function checkCounts(sent: Extract<FromAttackers, { type: "done" }>["sent"], grown: (metric: string) => number): void {
  const rows: (readonly [kind: string, perSecond: number, sent: number | string, counted: number, as: string, enough: boolean])[] =
    kinds.map((kind) => {
      const { perSecond, counted, all, after = 0 }: Attack = attacks[kind];
      const [times, count] = [sent[kind], counted.reduce((sum, metric) => sum + grown(metric), 0)];
      const enough = options.seconds < after || (times > 0 && count >= (all ? countedShare * times : 1));
      return [kind, perSecond, times, count, namesOf(counted), enough];
    });
  const votes = voteFlood.counted.reduce((sum, metric) => sum + grown(metric), 0);
  rows.push(["votes of a traitor replica", voteFlood.perSecond * honest.length, "", votes, namesOf(voteFlood.counted), votes > 0]);
  say();
  table(
    ["attack", "a second", "sent", "counted", "as"],
    rows.map(([kind, perSecond, times, count, as]) => [kind, perSecond, times, count, as]),
  );
  const missing = rows.flatMap(([kind, , , , , enough]) => (enough ? [] : [kind]));
  bounds.check(
    missing.length === 0,
    `every kind of attack is counted${missing.length > 0 ? `; not so: ${missing.join(", ")}` : ` (${rows.length} kinds)`}`,
  );
}

/** Writes and reads a key of its own, one operation after the other. */
async function toil(client: Client, worker: number): Promise<void> {
  const key = `client-${client.id}/${worker}`;
  for (let round = 0; !work.done; round++) {
    await client.put(key, `${round}`);
    const read = await client.get(key);
    work.returned += 2;
    if (read === `${round}`) continue;
    work.wrong += 1;
    say(`wrong: expected ${round}, got ${read}`);
  }
}

async function isLevel(): Promise<boolean> {
  const states = await Promise.all(honest.map((id) => statusOf(set.urls[id] ?? "").catch(() => undefined)));
  return states[0] !== undefined && new Set(states.map((state) => state?.executed)).size === 1;
}

function metricsOf(replica: number): Promise<string> {
  return textOf(set.urls[replica] ?? "", "/metrics");
}

/** Asks until each replica has answered: one under attack may be busy. */
function figures(): Promise<readonly Figures[]> {
  return Promise.all(
    honest.map(async (id) => {
      let text: string | undefined;
      await until(`replica-${id} tells its metrics`, 60_000, async () => {
        text = await metricsOf(id).catch(() => undefined);
        return text !== undefined;
      });
      return new Figures(text ?? "");
    }),
  );
}

function startAttackers() {
  const child = fork(join(import.meta.dirname, "attackers.ts"), [], {
    execArgv: sourceFlags(),
    serialization: "advanced",
    stdio: ["ignore", 2, 2, "ipc"],
  });
  const tell = (message: ToAttackers): void => void child.send(message);
  const secrets = new Map(
    hostileRoles.map((role, index) => {
      const client = options.clients + index + 1;
      return [role, { client, secret: secretOf(clientName(client)) }] as const;
    }),
  );
  tell({ type: "task", task: { file: keys.file, secrets, targets: honest.map((replica) => ({ replica, url: set.urls[replica] ?? "" })) } });
  return {
    process: child,
    tell,
    /** The next message of that type. @throws Error when the process ends before */
    next: <T extends FromAttackers["type"]>(type: T) =>
      new Promise<Extract<FromAttackers, { type: T }>>((resolve, reject) => {
        child.on("message", (message: FromAttackers) => {
          if (message.type === type) resolve(message as Extract<FromAttackers, { type: T }>);
        });
        child.once("exit", (code) => reject(new Error(`the attacking process ended (${code})`)));
      }),
  };
}
