/**
 * The main job: four replicas agree while one of them lies. Replica 0, the first primary, tells two groups of replicas two
 * different things for one slot after the other, and votes with both. Edit it and run it again:
 *
 *   npx quorate run scripts/first-traitor.ts
 *   npx quorate run scripts/first-traitor.ts --sim --seed 7
 */
import { scenario, traitors } from "quorate";

export default scenario({
  name: "first traitor",
  replicas: 4,
  traitors: { 0: traitors.equivocate() },
  workload: { clients: 3, operations: 300 },
  within: "10s",
  expect: { agreement: "holds", validity: "holds", integrity: "holds", termination: "holds", accused: [0] },
});
