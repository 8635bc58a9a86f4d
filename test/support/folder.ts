/** Folders that are gone after the tests of a file. */
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll } from "vitest";

export const repository = join(import.meta.dirname, "../..");

/** Call it at the top of a test file. @returns makes an empty folder */
export function useFolders(): () => string {
  const root = mkdtempSync(join(tmpdir(), "quorate-"));
  let made = 0;
  afterAll(() => rmSync(root, { recursive: true, force: true }));
  return () => {
    const folder = join(root, `${made++}`);
    mkdirSync(folder);
    return folder;
  };
}

/** A user's project, where the package is installed: from these sources. @returns the path of `name` in it */
export function projectFile(folder: string, name: string, text: string): string {
  mkdirSync(join(folder, "node_modules"), { recursive: true });
  symlinkSync(repository, join(folder, "node_modules/quorate"));
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}
