/** Sealing: a message of one's own becomes exact bytes and a signature. */
import type { Seal } from "../core/contract.ts";
import type { Digest } from "../core/ids.ts";
import { type AnyMessage, type Reply, type Request, type Signed, trusted, type Unsealed, type Verified } from "../core/message.ts";
import { encodePayload, kindEntry, kindTable, signedPayload } from "./codec.ts";
import type { Schemas } from "./schema.ts";

export interface SealOptions<M extends AnyMessage> {
  readonly schemas: Schemas<M>;
  readonly cluster: Digest;
  /** Number of the replica or client whose key `sign` uses. */
  readonly sender: number;
  readonly incarnation: number;
  /** Signs with the sender's one key. It takes no public key: one that a caller could choose would be an oracle (A88 n). */
  readonly sign: (bytes: Uint8Array) => Uint8Array;
}

/**
 * A seal for one sender. Messages are encoded at once, so what the caller does to them later changes nothing.
 *
 * @throws Error when `schemas` clash with the laboratory's own; the seal throws RangeError for a value that the wire cannot carry
 */
export function createSeal<M extends AnyMessage>(options: SealOptions<M>): Seal<M | Reply | Request> {
  const { cluster, sender, incarnation, sign } = options;
  const table = kindTable(options.schemas, cluster);
  const seal = (unsealed: { readonly kind: string }, body?: Pick<Signed<unknown>, "batch"> & { readonly bytes: Uint8Array }) => {
    const message: AnyMessage = { ...unsealed, sender, incarnation };
    const entry = kindEntry(table, message.kind);
    const payload = encodePayload(table, entry, message);
    const signature = sign(signedPayload(entry, payload));
    const attached = body && { body: body.bytes, ...(body.batch && { batch: body.batch }) };
    return trusted<AnyMessage>({ message, payload, signature, ...attached });
  };
  // The schemas are those of M, so the message that comes out is the one that went in, with its header.
  return seal as Seal<M | Reply | Request>;
}

/** The seal of a replica: it signs what replicas say, and no requests. */
export function createReplicaSeal<M extends AnyMessage>(options: SealOptions<M>): Seal<M | Reply> {
  return createSeal(options) as unknown as Seal<M | Reply>;
}

export interface ClientSealOptions extends Omit<SealOptions<never>, "schemas"> {
  /** Of an open client, which says its key in every request; others leave it out. */
  readonly publicKey?: Uint8Array;
}

/** The seal of a client: it signs requests and nothing else. */
export function createClientSeal({ publicKey, ...options }: ClientSealOptions): (message: Unsealed<Request>) => Verified<Request> {
  const seal = createSeal<never>({ ...options, schemas: {} });
  return publicKey === undefined ? seal : (message) => seal({ ...message, publicKey });
}
