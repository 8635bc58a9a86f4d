/** A client's link to one replica, which reconnects by itself. */
import { randomBytes } from "node:crypto";
import type { ClientId, Digest, ReplicaId } from "../core/ids.ts";
import type { SignatureScheme } from "../crypto/signature.ts";
import { type Counters, Tally, type TransportReason } from "./counters.ts";
import { defaultTransportLimits, type TransportLimits } from "./limits.ts";
import { clientPeer, peerName, replicaPeer } from "./peer.ts";
import { Redial } from "./redial.ts";
import type { TlsSettings } from "./tls.ts";

export interface DialOptions {
  readonly url: string;
  /** The replica that must prove itself at that url. */
  readonly replica: ReplicaId;
  readonly publicKey: Uint8Array;
  readonly self: ClientId;
  readonly secret: Uint8Array;
  readonly cluster: Digest;
  readonly scheme: SignatureScheme;
  /** Bytes of one frame, at most: the cluster's `limits.frameBytes`. */
  readonly frameBytes: number;
  readonly tls?: TlsSettings;
  readonly limits?: Partial<TransportLimits>;
  /** 0 up to 1, for the jitter of backoff. @defaultValue Math.random */
  random?(): number;
  /** 32 fresh unpredictable bytes. @defaultValue node:crypto */
  nonce?(): Uint8Array;
  onFrame(frame: Uint8Array): void;
  /** Both sides have proven who they are; again after each reconnection. */
  onOpen?(): void;
  /** An attempt failed or the link ended; the next attempt follows by itself. */
  onClose?(reason: TransportReason): void;
}

export interface ReplicaLink {
  readonly counters: Counters;
  readonly isOpen: boolean;
  /** Best effort: without an open link the frame is dropped and counted. `frame` must not change afterwards. */
  send(frame: Uint8Array): void;
  /** Stops for good. @returns when the socket is gone. */
  close(): Promise<void>;
}

/** Connects to a replica as a client and stays connected until `close`. */
export function dialReplica(options: DialOptions): ReplicaLink {
  const { cluster, secret, scheme, tls } = options;
  const replica = replicaPeer(options.replica);
  const tally = new Tally();
  const redial = new Redial({
    url: () => options.url,
    ...(tls === undefined ? {} : { tls }),
    limits: { ...defaultTransportLimits, ...options.limits },
    link: {
      frameBytes: options.frameBytes,
      now: () => performance.now(),
      count: (reason) => tally.add(reason, peerName(replica)),
      rateOf: () => undefined,
      onOpen: () => options.onOpen?.(),
      onFrame: (_, frame) => options.onFrame(frame),
      onClose: (_, reason) => options.onClose?.(reason),
    },
    handshake: () => ({
      self: clientPeer(options.self),
      cluster,
      secret,
      scheme,
      nonce: options.nonce?.() ?? Uint8Array.from(randomBytes(32)),
      keyOf: (peer) => (peerName(peer) === peerName(replica) ? options.publicKey : undefined),
      refuse: () => undefined,
    }),
    notBefore: () => 0,
    random: options.random ?? Math.random,
  });
  return {
    counters: tally,
    get isOpen() {
      return redial.link?.isOpen ?? false;
    },
    send: (frame) => (redial.link?.isOpen ? redial.link.send(frame, "client") : tally.add("no-link", peerName(replica))),
    close: () => redial.stop(),
  };
}
