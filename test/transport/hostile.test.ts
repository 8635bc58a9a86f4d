/** What strangers and traitors do to a socket. In each case a valid pair goes on talking over its own link. */
import { once } from "node:events";
import { connect } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import type { ClientId } from "../../src/core/ids.ts";
import type { TransportReason } from "../../src/transport/counters.ts";
import type { TransportLimits } from "../../src/transport/limits.ts";
import { clientPeer, replicaPeer } from "../../src/transport/peer.ts";
import {
  asClient,
  asReplica,
  bytesOf,
  closeAll,
  expectAlive,
  frameBytes,
  otherNodes,
  Stranger,
  startClient,
  startPair,
  until,
} from "./support.ts";

afterEach(closeAll);

/** A pair whose acceptor is attacked by `attack`; afterwards it has counted `reason`, and the pair is alive on its first link. */
async function underAttack(reason: TransportReason, attack: (port: number) => Promise<unknown>, limits: Partial<TransportLimits> = {}) {
  const pair = await startPair({ acceptor: { limits } });
  const alive = expectAlive(pair);
  await attack(pair.acceptor.port);
  await alive;
  await until(() => pair.acceptor.transport.counters.count(reason) > 0);
  await expectAlive(pair);
  expect(pair.dialer.events).toEqual(["replica-1 up"]);
  expect(pair.acceptor.events.filter((event) => event.startsWith("replica"))).toEqual(["replica-0 up"]);
  return pair;
}

async function closeCodeAfter(port: number, act: (stranger: Stranger) => unknown): Promise<number> {
  const stranger = await Stranger.at(port);
  await act(stranger);
  return stranger.closed;
}

/** Upgrades by hand, sends bytes that a WebSocket library would not, and waits until the connection is closed. */
async function belowTheWebSocket(port: number, bytes: readonly number[]): Promise<void> {
  const socket = connect(port, "127.0.0.1").on("error", () => undefined);
  const headers =
    "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
  socket.write(`GET / HTTP/1.1\r\nHost: x\r\n${headers}\r\n`);
  await once(socket, "data");
  socket.resume().write(Uint8Array.from(bytes));
  await once(socket, "close");
}

describe("before the handshake is done", () => {
  const frames: readonly (readonly [string, Uint8Array])[] = [
    ["random bytes", Uint8Array.from({ length: 100 }, (_, index) => (index * 197 + 13) & 255)],
    ["an empty frame", new Uint8Array(0)],
    ["a consensus frame", Uint8Array.of(0x92, 0xc4, 1, 9, 0xc4, 1, 9)],
    ["a proof before any hello", Uint8Array.of(0x92, 2, 0xc4, 64, ...new Uint8Array(64))],
    ["a frame as large as the cluster allows", new Uint8Array(frameBytes)],
  ];
  it.each(frames)("closes a connection that sends %s", async (_, frame) => {
    await underAttack("early-frame", async (port) => {
      const code = await closeCodeAfter(port, (stranger) => stranger.send(frame));
      expect(code).toBe(4000);
    });
  });

  it("closes a connection that sends text", async () => {
    await underAttack("text-frame", async (port) => {
      expect(await closeCodeAfter(port, (stranger) => stranger.socket.send("hello"))).toBe(1003);
    });
  });

  it("refuses a frame of more than the cluster's limit by its header", async () => {
    await underAttack("oversize", (port) => belowTheWebSocket(port, [0x82, 0xff, 0, 0, 0, 0, 0, 1, 0, 1, 0, 0, 0, 0]));
  });

  it("reads `strangerBytes` of a stranger and no more, though the frame it announces is allowed", async () => {
    const limits = { strangerBytes: 400 };
    await underAttack(
      "early-frame",
      async (port) => {
        // An honest handshake fits.
        const client = startClient(1, port);
        await until(() => client.events.includes("open"));
        const stranger = await Stranger.at(port);
        stranger.socket.send(new Uint8Array(401), { fin: false });
        expect(await stranger.closed).toBe(4000);
      },
      limits,
    );
  });

  it("closes a connection that cuts its hello short", async () => {
    await underAttack("early-frame", async (port) => {
      const donor = await Stranger.at(port);
      await donor.shake(asClient(1));
      const hello = donor.sent[0] as Uint8Array;
      for (let length = 0; length < hello.length; length += 7) {
        expect(await closeCodeAfter(port, (stranger) => stranger.send(hello.subarray(0, length)))).toBe(4000);
      }
    });
  });

  it("ends a connection that says nothing for `handshakeMs`", async () => {
    await underAttack("handshake-timeout", async (port) => (await Stranger.at(port)).closed, { handshakeMs: 30 });
  });

  it("ends a connection that never asks for a WebSocket", async () => {
    await underAttack(
      "handshake-timeout",
      async (port) => {
        const socket = connect(port, "127.0.0.1").on("error", () => undefined);
        socket.write("GET / HTTP/1.1\r\nX-Slow: ");
        await once(socket, "close");
      },
      { handshakeMs: 30 },
    );
  });

  it("answers a plain HTTP request and hangs up", async () => {
    const { acceptor } = await startPair();
    const response = await fetch(`http://127.0.0.1:${acceptor.port}/`);
    expect([response.status, response.headers.get("connection")]).toEqual([426, "close"]);
  });
});

describe("false identities", () => {
  const liars: readonly (readonly [string, TransportReason, Parameters<Stranger["shake"]>[0]])[] = [
    ["a client without its key", "bad-signature", { ...asClient(1), secret: otherNodes.clientSecrets[0] as Uint8Array }],
    ["a replica without its key", "bad-signature", { ...asReplica(0), secret: otherNodes.replicaSecrets[0] as Uint8Array }],
    ["a client that is not in the cluster file", "unknown-sender", { ...asClient(1), self: clientPeer(77) }],
    ["a replica that is not in the cluster file", "unknown-sender", { ...asReplica(0), self: replicaPeer(77) }],
    ["the replica itself", "peer-mismatch", asReplica(1)],
    ["a node of another cluster", "wrong-cluster", { ...asClient(1), cluster: otherNodes.cluster.id }],
  ];
  it.each(liars)("refuses %s", async (_, reason, liar) => {
    const { acceptor } = await underAttack(reason, async (port) => {
      expect(await closeCodeAfter(port, (stranger) => stranger.shake(liar))).toBe(4001);
    });
    expect(acceptor.transport.counters.count("handshake-failed")).toBe(1);
    expect(acceptor.events).toEqual(["replica-0 up"]);
  });

  it("does not take the bytes of a valid handshake a second time", async () => {
    const { acceptor } = await underAttack("bad-signature", async (port) => {
      const valid = await Stranger.at(port);
      await valid.shake(asClient(1));
      await until(() => valid.received.length === 2);
      const replayed = await closeCodeAfter(port, async (stranger) => {
        for (const frame of valid.sent) stranger.send(frame);
      });
      expect(replayed).toBe(4001);
    });
    expect(acceptor.events).toEqual(["replica-0 up", "client-1 up"]);
  });

  it("keeps the link of an identity that a stranger only claims", async () => {
    const pair = await startPair();
    for (let attempt = 0; attempt < 5; attempt++) {
      const code = await closeCodeAfter(pair.acceptor.port, (stranger) =>
        stranger.shake({ ...asReplica(0), secret: otherNodes.replicaSecrets[0] as Uint8Array }),
      );
      expect(code).toBe(4001);
    }
    await expectAlive(pair);
    expect(pair.acceptor.events).toEqual(["replica-0 up"]);
  });

  it.each([{ strangers: 5 }, { strangersPerAddress: 5 }])(
    "makes room for a correct peer when strangers hold every connection (`strangers`, `strangersPerAddress`): %o",
    async (limits) => {
      const { acceptor } = await underAttack(
        "too-many-connections",
        async (port) => {
          for (let count = 0; count < 6; count++) await Stranger.at(port);
          const client = startClient(1, port);
          await until(() => client.events.includes("open"));
        },
        limits,
      );
      expect(acceptor.events).toContain("client-1 up");
    },
  );
});

describe("after a valid handshake", () => {
  async function traitor(port: number): Promise<Stranger> {
    const stranger = await Stranger.at(port);
    await stranger.shake(asClient(1));
    await until(() => stranger.received.length === 2);
    return stranger;
  }

  it("closes a peer that sends text", async () => {
    const { acceptor } = await underAttack("text-frame", async (port) => {
      const peer = await traitor(port);
      peer.socket.send("text");
      expect(await peer.closed).toBe(1003);
    });
    expect(acceptor.transport.counters.count("text-frame", "client-1")).toBe(1);
    expect(acceptor.events).toContain("client-1 down");
  });

  it("closes a peer that sends more than `frameBytes`, whole or in pieces (A78)", async () => {
    await underAttack("oversize", async (port) => {
      const peer = await traitor(port);
      peer.send(new Uint8Array(frameBytes + 1));
      expect(await peer.closed).toBe(1009);
      const pieces = await traitor(port);
      for (let count = 0; count < 3; count++) pieces.socket.send(new Uint8Array(frameBytes / 2), { fin: false });
      expect(await pieces.closed).toBe(1009);
    });
  });

  it("closes a peer that sends a frame in more than `fragments` pieces (A78)", async () => {
    const { acceptor } = await underAttack(
      "too-many-fragments",
      async (port) => {
        const peer = await traitor(port);
        const send = (pieces: number, fin: boolean): void => {
          for (let count = 1; count <= pieces; count++) peer.socket.send(Uint8Array.of(120), { fin: fin && count === pieces });
        };
        send(8, true);
        send(9, false);
        expect(await peer.closed).toBe(1008);
      },
      { fragments: 8 },
    );
    expect(acceptor.frames).toContain("client-1: xxxxxxxx");
  });

  const malformed: readonly (readonly [string, readonly number[]])[] = [
    ["an unmasked frame", [0x82, 0x01, 0x00]],
    ["reserved bits", [0xf2, 0x80, 0, 0, 0, 0]],
    ["an unknown opcode", [0x83, 0x80, 0, 0, 0, 0]],
    ["a close frame with a code that is none", [0x88, 0x82, 0, 0, 0, 0, 0xff, 0xff]],
    ["a ping that is too long", [0x89, 0xfe, 0x01, 0x00, 0, 0, 0, 0]],
    ["a continuation of nothing", [0x80, 0x80, 0, 0, 0, 0]],
  ];
  it.each(malformed)("survives %s below the WebSocket (A77)", async (_, bytes) => {
    await underAttack("bad-websocket", (port) => belowTheWebSocket(port, bytes));
  });

  it("bounds what it keeps for a peer that reads nothing, and closes it: `clientQueueBytes`, `highWaterBytes`, `stalledTicks` (A72, A79)", async () => {
    const limits = { tickMs: 50, stalledTicks: 4, clientQueueBytes: 2 * frameBytes, highWaterBytes: frameBytes };
    let most = 0;
    const pair = await startPair({ acceptor: { limits } });
    const peer = await traitor(pair.acceptor.port);
    peer.socket.pause();
    const { transport } = pair.acceptor;
    // More than the kernel's buffers on both sides take; every frame beyond the bound has to give way.
    for (let megabytes = 0; megabytes < 32; megabytes++) {
      for (let count = 0; count < 16; count++) transport.sendToClient(1 as ClientId, new Uint8Array(frameBytes));
      most = Math.max(most, transport.waitingBytes(clientPeer(1)));
      await new Promise(setImmediate);
    }
    await until(() => pair.acceptor.events.includes("client-1 down"));
    expect(transport.counters.count("queue-full", "client-1")).toBeGreaterThan(0);
    expect(transport.counters.count("slow-reader", "client-1")).toBe(1);
    // The outbox, the high mark, the frame that crossed it, and headers.
    expect(most).toBeLessThan(4 * frameBytes + 1_024);
    await expectAlive(pair);
  });

  it("closes a peer that reads too slowly for what it asks for, though it reads: `overflowTicks`", async () => {
    const limits = { tickMs: 20, overflowTicks: 3, stalledTicks: 1_000, silentTicks: 1_000, clientQueueBytes: frameBytes };
    const pair = await startPair({ acceptor: { limits } });
    const peer = await traitor(pair.acceptor.port);
    const { transport } = pair.acceptor;
    const flood = setInterval(() => {
      for (let count = 0; count < 64; count++) transport.sendToClient(1 as ClientId, new Uint8Array(frameBytes));
    }, 1);
    await until(() => pair.acceptor.events.includes("client-1 down"));
    clearInterval(flood);
    expect(transport.counters.count("slow-reader", "client-1")).toBe(1);
    expect(peer.received.length).toBeGreaterThan(2);
  });

  it("ends a peer that answers no ping, though its connection stands: `tickMs`, `silentTicks`", async () => {
    await underAttack(
      "idle",
      async (port) => {
        const peer = await traitor(port);
        peer.socket.pause();
      },
      { tickMs: 20, silentTicks: 3 },
    );
  });

  it("survives ten thousand pings in a row", async () => {
    const pair = await startPair();
    const peer = await traitor(pair.acceptor.port);
    for (let count = 0; count < 10_000; count++) peer.socket.ping();
    peer.send(bytesOf("still here"));
    await until(() => pair.acceptor.frames.includes("client-1: still here") || pair.acceptor.events.includes("client-1 down"));
    await expectAlive(pair);
  });

  it("survives a connection reset at any point of the handshake", async () => {
    const pair = await startPair();
    for (const when of [0, 1, 2]) {
      const stranger = await Stranger.at(pair.acceptor.port);
      if (when > 0) void stranger.shake(asClient(1));
      if (when > 1) await until(() => stranger.received.length === 2);
      stranger.socket.terminate();
      await stranger.closed;
    }
    await expectAlive(pair);
    expect(pair.dialer.events).toEqual(["replica-1 up"]);
  });
});
