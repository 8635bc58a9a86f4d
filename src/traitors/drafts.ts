/** Between signed messages and the drafts that hooks handle: opening one, telling whether it changed, sealing it again. */
import type { DigestFunction } from "../core/contract.ts";
import type { Digest } from "../core/ids.ts";
import { LabError } from "../core/lab-error.ts";
import type { AnyMessage, OpenedBatch, Signed, Verified } from "../core/message.ts";
import { encodeBatch } from "../wire/batch.ts";
import type { Attached, Proposal } from "./traitor.ts";

/** A draft of any protocol. */
export interface AnyDraft extends Attached {
  readonly kind: string;
  readonly [field: string]: unknown;
}

/** One message on its way to one destination, as far as the behaviours have come with it. */
export interface Envelope {
  readonly draft: AnyDraft;
  readonly delayMs: number;
  readonly corrupt: boolean;
}

/** The seal of any protocol's messages. */
export type AnySeal = (
  message: { readonly kind: string },
  body?: { readonly bytes: Uint8Array; readonly batch?: OpenedBatch },
) => Verified<AnyMessage>;

/** What a hook is shown: everything but the header, which the seal writes. */
export function draftOf(signed: Signed<AnyMessage>): AnyDraft {
  const { sender, incarnation, ...rest } = signed.message;
  const attached = signed.batch?.valid ? { batch: signed.batch } : signed.body && { body: signed.body };
  return Object.freeze({ ...rest, ...attached });
}

/** Equal field by field; a copy that changes nothing is no lie. */
export function sameDraft(a: AnyDraft, b: AnyDraft): boolean {
  const names = new Set([...Object.keys(a), ...Object.keys(b)]);
  return [...names].every((name) => a[name] === b[name]);
}

/**
 * Signs a draft as the traitor. An altered batch travels as bytes alone, so every receiver opens it itself.
 *
 * @param original - what the draft is a copy of, if anything: an untouched body keeps its exact bytes
 * @throws LabError when the wire cannot carry what the draft says
 */
export function sealDraft(
  draft: AnyDraft,
  { seal, digest, original }: { readonly seal: AnySeal; readonly digest: DigestFunction; readonly original?: Signed<AnyMessage> },
): Verified<AnyMessage> {
  // A script may have spread a whole message into its copy; the seal writes its own header over it.
  const { batch, body, ...unsealed } = draft;
  try {
    if (body) return seal(unsealed, { bytes: body });
    if (!batch) return seal(unsealed);
    if (original?.body && original.batch?.valid && original.batch === batch)
      return seal(unsealed, { bytes: original.body, batch: original.batch });
    const bytes = batchBytes(batch);
    const kept = original && draftOf(original)["digest"] === unsealed["digest"];
    return seal(kept ? { ...unsealed, digest: digest("batch", bytes) } : unsealed, { bytes });
  } catch (cause) {
    throw new LabError("bad-traitor", `a changed ${draft.kind} cannot be sent: ${cause instanceof Error ? cause.message : cause}`, {
      cause,
    });
  }
}

export function proposalDigest(proposal: Proposal, digest: DigestFunction): Digest {
  return digest("batch", batchBytes(proposal));
}

function batchBytes({ timestamp, requests }: Proposal): Uint8Array {
  return encodeBatch(timestamp, requests);
}

/** The same message with one bit of its signature flipped (A10). */
export function withFlippedBit(signed: Signed<AnyMessage>, bit: number): Signed<AnyMessage> {
  const signature = signed.signature.slice();
  const at = bit >> 3;
  signature[at] = (signature[at] ?? 0) ^ (1 << (bit & 7));
  return { ...signed, signature };
}
