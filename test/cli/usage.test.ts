/** What a user gets wrong is told in one line on stderr, with exit code 2 and without a stack. */
import { existsSync, mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it, vi } from "vitest";
import { checkCommand } from "../../src/cli/check.ts";
import { sizeDoubt } from "../../src/cli/keys.ts";
import { runCommand } from "../../src/cli/run.ts";
import { deathLine, hint } from "../../src/cli/up.ts";
import { scenario } from "../../src/harness/scenario.ts";
import { formatRecord } from "../../src/harness/trace-text.ts";
import { generateCluster, privateKeyPath, writeCluster } from "../../src/launch/keys.ts";
import { simulate } from "../../src/sim/simulate.ts";
import { useFolders } from "../support/folder.ts";
import { quorate } from "./support.ts";

vi.setConfig({ maxConcurrency: 2 });

const folder = useFolders()();

function file(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

const broken = file("broken.ts", "export default {\n  name: 'broken'\n  replicas: 4,\n};\n");
const unknownTraitor = file("unknown.mjs", 'export default { name: "x", replicas: 4, traitors: { 0: { behaviour: "gossip" } } };');
const { records } = simulate(scenario({ name: "x", replicas: 4, workload: { operations: 1 } }), { seed: 1 });
const lines = records.map(formatRecord);
const garbled = file("garbled.jsonl", `${lines.slice(0, 7).join("\n")}\n${lines[7]?.slice(0, 20)}\n`);

const keys = join(folder, "keys");
writeCluster(keys, generateCluster({ replicas: 4, clients: 1 }));
const cluster = join(keys, "cluster.json");
const key = privateKeyPath(keys, "replica-0");
const certificate = file("ca.pem", "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n");
const blocked = file("blocked", "");
const other = join(folder, "other");
mkdirSync(other);
writeFileSync(join(other, "notes"), "");
const [openKey, out] = [join(folder, "open.key"), join(folder, "out")];
const noTls = /^quorate: the cluster file says ws:\/\/: leave the TLS options out, or make keys with --tls$/;

const mistakes: readonly (readonly [what: string, args: readonly string[], told: RegExp])[] = [
  ["a file that is not there", ["run", "nowhere.ts"], /^quorate: nowhere\.ts: there is no such scenario file$/],
  ["a file that is no TypeScript", ["run", broken], /^quorate: .*broken\.ts: it does not load: .*broken\.ts:3:2: .*"replicas"$/],
  [
    "a behaviour that does not exist, over sockets",
    ["run", unknownTraitor, "--json"],
    /there is no traitor behaviour "gossip"; allowed are silent, /,
  ],
  [
    "an option that does not exist",
    ["run", "--sede", "3", "scripts/honest.ts"],
    /^quorate: unknown option '--sede' \(Did you mean --seed\?\) \(add --help/,
  ],
  [
    "a seed that is none",
    ["run", "scripts/honest.ts", "--seed", "-1"],
    /^quorate: option '--seed <number>' argument '-1' is invalid\. expected an integer from 0\./,
  ],
  ["a command that does not exist", ["rnu"], /^quorate: unknown command 'rnu' \(Did you mean run\?\) \(add --help for what is allowed\)$/],
  [
    "a place where nothing can be written",
    ["run", "scripts/honest.ts", "--sim", "--json", "--out", "package.json"],
    /^quorate: package\.json\/honest-1: cannot write there \(ENOTDIR\)/,
  ],
  ["a trace that is not there", ["check", "nowhere.jsonl"], /^quorate: nowhere\.jsonl: cannot read this trace file \(ENOENT\)$/],
  ["a trace with a line that is no record", ["check", garbled], /^quorate: .*garbled\.jsonl: trace line 8: expected one JSON object/],
  ["TLS options of a client where links are ws://", ["client", "--cluster", cluster, "--tls-ca", certificate, "get", "a"], noTls],
  ["TLS options of a replica where links are ws://", ["replica", "--cluster", cluster, "--id", "0", "--tls-ca", certificate], noTls],
  ["TLS options of a set where links are ws://", ["up", "--keys", keys, "--out", out, "--tls-ca", certificate], noTls],
  [
    "TLS options that are not enough to make keys for",
    ["up", "--keys", join(folder, "new"), "--out", out, "--tls-ca", certificate],
    /^quorate: a wss:\/\/ address needs a TLS key and certificate/,
  ],
  [
    "an authority that is no certificate",
    ["client", "--cluster", cluster, "--tls-ca", key, "get", "a"],
    /replica-0\.key: expected --tls-ca to be a PEM file that holds a certificate$/,
  ],
  [
    "a TLS key that is a certificate",
    ["up", "--keys", keys, "--out", out, "--tls-key", certificate],
    /ca\.pem: expected --tls-key to be a PEM file that holds a private key$/,
  ],
  [
    "a folder for stacks that is a file",
    ["up", "--keys", keys, "--out", blocked],
    /blocked: cannot write there \(EEXIST\); choose another directory$/,
  ],
  [
    "a folder for stacks without a name",
    ["up", "--keys", keys, "--out", ""],
    /^quorate: "": cannot write there \(ENOENT\); choose another/,
  ],
  [
    "keys below a file",
    ["up", "--out", out, "--keys", join(blocked, "x")],
    /blocked\/x: cannot write there \((?:ENOTDIR|EEXIST)\); choose another directory$/,
  ],
  [
    "keys in a folder without a name",
    ["up", "--out", out, "--keys", ""],
    /^quorate: "" exists already: no cluster\.json in it; choose another/,
  ],
  [
    "keys in a folder of other things",
    ["up", "--out", out, "--keys", other],
    /other exists already: no cluster\.json in it; choose another name$/,
  ],
  ["figures that nobody could keep", ["bench", "--out", join(blocked, "x")], /blocked\/x: cannot write there \(ENOTDIR\)$/],
  [
    "a host with a port",
    ["keys", "never", "--host", "10.0.0.1:7000"],
    /^quorate: --host: expected host names or addresses without port and path, got "10\.0\.0\.1:7000"$/,
  ],
  ["a host with a path", ["keys", "never", "--host", "a/b"], /^quorate: --host: .* got "a\/b"$/],
  ["hosts apart by a space", ["keys", "never", "--host", "a b"], /^quorate: --host: .* got "a b"$/],
  ["a host too few", ["keys", "never", "--host", "a,,b"], /^quorate: --host: .* got ""$/],
  [
    "an open client where there are none",
    ["client", "--cluster", cluster, "--open", openKey, "get", "a"],
    /^quorate: the cluster takes no open clients: /,
  ],
  [
    "values that no store takes",
    ["client", "load", "--value-bytes", "32769"],
    /^quorate: option '--value-bytes <number>' argument '32769' is invalid\. expected an integer in 0\.\.32768\./,
  ],
];

describe.concurrent("one line for", () => {
  it.each(mistakes)("%s", async (_, args, told) => {
    const { code, stdout, stderr } = await quorate(...args);
    expect(stderr).toMatch(/^[^\n]+\n$/);
    expect(stderr.trimEnd()).toMatch(told);
    expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
    // Nor does a mistake leave anything behind.
    expect(readdirSync(folder).filter((name) => name === "new" || name.endsWith(".new"))).toEqual([]);
    expect(existsSync(openKey)).toBe(false);
  });
});

describe("one line", () => {
  it("says that so few replicas do not withstand so many faults", () => {
    expect(sizeDoubt({ n: 4, f: 2 })).toBe("4 replicas withstand 1, not 2");
    expect(sizeDoubt({ n: 4, f: 1 })).toBeUndefined();
    expect(sizeDoubt({ n: 7, f: 1 })).toBeUndefined();
  });

  it("says how to start a dead replica again, with the TLS files that it had, as a log does", () => {
    const text = hint({ keys: "keys/lab", tlsKey: "a.pem", tlsCert: "b.pem", tlsCa: "c.pem" }, 2);
    expect(text).toMatch(/ replica --cluster keys\/lab\/cluster\.json --id 2 --tls-key a\.pem --tls-cert b\.pem --tls-ca c\.pem$/);
    expect(hint({ keys: "keys/lab" }, 2)).toMatch(/ --id 2$/);
    expect(JSON.parse(deathLine(text, false))).toMatchObject({ level: "error", event: "replica-died", msg: text });
    expect(deathLine(text, true)).toContain(text);
  });
});

describe("help", () => {
  it("lists the commands, has examples, and goes to stdout", async () => {
    const { code, stdout, stderr } = await quorate("--help");
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    for (const command of ["run", "check"]) expect(stdout).toMatch(new RegExp(`^ {2}(?:quorate )?${command} `, "m"));
  });

  it.each([runCommand, checkCommand])("has an example for each command", (command) => {
    let shown = "";
    const writeOut = (text: string): void => {
      shown += text;
    };
    command().configureOutput({ writeOut }).outputHelp();
    expect(shown).toMatch(/\nExample:\n {2}quorate /);
  });
});
