/** Batch bodies: `[timestamp, [[payload, signature], ...]]`, the client requests as their clients signed them (rule 79). */
import type { Request, Signed } from "../core/message.ts";
import { signatureBytes } from "../crypto/signature.ts";
import { decode, encode } from "./msgpack.ts";

/** A batch body taken apart; its requests are neither decoded nor verified. */
export interface BatchParts {
  readonly timestamp: number;
  readonly requests: readonly (readonly [payload: Uint8Array, signature: Uint8Array])[];
}

/**
 * @param timestamp - proposed wall-clock time, ms since 1970
 * @throws RangeError unless `timestamp` is an integer in 0..2^53-1
 */
export function encodeBatch(timestamp: number, requests: readonly Signed<Request>[]): Uint8Array {
  return encode([timestamp, requests.map(({ payload, signature }) => [payload, signature])]);
}

/** Never throws: undefined when the bytes are no batch. */
export function decodeBatch(body: Uint8Array): BatchParts | undefined {
  const decoded = decode(body, { depth: 3, elements: 1 << 18 });
  if (!decoded.ok || !Array.isArray(decoded.value) || decoded.value.length !== 2) return undefined;
  const [timestamp, requests] = decoded.value as unknown[];
  if (typeof timestamp !== "number" || !Array.isArray(requests) || !requests.every(isSignedPair)) return undefined;
  return { timestamp, requests };
}

function isSignedPair(value: unknown): value is readonly [Uint8Array, Uint8Array] {
  if (!Array.isArray(value) || value.length !== 2) return false;
  const [payload, signature] = value as unknown[];
  return payload instanceof Uint8Array && signature instanceof Uint8Array && signature.length === signatureBytes;
}
