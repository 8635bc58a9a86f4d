import { execFileSync } from "node:child_process";
import { createReadStream, mkdirSync, rmdirSync } from "node:fs";
import { join } from "node:path";
import { afterEach, describe, expect, it } from "vitest";
import { type Client, connect } from "../../src/launch/connect.ts";
import { generateCluster, writeCluster } from "../../src/launch/keys.ts";
import { useFolders } from "../support/folder.ts";

const newFolder = useFolders();
const keys = generateCluster({ replicas: 4, clients: 1, ports: 1 });
const clients = new Set<Client>();

/** A client whose numbers lie in a file, of a cluster where nobody listens; `sent` counts what it tried to send. */
function lonely(): { readonly client: Client; readonly aside: string; readonly sent: () => number } {
  const folder = join(newFolder(), "keys");
  writeCluster(folder, keys);
  let sent = 0;
  const watcher = { sent: () => sent++, received: () => undefined, did: () => undefined };
  const client = connect({ cluster: join(folder, "cluster.json"), watcher, breaker: { failures: 2 } });
  clients.add(client);
  return { client, aside: join(folder, "client-1.numbers.new"), sent: () => sent };
}

describe("a client whose disk does not do what it should", () => {
  afterEach(async () => {
    for (const client of clients) await client.close().catch(() => undefined);
    clients.clear();
  });

  it("sends nothing while its numbers cannot be written, and goes on when they can be (rule 62)", async () => {
    const { client, aside, sent } = lonely();
    mkdirSync(aside);
    for (let attempt = 0; attempt < 3; attempt++)
      await expect(client.put("a", "1")).rejects.toMatchObject({ name: "LabError", code: "unwritable-numbers" });
    expect([sent(), client.state().counters.invoked, client.state().breaker]).toEqual([0, 0, "closed"]);
    rmdirSync(aside);
    await expect(client.put("a", "1", { timeoutMs: 200 })).rejects.toMatchObject({ code: "timed-out" });
    expect([sent() > 0, client.state().counters.invoked]).toEqual([true, 1]);
  });

  it("has not sent what waits for its disk: at the deadline it can say so, and the operation never leaves", async () => {
    const { client, aside, sent } = lonely();
    // Opening a pipe waits until somebody reads: a disk that hangs.
    execFileSync("mkfifo", [aside]);
    const put = client.put("a", "1", { timeoutMs: 50 });
    await expect(put).rejects.toMatchObject({ code: "timed-out", message: expect.stringMatching(/never sent and has no effect$/) });
    const controller = new AbortController();
    const get = client.get("a", { signal: controller.signal });
    controller.abort();
    await expect(get).rejects.toMatchObject({ name: "AbortError" });
    const reader = createReadStream(aside).resume();
    await client.close().catch(() => undefined);
    reader.destroy();
    expect([sent(), client.state().counters.invoked]).toEqual([0, 0]);
    expect(client.state().counters.timedOut).toBe(1);
  });
});
