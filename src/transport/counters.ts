/** Why frames were lost and connections closed: codes as data, shared by counters, docs and tests. */
import type { NodeName } from "../core/ids.ts";
import type { RejectionCode } from "../core/rejection.ts";

/** What only links know; the causes that the registry of rejections names as well are counted under its codes. */
const transportReasons = {
  "handshake-failed": "a handshake was refused; the cause is counted beside",
  "handshake-timeout": "a connection did not become a link in time",
  "early-frame": "a frame that is no handshake message came before the handshake was done",
  "text-frame": "a text frame; every frame is binary",
  oversize: "a frame announced more bytes than the cluster's frame limit (A78)",
  "too-many-fragments": "a frame came in too many pieces (A78)",
  "bad-websocket": "the peer broke the WebSocket protocol (A77)",
  "bad-http": "a request that is no HTTP, or whose headers are too long",
  "tls-failed": "no TLS came about: a certificate that is not trusted, an old version, or no TLS at all",
  "page-failed": "a page could not be made; the log says why",
  "slow-reader": "the peer did not read what was sent to it (A72, A79)",
  idle: "nothing was heard for too long, not even an answer to a ping (A75)",
  "too-many-connections": "strangers held too many connections; the oldest gave way",
  "rate-limit": "the peer sent, or reconnected, faster than allowed and had to wait (A68)",
  replaced: "the same identity opened a newer link",
  penalised: "the peer was cut off, or called while it was",
  "connection-lost": "the connection failed or was closed by the other side",
  "no-link": "there was no link to send on; messages are not assumed to survive that",
  shutdown: "this side closed the transport",
} as const;

export type TransportReason = keyof typeof transportReasons | RejectionCode;

/** What everybody may read. */
export interface Counters {
  /** How often `reason` occurred, for one peer or altogether. */
  count(reason: TransportReason, peer?: NodeName): number;
  /** Every reason that occurred at least once, with its total. */
  totals(): ReadonlyMap<TransportReason, number>;
}

/** Grows with the registry and the cluster file only: peers are names from the cluster file, never what a stranger claims. */
export class Tally implements Counters {
  readonly #totals = new Map<TransportReason, number>();
  readonly #peers = new Map<NodeName, Map<TransportReason, number>>();

  add(reason: TransportReason, peer?: NodeName, times = 1): void {
    increment(this.#totals, reason, times);
    if (peer === undefined) return;
    const own = this.#peers.get(peer) ?? new Map<TransportReason, number>();
    this.#peers.set(peer, own);
    increment(own, reason, times);
  }

  count(reason: TransportReason, peer?: NodeName): number {
    const counts = peer === undefined ? this.#totals : this.#peers.get(peer);
    return counts?.get(reason) ?? 0;
  }

  totals(): ReadonlyMap<TransportReason, number> {
    return new Map(this.#totals);
  }
}

function increment(counts: Map<TransportReason, number>, reason: TransportReason, times: number): void {
  counts.set(reason, (counts.get(reason) ?? 0) + times);
}
