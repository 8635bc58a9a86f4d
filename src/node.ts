/** The Node.js door: everything of `quorate`, and runs over real processes and sockets. */
export * from "./index.ts";
export { type Client, type ConnectOptions, connect } from "./launch/connect.ts";
export { type LaunchedSet, type LaunchOptions, launch } from "./launch/launch.ts";
export { loadScenario } from "./launch/load-scenario.ts";
export type { ReplicaStatus } from "./launch/probe.ts";
export { readTrace } from "./launch/read-trace.ts";
export { type RunOptions, run } from "./launch/run.ts";
