/** Loads a scenario from a user's file: TypeScript through tsx, JavaScript as it is. */
import { statSync } from "node:fs";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { LabError } from "../core/lab-error.ts";
import { checkedScenario, type Scenario } from "../harness/scenario.ts";

/** @throws LabError of one line when there is no such file, it does not load, or what it exports is no scenario */
export async function loadScenario(path: string): Promise<Scenario> {
  const file = resolve(path);
  const found = statSync(file, { throwIfNoEntry: false });
  if (!found) throw new LabError("no-scenario", `${path}: there is no such scenario file`);
  if (!found.isFile()) throw new LabError("no-scenario", `${path}: expected a file, this is a folder`);
  if (!/\.(ts|mts|js|mjs)$/.test(file))
    throw new LabError("no-scenario", `${path}: expected a .ts, .mts, .js or .mjs file that exports a scenario`);
  const loaded = await importFile(path, file);
  if (!loaded.default) throw new LabError("no-scenario", `${path}: expected a default export, as in: export default scenario({ ... })`);
  return checkedScenario(loaded.default, path);
}

async function importFile(path: string, file: string): Promise<{ readonly default?: unknown }> {
  const unregister = await typescriptLoader(file);
  try {
    return (await import(pathToFileURL(file).href)) as { default?: unknown };
  } catch (cause) {
    if (cause instanceof Error && cause.name === "LabError")
      throw new LabError((cause as LabError).code, `${path}: ${cause.message}`, { cause });
    throw new LabError("bad-scenario", `${path}: it does not load: ${whyNot(cause)}`, { cause });
  } finally {
    await unregister?.();
  }
}

/** One line of what was thrown, with the place of a mistake in the syntax. */
function whyNot(cause: unknown): string {
  const { name, message = String(cause), stack = "" } = (cause ?? {}) as Partial<Error>;
  // The TypeScript loader counts the errors first, then names each with its place; for JavaScript Node.js puts the place above the message.
  const [place] = name === "SyntaxError" ? (/^\S+:\d+(?=\n)/.exec(stack) ?? []) : [];
  const [line = ""] = message.replace(/^Transform failed with .*\n/, "").split("\n");
  return place === undefined ? line : `${place}: ${line}`;
}

/** Only where a TypeScript file meets a Node.js that was started without a loader. */
async function typescriptLoader(file: string): Promise<(() => Promise<void>) | undefined> {
  if (!/\.m?ts$/.test(file) || import.meta.url.endsWith(".ts")) return undefined;
  const { register } = await import("tsx/esm/api");
  return register();
}
