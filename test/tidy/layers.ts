/**
 * The layering of src as data, and its checkers. Dependencies point inward, so that the core can be read, tested and run in a
 * browser without what stands around it.
 */
import { type Complaints, importsOf, type SourceFile } from "./tree.ts";

const inner = ["core", "crypto", "wire"];
const replicated = [...inner, "services", "storage", "protocols"];
const judging = [...replicated, "traitors", "faults", "client", "harness"];

/** A folder (or file right below src) and what it may import; the order is that of ARCHITECTURE.md. */
export const layers: Readonly<Record<string, readonly string[]>> = {
  core: [],
  crypto: ["core"],
  wire: ["core", "crypto"],
  services: inner,
  storage: inner,
  protocols: inner,
  traitors: replicated,
  faults: inner,
  client: [...inner, "services"],
  harness: [...inner, "services", "traitors", "faults", "client"],
  sim: judging,
  transport: [...inner, "faults"],
  node: [...judging, "transport"],
  launch: [...judging, "sim", "transport", "node"],
  cli: [...judging, "sim", "transport", "node", "launch"],
  "index.ts": [...judging, "sim"],
  "node.ts": [...judging, "sim", "transport", "node", "launch", "index.ts"],
};

/** What needs Node.js; everything else also runs in a browser. */
const nodeOnly = ["src/crypto/native.ts", "src/transport/", "src/node/", "src/launch/", "src/cli/", "src/node.ts"];

/** A package and the rooms that may know it: each library sits behind one wall. */
const packages: Readonly<Record<string, { readonly in: readonly string[]; readonly because: string }>> = {
  "@noble/ed25519": { in: ["src/crypto/"], because: "one verification rule everywhere (rule 90): ask the crypto folder" },
  "@noble/hashes": { in: ["src/"], because: "it is pure" },
  msgpackr: { in: ["src/wire/"], because: "one configured codec: ask the wire folder" },
  zod: {
    in: ["src/harness/", "src/traitors/", "src/faults/", "src/transport/", "src/node/", "src/launch/", "src/cli/"],
    because: "schemas are for what users write; the core and the wire check their own",
  },
  ws: { in: ["src/transport/"], because: "only the transport knows sockets" },
  "pino-pretty": { in: ["src/node/"], because: "one place decides how a log looks: ask src/node/log.ts" },
  "prom-client": { in: ["src/node/"], because: "one place tells Prometheus: ask src/node/metrics.ts" },
  pino: { in: ["src/node/", "src/launch/", "src/cli/"], because: "the core returns effects and never logs" },
  commander: { in: ["src/cli/"], because: "only the command line parses arguments" },
  "hdr-histogram-js": { in: ["src/launch/", "src/cli/"], because: "only who measures from outside needs percentiles" },
  picocolors: { in: ["src/cli/"], because: "only the command line prints" },
  tsx: { in: ["src/launch/", "src/cli/"], because: "only what loads a user's file needs it" },
};

const roomOf = (path: string): string => path.split("/")[1] ?? "";
const needsNode = (path: string): boolean => nodeOnly.some((prefix) => path.startsWith(prefix));
const packageOf = (specifier: string): string => specifier.split("/", specifier.startsWith("@") ? 2 : 1).join("/");

/** Programs and folders that they must not reach, by whatever way. */
export const programs: Readonly<Record<string, { readonly not: readonly string[]; readonly because: string }>> = {
  "src/cli/replica.ts": {
    not: ["src/traitors/", "src/faults/", "src/transport/faulty.ts", "src/harness/", "src/sim/"],
    because: "nothing in a replica's own process can make it lie or lose messages",
  },
  "src/launch/honest-main.ts": { not: ["src/traitors/", "src/sim/"], because: "honest code knows no traitor" },
};

/** The way from a program to what it must not reach, if there is one. */
export function forbiddenReach(files: readonly SourceFile[], table = programs): Complaints {
  const graph = new Map(files.map((file) => [file.path, importsOf(file).flatMap(({ target }) => target ?? [])]));
  return Object.entries(table).flatMap(([program, { not, because }]) => {
    const ways = new Map([[program, program]]);
    for (const [path, way] of ways) for (const next of graph.get(path) ?? []) if (!ways.has(next)) ways.set(next, `${way} -> ${next}`);
    return [...ways].filter(([path]) => not.some((prefix) => path.startsWith(prefix))).map(([, way]) => `${way}: ${because}`);
  });
}

/** Every import points inward, as the table says. */
export function outwardImports(files: readonly SourceFile[], table = layers): Complaints {
  return files.flatMap((file) => {
    const room = roomOf(file.path);
    const allowed = table[room];
    if (allowed === undefined) return [`${file.path} lies in no folder of the layer table (test/tidy/layers.ts): add it where it belongs`];
    return importsOf(file).flatMap(({ line, target, specifier }) => {
      if (target === undefined) return [];
      if (!target.startsWith("src/")) return [`${file.path}:${line} imports ${specifier}, which lies outside src`];
      const other = roomOf(target);
      if (other === room || allowed.includes(other)) return [];
      return [
        `${file.path}:${line} imports ${specifier}: ${room} may import only ${allowed.join(", ") || "itself"}, so that dependencies point inward`,
      ];
    });
  });
}

/** What runs in a browser imports nothing that does not. */
export function nodeInBrowserCode(files: readonly SourceFile[]): Complaints {
  return files.flatMap((file) => {
    if (needsNode(file.path)) return [];
    return importsOf(file).flatMap(({ line, target, specifier }) =>
      specifier.startsWith("node:") || (target !== undefined && needsNode(target))
        ? [`${file.path}:${line} imports ${specifier}, which needs Node.js; this file also runs in a browser: have it handed in`]
        : [],
    );
  });
}

/** Every package is imported only where the table says. */
export function strayPackages(files: readonly SourceFile[]): Complaints {
  return files.flatMap((file) =>
    importsOf(file).flatMap(({ line, target, specifier }) => {
      if (target !== undefined || specifier.startsWith("node:")) return [];
      const known = packages[packageOf(specifier)];
      if (known === undefined)
        return [`${file.path}:${line} imports ${specifier}, which is in no row of the package table (test/tidy/layers.ts)`];
      if (known.in.some((prefix) => file.path.startsWith(prefix))) return [];
      return [`${file.path}:${line} imports ${specifier}: ${known.because}`];
    }),
  );
}

/** Cycles, each as the path that closes it; types count, for a cycle of types is one story told in two files. */
export function importCycles(files: readonly SourceFile[]): Complaints {
  const graph = new Map(files.map((file) => [file.path, importsOf(file).flatMap(({ target }) => target ?? [])]));
  const done = new Set<string>();
  const found: string[] = [];
  const visit = (path: string, trail: readonly string[]): void => {
    const start = trail.indexOf(path);
    if (start >= 0) found.push(`import cycle: ${[...trail.slice(start), path].join(" -> ")}; move what both need into a third file`);
    if (start >= 0 || done.has(path)) return;
    for (const next of graph.get(path) ?? []) visit(next, [...trail, path]);
    done.add(path);
  };
  for (const path of graph.keys()) visit(path, []);
  return found;
}
