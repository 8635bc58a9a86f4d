/** `quorate client`: one operation on a running replica set, or a load of them. */
import { setMaxListeners } from "node:events";
import { existsSync } from "node:fs";
import { Command, InvalidArgumentError, Option } from "commander";
import { parseDuration } from "../core/duration.ts";
import { LabError } from "../core/lab-error.ts";
import { type ClusterFile, loadClusterFile } from "../launch/cluster-file.ts";
import { type Client, type ConnectOptions, connect, storeOperation, storeResult } from "../launch/connect.ts";
import { openClientKey } from "../launch/keys.ts";
import { type LoadOptions, load } from "../launch/load.ts";
import { keyValueLimits, kv } from "../services/key-value.ts";
import { checkTlsWanted, integer, type TlsOptions, tlsAuthorityOption, tlsOf } from "./arguments.ts";
import { loadLines } from "./load-lines.ts";
import { progressLine } from "./progress.ts";

interface ClientOptions extends Pick<TlsOptions, "tlsCa"> {
  readonly cluster: string;
  readonly id: number;
  readonly timeout: number;
  readonly open?: string;
  readonly json?: true;
}

type LoadCommandOptions = ClientOptions & LoadOptions & { readonly clients: number };

/** What a command has to say: `lines` for people, `json` for programs. */
interface Answer {
  readonly json: object;
  readonly lines?: readonly string[];
  /** Why it is not what was asked for, in one line; the exit code is then 1. */
  readonly but?: string;
}

/** The replicas are not there, or too slow; nothing is wrong with what the user asked for. */
const unavailable: readonly string[] = ["timed-out", "circuit-open", "not-linked"];

const signals = ["SIGINT", "SIGTERM"] as const;

export function clientCommand(): Command {
  const client = new Command("client")
    .description("asks a running replica set: put, get, cas, del, or a load of them")
    .option("--cluster <path>", "its cluster file; the client's key lies beside it", "keys/local/cluster.json")
    .addOption(new Option("--id <number>", "which client to be, one process at a time").argParser(integer(1)).default(1))
    .option("--open <key file>", "be a client that stands in no cluster file, under this key, which is made if there is none")
    .addOption(new Option("--timeout <duration>", "how long an operation may take").argParser(duration).default(30_000, "30s"))
    .option("--json", "print one JSON object instead of text")
    .addOption(tlsAuthorityOption())
    .addHelpText(
      "after",
      `
Examples:
  quorate client put a 3
  quorate client get a
  quorate client --cluster keys/lab/cluster.json --id 2 cas a 3 4
  quorate client load --operations 5000 --clients 2

Exit codes: 0 done, 1 not so (no such key, something else stood there, no answer in time), 2 bad usage or configuration.`,
    );
  client.addCommand(
    withExample("put a 3", new Command("put"))
      .description("writes a value under a key")
      .argument("<key>")
      .argument("<value>")
      .action((key: string, value: string, _, command: Command) =>
        one(
          command,
          storeOperation(() => kv.put(key, value)),
          () => ({ json: { operation: "put", key, value }, lines: ["ok"] }),
        ),
      ),
  );
  client.addCommand(
    withExample("get a", new Command("get"))
      .description("prints what stands under a key")
      .argument("<key>")
      .action((key: string, _, command: Command) =>
        one(
          command,
          storeOperation(() => kv.get(key)),
          (found) => ({
            json: { operation: "get", key, value: found ?? null },
            ...(found === undefined ? { but: noKey(key) } : { lines: [found] }),
          }),
        ),
      ),
  );
  client.addCommand(
    withExample("cas a 3 4\n  quorate client cas a --absent 3", new Command("cas"))
      .description("writes a value where the expected one stands")
      .usage("[options] <key> <expected> <value>")
      .argument("<key>")
      .argument("<values...>", "the expected value and the new one")
      .option("--absent", "expect that there is no such key; then give the new value alone")
      .action((key: string, values: string[], { absent }: { absent?: true }, command: Command) =>
        cas(command, key, values, absent === true),
      ),
  );
  client.addCommand(
    withExample("del a", new Command("del"))
      .description("removes a key")
      .argument("<key>")
      .action((key: string, _, command: Command) =>
        one(
          command,
          storeOperation(() => kv.del(key)),
          (_found, done) => ({
            json: { operation: "del", key, deleted: done },
            ...(done ? { lines: ["ok"] } : { but: noKey(key) }),
          }),
        ),
      ),
  );
  client.addCommand(
    withExample("load --operations 5000 --clients 2 --window 64", new Command("load"))
      .description("puts and gets by turns, as fast as the replicas answer; says how fast that was")
      .addOption(new Option("--operations <number>", "how many altogether").argParser(integer(1)).default(1_000))
      .addOption(new Option("--clients <number>", "how many clients, from --id up").argParser(integer(1)).default(1))
      .addOption(new Option("--window <number>", "operations that each keeps under way").argParser(integer(1)).default(16))
      .addOption(new Option("--keys <number>", "keys that they share").argParser(integer(1)).default(100))
      .addOption(new Option("--value-bytes <number>", "size of a value").argParser(integer(0, keyValueLimits.valueBytes)).default(100))
      .action((_, command: Command) => loadCommand(command.optsWithGlobals<LoadCommandOptions>())),
  );
  return client;
}

function withExample(text: string, command: Command): Command {
  return command.addHelpText(
    "after",
    `\nExample:\n  quorate client ${text}\n\nWhich cluster, which client, how long: quorate client --help`,
  );
}

function cas(command: Command, key: string, values: readonly string[], absent: boolean): Promise<void> {
  const [expected, value] = absent ? [undefined, ...values] : values;
  if (value === undefined || values.length !== (absent ? 1 : 2))
    throw new LabError("bad-arguments", "cas: expected KEY EXPECTED VALUE, or KEY --absent VALUE");
  return one(
    command,
    storeOperation(() => kv.cas(key, expected, value)),
    (found, done) => ({
      json: { operation: "cas", key, swapped: done, value: done ? value : (found ?? null) },
      ...(done ? { lines: ["ok"] } : { but: found === undefined ? noKey(key) : `${JSON.stringify(found)} stands there` }),
    }),
  );
}

/** @param answer - gets what stands under the key, where the result says so, and whether the operation did what it is for */
async function one(command: Command, operation: Uint8Array, answer: (found: string | undefined, done: boolean) => Answer): Promise<void> {
  const options = command.optsWithGlobals<ClientOptions>();
  await asking(options, [options.id], async (clients, signal) => {
    const [client] = clients as readonly [Client];
    const result = storeResult(await client.invoke(operation, { signal }));
    return answer(result.type === "value" ? result.value : undefined, result.type === "ok");
  });
}

async function loadCommand(options: LoadCommandOptions): Promise<void> {
  const ids = Array.from({ length: options.clients }, (_, index) => options.id + index);
  const progress = progressLine(options.json === true);
  await asking(options, ids, async (clients, signal) => {
    await Promise.all(clients.map((client) => client.linked()));
    const result = await load(clients, options, progress.show, signal).finally(() => progress.end());
    const failed = Object.values(result.failed).reduce((total, count) => total + count, 0);
    return {
      json: result,
      lines: loadLines(result),
      ...(failed > 0 && { but: `${failed} of ${options.operations} operations failed` }),
    };
  });
}

/** Connects, asks, closes and tells. */
async function asking(
  options: ClientOptions,
  ids: readonly number[],
  ask: (clients: readonly Client[], signal: AbortSignal) => Promise<Answer>,
): Promise<void> {
  const { cluster, timeout, tlsCa, json, open } = options;
  if (!existsSync(cluster))
    throw new LabError(
      "no-cluster",
      `${cluster}: there is no such cluster file: start replicas with "quorate up", make keys with "quorate keys", or name another with --cluster`,
    );
  const file = loadClusterFile(cluster);
  const tls = tlsOf(tlsCa === undefined ? {} : { tlsCa });
  checkTlsWanted(tls, file);
  const interrupted = new AbortController();
  // Every operation of a load listens to it.
  setMaxListeners(0, interrupted.signal);
  const stop = () => interrupted.abort();
  for (const signal of signals) process.once(signal, stop);
  const clients: Client[] = [];
  try {
    const common = { cluster, timeout, ...(tls && { tls }) };
    if (open !== undefined) clients.push(connect({ ...common, ...openIdentity(open, ids.length, file) }));
    else for (const id of ids) clients.push(connect({ ...common, id }));
    tell(await ask(clients, interrupted.signal), json === true);
  } catch (error) {
    if (!(error instanceof LabError && unavailable.includes(error.code))) throw error;
    tell({ json: { error: error.code }, but: error.message }, json === true);
  } finally {
    await Promise.all(clients.map((client) => client.close()));
    for (const signal of signals) process.off(signal, stop);
  }
}

/** Its numbers lie beside its key, for both last as long. */
function openIdentity(path: string, clients: number, file: ClusterFile): Pick<ConnectOptions, "open" | "secret" | "numbers"> {
  if (clients > 1) throw new LabError("bad-arguments", "--open: expected one client, which one key is good for");
  // No key is made for a cluster that would not take it; to connect says why.
  if (!file.openClients) return { open: true };
  return { open: true, secret: openClientKey(path), numbers: `${path}.numbers` };
}

function tell({ json, lines = [], but }: Answer, asJson: boolean): void {
  if (asJson) console.log(JSON.stringify(json));
  else for (const line of lines) console.log(line);
  if (but === undefined) return;
  console.error(`quorate: ${but}`);
  process.exitCode = 1;
}

const noKey = (key: string): string => `there is no key ${JSON.stringify(key)}`;

function duration(text: string): number {
  const ms = parseDuration(text);
  if (ms === undefined || ms === 0) throw new InvalidArgumentError('expected a duration such as "500ms", "10s" or "2m".');
  return ms;
}
