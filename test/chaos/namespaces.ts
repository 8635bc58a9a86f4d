/**
 * `npm run namespaces`: four replicas in three network namespaces with one cluster file, as on three machines. Links are cut with the
 * operating system's tools, not ours. Exit code 1 when something is not as it must be, 2 where there are no namespaces.
 */
import type { ChildProcess } from "node:child_process";
import { openSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { sourceFlags } from "../../src/launch/body.ts";
import type { ReplicaStatus } from "../../src/node.ts";
import { startIn } from "../cli/support.ts";
import { repository } from "../support/folder.ts";
import type { FromClient, ToClient } from "./namespace-client.ts";
import { Network, whyNoNamespaces } from "./network.ts";
import { Bounds, fail, numbers, say, scratch, sleep, table, until } from "./support.ts";

const options = numbers({ operations: 50, "cut-seconds": 15, "catch-up-seconds": 30 });
const why = whyNoNamespaces();
if (why !== undefined) fail(`namespaces: ${why}`);

const names = ["a", "b", "c"] as const;
type Name = (typeof names)[number];
/** Where each replica lives. */
const homes: readonly Name[] = ["a", "a", "b", "c"];
const replicas = [0, 1, 2, 3];
const K = 32;
/** After so long a silence a link is closed (docs/limits.md: `tickMs`, `silentTicks`); only then does a replica know that it is cut off. */
const silenceSeconds = 12;

const bounds = new Bounds();
// In this order: at the end the processes go first, then what they write to.
const network = new Network(names);
const folder = scratch("namespaces");
const written = new Map<string, string>();
const patience = 1_000 * options["catch-up-seconds"];
const main = join(repository, "src/cli/main.ts");

const hosts = homes.map((home) => network.address(home));
const made = await startIn(folder, "keys", "lab", "--replicas", "4", "--clients", "3", "--host", hosts.join(","), "--port", "7000")
  .finished;
if (made.code !== 0) throw new Error(made.stderr);
say(made.stdout.trim());
const cluster = join(folder, "keys/lab/cluster.json");
const urls = (JSON.parse(readFileSync(cluster, "utf8")) as { members: { url: string }[] }).members.map(({ url }) =>
  url.replace(/^ws/, "http"),
);

const processes: ChildProcess[] = replicas.map(startReplica);
/** One in each namespace; the first one works, all can tell how the replicas beside them are. */
const clients: Readonly<Record<Name, ReturnType<typeof startClient>>> = {
  a: startClient("a", 1),
  b: startClient("b", 2),
  c: startClient("c", 3),
};
await until("every replica is linked to the other three", patience, async () =>
  (await states()).every((state) => state?.links.replicas === 3),
);

await write("all together", options.operations);
const together = await levelled(replicas, options.operations);
bounds.check(true, `four replicas in three namespaces agree (slot ${together})`);

say("\nthe link of c, with replica-3, is cut");
network.cut("c");
await write("without replica-3", options.operations);
const ahead = await levelled([0, 1, 2], together + options.operations);
const alone = (await stateOf(3))?.executed ?? -1;
bounds.check(alone < ahead, `the rest goes on (to slot ${ahead}; replica-3 stands at ${alone})`);
network.join("c");
const caught = await until("replica-3 catches up", patience, async () => ((await stateOf(3))?.executed ?? -1) >= ahead);
bounds.check(true, `the one that was cut off catches up (${(caught / 1_000).toFixed(1)} s after its link came back)`);

say("\nthe links of b and c are cut: nobody has a quorum");
network.cut("b");
network.cut("c");
let returned = 0;
const waiting = Promise.all(
  Array.from({ length: 3 }, async (_, index) => {
    await put(`without a quorum ${index}`, `${index}`);
    returned += 1;
  }),
);
await sleep(1_000 * options["cut-seconds"]);
const stuck = (await states()).map((state) => state?.executed);
bounds.check(
  returned === 0 && new Set(stuck).size === 1,
  `nothing returns for ${options["cut-seconds"]} s, and nothing is executed (slot ${stuck.join(", ")})`,
);
if (options["cut-seconds"] > silenceSeconds)
  bounds.check(
    (await states()).every((state) => state?.status === "unavailable"),
    "each replica says of itself that it is without a quorum",
  );
network.join("b");
network.join("c");
const healing = performance.now();
await waiting;
bounds.check(returned === 3, `what waited returns when the links are back (${((performance.now() - healing) / 1_000).toFixed(1)} s later)`);

say();
await write("in the end", options.operations);
// Up to a checkpoint: then the slot that is stable everywhere is the whole state, certified by a quorum.
let last = await levelled(replicas, ahead + options.operations);
while (last % K !== 0) {
  const goal = last + K - (last % K);
  for (let slot = last + 1; slot <= goal; slot++) await put("up to a checkpoint", `${slot}`);
  last = await levelled(replicas, goal);
}
await until("the last checkpoint is stable everywhere", patience, async () => (await states()).every((state) => state?.stable === last));
const final = await states();
table(
  ["", "namespace", "view", "executed", "stable", "links"],
  final.map((state, id) => [
    `replica-${id}`,
    homes[id] ?? "",
    state?.view ?? "",
    state?.executed ?? "",
    state?.stable ?? "",
    state?.links.replicas ?? "",
  ]),
);
bounds.check(true, `all four have executed slot ${last}, and its checkpoint is stable on each`);
const wrong: string[] = [];
for (const [key, value] of written) if ((await clients.a.ask({ type: "get", key })) !== value) wrong.push(key);
bounds.check(
  wrong.length === 0,
  `${written.size} keys hold what was written last${wrong.length > 0 ? `; not so: ${wrong.join(", ")}` : ""}`,
);
const suspected = (await clients.a.ask({ type: "suspected" })) as readonly number[];
bounds.check(
  suspected.every((times) => times === 0),
  `no replica ever contradicted the others (${suspected.join(", ")})`,
);
const fromB = await clients.b.ask({ type: "get", key: "up to a checkpoint" });
bounds.check(fromB === written.get("up to a checkpoint"), "a client in another namespace reads the same");
bounds.check(
  processes.every(({ exitCode, signalCode }) => exitCode === null && signalCode === null),
  "no replica ended",
);
bounds.sum();
// Replicas and namespaces go with this process.
process.exit();

function startReplica(id: number): ChildProcess {
  const log = openSync(join(folder, `replica-${id}.log`), "a");
  const args = [...sourceFlags(), main, "replica", "--cluster", cluster, "--id", `${id}`, "--no-pretty"];
  return network.node(homes[id] ?? "a", args, { stdio: ["ignore", log, log] });
}

/** By its own word, asked where it lives: that works whatever is cut. Undefined while it is not up yet. */
async function stateOf(id: number): Promise<ReplicaStatus | undefined> {
  const { [homes[id] ?? "a"]: client } = clients;
  return client.ask({ type: "status", url: urls[id] ?? "" }).then(
    (status) => status as ReplicaStatus,
    () => undefined,
  );
}

function states(): Promise<readonly (ReplicaStatus | undefined)[]> {
  return Promise.all(replicas.map(stateOf));
}

/** @returns the slot that all of these have executed, once it is the same and no lower than `least`: a page may be a moment old */
async function levelled(ids: readonly number[], least: number): Promise<number> {
  let slots: readonly number[] = [];
  await until(`the replicas ${ids.join(", ")} have executed the same`, patience, async () => {
    slots = (await Promise.all(ids.map(stateOf))).map((state) => state?.executed ?? -1);
    return new Set(slots).size === 1 && (slots[0] ?? -1) >= least;
  });
  return slots[0] ?? 0;
}

async function put(key: string, value: string): Promise<void> {
  await clients.a.ask({ type: "put", key, value });
  written.set(key, value);
}

/** One after the other, so that each takes a slot of its own. */
async function write(when: string, operations: number): Promise<void> {
  const from = performance.now();
  for (let index = 0; index < operations; index++) await put(`${when} ${index % 10}`, `${index}`);
  say(`${when}: ${operations} writes returned in ${((performance.now() - from) / 1_000).toFixed(1)} s`);
}

/** @param id - one process at a time for each client */
function startClient(name: Name, id: number) {
  const child = network.node(name, [...sourceFlags(), join(import.meta.dirname, "namespace-client.ts"), cluster, `${id}`], {
    stdio: ["ignore", 2, 2, "ipc"],
  });
  const waiting = new Map<number, (answer: FromClient) => void>();
  child.on("message", (answer: FromClient) => {
    waiting.get(answer.call)?.(answer);
    waiting.delete(answer.call);
  });
  child.once("exit", () => {
    for (const [call, settle] of waiting) settle({ call, error: "the client ended" });
  });
  let calls = 0;
  return {
    ask: (message: ToClient extends infer M ? (M extends unknown ? Omit<M, "call"> : never) : never): Promise<unknown> =>
      new Promise((resolve, reject) => {
        const call = calls++;
        waiting.set(call, ({ result, error }) => (error === undefined ? resolve(result) : reject(new Error(error))));
        child.send({ call, ...message });
      }),
  };
}
