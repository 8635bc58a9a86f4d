/** Branded identifiers and counters: a slot can never be passed where a view is meant. Numbers are integers in 0..2^53-1. */

declare const brand: unique symbol;
type Branded<T, Name extends string> = T & { readonly [brand]: Name };

/** Index of a replica in the cluster file, 0..n-1. */
export type ReplicaId = Branded<number, "ReplicaId">;
/** Number of a client in the cluster file, 1..m: the client called `client-1` is 1. An open client has a number that follows from its key. */
export type ClientId = Branded<number, "ClientId">;
/** View number; the primary of view v is replica v mod n (rule 1). */
export type View = Branded<number, "View">;
/** Position in the ordered log, from 1; 0 is the genesis checkpoint. */
export type Slot = Branded<number, "Slot">;
/** A client's own number for a request, from 1, never reused for another operation (rule 62). */
export type RequestNumber = Branded<number, "RequestNumber">;
/** SHA-256 as 64 lowercase hex digits: compares with `===` and keys a Map, which bytes do not (M110). */
export type Digest = Branded<string, "Digest">;
/** A node as the trace names it. */
export type NodeName = `replica-${number}` | `client-${number}` | "harness";

export const replicaId = (value: number): ReplicaId => natural(value, "replica id") as ReplicaId;
export const clientId = (value: number): ClientId => natural(value, "client id") as ClientId;
export const view = (value: number): View => natural(value, "view") as View;
export const slot = (value: number): Slot => natural(value, "slot") as Slot;
export const requestNumber = (value: number): RequestNumber => natural(value, "request number") as RequestNumber;

export const replicaName = (id: ReplicaId | number): NodeName => `replica-${id}`;
export const clientName = (id: ClientId | number): NodeName => `client-${id}`;

/** The first number that no cluster file gives to a client. */
export const firstOpenClient: number = 2 ** 52;

/** True for a client that stands in no cluster file: its key gave it its number. */
export const isOpenClient = (id: ClientId | number): boolean => id >= firstOpenClient;

/** @throws RangeError unless `value` is 64 lowercase hex digits. */
export function digestOf(value: string): Digest {
  if (!/^[0-9a-f]{64}$/.test(value)) throw new RangeError(`expected a digest of 64 lowercase hex digits, got ${value}`);
  return value as Digest;
}

function natural(value: number, what: string): number {
  if (!Number.isSafeInteger(value) || value < 0) throw new RangeError(`expected ${what} to be an integer from 0, got ${value}`);
  return value;
}
