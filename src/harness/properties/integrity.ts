/** Integrity: each correct node for itself decides once per slot, executes in order without gaps, and lets no request take effect twice. */
import { safetyClaim } from "../claim.ts";
import { type Deed, type History, type Life, requestKey } from "../history.ts";
import { type Counterexample, conclude, contradiction, type Property, short } from "../property.ts";
import type { RecordOf } from "../trace.ts";

export const integrity: Property = {
  name: "integrity",
  check(history) {
    const violations: Counterexample[] = [];
    const common = commonHistory(history);
    for (const life of history.lives.values()) {
      const state = new State(life, common, violations);
      for (const deed of life.deeds) state.follow(deed);
    }
    const evidence = { decisions: history.decisions.length, executions: history.executions.length };
    return conclude(history, { count: history.decisions.length, what: "decision" }, evidence, violations);
  },
  claim: safetyClaim,
};

/** What all correct nodes know together, to judge one of them by. */
interface Common {
  readonly history: History;
  /** The lowest slot at which anybody decided a request. */
  readonly firstDecided: ReadonlyMap<string, number>;
}

function commonHistory(history: History): Common {
  const firstDecided = new Map<string, number>();
  for (const { slot, requests } of history.decisions) {
    for (const request of requests) {
      const key = requestKey(request);
      firstDecided.set(key, Math.min(slot, firstDecided.get(key) ?? slot));
    }
  }
  return { history, firstDecided };
}

/** Follows one node: what its state holds, as far as the trace can tell. */
class State {
  readonly #life: Life;
  readonly #common: Common;
  readonly #violations: Counterexample[];
  /** By slot: of all incarnations, and of the present one. */
  readonly #decidedEver = new Map<number, RecordOf<"decide">>();
  readonly #decided = new Map<number, RecordOf<"decide">>();
  /** Slots up to here came with the state that the node started from or installed. */
  #covered = 0;
  /** The last slot at which it executed, or `covered`. */
  #position = 0;
  #restarted: RecordOf<"restart"> | undefined;
  /** Where each request took effect in this state. */
  readonly #effects = new Map<string, number>();

  constructor(life: Life, common: Common, violations: Counterexample[]) {
    this.#life = life;
    this.#common = common;
    this.#violations = violations;
  }

  follow(deed: Deed): void {
    switch (deed.event) {
      case "decide":
        this.#decide(deed);
        break;
      case "execute":
        this.#execute(deed);
        break;
      case "install":
        this.#install(deed);
        break;
      case "restart":
        this.#restart(deed);
        break;
    }
  }

  #decide(record: RecordOf<"decide">): void {
    const { slot, digest } = record;
    const ever = this.#decidedEver.get(slot);
    const here = this.#decided.get(slot);
    if (ever && ever.digest !== digest)
      this.#wrong(`decided both ${short(ever.digest)} and ${short(digest)} at slot ${slot}`, ever, record);
    else if (here) this.#wrong(`decided slot ${slot} twice in one incarnation`, here, record);
    if (!ever) this.#decidedEver.set(slot, record);
    if (!here) this.#decided.set(slot, record);
  }

  #execute(record: RecordOf<"execute">): void {
    const { slot } = record;
    const key = requestKey(record);
    if (record.replayed && !this.#restarted) this.#wrong(`marked request ${key} as replayed, but never restarted`, record);
    // On the way back to the state that the restart record speaks of.
    const replay = record.replayed === true && this.#restarted !== undefined && slot <= this.#restarted.slot;
    if (!replay) this.#advance(record);
    const decided = (replay ? this.#decidedEver : this.#decided).get(slot);
    if (!replay && !decided) this.#wrong(`executed slot ${slot}, which it did not decide`, record);
    else if (decided && !decided.requests.some((request) => requestKey(request) === key)) {
      this.#wrong(`executed request ${key} at slot ${slot}, where it decided other requests`, decided, record);
    }
    const effect = this.#effects.get(key);
    if (effect !== undefined && !(replay && effect === slot)) {
      this.#wrong(`let request ${key} take effect twice, at slot ${effect} and at slot ${slot}`, record);
    } else this.#effects.set(key, slot);
  }

  /** Moves to the slot of an execution: in order, and past no slot that is unknown or whose requests were left out. */
  #advance(record: RecordOf<"execute">): void {
    const { slot } = record;
    if (slot <= this.#covered) this.#wrong(`executed slot ${slot} although its state already covered slot ${this.#covered}`, record);
    else if (slot < this.#position) this.#wrong(`executed slot ${slot} after slot ${this.#position}`, record);
    if (slot <= this.#position) return;
    for (let passed = Math.max(this.#position, this.#covered + 1); passed < slot; passed++) {
      const decided = this.#decided.get(passed);
      if (!decided) {
        this.#wrong(`executed slot ${slot} after slot ${this.#position}: slot ${passed} was neither decided nor installed`, record);
        break;
      }
      const left = decided.requests.find((request) => !this.#isNoOp(request, passed));
      if (left) this.#wrong(`went on to slot ${slot} without executing request ${requestKey(left)} of slot ${passed}`, decided, record);
    }
    this.#position = slot;
  }

  /** It took effect, here or in the one history before this slot; or it lies below the client's floor (rule 60). */
  #isNoOp(request: { readonly client: number; readonly request: number }, slot: number): boolean {
    const key = requestKey(request);
    const { firstDecided, history } = this.#common;
    if (this.#effects.has(key) || (firstDecided.get(key) ?? slot) < slot) return true;
    const floored = request.request + history.run.W;
    return history.decisions.some(
      (decision) => decision.slot <= slot && decision.requests.some((other) => other.client === request.client && other.request >= floored),
    );
  }

  /** The state is now that of those who hold the same digest at that slot, and so is what took effect in it (A37, M30). */
  #install({ slot, digest }: RecordOf<"install">): void {
    this.#resetTo(slot);
    const { states, lives } = this.#common.history;
    for (const state of states) {
      if (state.event !== "checkpoint" || state.stable || state.slot !== slot || state.digest !== digest) continue;
      const donor = [...lives.values()].find(({ name }) => name === state.node && name !== this.#life.name);
      for (const deed of donor?.deeds ?? []) {
        if (deed.event === "execute" && deed.slot <= slot) this.#effects.set(requestKey(deed), deed.slot);
      }
    }
  }

  #restart(record: RecordOf<"restart">): void {
    this.#restarted = record;
    this.#decided.clear();
    this.#resetTo(record.slot);
  }

  /** What took effect above `slot` is gone with the state that held it. */
  #resetTo(slot: number): void {
    this.#covered = slot;
    this.#position = slot;
    for (const [key, effect] of this.#effects) if (effect > slot) this.#effects.delete(key);
  }

  #wrong(what: string, ...records: readonly (Deed & { readonly slot: number })[]): void {
    const slot = records.at(-1)?.slot;
    this.#violations.push(contradiction(`${this.#life.name} ${what}`, records, slot === undefined ? {} : { slot }));
  }
}
