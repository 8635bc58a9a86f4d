/** Commands of the package gate, in the environment of somebody who never saw this repository. What they print is shown when they fail. */
import { execFile } from "node:child_process";
import { delimiter, join } from "node:path";
import { promisify } from "node:util";

/** Generous: a loaded machine is slow. */
const patienceMs = 300_000;

export interface CommandOptions {
  readonly cwd: string;
  /** What it is expected to end with. @defaultValue 0 */
  readonly exitCode?: number;
}

interface Finished {
  readonly code?: number | string | null;
  readonly signal?: string | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** @returns what it printed to stdout and stderr. @throws Error that names the command, its exit code and all that it printed */
export async function command(
  line: readonly [program: string, ...args: string[]],
  { cwd, exitCode = 0 }: CommandOptions,
): Promise<Pick<Finished, "stdout" | "stderr">> {
  const [program, ...args] = line;
  const options = { cwd, env: environment(), timeout: patienceMs, maxBuffer: 64 * 1024 * 1024 };
  const finished: Finished = await promisify(execFile)(program, args, options).catch((error: Finished) => error);
  const code = finished.signal ?? finished.code ?? 0;
  if (code === exitCode) return finished;
  throw new Error(`${line.join(" ")}: ended with ${code}, expected ${exitCode}\n${finished.stdout}${finished.stderr}`.trimEnd());
}

/** `npm run` adds the commands of this repository to the path, and makes npm work in this folder rather than in the one it is started in. */
function environment(): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(
    ([name]) => !/^(?:INIT_CWD$|npm_package_|npm_lifecycle_|npm_config_local_prefix$)/i.test(name),
  );
  const path = (process.env["PATH"] ?? "").split(delimiter).filter((folder) => !folder.endsWith(join("node_modules", ".bin")));
  // Colours are for terminals, and npm's advice is for its users.
  return { ...Object.fromEntries(kept), PATH: path.join(delimiter), NO_COLOR: "1", npm_config_loglevel: "error" };
}
