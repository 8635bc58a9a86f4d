/**
 * Digests: SHA-256 over exact bytes, with a domain prefix per purpose (rule 89).
 *
 * The room `crypto` holds digests, signatures and their symbolic twin. It imports `core` and noble only; `native.ts` alone knows Node.js.
 */
import { sha256 as nobleSha256 } from "@noble/hashes/sha2.js";
import { bytesToHex, concatBytes, utf8ToBytes } from "@noble/hashes/utils.js";
import type { DigestDomain, DigestFunction } from "../core/contract.ts";
import type { Digest } from "../core/ids.ts";

/** SHA-256: 32 bytes for any input. */
export type Sha256 = (bytes: Uint8Array) => Uint8Array;

const domains: readonly DigestDomain[] = ["batch", "checkpoint", "view-change", "null", "request", "cluster", "client", "frame", "random"];

const prefixes = Object.fromEntries(domains.map((domain) => [domain, utf8ToBytes(`quorate/v1\0${domain}\0`)])) as Record<
  DigestDomain,
  Uint8Array
>;

/**
 * What is hashed for a purpose: `"quorate/v1" 00 domain 00 bytes`. No domain holds a zero byte, so two inputs never run into
 * one another as concatenated strings do (A88 l, M109).
 */
export function digestInput(domain: DigestDomain, bytes: Uint8Array): Uint8Array {
  return concatBytes(prefixes[domain], bytes);
}

/** Digests with the SHA-256 given; the same digests whichever implementation it is. */
export function createDigest(sha256: Sha256): DigestFunction {
  return (domain, bytes) => bytesToHex(sha256(digestInput(domain, bytes))) as Digest;
}

/** Digests in plain JavaScript, for every host. */
export const nobleDigest: DigestFunction = createDigest(nobleSha256);
