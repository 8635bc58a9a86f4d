/** Launches a set, pauses a replica, says who is there, and waits to be killed. Started by launch.test.ts. */
import { launch } from "../../src/launch/launch.ts";

const set = await launch({ directory: process.argv[2] as string });
await set.pause(1);
process.stdout.write(`${JSON.stringify(set.pids)}\n`);
setInterval(() => undefined, 1_000);
