import { readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { clientName } from "../../src/core/ids.ts";
import type { Request } from "../../src/core/message.ts";
import { type Client, type ConnectOptions, connect } from "../../src/launch/connect.ts";
import { type GeneratedCluster, generateCluster, writeCluster } from "../../src/launch/keys.ts";
import { decodeResult, kv } from "../../src/services/key-value.ts";
import { checkBehaviour, traitors } from "../../src/traitors/catalogue.ts";
import { useFolders } from "../support/folder.ts";
import { type Launched, launch, secretsOf, stopAll, stopLater } from "./support.ts";

const newFolder = useFolders();
const patience = { timeout: 30_000, interval: 20 };

function connectTo({ set, keys }: Pick<Launched, "set" | "keys">, id = 1, more: Partial<ConnectOptions> = {}): Client {
  const client = connect({ cluster: keys.file, id, secret: secretsOf(keys)(clientName(id)), urls: set.urls, ...more });
  stopLater(() => client.close());
  return client;
}

/** The cluster's files, as a user has them, with the addresses of those who really listen. */
function filesOf({ set, keys }: Launched): string {
  const folder = join(newFolder(), "keys");
  const members = keys.file.members.map((member, id) => ({ ...member, url: set.urls[id] as string }));
  writeCluster(folder, { ...keys, file: { ...keys.file, members } });
  return folder;
}

/** Who is refused for what, in one line. */
function refusal(options: ConnectOptions): string {
  try {
    const client = connect(options);
    stopLater(() => client.close());
    return "connected";
  } catch (error) {
    const { name, code, message } = error as Error & { code?: string };
    expect(name).toBe("LabError");
    expect(message).not.toContain("\n");
    return `${code}: ${message}`;
  }
}

describe("a client of a running set", () => {
  const clientWindow = 8;
  let launched: Launched;

  beforeAll(async () => {
    launched = await launch(newFolder(), { clients: 8, limits: { clientWindow } });
    await launched.set.linked(0);
  });
  afterAll(stopAll);

  it("puts, gets, swaps and deletes", async () => {
    const client = connectTo(launched);
    expect(await client.get("a")).toBeUndefined();
    await client.put("a", "3");
    expect(await client.get("a")).toBe("3");
    expect([await client.cas("a", "4", "5"), await client.cas("a", undefined, "5"), await client.cas("a", "3", "4")]).toEqual([
      false,
      false,
      true,
    ]);
    expect([await client.cas("b", "1", "2"), await client.cas("b", undefined, "1")]).toEqual([false, true]);
    expect([await client.del("a"), await client.del("a")]).toEqual([true, false]);
    expect(decodeResult(await client.invoke(kv.get("b")))).toEqual({ type: "value", value: "1" });
    expect(client.state()).toMatchObject({ inFlight: 0, queued: 0, nextNumber: 12, breaker: "closed" });
    expect(client.state().counters).toEqual({ invoked: 11, returned: 11, timedOut: 0, refused: 0, suspected: [0, 0, 0, 0] });
  });

  it("turns what the store refuses into an error with the store's code", async () => {
    const client = connectTo(launched, 2);
    await expect(client.get("")).rejects.toMatchObject({ name: "LabError", code: "bad-key" });
    await expect(client.put("a", "x".repeat(40_000))).rejects.toMatchObject({ name: "LabError", code: "bad-value" });
    await expect(client.invoke(new Uint8Array(70_000))).rejects.toMatchObject({ name: "LabError", code: "operation-too-large" });
    expect(client.state().counters.returned).toBe(2);
  });

  it("works beside others in one process, each with a bounded window of requests on the way (rule 59)", async () => {
    const worst: number[] = [];
    const clients = [3, 4, 5].map((id) => {
      const unresolved = new Set<number>();
      return connectTo(launched, id, {
        watcher: {
          sent: (_from, _to, { message }) => worst.push((message as Request).number - Math.min(...unresolved)),
          received: () => undefined,
          did: (effect) => {
            if (effect.type === "observe") unresolved.add(effect.event.request);
            if (effect.type === "return") unresolved.delete(effect.number);
          },
        },
      });
    });
    await Promise.all(
      clients.flatMap((client) => Array.from({ length: 100 }, (_, index) => client.put(`${client.id}-${index}`, `${index}`))),
    );
    for (const client of clients) expect(await client.get(`${client.id}-99`)).toBe("99");
    expect(Math.max(...worst)).toBe(clientWindow - 1);
  });

  it("stops waiting when its signal says so, and learns the result nevertheless", async () => {
    const client = connectTo(launched, 6);
    const controller = new AbortController();
    const put = client.put("a", "1", { signal: controller.signal });
    controller.abort();
    await expect(put).rejects.toMatchObject({ name: "AbortError" });
    await expect(client.put("a", "2", { signal: controller.signal })).rejects.toMatchObject({ name: "AbortError" });
    await expect.poll(() => client.state().counters, patience).toMatchObject({ invoked: 1, returned: 1 });
    expect(await client.get("a")).toBe("1");
  });

  it("rejects what is under way when it is closed, and everything after", async () => {
    let closed = 0;
    const client = connectTo(launched, 7, { onClose: () => closed++ });
    const put = client.put("a", "1");
    const linked = client.linked(4);
    const closing = [client.close(), client.close()];
    await expect(put).rejects.toMatchObject({ code: "client-closed" });
    await expect(linked).rejects.toMatchObject({ code: "client-closed" });
    await expect(client.get("a")).rejects.toMatchObject({ code: "client-closed" });
    await expect(client.linked()).rejects.toMatchObject({ code: "client-closed" });
    await Promise.all(closing);
    expect([closed, client.state().linksOpen]).toEqual([1, 0]);
  });

  it("goes on with its numbers where it left off, from files alone", async () => {
    const folder = filesOf(launched);
    const cluster = join(folder, "cluster.json");
    for (let life = 0; life < 3; life++) {
      await using client = connect({ cluster, id: 8 });
      expect(client.state().nextNumber).toBe(1 + 20 * life);
      await Promise.all(Array.from({ length: 20 }, (_, index) => client.put("life", `${life} ${index}`)));
    }
    expect(readdirSync(folder).filter((name) => name.startsWith("client-8"))).toEqual(["client-8.key", "client-8.numbers"]);
  });
});

describe("without a quorum", () => {
  afterEach(stopAll);

  it("an operation ends after `timeoutMs`, its outcome unknown; later ones are refused at once, until a result comes", async () => {
    const launched = await launch(newFolder());
    const { set } = launched;
    await set.linked(0);
    const client = connectTo(launched, 1, { timeout: "300ms", breaker: { failures: 2, coolDownMs: 600_000, coolDownMaxMs: 600_000 } });
    await client.linked(4);
    set.pause(0);
    set.pause(1);
    const unknown =
      /^no result within 0\.3 s, links to \d of 4 replicas are open; the outcome is unknown: [^\n]* its number 1 is never used again$/;
    await expect(client.put("a", "1")).rejects.toMatchObject({ code: "timed-out", message: expect.stringMatching(unknown) });
    expect(client.state().breaker).toBe("closed");
    await expect(client.put("b", "2")).rejects.toMatchObject({ code: "timed-out" });
    expect(client.state()).toMatchObject({ breaker: "open", inFlight: 2, counters: { timedOut: 2 } });
    const open = /^2 operations in a row ran into their deadline: the next try is let through in \d+(?:\.\d+)? s$/;
    await expect(client.get("a")).rejects.toMatchObject({ code: "circuit-open", message: expect.stringMatching(open) });
    expect(client.state().counters).toMatchObject({ invoked: 2, returned: 0, refused: 1 });

    // The core went on asking: what was given up takes effect, once, and shows that there is a quorum again.
    set.resume(0);
    set.resume(1);
    await expect.poll(() => client.state(), patience).toMatchObject({ breaker: "closed", inFlight: 0, counters: { returned: 2 } });
    expect([await client.get("a", { timeoutMs: 30_000 }), await client.get("b", { timeoutMs: 30_000 })]).toEqual(["1", "2"]);
  });

  it("a probe is let through after the cool-down, and closes the circuit when it returns", async () => {
    const launched = await launch(newFolder());
    const { set } = launched;
    const client = connectTo(launched, 1, { breaker: { failures: 1, coolDownMs: 1, coolDownMaxMs: 1 } });
    await client.linked(4);
    for (const id of [1, 2, 3]) await set.kill(id);
    await expect(client.put("a", "1", { timeoutMs: 100 })).rejects.toMatchObject({ code: "timed-out" });
    await expect.poll(() => client.state().breaker, patience).toBe("half-open");
    const probe = client.put("b", "2", { timeoutMs: Number.POSITIVE_INFINITY });
    await expect(client.get("a")).rejects.toThrow("1 operations in a row ran into their deadline: one try is on its way and decides");
    for (const id of [1, 2, 3]) await set.start(id);
    await probe;
    expect(client.state().breaker).toBe("closed");
  });

  it("waiting for links ends, and says how many there are", async () => {
    const launched = await launch(newFolder());
    const client = connectTo(launched, 1, { timeout: "200ms" });
    await launched.set.kill(3);
    await expect.poll(() => client.state().linksOpen, patience).toBe(3);
    await client.linked();
    await expect(client.linked(4)).rejects.toMatchObject({
      code: "not-linked",
      message: expect.stringMatching(/^links to 3 of 4 replicas/),
    });
  });
});

describe("a client among faults", () => {
  afterEach(stopAll);

  it("believes f+1 replicas and no liar, and says who contradicted them (rule 58, A11)", async () => {
    const lies = { behaviours: [checkBehaviour(traitors.lieInReplies())] };
    const launched = await launch(newFolder(), {}, { traitors: new Map([[2, lies]]) });
    const client = connectTo(launched);
    await client.linked(4);
    for (let round = 0; round < 20; round++) {
      await client.put("a", `${round}`);
      expect(await client.get("a")).toBe(`${round}`);
    }
    await expect.poll(() => client.state().counters.suspected, patience).toEqual([0, 0, expect.any(Number), 0]);
    expect(client.state().counters.suspected[2]).toBeGreaterThan(0);
  });

  it("makes progress while one replica after the other is killed and started", async () => {
    const launched = await launch(newFolder(), { limits: { checkpointInterval: 4, window: 8 } });
    const { set } = launched;
    await set.linked(0);
    const client = connectTo(launched);
    let value = 0;
    const count = async (more: number): Promise<void> => {
      for (const end = value + more; value < end; value++)
        expect(await client.cas("n", value === 0 ? undefined : `${value}`, `${value + 1}`)).toBe(true);
    };
    await count(10);
    for (const id of [3, 2, 1, 0]) {
      await set.kill(id);
      await count(10);
      await set.start(id);
      await set.linked(1);
      // Its memory went with it: the next one may fall when it has what the others have (rule 77).
      const others = Math.max(...[0, 1, 2, 3].map((other) => set.progress(other).executed));
      await expect.poll(() => set.progress(id).executed, patience).toBeGreaterThanOrEqual(others);
      await count(10);
    }
    expect(await client.get("n")).toBe("90");
    expect(client.state().counters).toMatchObject({ invoked: 91, returned: 91, timedOut: 0 });
  });
});

describe("connecting is refused, in one line,", () => {
  const keys: GeneratedCluster = generateCluster({ replicas: 4, clients: 2, ports: 1 });
  const secret = secretsOf(keys)("client-1");
  afterEach(stopAll);

  it.each<[string, Partial<ConnectOptions>, string]>([
    ["without a cluster file", { cluster: "nowhere/cluster.json" }, "unreadable-file: nowhere/cluster.json: there is no such cluster file"],
    ["as a client that the cluster does not know", { id: 3 }, "no-client: there is no client 3: the cluster file names the clients 1..2"],
    ["with the key of somebody else", { id: 2 }, "wrong-secret: this is not the private key that the cluster file names for client-2"],
    ["with too few urls", { urls: ["ws://127.0.0.1:1"] }, "bad-urls: expected 4 urls, one for each replica, got 1"],
    [
      "with urls of another kind",
      { urls: Array(4).fill("http://127.0.0.1:1") },
      'bad-urls: expected urls such as "ws://127.0.0.1:7000", got "http://127.0.0.1:1"',
    ],
    [
      "with a timeout that is none",
      { timeout: "soon" as "1s" },
      'bad-duration: timeout: expected a duration: milliseconds from 0, or text such as "5ms", "1.5s", "2m", got "soon"',
    ],
    [
      "with retries that no timer can express",
      { retry: { firstMs: 0 } },
      "bad-option: retry: expected retry intervals in 1..2^31-1 ms, first <= max, got 0 and 1000",
    ],
    [
      "with a breaker that makes no sense",
      { breaker: { failures: 0 } },
      "bad-option: breaker: expected failures to be an integer from 1, or Infinity, got 0",
    ],
  ])("%s", (_, wrong, told) => {
    expect(refusal({ cluster: keys.file, secret, ...wrong })).toBe(told);
  });

  it("without a key", () => {
    expect(refusal({ cluster: keys.file })).toBe(
      "no-secret: client-1 needs its private key: give `secret`, or the cluster file as a path beside its key",
    );
  });

  it("while the same client is connected, from here or from another process, and not after", async () => {
    const folder = join(newFolder(), "keys");
    writeCluster(folder, keys);
    const cluster = join(folder, "cluster.json");
    const first = connect({ cluster });
    expect(refusal({ cluster })).toMatch(
      /^in-use: [^\n]*client-1\.numbers: in use by another part of this process: a client runs once at a time, so connect as another one; /,
    );
    const other = connect({ cluster, id: 2 });
    await other.close();
    await first.close();
    await connect({ cluster }).close();
  });

  it("over a damaged numbers file, and leaves no mark behind", () => {
    const folder = join(newFolder(), "keys");
    writeCluster(folder, keys);
    const cluster = join(folder, "cluster.json");
    writeFileSync(join(folder, "client-1.numbers"), '{"next":');
    for (let attempt = 0; attempt < 2; attempt++) expect(refusal({ cluster })).toMatch(/^damaged-numbers: /);
    expect(readdirSync(folder).filter((name) => name.includes("held-by"))).toEqual([]);
  });
});
