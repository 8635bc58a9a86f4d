/** The bounds of a link, each met with a small one: docs/limits.md, "Of a link". */
import { afterEach, describe, expect, it } from "vitest";
import type { ReplicaId } from "../../src/core/ids.ts";
import type { TransportLimits } from "../../src/transport/limits.ts";
import type { TransportNotice } from "../../src/transport/notice.ts";
import { clientPeer, replicaPeer } from "../../src/transport/peer.ts";
import { asClient, bytesOf, closeAll, expectAlive, frameBytes, Stranger, startClient, startPair, startReplica, until } from "./support.ts";

afterEach(closeAll);

/** No ping disturbs what is counted. */
const calm = { tickMs: 600_000 };

describe("what waits for a link", () => {
  it("to a replica is at most `replicaQueueBytes`, and the rest is lost and counted (A79)", async () => {
    const notices: TransportNotice[] = [];
    const limits = { ...calm, replicaQueueBytes: 2 * frameBytes, highWaterBytes: frameBytes };
    const pair = await startPair({ dialer: { limits, onNotice: (notice) => notices.push(notice) } });
    const { dialer, acceptor } = pair;
    acceptor.transport.pause(replicaPeer(0));
    let most = 0;
    for (let count = 0; count < 512; count++) {
      dialer.transport.send(1 as ReplicaId, new Uint8Array(frameBytes).fill(count));
      most = Math.max(most, dialer.transport.waitingBytes(replicaPeer(1)));
      if (count % 16 === 0) await new Promise(setImmediate);
    }
    const lost = dialer.transport.counters.count("queue-full", "replica-1");
    expect(lost).toBeGreaterThan(0);
    expect(most).toBeLessThan(4 * frameBytes + 1_024);
    const told = notices.flatMap((notice) => (notice.type === "frames-dropped" ? [notice] : []));
    expect(new Set(told.map(({ peer, reason }) => `${peer} ${reason}`))).toEqual(new Set(["replica-1 queue-full"]));
    expect(told.reduce((sum, { frames }) => sum + frames, 0)).toBe(lost);
    acceptor.transport.resume(replicaPeer(0));
    await until(() => acceptor.frames.length === 512 - lost);
    await expectAlive(pair);
  });

  it("is at most `queueFrames` frames, however small", async () => {
    const { dialer, acceptor } = await startPair({ dialer: { limits: { ...calm, queueFrames: 4 } } });
    acceptor.transport.pause(replicaPeer(0));
    const lost = (): number => dialer.transport.counters.count("queue-full");
    // Until the kernel takes no more.
    for (let sent = 0; lost() === 0 && sent < 1_024; sent++) {
      dialer.transport.send(1 as ReplicaId, new Uint8Array(frameBytes));
      await new Promise(setImmediate);
    }
    const before = lost();
    for (let count = 0; count < 10; count++) dialer.transport.send(1 as ReplicaId, bytesOf(`${count}`));
    expect(lost() - before).toBe(10);
    acceptor.transport.resume(replicaPeer(0));
    await until(() => acceptor.frames.includes("replica-0: 9"));
    expect(acceptor.frames.slice(-4)).toEqual([6, 7, 8, 9].map((count) => `replica-0: ${count}`));
  });
});

describe("what a peer sends", () => {
  const rates: readonly (readonly [keyof TransportLimits, "client" | "replica", number])[] = [
    ["clientFramesPerSecond", "client", 3],
    ["clientBytesPerSecond", "client", 300],
    ["replicaFramesPerSecond", "replica", 3],
    ["replicaBytesPerSecond", "replica", 300],
  ];
  it.each(rates)(
    "faster than `clientFramesPerSecond`, `clientBytesPerSecond`, `replicaFramesPerSecond`, `replicaBytesPerSecond` waits with it: %s",
    async (limit, role, value) => {
      const notices: TransportNotice[] = [];
      // Time stands still, so a debt is paid only as fast as the bucket says once: after the pause reading goes on.
      const acceptor = { limits: { ...calm, [limit]: value }, now: () => 0, onNotice: (notice: TransportNotice) => notices.push(notice) };
      const pair = await startPair({ acceptor, dialer: { limits: calm } });
      const client = startClient(1, pair.acceptor.port, { limits: calm });
      await until(() => client.events.includes("open"));
      const peer = role === "client" ? "client-1" : "replica-0";
      const frame = "x".repeat(100);
      const send = (): void =>
        role === "client" ? client.link.send(bytesOf(frame)) : pair.dialer.transport.send(1 as ReplicaId, bytesOf(frame));
      const { counters } = pair.acceptor.transport;
      for (let count = 0; count < 3; count++) send();
      await until(() => pair.acceptor.frames.length === 3);
      expect(counters.count("rate-limit")).toBe(0);
      send();
      await until(() => pair.acceptor.frames.length === 4);
      expect([counters.count("rate-limit"), counters.count("rate-limit", peer)]).toEqual([1, 1]);
      expect(notices.filter(({ type }) => type === "held-back")).toEqual([{ type: "held-back", peer }]);
    },
  );

  it("is read in turn: a client that sends much keeps nobody waiting (A68)", async () => {
    const replica = await startReplica(1, new Map(), { limits: calm });
    const [flood, other] = [startClient(1, replica.port, { limits: calm }), startClient(2, replica.port, { limits: calm })];
    await until(() => flood.events.includes("open") && other.events.includes("open"));
    for (const id of [1, 2]) replica.transport.pause(clientPeer(id));
    const large = new Uint8Array(frameBytes).fill(120);
    for (let count = 0; count < 100; count++) flood.link.send(large);
    for (let count = 0; count < 10; count++) other.link.send(bytesOf(`mine ${count}`));
    for (const id of [1, 2]) replica.transport.resume(clientPeer(id));
    await until(() => replica.frames.length === 110);
    expect(replica.frames.indexOf("client-2: mine 9")).toBeLessThan(50);
    expect(replica.transport.counters.totals()).toEqual(new Map());
  });
});

describe("who calls", () => {
  it("may open `reconnectBurst` links at once, and then `reconnectsPerSecond` (A75)", async () => {
    const clock = { now: 0 };
    const notices: TransportNotice[] = [];
    const limits = { ...calm, reconnectBurst: 2, reconnectsPerSecond: 1 };
    const replica = await startReplica(1, new Map(), { limits, now: () => clock.now, onNotice: (notice) => notices.push(notice) });
    const ups = (): number => replica.events.filter((event) => event.endsWith("up")).length;
    const call = async (): Promise<number | "open"> => {
      const stranger = await Stranger.at(replica.port);
      const before = ups();
      let code: number | undefined;
      const closed = stranger.closed.then((given) => {
        code = given;
        return given;
      });
      await stranger.shake(asClient(1));
      await until(() => ups() > before || code !== undefined);
      return ups() > before ? "open" : closed;
    };
    expect([await call(), await call(), await call()]).toEqual(["open", "open", 4004]);
    expect(notices.at(-1)).toEqual({ type: "stranger-refused", reason: "rate-limit", address: "127.0.0.1", claimed: "client-1" });
    clock.now = 1_000;
    expect([await call(), await call()]).toEqual(["open", 4004]);
  });

  it("is refused when it is the oldest of more than `strangersPerAddress`, and says so in a notice", async () => {
    const notices: TransportNotice[] = [];
    const replica = await startReplica(1, new Map(), { limits: { strangersPerAddress: 2 }, onNotice: (notice) => notices.push(notice) });
    const strangers = [];
    for (let count = 0; count < 3; count++) strangers.push(await Stranger.at(replica.port));
    expect(await strangers[0]?.closed).toBe(1006);
    expect(replica.transport.counters.count("too-many-connections")).toBe(1);
    expect(notices).toEqual([{ type: "stranger-refused", reason: "too-many-connections", address: "127.0.0.1" }]);
  });
});
