/** The built-in behaviours: to choose from code, to list, and to bring to life where they are needed. */
import { z } from "zod";
import { LabError } from "../core/lab-error.ts";
import { type Behaviour, type BehaviourData, type BehaviourDefinition, type BehaviourMaker, choose, realise } from "./behaviour.ts";
import { corruptSignature } from "./behaviours/corrupt-signature.ts";
import { delay } from "./behaviours/delay.ts";
import { equivocate } from "./behaviours/equivocate.ts";
import { lieInReplies } from "./behaviours/lie-in-replies.ts";
import { silent } from "./behaviours/silent.ts";
import { withhold } from "./behaviours/withhold.ts";
import type { Traitor } from "./traitor.ts";

/** In the order in which they are listed for people. */
export const behaviours: readonly BehaviourDefinition[] = [silent, withhold, delay, equivocate, corruptSignature, lieInReplies].map(
  // Each keeps its options and its `create` together; only the pair's own types are lost here.
  (definition) => definition as unknown as BehaviourDefinition,
);

/**
 * Built-in behaviours as data.
 *
 * @example
 * traitors.withhold({ kinds: "commit", to: [1, 2], when: { views: [0] } });
 */
export const traitors = {
  silent: maker(silent),
  withhold: maker(withhold),
  delay: maker(delay),
  equivocate: maker(equivocate),
  corruptSignature: maker(corruptSignature),
  lieInReplies: maker(lieInReplies),
} as const;

/** Each throws LabError naming the option that is wrong and what is allowed. */
function maker<S extends z.ZodObject>(definition: BehaviourDefinition<S>): BehaviourMaker<S> {
  return (...[options]) => choose(definition as unknown as BehaviourDefinition, options ?? {});
}

/** @throws LabError listing the behaviours there are */
export function behaviourNamed(name: string): BehaviourDefinition {
  const found = behaviours.find((behaviour) => behaviour.name === name);
  if (found) return found;
  const names = behaviours.map((behaviour) => behaviour.name).join(", ");
  throw new LabError("bad-traitor", `there is no traitor behaviour ${JSON.stringify(name)}; allowed are ${names}`);
}

const dataShape = z.looseObject({
  behaviour: z.string(),
  options: z.record(z.string(), z.unknown()).default({}),
  when: z.unknown().optional(),
});

/** Checks what came from a file or another process. @throws LabError naming what is wrong and what is allowed */
export function checkBehaviour(value: unknown): BehaviourData {
  const parsed = dataShape.safeParse(value);
  if (!parsed.success)
    throw new LabError("bad-traitor", "expected a traitor as { behaviour, options?, when? }, like traitors.silent() gives");
  const { behaviour, options, when } = parsed.data;
  return choose(behaviourNamed(behaviour), when === undefined ? options : { ...options, when });
}

/** The working traitor; one that `traitor()` made comes back as it is. @throws LabError as {@link checkBehaviour} does */
export function createTraitor(behaviour: Behaviour): Traitor {
  if ("make" in behaviour) return behaviour;
  const data = checkBehaviour(behaviour);
  return realise(behaviourNamed(data.behaviour), data);
}
