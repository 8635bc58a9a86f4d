/** Key material: made, written so that only its owner reads it, and read back. Secrets never appear in an error or a log. */
import { randomBytes } from "node:crypto";
import { closeSync, existsSync, fstatSync, mkdirSync, openSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { z } from "zod";
import type { Limits, Timing } from "../core/cluster.ts";
import { clientName, type NodeName, replicaName } from "../core/ids.ts";
import { LabError } from "../core/lab-error.ts";
import { faultsTolerated, type Quorums } from "../core/quorum.ts";
import { nativeScheme } from "../crypto/native.ts";
import { bytesToHex, hexToBytes } from "../wire/schema.ts";
import { type ClusterFile, clientsMax, parseClusterFile, publicKeyOf, replicasMax } from "./cluster-file.ts";
import { writable } from "./writable.ts";

/** Who has a private key: every node, and the administrator who re-admits wiped replicas (rule 77). */
export type KeyOwner = NodeName | "administrator";

export interface GenerateOptions {
  /** How many replicas, from 1. */
  readonly replicas: number;
  /** Faults to withstand. @defaultValue the most that so many replicas can */
  readonly f?: number;
  /** How many clients. */
  readonly clients: number;
  /** Host name or address under which the replicas reach one another: one for all, or one for each. @defaultValue "127.0.0.1" */
  readonly host?: string | readonly string[];
  /** Links are `wss://`. @defaultValue false */
  readonly secure?: boolean;
  /** The first of as many consecutive ports (the same one on each of several hosts), or one port for each replica. @defaultValue 7000 */
  readonly ports?: number | readonly number[];
  readonly quorums?: Partial<Quorums>;
  readonly limits?: Partial<Limits>;
  readonly timing?: Partial<Timing>;
  /** Whether clients that stand in no file may take part. @defaultValue false */
  readonly openClients?: boolean;
}

export interface GeneratedCluster {
  readonly file: ClusterFile;
  readonly secrets: ReadonlyMap<KeyOwner, Uint8Array>;
}

/** New keys and the cluster file for them; nothing is written. @throws LabError of one line that names the wrong option. */
export function generateCluster(options: GenerateOptions): GeneratedCluster {
  const { replicas, clients, f = faultsTolerated(replicas), host = "127.0.0.1", secure = false } = options;
  checkCount("replicas", replicas, 1, replicasMax);
  checkCount("clients", clients, 0, clientsMax);
  const hosts = hostsOf(host, replicas);
  const ports = portsOf(options.ports ?? 7_000, hosts);
  const scheme = secure ? "wss" : "ws";
  const secrets = new Map<KeyOwner, Uint8Array>();
  const newKey = (owner: KeyOwner): string => {
    const secret = Uint8Array.from(randomBytes(32));
    secrets.set(owner, secret);
    return bytesToHex(nativeScheme.publicKeyOf(secret));
  };
  const file = {
    format: 1,
    n: replicas,
    f,
    quorums: { ...options.quorums },
    limits: { ...options.limits },
    timing: { ...options.timing },
    openClients: options.openClients ?? false,
    members: ports.map((port, id) => ({
      id,
      publicKey: newKey(replicaName(id)),
      url: `${scheme}://${bracketed(hosts[id] as string)}:${port}`,
    })),
    clients: Array.from({ length: clients }, (_, index) => ({ id: index + 1, publicKey: newKey(clientName(index + 1)) })),
    administratorKey: newKey("administrator"),
  };
  return { file: parseClusterFile(file, "generated cluster"), secrets };
}

/**
 * Writes `cluster.json` and one private file per owner, mode 0600, into a new or empty directory: all of them or none.
 *
 * @throws LabError when the directory holds something, for keys are never overwritten, or when nothing can be written there
 */
export function writeCluster(directory: string, generated: GeneratedCluster): void {
  const target = resolve(directory);
  const unfinished = `${target}.${randomBytes(4).toString("hex")}.new`;
  writable(directory, () => {
    mkdirSync(unfinished, { recursive: true });
    try {
      for (const [owner, secret] of generated.secrets) {
        const text = `${JSON.stringify({ node: owner, secret: bytesToHex(secret) })}\n`;
        writeFileSync(privateKeyPath(unfinished, owner), text, { mode: 0o600, flag: "wx" });
      }
      writeFileSync(clusterFilePath(unfinished), `${JSON.stringify(generated.file, null, 2)}\n`, { flag: "wx" });
      // It takes the place of an empty directory, and of nothing else.
      renameSync(unfinished, target);
    } catch (cause) {
      rmSync(unfinished, { recursive: true, force: true });
      if (!holdsSomething.includes((cause as NodeJS.ErrnoException).code ?? "")) throw cause;
      const keys = existsSync(clusterFilePath(target));
      const why = keys ? "choose another name, or remove it if nobody needs its keys" : "no cluster.json in it; choose another name";
      throw new LabError("keys-exist", `${directory || '""'} exists already: ${why}`, { cause });
    }
  });
}

const holdsSomething: readonly string[] = ["ENOTEMPTY", "EEXIST"];

export const clusterFilePath = (directory: string): string => join(directory, "cluster.json");
export const privateKeyPath = (directory: string, owner: KeyOwner): string => join(directory, `${owner}.key`);

const privateKeySchema = z.strictObject({ node: z.string(), secret: z.string().regex(/^[0-9a-f]{64}$/) });

/**
 * Reads the private key of `owner` and checks that it is the one which the cluster file names.
 *
 * @returns the secret, 32 bytes
 * @throws LabError of one line, which never shows the key, when the file is missing, damaged, readable by others, or somebody else's
 */
export function readPrivateKey(path: string, owner: KeyOwner, file: ClusterFile): Uint8Array {
  const bytes = readKeyFile(path, owner);
  const expected = owner === "administrator" ? file.administratorKey : hexOrNothing(publicKeyOf(file, owner));
  if (expected === undefined) throw badKey(path, `the cluster file names no ${owner}`);
  if (bytesToHex(nativeScheme.publicKeyOf(bytes)) !== expected)
    throw badKey(path, `this is not the key that the cluster file names for ${owner}`);
  return bytes;
}

/**
 * The private key of an open client, made and written on first use.
 *
 * @throws LabError as {@link readPrivateKey}, or when it cannot be written
 */
export function openClientKey(path: string): Uint8Array {
  const secret = Uint8Array.from(randomBytes(32));
  try {
    writeFileSync(path, `${JSON.stringify({ node: openClient, secret: bytesToHex(secret) })}\n`, { mode: 0o600, flag: "wx" });
    return secret;
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    if (code !== "EEXIST") throw new LabError("unwritable-file", `${path}: cannot write a key there (${code})`, { cause });
  }
  return readKeyFile(path, openClient);
}

const openClient = "open-client";

function readKeyFile(path: string, owner: string): Uint8Array {
  const parsed = privateKeySchema.safeParse(parseSecretly(path, readPrivately(path)));
  if (!parsed.success) throw badKey(path, 'expected {"node": NAME, "secret": 64 hex digits}');
  const { node, secret } = parsed.data;
  if (node !== owner) throw badKey(path, `expected the key of ${owner}, got that of ${JSON.stringify(node.slice(0, 40))}`);
  return hexToBytes(secret);
}

/** The mode is that of the very file that is read, so it cannot be swapped in between. */
function readPrivately(path: string): string {
  let descriptor: number;
  try {
    descriptor = openSync(path, "r");
  } catch (cause) {
    const missing = (cause as NodeJS.ErrnoException).code === "ENOENT";
    throw new LabError("unreadable-file", missing ? `${path}: there is no such key file` : `${path}: cannot read this key file`, { cause });
  }
  try {
    const mode = fstatSync(descriptor).mode & 0o777;
    if (process.platform !== "win32" && (mode & 0o077) !== 0)
      throw badKey(path, `others may read this private key (mode 0${mode.toString(8)}): expected mode 0600, set it with chmod 600`);
    return readFileSync(descriptor, "utf8");
  } finally {
    closeSync(descriptor);
  }
}

/** The parser's own message would quote the text, and with it the key. */
function parseSecretly(path: string, text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    throw badKey(path, "expected a private key file in JSON");
  }
}

function checkCount(option: string, value: number, low: number, high: number): void {
  if (!Number.isInteger(value) || value < low || value > high)
    throw new LabError("bad-count", `expected ${option} to be an integer in ${low}..${high}, got ${value}`);
}

function hostsOf(host: string | readonly string[], replicas: number): readonly string[] {
  if (typeof host === "string") return Array.from({ length: replicas }, () => host);
  if (host.length !== replicas) throw new LabError("bad-hosts", `expected ${replicas} hosts, one for each replica, got ${host.length}`);
  return host;
}

/** Consecutive ports on one machine, the same port on each of several. */
function portsOf(ports: number | readonly number[], hosts: readonly string[]): readonly number[] {
  const before = (id: number): number => hosts.slice(0, id).filter((host) => host === hosts[id]).length;
  const list = typeof ports === "number" ? hosts.map((_, id) => ports + before(id)) : ports;
  if (list.length !== hosts.length)
    throw new LabError("bad-ports", `expected ${hosts.length} ports, one for each replica, got ${list.length}`);
  const wrong = list.find((port) => !Number.isInteger(port) || port < 1 || port > 65_535);
  if (wrong !== undefined) throw new LabError("bad-ports", `expected every port to be an integer in 1..65535, got ${wrong}`);
  if (new Set(list.map((port, id) => `${hosts[id]} ${port}`)).size !== hosts.length)
    throw new LabError("bad-ports", "expected a port of its own for each replica");
  return list;
}

const bracketed = (host: string): string => (host.includes(":") && !host.startsWith("[") ? `[${host}]` : host);
const hexOrNothing = (bytes: Uint8Array | undefined): string | undefined => bytes && bytesToHex(bytes);

function badKey(path: string, why: string): LabError {
  return new LabError("bad-key-file", `${path}: ${why}`);
}
