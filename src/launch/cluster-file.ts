/**
 * The cluster file: what everybody may know about a cluster, and what all of its nodes must agree on.
 *
 * The room `launch` turns files and options into running nodes. It may import everything but the command line.
 */
import { readFileSync } from "node:fs";
import { z } from "zod";
import { type Cluster, defaultLimits, defaultTiming, type Limits, type Timing } from "../core/cluster.ts";
import { clientId, clientName, type NodeName, replicaId, replicaName } from "../core/ids.ts";
import { LabError } from "../core/lab-error.ts";
import { faultsTolerated, type Quorums, quorumsFor } from "../core/quorum.ts";
import { nativeDigest } from "../crypto/native.ts";
import { checkPublicKey } from "../crypto/signature.ts";
import { clusterDigest } from "../wire/cluster-digest.ts";
import { hexToBytes } from "../wire/schema.ts";
import type { Keys } from "../wire/signatures.ts";

/** A replica: its number, its public key as 64 hex digits, and where it listens. */
interface Member {
  readonly id: number;
  readonly publicKey: string;
  readonly url: string;
}

/** A client that may send requests; numbers start at 1. */
interface RegisteredClient {
  readonly id: number;
  readonly publicKey: string;
}

/** `keys/NAME/cluster.json`. It is public; private keys lie in files of their own. */
export interface ClusterFile {
  readonly format: 1;
  readonly n: number;
  readonly f: number;
  readonly quorums: Quorums;
  readonly limits: Limits;
  readonly timing: Timing;
  /** Replicas 0..n-1, in order. */
  readonly members: readonly Member[];
  /** Clients 1..m, in order. */
  readonly clients: readonly RegisteredClient[];
  /** Signs re-admissions (rule 77). */
  readonly administratorKey?: string | undefined;
  /** Whether clients that stand in no file may take part, each known by its key. */
  readonly openClients: boolean;
}

/** No cluster is larger, and no window: the wire holds no more. */
export const replicasMax = 256;
export const clientsMax = 4_096;
const slotsMax = 4_096;
const timerMaxMs = 2 ** 31 - 1;
const operationMax = 1 << 20;
const frameMax = 1 << 28;

const whole = (low: number, high: number) => z.int({ error: `expected an integer in ${low}..${high}` }).check(range(low, high));
const publicKey = z.string({ error: "expected a public key of 64 hex digits" }).superRefine((text, context) => {
  const wrong = /^[0-9a-f]{64}$/.test(text) ? checkPublicKey(hexToBytes(text)) : "expected a public key of 64 lowercase hex digits";
  if (wrong !== undefined) context.addIssue({ code: "custom", message: wrong });
});
const url = z.string({ error: "expected a url" }).superRefine((text, context) => {
  const wrong = checkUrl(text);
  if (wrong !== undefined) context.addIssue({ code: "custom", message: wrong });
});

const limitsSchema = z.strictObject({
  checkpointInterval: whole(1, slotsMax / 2),
  window: whole(2, slotsMax),
  clientWindow: whole(1, slotsMax),
  pipeline: whole(1, slotsMax),
  batchRequests: whole(1, 65_536),
  batchBytes: whole(1, frameMax),
  operationBytes: whole(1, operationMax),
  resultBytes: whole(64, operationMax),
  frameBytes: whole(4_096, frameMax),
  timestampBoundMs: whole(0, timerMaxMs),
});
const timingSchema = z.strictObject({
  viewTimeoutMs: whole(1, timerMaxMs),
  viewTimeoutMaxMs: whole(1, timerMaxMs),
  statusIntervalMs: whole(1, timerMaxMs),
  idleStatusIntervalMs: whole(1, timerMaxMs),
});
const quorum = whole(1, replicasMax);
const quorumsSchema = z.strictObject({ order: quorum, viewChange: quorum, weak: quorum, reply: quorum, checkpoint: quorum });

/** Limits, timing and quorums may be left out in part: the defaults of this version then hold. */
const fileSchema = z.strictObject({
  format: z.literal(1, { error: "expected 1, the only format so far" }),
  n: whole(1, replicasMax),
  f: whole(0, replicasMax - 1).optional(),
  quorums: quorumsSchema.partial().default({}),
  limits: limitsSchema.partial().default({}),
  timing: timingSchema.partial().default({}),
  members: z.array(z.strictObject({ id: whole(0, replicasMax - 1), publicKey, url })),
  clients: z.array(z.strictObject({ id: whole(1, clientsMax), publicKey })).max(clientsMax, `expected at most ${clientsMax} clients`),
  administratorKey: publicKey.optional(),
  openClients: z.boolean({ error: "expected true or false" }).default(false),
});

/**
 * Checks a parsed cluster file and fills in defaults.
 *
 * @param source - how errors name the file
 * @throws LabError of one line that names the wrong field and what is allowed
 */
export function parseClusterFile(json: unknown, source = "cluster file"): ClusterFile {
  const parsed = fileSchema.safeParse(json);
  if (!parsed.success) throw wrongField(source, ...firstIssue(parsed.error));
  const { data } = parsed;
  const f = data.f ?? faultsTolerated(data.n);
  if (f >= data.n) throw wrongField(source, "f", `expected an integer in 0..${data.n - 1}, because n is ${data.n}`);
  const file: ClusterFile = {
    ...data,
    f,
    quorums: checked(source, "quorums", () => quorumsFor(data.n, f, defined(data.quorums))),
    limits: { ...defaultLimits, ...defined(data.limits) },
    timing: { ...defaultTiming, ...defined(data.timing) },
  };
  const wrong = contradiction(file);
  if (wrong !== undefined) throw wrongField(source, ...wrong);
  return file;
}

/** Reads and checks a cluster file. @throws LabError of one line when it cannot be read, is no JSON or has a wrong field. */
export function loadClusterFile(path: string): ClusterFile {
  return parseClusterFile(readJson(path, "cluster file"), path);
}

/** The cluster as the cores see it. Equal files, and files that differ in urls or timing only, give equal ids. */
export function toCluster(file: ClusterFile): Cluster {
  const { n, f, quorums, limits, timing } = file;
  const administrator = file.administratorKey === undefined ? {} : { administratorKey: hexToBytes(file.administratorKey) };
  return {
    id: clusterDigest({ n, f, quorums, limits, ...keysOf(file), ...administrator }, nativeDigest),
    n,
    f,
    quorums,
    limits,
    timing,
    replicas: file.members.map(({ id }) => replicaId(id)),
    clients: file.clients.map(({ id }) => clientId(id)),
  };
}

/** Whose signatures count: what an opener asks for, and a transport. */
export function keysOf({ members, clients, openClients }: ClusterFile): Required<Keys> {
  const bytesOf = ({ publicKey }: { readonly publicKey: string }): Uint8Array => hexToBytes(publicKey);
  return { replicaKeys: members.map(bytesOf), clientKeys: clients.map(bytesOf), openClients };
}

/** The public key of a node; undefined when the cluster has no such node. */
export function publicKeyOf(file: ClusterFile, node: NodeName): Uint8Array | undefined {
  const member = file.members.find(({ id }) => replicaName(id) === node);
  const client = file.clients.find(({ id }) => clientName(id) === node);
  const found = member ?? client;
  return found && hexToBytes(found.publicKey);
}

/** @throws LabError of one line when the file cannot be read or is no JSON. */
function readJson(path: string, what: string): unknown {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (cause) {
    const missing = (cause as NodeJS.ErrnoException).code === "ENOENT";
    throw new LabError("unreadable-file", missing ? `${path}: there is no such ${what}` : `${path}: cannot read this ${what}`, { cause });
  }
  try {
    return JSON.parse(text) as unknown;
  } catch (cause) {
    throw new LabError("not-json", `${path}: expected a ${what} in JSON`, { cause });
  }
}

type Wrong = readonly [field: string, allowed: string];

/** What no single field shows. */
function contradiction(file: ClusterFile): Wrong | undefined {
  const { n, limits, timing, members, clients } = file;
  if (members.length !== n) return ["members", `expected ${n} members, because n is ${n}, got ${members.length}`];
  if (limits.window < 2 * limits.checkpointInterval)
    return ["limits.window", `expected at least ${2 * limits.checkpointInterval}, twice limits.checkpointInterval (rule 24)`];
  if (limits.batchBytes < limits.operationBytes + 1_024)
    return ["limits.batchBytes", `expected at least ${limits.operationBytes + 1_024}, so that the largest operation fits into a batch`];
  if (limits.frameBytes < limits.batchBytes + 4_096)
    return ["limits.frameBytes", `expected at least ${limits.batchBytes + 4_096}, so that the largest batch fits into a frame`];
  if (timing.viewTimeoutMaxMs < timing.viewTimeoutMs)
    return ["timing.viewTimeoutMaxMs", `expected at least ${timing.viewTimeoutMs}, which is timing.viewTimeoutMs`];
  return outOfOrder("members", members, 0) ?? outOfOrder("clients", clients, 1) ?? repeatedKey(file);
}

function outOfOrder(list: string, entries: readonly { readonly id: number }[], first: number): Wrong | undefined {
  const index = entries.findIndex(({ id }, position) => id !== position + first);
  return index < 0 ? undefined : [`${list}[${index}].id`, `expected ${index + first}: ids count from ${first}, in order`];
}

/** One key under two names would let one node vote twice. */
function repeatedKey(file: ClusterFile): Wrong | undefined {
  const seen = new Map<string, string>();
  const keys = [
    ...file.members.map(({ publicKey }, index) => [`members[${index}].publicKey`, publicKey] as const),
    ...file.clients.map(({ publicKey }, index) => [`clients[${index}].publicKey`, publicKey] as const),
    ...(file.administratorKey === undefined ? [] : [["administratorKey", file.administratorKey] as const]),
  ];
  for (const [field, key] of keys) {
    const other = seen.get(key);
    if (other !== undefined) return [field, `expected a key of its own, not that of ${other}`];
    seen.set(key, field);
  }
  return undefined;
}

function checkUrl(text: string): string | undefined {
  if (!URL.canParse(text)) return 'expected a url such as "ws://127.0.0.1:7000"';
  const { protocol, username, password, search, hash } = new URL(text);
  if (protocol !== "ws:" && protocol !== "wss:") return `expected a url that begins with ws:// or wss://, got ${protocol}//`;
  return username || password || search || hash ? "expected a url without user name, query and fragment" : undefined;
}

function range(low: number, high: number) {
  const error = `expected an integer in ${low}..${high}`;
  return z.refine<number>((value) => value >= low && value <= high, { error });
}

function firstIssue(error: z.ZodError): Wrong {
  const issue = error.issues[0] as z.core.$ZodIssue;
  const field = issue.path.reduce<string>(
    (path, key) => (typeof key === "number" ? `${path}[${key}]` : `${path && `${path}.`}${String(key)}`),
    "",
  );
  if (issue.code === "unrecognized_keys") return [[field, issue.keys[0]].filter(Boolean).join("."), "there is no such field"];
  return [field, issue.message.replace(/\s+/g, " ")];
}

function wrongField(source: string, field: string, allowed: string): LabError {
  return new LabError("bad-cluster-file", `${source}: ${field === "" ? allowed : `${field}: ${allowed}`}`);
}

function checked<T>(source: string, field: string, compute: () => T): T {
  try {
    return compute();
  } catch (cause) {
    throw new LabError("bad-cluster-file", `${source}: ${field}: ${(cause as Error).message}`, { cause });
  }
}

/** Without the fields that are present but undefined, which would hide a default. */
function defined<T extends object>(partial: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(partial).filter(([, value]) => value !== undefined)) as {
    [K in keyof T]?: Exclude<T[K], undefined>;
  };
}
