/**
 * Where connections come in. Until a connection has proven who it is it is a stranger, and strangers are few: each has a deadline,
 * and when there are too many the oldest gives way, so that who merely holds connections open keeps nobody out.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { createServer as createSecureServer } from "node:https";
import type { AddressInfo, Socket } from "node:net";
import type { Duplex } from "node:stream";
import { type WebSocket, WebSocketServer } from "ws";
import { LabError } from "../core/lab-error.ts";
import type { TransportReason } from "./counters.ts";
import type { TransportLimits } from "./limits.ts";
import { socketSettings } from "./socket-settings.ts";

/** PEM texts for `wss://`. `authority` replaces the system's trusted roots when this node dials. */
export interface TlsSettings {
  readonly key?: string;
  readonly certificate?: string;
  readonly authority?: string;
}

export interface DoorOptions {
  readonly secure: boolean;
  readonly tls?: TlsSettings;
  readonly limits: TransportLimits;
  readonly frameBytes: number;
  count(reason: TransportReason): void;
  /** A WebSocket of a stranger; `known` is to be called when it is one no longer. */
  onSocket(socket: WebSocket, raw: Duplex, known: () => void): void;
}

interface Stranger {
  readonly raw: Socket;
  readonly address: string;
  /** Ends a connection that is still a stranger's then. */
  readonly deadline: NodeJS.Timeout;
}

export class Door {
  readonly #options: DoorOptions;
  readonly #server: Server;
  readonly #sockets: WebSocketServer;
  readonly #open = new Set<Socket>();
  /** Oldest first. The key is the remote address and port, which TLS does not hide. */
  readonly #strangers = new Map<string, Stranger>();

  constructor(options: DoorOptions) {
    this.#options = options;
    this.#server = createHttpServer(options);
    this.#sockets = new WebSocketServer({
      ...socketSettings(options.frameBytes, options.limits.fragments),
      noServer: true,
      clientTracking: false,
    });
    this.#server.on("connection", (raw: Socket) => this.#onConnection(raw));
    this.#server.on("upgrade", (request: IncomingMessage, raw: Duplex, head: Buffer) => this.#onUpgrade(request, raw, head));
  }

  /** @returns the port, which is chosen by the system when `port` is 0. @throws LabError when it cannot be had. */
  listen(host: string, port: number): Promise<number> {
    const server = this.#server;
    return new Promise((resolve, reject) => {
      server.once("error", (error: NodeJS.ErrnoException) => reject(listenError(error, host, port)));
      server.listen(port, host, () => {
        server.removeAllListeners("error");
        // What can still go wrong is accepting one connection, and then only that one is lost.
        server.on("error", () => this.#options.count("connection-lost"));
        resolve((server.address() as AddressInfo).port);
      });
    });
  }

  /** Accepts nobody any more. @returns when every connection is gone; those left after `graceMs` are cut. */
  close(graceMs: number): Promise<void> {
    return new Promise((resolve) => {
      for (const { raw } of this.#strangers.values()) raw.destroy();
      const cut = setTimeout(() => {
        for (const raw of this.#open) raw.destroy();
      }, graceMs);
      this.#server.close(() => {
        clearTimeout(cut);
        resolve();
      });
    });
  }

  #onConnection(raw: Socket): void {
    const key = keyOf(raw);
    const address = raw.remoteAddress ?? "";
    this.#open.add(raw);
    raw.on("error", () => raw.destroy());
    raw.once("close", () => {
      this.#open.delete(raw);
      this.#forget(key);
    });
    const deadline = setTimeout(() => this.#evict(key, "handshake-timeout"), this.#options.limits.handshakeMs);
    this.#strangers.set(key, { raw, address, deadline });
    this.#makeRoom(address);
  }

  #makeRoom(address: string): void {
    const { strangers, strangersPerAddress } = this.#options.limits;
    const neighbours = [...this.#strangers].filter(([, stranger]) => stranger.address === address);
    const [oldest] = neighbours.length > strangersPerAddress ? neighbours : this.#strangers.size > strangers ? this.#strangers : [];
    if (oldest !== undefined) this.#evict(oldest[0], "too-many-connections");
  }

  #evict(key: string, reason: TransportReason): void {
    const stranger = this.#strangers.get(key);
    this.#forget(key);
    this.#options.count(reason);
    stranger?.raw.destroy();
  }

  #forget(key: string): void {
    clearTimeout(this.#strangers.get(key)?.deadline);
    this.#strangers.delete(key);
  }

  #onUpgrade(request: IncomingMessage, raw: Duplex, head: Buffer): void {
    raw.on("error", () => raw.destroy());
    const key = keyOf(request.socket);
    this.#sockets.handleUpgrade(request, raw, head, (socket) => this.#options.onSocket(socket, raw, () => this.#forget(key)));
  }
}

function createHttpServer(options: DoorOptions): Server {
  const answer = (_: IncomingMessage, response: ServerResponse): void => {
    response.writeHead(426, { Connection: "close" }).end("This is a Quorate replica: it speaks WebSocket only.\n");
  };
  if (!options.secure) return createServer(answer);
  const { key, certificate } = options.tls ?? {};
  if (key === undefined || certificate === undefined) {
    throw new LabError("missing-certificate", "a wss:// address needs a TLS key and certificate to listen with: give both, or use ws://");
  }
  return createSecureServer({ key, cert: certificate }, answer);
}

function keyOf(raw: Socket): string {
  return `${raw.remoteAddress} ${raw.remotePort}`;
}

function listenError(error: NodeJS.ErrnoException, host: string, port: number): LabError {
  const address = `${host}:${port}`;
  const told: { readonly [code: string]: readonly [string, string] } = {
    EADDRINUSE: ["port-in-use", `${address} is already in use: stop the process that listens there or choose another port`],
    EACCES: ["port-forbidden", `${address} may not be used by this user: choose a port from 1024`],
    EADDRNOTAVAIL: ["address-unavailable", `${host} is not an address of this machine: choose one that is, or 0.0.0.0`],
    ENOTFOUND: ["address-unavailable", `${host} is not a known host name: check the url in the cluster file`],
  };
  const [code, message] = told[error.code ?? ""] ?? ["listen-failed", `cannot listen on ${address}: ${error.message}`];
  return new LabError(code, message, { cause: error });
}
