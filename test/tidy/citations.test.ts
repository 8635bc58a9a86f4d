import { existsSync, readdirSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { citationsIn, deadLinks, definedIn, rulesIn, wrongCitations } from "./citations.ts";
import { fileAt, filesBelow, ownDocuments, root, sourceFile } from "./tree.ts";

const [protocol, catalogue, neighbours] = ["docs/protocol.md", "docs/catalogue.md", "docs/neighbours.md"].map(
  (path) => fileAt(path).text,
) as [string, string, string];
const defined = definedIn(protocol, catalogue, neighbours);
const adrs = readdirSync(`${root}docs/adr`).map((name) => name.slice(0, 4));
const written = [
  ...filesBelow("src", ".ts"),
  ...filesBelow("test", ".ts").filter((file) => !file.path.startsWith("test/tidy/")),
  ...filesBelow("scripts", ".ts"),
  ...ownDocuments(),
];
const citing = (text: string): readonly string[] => wrongCitations([sourceFile("src/core/a.ts", text)], defined);

describe("the shared documents", () => {
  it("define every rule from 1 to 104", () => {
    expect(rulesIn(protocol)).toHaveLength(104);
  });

  it("define the attacks, mutants and sections that are cited most", () => {
    for (const name of ["A01", "A18", "A88", "M01", "M38", "M129", "A.1", "A.15", "B.3", "B.8", "E.1", "E.9"])
      expect(defined).toContain(name);
    for (const name of ["rule 0", "rule 105", "A08", "A89", "M39", "A.16", "B.9", "E.10"]) expect(defined).not.toContain(name);
  });
});

describe("citations", () => {
  it("all exist", () => {
    expect(written.flatMap((file) => citationsIn(file.text)).length).toBeGreaterThan(50);
    expect(wrongCitations(written, defined)).toEqual([]);
  });

  it("lead to documents that exist", () => {
    expect(deadLinks(written, (path) => existsSync(`${root}${path}`), adrs)).toEqual([]);
  });
});

describe("the checkers can fail", () => {
  it.each([
    "rule 999",
    "rules 2, 3 and 105",
    "rules 59-61 or 60-105",
    "rules 86,\n * 205",
    "A08",
    "A18-A89",
    "M38-M39",
    "E.10",
    "A.16",
    "B.9",
  ])("sees that %s does not exist", (citation) => {
    expect(citing(`/** Because of ${citation}. */`)).toEqual([expect.stringContaining("docs/ defines no")]);
  });

  it.each([
    "rule 31",
    "rules 83-84",
    "rules 2, 3 and 5",
    "rules 86,\n * 87",
    "A18",
    "A88c",
    "M38-M41",
    "E.4",
    "(docs/protocol.md A.12, B.5)",
  ])("knows %s", (citation) => {
    expect(citationsIn(citation).length).toBeGreaterThan(0);
    expect(citing(citation)).toEqual([]);
  });

  it("sees a range that runs backwards", () => {
    expect(citing("rules 84-83")).toEqual([expect.stringContaining("runs backwards")]);
  });

  it("says where", () => {
    expect(citing("// fine\n//\n// rule 999")).toEqual([expect.stringMatching(/^src\/core\/a\.ts:3 /)]);
  });

  it("sees dead links", () => {
    const guide = sourceFile(
      "docs/guide.md",
      "See [this](nowhere.md), [that](there.md#part), docs/lost.md, ADR 9999 and [out](https://example.org/x).",
    );
    expect(deadLinks([guide], (path) => path === "docs/there.md", ["0001"])).toHaveLength(3);
  });
});
