import { describe, expect, it } from "vitest";
import { type ClientCore, type ClientEffect, type ClientSetup, createClientCore } from "../../src/client/client-core.ts";
import { clientId, type RequestNumber, replicaId, requestNumber, view } from "../../src/core/ids.ts";
import type { Reply, Signed, Unsealed } from "../../src/core/message.ts";
import { nobleDigest } from "../../src/crypto/digest.ts";
import { symbolicScheme } from "../../src/crypto/symbolic.ts";
import { encodeFrame } from "../../src/wire/frame.ts";
import { type TestClusterOptions, testCluster } from "../support/keys.ts";
import { clientSeal, openerOf, replicaSeal } from "../support/wire.ts";

interface Stage {
  readonly client: ClientCore;
  readonly invoke: (now: number, text?: string) => readonly ClientEffect[];
  readonly timeout: (now: number, timer?: string) => readonly ClientEffect[];
  /** A reply of `replica`, really sealed; text is the result for each number. */
  readonly reply: (
    replica: number,
    results: Readonly<Record<number, string>>,
    options?: { view?: number; client?: number; now?: number },
  ) => readonly ClientEffect[];
  readonly opens: (signed: Signed<unknown>) => boolean;
}

const bytes = (text: string): Uint8Array => Uint8Array.from(text, (letter) => letter.charCodeAt(0));
const textOf = (value: Uint8Array): string => String.fromCharCode(...value);

function stage(options: TestClusterOptions & { n?: number; started?: boolean; setup?: Partial<ClientSetup> } = {}): Stage {
  const test = testCluster(options.n ?? 4, { clients: 2, scheme: symbolicScheme(), ...options });
  const seal = clientSeal(test, 1);
  const client = createClientCore({
    self: clientId(1),
    cluster: test.cluster,
    seal: (message) => seal(message),
    digest: nobleDigest,
    ...options.setup,
  });
  if (options.started !== false) client.step({ type: "start", now: 0 });
  return {
    client,
    invoke: (now, text = "op") => client.step({ type: "invoke", now, operation: bytes(text) }),
    timeout: (now, timer = "retry") => client.step({ type: "timeout", now, timer }),
    reply: (replica, results, { view: named = 0, client: to = 1, now = 1 } = {}) => {
      const unsealed: Unsealed<Reply> = {
        kind: "reply",
        view: view(named),
        client: clientId(to),
        results: Object.entries(results).map(([number, text]) => ({ number: requestNumber(Number(number)), result: bytes(text) })),
      };
      return client.step({ type: "receive", now, message: replicaSeal(test, replica)(unsealed) });
    },
    opens: (signed) => openerOf(test).open(encodeFrame(signed)).ok,
  };
}

const sends = (effects: readonly ClientEffect[]): { to: number[]; number: number }[] =>
  effects.flatMap((effect) => (effect.type === "send" ? [{ to: [...effect.to], number: effect.message.message.number }] : []));
const returns = (effects: readonly ClientEffect[]): [number, string][] =>
  effects.flatMap((effect): [number, string][] => (effect.type === "return" ? [[effect.number, textOf(effect.result)]] : []));
const suspects = (effects: readonly ClientEffect[]): [number, number][] =>
  effects.flatMap((effect): [number, number][] => (effect.type === "suspect" ? [[effect.replica, effect.number]] : []));
const codes = (effects: readonly ClientEffect[]): string[] =>
  effects.flatMap((effect) => (effect.type === "reject" ? [effect.rejection.code] : []));
const timers = (effects: readonly ClientEffect[]): (number | string)[] =>
  effects.flatMap((effect): (number | string)[] =>
    effect.type === "set-timer" ? [effect.ms] : effect.type === "cancel-timer" ? ["cancel"] : [],
  );
const numbers = (effects: readonly ClientEffect[]): RequestNumber[] =>
  effects.flatMap((effect) => (effect.type === "observe" ? [effect.event.request] : []));

describe("a client's requests", () => {
  it("go to the believed primary alone, sealed by the client (rule 57)", () => {
    const { invoke, opens } = stage();
    const effects = invoke(0);
    expect(sends(effects)).toEqual([{ to: [0], number: 1 }]);
    expect(effects.map((effect) => effect.type === "send" && opens(effect.message))).toContain(true);
  });

  it("are numbered from 1, or from where the client left off before a restart (rule 62, M34)", () => {
    expect(
      stage()
        .invoke(0)
        .map((effect) => effect.type),
    ).toEqual(["observe", "send", "set-timer"]);
    const { invoke } = stage({ setup: { firstNumber: 41 } });
    expect([...numbers(invoke(0)), ...numbers(invoke(0))]).toEqual([41, 42]);
  });

  it("are announced with the digest of their signed bytes", () => {
    const effects = stage().invoke(0, "x");
    const [announced, sent] = effects;
    if (announced?.type !== "observe" || sent?.type !== "send") throw new Error("expected observe, then send");
    expect(announced.event).toMatchObject({ event: "invoke", client: 1, request: 1, operation: bytes("x") });
    expect(announced.event.digest).toBe(nobleDigest("request", sent.message.payload));
  });

  it("wait for the start", () => {
    const { client, invoke } = stage({ started: false });
    expect(sends(invoke(0))).toEqual([]);
    expect(sends(client.step({ type: "start", now: 5 }))).toEqual([{ to: [0], number: 1 }]);
  });

  it("are refused without a number when the operation is over the limit", () => {
    const { invoke } = stage({ limits: { operationBytes: 2 } });
    const effects = invoke(0, "abc");
    expect(codes(effects)).toEqual(["operation-too-large"]);
    expect(sends(effects)).toEqual([]);
    expect(numbers(invoke(0, "ab"))).toEqual([1]);
  });

  it("stay below the oldest unresolved number + W, the rest queues (rule 59)", () => {
    const { client, invoke, reply } = stage({ limits: { clientWindow: 2 } });
    expect([1, 2, 3, 4].flatMap(() => sends(invoke(0)).map(({ number }) => number))).toEqual([1, 2]);
    expect(client.inspect()).toMatchObject({ inFlight: 2, queued: 2, nextNumber: 5 });
    reply(0, { 2: "b" });
    // 2 returns, but 1 is still open: 3 would reach beyond its window.
    expect(sends(reply(1, { 2: "b" }))).toEqual([]);
    reply(0, { 1: "a" });
    expect(sends(reply(1, { 1: "a" })).map(({ number }) => number)).toEqual([3, 4]);
  });

  it("are refused when more than `queuedInvocations` wait", () => {
    const { client, invoke } = stage({ started: false });
    let refused: string[] = [];
    while (refused.length === 0) refused = codes(invoke(0));
    expect(refused).toEqual(["client-full"]);
    expect(client.inspect().queued).toBe(65_536);
  });
});

describe("a client's retries", () => {
  it("broadcast identical bytes to all after `firstMs`, at doubled intervals up to `maxMs` (rules 57, 59, 54)", () => {
    const { invoke, timeout } = stage({ setup: { retry: { firstMs: 100, maxMs: 350 } } });
    const frames = new Set<string>();
    const note = (effects: readonly ClientEffect[]): void => {
      for (const effect of effects) if (effect.type === "send") frames.add(`${effect.message.payload}|${effect.message.signature}`);
    };
    const first = invoke(0);
    note(first);
    expect(timers(first)).toEqual([100]);
    const waits: (number | string)[] = [];
    for (let now = 100, round = 0; round < 5; round++) {
      const effects = timeout(now);
      expect(sends(effects)).toEqual([{ to: [0, 1, 2, 3], number: 1 }]);
      note(effects);
      waits.push(...timers(effects));
      now += Number(timers(effects)[0]);
    }
    expect(waits).toEqual([200, 350, 350, 350, 350]);
    expect(frames.size).toBe(1);
  });

  it("send only what is due", () => {
    const { invoke, timeout } = stage({ setup: { retry: { firstMs: 100, maxMs: 400 } } });
    invoke(0);
    expect(timers(invoke(60))).toEqual([]);
    const effects = timeout(100);
    expect(sends(effects).map(({ number }) => number)).toEqual([1]);
    expect(timers(effects)).toEqual([60]);
    expect(sends(timeout(160)).map(({ number }) => number)).toEqual([2]);
  });

  it("bring the timer forward for a new request while an old one waits longer", () => {
    const { invoke, timeout } = stage({ setup: { retry: { firstMs: 100, maxMs: 1000 } } });
    invoke(0);
    timeout(100);
    expect(timers(timeout(300))).toEqual([400]);
    expect(timers(invoke(310))).toEqual([100]);
  });

  it("end with the last result", () => {
    const { invoke, reply, timeout } = stage();
    invoke(0);
    invoke(0);
    reply(0, { 1: "a" });
    expect(timers(reply(1, { 1: "a" }))).toEqual([]);
    reply(0, { 2: "a" });
    expect(timers(reply(1, { 2: "a" }))).toEqual(["cancel"]);
    expect(timeout(500)).toEqual([]);
  });

  it("come a little later when chance is handed in, so that clients do not come back in step", () => {
    const draws = [0, 0.5, 0.999];
    const { invoke, timeout } = stage({ setup: { retry: { firstMs: 100, maxMs: 400 }, random: () => draws.shift() ?? 0 } });
    expect(timers(invoke(0))).toEqual([100]);
    expect(timers(timeout(100))).toEqual([250]);
    expect(timers(timeout(350))).toEqual([600]);
    expect(timers(timeout(950))).toEqual([400]);
  });

  it("go out at once to the believed primary when a link to it opens, and to nobody else", () => {
    const { client, invoke } = stage();
    const linkUp = (replica: number) => sends(client.step({ type: "link-up", now: 1, replica: replicaId(replica) }));
    expect(linkUp(0)).toEqual([]);
    invoke(0);
    invoke(0);
    expect(linkUp(1)).toEqual([]);
    expect(linkUp(0)).toEqual([
      { to: [0], number: 1 },
      { to: [0], number: 2 },
    ]);
  });

  it("do not start on somebody else's timer", () => {
    const { invoke, timeout } = stage();
    invoke(0);
    expect(timeout(10_000, "other")).toEqual([]);
  });

  it.each([
    { firstMs: 0, maxMs: 10 },
    { firstMs: 20, maxMs: 10 },
    { firstMs: 1, maxMs: 2 ** 31 },
    { firstMs: 1.5, maxMs: 10 },
  ])("refuse intervals that no timer can express: %o (M59)", (retry) => {
    expect(() => stage({ setup: { retry } })).toThrow(RangeError);
  });
});

describe("a client accepts a result", () => {
  it("on f+1 equal replies of distinct replicas, once (rule 58)", () => {
    const { invoke, reply } = stage();
    invoke(0);
    expect(returns(reply(2, { 1: "a" }))).toEqual([]);
    expect(returns(reply(3, { 1: "a" }))).toEqual([[1, "a"]]);
    expect(returns(reply(1, { 1: "a" }))).toEqual([]);
    expect(returns(reply(0, { 1: "a" }))).toEqual([]);
  });

  it("never on repeated replies of one replica (M31)", () => {
    const { invoke, reply } = stage();
    invoke(0);
    for (let copy = 0; copy < 3; copy++) expect(returns(reply(3, { 1: "lie" }))).toEqual([]);
    expect(codes(reply(3, { 1: "lie" }))).toEqual(["duplicate"]);
  });

  it("never on two different results (M31)", () => {
    const { invoke, reply } = stage();
    invoke(0);
    reply(3, { 1: "lie" });
    expect(returns(reply(0, { 1: "a" }))).toEqual([]);
    expect(returns(reply(1, { 1: "a" }))).toEqual([[1, "a"]]);
  });

  it("tells results apart by every byte and their length", () => {
    const { invoke, reply } = stage();
    invoke(0);
    reply(3, { 1: "ab" });
    expect(returns(reply(0, { 1: "abc" }))).toEqual([]);
    expect(returns(reply(1, { 1: "ax" }))).toEqual([]);
    expect(returns(reply(2, { 1: "ab" }))).toEqual([[1, "ab"]]);
  });

  it("whatever views the replies name (rule 64)", () => {
    const { invoke, reply } = stage();
    invoke(0);
    reply(0, { 1: "a" }, { view: 0 });
    expect(returns(reply(1, { 1: "a" }, { view: 3 }))).toEqual([[1, "a"]]);
  });

  it("by the cluster's reply quorum, not by a number of its own", () => {
    const { invoke, reply } = stage({ n: 7, quorums: { reply: 4 } });
    invoke(0);
    expect([0, 1, 2].flatMap((id) => returns(reply(id, { 1: "a" })))).toEqual([]);
    expect(returns(reply(3, { 1: "a" }))).toEqual([[1, "a"]]);
  });

  it("for each number in a reply of many", () => {
    const { invoke, reply } = stage();
    invoke(0);
    invoke(0);
    reply(0, { 1: "a", 2: "b" });
    expect(returns(reply(1, { 2: "b", 1: "a" }))).toEqual([
      [1, "a"],
      [2, "b"],
    ]);
  });

  it("but not from replies to another client, to no request, or to one that is not sent yet", () => {
    const { invoke, reply } = stage({ limits: { clientWindow: 1 } });
    invoke(0);
    invoke(0);
    expect(codes(reply(0, { 1: "a" }, { client: 2 }))).toEqual(["unsolicited"]);
    expect(returns(reply(1, { 1: "a" }))).toEqual([]);
    for (const replica of [0, 1, 2]) {
      expect(codes(reply(replica, { 2: "a" }))).toEqual(["unsolicited"]);
      expect(codes(reply(replica, { 9: "a" }))).toEqual(["unsolicited"]);
    }
    expect(codes(reply(2, {}))).toEqual(["unsolicited"]);
  });
});

describe("a client names liars (A11)", () => {
  it("that contradict the result it accepts, before or after", () => {
    const { invoke, reply } = stage();
    invoke(0);
    reply(3, { 1: "lie" });
    reply(0, { 1: "a" });
    expect(suspects(reply(1, { 1: "a" }))).toEqual([[3, 1]]);
    expect(suspects(reply(2, { 1: "lie" }))).toEqual([[2, 1]]);
    expect(suspects(reply(2, { 1: "lie" }))).toEqual([]);
  });

  it("that contradict themselves, and counts their first word", () => {
    const { invoke, reply } = stage();
    invoke(0);
    reply(3, { 1: "lie" });
    expect(suspects(reply(3, { 1: "a" }))).toEqual([[3, 1]]);
    expect(returns(reply(0, { 1: "a" }))).toEqual([]);
  });

  it("and nobody else", () => {
    const { invoke, reply } = stage();
    invoke(0);
    expect([0, 1, 2, 3].flatMap((id) => suspects(reply(id, { 1: "a" })))).toEqual([]);
  });

  it("for a bounded number of past requests: `comparedResults`", () => {
    const { invoke, reply } = stage();
    for (let number = 1; number <= 200; number++) {
      invoke(0);
      reply(0, { [number]: "a" });
      reply(1, { [number]: "a" });
    }
    expect(codes(reply(2, { 1: "lie" }))).toEqual(["duplicate"]);
    expect(suspects(reply(2, { 200: "lie" }))).toEqual([[2, 200]]);
  });
});

describe("the primary that a client believes in", () => {
  const primaryAfter = (views: readonly number[], options: Parameters<typeof stage>[0] = {}): number | undefined => {
    const { invoke, reply } = stage(options);
    for (const [replica, named] of views.entries()) reply(replica, {}, { view: named });
    return sends(invoke(0))[0]?.to[0];
  };

  it("is that of view 0 at first", () => {
    expect(primaryAfter([])).toBe(0);
  });

  it("is never changed by one replica's word (rule 12, M32)", () => {
    expect(primaryAfter([3])).toBe(0);
    expect(primaryAfter([0, 0, 0, 2 ** 53 - 1])).toBe(0);
  });

  it("is that of the view which f+1 replicas named at least", () => {
    expect(primaryAfter([1, 1])).toBe(1);
    expect(primaryAfter([0, 2, 1])).toBe(1);
    expect(primaryAfter([5, 6, 0, 7], { n: 7 })).toBe(5);
  });

  it("is not counted twice for one replica, and a late reply of an old view moves nothing back", () => {
    const { invoke, reply } = stage();
    reply(3, {}, { view: 1 });
    reply(3, {}, { view: 2 });
    expect(sends(invoke(0))[0]?.to).toEqual([0]);
    reply(2, {}, { view: 2 });
    reply(2, {}, { view: 1 });
    expect(sends(invoke(0))[0]?.to).toEqual([replicaId(2)]);
  });

  it("is learned from late replies too", () => {
    const { invoke, reply } = stage();
    invoke(0);
    for (const replica of [0, 1, 2, 3]) reply(replica, { 1: "a" }, { view: 1 });
    expect(sends(invoke(0))[0]?.to).toEqual([1]);
  });
});
