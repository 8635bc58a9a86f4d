/** The first primary proposes something else to everybody: nobody gets a quorum, the view changes, and proof against it turns up (A18). */
import { scenario, traitors } from "quorate";

export default scenario({
  name: "equivocating primary",
  replicas: 4,
  traitors: { 0: traitors.equivocate({ groups: [[1], [2], [3]] }) },
  network: { delay: ["1ms", "5ms"], loss: 0.01, stableFrom: "2s" },
  workload: { clients: 2, operations: 50 },
  within: "10s",
  expect: { agreement: "holds", validity: "holds", integrity: "holds", termination: "holds", accused: [0] },
});
