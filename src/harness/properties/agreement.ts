/** Agreement: no two correct nodes decide differently for one slot, their states are equal, and clients get results of that history. */
import { safetyClaim } from "../claim.ts";
import { type History, requestKey } from "../history.ts";
import { type Counterexample, conclude, contradiction, type Property, short } from "../property.ts";
import type { RecordOf } from "../trace.ts";

export const agreement: Property = {
  name: "agreement",
  check(history) {
    const results = comparedResults(history);
    const violations = [...forks(history), ...divergingStates(history), ...results.violations];
    const evidence = {
      decisions: history.decisions.length,
      slots: new Set(history.decisions.map(({ slot }) => slot)).size,
      states: history.states.length,
      returned: results.compared,
    };
    return conclude(history, { count: history.decisions.length, what: "decision" }, evidence, violations);
  },
  claim: safetyClaim,
};

/** A digest proposed again in a later view is the same decision; a node that contradicts itself alone is a matter of integrity. */
function forks({ decisions }: History): Counterexample[] {
  const known = new Map<number, RecordOf<"decide">[]>();
  const violations: Counterexample[] = [];
  for (const record of decisions) {
    const { slot, digest, node } = record;
    const before = known.get(slot) ?? [];
    known.set(slot, before);
    if (before.some((other) => other.node === node && other.digest === digest)) continue;
    const other = before.find((earlier) => earlier.node !== node && earlier.digest !== digest);
    if (other) {
      const what = `${other.node} decided ${short(other.digest)} at slot ${slot} in view ${other.view}, ${node} decided ${short(digest)} there in view ${record.view}`;
      violations.push(contradiction(what, [other, record], { slot, view: record.view }));
    }
    before.push(record);
  }
  return violations;
}

function divergingStates({ states }: History): Counterexample[] {
  const first = new Map<number, RecordOf<"checkpoint" | "install">>();
  const violations: Counterexample[] = [];
  for (const record of states) {
    const other = first.get(record.slot);
    if (!other) first.set(record.slot, record);
    else if (other.digest !== record.digest) {
      const what = `the state after slot ${record.slot} is ${short(other.digest)} at ${other.node} and ${short(record.digest)} at ${record.node}`;
      violations.push(contradiction(what, [other, record], { slot: record.slot }));
    }
  }
  return violations;
}

/** Equal requests at equal slots have equal results, and a client gets the result of the slot where its request took effect. */
function comparedResults(history: History): { readonly compared: number; readonly violations: readonly Counterexample[] } {
  const violations: Counterexample[] = [];
  const atSlot = new Map<string, RecordOf<"execute">>();
  const effects = new Map<string, RecordOf<"execute">>();
  for (const record of history.executions) {
    const key = requestKey(record);
    const other = atSlot.get(`${record.slot}:${key}`);
    if (!other) atSlot.set(`${record.slot}:${key}`, record);
    else if (other.result !== record.result) {
      const what = `request ${key} gave ${short(other.result)} at ${other.node} and ${short(record.result)} at ${record.node}, both at slot ${record.slot}`;
      violations.push(contradiction(what, [other, record], { slot: record.slot }));
    }
    const effect = effects.get(key);
    if (!effect || record.slot < effect.slot) effects.set(key, record);
  }
  const decided = new Set(history.decisions.flatMap(({ requests }) => requests.map(requestKey)));
  let compared = 0;
  for (const record of history.returns) {
    const key = requestKey(record);
    const effect = effects.get(key);
    if (effect) compared += 1;
    if (effect && effect.result !== record.result) {
      const what = `${record.node} got ${short(record.result)} for its request ${record.request}, but ${effect.node} executed it at slot ${effect.slot} with ${short(effect.result)}`;
      violations.push(contradiction(what, [effect, record], { slot: effect.slot }));
    } else if (!effect && !decided.has(key)) {
      // A decision alone is enough: a killed node loses the records of executions, never of decisions.
      const what = `${record.node} got a result for its request ${record.request}, which no correct replica decided or executed`;
      violations.push(contradiction(what, [record]));
    }
  }
  return { compared, violations };
}
