/**
 * Three projects: `unit` is quick and pure, `simulation` drives whole clusters in virtual time, `sockets` opens real ports and
 * starts real processes, one file at a time, because a starved process looks like a faulty one.
 *
 * The package's own name leads to `src`, so no test can pass against a stale build.
 */
import { availableParallelism } from "node:os";
import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";

const source = (path: string): string => fileURLToPath(new URL(`./src/${path}`, import.meta.url));

const simulation = ["test/sim/**/*.test.ts", "test/attacks/**/*.test.ts"];
/** Run by the package gate, in a project of its own. */
const guests = "test/package/project/**";
const sockets = ["transport", "node", "launch", "cli", "scripts", "chaos"].map((folder) => `test/${folder}/**/*.test.ts`);

export default defineConfig({
  resolve: {
    alias: [
      { find: /^quorate$/, replacement: source("index.ts") },
      { find: /^quorate\/node$/, replacement: source("node.ts") },
    ],
  },
  test: {
    cache: false,
    // One fewer than the cores is the default: on two, nothing would run side by side.
    maxWorkers: Math.max(2, availableParallelism() - 1),
    reporters: ["default"],
    mockReset: true,
    unstubEnvs: true,
    unstubGlobals: true,
    projects: [
      {
        extends: true,
        test: { name: "unit", include: ["test/**/*.test.ts"], exclude: [...simulation, ...sockets, guests], testTimeout: 10_000 },
      },
      {
        extends: true,
        test: { name: "simulation", include: simulation, testTimeout: 60_000 },
      },
      {
        extends: true,
        test: {
          name: "sockets",
          include: sockets,
          testTimeout: 60_000,
          hookTimeout: 30_000,
          fileParallelism: false,
          sequence: { groupOrder: 1 },
        },
      },
    ],
  },
});
