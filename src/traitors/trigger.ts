/** When a behaviour lies. Plain data: it crosses process borders. */
import { z } from "zod";
import type { CoreState } from "../core/contract.ts";
import type { Random } from "../core/random.ts";
import { count, list, type NodeReference, node } from "./options.ts";

/** Every condition that is given must hold; none given means always. Each message is judged once for each destination. */
export interface Trigger {
  /** 0..1, drawn for each message and destination. */
  readonly probability?: number | undefined;
  /** Views of the message; a message without a view counts as of the view that the traitor is in. */
  readonly views?: readonly number[] | undefined;
  /** First and last slot; a message without a slot counts as of the slot that the traitor executed last. */
  readonly slots?: readonly [from: number, to: number] | undefined;
  /** Destinations. */
  readonly to?: readonly NodeReference[] | undefined;
  /** Once the traitor has executed this slot, and once it is in this view or a later one. */
  readonly after?: { readonly slot?: number | undefined; readonly view?: number | undefined } | undefined;
}

const range = z.tuple([count, count]).refine(([from, to]) => from <= to, { error: "expected the first slot and the last" });

export const triggerSchema = z.strictObject({
  probability: z.number().min(0).max(1).optional(),
  views: list(count).optional(),
  slots: range.optional(),
  to: list<NodeReference>(node).optional(),
  after: z.strictObject({ slot: count.optional(), view: count.optional() }).optional(),
});

/** One message to one destination. */
export interface Occasion {
  readonly view?: number | undefined;
  readonly slot?: number | undefined;
  readonly to: NodeReference;
  /** The traitor's core; asked only when a condition needs it. */
  readonly state: () => Pick<CoreState, "view" | "executed">;
}

export function fires(trigger: Trigger | undefined, occasion: Occasion, random: Random): boolean {
  if (!trigger) return true;
  const { probability, views, slots, to, after } = trigger;
  if (to && !to.includes(occasion.to)) return false;
  if (views && !views.includes(occasion.view ?? occasion.state().view)) return false;
  if (slots && !within(slots, occasion.slot ?? occasion.state().executed)) return false;
  if (after?.slot !== undefined && occasion.state().executed < after.slot) return false;
  if (after?.view !== undefined && occasion.state().view < after.view) return false;
  // Drawn last: conditions that fail use up no chance.
  return probability === undefined || random.float() < probability;
}

function within([from, to]: readonly [number, number], slot: number): boolean {
  return from <= slot && slot <= to;
}
