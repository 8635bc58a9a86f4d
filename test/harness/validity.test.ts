import { describe, expect, it } from "vitest";
import type { RecordOf } from "../../src/harness/trace.ts";
import { digestOf, goodRun, requestDigest, trace } from "./support.ts";

const clients = [{ name: "client-1" as const }, { name: "client-2" as const, traitor: true }];

/** Client 2 lies: it signed what its `request` records say. */
const withLiar = () => trace({ clients }).add("client-2", "treason", { behaviour: "own", what: "signed two operations" });

const signed = (digest: string) => ({ client: 2, request: 1, digest, frame: "00" });

describe("validity", () => {
  it("holds when every decided request was invoked as it was decided", () => {
    expect(goodRun().judge().properties.validity).toMatchObject({ verdict: "holds", evidence: { decisions: 8, requests: 8 } });
  });

  it("is violated by an invented request", () => {
    const { verdict, counterexample } = goodRun()
      .does(0, 3, [[1, 2]])
      .judge().properties.validity;
    expect(verdict).toBe("violated");
    expect(counterexample).toMatchObject({ nodes: ["replica-0"], slot: 3 });
    expect(counterexample?.what).toBe("replica-0 decided request 2 of client-1 at slot 3, which that client never invoked");
  });

  it("is violated by an altered request", () => {
    const builder = trace()
      .add("client-1", "invoke", { client: 1, request: 1, digest: digestOf("mine"), op: "00" })
      .does(0, 1, [[1, 1]]);
    expect(builder.judge().properties.validity.counterexample?.what).toMatch(/with digest .*, but that client invoked it with/);
  });

  it("accepts of a traitor client what it signed, whichever of its two operations", () => {
    const builder = withLiar()
      .add("client-2", "request", signed(digestOf("one")))
      .add("client-2", "request", signed(requestDigest([2, 1])));
    expect(builder.does(0, 1, [[2, 1]]).judge().properties.validity.verdict).toBe("holds");
  });

  it("is violated by a request that a traitor client never signed", () => {
    const builder = withLiar()
      .add("client-2", "request", signed(digestOf("one")))
      .does(0, 1, [[2, 1]]);
    expect(builder.judge().properties.validity.counterexample?.what).toMatch(/which that client never signed/);
  });

  it("is violated when the frame of a traitor client does not verify", () => {
    const builder = withLiar()
      .add("client-2", "request", signed(requestDigest([2, 1])))
      .does(0, 1, [[2, 1]])
      .does(1, 1, [[2, 1]]);
    const asked: RecordOf<"request">[] = [];
    const verifyRequest = (record: RecordOf<"request">) => {
      asked.push(record);
      return false;
    };
    expect(builder.judge({ verifyRequest }).properties.validity.counterexample?.what).toMatch(/whose signature does not verify/);
    expect(asked).toHaveLength(1);
    expect(builder.judge({ verifyRequest: () => true }).properties.validity.verdict).toBe("holds");
  });

  it("is inconclusive when only null requests were decided", () => {
    expect(trace().decide(0, 1, []).judge().properties.validity).toMatchObject({
      verdict: "inconclusive",
      because: "there was no decided request to judge",
    });
  });
});
