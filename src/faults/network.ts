/** The network as data, and what it does to one message: the same for real sockets and for the simulator. */
import type { Random } from "../core/random.ts";

/** Faulty until GST, bounded after it (partial synchrony, Dwork, Lynch and Stockmeyer 1988). */
export interface NetworkModel {
  /** How long a message is under way, ms; each value in between is equally likely. */
  readonly delayMs: { readonly min: number; readonly max: number };
  /** Probability 0..1 that a message is lost. */
  readonly loss: number;
  /** Probability 0..1 that a message arrives twice. */
  readonly duplicate: number;
  /** Probability 0..1 that a message is held back for up to ten times the longest delay, so that later ones overtake it. */
  readonly reorder: number;
  /** GST in ms of the run: from then on nothing is lost, doubled or held back. Undefined: faulty for ever. */
  readonly stableFromMs: number | undefined;
}

/** A network without faults and without delay. */
export const perfectNetwork: NetworkModel = { delayMs: { min: 0, max: 0 }, loss: 0, duplicate: 0, reorder: 0, stableFromMs: undefined };

/** How much longer than the longest delay a message that is held back may take. */
const heldBackFactor = 10;

/**
 * What the network does to one message sent at `now` (ms of the run): the delay in ms of each copy that arrives.
 * Empty: it is lost. It always draws four numbers, so that changing one probability leaves the rest of the run as it was.
 */
export function transmit(model: NetworkModel, random: Random, now: number): readonly number[] {
  const [lost, doubled, held, first] = [random.float(), random.float(), random.float(), random.float()];
  if (model.stableFromMs !== undefined && now >= model.stableFromMs) return [between(model.delayMs, first)];
  if (lost < model.loss) return [];
  const delay = between(model.delayMs, first);
  const delays = [
    held < model.reorder ? delay + between({ min: 0, max: heldBackFactor * Math.max(1, model.delayMs.max) }, random.float()) : delay,
  ];
  if (doubled < model.duplicate) delays.push(between(model.delayMs, random.float()));
  return delays;
}

/** Whole microseconds: traces stay readable and equal on every engine. */
function between({ min, max }: NetworkModel["delayMs"], fraction: number): number {
  return Math.round((min + fraction * (max - min)) * 1_000) / 1_000;
}
