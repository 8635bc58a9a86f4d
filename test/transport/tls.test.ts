import { once } from "node:events";
import { connect } from "node:net";
import { connect as connectSecurely } from "node:tls";
import { afterEach, describe, expect, it, vi } from "vitest";
import type { ClientId, ReplicaId } from "../../src/core/ids.ts";
import type { TransportNotice } from "../../src/transport/notice.ts";
import type { TransportOptions } from "../../src/transport/transport.ts";
import { selfSigned } from "./certificate.ts";
import { bytesOf, closeAll, nodes, startClient, startReplica, until } from "./support.ts";

afterEach(closeAll);

const certificate = selfSigned();
const quick = { backoffMs: 5, backoffMaxMs: 20 };

/** Replica `self` of two; it believes that the other listens at `url`. */
const secureNode = (self: number, url: string, more: Partial<TransportOptions>) =>
  startReplica(self, new Map(), {
    tls: certificate,
    replicas: nodes.replicaKeys.slice(0, 2).map((publicKey, id) => ({ id: id as ReplicaId, publicKey, url })),
    ...more,
  });
const secureReplica = (limits = {}) => secureNode(1, "wss://127.0.0.1:1", { limits });

/** Replica 0 calls a secure replica 1 under this name, and trusts these roots. */
async function call(host: string, authority: string) {
  const notices: TransportNotice[] = [];
  const acceptor = await secureReplica();
  // Its own address has to be one, whatever it calls the other.
  const listen = { host: "127.0.0.1", port: 0 };
  const more = { tls: { ...certificate, authority }, limits: quick, listen, onNotice: (notice: TransportNotice) => notices.push(notice) };
  const dialer = await secureNode(0, `wss://${host}:${acceptor.port}`, more);
  await until(() => notices.length > 0);
  return { acceptor, dialer, notices };
}

describe("links over TLS", () => {
  it("carry frames both ways to who trusts the certificate", async () => {
    const replica = await secureReplica();
    const url = `wss://127.0.0.1:${replica.port}`;
    const client = startClient(1, replica.port, { url, tls: { authority: certificate.certificate } });
    await until(() => client.events.includes("open"));
    client.link.send(bytesOf("secret"));
    await until(() => replica.frames.includes("client-1: secret"));
    replica.transport.sendToClient(1 as ClientId, bytesOf("answer"));
    await until(() => client.frames.includes("answer"));
  });

  it("do not open to who trusts another authority, nor without TLS", async () => {
    const replica = await secureReplica();
    const url = `wss://127.0.0.1:${replica.port}`;
    const wary = startClient(1, replica.port, { url, tls: { authority: selfSigned().certificate }, limits: quick });
    await until(() => wary.events.length > 1);
    expect(new Set(wary.events)).toEqual(new Set(["tls-failed"]));
    expect(wary.link.counters.count("tls-failed", "replica-1")).toBeGreaterThan(1);
    await wary.link.close();
    const before = replica.transport.counters.count("tls-failed");
    const plain = startClient(2, replica.port, { limits: quick });
    await until(() => plain.events.length > 1);
    expect(new Set(plain.events)).toEqual(new Set(["connection-lost"]));
    expect(replica.transport.counters.count("tls-failed")).toBeGreaterThan(before);
    expect(replica.events).toEqual([]);
  });

  it("open between replicas that trust each other's authority", async () => {
    const { acceptor, dialer } = await call("127.0.0.1", certificate.certificate);
    expect([dialer.events, acceptor.events]).toEqual([["replica-1 up"], ["replica-0 up"]]);
  });

  it.each([
    ["another authority", "127.0.0.1", selfSigned().certificate, "DEPTH_ZERO_SELF_SIGNED_CERT"],
    ["a certificate that names another host", "localhost", certificate.certificate, "ERR_TLS_CERT_ALTNAME_INVALID"],
  ])("are refused, counted and told of for %s", async (_, host, authority, detail) => {
    const { dialer, notices } = await call(host, authority);
    expect(notices[0]).toEqual({ type: "call-failed", peer: "replica-1", reason: "tls-failed", detail });
    expect(dialer.transport.counters.count("tls-failed")).toBeGreaterThan(0);
    expect(dialer.events).toEqual([]);
  });

  it("are checked although the environment says not to", async () => {
    vi.stubEnv("NODE_TLS_REJECT_UNAUTHORIZED", "0");
    const { notices } = await call("127.0.0.1", selfSigned().certificate);
    expect(notices[0]).toMatchObject({ type: "call-failed", reason: "tls-failed" });
  });

  it("take TLS 1.3 and nothing older", async () => {
    const replica = await secureReplica();
    const old = connectSecurely({ port: replica.port, host: "127.0.0.1", ca: certificate.certificate, maxVersion: "TLSv1.2" });
    old.on("error", () => undefined);
    await new Promise((resolve) => old.on("close", resolve));
    expect(replica.transport.counters.count("tls-failed")).toBe(1);
    const current = connectSecurely({ port: replica.port, host: "127.0.0.1", ca: certificate.certificate });
    await once(current, "secureConnect");
    expect(current.getProtocol()).toBe("TLSv1.3");
    current.destroy();
  });

  it("end a TLS handshake that begins and never finishes", async () => {
    const replica = await secureReplica({ handshakeMs: 50 });
    const slow = connect(replica.port, "127.0.0.1").on("error", () => undefined);
    slow.write(Uint8Array.of(0x16, 0x03, 0x01, 0x02, 0x00, 0x01));
    await once(slow.resume(), "close");
    expect(replica.transport.counters.count("handshake-timeout")).toBe(1);
  });

  it("are refused in one line when key and certificate do not belong together, or are no PEM", async () => {
    const mixed = secureNode(1, "wss://127.0.0.1:1", { tls: { ...certificate, key: selfSigned().key } });
    await expect(mixed).rejects.toMatchObject({ name: "LabError", code: "bad-certificate" });
    const noPem = secureNode(1, "wss://127.0.0.1:1", { tls: { key: "key", certificate: "certificate" } });
    await expect(noPem).rejects.toThrow(/^the TLS key and certificate cannot be used: .*; both are PEM texts that belong together$/);
  });

  it("count those who never begin the TLS handshake as strangers, and nobody else", async () => {
    const replica = await secureReplica({ handshakeMs: 50 });
    const authority = certificate.certificate;
    const client = startClient(1, replica.port, { url: `wss://127.0.0.1:${replica.port}`, tls: { authority } });
    await until(() => client.events.includes("open"));
    const silent = connect(replica.port, "127.0.0.1").on("error", () => undefined);
    await once(silent, "close");
    expect(replica.transport.counters.count("handshake-timeout")).toBe(1);
    expect(client.events).toEqual(["open"]);
  });
});
