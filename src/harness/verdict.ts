/** The words of a judgement. */

/** `inconclusive`: there was nothing to judge, or what the scenario is about never happened. */
export type Verdict = "holds" | "violated" | "inconclusive";

export const verdicts: readonly Verdict[] = ["holds", "violated", "inconclusive"];

/** The properties that every run is judged by. */
export const propertyNames = ["agreement", "validity", "integrity", "termination", "accountability"] as const;

export type PropertyName = (typeof propertyNames)[number];

/** What a scenario says will come out. A property that is left out is expected to hold where it is claimed. */
export type Expectation = { readonly [P in PropertyName]?: Verdict } & {
  /** Exactly the replicas against which proof turns up. */
  readonly accused?: readonly number[];
};
