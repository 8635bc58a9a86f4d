/** The long-running programs of this folder, each in a short version: what they print is in the failure. */
import { type ChildProcess, spawn } from "node:child_process";
import { join } from "node:path";
import { afterEach, describe, expect, it, vi } from "vitest";
import { sourceFlags } from "../../src/launch/body.ts";
import { whyNoNamespaces } from "./network.ts";
import { Figures, isFlat, memoryOf } from "./support.ts";

// Some ten seconds each where nothing else runs.
vi.setConfig({ testTimeout: 180_000 });

const started: ChildProcess[] = [];
afterEach(() => {
  for (const child of started.splice(0)) child.kill("SIGTERM");
});

/** @returns everything that it printed, and its exit code in the last line */
function ran(program: string, ...args: readonly string[]): Promise<string> {
  const child = spawn(process.execPath, [...sourceFlags(), join(import.meta.dirname, `${program}.ts`), ...args], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  started.push(child);
  let output = "";
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding("utf8").on("data", (text: string) => {
      output += text;
    });
  return new Promise((resolve) => child.on("close", (code) => resolve(`${output}exit code ${code}`)));
}

const good = /all bounds were kept\nexit code 0$/;

describe("soak", () => {
  it("keeps its bounds while one replica stands still and one comes back with nothing", async () => {
    const output = await ran(
      "soak",
      "--operations",
      "800",
      "--pause-seconds",
      "1",
      "--checkpoint-interval",
      "4",
      "--catch-up-seconds",
      "30",
    );
    expect(output).toMatch(good);
    expect(output).toMatch(/kept {4}every operation returned what it must \(\d{3,} returned, 0 wrong\)/);
  });
});

describe("hostile peers", () => {
  it("are counted, and harm no honest client", async () => {
    // Shares of throughput mean nothing on a machine that does other things as well; that it goes on is what every operation shows.
    const output = await ran("hostile", "--seconds", "5", "--peace-seconds", "1", "--warm-up-seconds", "1", "--throughput-percent", "0");
    expect(output).toMatch(good);
    expect(output).toContain("every kind of attack is counted (18 kinds)");
  });
});

const why = whyNoNamespaces();

describe("network namespaces", () => {
  it.skipIf(why !== undefined)(`${why ?? "one cluster file, three namespaces: agreement across them, and cut links"}`, async () => {
    const output = await ran("namespaces", "--operations", "10", "--cut-seconds", "2");
    expect(output).toMatch(good);
    expect(output).toContain("kept    nothing returns for 2 s");
  });
});

describe("the programs", () => {
  it("name an option that they do not have, and what is allowed", async () => {
    expect(await ran("soak", "--operation", "3")).toMatch(/^Unknown option '--operation'; allowed: --operations 20000 .*\nexit code 2$/);
    expect(await ran("hostile", "--seconds", "soon")).toMatch(
      /^--seconds: expected a number from 0, got "soon"; allowed: .*\nexit code 2$/,
    );
  });
});

describe("figures", () => {
  const samples = (...rss: readonly number[]) => rss.map((mb) => ({ rss: mb, heap: 0, stable: 0, executed: 0 }));

  it("are read by name and labels", () => {
    const figures = new Figures('# HELP a x\nquorate_links{role="client"} 3\nprocess_resident_memory_bytes 1.5e6\nquorate_view 2\n');
    expect(figures.value('quorate_links{role="client"}')).toBe(3);
    expect(figures.value("process_resident_memory_bytes")).toBe(1_500_000);
    expect(figures.value("quorate_halted")).toBe(0);
  });

  it("of memory are flat when only the first quarter grows, and not when it never ends", () => {
    const bound = { percent: 25, mb: 40 };
    const warmed = memoryOf(samples(50, 100, 200, 210, 205, 208, 206, 209));
    expect(warmed).toEqual({ first: 50, peak: 210, last: 209, early: 205, late: 207.5 });
    expect(isFlat(warmed, bound)).toBe(true);
    expect(isFlat(memoryOf(samples(50, 100, 150, 200, 250, 300, 350, 400)), bound)).toBe(false);
  });
});
