/** A backup keeps its COMMITs from two of the others: they get by without it, and nobody falls behind for good (A05, A17). */
import { scenario, traitors } from "quorate";

export default scenario({
  name: "withholding backup",
  replicas: 4,
  traitors: { 3: traitors.withhold({ kinds: "commit", to: [1, 2] }) },
  workload: { clients: 2, operations: 50 },
  within: "10s",
});
