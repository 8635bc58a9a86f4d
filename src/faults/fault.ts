/**
 * Faults as data: what breaks, and when. The room `faults` holds one model of faults for sockets and simulator;
 * it imports `core` only. Hosts carry the faults out and write what fired to the trace.
 */
import { type Duration, durationMs } from "../core/duration.ts";
import type { NodeName } from "../core/ids.ts";

/** After so many ms of the run, or once clients have got so many results in total. */
export type FaultTrigger<D = number> = { readonly after: D } | { readonly afterReturns: number };

/** A replica by its number, or a client by its name. */
export type NodeReference = number | `client-${number}`;

export type Fault =
  | { readonly fault: "partition"; readonly when: FaultTrigger; readonly groups: readonly (readonly NodeReference[])[] }
  | { readonly fault: "heal"; readonly when: FaultTrigger }
  /** SIGKILL: whatever was not durable is gone. */
  | { readonly fault: "kill"; readonly when: FaultTrigger; readonly replica: number }
  /** Starts a killed replica again; `lost`: its storage is gone, so it counts as faulty from then on (rule 77). */
  | { readonly fault: "start"; readonly when: FaultTrigger; readonly replica: number; readonly storage: "kept" | "lost" }
  /** SIGSTOP: it keeps its memory and its links, and does nothing. */
  | { readonly fault: "pause"; readonly when: FaultTrigger; readonly replica: number }
  | { readonly fault: "resume"; readonly when: FaultTrigger; readonly replica: number };

/** The kinds that harm, and the trace event that shows that one fired. */
export const faultEvents = { partition: "partition", kill: "crash", pause: "pause" } as const;

type When = FaultTrigger<Duration>;

/** Builders for the `faults` of a scenario. Durations are ms or text such as "2s". */
export const faults = {
  /** Cuts every link between nodes that share no group. A node in two groups is a bridge; one in no group still reaches everybody. */
  partition: (when: When, groups: readonly (readonly NodeReference[])[]): Fault => ({ fault: "partition", when: trigger(when), groups }),
  /** Ends the partition. */
  heal: (when: When): Fault => ({ fault: "heal", when: trigger(when) }),
  kill: (when: When, replica: number): Fault => ({ fault: "kill", when: trigger(when), replica }),
  start: (when: When, replica: number, { storage = "kept" }: { readonly storage?: "kept" | "lost" } = {}): Fault => ({
    fault: "start",
    when: trigger(when),
    replica,
    storage,
  }),
  pause: (when: When, replica: number): Fault => ({ fault: "pause", when: trigger(when), replica }),
  resume: (when: When, replica: number): Fault => ({ fault: "resume", when: trigger(when), replica }),
};

/** Whether a partition into `groups` cuts the link between two nodes. */
export function isCut(groups: readonly (readonly NodeName[])[], a: NodeName, b: NodeName): boolean {
  const ofA = groups.filter((group) => group.includes(a));
  return ofA.length > 0 && groups.some((group) => group.includes(b)) && !ofA.some((group) => group.includes(b));
}

/** What is down can be neither killed nor paused, and no resume brings it back: a record of it would mislead the judge. */
export function applies(
  { fault }: Extract<Fault, { replica: number }>,
  { up, running }: { readonly up: boolean; readonly running: boolean },
): boolean {
  return { kill: up, start: !up, pause: running, resume: up && !running }[fault];
}

/** A node as scenarios write it, by its name in the trace. */
export function nameOfNode(node: NodeReference): NodeName {
  return typeof node === "number" ? `replica-${node}` : node;
}

function trigger(when: When): FaultTrigger {
  return "after" in when ? { after: durationMs(when.after, "after") } : when;
}
