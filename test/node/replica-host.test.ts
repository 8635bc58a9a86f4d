/** The host between real frames and a core that only writes down what reaches it. */
import { describe, expect, it } from "vitest";
import type { Core, Effect, Input } from "../../src/core/contract.ts";
import { clientId, digestOf, replicaId, requestNumber, slot, view } from "../../src/core/ids.ts";
import type { AnyMessage, Verified } from "../../src/core/message.ts";
import { nativeScheme } from "../../src/crypto/native.ts";
import type { HostLimits } from "../../src/node/limits.ts";
import { ReplicaHost } from "../../src/node/replica-host.ts";
import type { PbftMessage } from "../../src/protocols/pbft/messages.ts";
import { MemoryStorage } from "../../src/storage/memory.ts";
import { clientPeer, type Peer, peerName, replicaPeer } from "../../src/transport/peer.ts";
import { encodeFrame } from "../../src/wire/frame.ts";
import { testCluster } from "../support/keys.ts";
import { clientSeal, openerOf, replicaSeal } from "../support/wire.ts";

type TestEffect = Effect<PbftMessage, string>;
type TestInput = Input<PbftMessage, string>;

const nodes = testCluster(4, { clients: 2, scheme: nativeScheme });
const others = testCluster(4, { clients: 2, seed: 9, scheme: nativeScheme });
const digest = digestOf("ab".repeat(32));
const operation = Uint8Array.of(1);

const request = (client: number, of = nodes) => clientSeal(of, client)({ kind: "request", number: requestNumber(1), operation });
const prepare = (sender: number) => replicaSeal(nodes, sender)({ kind: "prepare", view: view(0), slot: slot(1), digest });
const reply = (sender: number) => replicaSeal(nodes, sender)({ kind: "reply", view: view(0), client: clientId(1), results: [] });

/** A host of replica 1. `react` is what its core answers. */
function hostWith(
  react: (input: TestInput) => readonly TestEffect[] = () => [],
  wanted: Core<PbftMessage, string>["wants"] = () => true,
  limits: Partial<HostLimits> = {},
) {
  const time = { now: 7 };
  const verified: string[] = [];
  const inputs: TestInput[] = [];
  const told: string[] = [];
  const core: Core<PbftMessage, string> = {
    step: (input) => {
      inputs.push(input);
      return react(input);
    },
    wants: wanted,
    inspect: () => ({ view: 0, active: true, stable: 0, executed: 0, halted: false }),
    assertInvariants: () => undefined,
  };
  const storage = new MemoryStorage<string>();
  const host = new ReplicaHost<PbftMessage, string>({
    self: replicaId(1),
    core,
    opener: openerOf(nodes, {
      verify: (key, bytes, signature) => {
        verified.push("once");
        return nativeScheme.verify(key, bytes, signature);
      },
    }),
    storage,
    clock: { now: () => time.now, wall: () => ({ earliest: 1, latest: 2 }) },
    watcher: {
      sent: (_, to, { message }) => told.push(`sent ${message.kind} to ${to}`),
      received: (from, _, { message }) => told.push(`received ${message.kind} from ${from}`),
      did: (effect) =>
        told.push(effect.type === "reject" ? `rejected ${effect.rejection.code} from ${effect.rejection.from}` : effect.type),
      persisted: (records, ms) => told.push(`persisted ${records} in ${ms} ms`),
    },
    limits,
  });
  const transport = {
    send: (to: number, frame: Uint8Array, priority?: string) => told.push(`${priority} frame of ${frame.length} to replica ${to}`),
    sendToClient: (to: number, frame: Uint8Array) => told.push(`frame of ${frame.length} to client ${to}`),
    penalise: (peer: Peer, reason: string) => told.push(`penalised ${peerName(peer)}: ${reason}`),
  };
  const begin = () => {
    host.start(transport);
    inputs.length = 0;
    told.length = 0;
  };
  return { host, transport, storage, inputs, told, begin, time, verified };
}

/** What became of one frame on the link of `peer`. */
function heard(peer: Peer, frame: Uint8Array, wanted?: Core<PbftMessage, string>["wants"]) {
  const { host, inputs, told, begin } = hostWith(undefined, wanted);
  begin();
  host.receive(peer, frame);
  return { inputs: inputs.map(({ type }) => type), told };
}

const frameOf = (signed: Verified<AnyMessage>): Uint8Array => encodeFrame(signed);

describe("who may send what (rule 91)", () => {
  const allowed: readonly (readonly [string, Peer, Verified<AnyMessage>, TestInput["type"]])[] = [
    ["a client its own request", clientPeer(1), request(1), "request"],
    ["a replica a client's request", replicaPeer(2), request(1), "request"],
    ["a replica its own vote", replicaPeer(2), prepare(2), "receive"],
    ["a replica another's vote, which proves itself", replicaPeer(2), prepare(3), "receive"],
  ];
  it.each(allowed)("%s", (_, peer, message, type) => {
    const { inputs, told } = heard(peer, frameOf(message));
    expect(inputs).toEqual([type]);
    expect(told).toEqual([`received ${message.message.kind} from ${peerName(peer)}`]);
  });

  const mismatched: readonly (readonly [string, Peer, Verified<AnyMessage>])[] = [
    ["a client another's request", clientPeer(2), request(1)],
    ["a client a replica's vote", clientPeer(1), prepare(2)],
    ["a client a reply", clientPeer(1), reply(2)],
    ["a replica a reply", replicaPeer(2), reply(2)],
  ];
  it.each(mismatched)("not %s", (_, peer, message) => {
    const { inputs, told } = heard(peer, frameOf(message));
    expect(inputs).toEqual([]);
    expect(told.at(-1)).toBe(`rejected peer-mismatch from ${peerName(peer)}`);
  });
});

describe("frames that are no message", () => {
  const whole = frameOf(request(1));
  const flipped = Uint8Array.from(whole);
  flipped[flipped.length - 1] = (flipped.at(-1) ?? 0) ^ 1;

  it.each([
    ["nothing", new Uint8Array(0), "malformed"],
    ["half a frame", whole.subarray(0, whole.length / 2), "malformed"],
    ["a frame and more", Uint8Array.of(...whole, 0), "malformed"],
    ["a request of another cluster", frameOf(request(1, others)), "wrong-cluster"],
  ])("are rejected and no reason to cut off who delivered them: %s", (_, frame, code) => {
    expect(heard(clientPeer(1), frame)).toEqual({ inputs: [], told: [`rejected ${code} from client-1`] });
  });

  it("cost the peer its link when a signature in them is bad", () => {
    expect(heard(clientPeer(1), flipped)).toEqual({
      inputs: [],
      told: ["rejected bad-signature from client-1", "penalised client-1: bad-signature"],
    });
  });

  it("are not verified when the core wants nothing of the kind", () => {
    const { inputs, told } = heard(clientPeer(1), flipped, ({ kind }) => kind !== "request");
    expect({ inputs, told }).toEqual({ inputs: [], told: ["rejected duplicate from client-1"] });
  });
});

describe("a peer that delivers invalid signatures, where nobody is cut off (rule 90, A83)", () => {
  const good = (number: number) => clientSeal(nodes, 1)({ kind: "request", number: requestNumber(number), operation });
  const bad = (number: number): Uint8Array => {
    const frame = frameOf(good(number));
    frame[frame.length - 1] = (frame.at(-1) ?? 0) ^ 1;
    return frame;
  };
  const limits = { badSignatures: 3, badSignaturesPerSecond: 10 };

  it("costs `badSignatures` verifications at once, and then `badSignaturesPerSecond`; nothing else of it is verified", () => {
    const { host, told, begin, time, verified } = hostWith(undefined, undefined, limits);
    begin();
    for (let number = 1; number <= 10; number++) host.receive(clientPeer(1), bad(number));
    expect(verified).toHaveLength(3);
    expect(told.filter((line) => line === "rejected verify-budget from client-1")).toHaveLength(7);
    expect(told.filter((line) => line.startsWith("penalised"))).toHaveLength(3);
    host.receive(clientPeer(1), frameOf(good(11)));
    expect(told.at(-1)).toBe("rejected verify-budget from client-1");
    time.now += 100;
    for (let number = 1; number <= 10; number++) host.receive(clientPeer(1), bad(number));
    expect(verified).toHaveLength(4);
    time.now += 100;
    host.receive(clientPeer(1), frameOf(good(12)));
    host.receive(clientPeer(1), frameOf(good(13)));
    expect(told.slice(-2)).toEqual(["received request from client-1", "received request from client-1"]);
  });

  it("costs nobody else anything", () => {
    const { host, told, inputs, begin } = hostWith(undefined, undefined, limits);
    begin();
    for (let number = 1; number <= 10; number++) host.receive(clientPeer(1), bad(number));
    host.receive(replicaPeer(2), frameOf(good(11)));
    expect(told.at(-1)).toBe("received request from replica-2");
    expect(inputs).toHaveLength(1);
  });

  it("is still told what is cheap to find out", () => {
    const { host, told, begin } = hostWith(undefined, ({ kind }) => kind !== "prepare", limits);
    begin();
    for (let number = 1; number <= 10; number++) host.receive(replicaPeer(2), bad(number));
    host.receive(replicaPeer(2), new Uint8Array(0));
    host.receive(replicaPeer(2), frameOf(prepare(2)));
    expect(told.slice(-2)).toEqual(["rejected malformed from replica-2", "rejected duplicate from replica-2"]);
  });

  it("is forgotten behind `remembered` others", () => {
    const { host, verified, begin } = hostWith(undefined, undefined, { ...limits, remembered: 1 });
    begin();
    for (let number = 1; number <= 10; number++) host.receive(clientPeer(1), bad(number));
    host.receive(clientPeer(2), bad(11));
    expect(verified).toHaveLength(4);
    for (let number = 1; number <= 10; number++) host.receive(clientPeer(1), bad(number));
    expect(verified).toHaveLength(7);
  });
});

describe("the life of a host", () => {
  it("starts its core with what the storage holds, and with nothing when it holds nothing", () => {
    const { host, storage, inputs, transport } = hostWith();
    host.start(transport);
    storage.append(["vote"], () => undefined);
    host.start(transport);
    expect(inputs).toEqual([
      { type: "start", now: 7 },
      { type: "start", now: 7, recovered: ["vote"] },
    ]);
  });

  it("hears nothing before it starts and after it stops", () => {
    const { host, inputs, told, begin } = hostWith();
    host.receive(clientPeer(1), frameOf(request(1)));
    begin();
    host.stop();
    host.receive(clientPeer(1), frameOf(request(1)));
    host.linkUp(replicaPeer(2));
    expect({ inputs, told }).toEqual({ inputs: [], told: [] });
  });

  it("tells its core of links to replicas, not of those to clients", () => {
    const { host, inputs, begin } = hostWith();
    begin();
    host.linkUp(clientPeer(1));
    host.linkUp(replicaPeer(3));
    expect(inputs).toEqual([{ type: "link-up", now: 7, peer: 3 }]);
  });
});

describe("what a core asks for", () => {
  it("is carried out in its order: one frame for all receivers, clients' traffic behind consensus", () => {
    const [vote, relayed, answer] = [prepare(1), request(1), reply(1)];
    const { host, told, storage, begin } = hostWith((input) =>
      input.type !== "link-up"
        ? []
        : [
            { type: "persist", records: ["vote"] },
            { type: "send", to: [replicaId(0), replicaId(2)], message: vote },
            { type: "send", to: [replicaId(0)], message: relayed },
            { type: "reply", to: clientId(2), message: answer },
          ],
    );
    begin();
    host.linkUp(replicaPeer(0));
    expect(storage.recover()).toEqual(["vote"]);
    expect(told).toEqual([
      "persisted 1 in 0 ms",
      "send",
      "sent prepare to replica-0",
      `consensus frame of ${frameOf(vote).length} to replica 0`,
      "sent prepare to replica-2",
      `consensus frame of ${frameOf(vote).length} to replica 2`,
      "send",
      "sent request to replica-0",
      `client frame of ${frameOf(relayed).length} to replica 0`,
      "reply",
      "sent reply to client-2",
      `frame of ${frameOf(answer).length} to client 2`,
    ]);
  });

  it("comes back as a timeout when it was a timer, unless it was cancelled", async () => {
    const { host, inputs, begin } = hostWith((input) =>
      input.type === "link-up"
        ? [
            { type: "set-timer", timer: "view", ms: 1 },
            { type: "set-timer", timer: "status", ms: 1 },
            { type: "cancel-timer", timer: "status" },
          ]
        : [],
    );
    begin();
    host.linkUp(replicaPeer(0));
    await expect.poll(() => inputs.length).toBe(2);
    expect(inputs[1]).toEqual({ type: "timeout", now: 7, wall: { earliest: 1, latest: 2 }, timer: "view" });
  });
});
