import { describe, expect, it } from "vitest";
import { defaultLimits, defaultTiming } from "../../src/core/cluster.ts";
import { keyValueLimits } from "../../src/services/key-value.ts";
import { defaultTransportLimits } from "../../src/transport/limits.ts";
import { fileAt, filesBelow, lineOf, ownDocuments } from "./tree.ts";

const units: Readonly<Record<string, number>> = { "": 1, ms: 1, KiB: 1024, MiB: 1024 * 1024 };

/** The rows of a Markdown table whose first cell is a name in code font and whose second is a number with a unit. */
function documentedLimits(text: string): ReadonlyMap<string, number> {
  const rows = text.matchAll(/^\| `(\w+)` \| (\d+) ?(ms|KiB|MiB|) \|/gm);
  return new Map([...rows].map(([, name, number, unit]) => [name ?? "", Number(number) * (units[unit ?? ""] ?? Number.NaN)]));
}

/** `npm test` and `npm run NAME`, by the name of the script. */
function scriptsNamed(text: string): readonly string[] {
  return [...text.matchAll(/\bnpm (?:run ([\w:]+)|(start|test)\b)/g)].map(([, run, short]) => run ?? short ?? "");
}

const { scripts } = JSON.parse(fileAt("package.json").text) as { scripts: Record<string, string> };

describe("docs/limits.md", () => {
  const documented = documentedLimits(fileAt("docs/limits.md").text);

  it("has every default as it is in the code", () => {
    const inCode = { ...defaultLimits, ...defaultTiming, ...defaultTransportLimits, ...keyValueLimits };
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
