/** Messages that came early: for a later view, or just above the window. Bounded per sender, so a traitor fills only its own share (rule 18, A09). */
import type { ReplicaId } from "../../core/ids.ts";
import type { Verified } from "../../core/message.ts";
import type { Commit, PrePrepare, Prepare } from "./messages.ts";

export type EarlyMessage = Verified<PrePrepare | Prepare | Commit>;

export interface BacklogLimits {
  /** Messages kept of one sender. */
  readonly messages: number;
  /** Bytes of bodies kept of one sender: a proposal beyond them waits without its body, which is fetched when its time comes. */
  readonly bodyBytes: number;
}

interface Share {
  readonly messages: Map<string, EarlyMessage>;
  bodyBytes: number;
}

export class Backlog {
  readonly #limits: BacklogLimits;
  readonly #shares = new Map<ReplicaId, Share>();

  constructor(limits: BacklogLimits) {
    this.#limits = limits;
  }

  /** False when the sender's share is full; retransmission brings the message again. Repetitions take no room: others may replay them. */
  add(message: EarlyMessage): boolean {
    const { sender } = message.message;
    const share = this.#shares.get(sender) ?? { messages: new Map<string, EarlyMessage>(), bodyBytes: 0 };
    const size = message.body?.length ?? 0;
    if (share.bodyBytes + size > this.#limits.bodyBytes) return this.#keep(share, withoutBody(message));
    return this.#keep(share, message);
  }

  hasRoomFor(sender: ReplicaId): boolean {
    return (this.#shares.get(sender)?.messages.size ?? 0) < this.#limits.messages;
  }

  /** Takes everything out, in order of arrival per sender, senders ascending. */
  drain(): EarlyMessage[] {
    const all = [...this.#shares.entries()].sort(([a], [b]) => a - b).flatMap(([, { messages }]) => [...messages.values()]);
    this.#shares.clear();
    return all;
  }

  get size(): number {
    let total = 0;
    for (const { messages } of this.#shares.values()) total += messages.size;
    return total;
  }

  get bodyBytes(): number {
    let total = 0;
    for (const { bodyBytes } of this.#shares.values()) total += bodyBytes;
    return total;
  }

  #keep(share: Share, message: EarlyMessage): boolean {
    const { kind, sender, view, slot, digest } = message.message;
    const key = `${kind} ${view} ${slot} ${digest} ${message.body !== undefined}`;
    if (!share.messages.has(key)) {
      if (share.messages.size >= this.#limits.messages) return false;
      share.bodyBytes += message.body?.length ?? 0;
    }
    share.messages.set(key, message);
    this.#shares.set(sender, share);
    return true;
  }
}

function withoutBody({ body: _body, batch: _batch, ...bare }: EarlyMessage): EarlyMessage {
  return bare;
}
