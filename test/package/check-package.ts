/**
 * The package gate, `npm run check:package`: packs what would be published, installs it in an empty project outside this repository, and
 * does there what the README says. The first step that fails ends it with exit code 1.
 */
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { runInNewContext } from "node:vm";
import { command } from "./command.ts";
import { type Manifest, missing, strangers, strayMaps } from "./packed.ts";

const repository = join(import.meta.dirname, "../..");
const folder = mkdtempSync(join(tmpdir(), "quorate-package-"));
const project = join(folder, "project");
const installed = join(project, "node_modules/quorate");
const fixture = "replica-set.test.ts";

const manifest = JSON.parse(readFileSync(join(repository, "package.json"), "utf8")) as Manifest & {
  readonly dependencies: Readonly<Record<string, string>>;
  readonly devDependencies: Readonly<Record<string, string>>;
};

const ours = (program: string): string => join(repository, "node_modules/.bin", program);
/** Never a package of that name from the registry. */
const npx = (program: string, ...args: string[]) => ["npx", "--no", "--", program, ...args] as const;
const inProject = (program: string, ...args: string[]) => command(npx(program, ...args), { cwd: project });

async function step<T>(name: string, act: () => T | Promise<T>): Promise<T> {
  const from = performance.now();
  process.stdout.write(`${name}: `);
  const result = await act();
  process.stdout.write(`${((performance.now() - from) / 1_000).toFixed(1)} s\n`);
  return result;
}

function none(complaints: readonly string[]): void {
  const more = complaints.length > 10 ? [`and ${complaints.length - 10} more`] : [];
  if (complaints.length > 0) throw new Error([...complaints.slice(0, 10), ...more].join("\n"));
}

interface Packed {
  readonly tarball: string;
  readonly paths: readonly string[];
}

async function pack(): Promise<Packed> {
  // Without scripts: they would build again what was just built.
  const { stdout } = await command(["npm", "pack", "--ignore-scripts", "--json", "--pack-destination", folder], { cwd: repository });
  const [packed] = JSON.parse(stdout) as readonly { readonly filename: string; readonly files: readonly { readonly path: string }[] }[];
  if (!packed) throw new Error(`npm pack named no tarball: ${stdout}`);
  return { tarball: join(folder, packed.filename), paths: packed.files.map(({ path }) => path) };
}

/** An empty project with the package and, at the versions that this repository pins, what its user needs to test and to check types. */
async function install(tarball: string): Promise<void> {
  mkdirSync(project);
  writeFileSync(join(project, "package.json"), '{ "private": true, "type": "module" }\n');
  const versions: Readonly<Record<string, string>> = { ...manifest.dependencies, ...manifest.devDependencies };
  const others = ["typescript", "vitest", "tsx", "@types/node"].map((name) => `${name}@${versions[name]}`);
  await command(["npm", "install", "--prefer-offline", "--no-audit", "--no-fund", tarball, ...others], { cwd: project });
}

interface Examples {
  /** A file name in the project, for each. */
  readonly all: readonly string[];
  /** Those that are said to run in a browser. */
  readonly pure: readonly string[];
}

/** The README's TypeScript as files of the project; the first one is `scenario.ts`. */
function writeExamples(): Examples {
  const blocks = [...readFileSync(join(installed, "README.md"), "utf8").matchAll(/^```ts\n(.*?)^```/gms)].map(([, code = ""]) => code);
  if (!blocks[0]?.includes("export default scenario(")) throw new Error("README.md: its first TypeScript block is no scenario");
  const files = blocks.map((code, index) => ({ code, name: index === 0 ? "scenario.ts" : `readme-${index + 1}.ts` }));
  for (const { code, name } of files) writeFileSync(join(project, name), code);
  return { all: files.map(({ name }) => name), pure: files.filter(({ code }) => !code.includes('"quorate/node"')).map(({ name }) => name) };
}

async function checkTypes(files: readonly string[]): Promise<void> {
  const resolutions = [
    ["nodenext", "nodenext"],
    ["preserve", "bundler"],
  ] as const;
  for (const [module, resolution] of resolutions) {
    const options = ["--noEmit", "--strict", "--skipLibCheck", "false", "--module", module, "--moduleResolution", resolution];
    await inProject("tsc", ...options, ...files);
  }
}

/** The loader decides by the nearest package.json whether a file is a module or CommonJS, and which packages it can see. */
async function runElsewhere(): Promise<void> {
  const scenario = join(project, "scenario.ts");
  const commonjs = join(project, "commonjs");
  mkdirSync(commonjs);
  writeFileSync(join(commonjs, "package.json"), '{ "private": true }\n');
  copyFileSync(scenario, join(commonjs, "scenario.ts"));
  await inProject("quorate", "run", "commonjs/scenario.ts", "--sim");

  const alone = join(folder, "alone.ts");
  copyFileSync(scenario, alone);
  const { stderr } = await command(npx("quorate", "run", alone), { cwd: project, exitCode: 2 });
  if (!stderr.includes("npm install quorate")) throw new Error(`a scenario outside a project is not told how to get quorate: ${stderr}`);
}

/** With nothing of Node.js at hand: esbuild stops at a built-in module, and what runs then has the language and what every browser adds to it. */
async function runInBrowser(files: readonly string[]): Promise<void> {
  for (const file of files) {
    const bundle = join(project, "bundle.js");
    await inProject("esbuild", file, "--bundle", "--platform=browser", "--format=iife", `--outfile=${bundle}`, "--log-level=warning");
    runInNewContext(readFileSync(bundle, "utf8"), { TextEncoder, TextDecoder });
  }
}

async function check(): Promise<void> {
  await step("build", () => command(["npm", "run", "build"], { cwd: repository }));
  const { tarball, paths } = await step("npm pack", pack);
  await step(`${paths.length} files`, () => none([...strangers(paths), ...missing(paths, manifest)]));
  await step("publint", () => command([ours("publint"), "run", tarball, "--strict"], { cwd: folder }));
  // esm-only ignores two ways to resolve, and no rule: node10, which knows no `exports`, and node16-cjs, where `require` gets an ES module;
  // Node.js can do that since 20.19, the oldest we run on, and attw still calls it an error.
  await step("attw", () => command([ours("attw"), tarball, "--profile", "esm-only"], { cwd: folder }));
  await step("npm install in an empty project", () => install(tarball));
  await step("source maps", () => none(strayMaps(paths, (path) => readFileSync(join(installed, path), "utf8"))));
  const { all, pure } = writeExamples();
  copyFileSync(join(import.meta.dirname, "project", fixture), join(project, fixture));
  await step("types", () => checkTypes([...all, fixture]));
  await step("quorate run scenario.ts", () => inProject("quorate", "run", "scenario.ts"));
  await step("quorate run scenario.ts --sim --seed 7", () => inProject("quorate", "run", "scenario.ts", "--sim", "--seed", "7"));
  await step("quorate run in other folders", runElsewhere);
  for (const file of all.slice(1)) await step(`tsx ${file}`, () => inProject("tsx", file));
  await step("vitest run", () => inProject("vitest", "run"));
  await step(`${pure.join(", ")} in a browser`, () => runInBrowser(pure));
}

try {
  await check();
  rmSync(folder, { recursive: true, force: true });
  process.stdout.write(`fit to publish, ${(performance.now() / 1_000).toFixed(0)} s\n`);
} catch (error) {
  process.stdout.write("failed\n");
  process.stderr.write(`check:package: ${(error as Error).message}\nThe project is kept in ${folder}\n`);
  process.exitCode = 1;
}
