import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { firstOpenClient } from "../../src/core/ids.ts";
import { nativeScheme } from "../../src/crypto/native.ts";
import { Handshake, type HandshakeOptions, type HandshakeStep, proofBytes } from "../../src/transport/handshake.ts";
import { clientPeer, type Peer, peerName, replicaPeer } from "../../src/transport/peer.ts";
import { decode, encode } from "../../src/wire/msgpack.ts";
import type { Plain } from "../../src/wire/schema.ts";
import { nodes, otherNodes } from "./support.ts";

const keys = new Map([
  ...nodes.replicaKeys.map((key, id) => [peerName(replicaPeer(id)), key] as const),
  ...nodes.clientKeys.map((key, index) => [peerName(clientPeer(index + 1)), key] as const),
]);

function side(which: "dialer" | "acceptor", self: Peer, nonce: number, more: Partial<HandshakeOptions> = {}): Handshake {
  const secret = self.role === "replica" ? nodes.replicaSecrets[self.id] : nodes.clientSecrets[self.id - 1];
  return new Handshake({
    side: which,
    self,
    cluster: nodes.cluster.id,
    secret: secret as Uint8Array,
    scheme: nativeScheme,
    nonce: new Uint8Array(32).fill(nonce),
    keyOf: (peer) => keys.get(peerName(peer)),
    refuse: () => undefined,
    ...more,
  });
}

const dialer = (more: Partial<HandshakeOptions> = {}, self: Peer = replicaPeer(0)) => side("dialer", self, 1, more);
const acceptor = (more: Partial<HandshakeOptions> = {}) => side("acceptor", replicaPeer(1), 2, more);

/** Carries messages until one side opens or fails; what each step led to. `meddle` may change what is carried. */
function talk(from: Handshake, to: Handshake, meddle: (message: Uint8Array, index: number) => Uint8Array = (message) => message) {
  const steps: HandshakeStep[] = [];
  let message: Uint8Array | undefined = from.hello();
  for (let index = 0; message !== undefined && index < 4; index++) {
    const step: HandshakeStep = (index % 2 === 0 ? to : from).receive(meddle(message, index));
    steps.push(step);
    message = step.type === "failed" ? undefined : step.send;
  }
  return steps;
}

const last = (steps: readonly HandshakeStep[]): HandshakeStep | undefined => steps.at(-1);
const fieldsOf = (message: Uint8Array): Plain[] => {
  const decoded = decode(message);
  return decoded.ok ? [...(decoded.value as Plain[])] : [];
};

describe("the handshake", () => {
  it("opens on both sides, and each knows who the other is", () => {
    const steps = talk(dialer(), acceptor());
    expect(steps.map(({ type }) => type)).toEqual(["continue", "continue", "open", "open"]);
    expect(steps[2]).toMatchObject({ peer: replicaPeer(0) });
    expect(steps[3]).toMatchObject({ peer: replicaPeer(1) });
  });

  it("rule 88: has one form: open clients show their key, and nobody else does", () => {
    const secret = new Uint8Array(32).fill(77);
    const key = nativeScheme.publicKeyOf(secret);
    const shown: (Uint8Array | undefined)[] = [];
    const open = clientPeer(firstOpenClient + 5);
    const anybody = {
      keyOf: (_: Peer, was: Uint8Array | undefined) => {
        shown.push(was);
        return was ?? nodes.replicaKeys[0];
      },
    };
    expect(last(talk(dialer({ secret }, open), acceptor(anybody)))).toMatchObject({ type: "open" });
    expect(shown).toEqual([key]);
    const meddled = (change: (fields: Plain[]) => Plain[]) => (message: Uint8Array, index: number) =>
      index === 0 ? encode(change(fieldsOf(message))) : message;
    const malformed = { type: "failed", code: "malformed" };
    expect(
      talk(
        dialer({ secret }, open),
        acceptor(anybody),
        meddled((fields) => fields.slice(0, -1)),
      ),
    ).toEqual([malformed]);
    expect(
      talk(
        dialer({ secret }, open),
        acceptor(anybody),
        meddled((fields) => [...fields.slice(0, -1), key.slice(1)]),
      ),
    ).toEqual([malformed]);
    expect(
      talk(
        dialer(),
        acceptor(anybody),
        meddled((fields) => [...fields, key]),
      ),
    ).toEqual([malformed]);
  });

  it("tells a client from the replica of the same number", () => {
    expect(talk(dialer({}, clientPeer(1)), acceptor())[2]).toMatchObject({ type: "open", peer: clientPeer(1) });
    const posing = dialer({ self: clientPeer(2), secret: nodes.replicaSecrets[2] as Uint8Array });
    expect(last(talk(posing, acceptor()))).toMatchObject({ type: "failed", code: "bad-signature" });
  });

  it("makes the acceptor sign nothing for who has not proven itself", () => {
    let signatures = 0;
    const counting = {
      ...nativeScheme,
      sign: (secret: Uint8Array, bytes: Uint8Array) => {
        signatures += 1;
        return nativeScheme.sign(secret, bytes);
      },
    };
    talk(dialer({ secret: otherNodes.replicaSecrets[0] as Uint8Array }), acceptor({ scheme: counting }));
    expect(signatures).toBe(0);
    talk(dialer(), acceptor({ scheme: counting }));
    expect(signatures).toBe(1);
  });

  const replacements: readonly (readonly [string, number, Plain, string])[] = [
    ["another version", 1, 2, "wrong-version"],
    ["another cluster", 2, new Uint8Array(32), "wrong-cluster"],
    ["a role that is none", 3, 2, "malformed"],
    ["an unknown id", 4, 99, "unknown-sender"],
    ["an id that is no number", 4, "0", "malformed"],
    ["a nonce that is too short", 5, new Uint8Array(31), "malformed"],
  ];
  it.each(replacements)("refuses a hello with %s", (_, field, value, code) => {
    for (const index of [0, 1]) {
      const steps = talk(dialer(), acceptor(), (message, at) => {
        if (at !== index) return message;
        const fields = fieldsOf(message);
        fields[field] = value;
        return encode(fields);
      });
      expect(last(steps)).toEqual({ type: "failed", code });
    }
  });

  it("binds the proof to ids, roles, nonces, cluster and direction: no change to either hello or proof goes unnoticed", () => {
    for (const [index, field, value] of [
      [0, 4, 3],
      [0, 3, 1],
      [0, 5, new Uint8Array(32).fill(9)],
      [1, 4, 3],
      [1, 5, new Uint8Array(32).fill(9)],
      [2, 1, new Uint8Array(64)],
      [3, 1, new Uint8Array(64)],
    ] as const) {
      const steps = talk(dialer({}, replicaPeer(2)), acceptor(), (message, at) => {
        if (at !== index) return message;
        const fields = fieldsOf(message);
        fields[field] = value;
        return encode(fields);
      });
      expect([index, field, last(steps)]).toEqual([index, field, { type: "failed", code: "bad-signature" }]);
    }
  });

  it("signs other bytes when any id, role, nonce, the cluster or the direction differs", () => {
    const nonce = (byte: number): Uint8Array => new Uint8Array(32).fill(byte);
    const base = {
      cluster: nodes.cluster.id,
      side: "dialer",
      dialer: { peer: clientPeer(2), nonce: nonce(1) },
      acceptor: { peer: replicaPeer(1), nonce: nonce(2) },
    } as const;
    const variants: readonly Parameters<typeof proofBytes>[0][] = [
      base,
      { ...base, side: "acceptor" },
      { ...base, cluster: otherNodes.cluster.id },
      { ...base, dialer: base.acceptor, acceptor: base.dialer },
      { ...base, dialer: { ...base.dialer, peer: clientPeer(3) } },
      { ...base, dialer: { ...base.dialer, peer: replicaPeer(2) } },
      { ...base, dialer: { ...base.dialer, nonce: nonce(3) } },
      { ...base, acceptor: { ...base.acceptor, peer: replicaPeer(3) } },
      { ...base, acceptor: { ...base.acceptor, peer: clientPeer(1) } },
      { ...base, acceptor: { ...base.acceptor, nonce: nonce(3) } },
    ];
    expect(new Set(variants.map((variant) => Buffer.from(proofBytes(variant)).toString("hex"))).size).toBe(variants.length);
  });

  it("decodes nothing that is longer than a handshake message", () => {
    const fields = fieldsOf(dialer().hello());
    fields[5] = new Uint8Array(300);
    expect(acceptor().receive(encode(fields))).toEqual({ type: "failed", code: "early-frame" });
  });

  it("does not take a proof that was given to another nonce, nor its own reflected", () => {
    const recorded: Uint8Array[] = [];
    talk(dialer(), acceptor(), (message) => {
      recorded.push(message);
      return message;
    });
    const later = acceptor({ nonce: new Uint8Array(32).fill(3) });
    later.receive(recorded[0] as Uint8Array);
    expect(later.receive(recorded[2] as Uint8Array)).toEqual({ type: "failed", code: "bad-signature" });

    const mirrored = dialer();
    mirrored.hello();
    const proof = mirrored.receive(recorded[1] as Uint8Array);
    expect(proof.type).toBe("continue");
    expect(mirrored.receive((proof as { send: Uint8Array }).send)).toEqual({ type: "failed", code: "bad-signature" });
  });

  it("signs under a domain of its own, with the cluster before it", () => {
    const signed: Uint8Array[] = [];
    const spying = {
      ...nativeScheme,
      sign: (secret: Uint8Array, bytes: Uint8Array) => {
        signed.push(bytes);
        return nativeScheme.sign(secret, bytes);
      },
    };
    talk(dialer({ scheme: spying }), acceptor());
    const text = Buffer.from(signed[0] as Uint8Array).toString("latin1");
    expect(text.startsWith("quorate/v1\0")).toBe(true);
    expect(text.slice(43).startsWith("\0handshake\0")).toBe(true);
  });

  it("asks whether the peer may have a link before it verifies anything", () => {
    const never = { ...nativeScheme, verify: () => expect.unreachable("nothing is to be verified") };
    expect(last(talk(dialer(), acceptor({ scheme: never, refuse: () => "penalised" })))).toEqual({ type: "failed", code: "penalised" });
  });

  it("answers any bytes with a refusal, and never throws", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), fc.boolean(), (bytes, afterHello) => {
        const fresh = acceptor();
        if (afterHello) fresh.receive(dialer().hello());
        expect(fresh.receive(bytes).type).toBe("failed");
      }),
    );
  });

  it("refuses every truncation of a valid message, and any message with bytes behind", () => {
    const hello = dialer().hello();
    for (let length = 0; length < hello.length; length++) expect(acceptor().receive(hello.subarray(0, length)).type).toBe("failed");
    expect(acceptor().receive(Uint8Array.of(...hello, 0))).toEqual({ type: "failed", code: "early-frame" });
    expect(acceptor().receive(hello).type).toBe("continue");
  });
});
