/** Prints the SHA-256 of the whole trace of a seed of the swarm: run as a process of its own by `determinism.test.ts`. */
import { swarmTraceDigest } from "./swarm-trace.ts";

process.stdout.write(swarmTraceDigest(Number(process.argv[2])));
