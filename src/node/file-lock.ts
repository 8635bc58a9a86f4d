/**
 * A file for one holder alone. Each puts up a mark of its own beside the file and then looks for others: whoever comes second
 * sees the first. A mark is named after one process and never reused, so that anybody may remove that of a dead process without
 * racing against a new holder, as with one lock file for all.
 */
import { randomBytes } from "node:crypto";
import { closeSync, openSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { hostname } from "node:os";
import { basename, dirname, join } from "node:path";
import { LabError } from "../core/lab-error.ts";

export class FileLock {
  readonly #mark: string;

  private constructor(mark: string) {
    this.#mark = mark;
  }

  /**
   * Two that try in the very same moment may both be refused.
   *
   * @param advice - what to do when somebody holds it, for the error
   * @throws LabError `in-use`, in one line, when another process or another part of this one holds it
   */
  static take(path: string, advice: string): FileLock {
    const folder = dirname(path);
    const prefix = `${basename(path)}.held-by-`;
    const name = `${prefix}${process.pid}-${beginning(process.pid)}-${randomBytes(4).toString("hex")}-${hostname()}`;
    putUp(folder, name);
    const lock = new FileLock(join(folder, name));
    for (const other of readdirSync(folder)) {
      if (other === name || !other.startsWith(prefix)) continue;
      const mark = join(folder, other);
      const holder = holderOf(other.slice(prefix.length));
      if (holder === undefined) rmSync(mark, { force: true });
      else {
        lock.release();
        throw new LabError("in-use", `${path}: in use by ${holder}: ${advice}; if the other has ended for sure, remove ${mark}`);
      }
    }
    return lock;
  }

  release(): void {
    rmSync(this.#mark, { force: true });
  }
}

function putUp(folder: string, name: string): void {
  try {
    closeSync(openSync(join(folder, name), "wx", 0o600));
  } catch (cause) {
    throw new LabError("unwritable-folder", `${folder}: cannot write there (${(cause as NodeJS.ErrnoException).code})`, { cause });
  }
}

/** Who holds it, in words; undefined when that process is gone. What cannot be known counts as held. */
function holderOf(mark: string): string | undefined {
  const [, pid = "", began = "", host = ""] = /^(\d+)-(\d+)-[0-9a-f]+-(.*)$/.exec(mark) ?? [];
  if (host !== hostname()) return `process ${pid} on ${host}`;
  const now = beginning(Number(pid));
  const other = now === undefined || (now !== began && now !== unknown && began !== unknown);
  if (other) return undefined;
  return Number(pid) === process.pid ? "another part of this process" : `process ${pid}`;
}

/** Where the system does not say. */
const unknown = "0";

/**
 * When a process began, in ticks since the machine did: tells it from a later one of the same number, as containers and restarted
 * machines have them. Undefined: no such process runs.
 */
function beginning(pid: number): string | undefined {
  try {
    process.kill(pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ESRCH") return undefined;
  }
  try {
    const [state = "", ...fields] = readFileSync(`/proc/${pid}/stat`, "latin1").split(") ").at(-1)?.split(" ") ?? [];
    return state === "Z" || state === "X" ? undefined : (fields[18] ?? unknown);
  } catch {
    return unknown;
  }
}
