import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import type { ClientId, ReplicaId } from "../../src/core/ids.ts";
import { clientPeer, replicaPeer } from "../../src/transport/peer.ts";
import {
  bytesOf,
  Cable,
  closeAll,
  expectAlive,
  nodes,
  otherNodes,
  type Running,
  startClient,
  startPair,
  startReplica,
  until,
} from "./support.ts";

afterEach(closeAll);

const quick = { tickMs: 20, backoffMs: 5, backoffMaxMs: 20 };

describe("links between replicas", () => {
  it("connects four replicas pairwise, each pair by one link", async () => {
    const ports = new Map<number, number>();
    const replicas: Running[] = [];
    for (const id of [3, 2, 1, 0]) {
      const replica = await startReplica(id, ports);
      ports.set(id, replica.port);
      replicas.push(replica);
    }
    await until(() => replicas.every(({ transport }) => transport.links().length === 3));
    for (const { events } of replicas) expect(new Set(events).size).toBe(3);
    for (const { events } of replicas) expect(events).toHaveLength(3);
  });

  it("carries frames in order, in both directions, byte for byte", async () => {
    const pair = await startPair();
    for (let index = 0; index < 500; index++) pair.dialer.transport.send(1 as ReplicaId, bytesOf(`frame ${index}`));
    await until(() => pair.acceptor.frames.length === 500);
    expect(pair.acceptor.frames).toEqual(Array.from({ length: 500 }, (_, index) => `replica-0: frame ${index}`));
    await expectAlive(pair);
  });

  it("counts and drops a frame when there is no link, and one that is too large for any frame", async () => {
    const lonely = await startReplica(1);
    lonely.transport.send(0 as ReplicaId, bytesOf("x"));
    expect(lonely.transport.counters.count("no-link", "replica-0")).toBe(1);
    const { dialer } = await startPair();
    dialer.transport.send(1 as ReplicaId, new Uint8Array(64 * 1024 + 1));
    expect(dialer.transport.counters.count("frame-too-large", "replica-1")).toBe(1);
    expect(dialer.events).toEqual(["replica-1 up"]);
  });

  it("reconnects after the connection was reset, and says so on both sides", async () => {
    const acceptor = await startReplica(1);
    const cable = new Cable(acceptor.port);
    const dialer = await startReplica(0, new Map([[1, await cable.plug()]]), { limits: quick });
    await until(() => acceptor.events.length === 1 && dialer.events.length === 1);
    cable.reset();
    await until(() => acceptor.events.length === 3 && dialer.events.length === 3);
    expect(dialer.events).toEqual(["replica-1 up", "replica-1 down", "replica-1 up"]);
    expect(acceptor.events).toEqual(["replica-0 up", "replica-0 down", "replica-0 up"]);
    await expectAlive({ dialer, acceptor });
  });

  it("finds a replica that starts to listen only later", async () => {
    const first = await startReplica(1);
    await first.transport.close();
    const dialer = await startReplica(0, new Map([[1, first.port]]), { limits: quick });
    await until(() => dialer.transport.counters.count("connection-lost") > 2);
    const acceptor = await startReplica(1, new Map(), { listen: { port: first.port } });
    await until(() => dialer.events.length === 1);
    await expectAlive({ dialer, acceptor });
  });

  it("calls a replica as soon as its address is known", async () => {
    const acceptor = await startReplica(1);
    const asked: string[] = [];
    const replicas = nodes.replicaKeys.slice(0, 2).map((publicKey, id) => ({
      id: id as ReplicaId,
      publicKey,
      get url() {
        if (id === 0) return "ws://127.0.0.1:1";
        asked.push("url");
        return asked.length < 3 ? "" : `ws://127.0.0.1:${acceptor.port}`;
      },
    }));
    const dialer = await startReplica(0, new Map(), { replicas, limits: quick });
    await until(() => dialer.events.length === 1);
    await expectAlive({ dialer, acceptor });
  });

  it("gives up a call that nobody answers, and calls again", async () => {
    const silent = createServer((socket) => socket.resume().on("error", () => undefined));
    silent.listen(0, "127.0.0.1");
    await once(silent, "listening");
    const calls = once(silent, "connection").then(() => once(silent, "connection"));
    const { port } = silent.address() as AddressInfo;
    const dialer = await startReplica(0, new Map([[1, port]]), { limits: { ...quick, handshakeMs: 30 } });
    await calls;
    expect(dialer.transport.counters.count("handshake-timeout")).toBeGreaterThan(0);
    await dialer.transport.close();
    await new Promise((resolve) => silent.close(resolve));
  });

  it("notices a half-open connection and replaces it (A75)", async () => {
    const limits = { ...quick, silentTicks: 3 };
    const acceptor = await startReplica(1, new Map(), { limits });
    const cable = new Cable(acceptor.port);
    const dialer = await startReplica(0, new Map([[1, await cable.plug()]]), { limits });
    await until(() => acceptor.events.length === 1 && dialer.events.length === 1);
    cable.cut();
    await until(() => dialer.events.length === 3);
    expect(dialer.transport.counters.count("idle", "replica-1")).toBe(1);
    await until(() => acceptor.events.length === 3);
    await expectAlive({ dialer, acceptor });
  });

  it("keeps a link open on which nothing but pings is said", async () => {
    const limits = { tickMs: 5, silentTicks: 3 };
    const { dialer, acceptor } = await startPair({ dialer: { limits }, acceptor: { limits } });
    // Far more looks than the three that would end it; a slow machine only makes them fewer.
    await new Promise((resolve) => setTimeout(resolve, 200));
    expect([dialer.events, acceptor.events]).toEqual([["replica-1 up"], ["replica-0 up"]]);
  });
});

describe("who may have a link", () => {
  const refusals: readonly (readonly [string, Parameters<typeof startReplica>[2], string])[] = [
    ["of another cluster", { cluster: otherNodes.cluster.id }, "wrong-cluster"],
    ["with a key that is not in the cluster file", { secret: otherNodes.replicaSecrets[0] as Uint8Array }, "bad-signature"],
  ];
  it.each(refusals)("refuses a replica %s", async (_, wrong, code) => {
    const acceptor = await startReplica(1);
    const dialer = await startReplica(0, new Map([[1, acceptor.port]]), { limits: quick, ...wrong });
    await until(() => acceptor.transport.counters.count(code as "bad-signature") > 1);
    expect(acceptor.transport.counters.count("handshake-failed")).toBeGreaterThan(1);
    expect([acceptor.events, dialer.events]).toEqual([[], []]);
  });

  it("refuses to talk to a replica that cannot prove to be the one that was dialled", async () => {
    const impostor = await startReplica(2);
    const dialer = await startReplica(
      0,
      new Map([
        [1, impostor.port],
        [2, 1],
      ]),
      { limits: quick },
    );
    await until(() => dialer.transport.counters.count("peer-mismatch") > 0);
    const forger = await startReplica(1, new Map(), { secret: otherNodes.replicaSecrets[1] as Uint8Array });
    const other = await startReplica(0, new Map([[1, forger.port]]), { limits: quick });
    await until(() => other.transport.counters.count("bad-signature") > 0);
    expect([dialer.events, other.events]).toEqual([[], []]);
  });

  it("serves registered clients, and counts what it has for one that is away", async () => {
    const replica = await startReplica(1);
    const client = startClient(2, replica.port);
    client.link.send(bytesOf("too early"));
    expect(client.link.counters.count("no-link", "replica-1")).toBe(1);
    await until(() => client.events.includes("open"));
    client.link.send(bytesOf("put a 3"));
    await until(() => replica.frames.includes("client-2: put a 3"));
    replica.transport.sendToClient(2 as ClientId, bytesOf("done"));
    await until(() => client.frames.includes("done"));
    replica.transport.sendToClient(1 as ClientId, bytesOf("nobody there"));
    expect(replica.transport.counters.count("no-link", "client-1")).toBe(1);
    await client.link.close();
    await until(() => replica.events.includes("client-2 down"));
  });

  it("reconnects a client", async () => {
    const replica = await startReplica(1);
    const cable = new Cable(replica.port);
    const client = startClient(1, await cable.plug(), { limits: quick });
    await until(() => client.events.length === 1);
    cable.reset();
    await until(() => client.events.length === 3);
    expect(client.events).toEqual(["open", "connection-lost", "open"]);
  });

  it("lets the newer link of one identity take the place of the older", async () => {
    const replica = await startReplica(1);
    const first = startClient(1, replica.port, { limits: { backoffMs: 60_000, backoffMaxMs: 60_000 } });
    await until(() => replica.events.length === 1);
    const second = startClient(1, replica.port);
    await until(() => replica.events.length === 3);
    expect(replica.events).toEqual(["client-1 up", "client-1 down", "client-1 up"]);
    await until(() => first.events.includes("connection-lost"));
    replica.transport.sendToClient(1 as ClientId, bytesOf("who?"));
    await until(() => second.frames.includes("who?"));
    expect(replica.transport.counters.count("replaced", "client-1")).toBe(1);
  });

  it("lets an identity reconnect only so often (A75)", async () => {
    const replica = await startReplica(1, new Map(), { limits: { reconnectBurst: 3, reconnectsPerSecond: 0.001 } });
    startClient(1, replica.port, { limits: quick });
    startClient(1, replica.port, { limits: quick });
    await until(() => replica.transport.counters.count("rate-limit", "client-1") > 0);
    expect(replica.events).toEqual(["client-1 up", "client-1 down", "client-1 up", "client-1 down", "client-1 up"]);
    expect(replica.transport.links()).toEqual([clientPeer(1)]);
    const other = startClient(2, replica.port);
    await until(() => other.events.includes("open"));
  });
});

describe("cutting off", () => {
  it("closes the link of a penalised peer, refuses it for a while, and lets it come back", async () => {
    const limits = { ...quick, penaltyMs: 50 };
    const { dialer, acceptor } = await startPair({ dialer: { limits }, acceptor: { limits } });
    acceptor.transport.penalise(replicaPeer(0), "bad-signature");
    expect(acceptor.events).toEqual(["replica-0 up", "replica-0 down"]);
    await until(() => dialer.events.length === 3 && acceptor.events.length === 3);
    expect(acceptor.transport.counters.count("bad-signature", "replica-0")).toBe(1);
    expect(acceptor.transport.counters.count("penalised", "replica-0")).toBe(1);
    await expectAlive({ dialer, acceptor });
  });

  it("refuses a penalised peer's next handshake", async () => {
    const limits = { ...quick, penaltyMs: 600_000 };
    const { acceptor } = await startPair({ dialer: { limits }, acceptor: { limits } });
    acceptor.transport.penalise(replicaPeer(0), "bad-signature");
    await until(() => acceptor.transport.counters.count("penalised") > 1);
    expect(acceptor.transport.links()).toEqual([]);
  });

  it("does not call a peer that it penalised before the time is over", async () => {
    const limits = { ...quick, penaltyMs: 600_000 };
    const { dialer, acceptor } = await startPair({ dialer: { limits }, acceptor: { limits } });
    dialer.transport.penalise(replicaPeer(1), "bad-signature");
    await until(() => acceptor.events.length === 2);
    const client = startClient(1, acceptor.port);
    await until(() => client.events.includes("open"));
    expect(dialer.events).toEqual(["replica-1 up", "replica-1 down"]);
  });

  it("only counts when penalties are switched off", async () => {
    const { dialer, acceptor } = await startPair({ acceptor: { penalties: false } });
    acceptor.transport.penalise(replicaPeer(0), "bad-signature");
    expect(acceptor.transport.counters.count("bad-signature", "replica-0")).toBe(1);
    await expectAlive({ dialer, acceptor });
    expect(acceptor.events).toEqual(["replica-0 up"]);
  });
});

describe("holding back", () => {
  it("reads nothing from a paused peer until it is resumed, and loses nothing", async () => {
    const { dialer, acceptor } = await startPair();
    acceptor.transport.pause(replicaPeer(0));
    dialer.transport.send(1 as ReplicaId, bytesOf("later"));
    const client = startClient(1, acceptor.port);
    await until(() => client.events.includes("open"));
    client.link.send(bytesOf("meanwhile"));
    await until(() => acceptor.frames.length > 0);
    expect(acceptor.frames).toEqual(["client-1: meanwhile"]);
    acceptor.transport.resume(replicaPeer(0));
    await until(() => acceptor.frames.includes("replica-0: later"));
  });

  it("lets consensus overtake the client traffic that waits for a slow link", async () => {
    const { dialer, acceptor } = await startPair();
    acceptor.transport.pause(replicaPeer(0));
    // More than the kernel's buffers hold, and less than the outbox.
    const relayed = bytesOf("r".repeat(64 * 1024));
    for (let count = 0; count < 256; count++) dialer.transport.send(1 as ReplicaId, relayed, "client");
    dialer.transport.send(1 as ReplicaId, bytesOf("a vote"));
    expect(dialer.transport.waitingBytes(replicaPeer(1))).toBeGreaterThan(8 * 1024 * 1024);
    acceptor.transport.resume(replicaPeer(0));
    await until(() => acceptor.frames.length === 257);
    expect(acceptor.frames.indexOf("replica-0: a vote")).toBeLessThan(200);
    expect(dialer.transport.counters.count("queue-full")).toBe(0);
  });

  it("gives a client no new rate for a new link (A68)", async () => {
    const replica = await startReplica(1, new Map(), { limits: { clientFramesPerSecond: 2 }, now: () => 0 });
    const first = startClient(1, replica.port);
    await until(() => first.events.includes("open"));
    first.link.send(bytesOf("1"));
    first.link.send(bytesOf("2"));
    await until(() => replica.frames.length === 2);
    expect(replica.transport.counters.count("rate-limit")).toBe(0);
    await first.link.close();
    const second = startClient(1, replica.port);
    await until(() => second.events.includes("open"));
    second.link.send(bytesOf("3"));
    await until(() => replica.frames.length === 3);
    expect(replica.transport.counters.count("rate-limit", "client-1")).toBe(1);
  });

  it("loses nothing of a client that sends faster than its rate (A68)", async () => {
    const replica = await startReplica(1, new Map(), { limits: { clientFramesPerSecond: 100 } });
    const client = startClient(1, replica.port);
    await until(() => client.events.includes("open"));
    for (let index = 0; index < 110; index++) client.link.send(bytesOf(`${index}`));
    await until(() => replica.transport.counters.count("rate-limit", "client-1") > 0);
    client.link.send(bytesOf("last"));
    await until(() => replica.frames.includes("client-1: last"));
    expect(replica.frames).toEqual([...Array.from({ length: 110 }, (_, index) => `client-1: ${index}`), "client-1: last"]);
  });

  it("holds a flooding client back, and nobody else (A68)", async () => {
    const replica = await startReplica(1, new Map(), { limits: { clientFramesPerSecond: 1 } });
    const flood = startClient(1, replica.port);
    const other = startClient(2, replica.port);
    await until(() => flood.events.includes("open") && other.events.includes("open"));
    for (let index = 0; index < 500; index++) flood.link.send(bytesOf(`${index}`));
    await until(() => replica.transport.counters.count("rate-limit", "client-1") > 0);
    flood.link.send(bytesOf("minutes later"));
    other.link.send(bytesOf("mine"));
    await until(() => replica.frames.includes("client-2: mine"));
    expect(replica.frames).not.toContain("client-1: minutes later");
  });
});

describe("the address", () => {
  it("says in one line that a port is taken and what to do", async () => {
    const { port } = await startReplica(1);
    const error: unknown = await startReplica(1, new Map(), { listen: { port } }).catch((reason: unknown) => reason);
    expect(error).toMatchObject({
      name: "LabError",
      code: "port-in-use",
      exitCode: 2,
      message: `127.0.0.1:${port} is already in use: stop the process that listens there or choose another port`,
    });
  });

  it("says in one line that an address is not one of this machine", async () => {
    await expect(startReplica(1, new Map(), { listen: { host: "192.0.2.1", port: 0 } })).rejects.toMatchObject({
      code: "address-unavailable",
      message: "192.0.2.1 is not an address of this machine: choose one that is, or 0.0.0.0",
    });
  });

  it("refuses wss:// without a certificate", async () => {
    const replicas = [{ id: 1 as ReplicaId, publicKey: nodes.replicaKeys[1] as Uint8Array, url: "wss://127.0.0.1:1" }];
    await expect(startReplica(1, new Map(), { replicas })).rejects.toMatchObject({ code: "missing-certificate" });
  });

  it("closes everything, and can be closed while strangers are connected", async () => {
    const { dialer, acceptor } = await startPair();
    const client = startClient(1, acceptor.port);
    await until(() => client.events.includes("open"));
    await Promise.all([acceptor.transport.close(), dialer.transport.close()]);
    expect(acceptor.transport.links()).toEqual([]);
    expect(acceptor.transport.waitingBytes(clientPeer(1))).toBe(0);
    expect(acceptor.events.toSorted()).toEqual(["client-1 down", "client-1 up", "replica-0 down", "replica-0 up"]);
  });
});
