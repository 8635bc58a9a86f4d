import { describe, expect, it } from "vitest";
import { clientId } from "../../src/core/ids.ts";
import type { Signed } from "../../src/core/message.ts";
import { decodeResult } from "../../src/services/key-value.ts";
import type { BehaviourData } from "../../src/traitors/behaviour.ts";
import { createTraitor, traitors } from "../../src/traitors/catalogue.ts";
import {
  digestA,
  digestB,
  digestsTo,
  inbox,
  kindsTo,
  repliesIn,
  Stage,
  type StageEffect,
  type StageOptions,
  send,
  treasons,
} from "./stage.ts";

const stageOf = (behaviour: BehaviourData, options?: StageOptions): Stage => new Stage([createTraitor(behaviour)], options);

/** One of everything that an honest core sends. */
function everything(stage: Stage): StageEffect[] {
  return [
    send(stage.vote("prepare"), 1, 2, 3),
    send(stage.vote("commit"), 1, 2, 3),
    send(stage.vote("commit", { by: 2 }), 1, 3),
    send(stage.request(1), 1),
    { type: "reply", to: clientId(1), message: stage.reply(1) },
  ];
}

describe("silent", () => {
  it("sends nothing, and says so", () => {
    const stage = stageOf(traitors.silent());
    const effects = stage.says({ type: "persist", records: [] }, ...everything(stage));
    expect(effects.map((effect) => effect.type)).toEqual(["persist", ...Array.from({ length: 5 }, () => "observe")]);
    expect(treasons(effects)).toContain("silent: withheld commit from replica-1, replica-2, replica-3");
    expect(treasons(effects)).toContain("silent: withheld reply from client-1");
  });

  it("goes on listening", () => {
    const stage = stageOf(traitors.silent());
    stage.hears(stage.vote("commit", { by: 2 }));
    expect(stage.seenByCore).toHaveLength(1);
  });
});

describe("withhold", () => {
  it("keeps the kinds back that it is told to, from those that it is told", () => {
    const stage = stageOf(traitors.withhold({ kinds: "commit", to: [1, 2] }));
    const effects = stage.says(...everything(stage));
    expect(kindsTo(effects, 1)).toEqual(["prepare", "request"]);
    expect(kindsTo(effects, 3)).toEqual(["prepare", "commit", "commit"]);
    expect(repliesIn(effects)).toHaveLength(1);
    expect(treasons(effects)).toEqual([
      "withhold: withheld commit from replica-1, replica-2",
      "withhold: did not pass on commit to replica-1",
    ]);
  });

  it("keeps everything from some", () => {
    const stage = stageOf(traitors.withhold({ to: 1 }));
    const effects = stage.says(...everything(stage));
    expect([1, 2, 3].map((to) => kindsTo(effects, to).length)).toEqual([0, 2, 3]);
  });

  it("keeps replies from clients, which are not the replicas of the same number", () => {
    const results = [{ to: "client-1" as const }, { to: 1 }, { kinds: "reply" }].map((options) => {
      const stage = stageOf(traitors.withhold(options));
      return repliesIn(stage.says({ type: "reply", to: clientId(1), message: stage.reply(1) })).length;
    });
    expect(results).toEqual([0, 1, 0]);
  });
});

describe("delay", () => {
  it("sends the same messages in the same order, late", () => {
    const stage = stageOf(traitors.delay({ ms: "20ms" }));
    const honest = everything(stage);
    const now = stage.says(...honest);
    expect(now.filter((effect) => effect.type === "send" || effect.type === "reply")).toEqual([]);
    expect(now.at(-1)).toEqual({ type: "set-timer", timer: "traitor:release", ms: 20 });
    expect(treasons(now)[0]).toBe("delay: delayed prepare to replica-1, replica-2, replica-3");
    expect(stage.at(20, "traitor:release")).toEqual(honest);
  });

  it("delays only the kinds that it is told to", () => {
    const stage = stageOf(traitors.delay({ ms: 20, kinds: ["prepare"] }));
    expect(kindsTo(stage.says(...everything(stage)), 1)).toEqual(["commit", "commit", "request"]);
    expect(kindsTo(stage.at(20, "traitor:release"), 1)).toEqual(["prepare"]);
  });

  it("of nothing is no delay", () => {
    const stage = stageOf(traitors.delay({ ms: 0 }));
    expect(stage.says(...everything(stage))).toEqual(everything(stage));
  });
});

describe("corruptSignature", () => {
  it("makes its signatures invalid, one bit each, and leaves the rest", () => {
    const stage = stageOf(traitors.corruptSignature({ kinds: "commit" }));
    const honest = stage.vote("commit");
    const effects = stage.says(send(honest, 1), send(stage.vote("prepare"), 1), send(stage.vote("commit", { by: 2 }), 1));
    const [lie, ...rest] = inbox(effects, 1);
    const opened = stage.open(lie as Signed<unknown>);
    expect(opened.ok ? "accepted" : opened.rejection.code).toBe("bad-signature");
    expect(lie?.payload).toBe(honest.payload);
    expect(bitsApart(lie?.signature, honest.signature)).toBe(1);
    expect(stage.open(honest).ok).toBe(true);
    expect(rest.map((message) => stage.open(message).ok)).toEqual([true, true]);
    expect(treasons(effects)).toEqual(["corruptSignature: corrupted the signature of commit to replica-1"]);
  });
});

function bitsApart(a: Uint8Array = new Uint8Array(), b: Uint8Array = new Uint8Array()): number {
  let count = 0;
  for (let index = 0; index < Math.max(a.length, b.length); index++)
    for (let bits = (a[index] ?? 0) ^ (b[index] ?? 0); bits > 0; bits &= bits - 1) count++;
  return count;
}

describe("lieInReplies", () => {
  it("changes every result, validly signed, and the same for every liar", () => {
    const lies = [0, 3].map((id) => {
      const stage = stageOf(traitors.lieInReplies({ value: "nonsense" }), { id });
      const effects = stage.says({ type: "reply", to: clientId(1), message: stage.reply(1, 2) });
      expect(treasons(effects)).toEqual(["lieInReplies: told client-1 a wrong result for 1, 2"]);
      const opened = stage.open(repliesIn(effects)[0] as Signed<unknown>);
      if (!opened.ok || opened.message.message.kind !== "reply") throw new Error("expected a valid reply");
      expect(opened.message.message.sender).toBe(id);
      return opened.message.message.results.map(({ number, result }) => [number, decodeResult(result)]);
    });
    const lie = { type: "value", value: "nonsense" };
    expect(lies).toEqual([
      [
        [1, lie],
        [2, lie],
      ],
      [
        [1, lie],
        [2, lie],
      ],
    ]);
  });
});

describe("equivocate, as the primary", () => {
  it("proposes another valid batch to each half, and commits to what each was told", () => {
    const stage = stageOf(traitors.equivocate());
    const honest = stage.proposal([stage.request(1), stage.request(2)]);
    const effects = stage.says(send(honest, 1, 2, 3));
    const [told1, told2, told3] = [1, 2, 3].map((to) => digestsTo(effects, to, "pre-prepare")[0]);
    expect(told1).toBe(honest.message.digest);
    expect(told2).not.toBe(told1);
    expect(told3).toBe(told2);
    expect([1, 2, 3].map((to) => digestsTo(effects, to, "commit"))).toEqual([[told1], [told2], [told3]]);
    for (const to of [1, 2]) {
      for (const message of inbox(effects, to)) expect(stage.open(message).ok).toBe(true);
      const opened = stage.open(inbox(effects, to)[0] as Signed<unknown>);
      expect(opened.ok && opened.message.batch?.valid && opened.message.batch.requests).toHaveLength(2);
    }
    expect(treasons(effects)).toEqual(["equivocate: proposed different batches for slot 1 of view 0 to 1 and 2+3"]);
  });

  it("votes for what each was told when its own core commits", () => {
    const stage = stageOf(traitors.equivocate());
    const honest = stage.proposal([stage.request(1)]);
    const told = digestsTo(stage.says(send(honest, 1, 2, 3)), 2, "pre-prepare")[0];
    const effects = stage.says(send(stage.vote("commit", { digest: honest.message.digest }), 1, 2, 3));
    expect([1, 2, 3].map((to) => digestsTo(effects, to, "commit"))).toEqual([[honest.message.digest], [told], [told]]);
    expect(treasons(effects)).toHaveLength(1);
  });

  it("tells the same again when it is asked again", () => {
    const stage = stageOf(traitors.equivocate());
    const honest = stage.proposal([stage.request(1)]);
    const first = inbox(stage.says(send(honest, 1, 2, 3)), 3).map(({ payload }) => payload);
    expect(inbox(stage.says(send(honest, 3)), 3).map(({ payload }) => payload)).toEqual(first);
  });

  it("tells as many stories as there are groups, and nothing to the others", () => {
    const stage = stageOf(traitors.equivocate({ groups: [[1], [2], [3, 4]] }), { n: 7 });
    const effects = stage.says(send(stage.proposal([stage.request(1)]), 1, 2, 3, 4, 5, 6));
    const told = [1, 2, 3, 4, 5, 6].map((to) => digestsTo(effects, to, "pre-prepare")[0]);
    expect(new Set(told.slice(0, 3)).size).toBe(3);
    expect(told[3]).toBe(told[2]);
    expect(told.slice(4)).toEqual([undefined, undefined]);
  });

  it.each([
    ["order", [2, 1]],
    ["fewer", [1]],
    ["timestamp", [1, 2]],
  ] as const)("lets batches differ in %s", (differ, numbers) => {
    const stage = stageOf(traitors.equivocate({ differ }));
    const effects = stage.says(send(stage.proposal([stage.request(1), stage.request(2)]), 1, 2, 3));
    const opened = stage.open(inbox(effects, 2)[0] as Signed<unknown>);
    const batch = opened.ok && opened.message.batch?.valid ? opened.message.batch : undefined;
    expect(batch?.requests.map(({ message }) => message.number)).toEqual(numbers);
    expect(batch?.timestamp).toBe(differ === "timestamp" ? 1_000_006 : 1_000_005);
  });

  it.each(["order", "fewer"] as const)("falls back to the timestamp where one request leaves no other %s", (differ) => {
    const stage = stageOf(traitors.equivocate({ differ }));
    const effects = stage.says(send(stage.proposal([stage.request(1)]), 1, 2, 3));
    expect(digestsTo(effects, 1, "pre-prepare")).not.toEqual(digestsTo(effects, 2, "pre-prepare"));
    const opened = stage.open(inbox(effects, 2)[0] as Signed<unknown>);
    expect(opened.ok && opened.message.batch).toMatchObject({ valid: true, timestamp: 1_000_006 });
  });

  it("votes for a third story too, once, and never with a PREPARE, which would not count (rule 16)", () => {
    const stage = stageOf(traitors.equivocate({ groups: [[1], [2]] }));
    stage.says(send(stage.proposal([stage.request(1)]), 1, 2, 3));
    const effects = [
      ...stage.hears(stage.vote("prepare", { by: 3, digest: digestB })),
      ...stage.hears(stage.vote("prepare", { by: 3, digest: digestB })),
    ];
    expect([1, 2, 3].map((to) => kindsTo(effects, to))).toEqual([[], [], ["commit"]]);
    expect(digestsTo(effects, 3, "commit")).toEqual([digestB]);
  });

  it("refuses groups of replicas that are not there, in one line", () => {
    expect(() => stageOf(traitors.equivocate({ groups: [[1], [4]] }))).toThrow(
      "traitor equivocate: groups name replica 4; allowed are 0..3",
    );
  });
});

describe("equivocate, as a backup", () => {
  const backup = (): Stage => stageOf(traitors.equivocate(), { id: 3 });

  it("keeps its PREPARE until the receiver shows what it believes, and is no traitor while all believe the same", () => {
    const stage = backup();
    const { digest } = stage.proposal([stage.request(1)], { by: 0 }).message;
    const first = stage.hears(stage.proposal([stage.request(1)], { by: 0 }), send(stage.vote("prepare", { digest }), 0, 1, 2));
    expect([0, 1, 2].map((to) => digestsTo(first, to, "prepare"))).toEqual([[digest], [], []]);
    const second = stage.hears(stage.vote("prepare", { by: 1, digest }));
    expect([0, 1, 2].map((to) => kindsTo(second, to))).toEqual([[], ["prepare"], []]);
    expect(digestsTo(second, 1, "prepare")).toEqual([digest]);
    const third = stage.says(send(stage.vote("commit", { digest }), 0, 1, 2));
    expect([0, 1, 2].map((to) => digestsTo(third, to, "commit"))).toEqual([[digest], [digest], [digest]]);
    expect(treasons([...first, ...second, ...third])).toEqual([]);
  });

  it("votes for both once it sees two digests, each where it is believed", () => {
    const stage = backup();
    const effects = [
      ...stage.hears(stage.vote("prepare", { by: 1, digest: digestA }), send(stage.vote("prepare", { digest: digestA }), 0, 1, 2)),
      ...stage.hears(stage.vote("prepare", { by: 2, digest: digestB })),
    ];
    expect(digestsTo(effects, 1, "prepare")).toEqual([digestA]);
    expect(digestsTo(effects, 1, "commit")).toEqual([digestA]);
    expect(digestsTo(effects, 2, "prepare")).toEqual([digestB]);
    expect(digestsTo(effects, 2, "commit")).toEqual([digestB]);
    expect(kindsTo(effects, 0)).toEqual([]);
    for (const message of inbox(effects, 2)) expect(stage.open(message).ok).toBe(true);
    expect(treasons(effects)).toEqual(["equivocate: voted for what each replica believed about slot 1 of view 0"]);
  });

  it("keeps the views and slots apart", () => {
    const stage = backup();
    const effects = [
      ...stage.hears(stage.vote("prepare", { by: 1, digest: digestA, n: 1 })),
      ...stage.hears(stage.vote("prepare", { by: 2, digest: digestB, n: 2 })),
      ...stage.hears(stage.vote("prepare", { by: 2, digest: digestB, n: 1, v: 1 })),
    ];
    expect(effects).toEqual([]);
  });

  it("takes a replica's first word for its belief", () => {
    const stage = backup();
    const effects = [
      ...stage.hears(stage.vote("prepare", { by: 1, digest: digestA })),
      ...stage.hears(stage.vote("prepare", { by: 1, digest: digestB })),
    ];
    expect(effects).toEqual([]);
    expect(digestsTo(stage.says(send(stage.vote("prepare", { digest: digestB }), 1)), 1, "prepare")).toEqual([digestA]);
  });

  it("learns what the primary of a new view believes from the proposals inside", () => {
    const stage = backup();
    const proposal = stage.vote("commit", { by: 1, v: 1 }).message;
    const inside = stage.seal(1)({ kind: "pre-prepare", view: proposal.view, slot: proposal.slot, digest: digestA });
    const newView = stage.seal(1)({ kind: "new-view", view: proposal.view, viewChanges: [], prePrepares: [inside] });
    const effects = stage.hears(newView, send(stage.vote("prepare", { v: 1 }), 0, 1, 2));
    expect([0, 1, 2].map((to) => digestsTo(effects, to, "prepare"))).toEqual([[], [digestA], []]);
  });

  it("takes no proposal for a belief that is not the primary's", () => {
    const stage = backup();
    const effects = [
      ...stage.hears(stage.vote("prepare", { by: 1, digest: digestA })),
      ...stage.hears(stage.proposal([stage.request(1)], { by: 2 })),
    ];
    expect(effects).toEqual([]);
  });
});
