/**
 * Where connections come in. Until a connection has proven who it is it is a stranger, and strangers are few: each has a deadline,
 * and when there are too many the oldest gives way, so that who merely holds connections open keeps nobody out.
 */
import { createServer, type IncomingMessage, type RequestListener, type Server } from "node:http";
import { createServer as createSecureServer } from "node:https";
import type { AddressInfo, Socket } from "node:net";
import type { Duplex } from "node:stream";
import { type WebSocket, WebSocketServer } from "ws";
import { LabError } from "../core/lab-error.ts";
import type { TransportReason } from "./counters.ts";
import type { TransportLimits } from "./limits.ts";
import { reasonOfError } from "./link.ts";
import { type Answer, Pages } from "./pages.ts";
import { socketSettings } from "./socket-settings.ts";
import { listenSettings, type TlsSettings } from "./tls.ts";

export interface DoorOptions {
  readonly secure: boolean;
  readonly tls?: TlsSettings;
  readonly limits: TransportLimits;
  readonly frameBytes: number;
  /** Who comes without a WebSocket is answered by it. */
  readonly answer?: Answer;
  /** A connection that came in ended before it was a link. */
  refused(reason: TransportReason, address: string): void;
  onPageFailure(path: string, error: unknown): void;
  onSocket(caller: Caller): void;
}

/** A WebSocket of a stranger. */
export interface Caller {
  readonly socket: WebSocket;
  /** The stream below. */
  readonly raw: Duplex;
  readonly address: string;
  /** To be called when it is a stranger no longer. */
  known(): void;
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
    const pages = new Pages({
      answer: options.answer,
      limits: options.limits,
      onFailure: (path, error) => options.onPageFailure(path, error),
    });
    this.#server = createHttpServer(options, (request, response) => void pages.respond(request, response));
    // Requests behind the first one on a connection are not read.
    this.#server.maxRequestsPerSocket = 1;
    this.#sockets = new WebSocketServer({
      ...socketSettings(options.frameBytes, options.limits.fragments),
      noServer: true,
      clientTracking: false,
    });
    this.#server.on("connection", (raw: Socket) => this.#onConnection(raw));
    this.#server.on("clientError", (error: NodeJS.ErrnoException, raw: Socket) => this.#onBadRequest(error, raw));
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
        server.on("error", () => this.#options.refused("connection-lost", ""));
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
    this.#options.refused(reason, stranger?.address ?? "");
    stranger?.raw.destroy();
  }

  #forget(key: string): void {
    clearTimeout(this.#strangers.get(key)?.deadline);
    this.#strangers.delete(key);
  }

  #onUpgrade(request: IncomingMessage, raw: Duplex, head: Buffer): void {
    raw.on("error", () => raw.destroy());
    const key = keyOf(request.socket);
    const address = request.socket.remoteAddress ?? "";
    this.#sockets.handleUpgrade(request, raw, head, (socket) =>
      this.#options.onSocket({ socket, raw, address, known: () => this.#forget(key) }),
    );
  }

  /** No HTTP, headers without end, or a TLS handshake that failed. Who merely hangs up is no matter. */
  #onBadRequest({ code = "" }: NodeJS.ErrnoException, raw: Socket): void {
    const reason = code.startsWith("HPE_") ? "bad-http" : reasonOfError(code);
    if (reason !== "connection-lost") this.#options.refused(reason, raw.remoteAddress ?? "");
    if (reason !== "bad-http" || !raw.writable) return void raw.destroy();
    const status = code === "HPE_HEADER_OVERFLOW" ? "431 Request Header Fields Too Large" : "400 Bad Request";
    raw.end(`HTTP/1.1 ${status}\r\nConnection: close\r\n\r\n`, () => raw.destroy());
  }
}

function createHttpServer({ secure, tls, limits }: DoorOptions, listener: RequestListener): Server {
  const settings = { maxHeaderSize: limits.headerBytes };
  return secure ? createSecureServer({ ...settings, ...listenSettings(tls) }, listener) : createServer(settings, listener);
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
