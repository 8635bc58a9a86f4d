/** Messages that came early: for a later view, or just above the window. Bounded per sender, so a traitor fills only its own share (rule 18, A09). */
import type { ReplicaId } from "../../core/ids.ts";
import type { Verified } from "../../core/message.ts";
import type { Commit, PrePrepare, Prepare } from "./messages.ts";

export type EarlyMessage = Verified<PrePrepare | Prepare | Commit>;

export class Backlog {
  readonly #perSender: number;
  readonly #messages = new Map<ReplicaId, Map<string, EarlyMessage>>();

  /** @param perSender - messages kept of one sender */
  constructor(perSender: number) {
    this.#perSender = perSender;
  }

  /** False when the sender's share is full; retransmission brings the message again. Repetitions take no room: others may replay them. */
  add(message: EarlyMessage): boolean {
    const { kind, sender, view, slot, digest } = message.message;
    const waiting = this.#messages.get(sender) ?? new Map<string, EarlyMessage>();
    const key = `${kind} ${view} ${slot} ${digest} ${message.body !== undefined}`;
    if (waiting.size >= this.#perSender && !waiting.has(key)) return false;
    waiting.set(key, message);
    this.#messages.set(sender, waiting);
    return true;
  }

  /** Takes everything out, in order of arrival per sender, senders ascending. */
  drain(): EarlyMessage[] {
    const all = [...this.#messages.entries()].sort(([a], [b]) => a - b).flatMap(([, messages]) => [...messages.values()]);
    this.#messages.clear();
    return all;
  }

  get size(): number {
    let total = 0;
    for (const messages of this.#messages.values()) total += messages.size;
    return total;
  }
}
