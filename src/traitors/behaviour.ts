/** Behaviours as data: a name, options and a trigger, which travel as JSON to the process that has to lie. */
import type { z } from "zod";
import { parseOptions } from "./options.ts";
import type { Hooks, Traitor, TraitorSelf } from "./traitor.ts";
import { type Trigger, triggerSchema } from "./trigger.ts";

/** A built-in behaviour, chosen. Plain JSON. */
export interface BehaviourData {
  readonly behaviour: string;
  readonly options: Readonly<Record<string, unknown>>;
  readonly when?: Trigger;
}

/** What a scenario may put where a traitor is asked for. */
export type Behaviour = BehaviourData | Traitor;

/** A built-in behaviour as the catalogue holds it. */
export interface BehaviourDefinition<S extends z.ZodObject = z.ZodObject> {
  readonly name: string;
  /** One sentence. */
  readonly description: string;
  readonly options: S;
  readonly create: (options: z.output<S>, self: TraitorSelf) => Hooks;
}

/** The options that the schema names, as scripts write them. */
type Written<S extends z.ZodObject> = Pick<z.input<S>, keyof S["shape"] & keyof z.input<S>>;

/** May be called with nothing where no option is required; the trigger stands beside the options. */
export type BehaviourMaker<S extends z.ZodObject> = (
  ...options: Record<never, never> extends Written<S>
    ? [options?: Written<S> & { readonly when?: Trigger }]
    : [options: Written<S> & { readonly when?: Trigger }]
) => BehaviourData;

export function defineBehaviour<S extends z.ZodObject>(definition: BehaviourDefinition<S>): BehaviourDefinition<S> {
  return definition;
}

/** The names that options of this behaviour may have. */
export function optionNames({ options }: BehaviourDefinition): readonly string[] {
  return [...Object.keys(options.shape), "when"];
}

/** @throws LabError naming the option that is wrong and what is allowed */
export function choose(definition: BehaviourDefinition, options: unknown): BehaviourData {
  const schema = definition.options.extend({ when: triggerSchema.optional() }).strict();
  const parsed = parseOptions(`traitor ${definition.name}`, schema, options, optionNames(definition)) as Readonly<Record<string, unknown>>;
  const { when, ...rest } = parsed;
  return { behaviour: definition.name, options: rest, ...(when !== undefined && { when: when as Trigger }) };
}

/** The working behaviour; options were checked by {@link choose}. */
export function realise(definition: BehaviourDefinition, { options, when }: BehaviourData): Traitor {
  return { name: definition.name, make: (self) => definition.create(options, self), ...(when && { when }) };
}
