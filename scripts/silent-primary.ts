/** The first primary says nothing at all: the others time out, change the view and go on without it (A23). */
import { scenario, traitors } from "quorate";

export default scenario({
  name: "silent primary",
  replicas: 4,
  traitors: { 0: traitors.silent() },
  workload: { clients: 2, operations: 50 },
  within: "10s",
});
