/** The Node.js door: everything of `quorate`, and runs over real processes and sockets. */
export * from "./index.ts";
export { loadScenario } from "./launch/load-scenario.ts";
export { readTrace } from "./launch/read-trace.ts";
export { type RunOptions, run } from "./launch/run.ts";
