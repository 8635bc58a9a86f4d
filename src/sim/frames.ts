/** Frames inside the simulator: encoded by the real codec, opened once however many nodes receive them. */
import { sha256 } from "@noble/hashes/sha2.js";
import type { AnyMessage, Signed } from "../core/message.ts";
import { encodeFrame } from "../wire/frame.ts";
import type { Opened, Opener } from "../wire/open.ts";
import { bytesToHex } from "../wire/schema.ts";

export interface SimFrame<M extends AnyMessage> {
  /** First 8 bytes of SHA-256 of the frame, in hex: names it in the trace. */
  readonly id: string;
  readonly bytes: number;
  readonly kind: string;
  readonly opened: Opened<M>;
}

/** All nodes of a simulation judge a frame by the same keys, so its verdict can be shared; equal objects are equal frames. */
export class Frames<M extends AnyMessage> {
  readonly #opener: Opener<M>;
  readonly #known = new WeakMap<object, SimFrame<M>>();

  constructor(opener: Opener<M>) {
    this.#opener = opener;
  }

  of(signed: Signed<AnyMessage>): SimFrame<M> {
    const known = this.#known.get(signed);
    if (known) return known;
    const bytes = encodeFrame(signed);
    const frame: SimFrame<M> = {
      id: bytesToHex(sha256(bytes).subarray(0, 8)),
      bytes: bytes.length,
      kind: signed.message.kind,
      opened: this.#opener.open(bytes),
    };
    this.#known.set(signed, frame);
    return frame;
  }
}
