/**
 * Stable storage: what a node must not contradict after a restart. This file and memory.ts are pure and import from core only;
 * records are opaque here.
 */

/**
 * An append-only log of records of one node.
 *
 * `append` is the barrier of the `persist` effect: the host holds back everything emitted later until `done` (rule 72).
 */
export interface Storage<R> {
  /**
   * Adds records behind all earlier ones. `done` is called once, when they are durable, and in the order of the calls; it may be
   * called before `append` returns.
   */
  append(records: readonly R[], done: () => void): void;
  /** Everything durable that a restart may need, oldest first. A later `append` does not change the array. */
  recover(): readonly R[];
}
