/** Loads a scenario from a user's file: TypeScript through tsx, JavaScript as it is. */
import { statSync } from "node:fs";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { LabError } from "../core/lab-error.ts";
import { checkedScenario, type Scenario } from "../harness/scenario.ts";

/** @throws LabError of one line when there is no such file, it does not load, or what it exports is no scenario */
export async function loadScenario(path: string): Promise<Scenario> {
  const file = resolve(path);
  const there = statSync(file, { throwIfNoEntry: false });
  if (!there) throw new LabError("no-scenario", `${path}: there is no such scenario file`);
  if (!there.isFile()) throw new LabError("no-scenario", `${path}: expected a file, this is a folder`);
  if (!/\.(ts|mts|js|mjs)$/.test(file))
    throw new LabError("no-scenario", `${path}: expected a .ts, .mts, .js or .mjs file that exports a scenario`);
  const found = await defaultExport(path, file);
  if (!found) throw new LabError("no-scenario", `${path}: expected a default export, as in: export default scenario({ ... })`);
  return checkedScenario(found, path);
}

interface Exports {
  readonly default?: unknown;
  readonly __esModule?: boolean;
}

async function defaultExport(path: string, file: string): Promise<unknown> {
  const unregister = await typescriptLoader(file);
  try {
    const { default: found } = (await import(pathToFileURL(file).href)) as Exports;
    // Where no package.json says "type": "module", a .ts file becomes CommonJS, and all that it exports comes as the default export.
    const inner = found as Exports | null | undefined;
    return inner?.__esModule ? inner.default : found;
  } catch (cause) {
    if (cause instanceof Error && /^Cannot find (?:package|module) 'quorate[/']/.test(cause.message)) throw notInstalled(path, cause);
    if (cause instanceof Error && cause.name === "LabError")
      throw new LabError((cause as LabError).code, `${path}: ${cause.message}`, { cause });
    throw new LabError("bad-scenario", `${path}: it does not load: ${whyNot(cause)}`, { cause });
  } finally {
    await unregister?.();
  }
}

function notInstalled(path: string, cause: Error): LabError {
  return new LabError("not-installed", `${path}: it imports quorate, which is not installed there; in its folder: npm install quorate`, {
    cause,
  });
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
  const [modules, commonjs] = await Promise.all([import("tsx/esm/api"), import("tsx/cjs/api")]);
  const unregisterModules = modules.register();
  const unregisterCommonjs = commonjs.register();
  return () => {
    unregisterCommonjs();
    return unregisterModules();
  };
}
