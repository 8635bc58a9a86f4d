/**
 * One link over one WebSocket: `connecting`, `handshaking`, `open`, `closed`. Whatever the other side does costs bounded memory
 * and time, ends in a close with a counted reason, and never throws (rule 94). Node only.
 */
import type { Duplex } from "node:stream";
import type { RawData, WebSocket } from "ws";
import type { TransportReason } from "./counters.ts";
import type { Handshake } from "./handshake.ts";
import type { TransportLimits } from "./limits.ts";
import type { TransportNotice } from "./notice.ts";
import { Outbox, type Priority } from "./outbox.ts";
import { type Peer, peerName } from "./peer.ts";
import type { TokenBucket } from "./token-bucket.ts";

/** Inbound rates of one identity; they outlive its links, so reconnecting refills nothing. */
export interface InboundRate {
  readonly frames: TokenBucket;
  readonly bytes: TokenBucket;
}

export interface LinkOptions {
  readonly socket: WebSocket;
  readonly side: "dialer" | "acceptor";
  readonly handshake: Handshake;
  readonly limits: TransportLimits;
  /** Bytes of one frame, at most, in either direction. */
  readonly frameBytes: number;
  /** Monotonic ms. */
  now(): number;
  /** Called for everything that is lost or refused; `peer` only once it has proven to be that. */
  count(reason: TransportReason, peer?: Peer, times?: number): void;
  /** Told of dropped frames and of pauses in reading. */
  notice?(notice: TransportNotice): void;
  rateOf(peer: Peer): InboundRate | undefined;
  onOpen(link: Link, peer: Peer): void;
  onFrame(peer: Peer, frame: Uint8Array): void;
  /** Once, as soon as the link is of no more use; the socket may take a moment longer. `detail`: what the platform says. */
  onClose(link: Link, reason: TransportReason, detail?: string): void;
}

/** RFC 6455 close codes; 4000 and up are our own. `cut` ends the connection without waiting for an answer. */
const closings: { readonly [R in TransportReason]?: { readonly code: number; readonly cut?: true } } = {
  "text-frame": { code: 1003 },
  oversize: { code: 1009 },
  "early-frame": { code: 4000 },
  "handshake-failed": { code: 4001 },
  penalised: { code: 4002 },
  replaced: { code: 4003 },
  "rate-limit": { code: 4004 },
  idle: { code: 4005, cut: true },
  "slow-reader": { code: 4006, cut: true },
  "handshake-timeout": { code: 4007, cut: true },
  shutdown: { code: 1001 },
};

const errorReasons: { readonly [code: string]: TransportReason } = {
  WS_ERR_UNSUPPORTED_MESSAGE_LENGTH: "oversize",
  WS_ERR_UNSUPPORTED_DATA_PAYLOAD_LENGTH: "oversize",
  WS_ERR_TOO_MANY_BUFFERED_PARTS: "too-many-fragments",
};

/** What OpenSSL and Node.js call a certificate that is not to be trusted and a TLS handshake that failed. */
const tlsError = /^(ERR_TLS|ERR_SSL|EPROTO|CERT_|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO_|INVALID_|HOSTNAME_)/;

/** Why a connection broke, by the code of its error. */
export function reasonOfError(code: string): TransportReason {
  return errorReasons[code] ?? (code.startsWith("WS_ERR") ? "bad-websocket" : tlsError.test(code) ? "tls-failed" : "connection-lost");
}

export class Link {
  readonly #options: LinkOptions;
  readonly #socket: WebSocket;
  #outbox: Outbox | undefined;
  #state: "connecting" | "handshaking" | "open" | "closed" = "connecting";
  #peer: Peer | undefined;
  #rate: InboundRate | undefined;
  #deadline: NodeJS.Timeout | undefined;
  #ticker: NodeJS.Timeout | undefined;
  #resumption: NodeJS.Timeout | undefined;
  #held = false;
  #heard = true;
  #taken = true;
  #overflowed = false;
  readonly #ticks = { silent: 0, stalled: 0, overflowing: 0 };
  /** Resolves when the socket itself is gone. */
  readonly gone: Promise<void>;

  constructor(options: LinkOptions) {
    this.#options = options;
    this.#socket = options.socket;
    this.gone = new Promise((resolve) => {
      this.#socket.once("close", () => resolve());
    });
    this.#socket.on("error", (error: NodeJS.ErrnoException) => this.#onError(error));
    this.#socket.on("close", () => this.#end("connection-lost"));
    this.#socket.on("message", (data, isBinary) => this.#onMessage(data, isBinary));
    this.#socket.on("ping", () => this.#onControl());
    this.#socket.on("pong", () => this.#onControl());
    // On the other side the door has set one when the connection came in.
    if (options.side === "dialer") this.#deadline = setTimeout(() => this.close("handshake-timeout"), options.limits.handshakeMs);
  }

  get peer(): Peer | undefined {
    return this.#peer;
  }

  get isOpen(): boolean {
    return this.#state === "open";
  }

  /** Bytes that wait on this side: in the outbox and in the socket. */
  get waitingBytes(): number {
    return (this.#outbox?.bytes ?? 0) + this.#socket.bufferedAmount;
  }

  /** The WebSocket is up; the handshake begins. `raw` is the stream below, on which a stranger's bytes are counted. */
  begin(raw: Duplex): void {
    if (this.#state !== "connecting") return;
    this.#state = "handshaking";
    this.#guard(raw);
    if (this.#options.side === "dialer") this.#socket.send(this.#options.handshake.hello());
  }

  /** Hands a frame over; it may be dropped here or lost on the way. The bytes must not change afterwards. */
  send(frame: Uint8Array, priority: Priority): void {
    if (this.#state !== "open" || this.#outbox === undefined) return this.#options.count("no-link", this.#peer);
    if (frame.length > this.#options.frameBytes) return this.#drop("frame-too-large", 1);
    const dropped = this.#outbox.push(frame, priority);
    if (dropped > 0) {
      this.#overflowed = true;
      this.#drop("queue-full", dropped);
    }
    this.#pump();
  }

  #drop(reason: TransportReason, frames: number): void {
    this.#options.count(reason, this.#peer, frames);
    if (this.#peer !== undefined) this.#options.notice?.({ type: "frames-dropped", peer: peerName(this.#peer), reason, frames });
  }

  /** Reads nothing more until `resume`: what the peer sends waits on its side. A peer may close a link that stays paused. */
  pause(): void {
    if (this.#state !== "open") return;
    this.#held = true;
    this.#socket.pause();
  }

  resume(): void {
    if (this.#state !== "open") return;
    this.#held = false;
    this.#heard = true;
    if (this.#resumption === undefined) this.#socket.resume();
  }

  /** Ends the link for `reason`, which is counted. */
  close(reason: TransportReason): void {
    if (this.#state === "closed") return;
    const { code, cut } = closings[reason] ?? { code: 4001 };
    const connected = this.#state !== "connecting";
    this.#end(reason);
    if (cut || !connected) this.#socket.terminate();
    else this.#socket.close(code, reason);
  }

  #end(reason: TransportReason, detail?: string): void {
    if (this.#state === "closed") return;
    // A paused socket would never see the other side's answer to the close frame. (ws throws while it has none below.)
    if (this.#state !== "connecting") this.#socket.resume();
    this.#state = "closed";
    clearTimeout(this.#deadline);
    clearTimeout(this.#resumption);
    clearInterval(this.#ticker);
    this.#outbox = undefined;
    this.#options.count(reason, this.#peer);
    this.#options.onClose(this, reason, detail);
  }

  #onError({ code = "", message }: NodeJS.ErrnoException): void {
    this.#end(reasonOfError(code), code || message);
  }

  /** Before the handshake is done a stranger may send no more than the handshake takes, whatever frame sizes it announces. */
  #guard(raw: Duplex): void {
    let budget = this.#options.limits.strangerBytes;
    const onData = (chunk: Uint8Array): void => {
      budget -= chunk.length;
      if (this.#state !== "handshaking") raw.off("data", onData);
      else if (budget < 0) this.close("early-frame");
    };
    raw.on("data", onData);
  }

  #onMessage(data: RawData, isBinary: boolean): void {
    if (this.#state === "closed") return;
    if (!isBinary) return this.close("text-frame");
    const { buffer, byteOffset, length } = data as Buffer;
    const frame = new Uint8Array(buffer, byteOffset, length);
    if (this.#state === "handshaking") this.#shake(frame);
    else if (this.#peer !== undefined) {
      this.#meter(frame.length);
      this.#options.onFrame(this.#peer, frame);
    }
  }

  #onControl(): void {
    if (this.#state === "open") this.#meter(0);
  }

  #shake(frame: Uint8Array): void {
    const step = this.#options.handshake.receive(frame);
    switch (step.type) {
      case "continue":
        return this.#socket.send(step.send);
      case "open":
        if (step.send !== undefined) this.#socket.send(step.send);
        return this.#open(step.peer);
      case "failed":
        if (step.code !== "early-frame") this.#options.count("handshake-failed");
        return this.close(step.code);
    }
  }

  #open(peer: Peer): void {
    const { limits } = this.#options;
    clearTimeout(this.#deadline);
    this.#state = "open";
    this.#peer = peer;
    this.#rate = this.#options.rateOf(peer);
    const queueBytes = peer.role === "replica" ? limits.replicaQueueBytes : limits.clientQueueBytes;
    this.#outbox = new Outbox(Math.max(queueBytes, this.#options.frameBytes), limits.queueFrames);
    this.#ticker = setInterval(() => this.#tick(), limits.tickMs);
    this.#options.onOpen(this, peer);
  }

  #pump(): void {
    while (this.#outbox !== undefined && this.#outbox.frames > 0 && this.#socket.bufferedAmount < this.#options.limits.highWaterBytes) {
      const frame = this.#outbox.shift() as Uint8Array;
      this.#socket.send(frame, this.#onSent);
    }
  }

  readonly #onSent = (error?: Error | null): void => {
    if (error) return;
    this.#taken = true;
    this.#pump();
  };

  /** Too fast: reading stops until the rate is kept again. TCP then holds the peer back, and nothing is lost (A68). */
  #meter(bytes: number): void {
    this.#heard = true;
    if (this.#rate === undefined) return;
    const now = this.#options.now();
    const wait = Math.max(this.#rate.frames.take(1, now), this.#rate.bytes.take(bytes, now));
    if (wait === 0 || this.#resumption !== undefined) return;
    this.#options.count("rate-limit", this.#peer);
    if (this.#peer !== undefined) this.#options.notice?.({ type: "held-back", peer: peerName(this.#peer) });
    this.#socket.pause();
    this.#resumption = setTimeout(() => this.#payOff(), wait);
  }

  #payOff(): void {
    this.#resumption = undefined;
    this.#heard = true;
    if (!this.#held) this.#socket.resume();
  }

  #tick(): void {
    const { limits } = this.#options;
    const waiting = this.waitingBytes > 0;
    const deaf = this.#held || this.#resumption !== undefined;
    this.#ticks.silent = this.#heard || deaf ? 0 : this.#ticks.silent + 1;
    this.#ticks.stalled = this.#taken || !waiting ? 0 : this.#ticks.stalled + 1;
    this.#ticks.overflowing = this.#overflowed ? this.#ticks.overflowing + 1 : 0;
    const ping = !this.#heard;
    this.#heard = false;
    this.#taken = false;
    this.#overflowed = false;
    if (this.#ticks.stalled >= limits.stalledTicks || this.#ticks.overflowing >= limits.overflowTicks) this.close("slow-reader");
    else if (this.#ticks.silent >= limits.silentTicks) this.close("idle");
    else if (ping) this.#socket.ping();
  }
}
