/** Whose key a message must verify under, and whether it does; with a memory of signatures that were found good. */
import { concatBytes } from "@noble/hashes/utils.js";
import type { DigestFunction } from "../core/contract.ts";
import { type Digest, isOpenClient } from "../core/ids.ts";
import type { AnyMessage, Request } from "../core/message.ts";
import { Recent } from "../crypto/recent.ts";
import type { SignatureScheme } from "../crypto/signature.ts";
import { type KindEntry, signedPayload } from "./codec.ts";
import { openKeyCheck } from "./open-client.ts";

export interface Keys {
  /** By replica number. */
  readonly replicaKeys: readonly Uint8Array[];
  /** Index 0 is client 1. */
  readonly clientKeys: readonly Uint8Array[];
  /** Whether clients in no file may take part, each under the number that follows from its key. @defaultValue false */
  readonly openClients?: boolean;
}

/** The key of the claimed sender, in the role that the kind asks for; or why there is none (rules 90, 91). */
export type KeyLookup = (entry: KindEntry, message: AnyMessage) => Uint8Array | "unknown-sender" | "bad-key";

/** Its answers follow from bytes and the cluster file alone, so that all replicas judge a batch alike (rule 14). */
export function keyLookup({ replicaKeys, clientKeys, openClients = false }: Keys, digest: DigestFunction): KeyLookup {
  const isKeyOf = openKeyCheck(digest);
  return ({ schema }, message) => {
    const { sender } = message;
    if (schema.from === "replica") return replicaKeys[sender] ?? "unknown-sender";
    if (!isOpenClient(sender)) return clientKeys[sender - 1] ?? "unknown-sender";
    const { publicKey } = message as Partial<Request>;
    if (!openClients || !publicKey) return "unknown-sender";
    return isKeyOf(sender, publicKey) ? publicKey : "bad-key";
  };
}

export type SignatureCheck = (entry: KindEntry, key: Uint8Array, payload: Uint8Array, signature: Uint8Array) => boolean;

/**
 * A check that remembers the last `size` good signatures, so that a request is not verified again in a batch, nor a vote in a
 * certificate. Remembered is the digest of key, signature and signed bytes; a bad signature is never remembered, so it displaces
 * nothing. With size 0 every check verifies.
 */
export function rememberingCheck(verify: SignatureScheme["verify"], digest: DigestFunction, size: number): SignatureCheck {
  const good = new Recent<Digest, true>(size);
  return (entry, key, payload, signature) => {
    const bytes = signedPayload(entry, payload);
    if (size === 0) return verify(key, bytes, signature);
    // Key and signature have fixed lengths here, so the parts cannot run into one another.
    const name = digest("frame", concatBytes(key, signature, bytes));
    if (good.get(name)) return true;
    if (!verify(key, bytes, signature)) return false;
    good.set(name, true);
    return true;
  };
}
