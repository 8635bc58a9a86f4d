/** Seven replicas stand two traitors: the first primary is silent, the second tells two groups two things. */
import { scenario, traitors } from "quorate";

export default scenario({
  name: "seven with two traitors",
  replicas: 7,
  traitors: { 0: traitors.silent(), 1: traitors.equivocate() },
  workload: { clients: 2, operations: 40 },
  within: "15s",
});
