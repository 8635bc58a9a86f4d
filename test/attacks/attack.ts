/** An attack of the catalogue as a scenario in virtual time: run it, and read from the trace that it really happened. */
import { expect } from "vitest";
import type { Judgement } from "../../src/harness/result.ts";
import { type ScenarioDefinition, scenario } from "../../src/harness/scenario.ts";
import type { EventName, RecordOf, TraceRecord } from "../../src/harness/trace.ts";
import { type Traitor, traitor } from "../../src/traitors/traitor.ts";
import { simulated } from "../support/simulated.ts";

export class Attack {
  readonly judgement: Judgement;
  readonly #records: readonly TraceRecord[];

  /** Four replicas and a small workload, unless the definition says otherwise; invariants are checked after each step. */
  constructor(definition: Partial<ScenarioDefinition>, seed = 1) {
    const whole = scenario({ name: "attack", replicas: 4, workload: { clients: 2, operations: 12 }, ...definition });
    const { judgement, records } = simulated(whole, { seed, checked: true });
    this.judgement = judgement;
    this.#records = records;
  }

  of<E extends EventName>(event: E, node?: string): RecordOf<E>[] {
    return this.#records.filter((record): record is RecordOf<E> => record.event === event && (node === undefined || record.node === node));
  }

  /** Everything that traitors confessed, once each. */
  get lies(): string[] {
    return [...new Set(this.of("treason").map(({ what }) => what))];
  }

  /** Why correct replicas turned away what this one sent, once each. */
  rejectedOf(replica: number): string[] {
    return [...new Set(this.of("reject").flatMap(({ code, from }) => (from === `replica-${replica}` ? code : [])))];
  }

  get accused(): unknown {
    return this.judgement.properties.accountability.evidence["accused"];
  }

  /** Views that any correct replica entered, ascending. */
  get views(): number[] {
    const { traitors } = this.judgement;
    const entered = this.of("new-view").filter(({ node }) => !traitors.some((id) => node === `replica-${id}`));
    return [...new Set(entered.map(({ view }) => view))].sort((a, b) => a - b);
  }

  /** Messages of a kind that went from one replica to another. */
  sent(kind: string, from: number, to: number | string): RecordOf<"send">[] {
    const target = typeof to === "number" ? `replica-${to}` : to;
    return this.of("send", `replica-${from}`).filter((record) => record.kind === kind && record.to === target);
  }

  received(kind: string, at: number): RecordOf<"receive">[] {
    return this.of("receive", `replica-${at}`).filter((record) => record.kind === kind);
  }

  /** The slots that a replica decided. */
  decidedBy(replica: number): Set<number> {
    return new Set(this.of("decide", `replica-${replica}`).map(({ slot }) => slot));
  }

  /** That the traitors lied, and nothing that is promised broke. */
  expectSurvived(): void {
    expect(this.judgement.surprises).toEqual([]);
    for (const [name, { verdict, claimed }] of Object.entries(this.judgement.properties)) {
      expect({ name, verdict, claimed }).toEqual({ name, verdict: "holds", claimed: true });
    }
    expect(this.of("treason").length).toBeGreaterThan(0);
  }

  /** FORK: two correct nodes took different things for the truth, outside what is claimed. Proof stays proof even then (rule 36). */
  expectFork(): void {
    const { agreement, accountability } = this.judgement.properties;
    expect(accountability.verdict).not.toBe("violated");
    expect(agreement).toMatchObject({ verdict: "violated", claimed: false });
    expect(agreement.counterexample?.records.length).toBeGreaterThan(0);
  }

  /** STALL: what was asked for never came, outside what is claimed; and nobody was told anything wrong. */
  expectStall(): void {
    const { termination, agreement, validity, integrity } = this.judgement.properties;
    expect(termination).toMatchObject({ verdict: "violated", claimed: false });
    expect(termination.counterexample?.cause?.length).toBeGreaterThan(0);
    for (const { verdict } of [agreement, validity, integrity]) expect(verdict).not.toBe("violated");
  }
}

/**
 * In view 0 it COMMITs to what it was proposed at once, to some, and hides all votes from its honest half, which so never
 * prepares (A04). As the next primary it overlooks the view changes of those who know better.
 */
export function rashCommitter({
  prepareTo,
  commitTo,
  deafTo = [],
}: Record<"prepareTo" | "commitTo", number[]> & { deafTo?: number[] }): Traitor {
  return traitor("commits without being prepared", (self) => ({
    receive: {
      prepare: ({ message }) => (message.view === 0 ? "drop" : undefined),
      commit: ({ message }) => (message.view === 0 ? "drop" : undefined),
      certificate: () => "drop",
      "view-change": ({ message }) => (deafTo.includes(message.sender) ? "drop" : undefined),
    },
    send: {
      prepare: (m, to) => {
        if (m.view > 0) return undefined;
        self.said(`committed to slot ${m.slot} without being prepared`);
        const commit = { kind: "commit", view: m.view, slot: m.slot, digest: m.digest } as const;
        return [...(prepareTo.includes(to) ? [m] : []), ...(commitTo.includes(to) ? [commit] : [])];
      },
    },
  }));
}
