/** Real transports on loopback, and a stranger that speaks the handshake by hand. */
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { expect } from "vitest";
import { type RawData, WebSocket } from "ws";
import type { ClientId, ReplicaId } from "../../src/core/ids.ts";
import { nativeScheme } from "../../src/crypto/native.ts";
import { type DialOptions, dialReplica } from "../../src/transport/dial.ts";
import { Handshake, type HandshakeOptions } from "../../src/transport/handshake.ts";
import { clientPeer, type Peer, peerName, replicaPeer } from "../../src/transport/peer.ts";
import { createTransport, type Transport, type TransportOptions } from "../../src/transport/transport.ts";
import { testCluster } from "../support/keys.ts";

export const nodes = testCluster(4, { clients: 3, scheme: nativeScheme });
export const otherNodes = testCluster(4, { clients: 3, seed: 9, scheme: nativeScheme });
export const frameBytes = 64 * 1024;

export interface Running {
  readonly transport: Transport;
  readonly port: number;
  /** `"replica-0 up"`, `"client-1 down"`, in order. */
  readonly events: string[];
  /** What arrived, as `"replica-0: text"`; frames of a megabyte are no matter for a test's memory. */
  readonly frames: string[];
}

const running = new Set<{ close(): Promise<void> }>();

/** For `afterEach`: closes whatever a test opened with this file. */
export async function closeAll(): Promise<void> {
  const all = [...running];
  running.clear();
  await Promise.all(all.map((one) => one.close()));
}

function closeLater<T extends { close(): Promise<void> }>(one: T): T {
  running.add(one);
  return one;
}

/** Replica `self`, listening on a port of the system's choice; it knows the ports in `known`. */
export async function startReplica(
  self: number,
  known: ReadonlyMap<number, number> = new Map(),
  more: Partial<TransportOptions> = {},
  create: (options: TransportOptions) => Transport = createTransport,
): Promise<Running> {
  const events: string[] = [];
  const frames: string[] = [];
  const transport = closeLater(
    create({
      self: self as ReplicaId,
      cluster: nodes.cluster.id,
      secret: nodes.replicaSecrets[self] as Uint8Array,
      scheme: nativeScheme,
      replicas: nodes.replicaKeys
        .map((publicKey, id) => ({ id: id as ReplicaId, publicKey, url: `ws://127.0.0.1:${known.get(id) ?? 1}` }))
        .filter(({ id }) => id === self || id < self || known.has(id)),
      clients: nodes.clientKeys.map((publicKey, index) => ({ id: (index + 1) as ClientId, publicKey })),
      frameBytes,
      listen: { port: 0 },
      onFrame: (peer, frame) => frames.push(`${peerName(peer)}: ${textOf(frame)}`),
      onLinkUp: (peer) => events.push(`${peerName(peer)} up`),
      onLinkDown: (peer) => events.push(`${peerName(peer)} down`),
      ...more,
    }),
  );
  return { transport, port: await transport.listen(), events, frames };
}

export interface PairOptions {
  readonly dialer?: Partial<TransportOptions>;
  readonly acceptor?: Partial<TransportOptions>;
  readonly create?: { readonly [S in "dialer" | "acceptor"]?: (options: TransportOptions) => Transport };
}

export interface Pair {
  readonly dialer: Running;
  readonly acceptor: Running;
}

/** Replicas 0 and 1, linked. */
export async function startPair(more: PairOptions = {}): Promise<Pair> {
  const acceptor = await startReplica(1, new Map(), more.acceptor, more.create?.acceptor);
  const dialer = await startReplica(0, new Map([[1, acceptor.port]]), more.dialer, more.create?.dialer);
  await until(() => dialer.events.includes("replica-1 up") && acceptor.events.includes("replica-0 up"));
  return { dialer, acceptor };
}

/** A whole message goes from the dialer to the acceptor and back. */
export async function expectAlive({ dialer, acceptor }: Pair): Promise<void> {
  const text = `ping ${dialer.frames.length} ${acceptor.frames.length}`;
  dialer.transport.send(1 as ReplicaId, bytesOf(text));
  await until(() => acceptor.frames.includes(`replica-0: ${text}`));
  acceptor.transport.send(0 as ReplicaId, bytesOf(text));
  await until(() => dialer.frames.includes(`replica-1: ${text}`));
}

/** Waits for what must become true; fails the test when it does not. */
export async function until(condition: () => boolean): Promise<void> {
  await expect.poll(condition, { interval: 5, timeout: 10_000 }).toBe(true);
}

export const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);
const textOf = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);

export function startClient(self: number, port: number, more: Partial<DialOptions> = {}) {
  const frames: string[] = [];
  const events: string[] = [];
  const link = closeLater(
    dialReplica({
      url: `ws://127.0.0.1:${port}`,
      replica: 1 as ReplicaId,
      publicKey: nodes.replicaKeys[1] as Uint8Array,
      self: self as ClientId,
      secret: nodes.clientSecrets[self - 1] as Uint8Array,
      cluster: nodes.cluster.id,
      scheme: nativeScheme,
      frameBytes,
      onFrame: (frame) => frames.push(textOf(frame)),
      onOpen: () => events.push("open"),
      onClose: (reason) => events.push(reason),
      ...more,
    }),
  );
  return { link, frames, events };
}

/** A WebSocket that does what it is told, and remembers what it sent and got. */
export class Stranger {
  readonly socket: WebSocket;
  readonly sent: Uint8Array[] = [];
  readonly received: Uint8Array[] = [];
  /** The close code that the other side gave. */
  readonly closed: Promise<number>;

  constructor(port: number) {
    this.socket = new WebSocket(`ws://127.0.0.1:${port}`, { perMessageDeflate: false });
    this.socket.on("error", () => undefined);
    this.socket.on("message", (data: RawData) => this.received.push(Uint8Array.from(data as Buffer)));
    this.closed = new Promise((resolve) => {
      this.socket.on("close", (code) => resolve(code));
    });
    closeLater(this);
  }

  static async at(port: number): Promise<Stranger> {
    const stranger = new Stranger(port);
    await once(stranger.socket, "open");
    return stranger;
  }

  send(bytes: Uint8Array): void {
    this.sent.push(bytes);
    this.socket.send(bytes);
  }

  /** Sends a hello, waits for the answer, sends what `Handshake` makes of it. */
  async shake(options: Partial<HandshakeOptions> & { readonly self: Peer; readonly secret: Uint8Array }): Promise<void> {
    const handshake = new Handshake({
      side: "dialer",
      cluster: nodes.cluster.id,
      scheme: nativeScheme,
      nonce: new Uint8Array(32).fill(7),
      keyOf: () => nodes.replicaKeys[1],
      refuse: () => undefined,
      ...options,
    });
    this.send(handshake.hello());
    await until(() => this.received.length > 0 || this.socket.readyState !== WebSocket.OPEN);
    const step = this.received[0] && handshake.receive(this.received[0]);
    if (step?.type === "continue") this.send(step.send);
  }

  async close(): Promise<void> {
    this.socket.terminate();
    await this.closed;
  }
}

export const asClient = (id: number) => ({ self: clientPeer(id), secret: nodes.clientSecrets[id - 1] as Uint8Array });
export const asReplica = (id: number) => ({ self: replicaPeer(id), secret: nodes.replicaSecrets[id] as Uint8Array });

/** TCP in between: it can stop carrying bytes without closing anything, as a pulled cable does. */
export class Cable {
  readonly #sockets = new Set<Socket>();
  readonly #server = createServer((near) => this.#join(near));
  readonly #target: number;

  constructor(target: number) {
    this.#target = target;
    closeLater(this);
  }

  async plug(): Promise<number> {
    this.#server.listen(0, "127.0.0.1");
    await once(this.#server, "listening");
    return (this.#server.address() as AddressInfo).port;
  }

  /** What is connected now hears nothing more; new connections work. */
  cut(): void {
    for (const socket of this.#sockets) socket.pause().removeAllListeners("data");
  }

  /** Connections that exist now are closed by a reset. */
  reset(): void {
    for (const socket of this.#sockets) socket.resetAndDestroy();
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
    await once(this.#server, "close");
  }

  #join(near: Socket): void {
    const far = connect(this.#target, "127.0.0.1");
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      this.#sockets.add(from);
      from.on("error", () => undefined);
      from.on("close", () => this.#sockets.delete(from));
      from.on("data", (chunk) => to.write(chunk));
      from.on("end", () => to.end());
    }
  }
}
