/** The command line as a user runs it, in a process of its own and from the sources. */
import { type ChildProcess, spawn } from "node:child_process";
import { join } from "node:path";
import { repository } from "../support/folder.ts";

export interface Finished {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Running {
  readonly child: ChildProcess;
  readonly finished: Promise<Finished>;
}

/** Starts `quorate` in a process group of its own, as a shell does. */
export function start(...args: readonly string[]): Running {
  return startIn(repository, ...args);
}

/** The same in another folder. */
export function startIn(cwd: string, ...args: readonly string[]): Running {
  const node = ["--import", import.meta.resolve("tsx"), "--conditions=quorate-source", join(repository, "src/cli/main.ts")];
  const child = spawn(process.execPath, [...node, ...args], { cwd, detached: true, stdio: ["ignore", "pipe", "pipe"] });
  const output = { stdout: "", stderr: "" };
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    output.stdout += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    output.stderr += text;
  });
  const finished = new Promise<Finished>((resolve) => child.on("close", (code) => resolve({ code, ...output })));
  return { child, finished };
}

export function quorate(...args: readonly string[]): Promise<Finished> {
  return start(...args).finished;
}
