/** A replica set inside a test: what can be done to it, what it says, and that nothing of it is left behind. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { type LaunchedSet, type LaunchOptions, launch } from "../../src/launch/launch.ts";
import { traitors } from "../../src/traitors/catalogue.ts";
import { traitor } from "../../src/traitors/traitor.ts";
import { useFolders } from "../support/folder.ts";
import { childrenOf, running } from "../support/processes.ts";
import { selfSigned } from "../transport/certificate.ts";

const newFolder = useFolders();
const patience = { timeout: 20_000, interval: 50 };

const allHold = Object.fromEntries(
  ["agreement", "validity", "integrity", "termination", "accountability"].map((name) => [
    name,
    expect.objectContaining({ verdict: "holds", claimed: true }),
  ]),
);

const executed = async (set: LaunchedSet, replica: number): Promise<number> => (await set.status(replica)).executed;

describe("a launched set of processes", () => {
  it("is written to, loses a replica, gets it back, stands still, is cut and healed, and is judged", async () => {
    const before = childrenOf(process.pid);
    let pids: readonly (number | undefined)[] = [];
    let directory = "";
    {
      await using set = await launch({ replicas: 7, traitors: { 0: traitors.equivocate() }, limits: { checkpointInterval: 4, window: 8 } });
      ({ pids, directory } = set);
      expect(running(pids)).toHaveLength(7);
      await using client = await set.client();
      await client.put("a", "1");
      await set.pause(1);
      await client.put("a", "2");
      await set.resume(1);
      await set.kill(2);
      expect(running([pids[2]])).toEqual([]);
      await client.put("a", "3");
      await set.start(2);
      await set.partition([
        [0, 1, 2],
        [3, 4, 5, 6, "client-1"],
      ]);
      const cutOff = client.put("b", "4");
      await set.heal();
      await cutOff;
      expect([await client.get("a"), await client.get("b"), await client.get("c")]).toEqual(["3", "4", undefined]);

      const result = await set.verdict();
      expect(result.properties).toMatchObject(allHold);
      expect(result).toMatchObject({ traitors: [0], n: 7, f: 2, host: "ws", asExpected: true, trace: join(directory, "trace.jsonl") });
      expect(readFileSync(result.trace ?? "", "utf8")).toContain('"event":"restart"');
      expect(JSON.parse(readFileSync(join(directory, "result.json"), "utf8"))).toEqual(result);
      expect(readFileSync(set.logFile(1), "utf8")).toMatch(/^\{.*\}\n/);
    }
    expect(running(pids)).toEqual([]);
    expect(childrenOf(process.pid).filter((pid) => !before.includes(pid))).toEqual([]);
    expect(existsSync(directory)).toBe(false);
  });

  it("is judged again as it goes on, and after it has stopped", async () => {
    await using set = await launch({ directory: newFolder() });
    await using client = await set.client();
    await client.put("a", "1");
    const first = await set.verdict();
    await client.put("a", "2");
    const second = await set.verdict();
    await set.stop();
    const third = await set.verdict();
    const returned = [first, second, third].map(({ properties }) => properties.termination.evidence["returned"]);
    expect(returned).toEqual([1, 2, 2]);
    expect(third.properties).toMatchObject(allHold);
  });

  it("starts a replica again though another died by itself; who asks twice waits for the one start", async () => {
    await using set = await launch();
    process.kill(set.pids[1] as number, "SIGKILL");
    await expect.poll(() => running([set.pids[1]]), patience).toEqual([]);
    await set.kill(0);
    const [port] = set.urls;
    const first = set.start(0);
    await set.start(0).catch((error: unknown) => expect(error).toMatchObject({ code: "not-applicable" }));
    await first;
    expect(set.urls[0]).toBe(port);
    await expect.poll(async () => (await set.status(0)).links.replicas, patience).toBe(2);
  });

  it("over wss://, trusts the authority it is given", async () => {
    const { key, certificate } = selfSigned();
    await using set = await launch({ tls: { key, certificate, authority: certificate }, clients: 1 });
    expect(set.urls.every((url) => url.startsWith("wss://127.0.0.1:"))).toBe(true);
    await using client = await set.client();
    expect(await client.cas("a", undefined, "1")).toBe(true);
    expect(await executed(set, 3)).toBeGreaterThan(0);
  });

  it("tells how a replica is and what it has counted", async () => {
    await using set = await launch();
    await using client = await set.client();
    await client.put("a", "1");
    await expect.poll(() => executed(set, 2), patience).toBeGreaterThan(0);
    expect(await set.status(1)).toMatchObject({
      node: "replica-1",
      status: "ok",
      view: 0,
      halted: false,
      links: { replicas: 3, clients: 1 },
    });
    expect(await set.metrics(1)).toMatch(/^quorate_executed_slot\S* [1-9]/m);
    await set.kill(1);
    await expect(set.status(1)).rejects.toThrow(expect.objectContaining({ code: "no-answer" }));
  });
});

it("leaves no process behind when the program that launched it is killed, not even one that stands still", async () => {
  const flags = ["--import", import.meta.resolve("tsx"), "--conditions=quorate-source"];
  const program = join(import.meta.dirname, "launch-and-pause.ts");
  const launcher = spawn(process.execPath, [...flags, program, newFolder()], { stdio: ["ignore", "pipe", "inherit"] });
  const [told] = (await once(launcher.stdout, "data")) as [Buffer];
  const pids = [...(JSON.parse(`${told}`) as number[]), ...childrenOf(launcher.pid ?? 0)];
  expect(running(pids).length).toBeGreaterThanOrEqual(5);
  launcher.kill("SIGKILL");
  await expect.poll(() => running(pids), patience).toEqual([]);
});

describe("a set within this process", () => {
  it("works alike, starts no process, and can lose and regain a replica", async () => {
    const before = childrenOf(process.pid);
    await using set = await launch({ inProcess: true, limits: { checkpointInterval: 2, window: 4 } });
    expect(set.pids).toEqual([undefined, undefined, undefined, undefined]);
    await using client = await set.client();
    await client.put("a", "1");
    await set.kill(0);
    await client.put("a", "2");
    await set.start(0);
    for (let value = 3; value < 9; value++) await client.put("a", `${value}`);
    expect(await client.get("a")).toBe("8");
    expect((await set.verdict()).properties).toMatchObject(allHold);
    expect(childrenOf(process.pid).filter((pid) => !before.includes(pid))).toEqual([]);
  });

  it("has traitors of one's own without a file to load them from", async () => {
    const quiet = traitor("keeps its commits", (self) => ({
      send: {
        commit: () => {
          self.said("kept a commit");
          return "drop";
        },
      },
    }));
    await using set = await launch({ inProcess: true, traitors: { 3: quiet } });
    await using client = await set.client();
    await client.put("a", "1");
    const { traitors: found, properties } = await set.verdict();
    expect(found).toEqual([3]);
    expect(properties.agreement.verdict).toBe("holds");
    expect(properties.agreement.evidence["liesTold"]).toBeGreaterThan(0);
  });

  it("is judged by what its network was told to do, and by nothing that lay in its folder before", async () => {
    const directory = newFolder();
    for (const loss of [0, 0.05]) {
      await using set = await launch({ inProcess: true, directory });
      await using client = await set.client();
      await set.setNetwork({ delay: ["1ms", "2ms"], loss });
      await client.put("a", "1");
      const { termination } = (await set.verdict()).properties;
      expect(termination).toMatchObject({ verdict: "holds", claimed: loss === 0, evidence: { returned: 1 } });
    }
  });

  it("takes clients that stand in no file where it says so, loudly, and nowhere else", async () => {
    await using open = await launch({ inProcess: true, openClients: true, clients: 1 });
    await using stranger = await open.openClient();
    await using registered = await open.client();
    await stranger.put("a", "1");
    expect([stranger.id > 2 ** 52, registered.id, await registered.get("a")]).toEqual([true, 1, "1"]);
    expect(readFileSync(open.logFile(2), "utf8")).toMatch(/"event":"open-clients".*anybody who reaches this port/);
    expect((await open.verdict()).properties).toMatchObject(allHold);

    await using closed = await launch({ inProcess: true });
    await expect(closed.openClient()).rejects.toThrow("the cluster takes no open clients");
  });

  it("cannot pause one replica alone, and says so", async () => {
    await using set = await launch({ inProcess: true });
    await expect(set.pause(1)).rejects.toThrow(expect.objectContaining({ name: "LabError", code: "needs-process" }));
  });
});

describe("the folder of a set", () => {
  it("is kept, though a temporary one, when a verdict was a surprise: here there is nothing to judge", async () => {
    await using set = await launch({ inProcess: true });
    const { asExpected, properties, trace } = await set.verdict();
    expect([asExpected, properties.agreement.verdict]).toEqual([false, "inconclusive"]);
    await set[Symbol.asyncDispose]();
    expect(existsSync(trace ?? "")).toBe(true);
    rmSync(set.directory, { recursive: true });
  });
});

describe("one line for", () => {
  const mistakes: readonly (readonly [what: string, options: LaunchOptions | Record<string, unknown>, told: RegExp])[] = [
    ["an option that does not exist", { replica: 4 }, /^launch: unknown option "replica"; allowed: name, protocol, replicas, /],
    ["too many faults", { replicas: 4, f: 4 }, /^scenario "launched set": f: expected an integer in 0\.\.3, got 4$/],
    [
      "a folder that is none",
      { directory: "package.json" },
      /^launch: directory: cannot write in "package\.json" \(EEXIST\); choose another$/,
    ],
    ["no clients", { clients: 0 }, /workload\.clients: expected an integer from 1, got 0$/],
    ["a seed that is none", { seed: -1 }, /^launch: seed: expected an integer from 0, got -1$/],
    ["a level that is none", { logLevel: "loud" }, /^launch: logLevel: expected one of trace, .*, got "loud"$/],
    ["a traitor that is not there", { traitors: { 4: traitors.silent() } }, /traitors: expected replicas 0\.\.3/],
    ["a custom traitor in a process of its own", { traitors: { 1: traitor("mine", () => ({})) } }, /^traitor 1 is a custom one: /],
    ["wss:// without a certificate", { tls: {} }, /^a wss:\/\/ address needs a TLS key and certificate/],
  ];
  it.each(mistakes)("%s, and no process is left", async (_, options, told) => {
    const before = childrenOf(process.pid);
    const failure = await launch(options as LaunchOptions).catch((error: unknown) => error);
    expect(failure).toMatchObject({ name: "LabError", exitCode: 2, message: expect.stringMatching(told) });
    expect((failure as Error).message).not.toContain("\n");
    expect(childrenOf(process.pid).filter((pid) => !before.includes(pid))).toEqual([]);
  });

  it("whatever is asked of a set that was stopped, and no process is started for it", async () => {
    const before = childrenOf(process.pid);
    const set = await launch();
    await set.kill(1);
    await set.stop();
    const asked = [set.start(1), set.kill(0), set.pause(0), set.client(), set.partition([[0, 1]]), set.heal()];
    for (const result of await Promise.allSettled(asked))
      expect(result).toMatchObject({ status: "rejected", reason: { name: "LabError", code: "stopped" } });
    expect(childrenOf(process.pid).filter((pid) => !before.includes(pid))).toEqual([]);
    await set[Symbol.asyncDispose]();
  });

  it("groups that are none, though the set goes on and is judged", async () => {
    await using set = await launch({ inProcess: true, clients: 1 });
    await using client = await set.client();
    for (const groups of [
      [["x"]],
      [
        [0, 1],
        [2, 9],
      ],
      [["client-77"], [0]],
      undefined,
      "x",
      [0, 1],
    ])
      await expect(set.partition(groups as never)).rejects.toThrow(expect.objectContaining({ name: "LabError", code: "bad-scenario" }));
    await client.put("a", "1");
    await expect(client.put("\ud800", "1")).rejects.toThrow(expect.objectContaining({ name: "LabError", code: "bad-text" }));
    await expect(client.invoke("a" as never)).rejects.toThrow(expect.objectContaining({ name: "LabError", code: "bad-call" }));
    await expect(client.get("a", { timeoutMs: -1 })).rejects.toThrow(expect.objectContaining({ name: "LabError", code: "bad-call" }));
    expect((await set.verdict()).properties.agreement.verdict).toBe("holds");
    expect(client.state().nextNumber).toBe(2);
  });

  it("a client that is not there or was, a replica that is not, and a fault that cannot be", async () => {
    await using set = await launch({ inProcess: true, clients: 1 });
    await using _client = await set.client();
    await expect(set.client()).rejects.toThrow("all 1 clients have connected: launch with more, as in launch({ clients: 2 })");
    await expect(set.client(1)).rejects.toThrow("client 1 has connected before");
    await expect(set.client(2)).rejects.toThrow("expected a client in 1..1, got 2");
    await expect(set.kill(4)).rejects.toThrow("expected a replica in 0..3, got 4");
    await expect(set.start(2)).rejects.toThrow("cannot start replica 2: it is running");
    await set.kill(2);
    await expect(set.kill(2)).rejects.toThrow("cannot kill replica 2: it is down");
  });
});
