/** What the long-running programs of this folder share: their options, figures that replicas tell of themselves, and bounds that a run must keep. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";

export const say = (line = ""): void => void process.stdout.write(`${line}\n`);

/** `--name number` for each of `defaults`; anything else ends the program with one line and exit code 2. */
export function numbers<N extends string>(defaults: Readonly<Record<N, number>>): Record<N, number> {
  const names = Object.keys(defaults) as N[];
  const options = Object.fromEntries(names.map((name) => [name, { type: "string" } as const]));
  try {
    const { values } = parseArgs({ options });
    return Object.fromEntries(names.map((name) => [name, numberOf(name, values[name]) ?? defaults[name]])) as Record<N, number>;
  } catch (error) {
    return fail(`${(error as Error).message.split(".")[0]}; allowed: ${names.map((name) => `--${name} ${defaults[name]}`).join(" ")}`);
  }
}

function numberOf(name: string, text: string | boolean | undefined): number | undefined {
  if (text === undefined) return undefined;
  const value = Number(text);
  if (typeof text === "string" && text !== "" && Number.isFinite(value) && value >= 0) return value;
  throw new Error(`--${name}: expected a number from 0, got ${JSON.stringify(text)}`);
}

/** Ends the program: the user, or this machine, is not ready for it. */
export function fail(why: string): never {
  process.stderr.write(`${why}\n`);
  process.exit(2);
}

/** A folder for traces and logs, by its path. It is gone when the process is, however it ends, unless something was wrong: then it is named. */
export function scratch(name: string): string {
  const path = mkdtempSync(join(tmpdir(), `quorate-${name}-`));
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.once(signal, () => process.exit(130));
  process.on("exit", (code) => {
    if (code === 1) say(`traces and logs are in ${path}`);
    else rmSync(path, { recursive: true, force: true });
  });
  return path;
}

/** What a run must keep. Each is told as it is checked; one that is broken makes the exit code 1. */
export class Bounds {
  #broken = 0;

  check(kept: boolean, what: string): void {
    say(`${kept ? "kept  " : "BROKEN"}  ${what}`);
    if (kept) return;
    this.#broken += 1;
    process.exitCode = 1;
  }

  /** The last line. */
  sum(): void {
    say(this.#broken === 0 ? "\nall bounds were kept" : `\n${this.#broken} bounds were BROKEN`);
  }
}

export const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** @returns after how many ms it was so. @throws Error when it is not within `ms` */
export async function until(what: string, ms: number, holds: () => boolean | Promise<boolean>): Promise<number> {
  const from = performance.now();
  for (;;) {
    if (await holds()) return performance.now() - from;
    if (performance.now() - from > ms) throw new Error(`within ${ms / 1_000} s it did not come true that ${what}`);
    await sleep(50);
  }
}

/** Metrics in Prometheus' text format, by name and labels as they stand there. */
export class Figures {
  readonly #values = new Map<string, number>();

  constructor(text: string) {
    for (const [, name = "", value] of text.matchAll(/^([a-z_]+(?:\{.*\})?) (\S+)$/gm)) this.#values.set(name, Number(value));
  }

  /** @param name - as in `quorate_links{role="client"}`. @returns 0 for what never happened */
  value(name: string): number {
    return this.#values.get(name) ?? 0;
  }
}

/** What a replica told of itself at one moment; memory in MB. */
export interface Sample {
  readonly rss: number;
  readonly heap: number;
  readonly stable: number;
  readonly executed: number;
}

const mega = 1024 * 1024;
/** Under so many samples of a process nothing can be said of growth. */
const samplesMin = 8;

/** Asks a replica for its metrics again and again, and remembers what it told, apart for each process that it was. */
export class Sampler {
  readonly #ask: () => Promise<string>;
  readonly #lives = new Map<number, Sample[]>();
  readonly #timer: NodeJS.Timeout;
  #asking = false;

  /** @param ask - gives the text of the metrics; may fail while the replica is down or paused */
  constructor(ask: () => Promise<string>, everyMs: number) {
    this.#ask = ask;
    this.#timer = setInterval(() => void this.#sample(), everyMs);
  }

  /** One list for each process, in the order in which they lived. */
  get lives(): readonly (readonly Sample[])[] {
    return [...this.#lives.values()];
  }

  /** Whether something can be said of growth. */
  get enough(): boolean {
    return this.lives.some((samples) => samples.length >= samplesMin);
  }

  get last(): Sample | undefined {
    return this.lives.at(-1)?.at(-1);
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  async #sample(): Promise<void> {
    if (this.#asking) return;
    this.#asking = true;
    try {
      const figures = new Figures(await this.#ask());
      const born = figures.value("process_start_time_seconds");
      const life = this.#lives.get(born) ?? [];
      this.#lives.set(born, life);
      life.push({
        rss: figures.value("process_resident_memory_bytes") / mega,
        heap: figures.value("nodejs_heap_size_used_bytes") / mega,
        stable: figures.value("quorate_stable_slot"),
        executed: figures.value("quorate_executed_slot"),
      });
    } catch {
      // It is down, or stands still.
    } finally {
      this.#asking = false;
    }
  }
}

/** Resident memory of one process over its life, in MB. The first quarter is for warming up. */
export interface Memory {
  readonly first: number;
  readonly peak: number;
  readonly last: number;
  /** Means over the second quarter and over the last. */
  readonly early: number;
  readonly late: number;
}

export function memoryOf(samples: readonly Sample[]): Memory {
  const rss = samples.map((sample) => sample.rss);
  const quarter = Math.ceil(rss.length / 4);
  const [early, late] = [mean(rss.slice(quarter, 2 * quarter)), mean(rss.slice(-quarter))];
  return { first: rss[0] ?? 0, peak: Math.max(0, ...rss), last: rss.at(-1) ?? 0, early, late };
}

/** How much later memory may exceed earlier: whichever is more. */
export interface Growth {
  readonly percent: number;
  readonly mb: number;
}

export function isFlat({ early, late }: Memory, { percent, mb }: Growth): boolean {
  return late - early <= Math.max((early * percent) / 100, mb);
}

/** Tells of each process how its memory went, and checks that it stayed flat. */
export function checkMemory(bounds: Bounds, growth: Growth, samplers: ReadonlyMap<string, Sampler>): void {
  const lives = [...samplers].flatMap(([name, { lives }]) =>
    lives.map((samples, life) => ({ name: life === 0 ? name : `${name}, started again`, samples, memory: memoryOf(samples) })),
  );
  say();
  table(
    ["resident MB", "samples", "first", "peak", "last", "2nd quarter", "last quarter", "heap last"],
    lives.map(({ name, samples, memory: { first, peak, last, early, late } }) => [
      name,
      samples.length,
      ...[first, peak, last, early, late, samples.at(-1)?.heap ?? 0].map((mb) => mb.toFixed(1)),
    ]),
  );
  const judged = lives.filter(({ samples }) => samples.length >= samplesMin);
  const grown = judged.filter(({ memory }) => !isFlat(memory, growth)).map(({ name }) => name);
  bounds.check(
    judged.length > 0 && grown.length === 0,
    `memory is flat: from the second quarter of a process's life to the last it grows by at most ${growth.percent} % or ${growth.mb} MB` +
      (grown.length > 0 ? ` (not so: ${grown.join("; ")})` : ` (${judged.length} processes)`),
  );
}

export const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / Math.max(1, values.length);

/** Columns, the first one to the left and all others to the right. */
export function table(head: readonly string[], rows: readonly (readonly (string | number)[])[]): void {
  const lines = [head, ...rows.map((row) => row.map(String))];
  const widths = head.map((_, column) => Math.max(...lines.map((line) => line[column]?.length ?? 0)));
  for (const line of lines) {
    say(line.map((cell, column) => (column === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[column] ?? 0))).join("  "));
  }
}
