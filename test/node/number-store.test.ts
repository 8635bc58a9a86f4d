import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { afterEach, describe, expect, it } from "vitest";
import { createRandom } from "../../src/core/random.ts";
import { generateCluster, writeCluster } from "../../src/launch/keys.ts";
import { NumberStore, numbersAhead } from "../../src/node/number-store.ts";
import { useFolders } from "../support/folder.ts";

const newFolder = useFolders();
const publicKey = "ab".repeat(32);
const newPath = (): string => join(newFolder(), "client-1.numbers");
const open = (path: string, ahead = 10): NumberStore => NumberStore.open(path, { publicKey, ahead });
const nextIn = (path: string): number => (JSON.parse(readFileSync(path, "utf8")) as { next: number }).next;

describe("a number store", () => {
  it("starts at 1, and gives out no number before the file says that it may be used", async () => {
    const path = newPath();
    const store = open(path);
    expect(store.first).toBe(1);
    expect(store.covers(1)).toBe(false);
    await store.reserve(1);
    expect(nextIn(path)).toBe(11);
    expect([1, 2, 3, 4, 5].map((number) => store.covers(number))).toEqual([true, true, true, true, true]);
    await store.close(6);
  });

  it("reserves the next block before this one is used up, and writes once for many numbers", async () => {
    const path = newPath();
    const store = open(path);
    await store.reserve(1);
    expect(store.covers(5)).toBe(true);
    expect(nextIn(path)).toBe(11);
    expect(store.covers(6)).toBe(true);
    await store.reserve(6);
    expect(nextIn(path)).toBe(16);
    expect([store.covers(15), store.covers(16)]).toEqual([true, false]);
    await store.close(16);
  });

  it("goes on exactly where a client that closed left off", async () => {
    const path = newPath();
    const first = open(path);
    await first.reserve(1);
    await first.close(4);
    const second = open(path);
    expect(second.first).toBe(4);
    await second.close(4);
    expect(open(path).first).toBe(4);
  });

  it("skips what may have been used by a client that did not close, at most `numbersAhead`", async () => {
    const path = newPath();
    const store = open(path);
    await store.reserve(1);
    for (const mark of readdirSync(join(path, "..")).filter((name) => name.includes(".held-by-"))) rmSync(join(path, "..", mark));
    const next = open(path);
    expect(next.first).toBe(11);
    await next.reserve(11);
    expect(nextIn(path)).toBe(21);
  });

  it("never gives back numbers that it did not reserve", async () => {
    const path = newPath();
    const store = open(path);
    await store.reserve(1);
    await store.close(1_000);
    expect(open(path).first).toBe(11);
  });

  it("belongs to one holder at a time", async () => {
    const path = newPath();
    const store = open(path);
    expect(() => open(path)).toThrow(expect.objectContaining({ name: "LabError", code: "in-use" }));
    await store.close(1);
    await open(path).close(1);
  });

  it.each([
    ["nothing", ""],
    ["half a file", '{"publicKey":"abab'],
    ["zeros", "\0".repeat(90)],
    ["a number of another kind", JSON.stringify({ publicKey, next: "7" })],
    ["a number below 1", JSON.stringify({ publicKey, next: 0 })],
    ["no whole number", JSON.stringify({ publicKey, next: 1.5 })],
    ["no number", JSON.stringify({ publicKey })],
    ["more than it should", JSON.stringify({ publicKey, next: 7, extra: 1 })],
  ])("never starts at 1 over a damaged file: %s", (_, text) => {
    const path = newPath();
    writeFileSync(path, text);
    for (let attempt = 0; attempt < 2; attempt++) {
      expect(() => open(path)).toThrow(expect.objectContaining({ name: "LabError", code: "damaged-numbers" }));
      expect(() => open(path)).toThrow(/^[^\n]*client-1\.numbers: expected [^\n]*$/);
    }
    expect(readFileSync(path, "utf8")).toBe(text);
  });

  it("takes no numbers of another key", () => {
    const path = newPath();
    writeFileSync(path, JSON.stringify({ publicKey: "cd".repeat(32), next: 7 }));
    expect(() => open(path)).toThrow(expect.objectContaining({ name: "LabError", code: "foreign-numbers" }));
  });

  it("gives out nothing when the file cannot be written, says so, and goes on when it can be", async () => {
    const path = newPath();
    const store = open(path);
    // A folder in the place of the file that is written aside.
    mkdirSync(`${path}.new`);
    await expect(store.reserve(1)).rejects.toMatchObject({ name: "LabError", code: "unwritable-numbers" });
    await expect(store.reserve(1)).rejects.toThrow(/^[^\n]*client-1\.numbers: cannot write this numbers file \(EISDIR\)$/);
    expect(store.covers(1)).toBe(false);
    await expect(store.reserve(1)).rejects.toThrow();
    rmSync(`${path}.new`, { recursive: true });
    await store.reserve(1);
    expect(store.covers(1)).toBe(true);
    await store.close(2);
  });

  it("lets others have the file even when its last word could not be written", async () => {
    const path = newPath();
    const store = open(path);
    await store.reserve(1);
    mkdirSync(`${path}.new`);
    await expect(store.close(3)).rejects.toMatchObject({ code: "unwritable-numbers" });
    expect(open(path).first).toBe(11);
  });

  it("is readable by its owner alone", async () => {
    const path = newPath();
    const store = open(path);
    await store.reserve(1);
    expect(statSync(path).mode & 0o777).toBe(0o600);
    await store.close(1);
  });
});

describe("a client that is killed again and again in the middle of its work", () => {
  const children = new Set<ChildProcess>();
  afterEach(() => {
    for (const child of children) child.kill("SIGKILL");
  });

  /** What one process sends from its start to SIGKILL, which comes when it has sent so many requests. */
  async function lifeOf(folder: string, requests: number): Promise<number[]> {
    const program = join(import.meta.dirname, "invoke-numbers.ts");
    const flags = ["--import", "tsx", "--conditions=quorate-source"];
    const child = spawn(process.execPath, [...flags, program, join(folder, "cluster.json")], { stdio: ["ignore", "pipe", "inherit"] });
    children.add(child);
    const closed = once(child, "close");
    const sent: number[] = [];
    for await (const line of createInterface({ input: child.stdout })) {
      sent.push(Number(line));
      if (sent.length === requests) child.kill("SIGKILL");
    }
    expect(await closed).toEqual([null, "SIGKILL"]);
    return sent;
  }

  it("never uses a number twice (rule 62)", async () => {
    const folder = join(newFolder(), "keys");
    // A window that lets a client go on though nobody answers.
    const generated = generateCluster({ replicas: 4, clients: 1, ports: 1, limits: { clientWindow: 4_096 } });
    writeCluster(folder, generated);
    const random = createRandom("kill -9");
    const used = new Set<number>();
    for (let life = 0; life < 12; life++) {
      const sent = await lifeOf(folder, 1 + random.next(300));
      expect(sent.filter((number) => used.has(number))).toEqual([]);
      expect(new Set(sent).size).toBe(sent.length);
      for (const number of sent) used.add(number);
      expect(nextIn(join(folder, "client-1.numbers"))).toBeGreaterThan(Math.max(...used));
      expect(nextIn(join(folder, "client-1.numbers"))).toBeLessThanOrEqual(Math.max(...used) + 1 + numbersAhead);
    }
    expect(used.size).toBeGreaterThan(12 * numbersAhead);
  });
});
