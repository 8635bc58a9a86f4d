/** Who waits for whom: clients in turn, whatever one of them floods (rule 42, A68), and operations that break the service (rule 81, A35). */
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Service } from "../../src/core/contract.ts";
import { firstOpenClient, type RequestNumber } from "../../src/core/ids.ts";
import type { Request, Verified } from "../../src/core/message.ts";
import { createRandom } from "../../src/core/random.ts";
import { Line, type PendingRequest } from "../../src/protocols/pbft/line.ts";
import { PendingRequests } from "../../src/protocols/pbft/pending.ts";
import { Rig, type RigOptions, replies, sent } from "../support/rig.ts";

const flood = 16;

/** Client 1 asks for its whole window, then every other client for one thing. @returns in how manieth batch each was served */
function batchesUntilServed(options: RigOptions, texts: { readonly flood?: string; readonly other?: string } = {}): Map<number, number> {
  const rig = new Rig({ clients: 6, ...options, limits: { pipeline: 1, clientWindow: flood, ...options.limits } });
  for (let number = 1; number <= flood; number++) rig.ask(0, rig.request(1, number, texts.flood));
  for (let client = 2; client <= 6; client++) rig.ask(0, rig.request(client, 1, texts.other));
  rig.settle();
  const served = new Map<number, number>();
  for (const effect of rig.effects[0] ?? []) {
    if (effect.type !== "decide") continue;
    for (const { client } of effect.requests) if (!served.has(client)) served.set(client, effect.slot);
  }
  return served;
}

describe("a client that floods its window", () => {
  it("A68: delays clients with one request by one batch, also when batches are small", () => {
    // Slot 1 holds what came first, alone: it was proposed before the others asked.
    const served = batchesUntilServed({ limits: { batchRequests: 6 } });
    expect([2, 3, 4, 5, 6].map((client) => served.get(client))).toEqual([2, 2, 2, 2, 2]);
  });

  it("A68: is served last in turn when a batch has room for one request only: who was served does not begin again", () => {
    const served = batchesUntilServed({ limits: { batchRequests: 1 } });
    // After slot 1 client 1 is first in turn once more, for it alone was waiting; then all others.
    expect([2, 3, 4, 5, 6].map((client) => served.get(client))).toEqual([3, 4, 5, 6, 7]);
  });

  it("A68: keeps small operations out by large ones for one batch at most", () => {
    const limits = { batchBytes: 4_000, operationBytes: 2_900 };
    const served = batchesUntilServed({ limits }, { flood: "x".repeat(2_500), other: "y".repeat(20) });
    expect([2, 3, 4, 5, 6].map((client) => served.get(client))).toEqual([2, 2, 2, 2, 2]);
  });

  it("A68: does not starve large operations by small ones: what did not fit begins the next batch", () => {
    const rig = new Rig({ clients: 3, limits: { pipeline: 1, batchRequests: 2, batchBytes: 3_300, operationBytes: 3_000 } });
    for (let number = 1; number <= 3; number++) {
      rig.ask(0, rig.request(1, number, "x".repeat(500)));
      rig.ask(0, rig.request(2, number, "y".repeat(500)));
      rig.ask(0, rig.request(3, number, "z".repeat(3_000)));
    }
    rig.settle();
    const batches = rig.effects[0]?.flatMap((effect) => (effect.type === "decide" ? [effect.requests.map(({ client }) => client)] : []));
    // Passed over by one batch, and first in the next: turn and turn about.
    expect(batches).toEqual([[1], [2, 1], [3], [2, 1], [3], [2], [3]]);
  });

  it("A68: has its requests relayed in turn with those of others", () => {
    const rig = new Rig({ clients: 3 });
    rig.cut.add("2>0");
    for (let number = 1; number <= 4; number++) rig.ask(2, rig.request(1, number));
    rig.ask(2, rig.request(2, 1));
    rig.ask(2, rig.request(3, 1));
    rig.settle();
    rig.timeout(2, "status");
    const effects = rig.timeout(2, "status");
    const relayed = effects.flatMap((effect) =>
      effect.type === "send" && effect.message.message.kind === "request" ? [effect.message.message.sender as number] : [],
    );
    expect(relayed).toEqual([1, 2, 3, 1, 1, 1]);
  });
});

describe("many open clients", () => {
  it("A68: have one turn together, so registered clients keep theirs", () => {
    const rig = new Rig({ clients: 2, limits: { pipeline: 1, batchRequests: 6 } });
    rig.ask(0, rig.openClient(0).request(1));
    for (let key = 1; key <= 40; key++) rig.ask(0, rig.openClient(key).request(1));
    for (let number = 1; number <= 4; number++) for (const client of [1, 2]) rig.ask(0, rig.request(client, number));
    rig.settle();
    const [, second, third] =
      rig.effects[0]?.flatMap((effect) => (effect.type === "decide" ? [effect.requests.map(({ client }) => client as number)] : [])) ?? [];
    expect(second?.filter((client) => client < firstOpenClient)).toEqual([1, 2, 1, 2]);
    expect(third?.filter((client) => client < firstOpenClient)).toEqual([1, 2, 1, 2]);
  });

  it("A68: are served in turn among themselves", () => {
    const rig = new Rig({ limits: { pipeline: 1, batchRequests: 4 } });
    const [loud, quiet] = [rig.openClient(1), rig.openClient(2)];
    for (let number = 1; number <= flood; number++) rig.ask(0, loud.request(number));
    rig.ask(0, quiet.request(1));
    rig.settle();
    const decided = rig.effects[0]?.find((effect) => effect.type === "decide" && effect.slot === 2);
    expect(decided?.type === "decide" && decided.requests.map(({ client }) => client)).toContain(quiet.id);
  });

  it("A68: fill a share of the pending set that is theirs, of `openPending` requests", () => {
    const rig = new Rig();
    const results = Array.from({ length: 1_030 }, (_, key) => rig.ask(1, rig.openClient(key).request(1)));
    expect(rig.state(1)["pending"]).toBe(1_024);
    expect(results.slice(1_020).map((effects) => effects.some(({ type }) => type === "reject"))).toEqual([
      ...Array.from({ length: 4 }, () => false),
      ...Array.from({ length: 6 }, () => true),
    ]);
    expect(sent(rig.ask(1, rig.request(1, 1)), "pre-prepare")).toEqual([]);
    expect(rig.state(1)["pending"]).toBe(1_025);
  });
});

/** What the pending set promises, by looking at everything each time. */
class Model {
  readonly requests: { request: Verified<Request>; learnedAt: number; waiting: boolean }[] = [];
  readonly executedAt = new Map<string, number>();

  static share({ message }: Verified<Request>): string {
    return message.sender >= firstOpenClient ? "open" : `${message.sender}`;
  }

  oldestSince(since: number): number | undefined {
    const shares = new Map<string, number>();
    for (const { request, learnedAt } of this.requests) {
      const share = Model.share(request);
      if (!shares.has(share)) shares.set(share, Math.max(learnedAt, this.executedAt.get(share) ?? 0, since));
    }
    return shares.size === 0 ? undefined : Math.min(...shares.values());
  }

  remove(gone: (request: Request) => boolean): void {
    this.requests.splice(0, this.requests.length, ...this.requests.filter(({ request }) => !gone(request.message)));
  }
}

describe("the pending set", () => {
  const rig = new Rig({ clients: 3 });
  const open = [rig.openClient(1), rig.openClient(2)];
  const window = 4;
  const made = new Map<string, Verified<Request>>();
  const request = (client: number, number: number): Verified<Request> => {
    const key = `${client}/${number}`;
    const known = made.get(key) ?? (client <= 3 ? rig.request(client, number) : (open[client - 4]?.request(number) as Verified<Request>));
    made.set(key, known);
    return known;
  };
  const step = fc.record({
    what: fc.constantFrom("add", "add", "add", "executed", "no-op", "proposed", "take", "unpropose", "drop"),
    client: fc.integer({ min: 1, max: 5 }),
    number: fc.integer({ min: 1, max: 8 }),
    pause: fc.integer({ min: 0, max: 2 }),
  });

  it("is as one that looks at everything each time", () => {
    fc.assert(
      fc.property(fc.array(step, { minLength: 60, maxLength: 120 }), (steps) => {
        const pending = new PendingRequests(window);
        const model = new Model();
        const floors = new Map<number, number>();
        let now = 0;
        for (const { what, client, number, pause } of steps) {
          now += pause;
          const one = request(client, number);
          const { sender } = one.message;
          const same = (other: Request): boolean => other.sender === sender && other.number === number;
          const known = model.requests.find((entry) => same(entry.request.message));
          // What the table would refuse is never added (rule 60).
          if (what === "add" && number <= (floors.get(sender) ?? 0)) continue;
          if (what === "add") {
            const full = model.requests.filter((entry) => entry.request.message.sender === sender).length >= window;
            expect(pending.add(one, now)).toBe(known !== undefined || !full);
            if (!known && !full) model.requests.push({ request: one, learnedAt: now, waiting: true });
          } else if (what === "executed" || what === "no-op") {
            const floor = Math.max(floors.get(sender) ?? 0, number - window);
            floors.set(sender, floor);
            pending.executed(sender, number as RequestNumber, floor, what === "executed" ? now : undefined);
            if (what === "executed") model.executedAt.set(Model.share(one), now);
            model.remove((other) => other.sender === sender && (other.number === number || other.number <= floor));
          } else if (what === "proposed") {
            pending.markProposed(sender, number as RequestNumber);
            if (known) known.waiting = false;
          } else if (what === "take") {
            const taken = pending.take(number, () => true);
            const waiting = model.requests.filter((entry) => entry.waiting);
            expect(taken).toHaveLength(Math.min(number, waiting.length));
            for (const entry of waiting) if (taken.includes(entry.request)) entry.waiting = false;
          } else if (what === "unpropose") {
            pending.unpropose();
            for (const entry of model.requests) entry.waiting = true;
          } else {
            pending.drop((other) => other.number <= number);
            model.remove((other) => other.number <= number);
          }
          expect(pending.size).toBe(model.requests.length);
          expect(pending.has(sender, number as RequestNumber)).toBe(model.requests.some((entry) => same(entry.request.message)));
          expect(pending.oldestSince(0)).toBe(model.oldestSince(0));
          const waiting = model.requests.filter((entry) => entry.waiting).map((entry) => entry.request);
          expect(new Set(pending.waiting())).toEqual(new Set(waiting));
        }
      }),
      { numRuns: 300 },
    );
  });
});

describe("a line", () => {
  it("keeps its order through thousands who come and leave before their turn", () => {
    const line = new Line();
    const rig = new Rig();
    const random = createRandom(1);
    let model: PendingRequest[] = [];
    for (let arrival = 0; arrival < 3_000; arrival++) {
      const pending: PendingRequest = { request: rig.request(1, 1), learnedAt: arrival, waiting: false };
      line.join(pending);
      model.push(pending);
      while (model.length > random.next(40)) {
        const leaving = model[random.next(model.length)] as PendingRequest;
        line.leave(leaving);
        model = model.filter((other) => other !== leaving);
      }
      expect(line.length).toBe(model.length);
      expect(line.first).toBe(model[0]);
      expect(line.all()).toEqual(model);
    }
    line.clear();
    expect([line.length, line.first, line.all()]).toEqual([0, undefined, []]);
  });
});

describe("an operation that makes the service throw", () => {
  /** Counts what it executed, the failures too: it leaves what it left, the same everywhere. */
  function explosive(): Service {
    let executed = 0;
    return {
      execute: (operation) => {
        executed += 1;
        if (operation[0] === "!".charCodeAt(0)) throw new Error("boom");
        return Uint8Array.of(executed);
      },
      snapshot: () => Uint8Array.of(executed),
      restore: (bytes) => {
        executed = bytes[0] ?? 0;
      },
    };
  }

  it("rule 81, A35: becomes the empty result on every replica, which live on in one state", () => {
    const rig = new Rig({ service: explosive });
    for (const [number, text] of ["a", "!", "b", "!"].entries()) {
      rig.ask(0, rig.request(1, number + 1, text));
      rig.settle();
    }
    for (const effects of rig.effects) {
      expect(replies(effects).flatMap(({ results }) => results.map(({ result }) => [...result]))).toEqual([[1], [], [3], []]);
    }
    const checkpoints = rig.effects.map((effects) => sent(effects, "checkpoint").map(({ message }) => `${message.slot} ${message.digest}`));
    expect(checkpoints[0]).toHaveLength(1);
    expect(new Set(checkpoints.map(String)).size).toBe(1);
    expect(rig.cores.map((core) => core.inspect().stable)).toEqual([4, 4, 4, 4]);
  });

  it("rule 81, A35: takes effect once, so a repetition gets the same answer and the batch beside it its own", () => {
    const rig = new Rig({ service: explosive });
    const [poison, good] = [rig.request(1, 1, "!"), rig.request(2, 1, "good")];
    rig.receive(0, rig.proposal(0, 0, 1, [poison, good, poison]));
    rig.wire.push(
      ...[1, 2, 3].map((to) => ({ from: 0 as never, to: to as never, message: rig.proposal(0, 0, 1, [poison, good, poison]) })),
    );
    rig.settle();
    expect(rig.executed()).toEqual([1, 1, 1, 1]);
    const results = replies(rig.effects[1] ?? []).map(({ client, results: all }) => [client, all.map(({ result }) => [...result])]);
    expect(results).toEqual([
      [1, [[]]],
      [2, [[2]]],
    ]);
    expect(replies(rig.ask(1, poison)).map(({ results: all }) => all.map(({ result }) => [...result]))).toEqual([[[]]]);
  });
});
