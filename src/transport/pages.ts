/**
 * Plain HTTP at the door, for who wants to know how a replica does. Anybody may ask, so a page is computed at most once in a
 * while, and there are few of them.
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import type { TransportLimits } from "./limits.ts";

export interface HttpAnswer {
  readonly status: number;
  /** Content type, with the charset. */
  readonly type: string;
  readonly body: string;
}

/** Knows the pages by their exact path, without the query; undefined: there is no such page, and finding that out is cheap. */
export type Answer = (path: string) => HttpAnswer | undefined | Promise<HttpAnswer | undefined>;

export interface PagesOptions {
  readonly answer: Answer | undefined;
  readonly limits: Pick<TransportLimits, "pages" | "pageMs">;
  /** A page could not be computed; who asked gets a 500. */
  onFailure(path: string, error: unknown): void;
}

const plain = (status: number, text: string): HttpAnswer => ({ status, type: "text/plain; charset=utf-8", body: `${text}\n` });
const notFound = plain(404, "There is no such page.");
const webSocketOnly = plain(426, "This is a Quorate replica: it speaks WebSocket only.");
const extraHeaders: { readonly [status: number]: { readonly [name: string]: string } } = {
  405: { Allow: "GET, HEAD" },
  426: { Upgrade: "websocket" },
  503: { "Retry-After": "1" },
};

export class Pages {
  readonly #options: PagesOptions;
  /** Those in the making, and those made less than `pageMs` ago. */
  readonly #kept = new Map<string, Promise<HttpAnswer | undefined>>();

  constructor(options: PagesOptions) {
    this.#options = options;
  }

  /** Answers and ends the connection. Never throws. */
  async respond({ method, url = "" }: IncomingMessage, response: ServerResponse): Promise<void> {
    if (method !== "GET" && method !== "HEAD") return send(response, plain(405, "Pages are only read here."));
    const [path = ""] = url.split("?", 1);
    send(response, (await this.#page(path)) ?? (path === "/" ? webSocketOnly : notFound));
  }

  #page(path: string): Promise<HttpAnswer | undefined> {
    const { pages, pageMs } = this.#options.limits;
    const kept = this.#kept.get(path);
    if (kept !== undefined) return kept;
    if (this.#kept.size >= pages) return Promise.resolve(plain(503, "Too many pages are asked for."));
    const made = this.#make(path).then((page) => {
      if (page === undefined) this.#kept.delete(path);
      else setTimeout(() => this.#kept.delete(path), pageMs).unref();
      return page;
    });
    this.#kept.set(path, made);
    return made;
  }

  async #make(path: string): Promise<HttpAnswer | undefined> {
    try {
      return await this.#options.answer?.(path);
    } catch (error) {
      this.#options.onFailure(path, error);
      return plain(500, "The page could not be made; the log says why.");
    }
  }
}

/** For HEAD, Node.js leaves the body out. */
function send(response: ServerResponse, { status, type, body }: HttpAnswer): void {
  response
    .writeHead(status, { "Content-Type": type, "Content-Length": Buffer.byteLength(body), Connection: "close", ...extraHeaders[status] })
    .end(body);
}
