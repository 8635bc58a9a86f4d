/** `quorate keys`, `up` and `replica` as a user runs them; that nothing of them outlives them, however they end. */
import { existsSync, readdirSync, statSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { afterAll, describe, expect, it, vi } from "vitest";
import { connect } from "../../src/launch/connect.ts";
import { useFolders } from "../support/folder.ts";
import { childrenOf, running } from "../support/processes.ts";
import { type Running, start, startIn } from "./support.ts";

vi.setConfig({ maxConcurrency: 2 });

const newFolder = useFolders();
const patience = { timeout: 30_000, interval: 50 };

interface Up {
  readonly cluster: string;
  readonly pid: number;
  readonly replicas: readonly { readonly id: number; readonly url: string; readonly pid: number; readonly traitor: boolean }[];
}

const started: Running[] = [];
// Not after each: they run side by side.
afterAll(() => {
  for (const { child } of started.splice(0)) child.kill("SIGKILL");
});

/** `count` consecutive ports of loopback that nobody uses. */
async function freePorts(count: number): Promise<number> {
  for (;;) {
    const first = 20_000 + Math.floor(Math.random() * 20_000);
    const servers = Array.from({ length: count }, (_, index) => createServer().listen(first + index, "127.0.0.1"));
    const listening = await Promise.all(
      servers.map(
        (server) => new Promise<boolean>((resolve) => server.once("listening", () => resolve(true)).once("error", () => resolve(false))),
      ),
    );
    await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
    if (listening.every(Boolean)) return first;
  }
}

/** @returns when the set is up, what it told of itself, and all of its processes */
async function up(
  folder: string,
  ...args: readonly string[]
): Promise<{ readonly running: Running; readonly up: Up; readonly pids: number[] }> {
  const process = start(
    "up",
    "--json",
    "--keys",
    join(folder, "keys"),
    "--out",
    join(folder, "out"),
    "--port",
    `${await freePorts(4)}`,
    ...args,
  );
  started.push(process);
  let text = "";
  process.child.stdout?.on("data", (chunk: string) => {
    text += chunk;
  });
  await vi.waitFor(() => expect(text).toMatch(/\n$/), patience);
  const told = JSON.parse(text) as Up;
  return { running: process, up: told, pids: [told.pid, ...childrenOf(told.pid)] };
}

describe.concurrent("up", () => {
  it("says where the replicas are, serves a client, and stops all of them on Ctrl-C", async () => {
    const folder = newFolder();
    const { running: process, up: told, pids } = await up(folder);
    expect(told.replicas.map(({ id, traitor }) => ({ id, traitor }))).toEqual([0, 1, 2, 3].map((id) => ({ id, traitor: false })));
    expect(running(told.replicas.map(({ pid }) => pid))).toHaveLength(4);
    {
      await using client = connect({ cluster: told.cluster });
      await client.put("a", "3");
      expect(await client.get("a")).toBe("3");
    }
    // To the whole group, as a terminal does.
    global.process.kill(-(process.child.pid ?? 0), "SIGINT");
    const { code, stderr } = await process.finished;
    expect(code).toBe(0);
    expect(stderr).not.toMatch(/Error|ended unexpectedly/);
    expect(running(pids)).toEqual([]);
  });

  it("leaves no orphan when it is killed, though one replica stands still and hears nothing", async () => {
    const { running: process, up: told, pids } = await up(newFolder(), "--log-level", "silent", "--traitor", "3:silent");
    expect(told.replicas.map(({ traitor }) => traitor)).toEqual([false, false, false, true]);
    expect(pids.length).toBeGreaterThanOrEqual(6);
    global.process.kill(told.replicas[1]?.pid ?? 0, "SIGSTOP");
    process.child.kill("SIGKILL");
    await process.finished;
    await vi.waitFor(() => expect(running(pids)).toEqual([]), patience);
  });

  it("goes on when a replica dies, says how to start it again, and that works", async () => {
    const { running: process, up: told } = await up(newFolder(), "--log-level", "silent");
    let errors = "";
    process.child.stderr?.on("data", (text: string) => {
      errors += text;
    });
    global.process.kill(told.replicas[2]?.pid ?? 0, "SIGKILL");
    await vi.waitFor(
      () =>
        expect(errors).toContain(
          "replica 2 ended unexpectedly: SIGKILL. Its memory is gone; start it again with: quorate replica --cluster",
        ),
      patience,
    );
    const again = start("replica", "--cluster", told.cluster, "--id", "2");
    started.push(again);
    let log = "";
    again.child.stdout?.on("data", (text: string) => {
      log += text;
    });
    await using client = connect({ cluster: told.cluster });
    await client.put("a", "1");
    await vi.waitFor(() => expect(log).toMatch(/"event":"started"/), patience);
    await vi.waitFor(async () => {
      const health = await fetch(`${told.replicas[2]?.url.replace(/^ws/, "http")}/health`);
      expect(await health.json()).toMatchObject({ node: "replica-2", links: { replicas: 3 } });
    }, patience);
    again.child.kill("SIGTERM");
    expect((await again.finished).code).toBe(0);
  });

  it("lets a client in that stands in no file when it is told to, under a key that it keeps", async () => {
    const folder = newFolder();
    const { up: told } = await up(folder, "--in-process", "--open-clients", "--log-level", "silent");
    const key = join(folder, "open.key");
    for (const args of [
      ["put", "a", "1"],
      ["get", "a"],
    ]) {
      const { code, stdout, stderr } = await start("client", "--cluster", told.cluster, "--open", key, ...args).finished;
      expect({ code, stdout, stderr }).toEqual({ code: 0, stdout: args[0] === "put" ? "ok\n" : "1\n", stderr: "" });
    }
    expect(statSync(key).mode & 0o777).toBe(0o600);
    expect(existsSync(`${key}.numbers`)).toBe(true);
  });

  it("runs all replicas in one process when asked to", async () => {
    const { running: process, up: told } = await up(newFolder(), "--in-process", "--f", "1", "--log-level", "silent");
    expect(new Set(told.replicas.map(({ pid }) => pid))).toEqual(new Set([told.pid]));
    await using client = connect({ cluster: told.cluster });
    await client.put("a", "1");
    process.child.kill("SIGTERM");
    expect((await process.finished).code).toBe(0);
  });
});

describe.concurrent("keys", () => {
  it("are one private file for each node, and are never overwritten", async () => {
    const folder = newFolder();
    const first = await startIn(folder, "keys", "lab", "--f", "2", "--clients", "2", "--host", "10.0.0.1", "--tls").finished;
    expect(first).toMatchObject({ code: 0, stderr: "" });
    expect(first.stdout).toContain("replica 6: wss://10.0.0.1:7006\n");
    const files = readdirSync(join(folder, "keys/lab")).sort();
    const replicas = [0, 1, 2, 3, 4, 5, 6].map((id) => `replica-${id}.key`);
    expect(files).toEqual(["administrator.key", "client-1.key", "client-2.key", "cluster.json", ...replicas]);
    for (const name of files.filter((file) => file.endsWith(".key")))
      expect(statSync(join(folder, "keys/lab", name)).mode & 0o777).toBe(0o600);
    const second = await startIn(folder, "keys", "lab").finished;
    expect(second).toMatchObject({ code: 2, stdout: "" });
    expect(second.stderr).toMatch(/^quorate: keys\/lab exists already: [^\n]+\n$/);
  });
});
