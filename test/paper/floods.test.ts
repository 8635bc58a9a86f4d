/** docs/limits.md, "Of a PBFT replica": a traitor says all that it can say, as often as it likes, and a replica grows by its bounds only. */
import { describe, expect, it } from "vitest";
import type { ReplicaId } from "../../src/core/ids.ts";
import type { Verified } from "../../src/core/message.ts";
import type { PbftMessage } from "../../src/protocols/pbft/index.ts";
import {
  bare,
  checkpointProof,
  commit,
  commitCertificate,
  enterView,
  fetch,
  leave,
  prepare,
  sealNewView,
  someDigest,
  status,
  viewChange,
} from "../support/forge.ts";
import { Rig, rejected } from "../support/rig.ts";

/** K 4, L 8, four replicas of which 3 lies; 1 is its victim. */
const [victim, traitor, window] = [1, 3, 8];
const size = (rig: Rig, what: string): number => Number(rig.state(victim)[what]);
const slotsOf = (rig: Rig): number => (rig.state(victim)["slots"] as readonly unknown[]).length;

/** Hands over every message; nothing of it may move the victim. */
function pour(rig: Rig, messages: Iterable<Verified<PbftMessage>>): void {
  for (const message of messages) rig.receive(victim, message);
  const { view, active, stable, executed, halted } = rig.state(victim);
  expect({ view, active, stable, executed, halted }).toEqual({ view: 0, active: true, stable: 0, executed: 0, halted: false });
}

const numbers = (count: number): number[] => Array.from({ length: count }, (_, index) => index);

describe("a flood of votes", () => {
  it("A09: for later views, other slots and many digests fills the share of its sender and no more", () => {
    const rig = new Rig();
    pour(
      rig,
      (function* () {
        for (const view of [1, 2, 50, 2 ** 40])
          for (const slot of numbers(40))
            for (const digest of ["a", "b", "c"].map(someDigest)) {
              yield prepare(rig, traitor, view, slot, digest);
              yield commit(rig, traitor, view, slot, digest);
            }
      })(),
    );
    expect(size(rig, "backlog")).toBe(2 * window);
    expect(slotsOf(rig)).toBe(window);
  });

  it("A26: far beyond the window leaves nothing behind", () => {
    const rig = new Rig();
    pour(
      rig,
      (function* () {
        for (const slot of [2 * window + 1, 1_000, 2 ** 50])
          for (const view of [0, 1]) {
            yield prepare(rig, traitor, view, slot, someDigest("x"));
            yield commit(rig, traitor, view, slot, someDigest("x"));
          }
      })(),
    );
    expect([size(rig, "backlog"), slotsOf(rig)]).toEqual([0, 0]);
  });

  it("rule 16: proposals for views that others lead do not wait for them", () => {
    const rig = new Rig();
    pour(
      rig,
      numbers(20).map((view) => bare(rig, 4 * view + 1, 1, someDigest("x"), traitor)),
    );
    expect(size(rig, "backlog")).toBe(0);
  });

  it("A09: holds one frame of bytes of bodies that came early, per sender; beyond them proposals wait without", () => {
    const rig = new Rig({ limits: { frameBytes: 4_000 } });
    const text = "x".repeat(900);
    pour(
      rig,
      numbers(12).map((slot) => rig.proposal(traitor, 3, 1 + slot, [rig.request(1, slot + 1, text)])),
    );
    expect(size(rig, "backlog")).toBe(12);
    expect(size(rig, "backlogBytes")).toBeGreaterThan(2_500);
    expect(size(rig, "backlogBytes")).toBeLessThanOrEqual(4_000);
    // When the view comes, all of them are proposals; the bodies that were not kept are asked for.
    leave(rig, victim, 3, [0, 2]);
    enterView(rig, victim, 3, [0, 2, 3]);
    expect(slotsOf(rig)).toBe(window);
    expect(size(rig, "bodies") + size(rig, "missingBodies")).toBe(window);
    expect(size(rig, "missingBodies")).toBeGreaterThan(0);
  });
});

describe("a flood of proposals", () => {
  it("A34: of successive views that a traitor leads: bodies kept for one slot are those of f+1 views", () => {
    const rig = new Rig();
    let most = 0;
    for (const view of numbers(10).map((round) => 4 * round)) {
      if (view > 0) {
        leave(rig, victim, view, [2, 3]);
        enterView(rig, victim, view, [0, 2, 3]);
      }
      for (let slot = 1; slot <= window; slot++) rig.receive(victim, rig.proposal(0, view, slot, [rig.request(1, 1, `${view} ${slot}`)]));
      most = Math.max(most, size(rig, "bodies"));
    }
    // f+1 of this and older views, and until the next view begins the ones that fell out.
    expect(most).toBe(3 * window);
    leave(rig, victim, 42, [2, 3]);
    enterView(rig, victim, 42, [0, 2, 3]);
    expect(size(rig, "bodies")).toBe(2 * window);
    expect(size(rig, "missingBodies")).toBe(0);
  });

  it("A34: without their bodies leaves one wanted body for each slot", () => {
    const rig = new Rig();
    for (const view of [0, 4, 8]) {
      if (view > 0) {
        leave(rig, victim, view, [2, 3]);
        enterView(rig, victim, view, [0, 2, 3]);
      }
      for (let slot = 1; slot <= 3 * window; slot++) {
        for (const name of ["a", "b"]) rig.receive(victim, bare(rig, view, slot, someDigest(`${name} ${view} ${slot}`)));
      }
    }
    expect(size(rig, "missingBodies")).toBe(window);
  });

  it("A31: proposals ahead of time are held one for each slot", () => {
    const rig = new Rig();
    for (let slot = 1; slot <= 3 * window; slot++) {
      for (const number of [1, 2, 3]) {
        rig.receive(victim, rig.proposal(0, 0, slot, [rig.request(1, number)], rig.wallTime + 60_000 + number));
      }
    }
    expect(size(rig, "held")).toBe(window);
  });
});

describe("a flood of CHECKPOINTs", () => {
  it("A56: for ever new slots keeps few CHECKPOINTs of one sender, the newest", () => {
    const rig = new Rig();
    pour(
      rig,
      numbers(500).map((index) => rig.checkpoint(traitor, 4 * (index + 1), someDigest(`${index}`))),
    );
    expect(size(rig, "checkpoints")).toBe(2 * Math.ceil(window / 4) + 2);
    // At slots that are none, they are refused.
    expect(rejected(rig.receive(victim, rig.checkpoint(traitor, 4_001, someDigest("x"))))).toEqual(["outside-window"]);
  });
});

describe("a flood of VIEW-CHANGEs and NEW-VIEWs", () => {
  it("rule 44: keeps of all VIEW-CHANGEs of one sender the latest, whatever it names", () => {
    const rig = new Rig();
    pour(
      rig,
      numbers(200).map((index) => viewChange(rig, traitor, index + 1)),
    );
    expect(rig.state(victim)["viewChanges"]).toEqual([[traitor, 200]]);
  });

  it("A48: keeps of all NEW-VIEWs of one sender one, and of view changes only those that it names", () => {
    const rig = new Rig();
    const views = numbers(60).map((round) => 4 * round + traitor);
    for (const view of views) {
      // Its own, in many versions, of which it names one; the others named nobody has.
      const own = numbers(5).map((k) =>
        viewChange(rig, traitor, view, { stable: 4 * k, checkpoints: k > 0 ? checkpointProof(rig, 4 * k, someDigest("s")) : [] }),
      );
      const references = [
        ...[0, 2].map((sender) => ({ sender: sender as ReplicaId, digest: someDigest("nobody has it") })),
        ...own.slice(0, 1).map(({ payload }) => ({ sender: traitor as ReplicaId, digest: rig.digest("view-change", payload) })),
      ];
      rig.receive(victim, sealNewView(rig, view, references, []));
      for (const message of own) rig.receive(victim, message);
      expect(size(rig, "candidates")).toBe(1);
      expect(size(rig, "fetched")).toBe(1);
    }
    expect(rig.state(victim).view).toBe(0);
  });
});

describe("a flood of questions and of proofs", () => {
  it("A61: leaves nothing behind but when each peer was answered last", () => {
    const rig = new Rig();
    const before = rig.state(victim);
    pour(
      rig,
      (function* () {
        for (const index of numbers(200)) {
          yield status(rig, traitor, { view: index, executed: 1_000 * index, stable: 4 * index });
          for (const what of ["batch", "view-change", "snapshot"] as const) yield fetch(rig, traitor, what, someDigest(`${index}`), index);
        }
      })(),
    );
    expect(rig.state(victim)).toEqual(before);
  });

  it("rule 30: leaves one window of slots known to a replica far behind, however far it falls", () => {
    const rig = new Rig();
    // The cluster goes on without the victim, which hears every commit and the proof of every checkpoint, and can fetch nothing.
    for (let slot = 1; slot <= 20 * window; slot++) {
      rig.receive(victim, commitCertificate(rig, 0, 0, slot, someDigest(`${slot}`)));
      if (slot % 4 === 0) {
        rig.receive(
          victim,
          rig.seal(0, { kind: "certificate", votes: checkpointProof(rig, slot, someDigest(`state ${slot}`), [0, 2, 3]) }),
        );
      }
    }
    expect(rig.state(victim)).toMatchObject({ stable: 20 * window, executed: 0 });
    expect(slotsOf(rig)).toBeLessThanOrEqual(2 * window);
    expect(size(rig, "missingBodies")).toBeLessThanOrEqual(2 * window);
    expect(size(rig, "checkpoints")).toBe(0);
  });
});
