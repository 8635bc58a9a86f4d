/** Machines that are none: network namespaces of this one, joined by a bridge in a namespace of its own. Nothing outside of them is touched. */
import { type ChildProcess, execFileSync, type SpawnOptions, spawn } from "node:child_process";

const prefix = "quorate-";

/** Why this machine cannot have them, in one line; undefined when it can. */
export function whyNoNamespaces(): string | undefined {
  if (process.platform !== "linux") return `network namespaces need Linux, this is ${process.platform}`;
  if (process.getuid?.() !== 0) return "network namespaces need root: sudo npm run namespaces";
  const probe = `${prefix}${process.pid}-probe`;
  try {
    ip("netns", "add", probe);
    ip("-n", probe, "link", "add", "bridge", "type", "bridge");
    ip("-n", probe, "link", "add", "left", "type", "veth", "peer", "name", "right");
    return undefined;
  } catch (error) {
    const { code, message, stderr = "" } = error as NodeJS.ErrnoException & { readonly stderr?: string };
    if (code === "ENOENT") return "network namespaces need the command ip, of the package iproute2";
    return `this machine allows no network namespaces: ${(stderr.trim() || message).split("\n")[0]}`;
  } finally {
    remove(probe);
  }
}

/** Namespaces `a`, `b`, ... of one network; gone with the process, however it ends, and what runs in them too. */
export class Network {
  readonly #names: readonly string[];

  constructor(names: readonly string[]) {
    this.#names = names;
    sweep();
    process.on("exit", () => {
      for (const name of [...names, "switch"]) remove(full(name));
    });
    ip("netns", "add", full("switch"));
    ip("-n", full("switch"), "link", "add", "bridge", "type", "bridge");
    ip("-n", full("switch"), "link", "set", "bridge", "up");
    for (const name of names) {
      ip("netns", "add", full(name));
      ip("-n", full(name), "link", "set", "lo", "up");
      ip("-n", full("switch"), "link", "add", port(name), "type", "veth", "peer", "name", "eth0", "netns", full(name));
      ip("-n", full("switch"), "link", "set", port(name), "master", "bridge");
      ip("-n", full(name), "address", "add", `${this.address(name)}/24`, "dev", "eth0");
      ip("-n", full(name), "link", "set", "eth0", "up");
      this.join(name);
    }
  }

  address(name: string): string {
    return `10.77.0.${this.#names.indexOf(name) + 1}`;
  }

  /** Takes its cable out: packets in flight are lost, and nobody is told. */
  cut(name: string): void {
    ip("-n", full("switch"), "link", "set", port(name), "down");
  }

  join(name: string): void {
    ip("-n", full("switch"), "link", "set", port(name), "up");
  }

  /** Starts Node.js there. */
  node(name: string, args: readonly string[], options: SpawnOptions): ChildProcess {
    return spawn("ip", ["netns", "exec", full(name), process.execPath, ...args], options);
  }
}

const full = (name: string, owner: number = process.pid): string => `${prefix}${owner}-${name}`;
const port = (name: string): string => `port-${name}`;

function ip(...args: readonly string[]): string {
  return execFileSync("ip", args, { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"], timeout: 60_000 });
}

/** Ends what runs in a namespace of ours, then removes it. */
function remove(name: string): void {
  try {
    for (const pid of ip("netns", "pids", name).split("\n").filter(Boolean)) end(Number(pid));
    ip("netns", "delete", name);
  } catch {
    // There is none.
  }
}

function end(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // Gone already.
  }
}

/** Removes what an earlier run left behind that was killed. */
function sweep(): void {
  for (const [name, owner] of ip("netns", "list").matchAll(new RegExp(`^${prefix}(\\d+)-\\w+`, "gm"))) {
    if (!isAlive(Number(owner))) remove(name);
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
