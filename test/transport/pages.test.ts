/** Plain HTTP at the port of a replica: anybody may ask, and nobody may make it work. */
import { once } from "node:events";
import { connect } from "node:net";
import { networkInterfaces } from "node:os";
import { text } from "node:stream/consumers";
import { connect as connectSecurely } from "node:tls";
import { afterEach, describe, expect, it } from "vitest";
import type { ReplicaId } from "../../src/core/ids.ts";
import type { TransportNotice } from "../../src/transport/notice.ts";
import type { HttpAnswer } from "../../src/transport/pages.ts";
import type { TransportOptions } from "../../src/transport/transport.ts";
import { selfSigned } from "./certificate.ts";
import { closeAll, nodes, startClient, startReplica, until } from "./support.ts";

afterEach(closeAll);

const page = (body: string, status = 200): HttpAnswer => ({ status, type: "text/plain; charset=utf-8", body });

/** A replica with two pages, one of which fails. */
async function withPages(more: Partial<TransportOptions> = {}) {
  const asked: string[] = [];
  const notices: TransportNotice[] = [];
  const answer = (path: string) => {
    asked.push(path);
    if (path === "/broken") throw new Error("out of ink");
    return path === "/health" ? page(`asked ${asked.length} times\n`, 503) : undefined;
  };
  const replica = await startReplica(1, new Map(), { answer, onNotice: (notice) => notices.push(notice), ...more });
  return { ...replica, asked, notices, url: `http://127.0.0.1:${replica.port}` };
}

/** What comes back for these exact bytes, up to the end of the connection. */
async function raw(port: number, request: string, host = "127.0.0.1"): Promise<string> {
  const socket = connect(port, host);
  socket.write(request);
  return text(socket);
}

const statusOf = (answer: string): number => Number(answer.split(" ", 2)[1]);

describe("a page", () => {
  it("is served with its status and type, and the connection ends", async () => {
    const { url } = await withPages();
    const response = await fetch(`${url}/health?verbose`);
    expect([response.status, await response.text()]).toEqual([503, "asked 1 times\n"]);
    expect(Object.fromEntries(response.headers)).toEqual({
      connection: "close",
      "content-length": "14",
      "content-type": "text/plain; charset=utf-8",
      date: expect.any(String),
      "retry-after": "1",
    });
  });

  it("has no body for HEAD, and the length that GET would have", async () => {
    const { port } = await withPages();
    const answer = await raw(port, "HEAD /health HTTP/1.1\r\nHost: x\r\n\r\n");
    expect(answer).toMatch(/^HTTP\/1\.1 503 .*Content-Length: 14\r\n.*\r\n\r\n$/s);
  });

  it.each([
    ["GET", "/", 426],
    ["GET", "/healthy", 404],
    ["GET", "/health/", 404],
    ["GET", "/../health", 404],
    ["GET", "/%68ealth", 404],
    ["GET", "//127.0.0.1/health", 404],
    ["GET", "http://127.0.0.1/health", 404],
    ["GET", "/../../etc/passwd", 404],
    ["POST", "/health", 405],
    ["OPTIONS", "*", 405],
    ["NONSENSE", "/health", 400],
  ])("is found by its exact path, and only read: %s %s is answered with %i", async (method, path, status) => {
    const { port } = await withPages();
    expect(statusOf(await raw(port, `${method} ${path} HTTP/1.1\r\nHost: x\r\n\r\n`))).toBe(status);
  });

  it("is one for each connection: what is asked behind it is not answered", async () => {
    const { port, asked } = await withPages();
    const request = "GET /health HTTP/1.1\r\nHost: x\r\n\r\n";
    const answer = await raw(port, request + request.replace("health", "metrics"));
    expect(answer.match(/HTTP\/1\.1/g)).toHaveLength(1);
    expect(asked).toEqual(["/health"]);
  });

  it("may come later, and stays out of the way of links", async () => {
    let ready = (_: HttpAnswer): void => undefined;
    const made = new Promise<HttpAnswer>((resolve) => {
      ready = resolve;
    });
    const { url, port } = await withPages({ answer: () => made });
    const response = fetch(`${url}/metrics`);
    const client = startClient(1, port);
    await until(() => client.events.includes("open"));
    ready(page("at last"));
    expect(await (await response).text()).toBe("at last");
    expect(client.events).toEqual(["open"]);
  });

  it("that cannot be made is a 500 and a notice, and the replica goes on", async () => {
    const { url, transport, notices } = await withPages();
    expect((await fetch(`${url}/broken`)).status).toBe(500);
    expect(notices).toEqual([{ type: "page-failed", path: "/broken", error: new Error("out of ink") }]);
    expect(transport.counters.count("page-failed")).toBe(1);
    const { url: later } = await withPages({ answer: () => Promise.reject(new Error("later")) });
    expect((await fetch(`${later}/health`)).status).toBe(500);
    expect((await fetch(`${url}/health`)).status).toBe(503);
  });

  it("is given out again for `pageMs`, and then made anew", async () => {
    const { url, asked } = await withPages({ limits: { pageMs: 600_000 } });
    const bodies = await Promise.all(Array.from({ length: 20 }, async () => (await fetch(`${url}/health`)).text()));
    expect(new Set(bodies)).toEqual(new Set(["asked 1 times\n"]));
    expect(asked).toEqual(["/health"]);
    const hasty = await withPages({ limits: { pageMs: 1 } });
    await expect.poll(async () => (await fetch(`${hasty.url}/health`)).text()).not.toBe("asked 1 times\n");
  });

  it("has to wait when more than `pages` are in the making", async () => {
    const finish: (() => void)[] = [];
    const answer = () => new Promise<HttpAnswer>((resolve) => finish.push(() => resolve(page("made"))));
    const { url } = await withPages({ answer, limits: { pages: 2 } });
    const first = [fetch(`${url}/a`), fetch(`${url}/b`)];
    await until(() => finish.length === 2);
    const refused = await fetch(`${url}/c`);
    expect([refused.status, refused.headers.get("retry-after")]).toEqual([503, "1"]);
    for (const done of finish) done();
    for (const response of await Promise.all(first)) expect(await response.text()).toBe("made");
  });

  it("is read over TLS too", async () => {
    const certificate = selfSigned();
    const replicas = [{ id: 1 as ReplicaId, publicKey: nodes.replicaKeys[1] as Uint8Array, url: "wss://127.0.0.1:1" }];
    const { port } = await withPages({ tls: certificate, replicas });
    const socket = connectSecurely({ port, host: "127.0.0.1", ca: certificate.certificate });
    socket.write("GET /health HTTP/1.1\r\nHost: x\r\n\r\n");
    expect(await text(socket)).toMatch(/^HTTP\/1\.1 503 .*\r\n\r\nasked 1 times\n$/s);
  });

  const hasIPv6 = Object.values(networkInterfaces()).some((addresses) => addresses?.some(({ address }) => address === "::1"));
  it.runIf(hasIPv6)("is read over IPv6, as links are", async () => {
    const replicas = [{ id: 1 as ReplicaId, publicKey: nodes.replicaKeys[1] as Uint8Array, url: "ws://[::1]:1" }];
    const { port, events } = await withPages({ replicas });
    expect(statusOf(await raw(port, "GET /health HTTP/1.1\r\nHost: x\r\n\r\n", "::1"))).toBe(503);
    startClient(1, port, { url: `ws://[::1]:${port}` });
    await until(() => events.includes("client-1 up"));
  });
});

describe("what is no request for a page", () => {
  it("ends when its headers take more than `headerBytes`", async () => {
    const { port, transport, notices } = await withPages({ limits: { headerBytes: 1_000 } });
    const small = await raw(port, `GET /health HTTP/1.1\r\nHost: x\r\nX-Long: ${"x".repeat(800)}\r\n\r\n`);
    expect(statusOf(small)).toBe(503);
    expect(transport.counters.count("bad-http")).toBe(0);
    const large = await raw(port, `GET /health HTTP/1.1\r\nHost: x\r\nX-Long: ${"x".repeat(1_000)}\r\n\r\n`);
    expect(statusOf(large)).toBe(431);
    expect(transport.counters.count("bad-http")).toBe(1);
    expect(notices).toEqual([{ type: "stranger-refused", reason: "bad-http", address: "127.0.0.1" }]);
  });

  it("ends when it is no HTTP at all", async () => {
    const { port, transport } = await withPages();
    expect(statusOf(await raw(port, "\x16\x03\x01 hello?\r\n\r\n"))).toBe(400);
    expect(transport.counters.count("bad-http")).toBe(1);
  });

  it("ends when it asks to connect elsewhere, or for another protocol than WebSocket", async () => {
    const { port } = await withPages();
    const tunnel = connect(port, "127.0.0.1").on("error", () => undefined);
    tunnel.write("CONNECT 127.0.0.1:1 HTTP/1.1\r\nHost: x\r\n\r\n");
    await once(tunnel.resume(), "close");
    const answer = await raw(port, "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n");
    expect(statusOf(answer)).toBe(400);
  });

  it("counts as a stranger until it is answered", async () => {
    const { port, transport } = await withPages({ answer: () => new Promise(() => undefined), limits: { handshakeMs: 30 } });
    expect(await raw(port, "GET /health HTTP/1.1\r\nHost: x\r\n\r\n")).toBe("");
    expect(transport.counters.count("handshake-timeout")).toBe(1);
  });
});
