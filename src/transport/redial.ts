/** Keeps calling one replica: one attempt at a time, with pauses that grow (A75). */
import type { Duplex } from "node:stream";
import { WebSocket } from "ws";
import { Backoff } from "./backoff.ts";
import type { TransportReason } from "./counters.ts";
import { Handshake, type HandshakeOptions } from "./handshake.ts";
import type { TransportLimits } from "./limits.ts";
import { Link, type LinkOptions } from "./link.ts";
import { socketSettings } from "./socket-settings.ts";
import { dialSettings, type TlsSettings } from "./tls.ts";

export interface RedialOptions {
  /** Asked before each attempt, so that it may change; a text that is no url (yet) counts as a call that failed. */
  url(): string;
  readonly tls?: TlsSettings;
  readonly limits: TransportLimits;
  readonly link: Omit<LinkOptions, "socket" | "side" | "handshake" | "limits">;
  handshake(): Omit<HandshakeOptions, "side">;
  /** Monotonic ms before which the replica is not to be called; asked when a pause is computed. */
  notBefore(): number;
  /** 0 up to 1, for jitter. */
  random(): number;
}

export class Redial {
  readonly #options: RedialOptions;
  readonly #backoff: Backoff;
  #openedAt: number | undefined;
  #link: Link | undefined;
  #pause: NodeJS.Timeout | undefined;
  #stopped = false;

  constructor(options: RedialOptions) {
    this.#options = options;
    this.#backoff = new Backoff(options.limits, options.random);
    this.#attempt();
  }

  /** The link of now, in whatever state. */
  get link(): Link | undefined {
    return this.#link;
  }

  /** Calls no more and closes the link. @returns when its socket is gone. */
  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#pause);
    this.#link?.close("shutdown");
    await this.#link?.gone;
  }

  #attempt(): void {
    const { limits, link, tls } = this.#options;
    this.#openedAt = undefined;
    const url = this.#options.url();
    if (!URL.canParse(url)) return this.#retry();
    const socket = new WebSocket(url, {
      ...socketSettings(link.frameBytes, limits.fragments),
      ...dialSettings(tls),
    });
    this.#link = new Link({
      ...link,
      socket,
      side: "dialer",
      limits,
      handshake: new Handshake({ ...this.#options.handshake(), side: "dialer" }),
      onOpen: (opened, peer) => {
        this.#openedAt = link.now();
        link.onOpen(opened, peer);
      },
      onClose: (closed, reason, detail) => this.#onClose(closed, reason, detail),
    });
    beginWhenUp(socket, this.#link);
  }

  #onClose(closed: Link, reason: TransportReason, detail: string | undefined): void {
    if (!this.#stopped) this.#retry();
    this.#options.link.onClose(closed, reason, detail);
  }

  #retry(): void {
    const now = this.#options.link.now();
    const lasted = this.#openedAt === undefined ? 0 : now - this.#openedAt;
    const wait = Math.max(this.#backoff.next(lasted), this.#options.notBefore() - now);
    this.#pause = setTimeout(() => this.#attempt(), wait);
  }
}

function beginWhenUp(socket: WebSocket, link: Link): void {
  let raw: Duplex | undefined;
  socket.once("upgrade", (response) => {
    raw = response.socket;
  });
  socket.once("open", () => {
    if (raw !== undefined) link.begin(raw);
  });
}
