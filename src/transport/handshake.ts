/**
 * The mutual handshake as pure data: who says what, and what must be true of it. It opens no socket and draws no randomness.
 *
 *     dialer                         acceptor
 *       | -- hello (role, id, nonce) --> |   an open client shows its key as well
 *       | <-- hello (role, id, nonce) -- |
 *       | -- proof (signature) --------> |   the acceptor has now verified the dialer
 *       | <-- proof (signature) -------- |   and answers; frames may follow at once
 *
 * A proof covers both ids, roles and nonces, the cluster, the version and its own direction, under a domain of its own (rule 86):
 * it cannot be replayed, reflected or passed off as a message. The acceptor proves itself last, so a stranger makes it sign nothing.
 */

import { concatBytes, utf8ToBytes } from "@noble/hashes/utils.js";
import { sameBytes } from "../core/bytes.ts";
import type { ClientId, Digest, ReplicaId } from "../core/ids.ts";
import type { RejectionCode } from "../core/rejection.ts";
import { publicKeyBytes, type SignatureScheme, signatureBytes } from "../crypto/signature.ts";
import { decode, encode } from "../wire/msgpack.ts";
import { hexToBytes } from "../wire/schema.ts";
import { isOpenPeer, type Peer } from "./peer.ts";

/** Version of the handshake and of what follows on the link. */
const version = 1;
const nonceBytes = 32;
/** No handshake message is longer. */
const messageBytes = 256;

const helloTag = 1;
const proofTag = 2;
const roles = ["replica", "client"] as const;

export type HandshakeFailure = "early-frame" | "penalised" | RejectionCode;

export interface HandshakeOptions {
  readonly side: "dialer" | "acceptor";
  readonly self: Peer;
  readonly cluster: Digest;
  readonly secret: Uint8Array;
  readonly scheme: SignatureScheme;
  /** 32 fresh random bytes, for this handshake alone. */
  readonly nonce: Uint8Array;
  /**
   * The configured public key; `undefined` when the cluster file knows no such peer (rule 91).
   *
   * @param shown - what an open client says its key is
   */
  keyOf(peer: Peer, shown: Uint8Array | undefined): Uint8Array | undefined;
  /** Asked once, before anything is verified: why this peer may not have a link now. */
  refuse(peer: Peer): HandshakeFailure | undefined;
}

/** What a message of the other side leads to. */
export type HandshakeStep =
  | { readonly type: "continue"; readonly send: Uint8Array }
  | { readonly type: "open"; readonly peer: Peer; readonly send?: Uint8Array }
  | { readonly type: "failed"; readonly code: HandshakeFailure; readonly peer?: Peer };

interface Hello {
  readonly peer: Peer;
  readonly nonce: Uint8Array;
  /** The key of an open client, and of nobody else. */
  readonly shown?: Uint8Array | undefined;
}

/** One handshake on one connection. */
export class Handshake {
  readonly #options: HandshakeOptions;
  #remote: (Hello & { readonly publicKey: Uint8Array }) | undefined;

  constructor(options: HandshakeOptions) {
    this.#options = options;
  }

  /** What the dialer sends first. */
  hello(): Uint8Array {
    const { self, cluster, nonce, scheme, secret } = this.#options;
    const shown = isOpenPeer(self) ? [scheme.publicKeyOf(secret)] : [];
    return encode([helloTag, version, hexToBytes(cluster), roles.indexOf(self.role), self.id, nonce, ...shown]);
  }

  /** The one way in; call it until it opens or fails, not after. Never throws. */
  receive(frame: Uint8Array): HandshakeStep {
    const message = frame.length <= messageBytes ? decodeArray(frame) : undefined;
    if (message === undefined) return failed("early-frame");
    return this.#remote === undefined ? this.#onHello(message) : this.#onProof(message, this.#remote);
  }

  #onHello(message: readonly unknown[]): HandshakeStep {
    const hello = readHello(message, hexToBytes(this.#options.cluster));
    if (typeof hello === "string") return failed(hello);
    const publicKey = this.#options.keyOf(hello.peer, hello.shown);
    if (publicKey === undefined) return failed("unknown-sender");
    const refused = this.#options.refuse(hello.peer);
    if (refused !== undefined) return failed(refused);
    this.#remote = { ...hello, publicKey };
    return { type: "continue", send: this.#options.side === "dialer" ? this.#proof() : this.hello() };
  }

  #onProof(message: readonly unknown[], remote: Hello & { readonly publicKey: Uint8Array }): HandshakeStep {
    const [tag, signature] = message;
    if (message.length !== 2 || tag !== proofTag || !isBytes(signature, signatureBytes)) return failed("early-frame");
    const theirs = this.#options.side === "dialer" ? "acceptor" : "dialer";
    if (!this.#options.scheme.verify(remote.publicKey, this.#signedBy(theirs), signature)) return failed("bad-signature");
    return theirs === "acceptor" ? { type: "open", peer: remote.peer } : { type: "open", peer: remote.peer, send: this.#proof() };
  }

  #proof(): Uint8Array {
    const { scheme, secret, side } = this.#options;
    return encode([proofTag, scheme.sign(secret, this.#signedBy(side))]);
  }

  #signedBy(side: "dialer" | "acceptor"): Uint8Array {
    const { self, nonce, cluster } = this.#options;
    const remote = this.#remote as Hello;
    const ours: Hello = { peer: self, nonce };
    const [dialer, acceptor] = this.#options.side === "dialer" ? [ours, remote] : [remote, ours];
    return proofBytes({ cluster, side, dialer, acceptor });
  }
}

/** The exact bytes that the proof of `side` signs. */
export function proofBytes(of: {
  readonly cluster: Digest;
  readonly side: "dialer" | "acceptor";
  readonly dialer: Hello;
  readonly acceptor: Hello;
}): Uint8Array {
  const cluster = hexToBytes(of.cluster);
  const body = encode([
    version,
    of.side === "dialer" ? 0 : 1,
    ...[of.dialer, of.acceptor].map(({ peer, nonce }) => [roles.indexOf(peer.role), peer.id, nonce]),
  ]);
  return concatBytes(utf8ToBytes("quorate/v1\0"), cluster, utf8ToBytes("\0handshake\0"), body);
}

function readHello(message: readonly unknown[], ownCluster: Uint8Array): Hello | HandshakeFailure {
  const [tag, theirVersion, cluster, role, id, nonce, shown] = message;
  if (tag !== helloTag || typeof theirVersion !== "number") return "early-frame";
  if (theirVersion !== version) return "wrong-version";
  const roleName = typeof role === "number" ? roles[role] : undefined;
  if (roleName === undefined || typeof id !== "number" || !isBytes(cluster, 32) || !isBytes(nonce, nonceBytes)) return "malformed";
  const peer: Peer = roleName === "replica" ? { role: roleName, id: id as ReplicaId } : { role: roleName, id: id as ClientId };
  if (isOpenPeer(peer) ? message.length !== 7 || !isBytes(shown, publicKeyBytes) : message.length !== 6) return "malformed";
  if (!sameBytes(cluster, ownCluster)) return "wrong-cluster";
  return { peer, nonce, shown: shown as Uint8Array | undefined };
}

function decodeArray(frame: Uint8Array): readonly unknown[] | undefined {
  const decoded = decode(frame, { depth: 1, elements: 8 });
  return decoded.ok && Array.isArray(decoded.value) ? decoded.value : undefined;
}

function failed(code: HandshakeFailure): HandshakeStep {
  return { type: "failed", code };
}

function isBytes(value: unknown, length: number): value is Uint8Array {
  return value instanceof Uint8Array && value.length === length;
}
