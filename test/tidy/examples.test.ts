/** The examples of the README run: what a newcomer copies must work. */
import { describe, expect, it } from "vitest";
import * as quorate from "../../src/index.ts";
import { fileAt } from "./tree.ts";

const snippets = [...fileAt("README.md").text.matchAll(/```ts\n(.*?)```/gs)].map(([, code]) => code ?? "");

/** Runs a snippet of plain modules with `quorate` at hand and returns its default export, or `names` of its own. */
function evaluate(code: string, ...names: readonly string[]): unknown {
  const body = code
    .replaceAll(/import (\{.*?\}) from "quorate";/g, "const $1 = quorate;")
    .replace("export default", "return")
    .concat(names.length > 0 ? `\nreturn { ${names.join(", ")} };` : "");
  return new Function("quorate", body)(quorate);
}

describe("the README", () => {
  it("shows a scenario that ends as it expects", () => {
    const example = evaluate(snippets[0] ?? "") as quorate.Scenario;
    const result = quorate.simulate(example, { seed: 7 });
    expect(result.surprises).toEqual([]);
    expect(result.asExpected).toBe(true);
  });

  it("shows how to simulate one", () => {
    const { result } = evaluate(snippets[2] ?? "", "result") as { result: quorate.Result };
    expect(result.properties.agreement.verdict).toBe("holds");
  });

  it("has no other example that nobody runs", () => {
    // test/launch/readme.test.ts runs the second: it needs processes.
    expect(snippets).toHaveLength(3);
  });

  it("names the behaviours that there are", () => {
    const [, listed] = /What a traitor can do: (.*?), or what/s.exec(fileAt("README.md").text) ?? [];
    expect(listed?.match(/\w+/g)?.sort((a, b) => (a < b ? -1 : 1))).toEqual(Object.keys(quorate.traitors).sort());
  });
});
