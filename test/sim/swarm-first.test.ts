/** The first half of the swarm; the halves are files so that two cores share them. */
import { describe } from "vitest";
import { swarmTests } from "./swarm-tests.ts";

describe("the swarm, seeds 1 to 150", () => swarmTests(1, 3));
