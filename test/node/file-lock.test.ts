import { type ChildProcess, fork, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readdirSync, writeFileSync } from "node:fs";
import { hostname } from "node:os";
import { basename, join } from "node:path";
import { describe, expect, it } from "vitest";
import { FileLock } from "../../src/node/file-lock.ts";
import { useFolders } from "../support/folder.ts";

const newFolder = useFolders();
/** Where the system tells how processes are doing; elsewhere what cannot be known counts as held. */
const tells = existsSync("/proc/self/stat");
const marks = (path: string): string[] => readdirSync(join(path, "..")).filter((name) => name.startsWith(`${basename(path)}.held-by-`));
const take = (path: string): FileLock => FileLock.take(path, "wait for it");

/** A process that takes the lock and keeps it; it says how that went. */
async function holder(path: string): Promise<{ readonly child: ChildProcess; readonly said: string }> {
  const child = fork(join(import.meta.dirname, "hold-lock.ts"), [path], { execArgv: ["--import", "tsx", "--conditions=quorate-source"] });
  const [said] = (await once(child, "message")) as [string];
  return { child, said };
}

async function kill(child: ChildProcess): Promise<void> {
  child.kill("SIGKILL");
  await once(child, "close");
}

describe("a lock on a file", () => {
  it("keeps out a second holder of this process, until it is released", () => {
    const path = join(newFolder(), "file");
    const lock = take(path);
    expect(() => take(path)).toThrow(expect.objectContaining({ name: "LabError", code: "in-use" }));
    expect(() => take(path)).toThrow(
      /^[^\n]*file: in use by another part of this process: wait for it; if the other has ended for sure, remove [^\n]*$/,
    );
    lock.release();
    take(path).release();
    expect(marks(path)).toEqual([]);
  });

  it("keeps out other processes, and lets them in when the holder was killed", async () => {
    const path = join(newFolder(), "file");
    const first = await holder(path);
    expect(first.said).toBe("taken");
    expect((await holder(path)).said).toContain(`in use by process ${first.child.pid}: `);
    expect(() => take(path)).toThrow(`in use by process ${first.child.pid}: `);
    await kill(first.child);
    take(path).release();
    expect(marks(path)).toEqual([]);
  });

  it("lets one in at most, however many try to take over from a dead holder at once", async () => {
    const path = join(newFolder(), "file");
    await kill((await holder(path)).child);
    const all = await Promise.all(Array.from({ length: 6 }, () => holder(path)));
    const taken = all.filter(({ said }) => said === "taken");
    expect(taken.length).toBeLessThanOrEqual(1);
    expect(marks(path)).toHaveLength(taken.length);
    for (const { child } of taken) await kill(child);
    take(path).release();
  });

  it.runIf(tells)("takes a later process with the number of the dead holder for what it is", () => {
    const path = join(newFolder(), "file");
    // This process began much later than the machine did.
    writeFileSync(`${path}.held-by-${process.pid}-1-00000000-${hostname()}`, "");
    take(path).release();
    expect(marks(path)).toEqual([]);
  });

  it("believes a mark of another machine, where nobody can look", () => {
    const path = join(newFolder(), "file");
    writeFileSync(`${path}.held-by-1-1-00000000-elsewhere.example`, "");
    expect(() => take(path)).toThrow("in use by process 1 on elsewhere.example: ");
    expect(marks(path)).toHaveLength(1);
  });

  it.runIf(tells)("does not wait for a zombie", async () => {
    const path = join(newFolder(), "file");
    // The shell starts a child, never waits for it, and becomes `sleep`.
    const shell = spawn("sh", ["-c", "true & echo $!; exec sleep 60"], { stdio: ["ignore", "pipe", "ignore"] });
    const [pid] = (await once(shell.stdout, "data")) as [Buffer];
    writeFileSync(`${path}.held-by-${pid.toString().trim()}-0-00000000-${hostname()}`, "");
    const attempt = () => {
      try {
        take(path).release();
        return "taken";
      } catch (error) {
        return (error as Error).message;
      }
    };
    await expect.poll(attempt, { timeout: 20_000, interval: 20 }).toBe("taken");
    await kill(shell);
  });

  it("is no concern of files with longer names", () => {
    const folder = newFolder();
    const lock = take(join(folder, "client-1.numbers"));
    take(join(folder, "client-11.numbers")).release();
    lock.release();
  });

  it("says when the folder takes no files", () => {
    expect(() => take(join(newFolder(), "nowhere", "file"))).toThrow(/nowhere: cannot write there \(ENOENT\)$/);
  });
});
