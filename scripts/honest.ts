/** Nobody lies and nothing breaks: what agreement costs when all is well. */
import { scenario } from "quorate";

export default scenario({
  name: "honest",
  replicas: 4,
  workload: { clients: 2, operations: 100 },
  within: "10s",
});
