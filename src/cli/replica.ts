/** `quorate replica`: one replica of a cluster file, for as long as it is wanted. It has no knob that makes it lie or lose messages. */
import { dirname } from "node:path";
import { Command, InvalidArgumentError, Option } from "commander";
import { pino } from "pino";
import { replicaName } from "../core/ids.ts";
import { LabError } from "../core/lab-error.ts";
import { loadClusterFile } from "../launch/cluster-file.ts";
import { privateKeyPath, readPrivateKey } from "../launch/keys.ts";
import { ReplicaNode } from "../launch/replica-node.ts";
import { createLog } from "../node/log.ts";
import { checkTlsWanted, integer, type LogOptions, logOptions, type TlsOptions, tlsOf, tlsOptions } from "./arguments.ts";
import { untilStopped } from "./until-stopped.ts";

interface ReplicaOptions extends LogOptions, TlsOptions {
  readonly cluster: string;
  readonly id: number;
  readonly key?: string;
  readonly listen?: { readonly host: string; readonly port: number };
}

export function replicaCommand(): Command {
  const command = new Command("replica")
    .description("runs one replica of a cluster file; on several machines each runs its own, with the same file")
    .requiredOption("--cluster <file>", "the cluster file")
    .addOption(new Option("--id <number>", "which replica this is").argParser(integer(0, 255)).makeOptionMandatory())
    .option("--key <file>", "its private key (default: beside the cluster file)")
    .option("--listen <host:port>", "where to listen, if not at its url: 0.0.0.0:7000 is every address of this machine", address);
  for (const option of [...tlsOptions(), ...logOptions()]) command.addOption(option);
  return command
    .addHelpText("after", "\nExample:\n  quorate replica --cluster keys/lab/cluster.json --id 2 --listen 0.0.0.0:7000")
    .action(serve);
}

async function serve(options: ReplicaOptions): Promise<void> {
  const { cluster, id, listen } = options;
  const file = loadClusterFile(cluster);
  if (id >= file.n) throw new LabError("no-such-replica", `${cluster}: expected --id in 0..${file.n - 1}, got ${id}`);
  const name = replicaName(id);
  const secret = readPrivateKey(options.key ?? privateKeyPath(dirname(cluster), name), name, file);
  const tls = tlsOf(options);
  checkTlsWanted(tls, file);
  const pretty = options.pretty ?? process.stdout.isTTY === true;
  const log = createLog({ node: name, level: options.logLevel, pretty, destination: pino.destination({ dest: 1, sync: true }) });
  const node = await ReplicaNode.create({ id, file, secret, log, ownProcess: true, ...(listen && { listen }), ...(tls && { tls }) });
  process.on("uncaughtException", (error) => {
    log.fatal({ event: "crash", error }, "ended by a bug of its own");
    process.exit(3);
  });
  await node.start();
  await untilStopped(() => node.stop());
}

function address(text: string): { host: string; port: number } {
  const [, bracketed, plain, port] = /^(?:\[(.+)\]|([^:]+)):(\d{1,5})$/.exec(text) ?? [];
  const host = bracketed ?? plain;
  if (host === undefined || Number(port) > 65_535) throw new InvalidArgumentError("expected HOST:PORT, as in 0.0.0.0:7000 or [::]:7000.");
  return { host, port: Number(port) };
}
