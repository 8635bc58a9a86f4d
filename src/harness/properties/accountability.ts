/** Accountability: whoever is proven guilty is guilty. A correct node is never accused. */
import { validityClaim } from "../claim.ts";
import type { History } from "../history.ts";
import { commonEvidence, contradiction, neverFired, type Property } from "../property.ts";
import type { RecordOf } from "../trace.ts";

export const accountability: Property = {
  name: "accountability",
  check(history) {
    const wrong = history.accusations.filter((record) => !isGuilty(history, record));
    const accused = accusedIn(history);
    const evidence = { accusations: history.accusations.length, accused, violations: wrong.length, ...commonEvidence(history) };
    const [first] = wrong;
    if (first) {
      const what = `${first.node} accused replica-${first.culprit} of ${first.kind}, which was correct`;
      return { verdict: "violated", evidence, counterexample: contradiction(what, [first]) };
    }
    // That nobody was accused is what is promised of a run without lies, so it needs no decision to hold.
    const because = neverFired(history);
    return because === undefined ? { verdict: "holds", evidence } : { verdict: "inconclusive", evidence, because };
  },
  claim: validityClaim,
};

/** The replicas against which correct nodes hold proof, in order. */
export function accusedIn({ accusations }: History): number[] {
  return [...new Set(accusations.map(({ culprit }) => culprit))].sort((a, b) => a - b);
}

/** A replica that lost its storage may contradict what it forgot: it counts as faulty from then on (rule 77). */
function isGuilty({ traitors, lives }: History, { culprit, at }: RecordOf<"evidence">): boolean {
  const leftAt = lives.get(culprit)?.leftAt;
  return traitors.has(culprit) || (leftAt !== undefined && leftAt <= at);
}
