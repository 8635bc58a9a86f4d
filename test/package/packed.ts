/** What must and must not be among the files that users install. The package gate asks; a unit test shows that each answer can be no. */
import { posix } from "node:path";

export interface Manifest {
  readonly exports: Readonly<Record<string, string | Readonly<Record<string, string>>>>;
  readonly bin: Readonly<Record<string, string>>;
}

/** What is of no use to anybody else, and what nobody else may see. */
const strange =
  /^(?:test|lint|runs|keys(?!\/README\.md$))\/|(?:^|\/)(?:\.|node_modules\/)|\.(?:test\.ts|key|pem|numbers|tsbuildinfo|tgz|log|jsonl)$/;

/** Files that should have stayed at home. `paths`: from the package's root. */
export function strangers(paths: readonly string[]): string[] {
  return paths.filter((path) => strange.test(path)).map((path) => `${path} is packed, but is nothing for users`);
}

/** What the manifest or another file promises and nobody packed; and builds whose source is gone. */
export function missing(paths: readonly string[], { exports, bin }: Manifest): string[] {
  const packed = new Set(paths);
  const targets = Object.values(exports).flatMap((target) => (typeof target === "string" ? target : Object.values(target)));
  const promised = [...targets, ...Object.values(bin), "package.json", "README.md", "LICENSE"].map((path) => posix.normalize(path));
  const built = paths.flatMap((path) => {
    const [, name] = /^src\/(.*)\.ts$/.exec(path) ?? [];
    return name === undefined ? [] : [".js", ".js.map", ".d.ts", ".d.ts.map"].map((ending) => `dist/${name}${ending}`);
  });
  const stale = paths.filter((path) => path.startsWith("dist/") && !built.includes(path));
  return [
    ...[...promised, ...built].filter((path) => !packed.has(path)).map((path) => `${path} is missing`),
    ...stale.map((path) => `${path} was built from no file of src`),
  ];
}

/** Source maps that lead to no packed file. `read`: the text of a packed file. */
export function strayMaps(paths: readonly string[], read: (path: string) => string): string[] {
  const packed = new Set(paths);
  return paths
    .filter((path) => path.endsWith(".map"))
    .flatMap((path) => {
      const { sources, sourceRoot = "" } = JSON.parse(read(path)) as { sources: readonly string[]; sourceRoot?: string };
      return sources
        .map((source) => posix.join(posix.dirname(path), sourceRoot, source))
        .filter((source) => !packed.has(source))
        .map((source) => `${path} leads to ${source}, which is not packed`);
    });
}
