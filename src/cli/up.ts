/** `quorate up`: a replica set on this machine, until it is told to stop. */
import { existsSync, mkdirSync } from "node:fs";
import { Command, Option } from "commander";
import { type NodeName, replicaName } from "../core/ids.ts";
import { LabError } from "../core/lab-error.ts";
import { perfectNetwork } from "../faults/network.ts";
import type { TraitorPart } from "../launch/body.ts";
import { type ClusterFile, clientsMax, loadClusterFile } from "../launch/cluster-file.ts";
import { clusterFilePath, privateKeyPath, readPrivateKey } from "../launch/keys.ts";
import { ReplicaSet } from "../launch/replica-set.ts";
import { writable } from "../launch/writable.ts";
import type { BehaviourData } from "../traitors/behaviour.ts";
import { parseTraitor } from "../traitors/parse-traitor.ts";
import { listenSettings, type TlsSettings } from "../transport/tls.ts";
import {
  checkTlsWanted,
  integer,
  type LogOptions,
  logOptions,
  type SizeOptions,
  sizeOptions,
  type TlsOptions,
  tlsOf,
  tlsOptions,
} from "./arguments.ts";
import { makeKeys, sizeDoubt } from "./keys.ts";
import { paint } from "./paint.ts";
import { untilStopped } from "./until-stopped.ts";

interface UpOptions extends SizeOptions, LogOptions, TlsOptions {
  readonly keys: string;
  readonly clients: number;
  readonly port: number;
  readonly traitor: readonly string[];
  readonly inProcess?: true;
  readonly openClients?: true;
  readonly seed: number;
  readonly out: string;
  readonly json?: true;
}

export function upCommand(): Command {
  const command = new Command("up").description("launches a replica set on this machine, one process each, until Ctrl-C");
  for (const option of sizeOptions()) command.addOption(option);
  command
    .option("--keys <folder>", "the cluster's keys; made there if there are none", "keys/local")
    .addOption(
      new Option("--clients <number>", "how many clients get a key, when keys are made").argParser(integer(0, clientsMax)).default(8),
    )
    .addOption(new Option("--port <number>", "the first port, when keys are made").argParser(integer(1, 65_535)).default(7_000))
    .option("--traitor <id:behaviour>", "makes a replica lie, as in 0:equivocate; may be given several times", collect, [])
    .option("--in-process", "all replicas in this process: quick to start and open to a debugger")
    .option("--open-clients", "when keys are made: let clients take part whose keys stand in no file")
    .addOption(new Option("--seed <number>", "what a traitor's chance follows from").argParser(integer(0)).default(1))
    .option("--out <folder>", "where a replica that crashes leaves its stack", "runs/up")
    .option("--json", "print one JSON object when the set is up, instead of text");
  for (const option of [...tlsOptions(), ...logOptions()]) command.addOption(option);
  return command
    .addHelpText(
      "after",
      "\nExamples:\n  quorate up --f 1\n  quorate up --f 2 --keys keys/seven --traitor 0:equivocate --traitor 3:silent\n\nThen, in another terminal: quorate client put a 3",
    )
    .action(up);
}

async function up(options: UpOptions): Promise<void> {
  const tls = tlsOf(options);
  writable(options.out, () => mkdirSync(options.out, { recursive: true }));
  const file = clusterOf(options, tls);
  checkTlsWanted(tls, file);
  const traitors = traitorsOf(options.traitor, file.n);
  const pretty = options.pretty ?? process.stderr.isTTY === true;
  const doubt = sizeDoubt(file);
  if (doubt !== undefined) console.error(pretty ? `quorate: ${doubt}` : logLine("warn", "few-replicas", doubt));
  const starting = new AbortController();
  const interrupt = (): void => starting.abort();
  process.once("SIGINT", interrupt).once("SIGTERM", interrupt);
  const set = await ReplicaSet.start({
    file,
    secretOf: (node: NodeName) => readPrivateKey(privateKeyPath(options.keys, node), node, file),
    directory: options.out,
    trace: false,
    log: { level: options.logLevel, to: "stderr", pretty },
    network: perfectNetwork,
    seed: options.seed,
    traitors,
    anyPort: false,
    inProcess: options.inProcess === true,
    // With traitors about, this is a laboratory, and wants to see the lies after the first.
    penalties: traitors.size === 0,
    warden: true,
    ...(tls && { tls }),
    onDeath: ({ message }, replica) => console.error(deathLine(`${message}. ${hint(options, replica)}`, pretty)),
    signal: starting.signal,
  });
  try {
    await set.linked(0);
    process.off("SIGINT", interrupt).off("SIGTERM", interrupt);
    for (const line of options.json ? [json(set, options, traitors)] : table(set, options, traitors)) console.log(line);
    await untilStopped(() => set.stop());
  } finally {
    await set.stop();
  }
  if (!options.json) console.log("stopped");
}

/** The cluster in the keys' folder, which is made when there is none. @throws LabError when it is of another size than asked for */
function clusterOf(options: UpOptions, tls: TlsSettings | undefined): ClusterFile {
  const { keys, replicas, f } = options;
  if (!existsSync(clusterFilePath(keys))) {
    if (tls !== undefined) listenSettings(tls);
    const lines = makeKeys(keys, { ...options, host: "127.0.0.1", ...(tls !== undefined && { tls: true }) });
    if (!options.json) console.log(`made keys: ${lines[0]}`);
    return loadClusterFile(clusterFilePath(keys));
  }
  const file = loadClusterFile(clusterFilePath(keys));
  const wrong =
    replicas !== undefined && replicas !== file.n ? `--replicas ${replicas}` : f !== undefined && f !== file.f ? `--f ${f}` : undefined;
  if (wrong !== undefined)
    throw new LabError(
      "other-size",
      `${keys} holds a cluster of ${file.n} replicas with f = ${file.f}: for ${wrong} name another folder with --keys`,
    );
  if (options.openClients && !file.openClients)
    throw new LabError("not-open", `${keys} holds a cluster without open clients: for --open-clients name another folder with --keys`);
  return file;
}

function traitorsOf(texts: readonly string[], n: number): ReadonlyMap<number, TraitorPart> {
  const parts = new Map<number, { behaviours: BehaviourData[] }>();
  for (const text of texts) {
    const { node, behaviour } = parseTraitor(text);
    if (node >= n) throw new LabError("bad-traitor", `traitor ${JSON.stringify(text)}: expected a replica in 0..${n - 1}`);
    const part = parts.get(node) ?? { behaviours: [] };
    part.behaviours.push(behaviour);
    parts.set(node, part);
  }
  return parts;
}

function table(set: ReplicaSet, { keys, inProcess }: UpOptions, traitors: ReadonlyMap<number, TraitorPart>): string[] {
  const width = Math.max(...set.urls.map((url) => url.length));
  const rows = set.urls.map((url, id) => {
    const pid = set.pids[id];
    const where = pid === undefined ? `in process ${process.pid}` : `process ${pid}`;
    const lies = traitors.get(id)?.behaviours.map((one) => ("behaviour" in one ? one.behaviour : one.name));
    return `${replicaName(id)}  ${url.padEnd(width)}  ${where}${lies ? `  ${paint.bad(`traitor: ${lies.join(", ")}`)}` : ""}`;
  });
  return [
    paint.bold(`${set.urls.length} replicas are up${inProcess ? ", all in one process" : ""}`),
    ...rows,
    paint.dim(`talk to it:   quorate client --cluster ${clusterFilePath(keys)} put a 3`),
    paint.dim(`how it is:    ${set.urls[0]?.replace(/^ws/, "http")}/health, and /metrics`),
    paint.dim("stop it:      Ctrl-C"),
  ];
}

function json(set: ReplicaSet, { keys }: UpOptions, traitors: ReadonlyMap<number, TraitorPart>): string {
  const replicas = set.urls.map((url, id) => ({ id, url, pid: set.pids[id] ?? process.pid, traitor: traitors.has(id) }));
  return JSON.stringify({ cluster: clusterFilePath(keys), pid: process.pid, replicas });
}

/** How to start a dead replica again, with the TLS files that it had. */
export function hint({ keys, tlsKey, tlsCert, tlsCa }: Pick<UpOptions, "keys" | keyof TlsOptions>, replica: number): string {
  const files = Object.entries({ "--tls-key": tlsKey, "--tls-cert": tlsCert, "--tls-ca": tlsCa });
  const tls = files.map(([option, path]) => (path === undefined ? "" : ` ${option} ${path}`)).join("");
  return `Its memory is gone; start it again with: quorate replica --cluster ${clusterFilePath(keys)} --id ${replica}${tls}`;
}

/** Among logs in JSON it is one of them. */
export function deathLine(text: string, pretty: boolean): string {
  return pretty ? paint.bad(text) : logLine("error", "replica-died", text);
}

const logLine = (level: string, event: string, msg: string): string =>
  JSON.stringify({ level, time: new Date().toISOString(), event, msg });

function collect(text: string, earlier: readonly string[]): readonly string[] {
  return [...earlier, text];
}
