import { describe, expect, it } from "vitest";
import { defaultBreaker } from "../../src/client/circuit-breaker.ts";
import { clientLimits, defaultRetry } from "../../src/client/client-core.ts";
import { defaultLimits, defaultTiming, openClientLimits } from "../../src/core/cluster.ts";
import { operationTimeout } from "../../src/launch/connect.ts";
import { events } from "../../src/node/event-log.ts";
import { defaultHostLimits } from "../../src/node/limits.ts";
import { numbersAhead } from "../../src/node/number-store.ts";
import { keyValueLimits } from "../../src/services/key-value.ts";
import { defaultTransportLimits } from "../../src/transport/limits.ts";
import { fileAt, filesBelow, lineOf, ownDocuments } from "./tree.ts";

const units: Readonly<Record<string, number>> = { "": 1, ms: 1, KiB: 1024, MiB: 1024 * 1024 };

/** The rows of a Markdown table whose first cell is a name in code font and whose second is a number with a unit. */
function documentedLimits(text: string): ReadonlyMap<string, number> {
  const rows = text.matchAll(/^\| `(\w+)` \| (\d+) ?(ms|KiB|MiB|) \|/gm);
  return new Map([...rows].map(([, name, number, unit]) => [name ?? "", Number(number) * (units[unit ?? ""] ?? Number.NaN)]));
}

/** The first cell of each row of a Markdown table below its head. */
function firstCells(text: string): readonly string[] {
  const tables = text.split(/^\| --- .*$/m).slice(1);
  return tables.flatMap((table) => [...(table.split("\n\n")[0] ?? "").matchAll(/^\| (.+?) \|/gm)].map(([, cell]) => cell ?? ""));
}

/** What tests are called: the text that opens a call of `it` or `describe`, or of what `each` gave. */
function titlesIn(text: string): readonly string[] {
  return [...text.matchAll(/(?:\b(?:it|describe)|\))\(\s*(["'])(.*?)\1,/g)].map(([, , title]) => title ?? "");
}

/** `npm test` and `npm run NAME`, by the name of the script. */
function scriptsNamed(text: string): readonly string[] {
  return [...text.matchAll(/\bnpm (?:run ([\w:]+)|(start|test)\b)/g)].map(([, run, short]) => run ?? short ?? "");
}

const { scripts } = JSON.parse(fileAt("package.json").text) as { scripts: Record<string, string> };

describe("docs/limits.md", () => {
  const documented = documentedLimits(fileAt("docs/limits.md").text);

  it("has every default as it is in the code", () => {
    const ofClient = { ...defaultRetry, ...clientLimits, ...defaultBreaker, ...operationTimeout, numbersAhead };
    const ofReplica = { ...defaultLimits, ...defaultTiming, ...openClientLimits };
    const inCode = { ...ofReplica, ...defaultTransportLimits, ...defaultHostLimits, ...ofClient, ...keyValueLimits };
    expect(Object.fromEntries(documented)).toEqual(inCode);
  });

  it("would differ if a number did", () => {
    expect(documentedLimits("| `a` | 4 KiB | x |\n| `b` | 7 | y |\n| c | 1 | z |")).toEqual(
      new Map([
        ["a", 4096],
        ["b", 7],
      ]),
    );
  });
});

describe("each bound in docs/limits.md", () => {
  const bounds = firstCells(fileAt("docs/limits.md").text);
  const titles = filesBelow("test", ".test.ts").flatMap((file) => titlesIn(file.text));
  const untested = (cells: readonly string[]) => cells.filter((cell) => !titles.some((title) => title.includes(cell)));

  it("is named by the title of a test", () => {
    expect(bounds.length).toBeGreaterThan(50);
    expect(untested(bounds)).toEqual([]);
  });

  it("would be missed", () => {
    expect(firstCells("| limit | default |\n| --- | --- |\n| `a` | 4 |\n| b, c | 7 |\n\n| no | table |")).toEqual(["`a`", "b, c"]);
    expect(titlesIn('it("one (`a`)", () => {});\nit.each([1])(\n  "two", () => x("three"),\n);')).toEqual(["one (`a`)", "two"]);
    expect(untested(["`handshakeMs`", "`nothing`"])).toEqual(["`nothing`"]);
  });
});

describe("docs/operations.md", () => {
  const { text } = fileAt("docs/operations.md");

  it("tells of every event of the log, and at which level it is", () => {
    const documented = [...text.matchAll(/^\| `([\w-]+)` \| (\w+) \|/gm)].map(([, event, level]) => [event, level]);
    expect(documented).toEqual(Object.entries(events).map(([event, { level }]) => [event, level]));
  });
});

describe("the documents", () => {
  it("name only scripts that exist", () => {
    const named = ownDocuments().flatMap((file) => scriptsNamed(file.text));
    expect(named).toEqual(expect.arrayContaining(["start", "test", "check", "fix", "test:unit"]));
    expect(named.filter((name) => scripts[name] === undefined)).toEqual([]);
    expect(scriptsNamed("npm run nothing and npm start")).toEqual(["nothing", "start"]);
  });

  it("keep the README to 150 lines", () => {
    const { text } = fileAt("README.md");
    expect(lineOf(text, text.length)).toBeLessThanOrEqual(150);
  });

  it("list every decision in the index", () => {
    const index = fileAt("docs/adr/README.md").text;
    const records = filesBelow("docs/adr", ".md").filter((file) => !file.path.endsWith("README.md"));
    expect(records.length).toBeGreaterThanOrEqual(5);
    for (const { path, text } of records) {
      expect(index).toContain(`(${path.replace("docs/adr/", "")})`);
      for (const part of ["Status: ", "## Context", "## Decision", "## Consequences"]) expect(text).toContain(part);
    }
  });
});

describe(".ci/run", () => {
  it("runs what the README calls the tests, after the checks", () => {
    const steps = [...fileAt(".ci/run").text.matchAll(/^step \w+ (npm .*)$/gm)].map(([, command]) => command ?? "");
    const [, command] = /^(npm ci && npm test)\b/m.exec(fileAt("README.md").text) ?? [];
    expect(steps.map((step) => step.replace(/ --.*/, ""))).toEqual(["npm ci", "npm run check", "npm test"]);
    expect(command?.split(" && ")).toEqual(["npm ci", "npm test"]);
  });
});
