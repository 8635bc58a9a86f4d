/** A replica orders like the others and tells clients wrong results: they wait for f+1 equal ones (A11). */
import { scenario, traitors } from "quorate";

export default scenario({
  name: "replies that lie",
  replicas: 4,
  traitors: { 2: traitors.lieInReplies() },
  workload: { clients: 2, operations: 50 },
  within: "10s",
});
