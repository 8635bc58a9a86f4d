/** The README's replica set runs as it stands there. */
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, it } from "vitest";
import { projectFile, repository, useFolders } from "../support/folder.ts";

const newFolder = useFolders();

it("the README shows a launched set that holds", async () => {
  const [, code = ""] = /```ts\n(import \{ launch.*?)```/s.exec(readFileSync(join(repository, "README.md"), "utf8")) ?? [];
  const [last = ""] = /^\(await set\.verdict\(\)\).*;/m.exec(code) ?? [];
  const file = projectFile(newFolder(), "readme.mts", code.replace(last, `console.log(${last.replace(/;$/, "")});`));
  const flags = ["--import", import.meta.resolve("tsx"), "--conditions=quorate-source"];
  const { stdout, stderr } = await promisify(execFile)(process.execPath, [...flags, file]);
  expect({ stdout, stderr }).toEqual({ stdout: "holds\n", stderr: "" });
});
