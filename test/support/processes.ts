/** The processes of this machine, as far as a test must know which of them still run. */
import { execFileSync } from "node:child_process";

interface Process {
  readonly pid: number;
  readonly parent: number;
}

/** Those that run; one that has ended and was not waited for is no process any more. */
function processes(): Process[] {
  return execFileSync("ps", ["-A", "-o", "pid=", "-o", "ppid=", "-o", "stat=", "-o", "comm="], { encoding: "utf8" })
    .trim()
    .split("\n")
    .map((line) => line.trim().split(/\s+/))
    .filter(([, , state = "", command]) => !state.startsWith("Z") && command !== "ps")
    .map(([pid, parent]) => ({ pid: Number(pid), parent: Number(parent) }));
}

export function childrenOf(parent: number): number[] {
  return processes()
    .filter((process) => process.parent === parent)
    .map(({ pid }) => pid);
}

/** Those of `pids` that still run. */
export function running(pids: readonly (number | undefined)[]): number[] {
  return processes()
    .map(({ pid }) => pid)
    .filter((pid) => pids.includes(pid));
}
