/** The second half of the swarm; the halves are files so that two cores share them. */
import { describe } from "vitest";
import { swarmTests } from "./swarm-tests.ts";

describe("the swarm, seeds 151 to 300", () => swarmTests(151, 3));
