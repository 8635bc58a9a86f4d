/** `quorate bench` as a user runs it, and what it makes of figures. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it, vi } from "vitest";
import { benchCommand, benchLines } from "../../src/cli/bench.ts";
import type { BenchFigures, BenchResult } from "../../src/launch/bench.ts";
import { useFolders } from "../support/folder.ts";
import { quorate } from "./support.ts";

vi.setConfig({ maxConcurrency: 2 });

const newFolder = useFolders();
const tiny = ["--runs", "1", "--operations", "10", "--warm-up", "2", "--in-flight", "2"];

describe.concurrent("quorate bench", () => {
  it("prints one JSON object, and writes it to a file as well", async () => {
    const path = join(newFolder(), "bench.json");
    const { code, stdout, stderr } = await quorate("bench", ...tiny, "--f", "0", "--json", "--out", path);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    const result = JSON.parse(stdout) as BenchResult;
    expect(result.settings).toEqual({
      ...{ replicas: 1, f: 0, inFlight: [2], runs: 1, operations: 10, warmUp: 2, valueBytes: 100, keys: 100 },
    });
    expect(JSON.parse(readFileSync(path, "utf8"))).toEqual(result);
  });

  it.each([
    [
      ["--in-flight", "10,x"],
      /'--in-flight <numbers>' argument '10,x' is invalid\. expected different integers in 1\.\.2000, as in 1,10,50\./,
    ],
    [["--in-flight", "0"], /expected different integers in 1\.\.2000/],
    [["--in-flight", "5,5"], /expected different integers in 1\.\.2000/],
    [["--value-bytes", "32769"], /expected an integer in 0\.\.32768\./],
  ])("says in one line what is wrong with %j", async (args, told) => {
    const { code, stdout, stderr } = await quorate("bench", ...args);
    expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
    expect(stderr).toMatch(/^quorate: [^\n]+\n$/);
    expect(stderr).toMatch(told);
  });
});

describe("the table", () => {
  const figures: BenchFigures = {
    ...{
      throughput: 1234.4,
      p50Ms: 4.26,
      p99Ms: 12,
      maxMs: 40,
      replicaCpuMs: 1.234,
      clientCpuMs: 0.2,
      messages: 31,
      bytes: 5432,
      batch: 1,
    },
    viewChanges: 0,
  };
  const resultOf = (run: BenchFigures, load = 0): BenchResult => ({
    version: "0",
    date: "2000-01-01T00:00:00.000Z",
    machine: { cpu: "Abacus", cores: 2, memoryBytes: 1, os: "Linux", node: "v20.20.2", load },
    settings: { replicas: 4, f: 1, inFlight: [1, 10], runs: 1, operations: 100, warmUp: 1, valueBytes: 100, keys: 100 },
    levels: [1, 10].map((inFlight) => {
      const min = { ...run, throughput: 1000 };
      return { inFlight, clients: 1, runs: [run], median: run, min, max: run };
    }),
  });

  it("has a row for each level, and ends with the line for a README", () => {
    const lines = benchLines(resultOf(figures));
    expect(lines[0]).toBe("4 replicas, f = 1; 1 runs of 100 operations each; values of 100 bytes");
    expect(lines.slice(3, 5).map((line) => line.trim().split(/\s{2,}/))).toEqual([
      ["1", "1234 (1000..1234)", "4.3 (4.3..4.3)", "12.0 (12.0..12.0)", "1.23 (1.23..1.23)", "0.20", "1.0", "31.0", "5432"],
      ["10", "1234 (1000..1234)", "4.3 (4.3..4.3)", "12.0 (12.0..12.0)", "1.23 (1.23..1.23)", "0.20", "1.0", "31.0", "5432"],
    ]);
    expect(lines).toHaveLength(7);
    expect(lines.at(-1)).toBe(
      "4 replicas, 10 in flight: 1234 ops/s, p50 4.3 ms, p99 12.0 ms, 1.23 ms CPU of all replicas per operation (Abacus, 2 cores, Node 20.20)",
    );
  });

  it("says so when the machine was too busy for the figures to mean much", () => {
    const lines = benchLines(resultOf({ ...figures, viewChanges: 3 }, 1.5));
    expect(lines).toContainEqual(expect.stringContaining("replicas changed views 6 times"));
    expect(lines).toContainEqual(expect.stringContaining("busy before: load 1.5"));
  });

  it("comes with an example in the help", () => {
    let shown = "";
    const writeOut = (text: string): void => {
      shown += text;
    };
    benchCommand().configureOutput({ writeOut }).outputHelp();
    expect(shown).toMatch(/\nExample:\n {2}quorate bench /);
  });
});
