/**
 * Comments and documents cite rules, attacks, mutants and sections by number ("rule 31", "A18", "M38", "E.4"). A number that is
 * not defined sends the reader nowhere, so each one must exist in the shared documents.
 */
import { type Complaints, lineOf, type SourceFile } from "./tree.ts";

/** What the documents define: "rule 31", "A18", "M38", "E.4". */
export type Defined = ReadonlySet<string>;

/** Rules are numbered without a gap; several may share a line. So a number is a rule's if it follows the last one. */
export function rulesIn(protocol: string): readonly string[] {
  const rules: string[] = [];
  const partA = protocol.slice(protocol.indexOf("\n## A."), protocol.indexOf("\n## B."));
  for (const [, number] of partA.matchAll(/(?:^|\s)(\d+)\. /gm)) {
    if (Number(number) === rules.length + 1) rules.push(`rule ${number}`);
  }
  return rules;
}

const sectionsIn = (text: string): string[] => [...text.matchAll(/^### ([A-E]\.\d+) /gm)].map(([, number]) => number ?? "");
const rowsIn = (text: string): string[] => [...text.matchAll(/^\| ([AM]\d{2,3}) /gm)].map(([, number]) => number ?? "");

export function definedIn(protocol: string, catalogue: string, neighbours: string): Defined {
  return new Set([...rulesIn(protocol), ...sectionsIn(protocol), ...rowsIn(catalogue), ...sectionsIn(neighbours)]);
}

export interface Citation {
  readonly line: number;
  /** One number, or both ends of a range. */
  readonly names: readonly string[];
  readonly text: string;
}

const ruleList = /\brules?\s+(\d+(?:\s*[-–]\s*\d+)?(?:(?:\s*,\s*(?:and\s+)?|\s+and\s+|\s+or\s+|\/)\d+(?:\s*[-–]\s*\d+)?)*)/gi;
const entry = /\b([AM]\d{2,3})[a-h]?\b(?:\s*[-–]\s*([AM]\d{2,3})\b)?/g;
const section = /\b([ABE]\.\d{1,2})\b(?!\.\d)/g;

/** All citations of a text; a list that a comment wraps over lines counts as one. */
export function citationsIn(text: string): readonly Citation[] {
  const unwrapped = text.replace(/\n[ \t]*(?:\*(?!\/)|\/\/)/g, (margin) => `\n${" ".repeat(margin.length - 1)}`);
  const found: Citation[] = [];
  const cite = (offset: number, names: readonly string[], as: string): void => {
    found.push({ line: lineOf(unwrapped, offset), names, text: as.replace(/\s+/g, " ") });
  };
  for (const match of unwrapped.matchAll(ruleList)) {
    for (const [range] of (match[1] ?? "").matchAll(/\d+(?:\s*[-–]\s*\d+)?/g)) {
      cite(
        match.index,
        (range.match(/\d+/g) ?? []).map((number) => `rule ${number}`),
        match[0],
      );
    }
  }
  for (const match of unwrapped.matchAll(entry))
    cite(
      match.index,
      [match[1] ?? "", match[2] ?? ""].filter((name) => name !== ""),
      match[0],
    );
  for (const match of unwrapped.matchAll(section)) cite(match.index, [match[1] ?? ""], match[0]);
  return found;
}

const numberOf = (name: string): number => Number(name.replace(/\D/g, ""));

/** Every number exists; of a range both ends do, in order (the catalogue leaves numbers out on purpose). */
export function wrongCitations(files: readonly SourceFile[], defined: Defined): Complaints {
  return files.flatMap((file) =>
    citationsIn(file.text).flatMap(({ line, names, text }) => {
      const unknown = names.filter((name) => !defined.has(name));
      const [from, to] = names.map(numberOf);
      const backwards = from !== undefined && to !== undefined && from >= to;
      if (unknown.length > 0) return [`${file.path}:${line} cites "${text}", but docs/ defines no ${unknown.join(" and no ")}`];
      return backwards ? [`${file.path}:${line} cites "${text}", which runs backwards`] : [];
    }),
  );
}

/** Files that a text points to: `docs/NAME.md` anywhere, "ADR 0003", and relative links of Markdown. */
export function deadLinks(files: readonly SourceFile[], exists: (path: string) => boolean, adrs: readonly string[]): Complaints {
  return files.flatMap((file) => {
    const folder = file.path.includes("/") ? file.path.slice(0, file.path.lastIndexOf("/") + 1) : "";
    const links = file.path.endsWith(".md") ? [...file.text.matchAll(/\]\((?!https?:|#|mailto:)([^)#\s]+)[^)]*\)/g)] : [];
    const paths = [...file.text.matchAll(/(?<![\w/.])docs\/[\w/-]+\.md\b/g)];
    const decisions = [...file.text.matchAll(/\bADR[ -](\d{4})\b/g)];
    const dead = [
      ...links.filter(([, path]) => !exists(folder + path)),
      ...paths.filter(([path]) => !exists(path)),
      ...decisions.filter(([, number]) => !adrs.includes(number ?? "")),
    ];
    return [
      ...new Set(
        dead.map((match) => `${file.path}:${lineOf(file.text, match.index)} points to ${match[1] ?? match[0]}, which does not exist`),
      ),
    ];
  });
}
