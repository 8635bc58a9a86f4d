import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { loadScenario } from "../../src/launch/load-scenario.ts";
import { quorate } from "../cli/support.ts";
import { useFolders } from "../support/folder.ts";

const folder = useFolders()();

function file(name: string, text: string): string {
  const path = join(folder, name);
  writeFileSync(path, text);
  return path;
}

describe("a scenario file", () => {
  it("exports a scenario, in TypeScript or JavaScript", async () => {
    const text = 'export default { name: "small", replicas: 4, within: "2s" };';
    for (const name of ["a.ts", "a.mts", "a.js", "a.mjs"]) {
      expect(await loadScenario(file(name, text))).toMatchObject({ name: "small", replicas: 4, f: 1, within: 2_000 });
    }
  });

  it("is refused in one line that names the file or the scenario, and what is wrong", async () => {
    mkdirSync(join(folder, "folder.ts"));
    const mistakes: readonly (readonly [path: string, told: RegExp])[] = [
      [join(folder, "missing.ts"), /missing\.ts: there is no such scenario file$/],
      [join(folder, "folder.ts"), /folder\.ts: expected a file, this is a folder$/],
      [file("notes.txt", ""), /notes\.txt: expected a \.ts, \.mts, \.js or \.mjs file that exports a scenario$/],
      [file("named.ts", "export const plan = 1;"), /named\.ts: expected a default export, as in: export default scenario\(/],
      [file("throws.ts", 'throw new Error("first\\nsecond");'), /throws\.ts: it does not load: first$/],
      [file("null.ts", "throw null;"), /null\.ts: it does not load: null$/],
      [
        file("field.ts", 'export default { name: "x", replicas: "four" };'),
        /^scenario "x": replicas: expected an integer from 1, got "four"$/,
      ],
      [
        file("unknown.ts", 'export default { name: "x", replicas: 4, replica: 3 };'),
        /^scenario "x": unknown field "replica"; allowed: name, /,
      ],
      [file("nameless.ts", "export default { replicas: 4 };"), /^scenario ".*nameless\.ts": name: expected text that is not empty/],
      [
        file("protocol.ts", 'export default { name: "x", replicas: 4, protocol: "raft" };'),
        /^scenario "x": protocol: expected one of "pbft", got "raft"$/,
      ],
      [
        file("built.ts", 'import { scenario } from "quorate";\nexport default scenario({ name: "x", replicas: 0 });'),
        /built\.ts: scenario "x": replicas: expected an integer from 1, got 0$/,
      ],
      [
        file(
          "behaviour.ts",
          'import { scenario, traitors } from "quorate";\nexport default scenario({ name: "x", replicas: 4, traitors: { 0: traitors.withhold({ kinds: "vote" }) } });',
        ),
        /behaviour\.ts: traitor withhold: kinds/,
      ],
    ];
    for (const [path, told] of mistakes) {
      const failure = await loadScenario(path).catch((error: unknown) => error);
      expect(failure).toMatchObject({ name: "LabError", exitCode: 2 });
      expect((failure as Error).message).toMatch(told);
      expect((failure as Error).message).not.toContain("\n");
    }
  });

  it("is told how to get the package where there is none", async () => {
    const text = 'import { scenario } from "quorate";\nexport default scenario({ name: "x", replicas: 4 });';
    for (const name of ["alone.ts", "alone.mjs"]) {
      const { code, stderr } = await quorate("run", file(name, text));
      expect(code).toBe(2);
      expect(stderr).toMatch(
        new RegExp(`^quorate: .*${name}: it imports quorate, which is not installed there; in its folder: npm install quorate\n$`),
      );
    }
  });
});
