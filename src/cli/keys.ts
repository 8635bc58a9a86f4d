/** `quorate keys`: key pairs and the cluster file that names them. */
import { isIPv6 } from "node:net";
import { join } from "node:path";
import { Command, Option } from "commander";
import { LabError } from "../core/lab-error.ts";
import { faultsTolerated } from "../core/quorum.ts";
import { type ClusterFile, clientsMax, loadClusterFile } from "../launch/cluster-file.ts";
import { clusterFilePath, generateCluster, writeCluster } from "../launch/keys.ts";
import { integer, type SizeOptions, sizeOf, sizeOptions } from "./arguments.ts";

interface KeysOptions extends SizeOptions {
  readonly clients: number;
  readonly host: string;
  readonly port: number;
  readonly tls?: true;
  readonly openClients?: true;
}

export function keysCommand(): Command {
  const command = new Command("keys")
    .description("makes a key pair for every node and the cluster file that names them, in a new folder keys/NAME")
    .argument("[name]", "letters, digits, dots, hyphens and underscores", "local");
  for (const option of sizeOptions()) command.addOption(option);
  return command
    .addOption(new Option("--clients <number>", "how many clients get a key").argParser(integer(0, clientsMax)).default(8))
    .option("--host <host[,host...]>", "where the replicas listen: one host for all, or one for each", "127.0.0.1")
    .addOption(new Option("--port <number>", "the first port; on several hosts each uses it").argParser(integer(1, 65_535)).default(7_000))
    .option("--tls", "links are wss://: each replica then needs a TLS key and certificate of yours")
    .option("--open-clients", "let clients take part whose keys stand in no file")
    .addHelpText("after", "\nExample:\n  quorate keys lab --f 1 --host 10.0.0.1,10.0.0.2,10.0.0.3,10.0.0.4 --port 7000")
    .action((name: string, options: KeysOptions) => {
      if (!/^[A-Za-z0-9][\w.-]*$/.test(name))
        throw new LabError("bad-name", `expected a name of letters, digits, dots, hyphens and underscores, got ${JSON.stringify(name)}`);
      const directory = join("keys", name);
      for (const line of makeKeys(directory, options)) console.log(line);
      const doubt = sizeDoubt(loadClusterFile(clusterFilePath(directory)));
      if (doubt !== undefined) console.error(`quorate: ${doubt}`);
    });
}

/** Too many faults for so few replicas are allowed, for this is a laboratory, but hardly ever meant. @returns one line to say so */
export function sizeDoubt({ n, f }: Pick<ClusterFile, "n" | "f">): string | undefined {
  const withstood = faultsTolerated(n);
  return f > withstood ? `${n} replica${n === 1 ? "" : "s"} withstand${n === 1 ? "s" : ""} ${withstood}, not ${f}` : undefined;
}

/** Writes them. @returns what the user should know. @throws LabError when the folder exists: keys are never overwritten */
export function makeKeys(directory: string, options: KeysOptions): string[] {
  const hosts = options.host.split(",").map((host) => host.trim());
  for (const host of hosts) checkHost(host);
  const [only = "127.0.0.1"] = hosts;
  const generated = generateCluster({
    ...sizeOf(options),
    clients: options.clients,
    host: hosts.length > 1 ? hosts : only,
    ports: options.port,
    ...(options.tls && { secure: true }),
    ...(options.openClients && { openClients: true }),
  });
  writeCluster(directory, generated);
  const { n, f, clients, members } = generated.file;
  return [
    `${clusterFilePath(directory)}: ${n} replicas (f = ${f}) and ${clients.length} clients; it is public, every node needs the same`,
    `${directory}/*.key: one private key for each; give every node its own and no other`,
    ...(options.openClients ? ["open clients: anybody who reaches a port may send requests"] : []),
    ...members.map(({ id, url }) => `replica ${id}: ${url}`),
  ];
}

function checkHost(host: string): void {
  const bare = host.replace(/^\[(.*)\]$/, "$1");
  if (isIPv6(bare) ? URL.canParse(`ws://[${bare}]`) : !/[\s/\\:?#@]/.test(host) && URL.canParse(`ws://${host}`)) return;
  throw new LabError("bad-host", `--host: expected host names or addresses without port and path, got ${JSON.stringify(host)}`);
}
