/** Open clients: who stands in no cluster file and takes part under the number that follows from its key. */
import type { DigestFunction } from "../core/contract.ts";
import { type ClientId, firstOpenClient } from "../core/ids.ts";
import { Recent } from "../crypto/recent.ts";
import { checkPublicKey } from "../crypto/signature.ts";
import { bytesToHex } from "./schema.ts";

/** Good keys remembered; one that is forgotten is checked again, which takes a fraction of a millisecond. */
const keysKept = 4_096;

/**
 * 2^52 plus the first 52 bits of the key's digest. Who tries 2^52 keys finds a second one with a given number; it could take that
 * client's link, but has no effect once the first did (`client-table.ts`).
 */
export function openClientId(publicKey: Uint8Array, digest: DigestFunction): ClientId {
  return (firstOpenClient + Number.parseInt(digest("client", publicKey).slice(0, 13), 16)) as ClientId;
}

/** A check with a memory: whether `publicKey` gives `client` its number, is canonical and not of small order (rule 90, A70). */
export function openKeyCheck(digest: DigestFunction): (client: number, publicKey: Uint8Array) => boolean {
  const good = new Recent<string, true>(keysKept);
  return (client, publicKey) => {
    if (openClientId(publicKey, digest) !== client) return false;
    const name = bytesToHex(publicKey);
    if (good.get(name)) return true;
    if (checkPublicKey(publicKey) !== undefined) return false;
    good.set(name, true);
    return true;
  };
}
