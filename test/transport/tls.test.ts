import { once } from "node:events";
import { connect } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import type { ClientId, ReplicaId } from "../../src/core/ids.ts";
import { selfSigned } from "./certificate.ts";
import { bytesOf, closeAll, nodes, startClient, startReplica, until } from "./support.ts";

afterEach(closeAll);

const certificate = selfSigned();
const quick = { backoffMs: 5, backoffMaxMs: 20 };

const secureReplica = (limits = {}) =>
  startReplica(1, new Map(), {
    tls: certificate,
    limits,
    replicas: nodes.replicaKeys.slice(0, 2).map((publicKey, id) => ({ id: id as ReplicaId, publicKey, url: "wss://127.0.0.1:1" })),
  });

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
    const plain = startClient(2, replica.port, { limits: quick });
    await until(() => wary.events.length > 1 && plain.events.length > 1);
    expect(new Set([...wary.events, ...plain.events])).toEqual(new Set(["connection-lost"]));
    expect(replica.events).toEqual([]);
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
