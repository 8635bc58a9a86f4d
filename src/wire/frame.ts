/** Frames: what one WebSocket message holds, `[payload, signature]` or `[payload, signature, body]`, all byte strings. */
import type { Signed } from "../core/message.ts";
import { signatureBytes } from "../crypto/signature.ts";
import type { Refusal } from "./codec.ts";
import { decode, encode } from "./msgpack.ts";

export interface Frame {
  readonly payload: Uint8Array;
  readonly signature: Uint8Array;
  readonly body?: Uint8Array;
}

const frameLimits = { depth: 1, elements: 4 };

export function encodeFrame(signed: Signed<unknown>): Uint8Array {
  const { payload, signature, body } = signed;
  return encode(body ? [payload, signature, body] : [payload, signature]);
}

/** Splits a frame; what is inside is not looked at. */
export function decodeFrame(
  bytes: Uint8Array,
  limits: { readonly frameBytes: number },
): { readonly ok: true; readonly frame: Frame } | Refusal {
  if (bytes.length > limits.frameBytes)
    return { ok: false, code: "frame-too-large", detail: `${bytes.length} of ${limits.frameBytes} bytes` };
  const decoded = decode(bytes, frameLimits);
  if (!decoded.ok) return { ok: false, code: "malformed", detail: decoded.reason };
  const frame = frameOf(decoded.value);
  return frame ? { ok: true, frame } : { ok: false, code: "malformed", detail: "expected a payload, a signature and perhaps a body" };
}

function frameOf(value: unknown): Frame | undefined {
  if (!Array.isArray(value) || value.length < 2 || value.length > 3) return undefined;
  const [payload, signature, body] = value as unknown[];
  if (!(payload instanceof Uint8Array) || !(signature instanceof Uint8Array) || signature.length !== signatureBytes) return undefined;
  if (value.length === 2) return { payload, signature };
  return body instanceof Uint8Array ? { payload, signature, body } : undefined;
}
