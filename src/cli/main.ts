#!/usr/bin/env node
/** The command line. The room `cli` parses arguments, shows progress and prints verdicts; it may import everything and decides nothing. */
import { Command, CommanderError } from "commander";
import { version } from "../core/version.ts";

/** Only the one that is asked for is loaded: it starts sooner, and a replica's process holds nothing that could make it lie. */
const commands: Readonly<Record<string, () => Promise<Command>>> = {
  run: async () => (await import("./run.ts")).runCommand(),
  check: async () => (await import("./check.ts")).checkCommand(),
  keys: async () => (await import("./keys.ts")).keysCommand(),
  up: async () => (await import("./up.ts")).upCommand(),
  replica: async () => (await import("./replica.ts")).replicaCommand(),
  client: async () => (await import("./client.ts")).clientCommand(),
  bench: async () => (await import("./bench.ts")).benchCommand(),
};

const program = new Command("quorate")
  .description("A Byzantine consensus laboratory: real replicas over WebSockets, scriptable traitors, verdicts one can trust.")
  .version(version)
  .configureOutput({ outputError: (text, write) => write(usageError(text)) })
  .addHelpText(
    "after",
    `
Examples:
  quorate run scripts/first-traitor.ts              four processes over WebSockets, one of them lies
  quorate run scripts/first-traitor.ts --sim --seed 7   the same in virtual time, replayable
  quorate check runs/NAME-SEED/trace.jsonl          judges a trace again
  quorate up --f 1                                  four replicas to talk to, until Ctrl-C
  quorate client put a 3                            talks to them
  quorate bench                                     what a replica set costs on this machine

Exit codes: 0 as expected, 1 not as expected, 2 bad usage or configuration, 3 the laboratory failed, 130 interrupted;
Ctrl-C ends up and replica with 0 once they run.`,
  );
const [, , asked = ""] = process.argv;
for (const load of Object.hasOwn(commands, asked) ? [commands[asked]] : Object.values(commands)) if (load) program.addCommand(await load());

program.exitOverride();
inherit(program);

// Whoever reads our output may have seen enough, as `head` does.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code !== "EPIPE") throw error;
  process.exit();
});

try {
  await program.parseAsync();
} catch (error) {
  process.exitCode = exitCodeOfError(error);
}

/** Commands within commands fail as all others do. */
function inherit(parent: Command): void {
  for (const command of parent.commands) inherit(command.copyInheritedSettings(parent));
}

/** The library's text, which may go on with a suggestion, in one line. */
function usageError(text: string): string {
  const problem = text
    .replace(/^error: /, "")
    .trim()
    .replace(/\s*\n\s*/g, " ");
  return `quorate: ${problem} (add --help for what is allowed)\n`;
}

/** One clear line for what the user or the world did wrong; the whole stack for what we did. */
function exitCodeOfError(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
  const { name, message, exitCode, stack } = error as Error & { exitCode?: number };
  if (name === "AbortError") {
    console.error("interrupted");
    return 130;
  }
  // By name: a scenario file may have loaded its own copy of the class.
  if (name === "LabError") {
    console.error(`quorate: ${message}`);
    return exitCode ?? 2;
  }
  console.error(stack ?? message);
  return 3;
}
