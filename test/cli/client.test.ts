/** `quorate client` as a user runs it, against real replicas and against none. */
import { readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { clientCommand } from "../../src/cli/client.ts";
import { connect } from "../../src/launch/connect.ts";
import { generateCluster, writeCluster } from "../../src/launch/keys.ts";
import { launch, stopAll } from "../launch/support.ts";
import { useFolders } from "../support/folder.ts";
import { type Finished, quorate, start } from "./support.ts";

vi.setConfig({ maxConcurrency: 2 });

const newFolder = useFolders();
const patience = { timeout: 20_000, interval: 20 };

describe("quorate client", () => {
  let cluster = "";
  const client = (...args: readonly string[]): Promise<Finished> => quorate("client", "--cluster", cluster, ...args);
  const asked = (code: number, stdout: string, stderr = ""): Finished => ({
    code,
    stdout: stdout && `${stdout}\n`,
    stderr: stderr && `quorate: ${stderr}\n`,
  });

  beforeAll(async () => {
    const { set, keys } = await launch(newFolder(), { clients: 3 });
    await set.linked(0);
    const folder = join(newFolder(), "keys");
    const members = keys.file.members.map((member, id) => ({ ...member, url: set.urls[id] as string }));
    writeCluster(folder, { ...keys, file: { ...keys.file, members } });
    cluster = join(folder, "cluster.json");
  });
  afterAll(stopAll);

  it("puts, gets, swaps and deletes, each time as a process of its own", async () => {
    expect(await client("put", "a", "3")).toEqual(asked(0, "ok"));
    expect(await client("get", "a")).toEqual(asked(0, "3"));
    expect(await client("cas", "a", "4", "5")).toEqual(asked(1, "", '"3" stands there'));
    expect(await client("cas", "a", "3", "4")).toEqual(asked(0, "ok"));
    expect(await client("cas", "a", "--absent", "5")).toEqual(asked(1, "", '"4" stands there'));
    expect(await client("cas", "b", "4", "5")).toEqual(asked(1, "", 'there is no key "b"'));
    expect(await client("del", "a")).toEqual(asked(0, "ok"));
    expect(await client("del", "a")).toEqual(asked(1, "", 'there is no key "a"'));
    expect(await client("get", "a")).toEqual(asked(1, "", 'there is no key "a"'));
  });

  it("prints one JSON object with --json, before or after the command", async () => {
    const json = async (...args: readonly string[]): Promise<unknown> => JSON.parse((await client(...args)).stdout);
    expect(await json("--json", "put", "j", "3")).toEqual({ operation: "put", key: "j", value: "3" });
    expect(await json("get", "j", "--json")).toEqual({ operation: "get", key: "j", value: "3" });
    expect(await json("get", "k", "--json")).toEqual({ operation: "get", key: "k", value: null });
    expect(await json("cas", "j", "4", "5", "--json")).toEqual({ operation: "cas", key: "j", swapped: false, value: "3" });
    expect(await json("cas", "j", "3", "5", "--json")).toEqual({ operation: "cas", key: "j", swapped: true, value: "5" });
    expect(await json("del", "j", "--json")).toEqual({ operation: "del", key: "j", deleted: true });
  });

  it("says what the store refuses, and what a client must not be twice", async () => {
    const { code, stderr } = await client("put", "", "1");
    expect([code, stderr]).toEqual([2, "quorate: the store refused the operation: a key has 1..256 bytes of UTF-8\n"]);
    await using _other = connect({ cluster, id: 2 });
    const refused = await client("--id", "2", "get", "a");
    expect(refused).toMatchObject({ code: 2, stdout: "" });
    expect(refused.stderr).toMatch(/^quorate: [^\n]*client-2\.numbers: in use by process \d+: [^\n]*\n$/);
  });

  it("loads the replicas, and says how many operations a second they did and how long those took", async () => {
    const options = ["--operations", "200", "--clients", "2", "--window", "8", "--keys", "5", "--value-bytes", "10"];
    const { code, stdout, stderr } = await client("load", ...options, "--json");
    expect([code, stderr]).toEqual([0, ""]);
    const result = JSON.parse(stdout);
    expect(result).toMatchObject({ operation: "load", operations: 200, clients: 2, window: 8, returned: 200, failed: {} });
    expect(result.throughput).toBeCloseTo(200 / result.seconds, 3);
    const { p50, p99, max } = result.latencyMs;
    expect([p50 > 0, p99 >= p50, max >= p99]).toEqual([true, true, true]);

    const text = await client("load", "--operations", "100");
    expect(text).toMatchObject({ code: 0, stderr: expect.stringMatching(/^100 of 100 operations returned, \d+\.\d s$/m) });
    expect(text.stdout).toMatch(/^100 operations in [\d.]+ s: \d+ per second\nlatency: p50 [\d.]+ ms, p99 [\d.]+ ms, max [\d.]+ ms\n$/);
  });

  it("counts the operations of a load that fail, by their code, and then is no success", async () => {
    // The last test here, for then the store is full: it takes 127 of 130 such values.
    const options = ["--operations", "260", "--keys", "130", "--value-bytes", "32768"];
    const { code, stdout, stderr } = await client("load", ...options, "--json");
    expect([code, stderr]).toEqual([1, "quorate: 3 of 260 operations failed\n"]);
    expect(JSON.parse(stdout)).toMatchObject({ returned: 257, failed: { "store-full": 3 } });
  });
});

/** Run side by side, so who connects does it as a client of its own. */
describe.concurrent("one line for", () => {
  const folder = join(newFolder(), "keys");
  writeCluster(folder, generateCluster({ replicas: 4, clients: 4, ports: 1 }));
  const cluster = join(folder, "cluster.json");
  writeFileSync(join(folder, "client-2.numbers"), "{");

  const mistakes: readonly (readonly [what: string, code: number, args: readonly string[], told: RegExp])[] = [
    [
      "a cluster file that is not there",
      2,
      ["--cluster", "nowhere.json", "get", "a"],
      /^quorate: nowhere\.json: there is no such cluster file: start replicas with "quorate up"/,
    ],
    [
      "a client that is not in it",
      2,
      ["--id", "5", "get", "a"],
      /^quorate: there is no client 5: the cluster file names the clients 1\.\.4$/,
    ],
    ["more clients than there are", 2, ["--id", "4", "load", "--clients", "2"], /^quorate: there is no client 5: /],
    ["damaged numbers", 2, ["--id", "2", "get", "a"], /client-2\.numbers: expected .*\(rule 62\)/],
    ["a cas without an expected value", 2, ["cas", "a", "1"], /^quorate: cas: expected KEY EXPECTED VALUE, or KEY --absent VALUE$/],
    [
      "a cas of too many values",
      2,
      ["cas", "a", "--absent", "1", "2"],
      /^quorate: cas: expected KEY EXPECTED VALUE, or KEY --absent VALUE$/,
    ],
    ["a key that is missing", 2, ["get"], /^quorate: missing required argument 'key' \(add --help/],
    ["a command that does not exist", 2, ["gte", "a"], /^quorate: unknown command 'gte' \(Did you mean get\?\)/],
    ["a timeout that is none", 2, ["--timeout", "soon", "get", "a"], /expected a duration such as "500ms", "10s" or "2m"\./],
    ["a load of nothing", 2, ["load", "--operations", "0"], /expected an integer from 1\./],
    [
      "replicas that are not there",
      1,
      ["--timeout", "200ms", "put", "a", "1"],
      /^quorate: no result within 0\.2 s, links to 0 of 4 replicas are open; the outcome is unknown: /,
    ],
    [
      "a load on replicas that are not there",
      1,
      ["--timeout", "200ms", "--id", "3", "load"],
      /^quorate: links to 0 of 4 replicas are open, 3 are needed: /,
    ],
  ];

  it.each(mistakes)("%s", async (_, expected, args, told) => {
    const { code, stdout, stderr } = await quorate("client", "--cluster", cluster, ...args);
    expect(stderr).toMatch(/^[^\n]+\n$/);
    expect(stderr.trimEnd()).toMatch(told);
    expect({ code, stdout }).toEqual({ code: expected, stdout: "" });
  });
});

describe("quorate client, interrupted,", () => {
  it("lets go of its numbers and ends as every command does", async () => {
    const folder = join(newFolder(), "keys");
    writeCluster(folder, generateCluster({ replicas: 4, clients: 1, ports: 1 }));
    const files = (): string => readdirSync(folder).join(" ");
    const { child, finished } = start("client", "--cluster", join(folder, "cluster.json"), "put", "a", "1");
    // The first block of numbers is reserved: the request is on its way.
    await expect.poll(files, patience).toContain("client-1.numbers ");
    child.kill("SIGINT");
    expect(await finished).toEqual({ code: 130, stdout: "", stderr: "interrupted\n" });
    expect(files()).not.toContain("held-by");
  });
});

describe("help", () => {
  it("has an example for each command", () => {
    const client = clientCommand();
    for (const command of [client, ...client.commands]) {
      let shown = "";
      const writeOut = (text: string): void => {
        shown += text;
      };
      command.configureOutput({ writeOut }).outputHelp();
      expect(shown).toMatch(/\nExamples?:\n {2}quorate client /);
    }
    expect(client.commands.map((command) => command.name())).toEqual(["put", "get", "cas", "del", "load"]);
  });
});
