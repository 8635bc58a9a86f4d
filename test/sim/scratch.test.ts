import { expect, it } from "vitest";
import { createClientCore } from "../../src/client/client-core.ts";
import { createWorkload, sharesOf } from "../../src/client/workload.ts";
import type { ClientId, ReplicaId } from "../../src/core/ids.ts";
import { createRandom } from "../../src/core/random.ts";
import { nobleDigest } from "../../src/crypto/digest.ts";
import { symbolicScheme } from "../../src/crypto/symbolic.ts";
import { pbft, type PbftMessage, type PbftRecord } from "../../src/protocols/pbft/index.ts";
import { createKeyValueStore } from "../../src/services/key-value.ts";
import { World } from "../../src/sim/world.ts";
import { createOpener } from "../../src/wire/open.ts";
import { createSeal } from "../../src/wire/seal.ts";
import { testCluster } from "../support/keys.ts";

function run(seed: number, n = 4, verbose = false) {
  const random = createRandom(seed);
  const net = random.fork("net");
  const scheme = symbolicScheme();
  const t = testCluster(n, { clients: 2, scheme, limits: { checkpointInterval: 8, window: 16, clientWindow: 16, pipeline: 4 } });
  const { cluster } = t;
  const opener = createOpener<PbftMessage>({ schemas: pbft.messages, cluster: cluster.id, limits: cluster.limits, replicaKeys: t.replicaKeys, clientKeys: t.clientKeys, verify: scheme.verify, digest: nobleDigest });
  const decided = new Map<number, string>();
  const execd = cluster.replicas.map(() => 0);
  let returned = 0;
  const total = 40;
  const shares = sharesOf(total, 2);
  const workloads = new Map(cluster.clients.map((id) => [id, createWorkload({ client: id, operations: shares[id - 1]!, random: random.fork(`c${id}`) })]));
  const stableAt = 4000;
  const loss = net.float() * 0.3, dup = net.float() * 0.2, maxDelay = 1 + net.next(120);
  let groups: number[] | undefined;
  let events = 0;
  const kinds = new Map<string, number>();
  const silent = net.next(2) === 0 ? net.next(n) : -1;
  const world: World<PbftMessage, PbftRecord> = new World({
    cluster, opener, checked: true,
    createReplica: (id) => pbft.createCore({ self: id, cluster, digest: nobleDigest, service: createKeyValueStore(), seal: createSeal<PbftMessage>({ schemas: pbft.messages, cluster: cluster.id, sender: id, incarnation: 0, sign: (b) => scheme.sign(t.replicaSecrets[id]!, b) }) as never }),
    createClient: (id) => createClientCore({ self: id, cluster, digest: nobleDigest, seal: createSeal<PbftMessage>({ schemas: pbft.messages, cluster: cluster.id, sender: id, incarnation: 0, sign: (b) => scheme.sign(t.clientSecrets[id - 1]!, b) }) as never }),
    route: (from, to, now) => {
      if (from === `replica-${silent}`) return [];
      if (now >= stableAt) return [1 + net.next(10)];
      if (groups && from.startsWith("replica") && to.startsWith("replica")) {
        if (groups[Number(from.split("-")[1])] !== groups[Number(to.split("-")[1])]) return [];
      }
      if (net.float() < loss) return [];
      const d = [1 + net.next(maxDelay)];
      if (net.float() < dup) d.push(1 + net.next(maxDelay * 3));
      return d;
    },
    watcher: {
      sent: (_f, _t, m) => { kinds.set(m.message.kind, (kinds.get(m.message.kind) ?? 0) + 1); }, received() {}, dropped() {}, rejected(node, r) { if (!["duplicate"].includes(r.code)) throw new Error(`${node} ${JSON.stringify(r)}`); },
      replicaDid(id, effect) {
        if (effect.type === "decide") {
          const known = decided.get(effect.slot);
          if (known !== undefined && known !== effect.digest) throw new Error(`FORK at ${effect.slot} by ${id}`);
          decided.set(effect.slot, effect.digest);
          execd[id] = effect.slot;
        }
        if (effect.type === "evidence") throw new Error(`evidence ${JSON.stringify(effect.kind)} ${effect.culprit}`);
        if (effect.type === "observe" && effect.event.event === "halt") throw new Error(`halt ${effect.event.reason}`);
        if (effect.type === "observe" && effect.event.event === "install") execd[id] = effect.event.slot;
        if (verbose && effect.type === "observe" && effect.event.event !== "execute") console.log(world.now, id, JSON.stringify(effect.event));
        if (verbose && effect.type === "reject" && effect.rejection.code !== "duplicate") console.log(world.now, id, JSON.stringify(effect.rejection));
      },
      clientDid(id, effect) {
        if (effect.type === "return") {
          returned++;
          const op = workloads.get(id)!.next(effect.result);
          if (op) world.at(world.now, () => world.stepClient(id, { type: "invoke", now: world.now, operation: op }));
        }
      },
    },
  });
  for (const id of cluster.replicas) world.start(id as ReplicaId);
  for (const id of cluster.clients) {
    world.stepClient(id as ClientId, { type: "start", now: 0 });
    const op = workloads.get(id)!.next();
    if (op) world.stepClient(id, { type: "invoke", now: 0, operation: op });
  }
  for (let t0 = 300; t0 < stableAt; t0 += 300 + net.next(500)) world.at(t0, () => { groups = net.next(3) === 0 ? undefined : cluster.replicas.map(() => net.next(2)); });
  const done = () => returned === total && new Set(execd.filter((_, i) => i !== silent)).size === 1;
  while (!done() && world.now < 60_000) { if (!world.advance(60_000)) break; events++; }
  return { ok: done(), returned, execd, at: Math.round(world.now), events, silent, kinds, world, cluster };
}

it("holds", () => {
  const t0 = performance.now();
  let events = 0;
  const bad: string[] = [];
  let worst = 0;
  for (let seed = 1; seed <= Number(process.env.SEEDS ?? 100); seed++) {
    try {
      const r = run(seed, seed % 3 === 0 ? 7 : 4);
      events += r.events;
      worst = Math.max(worst, r.at);
      if (!r.ok) bad.push(`${seed}: stuck returned ${r.returned} ${r.execd} silent ${r.silent}`);
    } catch (e) { bad.push(`${seed}: ${(e as Error).stack?.slice(0, 600)}`); }
  }
  console.log("events", events, "ms", performance.now() - t0, "worst", worst, "bad", bad.length, bad.slice(0, 5).join("\n"));
  if (process.env.SEED) { const r = run(Number(process.env.SEED), Number(process.env.SEED) % 3 === 0 ? 7 : 4, true); console.log(r.ok, r.kinds, r.cluster.replicas.map((id) => JSON.stringify(r.world.inspect(id))).join("\n")); }
  expect(bad).toEqual([]);
}, 600_000);
