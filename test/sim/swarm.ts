/**
 * A swarm of scenarios: a seed draws everything that the model allows at once, and nothing that it does not. So whatever is
 * violated in one of them is a bug of ours, and its seed is the whole report.
 */
import { createRandom, type Random } from "../../src/core/random.ts";
import { type Fault, faults, type NodeReference } from "../../src/faults/fault.ts";
import { renderJudgement } from "../../src/harness/render.ts";
import { type Scenario, scenario } from "../../src/harness/scenario.ts";
import type { Behaviour } from "../../src/traitors/behaviour.ts";
import { traitors } from "../../src/traitors/catalogue.ts";
import { simulated } from "../support/simulated.ts";

/** What the swarm has seen, so that a reader can tell that it was no quiet one. */
export interface Sightings {
  seeds: number;
  /** Runs in which a replica lied at least once. */
  betrayed: number;
  decisions: number;
  lies: number;
  viewChanges: number;
  installs: number;
  restarts: number;
  partitions: number;
  virtualMs: number;
}

/** Every fourth seed checks the invariants of all cores after each step as well. */
const checkedEvery = 4;

/** Runs the seeds `from` up to `to`, both included. `failures` has one text for each seed that is not as theory promises. */
export function runSwarm(from: number, to: number): { readonly sightings: Sightings; readonly failures: readonly string[] } {
  const sightings: Sightings = {
    seeds: 0,
    betrayed: 0,
    decisions: 0,
    lies: 0,
    viewChanges: 0,
    installs: 0,
    restarts: 0,
    partitions: 0,
    virtualMs: 0,
  };
  const failures: string[] = [];
  for (let seed = from; seed <= to; seed++) {
    const failure = runOne(seed, sightings);
    if (failure !== undefined) failures.push(failure);
  }
  return { sightings, failures };
}

export function described({ seeds, betrayed, virtualMs, ...seen }: Sightings): string {
  const { decisions, lies, viewChanges, installs, restarts, partitions } = seen;
  return (
    `swarm: ${seeds} seeds run, ${Math.round(virtualMs / 1_000)} s of virtual time, ${decisions} decisions compared, ` +
    `${lies} lies told in ${betrayed} runs, ${viewChanges} views entered, ${installs} states installed, ${restarts} restarts, ${partitions} partitions`
  );
}

/** What is wrong with the run of this seed, if anything is. */
function runOne(seed: number, sightings: Sightings): string | undefined {
  const drawn = swarmScenario(seed);
  try {
    const { judgement, records } = simulated(drawn, { seed, checked: seed % checkedEvery === 0 });
    const { evidence } = judgement.properties.agreement;
    const count = (event: string): number => records.filter((record) => record.event === event).length;
    sightings.seeds += 1;
    sightings.betrayed += Number(evidence["liesTold"]) > 0 ? 1 : 0;
    sightings.decisions += Number(evidence["decisions"]);
    sightings.lies += Number(evidence["liesTold"]);
    sightings.viewChanges += Number(evidence["viewChanges"]);
    sightings.installs += count("install");
    sightings.restarts += count("restart");
    sightings.partitions += count("partition");
    sightings.virtualMs += records.at(-1)?.at ?? 0;
    const problems = Object.entries(judgement.properties).flatMap(([name, { claimed, reason, verdict, because }]) => {
      if (!claimed) return [`${name} is not claimed: ${reason}`];
      if (verdict === "violated") return [`${name} is violated`];
      // A backup that equivocates lies only when others disagree: then its run shows that an honest cluster works.
      const excused = because === "the traitors never lied" && count("treason") === 0;
      return verdict === "inconclusive" && !excused ? [`${name} is inconclusive: ${because}`] : [];
    });
    return problems.length === 0
      ? undefined
      : `seed ${seed}: ${problems.join("; ")}\n${renderJudgement(judgement)}\n${JSON.stringify(drawn)}`;
  } catch (error) {
    return `seed ${seed}: ${error instanceof Error ? error.stack : String(error)}\n${JSON.stringify(drawn)}`;
  }
}

/** The scenario of a seed: lossy links, partitions, outages and one traitor, all before GST; afterwards only the traitor is left. */
export function swarmScenario(seed: number): Scenario {
  const random = createRandom(seed).fork("swarm");
  const chance = (probability: number): boolean => random.float() < probability;
  const between = (from: number, to: number): number => from + random.next(to - from + 1);
  const replicas = chance(0.85) ? 4 : 7;
  const clients = between(1, 3);
  const stableFrom = between(1_000, 4_000);
  const checkpointInterval = between(4, 16);
  const liar = chance(0.85) ? between(0, replicas - 1) : undefined;
  const longest = between(2, 60);
  return scenario({
    name: `swarm ${seed}`,
    replicas,
    traitors: liar === undefined ? {} : { [liar]: drawBehaviour(random.fork("behaviour"), { self: liar, replicas, clients }) },
    network: {
      delay: [between(0, 2), longest],
      loss: chance(0.7) ? random.float() * 0.3 : 0,
      duplicate: chance(0.5) ? random.float() * 0.3 : 0,
      reorder: chance(0.5) ? random.float() * 0.5 : 0,
      stableFrom,
    },
    faults: [
      ...(chance(0.6) ? drawPartitions(random.fork("partitions"), { replicas, clients, stableFrom }) : []),
      ...(chance(0.6) ? drawOutages(random.fork("outages"), { replicas, liar, stableFrom }) : []),
    ],
    // Think time spreads the operations over all that happens.
    workload: { clients, operations: between(20, 40), window: between(1, 3), keys: between(1, 4), think: between(0, 150) },
    limits: {
      checkpointInterval,
      window: 2 * checkpointInterval + (chance(0.5) ? 0 : between(1, 16)),
      clientWindow: between(1, 16),
      pipeline: between(1, 8),
      batchRequests: between(1, 4),
    },
  });
}

interface Cast {
  readonly replicas: number;
  readonly clients: number;
  readonly stableFrom: number;
}

/** One cut, or a cut that changes its shape, and its end before GST. */
function drawPartitions(random: Random, { replicas, clients, stableFrom }: Cast): Fault[] {
  const times = Array.from({ length: 2 + random.next(3) }, () => random.next(stableFrom)).sort((a, b) => a - b);
  const end = times.pop() ?? 0;
  return [
    ...times.map((after) => faults.partition({ after }, drawGroups(random, replicas, clients))),
    ...(times.length === 0 ? [] : [faults.heal({ after: end })]),
  ];
}

function drawGroups(random: Random, replicas: number, clients: number): NodeReference[][] {
  const order = inAnyOrder(
    random,
    Array.from({ length: replicas }, (_, id): NodeReference => id),
  );
  const shape = random.next(3);
  const cut = shape === 0 ? 1 : 1 + random.next(replicas - 1);
  const groups = [order.slice(0, cut), order.slice(cut)];
  // A bridge belongs to both sides.
  if (shape === 2) groups[1]?.push(...order.slice(0, 1));
  // Clients outside all groups reach everybody; some sit on one side with the replicas there.
  for (let client = 1; client <= clients; client++) if (random.next(3) === 0) groups[random.next(2)]?.push(`client-${client}`);
  return groups;
}

/**
 * One or two correct replicas stop for a while: frozen with their memory, or killed and started again from what they had
 * persisted. Or all of them are killed at once, as in a power cut.
 */
function drawOutages(
  random: Random,
  { replicas, liar, stableFrom }: { readonly replicas: number; readonly liar: number | undefined; readonly stableFrom: number },
): Fault[] {
  const correct = inAnyOrder(
    random,
    Array.from({ length: replicas }, (_, id) => id).filter((id) => id !== liar),
  );
  const choice = random.next(6);
  const cutAt = random.next(stableFrom);
  if (choice === 0) {
    return correct.flatMap((id) => [faults.kill({ after: cutAt }, id), faults.start({ after: cutAt + 1 + random.next(400) }, id)]);
  }
  return correct.slice(0, choice === 1 ? 2 : 1).flatMap((id) => {
    const from = random.next(stableFrom);
    const until = from + 1 + random.next(stableFrom);
    const [stop, start] = random.next(2) === 0 ? [faults.pause, faults.resume] : [faults.kill, faults.start];
    return [stop({ after: from }, id), start({ after: until }, id)];
  });
}

function inAnyOrder<T>(random: Random, all: readonly T[]): T[] {
  const keyed = all.map((item) => ({ item, key: random.float() })).sort((a, b) => a.key - b.key);
  return keyed.map(({ item }) => item);
}

/** Any of the built-in behaviours with any of its options. */
function drawBehaviour(
  random: Random,
  { self, replicas, clients }: { readonly self: number; readonly replicas: number; readonly clients: number },
): Behaviour {
  const others = Array.from({ length: replicas }, (_, id) => id).filter((id) => id !== self);
  const some = <T>(all: readonly T[]): T[] => {
    const chosen = all.filter(() => random.next(2) === 0);
    return chosen.length > 0 ? chosen : all.slice(0, 1);
  };
  const maybe = <K extends string, T>(name: K, value: () => T): { [name in K]?: T } =>
    random.next(2) === 0 ? {} : ({ [name]: value() } as { [name in K]?: T });
  const kinds = () => some(["pre-prepare", "prepare", "commit", "checkpoint", "view-change", "new-view", "status", "certificate", "reply"]);
  const targets = () =>
    some<NodeReference>([...others, ...Array.from({ length: clients }, (_, index): NodeReference => `client-${index + 1}`)]);
  const when = maybe("when", () => ({
    ...maybe("probability", () => Math.max(0.1, random.float())),
    ...maybe("views", () => some([0, 1, 2, 3])),
    ...maybe("after", () => ({ slot: random.next(12) })),
  }));
  switch (random.next(6)) {
    case 0:
      return traitors.silent(when);
    case 1:
      return traitors.withhold({ ...maybe("kinds", kinds), ...maybe("to", targets), ...when });
    case 2:
      return traitors.delay({ ms: 1 + random.next(800), ...maybe("kinds", kinds), ...when });
    case 3: {
      const sides = 2 + random.next(2);
      const groups = () => Array.from({ length: sides }, (_, side) => others.filter((_id, index) => index % sides === side));
      return traitors.equivocate({
        ...maybe("groups", groups),
        differ: some(["timestamp", "order", "fewer"] as const)[0] ?? "order",
        ...when,
      });
    }
    case 4:
      return traitors.corruptSignature({ ...maybe("kinds", kinds), ...when });
    default:
      return traitors.lieInReplies(when);
  }
}
