/** The program of an honest replica in a laboratory run. */
import { serveReplica } from "./replica-process.ts";

serveReplica();
