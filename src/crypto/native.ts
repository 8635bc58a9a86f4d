/** Digests and signatures by Node.js: the same answers as noble's, many times faster. The only file of this room that knows Node.js. */
import { createPrivateKey, createPublicKey, hash, type KeyObject, sign, verify } from "node:crypto";
import type { DigestFunction } from "../core/contract.ts";
import type { Digest } from "../core/ids.ts";
import { digestInput } from "./digest.ts";
import { Recent } from "./recent.ts";
import { checkSecret, nobleScheme, publicKeyBytes, type SignatureScheme, signatureBytes } from "./signature.ts";

/** SHA-256 by Node.js; equal to `nobleDigest`. */
export const nativeDigest: DigestFunction = (domain, bytes) => hash("sha256", digestInput(domain, bytes), "hex") as Digest;

/** RFC 8410: what precedes the 32 bytes of a key in DER. */
const publicPrefix = Buffer.from("302a300506032b6570032100", "hex");
const secretPrefix = Buffer.from("302e020100300506032b657004220420", "hex");

/** More than any cluster has members and clients in practice; beyond it the oldest key is parsed again. */
const keysKept = 4096;

/**
 * Ed25519 under ZIP-215, fast where it can be. Node.js accepts a subset of what ZIP-215 accepts, and which subset depends on its
 * version (A87); so its yes is final and its no is put to noble (rule 90). A bad signature therefore costs milliseconds.
 */
export const nativeScheme: SignatureScheme = createNativeScheme();

/**
 * The same but for `verify`, whose no is final and costs microseconds. For what one node alone decides, as who may have a link with
 * it: there nobody has to come to the same answer, and strangers must not be able to make it work (A83).
 */
export const strictScheme: SignatureScheme = createNativeScheme(() => false);

/** @param otherwise - asked when Node.js says no */
function createNativeScheme(otherwise = nobleScheme.verify): SignatureScheme {
  const publicKeys = new Recent<string, KeyObject>(keysKept);
  const privateKeys = new Recent<string, KeyObject>(keysKept);
  const publicKeyObject = (raw: Uint8Array): KeyObject =>
    kept(publicKeys, raw, () => createPublicKey({ key: Buffer.concat([publicPrefix, raw]), format: "der", type: "spki" }));
  const privateKeyObject = (raw: Uint8Array): KeyObject =>
    kept(privateKeys, raw, () => createPrivateKey({ key: Buffer.concat([secretPrefix, raw]), format: "der", type: "pkcs8" }));

  const nodeAccepts = (publicKey: Uint8Array, bytes: Uint8Array, signature: Uint8Array): boolean => {
    try {
      return verify(null, bytes, publicKeyObject(publicKey), signature);
    } catch {
      return false;
    }
  };

  return {
    publicKeyOf(secret) {
      checkSecret(secret);
      const spki = createPublicKey(privateKeyObject(secret)).export({ format: "der", type: "spki" });
      return new Uint8Array(spki.subarray(publicPrefix.length));
    },
    sign(secret, bytes) {
      checkSecret(secret);
      return new Uint8Array(sign(null, bytes, privateKeyObject(secret)));
    },
    verify(publicKey, bytes, signature) {
      if (publicKey.length !== publicKeyBytes || signature.length !== signatureBytes) return false;
      return nodeAccepts(publicKey, bytes, signature) || otherwise(publicKey, bytes, signature);
    },
  };
}

function kept(keys: Recent<string, KeyObject>, raw: Uint8Array, make: () => KeyObject): KeyObject {
  const name = Buffer.from(raw.buffer, raw.byteOffset, raw.byteLength).toString("latin1");
  const known = keys.get(name);
  if (known) return known;
  const made = make();
  keys.set(name, made);
  return made;
}
