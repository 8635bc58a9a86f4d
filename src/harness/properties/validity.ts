/** Validity: every decided request was really signed by its client, and a correct client invoked it as it was decided. */
import { validityClaim } from "../claim.ts";
import { type History, requestKey } from "../history.ts";
import { type Counterexample, conclude, contradiction, type Property, short, type Tools } from "../property.ts";
import type { RecordOf } from "../trace.ts";

type Decided = RecordOf<"decide">["requests"][number];

export const validity: Property = {
  name: "validity",
  check(history, tools) {
    const violations: Counterexample[] = [];
    const judge = judgeOnce(history, tools);
    let requests = 0;
    for (const record of history.decisions) {
      for (const request of record.requests) {
        requests += 1;
        const wrong = judge(request);
        if (wrong === undefined) continue;
        const what = `${record.node} decided request ${request.request} of client-${request.client} at slot ${record.slot}, ${wrong}`;
        violations.push(contradiction(what, [record], { slot: record.slot, view: record.view }));
      }
    }
    const evidence = { decisions: history.decisions.length, requests };
    return conclude(history, { count: requests, what: "decided request" }, evidence, violations);
  },
  claim: validityClaim,
};

/** Every replica decides the same requests, so each is judged once. */
function judgeOnce(history: History, tools: Tools): (request: Decided) => string | undefined {
  const known = new Map<string, string | undefined>();
  return (request) => {
    const key = `${requestKey(request)}:${request.digest}`;
    if (known.has(key)) return known.get(key);
    const wrong = whatIsWrong(history, tools, request);
    known.set(key, wrong);
    return wrong;
  };
}

function whatIsWrong(history: History, { verifyRequest }: Tools, request: Decided): string | undefined {
  if (history.traitorClients.has(request.client)) {
    const signed = history.signed.get(requestKey(request))?.find(({ digest }) => digest === request.digest);
    if (!signed) return "which that client never signed";
    return verifyRequest && !verifyRequest(signed) ? "whose signature does not verify" : undefined;
  }
  const invoked = history.invocations.get(requestKey(request));
  if (!invoked) return "which that client never invoked";
  if (invoked.some(({ record }) => record.digest === request.digest)) return undefined;
  return `with digest ${short(request.digest)}, but that client invoked it with ${short(invoked[0]?.record.digest ?? "")}`;
}
