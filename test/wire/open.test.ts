import { describe, expect, it, vi } from "vitest";
import type { Peek } from "../../src/core/contract.ts";
import { clientId, type Digest, requestNumber, slot, view } from "../../src/core/ids.ts";
import type { Signed } from "../../src/core/message.ts";
import { nobleDigest } from "../../src/crypto/digest.ts";
import { symbolicScheme } from "../../src/crypto/symbolic.ts";
import { encodeBatch } from "../../src/wire/batch.ts";
import { encodeFrame } from "../../src/wire/frame.ts";
import { encode } from "../../src/wire/msgpack.ts";
import { testCluster } from "../support/keys.ts";
import { clientSeal, codeOf, openerOf, replicaSeal, signedFrame } from "../support/wire.ts";

const scheme = symbolicScheme();
const test = testCluster(4, {
  scheme,
  clients: 2,
  limits: { operationBytes: 100, batchRequests: 3, batchBytes: 2000, frameBytes: 10_000 },
});
const digest = "ab".repeat(32) as Digest;
const seal = replicaSeal(test, 0);
const prepare = seal({ kind: "prepare", view: view(3), slot: slot(7), digest });
const request = clientSeal(test, 1)({ kind: "request", number: requestNumber(1), operation: Uint8Array.of(1, 2, 3) });
const batchBody = encodeBatch(1234, [request]);
const prePrepare = seal(
  { kind: "pre-prepare", view: view(0), slot: slot(1), digest: nobleDigest("batch", batchBody) },
  { bytes: batchBody },
);

const open = (signed: Signed<unknown>) => openerOf(test).open(encodeFrame(signed));
const flipped = (bytes: Uint8Array, at = bytes.length - 1): Uint8Array => bytes.with(at, (bytes[at] ?? 0) ^ 1);

describe("opening gives back", () => {
  it("what replicas and clients sealed", () => {
    const reply = seal({
      kind: "reply",
      view: view(1),
      client: clientId(1),
      results: [{ number: requestNumber(1), result: Uint8Array.of(9) }],
    });
    for (const sealed of [prepare, request, reply]) expect(open(sealed)).toEqual({ ok: true, message: sealed });
  });

  it("a pre-prepare with its batch opened, and without its body when it travels alone", () => {
    const batch = { valid: true, timestamp: 1234, requests: [request] };
    expect(open(prePrepare)).toEqual({ ok: true, message: { ...prePrepare, batch } });
    const { message, payload, signature } = prePrepare;
    expect(open({ message, payload, signature })).toEqual({ ok: true, message: { message, payload, signature } });
  });

  it("a snapshot with its body, bound by the digest of a checkpoint", () => {
    const bytes = Uint8Array.of(5, 6, 7);
    const snapshot = seal({ kind: "snapshot", slot: slot(64), digest: nobleDigest("checkpoint", bytes) }, { bytes });
    expect(open(snapshot)).toEqual({ ok: true, message: snapshot });
    const asBatch = seal({ kind: "snapshot", slot: slot(64), digest: nobleDigest("batch", bytes) }, { bytes });
    expect(codeOf(open(asBatch))).toBe("body-mismatch");
  });

  it("copies, so that the frame's bytes may be reused", () => {
    const frame = encodeFrame(prePrepare);
    const opened = openerOf(test).open(frame);
    frame.fill(0);
    expect(opened).toEqual({ ok: true, message: { ...prePrepare, batch: expect.anything() } });
  });
});

describe("opening refuses", () => {
  it("a frame above `frameBytes`, unread", () => {
    expect(openerOf(test).open(new Uint8Array(10_001))).toEqual({
      ok: false,
      rejection: { code: "frame-too-large", detail: "10001 of 10000 bytes" },
      signatureFailed: false,
    });
  });

  it("what is no frame", () => {
    const { payload, signature, message } = prepare;
    expect(codeOf(open({ message, payload, signature: signature.subarray(1) }))).toBe("malformed");
    for (const parts of [[payload], [payload, signature, payload, payload], [payload, signature, 1], [[payload], signature], []]) {
      expect(codeOf(openerOf(test).open(encode(parts)))).toBe("malformed");
    }
  });

  it("a sender that is no member, in the role that the kind asks for (rule 91)", () => {
    const stranger = replicaSeal(testCluster(5, { scheme, clients: 2, limits: test.cluster.limits }), 4);
    const foreign = stranger({ kind: "prepare", view: view(3), slot: slot(7), digest });
    expect(codeOf(open(foreign))).toBe("wrong-cluster");
    const ofReplica = (sender: number) =>
      encode([1, Buffer.from(test.cluster.id, "hex"), 11, [sender, 0], 3, 7, Buffer.from(digest, "hex")]);
    expect(codeOf(openerOf(test).open(signedFrame(test, 0, "prepare", ofReplica(4))))).toBe("unknown-sender");
    const ofClient = (sender: number) => encode([1, Buffer.from(test.cluster.id, "hex"), 1, [sender, 0], 1, new Uint8Array(3)]);
    for (const sender of [0, 3])
      expect(codeOf(openerOf(test).open(signedFrame(test, 0, "request", ofClient(sender))))).toBe("unknown-sender");
    expect(codeOf(openerOf(test).open(signedFrame(test, 0, "request", ofClient(1))))).toBe("bad-signature");
  });

  it("an incarnation that is not the admitted one (rule 77)", () => {
    const vote = replicaSeal(test, 2, 1)({ kind: "prepare", view: view(0), slot: slot(1), digest });
    const admitted = openerOf(test, { incarnationOf: (replica) => (replica === 2 ? 1 : 0) });
    expect(codeOf(open(vote))).toBe("wrong-incarnation");
    expect(codeOf(admitted.open(encodeFrame(vote)))).toBe("accepted");
    const old = replicaSeal(test, 2, 0)({ kind: "prepare", view: view(0), slot: slot(1), digest });
    expect(codeOf(admitted.open(encodeFrame(old)))).toBe("wrong-incarnation");
  });

  it("a bad signature, and says so, for the peer that delivered it is to be cut off", () => {
    const forged = { ...prepare, signature: flipped(prepare.signature) };
    expect(open(forged)).toEqual({ ok: false, rejection: { code: "bad-signature", kind: "prepare" }, sender: 0, signatureFailed: true });
  });

  it("an operation above `operationBytes`", () => {
    const operation = (size: number) => clientSeal(test)({ kind: "request", number: requestNumber(1), operation: new Uint8Array(size) });
    expect(codeOf(open(operation(100)))).toBe("accepted");
    expect(codeOf(open(operation(101)))).toBe("operation-too-large");
  });

  it("a body beside a kind that has none, and a body that is not the signed one", () => {
    expect(codeOf(open({ ...prepare, body: Uint8Array.of(1) }))).toBe("unwanted-body");
    const opened = open({ ...prePrepare, body: flipped(batchBody) });
    expect(opened).toMatchObject({ ok: false, rejection: { code: "body-mismatch", kind: "pre-prepare" }, signatureFailed: false });
  });
});

describe("A88: opening refuses a signature", () => {
  it("i) of one kind on another: a PREPARE is no COMMIT (M106)", () => {
    const asCommit = encode([1, Buffer.from(test.cluster.id, "hex"), 12, [0, 0], 3, 7, Buffer.from(digest, "hex")]);
    expect(codeOf(openerOf(test).open(signedFrame(test, 0, "commit", asCommit)))).toBe("accepted");
    expect(codeOf(openerOf(test).open(signedFrame(test, 0, "prepare", asCommit)))).toBe("bad-signature");
    expect(codeOf(open({ ...prepare, payload: asCommit }))).toBe("bad-signature");
    expect(codeOf(openerOf(test).open(signedFrame(test, 0, "commit", prepare.payload)))).toBe("bad-signature");
  });

  it("j) of another cluster with the same keys, whether or not it is renamed (M108)", () => {
    const twin = testCluster(4, { scheme, clients: 2, limits: { ...test.cluster.limits, window: test.cluster.limits.window + 1 } });
    expect(twin.replicaKeys).toEqual(test.replicaKeys);
    const foreign = replicaSeal(twin, 0)({ kind: "prepare", view: view(3), slot: slot(7), digest });
    expect(codeOf(open(foreign))).toBe("wrong-cluster");
    expect(codeOf(open({ ...prepare, signature: foreign.signature }))).toBe("bad-signature");
  });

  it("k) of another view, slot, digest, sender or incarnation: every field is signed", () => {
    const variants = [
      seal({ kind: "prepare", view: view(4), slot: slot(7), digest }),
      seal({ kind: "prepare", view: view(3), slot: slot(8), digest }),
      seal({ kind: "prepare", view: view(3), slot: slot(7), digest: "ac".repeat(32) as Digest }),
      replicaSeal(test, 1)({ kind: "prepare", view: view(3), slot: slot(7), digest }),
    ];
    for (const variant of variants) {
      expect(codeOf(open(variant))).toBe("accepted");
      expect(codeOf(open({ ...variant, signature: prepare.signature }))).toBe("bad-signature");
    }
    const reborn = replicaSeal(test, 0, 1)({ kind: "prepare", view: view(3), slot: slot(7), digest });
    const admitted = openerOf(test, { incarnationOf: () => 1 });
    expect(codeOf(admitted.open(encodeFrame({ ...reborn, signature: prepare.signature })))).toBe("bad-signature");
  });
});

describe("a certificate", () => {
  const vote = (sender: number, incarnation = 0) =>
    replicaSeal(test, sender, incarnation)({ kind: "commit", view: view(0), slot: slot(1), digest });

  it("opens with every vote verified", () => {
    const certificate = seal({ kind: "certificate", votes: [vote(1), vote(2)] });
    expect(open(certificate)).toEqual({ ok: true, message: certificate });
  });

  it("falls with one forged vote, though its sender signed the whole", () => {
    const forged = { ...vote(2), signature: flipped(vote(2).signature) };
    const opened = open(seal({ kind: "certificate", votes: [vote(1), forged] }));
    expect(opened).toMatchObject({ ok: false, rejection: { code: "bad-signature", kind: "certificate" }, signatureFailed: true });
  });

  it("may hold votes of an earlier incarnation, not of a later one (rule 77)", () => {
    const opener = openerOf(test, { incarnationOf: (replica) => (replica === 1 ? 1 : 0) });
    const holding = (incarnation: number) => encodeFrame(seal({ kind: "certificate", votes: [vote(1, incarnation)] }));
    expect([0, 1, 2].map((incarnation) => codeOf(opener.open(holding(incarnation))))).toEqual([
      "accepted",
      "accepted",
      "wrong-incarnation",
    ]);
  });

  it("may hold no stranger's vote and no other kind", () => {
    const five = testCluster(5, { scheme });
    const stranger = {
      ...vote(1),
      payload: encode([1, Buffer.from(test.cluster.id, "hex"), 12, [4, 0], 0, 1, Buffer.from(digest, "hex")]),
    };
    expect(codeOf(open(seal({ kind: "certificate", votes: [stranger] })))).toBe("unknown-sender");
    expect(codeOf(open(seal({ kind: "certificate", votes: [prepare as never] })))).toBe("malformed");
    const foreign = replicaSeal(five, 1)({ kind: "commit", view: view(0), slot: slot(1), digest });
    expect(codeOf(open(seal({ kind: "certificate", votes: [foreign] })))).toBe("wrong-cluster");
  });
});

describe("a batch", () => {
  const batchOf = (bytes: Uint8Array, options = {}) => {
    const sealed = seal({ kind: "pre-prepare", view: view(0), slot: slot(1), digest: nobleDigest("batch", bytes) }, { bytes });
    const opened = openerOf(test, options).open(encodeFrame(sealed));
    return opened.ok ? opened.message.batch : opened;
  };
  const bad = (code: string) => ({ valid: false, code });

  it("that is none spoils itself, not the message around it: its signature is good", () => {
    const pair = [request.payload, request.signature];
    const shapes = [5, [], [1], [1, [], 2], ["1", []], [1, [pair, [request.payload]]], [1, [[request.payload, new Uint8Array(63)]]]];
    for (const shape of shapes) expect(batchOf(encode(shape))).toEqual(bad("bad-batch"));
    expect(batchOf(Uint8Array.of(0xc0))).toEqual(bad("bad-batch"));
    expect(batchOf(encode([1, [pair]]))).toMatchObject({ valid: true });
  });

  it("holds requests only, in their one encoding", () => {
    expect(batchOf(encode([1, [[prepare.payload, prepare.signature]]]))).toEqual(bad("bad-batch"));
    expect(batchOf(encode([1, [[Uint8Array.of(0xc0), prepare.signature]]]))).toEqual(bad("bad-batch"));
  });

  it("is bad when a client did not sign its request", () => {
    const forged = { ...request, signature: flipped(request.signature) };
    expect(batchOf(encodeBatch(1, [request, forged]))).toEqual(bad("bad-request-signature"));
    const second = clientSeal(test, 2)({ kind: "request", number: requestNumber(1), operation: Uint8Array.of(1, 2, 3) });
    expect(batchOf(encodeBatch(1, [{ ...second, signature: request.signature }]))).toEqual(bad("bad-request-signature"));
    expect(batchOf(encodeBatch(1, [request, second]))).toMatchObject({ valid: true });
  });

  it("is bad with a client that is none, or an operation above the limit", () => {
    const three = testCluster(4, { scheme, clients: 3 });
    const payload = encode([1, Buffer.from(test.cluster.id, "hex"), 1, [3, 0], 1, new Uint8Array(3)]);
    expect(
      batchOf(
        encodeBatch(1, [{ ...clientSeal(three, 3)({ kind: "request", number: requestNumber(1), operation: new Uint8Array(3) }), payload }]),
      ),
    ).toEqual(bad("unknown-sender"));
    const large = clientSeal(test)({ kind: "request", number: requestNumber(2), operation: new Uint8Array(101) });
    expect(batchOf(encodeBatch(1, [large]))).toEqual(bad("operation-too-large"));
  });

  it("is bad above `batchRequests` and `batchBytes` (A33)", () => {
    expect(batchOf(encodeBatch(1, [request, request, request]))).toMatchObject({ valid: true });
    expect(batchOf(encodeBatch(1, [request, request, request, request]))).toEqual(bad("batch-too-large"));
    expect(batchOf(new Uint8Array(2001))).toEqual(bad("batch-too-large"));
  });

  it("may be empty here; whether that is allowed is the core's to say", () => {
    expect(batchOf(encodeBatch(7, []))).toEqual({ valid: true, timestamp: 7, requests: [] });
  });
});

describe("before it pays for a signature, opening", () => {
  const counting = () => {
    const verify = vi.fn(scheme.verify);
    return { verify, opener: openerOf(test, { verify }) };
  };

  it("asks whether the message is wanted, and tells what it knows of it (A83)", () => {
    const { verify, opener } = counting();
    const peeks: Peek[] = [];
    const opened = opener.open(encodeFrame(prepare), (peek) => {
      peeks.push(peek);
      return false;
    });
    expect(opened).toEqual({ ok: false, rejection: { code: "duplicate", kind: "prepare" }, sender: 0, signatureFailed: false });
    expect(peeks).toEqual([{ kind: "prepare", sender: 0, view: 3, slot: 7, digest }]);
    expect(verify).not.toHaveBeenCalled();
    expect(codeOf(opener.open(encodeFrame(prepare), () => true))).toBe("accepted");
  });

  it("asks of a request what kind it is and whose", () => {
    const wants = vi.fn(() => true);
    counting().opener.open(encodeFrame(request), wants);
    expect(wants).toHaveBeenCalledExactlyOnceWith({ kind: "request", sender: 1 });
  });

  it("has done every cheap check", () => {
    const { verify, opener } = counting();
    const wants = vi.fn(() => true);
    const wrong = replicaSeal(test, 0, 9)({ kind: "prepare", view: view(3), slot: slot(7), digest });
    for (const frame of [encodeFrame(wrong), encodeFrame({ ...prepare, body: new Uint8Array(32) }), Uint8Array.of(1)])
      opener.open(frame, wants);
    expect(wants).not.toHaveBeenCalled();
    expect(verify).not.toHaveBeenCalled();
  });

  it("looks no further than the first bad signature", () => {
    const { verify, opener } = counting();
    const vote = { ...prepare, signature: flipped(prepare.signature) };
    const viewChange = seal({
      kind: "view-change",
      view: view(1),
      stable: slot(0),
      checkpoints: [],
      prepared: [{ prePrepare, prepares: [vote, vote, vote] }],
    });
    expect(codeOf(opener.open(encodeFrame(viewChange)))).toBe("bad-signature");
    expect(verify).toHaveBeenCalledTimes(3);
  });
});

describe("the memory of good signatures", () => {
  it("spares a request in a batch, and a vote in a certificate, the second check", () => {
    const verify = vi.fn(scheme.verify);
    const opener = openerOf(test, { verify });
    opener.open(encodeFrame(request));
    opener.open(encodeFrame(prePrepare));
    expect(verify).toHaveBeenCalledTimes(2);
    const vote = replicaSeal(test, 1)({ kind: "commit", view: view(0), slot: slot(1), digest });
    opener.open(encodeFrame(vote));
    opener.open(encodeFrame(seal({ kind: "certificate", votes: [vote] })));
    expect(verify).toHaveBeenCalledTimes(4);
  });

  it("spares nothing that differs in key, signature or bytes, and remembers no bad one", () => {
    const verify = vi.fn(scheme.verify);
    const opener = openerOf(test, { verify });
    opener.open(encodeFrame(prepare));
    const forged = encodeFrame({ ...prepare, signature: flipped(prepare.signature) });
    expect([codeOf(opener.open(forged)), codeOf(opener.open(forged))]).toEqual(["bad-signature", "bad-signature"]);
    const moved = seal({ kind: "prepare", view: view(3), slot: slot(8), digest });
    expect(codeOf(opener.open(encodeFrame({ ...moved, signature: prepare.signature })))).toBe("bad-signature");
    expect(verify).toHaveBeenCalledTimes(4);
  });

  it("is bounded: of the good signatures remembered the oldest goes first", () => {
    const verify = vi.fn(scheme.verify);
    const opener = openerOf(test, { verify, signaturesKept: 2 });
    const frames = [1, 2, 3].map((at) => encodeFrame(seal({ kind: "prepare", view: view(0), slot: slot(at), digest })));
    for (const frame of frames) opener.open(frame);
    opener.open(frames[2] as Uint8Array);
    opener.open(frames[1] as Uint8Array);
    expect(verify).toHaveBeenCalledTimes(3);
    opener.open(frames[0] as Uint8Array);
    expect(verify).toHaveBeenCalledTimes(4);
  });

  it("can be none", () => {
    const verify = vi.fn(scheme.verify);
    const opener = openerOf(test, { verify, signaturesKept: 0 });
    opener.open(encodeFrame(prepare));
    opener.open(encodeFrame(prepare));
    expect(verify).toHaveBeenCalledTimes(2);
  });
});
