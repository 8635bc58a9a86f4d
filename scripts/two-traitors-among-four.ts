/**
 * Two traitors among four, one more than four can stand: nothing is promised, so nothing is expected, and the run says what it
 * found. The primary tells replicas 1 and 2 different things, and its accomplice votes with both: a fork.
 */
import { scenario, traitors } from "quorate";

export default scenario({
  name: "two traitors among four",
  replicas: 4,
  traitors: { 0: traitors.equivocate({ groups: [[1], [2, 3]] }), 3: traitors.equivocate() },
  workload: { clients: 2, operations: 20 },
  within: "5s",
});
