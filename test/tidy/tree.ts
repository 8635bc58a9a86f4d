/** The repository as the tidy tests see it: text, code without talk, and imports. */
import { readdirSync, readFileSync } from "node:fs";
import { posix } from "node:path";
import { fileURLToPath } from "node:url";
import { blank } from "./blank.ts";

export const root = fileURLToPath(new URL("../../", import.meta.url));

export interface SourceFile {
  /** From the root of the repository, with forward slashes. */
  readonly path: string;
  readonly text: string;
  /** {@link blank}ed. */
  readonly code: string;
}

export interface Import {
  readonly line: number;
  /** As written. */
  readonly specifier: string;
  /** Where a relative one leads, from the root; else undefined. */
  readonly target: string | undefined;
}

/** What a checker found: one line each, ready to be read in a failure. */
export type Complaints = readonly string[];

export function sourceFile(path: string, text: string): SourceFile {
  return { path, text, code: path.endsWith(".ts") ? blank(text) : text };
}

/** All files with that ending below `folder`. */
export function filesBelow(folder: string, ending: string): readonly SourceFile[] {
  return readdirSync(`${root}${folder}`, { recursive: true, encoding: "utf8" })
    .map((name) => posix.join(folder, name.replaceAll("\\", "/")))
    .filter((path) => path.endsWith(ending) && !path.includes("node_modules/") && !path.startsWith("dist/"))
    .sort()
    .map(fileAt);
}

export function fileAt(path: string): SourceFile {
  return sourceFile(path, readFileSync(`${root}${path}`, "utf8"));
}

/** Taken over whole, numbers unchanged: the numbers are what everything else cites. */
const sharedDocuments = ["docs/protocol.md", "docs/catalogue.md", "docs/neighbours.md"];

/** Everything written for people, but the shared copies. */
export function ownDocuments(): readonly SourceFile[] {
  const atRoot = readdirSync(root).filter((name) => name.endsWith(".md"));
  const below = [...filesBelow("docs", ".md"), fileAt("keys/README.md")];
  return [...atRoot.map(fileAt), ...below.filter((file) => !sharedDocuments.includes(file.path))];
}

export function lineOf(text: string, offset: number): number {
  return text.slice(0, offset).split("\n").length;
}

const importing = /(?<![.\w])(?:from\s*|import\s*\(?\s*)"/g;

/** Static and dynamic imports and re-exports, types included. */
export function importsOf(file: SourceFile): readonly Import[] {
  return [...file.code.matchAll(importing)].map((match) => {
    const start = match.index + match[0].length;
    const specifier = file.text.slice(start, file.text.indexOf('"', start));
    const target = specifier.startsWith(".") ? posix.join(posix.dirname(file.path), specifier) : undefined;
    return { line: lineOf(file.text, match.index), specifier, target };
  });
}

/** One complaint for each place where `pattern`, a global one, matches. */
export function findAll(file: SourceFile, where: "text" | "code", pattern: RegExp, complaint: (found: string) => string): Complaints {
  return [...file[where].matchAll(pattern)].map((match) => `${file.path}:${lineOf(file.text, match.index)} ${complaint(match[0].trim())}`);
}
