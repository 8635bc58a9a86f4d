import { describe, expect, it } from "vitest";
import { clientId, replicaId, slot, view } from "../../src/core/ids.ts";
import { LabError } from "../../src/core/lab-error.ts";
import type { Request, Signed } from "../../src/core/message.ts";
import { nobleDigest } from "../../src/crypto/digest.ts";
import { betray } from "../../src/traitors/betray.ts";
import { type Hooks, type TraitorSelf, traitor } from "../../src/traitors/traitor.ts";
import { encodeBatch } from "../../src/wire/batch.ts";
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

const stageOf = (make: (self: TraitorSelf) => Hooks, options?: StageOptions): Stage => new Stage([traitor("test", make)], options);

describe("a betrayed core", () => {
  it("is the core itself when there is nobody to betray it", () => {
    const { core } = stageOf(() => ({}));
    expect(betray(core, {} as never, [])).toBe(core);
  });

  it("passes on what no hook touches as the very same effects", () => {
    const stage = stageOf(() => ({ send: { commit: () => undefined, prepare: (m) => ({ ...m }) } }));
    const effects: StageEffect[] = [
      { type: "persist", records: ["x"] },
      send(stage.vote("commit"), 1, 2, 3),
      send(stage.vote("prepare"), 1, 2, 3),
      { type: "set-timer", timer: "view", ms: 5 },
      { type: "reply", to: clientId(1), message: stage.reply(1) },
      send(stage.request(1), 1),
    ];
    const result = stage.says(...effects);
    expect(result).toHaveLength(effects.length);
    for (const [index, effect] of effects.entries()) {
      const actual = result[index];
      if (effect.type === "reply") expect(actual?.type === "reply" && actual.message).toBe(effect.message);
      else expect(actual).toBe(effect);
    }
  });

  it("sends a changed copy under its own valid signature, the rest as it was, and confesses just before", () => {
    const stage = stageOf((self) => ({
      send: {
        commit: (m, to) => {
          if (to !== 2) return undefined;
          self.said("lied to 2");
          return { ...m, digest: digestB };
        },
      },
    }));
    const honest = stage.vote("commit");
    const effects = stage.says({ type: "persist", records: [] }, send(honest, 1, 2, 3), { type: "cancel-timer", timer: "after" });
    expect(effects.map((effect) => effect.type)).toEqual(["persist", "observe", "send", "send", "cancel-timer"]);
    expect(treasons(effects)).toEqual(["test: lied to 2"]);
    expect(effects[2]).toEqual(send(honest, 1, 3));
    expect(inbox(effects, 1)[0]).toBe(honest);
    const [lie] = inbox(effects, 2);
    const opened = stage.open(lie as Signed<unknown>);
    expect(opened.ok && opened.message.message).toMatchObject({ kind: "commit", sender: 0, digest: digestB, view: 0, slot: 1 });
  });

  it("sends equal lies as one effect again", () => {
    const stage = stageOf(() => ({ send: { commit: (m, to) => (to === 1 ? undefined : { ...m, digest: digestB }) } }));
    const effects = stage.says(send(stage.vote("commit"), 1, 2, 3));
    expect(effects.flatMap((effect) => (effect.type === "send" ? [effect.to] : []))).toEqual([[1], [2, 3]]);
  });

  it("drops, and sends mixtures in order, the untouched part as it was", () => {
    const stage = stageOf(() => ({
      send: {
        commit: (m, to) =>
          to === 1 ? "drop" : [{ ...m, digest: digestB }, m, { kind: "prepare", view: m.view, slot: m.slot, digest: digestB }],
      },
    }));
    const honest = stage.vote("commit");
    const effects = stage.says(send(honest, 1, 2));
    expect(inbox(effects, 1)).toEqual([]);
    expect(kindsTo(effects, 2)).toEqual(["commit", "commit", "prepare"]);
    expect(inbox(effects, 2)[1]).toBe(honest);
    expect(treasons(effects)).toEqual(["test: withheld commit from replica-1", "test: changed commit to replica-2"]);
  });

  it("keeps a lie that the hook does not confess on record in plain words", () => {
    const stage = stageOf(() => ({ send: { commit: () => "drop" } }));
    expect(treasons(stage.says(send(stage.vote("commit"), 1, 2)))).toEqual(["test: withheld commit from replica-1, replica-2"]);
  });

  it("writes equal words once for each effect", () => {
    const stage = stageOf((self) => ({
      send: {
        commit: () => {
          self.said("hid it");
          return "drop";
        },
      },
    }));
    const effect = send(stage.vote("commit"), 1, 2, 3);
    expect(treasons(stage.says(effect, effect))).toEqual(["test: hid it", "test: hid it"]);
  });

  it("records no treason for what is only held", () => {
    const stage = stageOf(() => ({ send: { commit: () => "hold" } }));
    expect(stage.says(send(stage.vote("commit"), 1, 2))).toEqual([]);
  });

  it("asks the hook for every kind only where a kind has none of its own", () => {
    const stage = stageOf(() => ({ send: { commit: () => undefined, "*": () => "drop" } }));
    const effects = stage.says(send(stage.vote("commit"), 1), send(stage.vote("prepare"), 1));
    expect(kindsTo(effects, 1)).toEqual(["commit"]);
  });

  it("hands hooks frozen drafts without a header", () => {
    const drafts: unknown[] = [];
    const stage = stageOf(() => ({ send: { commit: (m) => void drafts.push(m) as undefined } }));
    stage.says(send(stage.vote("commit"), 1));
    expect(drafts).toEqual([{ kind: "commit", view: 0, slot: 1, digest: digestA }]);
    expect(Object.isFrozen(drafts[0])).toBe(true);
  });

  it("signs as itself even when a copy claims to be somebody else", () => {
    const stage = stageOf(() => ({ send: { commit: (m) => ({ ...m, sender: 2, incarnation: 7, digest: digestB }) as typeof m } }));
    const [lie] = inbox(stage.says(send(stage.vote("commit"), 1)), 1);
    expect(lie?.message).toMatchObject({ sender: 0, incarnation: 0, digest: digestB });
    expect(stage.open(lie as Signed<unknown>).ok).toBe(true);
  });

  it("lets several behaviours work on a message in turn", () => {
    const changes = traitor("changes", () => ({ send: { commit: (m) => [m, { ...m, digest: digestB }] } }));
    const hides = traitor("hides", () => ({ send: { commit: (m) => (m.digest === digestB ? "drop" : undefined) } }));
    const both = new Stage([changes, hides]);
    expect(digestsTo(both.says(send(both.vote("commit"), 1)), 1, "commit")).toEqual([digestA]);
    const reversed = new Stage([hides, changes]);
    expect(digestsTo(reversed.says(send(reversed.vote("commit"), 1)), 1, "commit")).toEqual([digestA, digestB]);
  });

  it("wants everything, and shows the state of the core beneath", () => {
    const stage = stageOf(() => ({}), { state: { view: 7 } });
    expect(stage.core.wants({ kind: "commit", sender: 1 })).toBe(true);
    expect(stage.core.inspect().view).toBe(7);
  });
});

describe("a changed proposal", () => {
  it("gets a new body and the digest of it", () => {
    const stage = stageOf(() => ({
      send: {
        "pre-prepare": (m) => (m.batch ? { ...m, batch: { timestamp: m.batch.timestamp + 1, requests: m.batch.requests } } : undefined),
      },
    }));
    const requests = [stage.request(1), stage.request(2)];
    const [lie] = inbox(stage.says(send(stage.proposal(requests), 1)), 1);
    const opened = stage.open(lie as Signed<unknown>);
    const bytes = encodeBatch(1_000_006, requests);
    expect(opened.ok && opened.message.message).toMatchObject({ digest: nobleDigest("batch", bytes) });
    expect(opened.ok && opened.message.body).toEqual(bytes);
    expect(opened.ok && opened.message.batch?.valid && opened.message.batch.requests).toHaveLength(2);
  });

  it("may carry a request that no client signed; receivers see through it (A21)", () => {
    const stage = stageOf((self) => ({
      send: {
        "pre-prepare": (m) => {
          const [request] = m.batch?.requests ?? [];
          if (!m.batch || !request) return undefined;
          self.said("invented a request");
          const forged: Signed<Request> = { ...request, signature: new Uint8Array(64) };
          return { ...m, batch: { ...m.batch, requests: [forged] } };
        },
      },
    }));
    const [lie] = inbox(stage.says(send(stage.proposal([stage.request(1)]), 1)), 1);
    const opened = stage.open(lie as Signed<unknown>);
    expect(lie?.batch).toBeUndefined();
    expect(opened.ok && opened.message.batch).toEqual({ valid: false, code: "bad-request-signature" });
  });

  it("keeps a digest that the copy sets itself: a body that does not match (A22)", () => {
    const stage = stageOf(() => ({ send: { "pre-prepare": (m) => ({ ...m, digest: digestB }) } }));
    const [lie] = inbox(stage.says(send(stage.proposal([stage.request(1)]), 1)), 1);
    const opened = stage.open(lie as Signed<unknown>);
    expect(opened.ok ? "accepted" : opened.rejection.code).toBe("body-mismatch");
  });

  it("may get both, a new body and a digest that is not of it", () => {
    const stage = stageOf(() => ({ send: { "pre-prepare": (m) => ({ ...m, digest: digestB, batch: { timestamp: 1, requests: [] } }) } }));
    const [lie] = inbox(stage.says(send(stage.proposal([stage.request(1)]), 1)), 1);
    expect(lie?.body).toEqual(encodeBatch(1, []));
    expect(lie?.message).toMatchObject({ digest: digestB });
  });

  it("keeps its exact body when only the assignment changes", () => {
    const stage = stageOf(() => ({ send: { "pre-prepare": (m) => ({ ...m, slot: slot(9) }) } }));
    const honest = stage.proposal([stage.request(1)]);
    const [lie] = inbox(stage.says(send(honest, 1)), 1);
    expect(lie?.body).toBe(honest.body);
    const opened = stage.open(lie as Signed<unknown>);
    expect(opened.ok && opened.message.message).toMatchObject({ slot: 9, digest: honest.message.digest });
  });

  it("travels without its body when the copy has none (A34)", () => {
    const stage = stageOf(() => ({ send: { "pre-prepare": (m) => ({ ...m, batch: undefined }) } }));
    const honest = stage.proposal([stage.request(1)]);
    const [lie] = inbox(stage.says(send(honest, 1)), 1);
    expect(lie?.body).toBeUndefined();
    const opened = stage.open(lie as Signed<unknown>);
    expect(opened.ok && opened.message.message).toMatchObject({ digest: honest.message.digest });
  });

  it("names the digest that `digestOf` tells beforehand", () => {
    let foretold = "";
    const stage = stageOf((self) => ({
      send: {
        "pre-prepare": (m) => {
          const batch = { timestamp: 5, requests: [] };
          foretold = self.digestOf(batch);
          return { ...m, batch };
        },
      },
    }));
    const effects = stage.says(send(stage.proposal([stage.request(1)]), 1));
    expect(digestsTo(effects, 1, "pre-prepare")).toEqual([foretold]);
  });
});

describe("other bodies", () => {
  it("may be replaced by bytes that do not match (A57)", () => {
    const stage = stageOf(() => ({ send: { snapshot: (m) => (m.body ? { ...m, body: m.body.slice(1) } : undefined) } }));
    const bytes = Uint8Array.of(1, 2, 3);
    const honest = stage.seal(0)({ kind: "snapshot", slot: slot(4), digest: nobleDigest("checkpoint", bytes) }, { bytes });
    expect(stage.open(honest).ok).toBe(true);
    const [lie] = inbox(stage.says(send(honest, 1)), 1);
    expect(lie?.body).toEqual(Uint8Array.of(2, 3));
    const opened = stage.open(lie as Signed<unknown>);
    expect(opened.ok ? "accepted" : opened.rejection.code).toBe("body-mismatch");
  });
});

describe("messages of others that pass through", () => {
  const relayer = (hooks: Hooks): [Stage, StageEffect[]] => {
    const stage = stageOf(() => hooks);
    return [stage, [send(stage.vote("commit", { by: 2 }), 1, 3), send(stage.request(1, 1), 1)]];
  };

  it("are never shown to hooks that could change them, though a client has the traitor's number", () => {
    const stage = stageOf(() => ({ send: { "*": () => "drop" } }), { id: 1 });
    const effects = [send(stage.vote("commit", { by: 2 }), 3), send(stage.request(1, 1), 0)];
    expect(stage.says(...effects)).toEqual(effects);
  });

  it("may be dropped for some", () => {
    const [stage, effects] = relayer({ relay: { commit: (_, to) => (to === 3 ? "drop" : undefined), request: () => "drop" } });
    const result = stage.says(...effects);
    expect([1, 3].map((to) => kindsTo(result, to))).toEqual([["commit"], []]);
    expect(inbox(result, 1)[0]).toBe(inbox(effects, 1)[0]);
    expect(treasons(result)).toEqual(["test: did not pass on commit to replica-3", "test: did not pass on request to replica-1"]);
  });

  it("may be late", () => {
    const [stage, effects] = relayer({ relay: { "*": () => ({ delayMs: 30 }) } });
    expect(stage.says(...effects).filter((effect) => effect.type === "send")).toEqual([]);
    expect(stage.at(30, "traitor:release")).toEqual(effects);
  });
});

describe("what comes in", () => {
  it("is shown to receive hooks and then to the core", () => {
    const seen: number[] = [];
    const stage = stageOf(() => ({ receive: { commit: ({ message }) => void seen.push(message.sender) as undefined } }));
    const message = stage.vote("commit", { by: 3 });
    stage.hears(message);
    expect(seen).toEqual([3]);
    expect(stage.seenByCore).toMatchObject([{ type: "receive", message: { message: { sender: 3 } } }]);
  });

  it("may be hidden from the core, on record", () => {
    const stage = stageOf(() => ({ receive: { commit: () => "drop", "*": () => undefined } }));
    expect(treasons(stage.hears(stage.vote("commit", { by: 3 })))).toEqual(["test: ignored commit of replica-3"]);
    stage.hears(stage.vote("prepare", { by: 3 }));
    expect(stage.seenByCore).toHaveLength(1);
  });

  it("includes requests", () => {
    const stage = stageOf(() => ({ receive: { request: () => "drop" } }));
    const wall = { earliest: 0, latest: 0 };
    const effects = stage.core.step({ type: "request", now: 0, wall, request: stage.request(1, 2) });
    expect(treasons(effects)).toEqual(["test: ignored request of client-2"]);
    expect(stage.seenByCore).toEqual([]);
  });

  it("is remembered, but not for ever", () => {
    let known: TraitorSelf | undefined;
    const stage = stageOf((self) => {
      known = self;
      return {};
    });
    for (let n = 1; n <= 300; n++) stage.hears(stage.vote("commit", { by: 3, n }));
    expect(known?.seen).toHaveLength(256);
    expect(known?.seen.at(-1)?.message).toMatchObject({ slot: 300 });
  });

  it("may be answered with messages of one's own making, before the core acts", () => {
    const stage = stageOf((self) => ({
      receive: {
        commit: ({ message }) => {
          self.said("echoed");
          self.send([message.sender, 0, 9], { kind: "commit", view: message.view, slot: message.slot, digest: digestB });
          return undefined;
        },
      },
    }));
    const effects = stage.hears(stage.vote("commit", { by: 3 }), { type: "cancel-timer", timer: "x" });
    expect(effects.map((effect) => effect.type)).toEqual(["observe", "send", "cancel-timer"]);
    // Never to itself, nor to replicas that do not exist.
    expect(effects[1]).toMatchObject({ to: [3], message: { message: { kind: "commit", sender: 0, digest: digestB } } });
    expect(stage.open(inbox(effects, 3)[0] as Signed<unknown>).ok).toBe(true);
  });
});

describe("messages of a traitor's own making", () => {
  it("pass through the behaviours listed later, not through its own hooks", () => {
    const chatty = traitor("chatty", (self) => ({
      send: { commit: () => "drop" },
      receive: {
        commit: ({ message: { view, slot } }) => {
          self.send([1, 2], { kind: "commit", view, slot, digest: digestB });
          return undefined;
        },
      },
    }));
    const picky = traitor("picky", () => ({ send: { commit: (_, to) => (to === 2 ? "drop" : undefined) } }));
    const stage = new Stage([chatty, picky]);
    const effects = stage.hears(stage.vote("commit", { by: 3 }));
    expect([1, 2].map((to) => digestsTo(effects, to, "commit"))).toEqual([[digestB], []]);
  });
});

describe("delays", () => {
  const late = (ms: (n: number) => number): Stage =>
    stageOf(() => ({ send: { commit: (message) => ({ message, delayMs: ms(message.slot) }) } }));
  const slotsOf = (effects: readonly StageEffect[]): number[] =>
    inbox(effects, 1).map(({ message }) => ("slot" in message ? message.slot : -1));
  const timersOf = (effects: readonly StageEffect[]): [string, number][] =>
    effects.flatMap((effect): [string, number][] => (effect.type === "set-timer" ? [[effect.timer, effect.ms]] : []));

  it("keep the order of equal delays and go by due time otherwise", () => {
    const stage = late((n) => (n === 2 ? 10 : 50));
    const commits = [1, 2, 3].map((n) => stage.vote("commit", { n }));
    const effects = stage.says(...commits.map((commit) => send(commit, 1)));
    expect(slotsOf(effects)).toEqual([]);
    expect(timersOf(effects)).toEqual([["traitor:release", 10]]);
    const first = stage.at(10, "traitor:release");
    expect(slotsOf(first)).toEqual([2]);
    expect(inbox(first, 1)[0]).toBe(commits[1]);
    expect(timersOf(first)).toEqual([["traitor:release", 40]]);
    expect(slotsOf(stage.at(49, "traitor:release"))).toEqual([]);
    expect(slotsOf(stage.at(50, "traitor:release"))).toEqual([1, 3]);
    expect(stage.seenByCore).toHaveLength(1);
  });

  it("bring the timer forward for what is due earlier", () => {
    const stage = late((n) => 100 - n);
    expect(timersOf(stage.says(send(stage.vote("commit", { n: 1 }), 1)))).toEqual([["traitor:release", 99]]);
    expect(timersOf(stage.says(send(stage.vote("commit", { n: 1 }), 1)))).toEqual([]);
    expect(timersOf(stage.says(send(stage.vote("commit", { n: 5 }), 1)))).toEqual([["traitor:release", 95]]);
  });

  it("add up over behaviours", () => {
    const slow = traitor("slow", () => ({ send: { "*": (message) => ({ message, delayMs: 7 }) } }));
    const stage = new Stage([slow, slow]);
    expect(timersOf(stage.says(send(stage.vote("commit"), 1)))).toEqual([["traitor:release", 14]]);
  });

  it("leave the core's own timers alone", () => {
    const stage = late(() => 5);
    stage.says(send(stage.vote("commit"), 1));
    expect(slotsOf(stage.at(5, "view"))).toEqual([]);
    expect(stage.seenByCore).toHaveLength(2);
  });
});

describe("replies", () => {
  it("go through the hook with the client's number, and stay the traitor's own", () => {
    const clients: number[] = [];
    const stage = stageOf(() => ({
      send: {
        reply: (m, toClient) => {
          clients.push(toClient);
          return { ...m, view: view(5) };
        },
      },
    }));
    const effects = stage.says({ type: "reply", to: clientId(2), message: stage.reply(1) });
    expect(clients).toEqual([2]);
    expect(treasons(effects)).toEqual(["test: changed reply to client-2"]);
    const [lie] = repliesIn(effects);
    const opened = stage.open(lie as Signed<unknown>);
    expect(opened.ok && opened.message.message).toMatchObject({ kind: "reply", sender: 0, view: 5 });
  });

  it("may be dropped, doubled and late", () => {
    const outcomes = ["drop", "double", "late"];
    const stage = stageOf(() => ({
      send: {
        reply: (m) => {
          const outcome = outcomes.shift();
          return outcome === "drop" ? "drop" : outcome === "double" ? [m, m] : { message: m, delayMs: 9 };
        },
      },
    }));
    const effect: StageEffect = { type: "reply", to: clientId(1), message: stage.reply(1) };
    expect(repliesIn(stage.says(effect))).toEqual([]);
    expect(repliesIn(stage.says(effect))).toHaveLength(2);
    expect(repliesIn(stage.says(effect))).toEqual([]);
    expect(repliesIn(stage.at(9, "traitor:release"))).toEqual([effect.message]);
  });
});

describe("a hook that answers what no hook may", () => {
  it.each([
    ["a word that means nothing", "dorp"],
    ["a number", 5],
    ["null", null],
    ["an object that is no message", {}],
    ["a delay that no timer can express", { message: { kind: "commit" }, delayMs: -1 }],
    ["a message that the wire cannot carry", { kind: "commit", view: -1, slot: 1, digest: digestA }],
    ["a kind that does not exist", { kind: "comit" }],
  ])("ends in one line that names it: %s", (_, outcome) => {
    const stage = stageOf(() => ({ send: { commit: () => outcome as "drop" } }));
    const lie = (): unknown => stage.says(send(stage.vote("commit"), 1));
    expect(lie).toThrow(LabError);
    expect(lie).toThrow(/^[^\n]*com+it[^\n]*$/);
  });

  it("ends so for a client that is sent no reply", () => {
    const stage = stageOf(() => ({ send: { reply: () => ({ kind: "commit", view: view(0), slot: slot(1), digest: digestA }) as never } }));
    expect(() => stage.says({ type: "reply", to: clientId(1), message: stage.reply(1) })).toThrow(/replies only/);
  });
});

it("gives each node's behaviour its own chance, the same for the same seed", () => {
  const draws = (options: StageOptions): number[] => {
    const drawn: number[] = [];
    stageOf((self) => {
      drawn.push(self.random.next(1000), self.random.next(1000), self.n, self.f, self.id);
      return {};
    }, options);
    return drawn;
  };
  expect(draws({ seed: 1, id: 2, n: 7 })).toEqual(draws({ seed: 1, id: 2, n: 7 }));
  expect(draws({ seed: 1 }).slice(0, 2)).not.toEqual(draws({ seed: 2 }).slice(0, 2));
  expect(draws({ id: 2, n: 7 }).slice(2)).toEqual([7, 2, replicaId(2)]);
});
