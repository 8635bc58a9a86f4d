/**
 * Signatures under one acceptance rule on every node: ZIP-215 (rule 90). Replicas that accept different signatures can be split
 * by a crafted one (A86, A87), so nothing else of the laboratory calls a library's or the platform's verify.
 */
import { getPublicKey, hashes, Point, sign, verify } from "@noble/ed25519";
import { sha512 } from "@noble/hashes/sha2.js";

hashes.sha512 = sha512;

/**
 * Makes and checks signatures of 64 bytes with keys of 32 bytes.
 *
 * Signing takes the secret alone. A scheme that accepted a public key beside it would be an oracle: two signatures of one message
 * under two claimed public keys give the secret away (A88 n).
 */
export interface SignatureScheme {
  /** @throws RangeError unless `secret` has 32 bytes. */
  publicKeyOf(secret: Uint8Array): Uint8Array;
  /** Deterministic: equal secrets and bytes give equal signatures. @throws RangeError unless `secret` has 32 bytes. */
  sign(secret: Uint8Array, bytes: Uint8Array): Uint8Array;
  /** Never throws: keys and signatures that are none, by length or content, give false. */
  verify(publicKey: Uint8Array, bytes: Uint8Array, signature: Uint8Array): boolean;
}

const secretKeyBytes = 32;
export const publicKeyBytes = 32;
export const signatureBytes = 64;

/** @throws RangeError unless `secret` has 32 bytes; the message never shows them. */
export function checkSecret(secret: Uint8Array): void {
  if (secret.length !== secretKeyBytes) throw new RangeError(`expected a secret key of ${secretKeyBytes} bytes, got ${secret.length}`);
}

/** Ed25519 in plain JavaScript, for every host; milliseconds for each signature. */
export const nobleScheme: SignatureScheme = {
  publicKeyOf(secret) {
    checkSecret(secret);
    return getPublicKey(secret);
  },
  sign(secret, bytes) {
    checkSecret(secret);
    return sign(bytes, secret);
  },
  verify(publicKey, bytes, signature) {
    if (publicKey.length !== publicKeyBytes || signature.length !== signatureBytes) return false;
    try {
      return verify(signature, bytes, publicKey, { zip215: true });
    } catch {
      return false;
    }
  },
};

/**
 * Checks a public key when a cluster file is loaded (rule 90): 32 bytes, the canonical encoding of a point on the curve, not of
 * small order. A key of small order verifies signatures of messages that nobody signed (A86).
 *
 * @returns what is wrong with it, or undefined
 */
export function checkPublicKey(publicKey: Uint8Array): string | undefined {
  if (publicKey.length !== publicKeyBytes) return `expected a public key of ${publicKeyBytes} bytes, got ${publicKey.length}`;
  try {
    return Point.fromBytes(publicKey).isSmallOrder() ? "the public key is of small order" : undefined;
  } catch {
    return "the public key is not the canonical encoding of a point on the curve";
  }
}
