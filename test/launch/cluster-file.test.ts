import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { defaultLimits, defaultTiming } from "../../src/core/cluster.ts";
import { type ClusterFile, keysOf, loadClusterFile, parseClusterFile, publicKeyOf, toCluster } from "../../src/launch/cluster-file.ts";
import { bytesToHex } from "../../src/wire/schema.ts";
import { unfitKeys } from "../crypto/unfit-keys.ts";
import { testCluster } from "../support/keys.ts";

const directory = mkdtempSync(join(tmpdir(), "quorate-"));
afterAll(() => rmSync(directory, { recursive: true }));

const nodes = testCluster(4, { clients: 2 });
const example = {
  format: 1,
  n: 4,
  members: nodes.replicaKeys.map((key, id) => ({ id, publicKey: bytesToHex(key), url: `ws://127.0.0.1:${7000 + id}` })),
  clients: nodes.clientKeys.map((key, index) => ({ id: index + 1, publicKey: bytesToHex(key) })),
};

/** The example with one field changed, by path. */
function withField(path: readonly (string | number)[], value: unknown): unknown {
  const copy = structuredClone(example) as unknown as Record<string | number, unknown>;
  let at = copy;
  for (const key of path.slice(0, -1)) {
    at[key] ??= {};
    at = at[key] as Record<string | number, unknown>;
  }
  at[path.at(-1) as string] = value;
  return copy;
}

describe("a cluster file", () => {
  it("fills in the defaults for what it leaves out", () => {
    const file = parseClusterFile({ ...example, limits: { clientWindow: 8 }, quorums: { reply: 1 } });
    expect(file.f).toBe(1);
    expect(file.quorums).toEqual({ order: 3, viewChange: 3, weak: 2, reply: 1, checkpoint: 3 });
    expect(file.limits).toEqual({ ...defaultLimits, clientWindow: 8 });
    expect(file.timing).toEqual(defaultTiming);
  });

  it("becomes the cluster that its digest names", () => {
    const cluster = toCluster(parseClusterFile(example));
    expect(cluster).toEqual(nodes.cluster);
  });

  it("has one id for files that differ in urls and timing only, and another for any other difference", () => {
    const id = (json: unknown): string => toCluster(parseClusterFile(json)).id;
    const base = id(example);
    expect(id(withField(["members", 0, "url"], "wss://elsewhere.example:1"))).toBe(base);
    expect(id(withField(["timing", "viewTimeoutMs"], 77))).toBe(base);
    const others = [
      withField(["f"], 0),
      withField(["limits", "clientWindow"], 7),
      withField(["openClients"], true),
      withField(["quorums", "weak"], 1),
      withField(["administratorKey"], bytesToHex(testCluster(4, { seed: 5 }).replicaKeys[0] as Uint8Array)),
      { ...example, clients: example.clients.slice(0, 1) },
    ];
    expect(new Set([base, ...others.map(id)]).size).toBe(7);
    expect(id(withField(["openClients"], false))).toBe(base);
  });

  it("hands out all keys, and whether they are all", () => {
    const { replicaKeys, clientKeys } = nodes;
    expect(keysOf(parseClusterFile(example))).toEqual({ replicaKeys, clientKeys, openClients: false });
    expect(keysOf(parseClusterFile({ ...example, openClients: true })).openClients).toBe(true);
  });

  it("knows the public key of each node, and of nobody else", () => {
    const file = parseClusterFile(example);
    expect(publicKeyOf(file, "replica-3")).toEqual(nodes.replicaKeys[3]);
    expect(publicKeyOf(file, "client-1")).toEqual(nodes.clientKeys[0]);
    expect(publicKeyOf(file, "client-3")).toBeUndefined();
  });
});

const own = (index: number): string => bytesToHex(nodes.replicaKeys[index] as Uint8Array);
const mistakes: readonly (readonly [string, unknown, string])[] = [
  ["no file at all", 7, "expected object"],
  ["another format", withField(["format"], 2), "format: expected 1, the only format so far"],
  ["no n", withField(["n"], undefined), "n: expected an integer in 1..256"],
  ["a fraction for n", withField(["n"], 4.5), "n: expected an integer in 1..256"],
  ["more members than n", withField(["n"], 3), "members: expected 3 members, because n is 3, got 4"],
  ["as many faults as replicas", withField(["f"], 4), "f: expected an integer in 0..3"],
  ["a quorum larger than n", withField(["quorums", "order"], 5), "expected quorum order to be an integer in 1..4, got 5"],
  ["an unknown quorum", withField(["quorums", "orders"], 3), "quorums.orders: there is no such field"],
  ["an unknown field", withField(["colour"], "red"), "colour: there is no such field"],
  ["a window below twice the interval", withField(["limits", "window"], 50), "limits.window: expected at least 64"],
  ["a negative limit", withField(["limits", "pipeline"], -1), "limits.pipeline: expected an integer in 1..4096"],
  ["batches smaller than operations", withField(["limits", "batchBytes"], 1024), "limits.batchBytes: expected at least 66560"],
  ["frames smaller than batches", withField(["limits", "frameBytes"], 4096), "limits.frameBytes: expected at least 528384"],
  ["a timeout above its cap", withField(["timing", "viewTimeoutMs"], 9000), "timing.viewTimeoutMaxMs: expected at least 9000"],
  [
    "a timer that Node.js would fire at once",
    withField(["timing", "viewTimeoutMaxMs"], 2 ** 31),
    "timing.viewTimeoutMaxMs: expected an integer in 1..2147483647",
  ],
  ["members out of order", withField(["members", 1, "id"], 2), "members[1].id: expected 1: ids count from 0, in order"],
  ["clients that start at 0", withField(["clients", 0, "id"], 0), "clients[0].id: expected an integer in 1..4096"],
  ["clients out of order", withField(["clients", 0, "id"], 2), "clients[0].id: expected 1: ids count from 1, in order"],
  [
    "a key in capitals",
    withField(["members", 0, "publicKey"], own(0).toUpperCase()),
    "members[0].publicKey: expected a public key of 64 lowercase hex digits",
  ],
  ["a short key", withField(["clients", 1, "publicKey"], "00"), "clients[1].publicKey: expected a public key of 64 lowercase hex digits"],
  // A70: whoever it is of.
  ...unfitKeys.flatMap(({ about, publicKey, why }) =>
    [["members", 2, "publicKey"], ["clients", 1, "publicKey"], ["administratorKey"]].map((path): (typeof mistakes)[number] => {
      const field = path.length === 1 ? "administratorKey" : `${path[0]}[${path[1]}].publicKey`;
      return [`${field} that is ${about}`, withField(path, bytesToHex(publicKey)), `${field}: ${why}`];
    }),
  ),
  [
    "one key for two clients",
    withField(["clients", 1, "publicKey"], bytesToHex(nodes.clientKeys[0] as Uint8Array)),
    "clients[1].publicKey: expected a key of its own, not that of clients[0].publicKey",
  ],
  [
    "a client's key for the administrator",
    withField(["administratorKey"], bytesToHex(nodes.clientKeys[1] as Uint8Array)),
    "administratorKey: expected a key of its own, not that of clients[1].publicKey",
  ],
  ["open clients by a number", withField(["openClients"], 1), "openClients: expected true or false"],
  [
    "one key for two replicas",
    withField(["members", 2, "publicKey"], own(1)),
    "members[2].publicKey: expected a key of its own, not that of members[1].publicKey",
  ],
  [
    "a replica's key for a client",
    withField(["clients", 0, "publicKey"], own(0)),
    "clients[0].publicKey: expected a key of its own, not that of members[0].publicKey",
  ],
  [
    "a replica's key for the administrator",
    withField(["administratorKey"], own(0)),
    "administratorKey: expected a key of its own, not that of members[0].publicKey",
  ],
  ["no url", withField(["members", 0, "url"], 7000), "members[0].url: expected a url"],
  ["a url that is none", withField(["members", 0, "url"], "localhost"), 'members[0].url: expected a url such as "ws://127.0.0.1:7000"'],
  [
    "an http url",
    withField(["members", 0, "url"], "http://localhost:1"),
    "members[0].url: expected a url that begins with ws:// or wss://, got http://",
  ],
  [
    "a url with a fragment, which sockets refuse",
    withField(["members", 0, "url"], "ws://localhost:1/#x"),
    "members[0].url: expected a url without",
  ],
];

describe("a mistake in a cluster file", () => {
  it.each(mistakes)("is named in one line: %s", (_, json, message) => {
    let error: unknown;
    try {
      parseClusterFile(json, "cluster.json");
    } catch (caught) {
      error = caught;
    }
    expect(error).toMatchObject({ name: "LabError", code: "bad-cluster-file", exitCode: 2 });
    const text = (error as Error).message;
    expect(text).toContain(message);
    expect(text.startsWith("cluster.json: ")).toBe(true);
    expect(text).not.toContain("\n");
  });
});

describe("loading", () => {
  const write = (name: string, text: string): string => {
    const path = join(directory, name);
    writeFileSync(path, text);
    return path;
  };

  it("reads what was written", () => {
    const file: ClusterFile = loadClusterFile(write("good.json", JSON.stringify(example)));
    expect(file).toEqual(parseClusterFile(example));
  });

  it("names the file when it is missing, no JSON, or wrong", () => {
    expect(() => loadClusterFile(join(directory, "none.json"))).toThrow(/none\.json: there is no such cluster file$/);
    expect(() => loadClusterFile(directory)).toThrow(/cannot read this cluster file$/);
    expect(() => loadClusterFile(write("text.json", "n = 4"))).toThrow(/text\.json: expected a cluster file in JSON$/);
    expect(() => loadClusterFile(write("wrong.json", "{}"))).toThrow(/wrong\.json: format: expected 1/);
  });
});
