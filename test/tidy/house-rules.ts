/** Rules of the house that no compiler knows. Each says what to do instead. */
import { type Complaints, findAll, lineOf, type SourceFile } from "./tree.ts";

interface Ban {
  readonly pattern: RegExp;
  readonly instead: string;
}

const time = "time comes in as `now` and `wall` of an input";
const timer = "return a set-timer effect";
const suspension = "return an effect and let the host wait; between check and act the state may change (rule 93)";
const entropy = "draw from the seeded source that the host hands over, else no run can be replayed";
const host = "a browser has none: let the host hand it in";

/** Folders (and files) that are deterministic and know no host. */
const pure = ["core", "crypto", "wire", "protocols", "services", "faults", "traitors", "sim", "harness", "client"].map(
  (folder) => `src/${folder}/`,
);
const impure = ["src/crypto/native.ts"];

export const bannedInPureFolders: readonly Ban[] = [
  { pattern: /(?<!\.)\bDate\b/g, instead: time },
  { pattern: /(?<!\.)\bperformance\b/g, instead: time },
  { pattern: /\bMath\s*\.\s*random\b|\{[^}]*\brandom\b[^}]*\}\s*=\s*Math\b/g, instead: entropy },
  { pattern: /(?<![.\w])crypto\s*\./g, instead: entropy },
  { pattern: /\b(?:setTimeout|setInterval|setImmediate|clearTimeout|clearInterval|queueMicrotask)\b/g, instead: timer },
  { pattern: /\b(?:async|await|Promise)\b/g, instead: suspension },
  { pattern: /(?<![.\w])process\s*\.\s*\w+/g, instead: host },
  { pattern: /\bglobalThis\b|\bimport\s*\.\s*meta\b/g, instead: host },
  { pattern: /\bBuffer\b/g, instead: "use Uint8Array, which browsers have too" },
  { pattern: /\bText(?:Encoder|Decoder)\b/g, instead: "use utf8ToBytes and bytesToUtf8 of @noble/hashes" },
  { pattern: /(?<![.\w])console\b/g, instead: "return an observe effect" },
  {
    pattern: /\bIntl\b|\.(?:localeCompare|toLocale\w+)\b/g,
    instead: "locale data differs between machines (rule 81): compare code units, format by hand",
  },
  { pattern: /(?<!\bObject\.keys\([^()]*\))\.(?:sort|toSorted)\(\s*\)/g, instead: "give a comparator: the default one puts 10 before 9" },
  { pattern: /\b(?:WeakRef|FinalizationRegistry)\b/g, instead: "garbage collection is not deterministic: keep the thing or drop it" },
];

export function bannedWords(files: readonly SourceFile[]): Complaints {
  return files
    .filter((file) => pure.some((folder) => file.path.startsWith(folder)) && !impure.includes(file.path))
    .flatMap((file) =>
      bannedInPureFolders.flatMap(({ pattern, instead }) =>
        findAll(file, "code", pattern, (found) => `has "${found}" in a pure folder: ${instead}`),
      ),
    );
}

/** A test file may list more cases of one story. */
export const linesMax = { src: 400, test: 600 } as const;

export function longFiles(files: readonly SourceFile[]): Complaints {
  return files.flatMap((file) => {
    const lines = lineOf(file.text, file.text.trimEnd().length);
    const most = file.path.startsWith("test/") ? linesMax.test : linesMax.src;
    return lines > most ? [`${file.path} has ${lines} lines: more than ${most} tell more than one story`] : [];
  });
}

export function withoutHeader(files: readonly SourceFile[]): Complaints {
  return files
    .filter((file) => !/^(?:#!.*\n)?\/[/*]/.test(file.text))
    .map((file) => `${file.path} opens with no comment: say what this is, and what it must never do`);
}

/** Only a verifier and a seal may call something proven. */
const mayTrust = ["src/core/message.ts", "src/wire/seal.ts", "src/wire/open.ts"];

export function strayTrust(files: readonly SourceFile[]): Complaints {
  return files
    .filter((file) => !mayTrust.includes(file.path))
    .flatMap((file) =>
      findAll(
        file,
        "code",
        /\btrusted\b/g,
        () => "uses `trusted`: only wire/open.ts and wire/seal.ts make a Verified, so that nothing unproven reaches a core",
      ),
    );
}

/** `2 * f`, `f + 1`, `n - f`, `(n - 1) / 3` and their like, with or without a prefix such as `cluster.`. */
const quorumArithmetic =
  /\b[23]\s*\*\s*(?:\w+\.)*f\b|\bf\s*\*\s*[23]\b|\bf\s*\+\s*1\b|\bn\s*[-+]\s*(?:\w+\.)*f\b|\bf\s*\+\s*(?:\w+\.)*n\b|\(\s*(?:\w+\.)*n\s*-\s*1\s*\)\s*\/\s*3/g;

export function strayQuorums(files: readonly SourceFile[]): Complaints {
  return files
    .filter((file) => file.path !== "src/core/quorum.ts")
    .flatMap((file) =>
      findAll(file, "code", quorumArithmetic, (found) => `computes ${found}: quorums come from core/quorum.ts alone (rules 2, 3)`),
    );
}

export function unfinished(files: readonly SourceFile[]): Complaints {
  return files.flatMap((file) => [
    ...findAll(file, "text", /\b(?:FIX[M]E|TO[D]O|X[X]X)\b/g, (found) => `has ${found}: finish it, or write an issue`),
    ...findAll(
      file,
      "code",
      /\b(?:it|test|describe)\s*\.\s*(?:only|skip|todo|fails)\b/g,
      (found) => `has ${found}: every test runs, and passes`,
    ),
    ...findAll(file, "code", /\benum\s+\w+/g, (found) => `has ${found}: use a union of strings, which type stripping can erase`),
  ]);
}

/** Somebody's home or work folder, which exists on one machine only. */
export function machinePaths(files: readonly SourceFile[]): Complaints {
  return files.flatMap((file) =>
    findAll(
      file,
      "text",
      /(?<![\w.~/-])(?:\/(?:home|Users|root|work|tmp|opt|mnt)\/[\w.-]+|[A-Z]:\\\w+)/g,
      (found) => `names ${found}: a path of one machine`,
    ),
  );
}
