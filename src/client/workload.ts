/** What clients ask for: a seeded stream of key-value operations, in a closed loop. The simulator and the sockets use the same. */
import type { ClientId } from "../core/ids.ts";
import type { Random } from "../core/random.ts";
import { decodeResult, type KeyValueResult, kv } from "../services/key-value.ts";

export interface WorkloadOptions {
  readonly client: ClientId;
  /** Of this client. */
  readonly operations: number;
  /** How many keys the clients share; few make them collide. @defaultValue 4 */
  readonly keys?: number;
  /** One stream for each client: what the others draw changes nothing here. */
  readonly random: Random;
}

/** One client's operations, one at a time. */
export interface Workload {
  /**
   * @param previous - the result of the operation before, which a later cas may build on; none at first
   * @returns the next operation, or undefined when there are no more
   */
  next(previous?: Uint8Array): Uint8Array | undefined;
}

/** Out of 10 operations, on average: 4 puts, 3 gets, 2 cas, 1 del. No two puts or cas of any client ever write equal values. */
export function createWorkload({ client, operations, keys = 4, random }: WorkloadOptions): Workload {
  /** What this client last knew to stand under a key; others may have changed it since, which is what makes a cas fail. */
  const known = new Map<string, string | undefined>();
  let issued = 0;
  let last: Step | undefined;
  return {
    next(previous) {
      if (previous && last) learn(known, last, decodeResult(previous));
      if (issued === operations) return undefined;
      issued++;
      const key = `key-${random.next(keys)}`;
      last = draw(random, { key, expected: known.get(key), value: `${client}-${issued}` });
      return last.operation;
    },
  };
}

/** How many of all operations each client issues: equal shares, the first clients one more where they do not divide. */
export function sharesOf(operations: number, clients: number): number[] {
  const share = Math.floor(operations / clients);
  return Array.from({ length: clients }, (_, index) => share + (index < operations % clients ? 1 : 0));
}

interface Step {
  readonly operation: Uint8Array;
  readonly key: string;
  /** What stands under the key when the result is `ok`. */
  readonly after: string | undefined;
}

function draw(random: Random, { key, expected, value }: { key: string; expected: string | undefined; value: string }): Step {
  const choice = random.next(10);
  if (choice < 4) return { operation: kv.put(key, value), key, after: value };
  if (choice < 7) return { operation: kv.get(key), key, after: undefined };
  if (choice < 9) return { operation: kv.cas(key, expected, value), key, after: value };
  return { operation: kv.del(key), key, after: undefined };
}

function learn(known: Map<string, string | undefined>, { key, after }: Step, result: KeyValueResult): void {
  if (result.type === "value") known.set(key, result.value);
  else if (result.type !== "error") known.set(key, result.type === "ok" ? after : undefined);
}
