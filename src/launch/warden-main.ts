/**
 * The program of the warden. A replica that is paused (SIGSTOP) cannot notice that its launcher died, so somebody else must: the
 * warden reads from the launcher which processes there are, and when the launcher is gone, however it went, it ends them.
 */
import { createInterface } from "node:readline";

let wards: readonly number[] = [];

// Ctrl-C reaches the whole process group; the warden stays until the launcher is gone.
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => undefined);

createInterface({ input: process.stdin })
  .on("line", (line) => {
    wards = line.split(" ").filter(Boolean).map(Number);
  })
  .on("close", () => {
    for (const pid of wards) end(pid);
  });

function end(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // Gone already.
  }
}
