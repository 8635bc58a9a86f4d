import { afterEach, describe, expect, it } from "vitest";
import type { ClientId, ReplicaId } from "../../src/core/ids.ts";
import { createRandom } from "../../src/core/random.ts";
import { perfectNetwork } from "../../src/faults/network.ts";
import { NetworkFaults, withFaults } from "../../src/transport/faulty.ts";
import { createTransport } from "../../src/transport/transport.ts";
import { bytesOf, closeAll, expectAlive, startClient, startPair, startReplica, until } from "./support.ts";

afterEach(closeAll);

const replica = (id: number): ReplicaId => id as ReplicaId;

/** The pair, with faults at the dialer (replica 0) or at the acceptor (replica 1). */
async function faultyPair(at: "dialer" | "acceptor", now: () => number = () => 0) {
  const faults = new NetworkFaults({ random: createRandom("faulty"), now });
  const pair = await startPair({ create: { [at]: withFaults(createTransport, faults) } });
  return { faults, pair };
}

describe("a transport with faults", () => {
  it("changes nothing until it is told to", async () => {
    const { pair, faults } = await faultyPair("dialer");
    await expectAlive(pair);
    expect(faults.counts()).toEqual({ blocked: 0, lost: 0, duplicated: 0, delayed: 0, overflowed: 0 });
  });

  it("cuts one direction and leaves the other, and heals", async () => {
    const { pair, faults } = await faultyPair("dialer");
    faults.block({ to: ["replica-1"] });
    pair.dialer.transport.send(replica(1), bytesOf("lost"));
    pair.acceptor.transport.send(replica(0), bytesOf("arrives"));
    await until(() => pair.dialer.frames.includes("replica-1: arrives"));
    faults.heal();
    await expectAlive(pair);
    expect(pair.acceptor.frames).not.toContain("replica-0: lost");
    expect(faults.counts().blocked).toBe(1);
  });

  it("cuts what arrives too, for peers that carry no faults", async () => {
    const { pair, faults } = await faultyPair("acceptor");
    const client = startClient(1, pair.acceptor.port);
    await until(() => client.events.includes("open"));
    faults.block({ from: ["client-1"], to: ["client-1"] });
    client.link.send(bytesOf("lost"));
    await until(() => faults.counts().blocked === 1);
    pair.acceptor.transport.sendToClient(1 as ClientId, bytesOf("lost too"));
    faults.heal();
    client.link.send(bytesOf("arrives"));
    await until(() => pair.acceptor.frames.includes("client-1: arrives"));
    pair.acceptor.transport.sendToClient(1 as ClientId, bytesOf("answer"));
    await until(() => client.frames.includes("answer"));
    expect([pair.acceptor.frames, client.frames]).toEqual([["client-1: arrives"], ["answer"]]);
    await expectAlive(pair);
  });

  it("loses, doubles, delays and reorders, and stops doing so at GST", async () => {
    let now = 0;
    const { pair, faults } = await faultyPair("dialer", () => now);
    faults.setNetwork({ delayMs: { min: 0, max: 3 }, loss: 0.2, duplicate: 0.2, reorder: 0.2, stableFromMs: 1_000 });
    const sent = Array.from({ length: 200 }, (_, index) => `replica-0: ${index}`);
    for (let index = 0; index < 200; index++) pair.dialer.transport.send(replica(1), bytesOf(`${index}`));
    const { lost, duplicated, delayed } = faults.counts();
    await until(() => pair.acceptor.frames.length === 200 - lost + duplicated);
    expect(Math.min(lost, duplicated)).toBeGreaterThan(10);
    expect(delayed).toBeGreaterThan(100);
    expect(new Set(pair.acceptor.frames).size).toBe(200 - lost);
    expect(pair.acceptor.frames.filter((frame) => !sent.includes(frame))).toEqual([]);
    expect(pair.acceptor.frames).not.toEqual(sent.filter((frame) => pair.acceptor.frames.includes(frame)));

    now = 1_000;
    const before = pair.acceptor.frames.length;
    for (let index = 0; index < 200; index++) pair.dialer.transport.send(replica(1), bytesOf(`stable ${index}`));
    await until(() => pair.acceptor.frames.length === before + 200);
    expect(faults.counts()).toMatchObject({ lost, duplicated });
  });

  it("gives one peer a network of its own", async () => {
    const { pair, faults } = await faultyPair("acceptor");
    faults.setNetwork({ ...perfectNetwork, loss: 1 }, "client-1");
    const client = startClient(1, pair.acceptor.port);
    await until(() => client.events.includes("open"));
    client.link.send(bytesOf("lost"));
    await until(() => faults.counts().lost === 1);
    await expectAlive(pair);
    expect(pair.acceptor.frames.filter((frame) => frame.startsWith("client"))).toEqual([]);
  });

  it("keeps a bounded number of bytes under way", async () => {
    const faults = new NetworkFaults({ random: createRandom("full"), now: () => 0 });
    faults.setNetwork({ ...perfectNetwork, delayMs: { min: 60_000, max: 60_000 } });
    const { transport } = await startReplica(1, new Map(), {}, withFaults(createTransport, faults));
    const frame = new Uint8Array(1024 * 1024);
    for (let count = 0; count < 70; count++) transport.send(replica(0), frame);
    expect(faults.counts()).toMatchObject({ delayed: 64, overflowed: 6 });
  });

  it("forgets what is under way when it is closed", async () => {
    const faults = new NetworkFaults({ random: createRandom("closed"), now: () => 0 });
    faults.setNetwork({ ...perfectNetwork, delayMs: { min: 10, max: 10 } });
    const { transport } = await startReplica(1, new Map(), {}, withFaults(createTransport, faults));
    transport.send(replica(0), bytesOf("under way"));
    await transport.close();
    // A timer set later and for longer fires later, however slow the machine is.
    await new Promise((resolve) => setTimeout(resolve, 30));
    expect([faults.counts().delayed, transport.counters.count("no-link")]).toEqual([1, 0]);
  });
});
