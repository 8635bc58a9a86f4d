import { chmodSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { nativeScheme } from "../../src/crypto/native.ts";
import { loadClusterFile, publicKeyOf } from "../../src/launch/cluster-file.ts";
import { clusterFilePath, generateCluster, privateKeyPath, readPrivateKey, writeCluster } from "../../src/launch/keys.ts";
import { bytesToHex } from "../../src/wire/schema.ts";

const root = mkdtempSync(join(tmpdir(), "quorate-"));
afterAll(() => rmSync(root, { recursive: true }));

function written(name: string) {
  const directory = join(root, "keys", name);
  const generated = generateCluster({ replicas: 4, clients: 2, ports: 9000 });
  writeCluster(directory, generated);
  return { directory, generated };
}

describe("generating a cluster", () => {
  it("gives every node a key of its own and an address", () => {
    const { file, secrets } = generateCluster({ replicas: 4, clients: 2, host: "::1", ports: [5, 7, 9, 11] });
    expect(file.members.map(({ url }) => url)).toEqual(["ws://[::1]:5", "ws://[::1]:7", "ws://[::1]:9", "ws://[::1]:11"]);
    expect([...secrets.keys()]).toEqual(["replica-0", "replica-1", "replica-2", "replica-3", "client-1", "client-2", "administrator"]);
    expect(new Set([...secrets.values()].map(bytesToHex)).size).toBe(7);
    expect(nativeScheme.publicKeyOf(secrets.get("client-2") as Uint8Array)).toEqual(publicKeyOf(file, "client-2"));
  });

  it("makes other keys each time", () => {
    const [first, second] = [0, 1].map(() => generateCluster({ replicas: 1, clients: 0 }).file.members[0]?.publicKey);
    expect(first).not.toBe(second);
  });

  it("keeps what is asked for, wrong quorums too", () => {
    const { file } = generateCluster({
      replicas: 3,
      f: 1,
      clients: 1,
      quorums: { order: 2 },
      limits: { pipeline: 1 },
      timing: { viewTimeoutMs: 50 },
    });
    expect([file.n, file.f, file.quorums.order, file.limits.pipeline, file.timing.viewTimeoutMs]).toEqual([3, 1, 2, 1, 50]);
    expect(file.openClients).toBe(false);
    expect(generateCluster({ replicas: 1, clients: 0, openClients: true }).file.openClients).toBe(true);
  });

  it.each([
    [{ replicas: 0, clients: 1 }, "expected replicas to be an integer in 1..256, got 0"],
    [{ replicas: 4, clients: 1.5 }, "expected clients to be an integer in 0..4096, got 1.5"],
    [{ replicas: 4, clients: 1, f: 4 }, "generated cluster: f: expected an integer in 0..3, because n is 4"],
    [{ replicas: 4, clients: 1, ports: [1, 2] }, "expected 4 ports, one for each replica, got 2"],
    [{ replicas: 2, clients: 1, ports: 65_535 }, "expected every port to be an integer in 1..65535, got 65536"],
    [{ replicas: 2, clients: 1, ports: [7, 7] }, "expected a port of its own for each replica"],
    [{ replicas: 2, clients: 1, host: "a b" }, 'generated cluster: members[0].url: expected a url such as "ws://127.0.0.1:7000"'],
  ])("refuses %j in one line", (options, message) => {
    expect(() => generateCluster(options)).toThrow(expect.objectContaining({ name: "LabError", message }));
  });
});

describe("key files", () => {
  it("are written so that only their owner reads the private ones, and read back", () => {
    const { directory, generated } = written("plain");
    const file = loadClusterFile(clusterFilePath(directory));
    expect(file).toEqual(generated.file);
    expect(readdirSync(directory)).toHaveLength(8);
    for (const [owner, secret] of generated.secrets) {
      expect(statSync(privateKeyPath(directory, owner)).mode & 0o777).toBe(0o600);
      expect(readPrivateKey(privateKeyPath(directory, owner), owner, file)).toEqual(secret);
    }
  });

  it("keep every secret out of the public file", () => {
    const { directory, generated } = written("public");
    const text = readFileSync(clusterFilePath(directory), "utf8");
    for (const secret of generated.secrets.values()) expect(text).not.toContain(bytesToHex(secret));
  });

  it("are never overwritten", () => {
    const { directory, generated } = written("twice");
    const before = readFileSync(privateKeyPath(directory, "replica-0"), "utf8");
    expect(() => writeCluster(directory, generateCluster({ replicas: 4, clients: 2 }))).toThrow(
      expect.objectContaining({
        code: "keys-exist",
        message: expect.stringMatching(/twice exists already: choose another name, or remove it/),
      }),
    );
    expect(readFileSync(privateKeyPath(directory, "replica-0"), "utf8")).toBe(before);
    expect(loadClusterFile(clusterFilePath(directory))).toEqual(generated.file);
  });

  it("may go into a folder that is there and empty, into no other, and leave nothing half made", () => {
    const directory = join(root, "there");
    mkdirSync(directory);
    writeCluster(`${directory}/`, generateCluster({ replicas: 1, clients: 0 }));
    expect(loadClusterFile(clusterFilePath(directory)).n).toBe(1);
    const other = join(root, "other");
    mkdirSync(other);
    writeFileSync(join(other, "notes"), "");
    expect(() => writeCluster(other, generateCluster({ replicas: 1, clients: 0 }))).toThrow(
      expect.objectContaining({ code: "keys-exist", message: `${other} exists already: no cluster.json in it; choose another name` }),
    );
    for (const path of [join(other, "notes"), join(other, "notes", "x")])
      expect(() => writeCluster(path, generateCluster({ replicas: 1, clients: 0 }))).toThrow(
        expect.objectContaining({ code: "unwritable-directory", message: expect.stringContaining(`${path}: cannot write there (`) }),
      );
    expect(readdirSync(other)).toEqual(["notes"]);
    expect(readdirSync(root).filter((name) => name.endsWith(".new"))).toEqual([]);
  });

  it("are refused when others may read them", () => {
    const { directory, generated } = written("open");
    const path = privateKeyPath(directory, "replica-0");
    for (const mode of [0o640, 0o604, 0o644, 0o620]) {
      chmodSync(path, mode);
      expect(() => readPrivateKey(path, "replica-0", generated.file)).toThrow(
        `replica-0.key: others may read this private key (mode 0${mode.toString(8)}): expected mode 0600, set it with chmod 600`,
      );
    }
    chmodSync(path, 0o400);
    expect(readPrivateKey(path, "replica-0", generated.file)).toHaveLength(32);
  });

  it("are refused when they are missing, damaged or somebody else's, by an error that shows no key", () => {
    const { directory, generated } = written("wrong");
    const { file } = generated;
    const path = privateKeyPath(directory, "replica-1");
    const secret = bytesToHex(generated.secrets.get("replica-1") as Uint8Array);
    const stranger = bytesToHex(generateCluster({ replicas: 1, clients: 0 }).secrets.get("replica-0") as Uint8Array);
    const cases: readonly (readonly [string, string])[] = [
      [`{"node": "replica-1", "secret": "${secret}`, "expected a private key file in JSON"],
      [`{"node": "replica-1", "secret": "${secret.slice(1)}"}`, 'expected {"node": NAME, "secret": 64 hex digits}'],
      [`{"node": "replica-2", "secret": "${secret}"}`, 'expected the key of replica-1, got that of "replica-2"'],
      [`{"node": "replica-1", "secret": "${stranger}"}`, "this is not the key that the cluster file names for replica-1"],
    ];
    for (const [text, message] of cases) {
      writeFileSync(path, text);
      let error: unknown;
      try {
        readPrivateKey(path, "replica-1", file);
      } catch (caught) {
        error = caught;
      }
      expect(error).toMatchObject({ code: "bad-key-file", message: `${path}: ${message}` });
      expect(`${(error as Error).message}${String((error as Error).cause)}`).not.toMatch(/[0-9a-f]{32}/);
    }
    expect(() => readPrivateKey(privateKeyPath(directory, "client-9"), "client-9", file)).toThrow(
      /client-9\.key: there is no such key file$/,
    );
  });
});
