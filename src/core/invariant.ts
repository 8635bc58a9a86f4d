/** A broken invariant is a bug of ours, never an answer to input: it stops the node, and the seed or trace tells the rest. */
export class InvariantError extends Error {
  override readonly name = "InvariantError";
}

/** @throws InvariantError with `why` unless `condition` holds. */
export function invariant(condition: boolean, why: string): asserts condition {
  if (!condition) throw new InvariantError(why);
}

/** Ends an exhaustive switch: a new member of the union is then a compile error here. */
export function unreachable(value: never): never {
  throw new InvariantError(`unreachable: ${JSON.stringify(value)}`);
}
