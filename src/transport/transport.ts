/**
 * WebSocket links of one node, authenticated and bounded. The room imports core, crypto, wire and faults, and
 * decides nothing about views or quorums: frames are opaque here.
 *
 * Between two replicas there is one link, which the lower id dials; clients dial every replica. A message is not assumed to
 * survive its link: the protocol asks again (rule 51).
 */
import { randomBytes } from "node:crypto";
import type { ClientId, Digest, ReplicaId } from "../core/ids.ts";
import type { RejectionCode } from "../core/rejection.ts";
import type { SignatureScheme } from "../crypto/signature.ts";
import { type Counters, Tally, type TransportReason } from "./counters.ts";
import { type Caller, Door } from "./door.ts";
import { Handshake, type HandshakeFailure, type HandshakeOptions } from "./handshake.ts";
import { defaultTransportLimits, type TransportLimits } from "./limits.ts";
import { type InboundRate, Link, type LinkOptions } from "./link.ts";
import type { TransportNotice } from "./notice.ts";
import { OpenLinks } from "./open-links.ts";
import type { Priority } from "./outbox.ts";
import type { Answer } from "./pages.ts";
import { clientPeer, isOpenPeer, type Peer, peerName, replicaPeer } from "./peer.ts";
import { Penalties } from "./penalties.ts";
import { Redial } from "./redial.ts";
import { closingMs } from "./socket-settings.ts";
import type { TlsSettings } from "./tls.ts";
import { TokenBucket } from "./token-bucket.ts";

export interface TransportOptions {
  readonly self: ReplicaId;
  /** Digest of the cluster file; links to nodes with another one are refused. */
  readonly cluster: Digest;
  readonly secret: Uint8Array;
  /** For the handshake alone: its `verify` should be quick to say no. */
  readonly scheme: SignatureScheme;
  /** All replicas, this one included. `url` is `ws://host:port` or `wss://host:port` and is read anew before each call; empty: not known yet. */
  readonly replicas: readonly { readonly id: ReplicaId; readonly publicKey: Uint8Array; readonly url: string }[];
  readonly clients: readonly { readonly id: ClientId; readonly publicKey: Uint8Array }[];
  /** Whether clients in no file may have links, by the keys that they show. @defaultValue false */
  readonly openClients?: boolean;
  /** Bytes of one frame, at most: the cluster's `limits.frameBytes`. */
  readonly frameBytes: number;
  /** Where to listen instead of the host and port of this replica's url. Port 0 lets the system choose. */
  readonly listen?: { readonly host?: string; readonly port?: number };
  readonly tls?: TlsSettings;
  readonly limits?: Partial<TransportLimits>;
  /** False: `penalise` only counts, so that a laboratory run sees the lies after the first. @defaultValue true */
  readonly penalties?: boolean;
  /** 0 up to 1, for the jitter of backoff. @defaultValue Math.random */
  random?(): number;
  /** 32 fresh unpredictable bytes. @defaultValue node:crypto */
  nonce?(): Uint8Array;
  /** Monotonic ms. @defaultValue performance.now */
  now?(): number;
  /** A whole frame of an authenticated peer. Copy what is to be kept: the bytes are part of a larger buffer. What it throws is a bug and stops the process. */
  onFrame(peer: Peer, frame: Uint8Array): void;
  /** A link (re)opened; also when a newer link of the peer took the place of the old one. */
  onLinkUp(peer: Peer): void;
  onLinkDown(peer: Peer): void;
  /** What plain HTTP requests to the same port get, by path. @defaultValue no pages */
  readonly answer?: Answer;
  /** For the log: called from where things are counted. */
  onNotice?(notice: TransportNotice): void;
}

/** Carries frames between this node and its peers. */
export interface Transport {
  readonly counters: Counters;
  /** Starts to listen and to dial. @returns the port. @throws LabError when the address cannot be had. */
  listen(): Promise<number>;
  /** Best effort: without a link, or with a full queue, the frame is dropped and counted. `frame` must not change afterwards. */
  send(to: ReplicaId, frame: Uint8Array, priority?: Priority): void;
  sendToClient(client: ClientId, frame: Uint8Array): void;
  /** Counts `reason` and, unless switched off, cuts the peer off for a while. */
  penalise(peer: Peer, reason: RejectionCode): void;
  /** Stops reading from a peer that sends more than is wanted now; TCP holds it back. Lasts until `resume` or the end of its link. */
  pause(peer: Peer): void;
  resume(peer: Peer): void;
  /** Bytes that wait on this side of the peer's link, for who wants to hold back before frames are dropped; 0 without a link. */
  waitingBytes(peer: Peer): number;
  /** The peers with an open link. */
  links(): readonly Peer[];
  /** Closes everything. @returns when every socket is gone. */
  close(): Promise<void>;
}

type WhyNot = (reason: TransportReason, detail: string | undefined, peer: Peer | undefined) => void;

/** @throws LabError when `wss://` is asked for without a certificate. */
export function createTransport(options: TransportOptions): Transport {
  return new WebSocketTransport(options);
}

class WebSocketTransport implements Transport {
  readonly #options: TransportOptions;
  readonly #limits: TransportLimits;
  readonly #tally = new Tally();
  readonly #penalties: Penalties;
  readonly #keys: ReadonlyMap<string, Uint8Array>;
  readonly #openLinks: OpenLinks;
  readonly #door: Door;
  readonly #links = new Map<string, Link>();
  readonly #strangers = new Set<Link>();
  readonly #rates = new Map<string, InboundRate>();
  readonly #reconnects = new Map<string, TokenBucket>();
  readonly #redials: Redial[] = [];
  readonly #random: () => number;
  readonly #nonce: () => Uint8Array;
  readonly #now: () => number;
  #closed = false;

  constructor(options: TransportOptions) {
    this.#options = options;
    this.#limits = { ...defaultTransportLimits, ...options.limits };
    this.#penalties = new Penalties(this.#limits);
    this.#random = options.random ?? Math.random;
    this.#nonce = options.nonce ?? (() => Uint8Array.from(randomBytes(32)));
    this.#now = options.now ?? (() => performance.now());
    this.#keys = new Map([
      ...options.replicas.map(({ id, publicKey }) => [peerName(replicaPeer(id)), publicKey] as const),
      ...options.clients.map(({ id, publicKey }) => [peerName(clientPeer(id)), publicKey] as const),
    ]);
    this.#openLinks = new OpenLinks(options.openClients ?? false, this.#now());
    this.#door = new Door({
      secure: this.#ownUrl().protocol === "wss:",
      ...(options.tls === undefined ? {} : { tls: options.tls }),
      limits: this.#limits,
      frameBytes: options.frameBytes,
      ...(options.answer === undefined ? {} : { answer: options.answer }),
      refused: (reason, address) => {
        this.#tally.add(reason);
        this.#notice({ type: "stranger-refused", reason, address });
      },
      onPageFailure: (path, error) => {
        this.#tally.add("page-failed");
        this.#notice({ type: "page-failed", path, error });
      },
      onSocket: (caller) => this.#accept(caller),
    });
  }

  get counters(): Counters {
    return this.#tally;
  }

  async listen(): Promise<number> {
    const url = this.#ownUrl();
    const host = this.#options.listen?.host ?? url.hostname.replace(/^\[|\]$/g, "");
    const port = this.#options.listen?.port ?? Number(url.port || (url.protocol === "wss:" ? 443 : 80));
    const bound = await this.#door.listen(host, port);
    for (const { id } of this.#options.replicas) if (id > this.#options.self) this.#dial(id);
    return bound;
  }

  send(to: ReplicaId, frame: Uint8Array, priority: Priority = "consensus"): void {
    this.#send(replicaPeer(to), frame, priority);
  }

  sendToClient(client: ClientId, frame: Uint8Array): void {
    this.#send(clientPeer(client), frame, "client");
  }

  penalise(peer: Peer, reason: RejectionCode): void {
    const name = peerName(peer);
    this.#count(reason, peer);
    if (this.#options.penalties === false) return;
    // An open client comes back under another name: it loses its link, and there is nobody to remember.
    const ms = isOpenPeer(peer) ? 0 : this.#penalties.impose(name, this.#now());
    this.#notice({ type: "cut-off", peer: name, reason, ms });
    this.#links.get(name)?.close("penalised");
  }

  pause(peer: Peer): void {
    this.#links.get(peerName(peer))?.pause();
  }

  resume(peer: Peer): void {
    this.#links.get(peerName(peer))?.resume();
  }

  waitingBytes(peer: Peer): number {
    return this.#links.get(peerName(peer))?.waitingBytes ?? 0;
  }

  links(): readonly Peer[] {
    return [...this.#links.values()].flatMap(({ peer }) => (peer === undefined ? [] : [peer]));
  }

  async close(): Promise<void> {
    this.#closed = true;
    const stopped = this.#redials.map((redial) => redial.stop());
    for (const link of [...this.#links.values(), ...this.#strangers]) link.close("shutdown");
    await Promise.all([...stopped, this.#door.close(closingMs)]);
  }

  #send(to: Peer, frame: Uint8Array, priority: Priority): void {
    const name = peerName(to);
    const link = this.#links.get(name);
    if (link === undefined) this.#tally.add("no-link", this.#keys.has(name) ? peerName(to) : undefined);
    else link.send(frame, priority);
  }

  #ownUrl(): URL {
    return new URL(this.#urlOf(this.#options.self));
  }

  #urlOf(id: ReplicaId): string {
    return this.#options.replicas.find((replica) => replica.id === id)?.url ?? "";
  }

  #dial(id: ReplicaId): void {
    const { tls } = this.#options;
    this.#redials.push(
      new Redial({
        url: () => this.#urlOf(id),
        ...(tls === undefined ? {} : { tls }),
        limits: this.#limits,
        link: {
          ...this.#linkOptions((reason, detail) => {
            this.#notice({ type: "call-failed", peer: peerName(replicaPeer(id)), reason, ...(detail !== undefined && { detail }) });
          }),
          onOpen: (link, peer) => this.#adopt(link, peer),
        },
        handshake: () => this.#handshakeOptions((peer) => (peer.role === "replica" && peer.id === id ? undefined : "peer-mismatch")),
        notBefore: () => this.#penalties.until(peerName(replicaPeer(id))),
        random: this.#random,
      }),
    );
  }

  #accept({ socket, raw, address, known }: Caller): void {
    const link = new Link({
      ...this.#linkOptions((reason, _, peer) => {
        // Who merely hangs up was not refused.
        if (reason === "connection-lost") return;
        const claimed = peer === undefined ? {} : { claimed: peerName(peer) };
        this.#notice({ type: "stranger-refused", reason, address, ...claimed });
      }),
      socket,
      side: "acceptor",
      handshake: new Handshake({ ...this.#handshakeOptions((peer) => this.#refuse(peer)), side: "acceptor" }),
      limits: this.#limits,
      onOpen: (opened, peer) => {
        known();
        this.#strangers.delete(opened);
        if (this.#mayReconnect(peer)) this.#adopt(opened, peer);
        else opened.close("rate-limit");
      },
    });
    this.#strangers.add(link);
    link.begin(raw);
    if (this.#closed) link.close("shutdown");
  }

  /** Who may not dial this replica now. */
  #refuse(peer: Peer): HandshakeFailure | undefined {
    if (peer.role === "replica" && peer.id >= this.#options.self) return "peer-mismatch";
    return this.#now() < this.#penalties.until(peerName(peer)) ? "penalised" : undefined;
  }

  #mayReconnect(peer: Peer): boolean {
    const { reconnectBurst, reconnectsPerSecond } = this.#limits;
    const name = peerName(peer);
    if (isOpenPeer(peer)) {
      const others = [...this.#links].filter(([other, link]) => other !== name && link.peer && isOpenPeer(link.peer));
      return this.#openLinks.mayOpen(others.length, this.#now());
    }
    const bucket = this.#reconnects.get(name) ?? new TokenBucket(reconnectsPerSecond, reconnectBurst, this.#now());
    this.#reconnects.set(name, bucket);
    return bucket.tryTake(1, this.#now());
  }

  /** The handshake is complete, so this really is the peer: only now does an older link of it give way. */
  #adopt(link: Link, peer: Peer): void {
    const name = peerName(peer);
    this.#links.get(name)?.close("replaced");
    this.#links.set(name, link);
    this.#notice({ type: "link-up", peer: name });
    this.#options.onLinkUp(peer);
  }

  #onClose(link: Link, reason: TransportReason, detail: string | undefined, refused: WhyNot): void {
    this.#strangers.delete(link);
    const { peer } = link;
    if (peer === undefined || this.#links.get(peerName(peer)) !== link) return refused(reason, detail, peer);
    const name = peerName(peer);
    this.#links.delete(name);
    this.#notice({ type: "link-down", peer: name, reason, ...(detail !== undefined && { detail }) });
    this.#options.onLinkDown(peer);
  }

  #notice(notice: TransportNotice): void {
    // What this side closes by itself when it stops is no news.
    if (!this.#closed) this.#options.onNotice?.(notice);
  }

  #rateOf(peer: Peer): InboundRate {
    const name = peerName(peer);
    const known = this.#rates.get(name);
    if (known !== undefined) return known;
    const { replicaFramesPerSecond, replicaBytesPerSecond, clientFramesPerSecond, clientBytesPerSecond } = this.#limits;
    const [frames, bytes] =
      peer.role === "replica" ? [replicaFramesPerSecond, replicaBytesPerSecond] : [clientFramesPerSecond, clientBytesPerSecond];
    const rate = { frames: new TokenBucket(frames, frames, this.#now()), bytes: new TokenBucket(bytes, bytes, this.#now()) };
    if (!isOpenPeer(peer)) this.#rates.set(name, rate);
    return rate;
  }

  /** By name only whom the cluster file names. */
  #count(reason: TransportReason, peer: Peer | undefined, times?: number): void {
    this.#tally.add(reason, peer === undefined || isOpenPeer(peer) ? undefined : peerName(peer), times);
  }

  /** @param refused - told when a connection ends that was no link of ours, or not any more */
  #linkOptions(refused: WhyNot): Omit<LinkOptions, "socket" | "side" | "handshake" | "limits" | "onOpen"> {
    return {
      frameBytes: this.#options.frameBytes,
      now: this.#now,
      count: (reason, peer, times) => this.#count(reason, peer, times),
      notice: (notice) => this.#notice(notice),
      rateOf: (peer) => this.#rateOf(peer),
      onFrame: (peer, frame) => this.#options.onFrame(peer, frame),
      onClose: (link, reason, detail) => this.#onClose(link, reason, detail, refused),
    };
  }

  #handshakeOptions(refuse: HandshakeOptions["refuse"]): Omit<HandshakeOptions, "side"> {
    const { cluster, secret, scheme, self } = this.#options;
    return {
      self: replicaPeer(self),
      cluster,
      secret,
      scheme,
      nonce: this.#nonce(),
      keyOf: (peer, shown) => this.#keys.get(peerName(peer)) ?? this.#openLinks.keyOf(peer, shown),
      refuse,
    };
  }
}
