import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import type { ReplicaId } from "../../src/core/ids.ts";
import { nativeScheme } from "../../src/crypto/native.ts";
import { toCluster } from "../../src/launch/cluster-file.ts";
import { generateCluster } from "../../src/launch/keys.ts";
import { decodeResult, kv } from "../../src/services/key-value.ts";
import { createTransport } from "../../src/transport/transport.ts";
import { hexToBytes } from "../../src/wire/schema.ts";
import { useFolders } from "../support/folder.ts";
import { childrenOf, running } from "../support/processes.ts";
import { type Launched, launch, secretsOf, stopAll, stopLater } from "./support.ts";

const newFolder = useFolders();
const patience = { timeout: 20_000, interval: 20 };

/** Ports of loopback, in use until `free`. */
async function takePorts(count: number) {
  const servers = Array.from({ length: count }, () => createServer((socket) => socket.destroy()).listen(0, "127.0.0.1"));
  await Promise.all(servers.map((server) => once(server, "listening")));
  const free = async (index: number): Promise<void> => {
    const server = servers[index];
    if (!server?.listening) return;
    server.close();
    await once(server, "close");
  };
  stopLater(async () => {
    for (const index of servers.keys()) await free(index);
  });
  return { ports: servers.map((server) => (server.address() as AddressInfo).port), free };
}

describe("a set of replica processes", () => {
  afterEach(stopAll);

  it("does not start when a port is in use: the error names the address, and every process ends", async () => {
    const before = childrenOf(process.pid);
    const { ports, free } = await takePorts(4);
    for (const index of [0, 1, 3]) await free(index);
    const failure = await launch(newFolder(), { ports }, { anyPort: false }).catch((error: unknown) => error);
    expect(failure).toMatchObject({ name: "LabError", code: "port-in-use", exitCode: 2 });
    expect((failure as Error).message).toMatch(new RegExp(`^127\\.0\\.0\\.1:${ports[2]} is already in use: .+$`));
    expect(childrenOf(process.pid).filter((pid) => !before.includes(pid))).toEqual([]);
  });

  it("gives up when it is told to while it starts, and leaves nothing behind", async () => {
    const before = childrenOf(process.pid);
    const interrupted = new AbortController();
    const started = launch(newFolder(), {}, { signal: interrupted.signal });
    interrupted.abort();
    await expect(started).rejects.toThrow(expect.objectContaining({ name: "AbortError" }));
    expect(childrenOf(process.pid).filter((pid) => !before.includes(pid))).toEqual([]);
  });
});

describe("a running set", () => {
  let launched: Launched;

  beforeAll(async () => {
    launched = await launch(newFolder());
    await launched.set.linked(0);
  });
  afterAll(stopAll);

  it("says who died though nobody stopped it, goes on without it, and starts it again", async () => {
    const { set, deaths, connect } = launched;
    process.kill(set.pids[3] ?? 0, "SIGKILL");
    await expect.poll(() => deaths, patience).toEqual(["replica 3 ended unexpectedly: SIGKILL"]);
    expect(decodeResult(await connect(1).invoke(kv.put("a", "1")))).toEqual({ type: "ok" });
    await set.start(3);
    await set.linked(0);
    expect(running(set.pids)).toHaveLength(4);
  });

  it("lets nobody in with the keys of another cluster, and the true replica back in", async () => {
    const { set, connect } = launched;
    const client = connect(2);
    await set.kill(3);
    const impostor = createImpostor(set.urls);
    await impostor.listen();
    // It calls nobody, being the highest number: the others call it, and hang up.
    await expect.poll(() => impostor.counters.count("wrong-cluster"), patience).toBeGreaterThan(2);
    expect(impostor.counters.count("handshake-failed")).toBe(impostor.counters.count("wrong-cluster"));
    expect(impostor.links()).toEqual([]);
    expect(decodeResult(await client.invoke(kv.put("a", "1")))).toEqual({ type: "ok" });

    await impostor.close();
    await set.start(3);
    await set.linked(0);
    expect(decodeResult(await client.invoke(kv.get("a")))).toEqual({ type: "value", value: "1" });
  });

  it("is gone when it has stopped", async () => {
    const { pids } = launched.set;
    expect(running(pids)).toHaveLength(4);
    await launched.set.stop();
    expect(running(pids)).toEqual([]);
  });
});

/** Replica 3 by the file of another cluster, at the true one's address. */
function createImpostor(urls: readonly string[]) {
  const keys = generateCluster({ replicas: 4, clients: 2 });
  const transport = createTransport({
    self: 3 as ReplicaId,
    cluster: toCluster(keys.file).id,
    secret: secretsOf(keys)("replica-3"),
    scheme: nativeScheme,
    replicas: keys.file.members.map(({ publicKey }, id) => ({
      id: id as ReplicaId,
      publicKey: hexToBytes(publicKey),
      url: urls[id] ?? "",
    })),
    clients: [],
    frameBytes: keys.file.limits.frameBytes,
    onFrame: () => undefined,
    onLinkUp: () => undefined,
    onLinkDown: () => undefined,
  });
  stopLater(() => transport.close());
  return transport;
}
