/** Frames as a test wants them: honest ones by a seal, and signed bytes that no seal would make. */
import { concatBytes } from "@noble/hashes/utils.js";
import type { Seal } from "../../src/core/contract.ts";
import type { AnyMessage, Reply, Request } from "../../src/core/message.ts";
import { nobleDigest } from "../../src/crypto/digest.ts";
import { type PbftMessage, pbftSchemas } from "../../src/protocols/pbft/messages.ts";
import { signedBytes } from "../../src/wire/codec.ts";
import { encodeFrame } from "../../src/wire/frame.ts";
import { createOpener, type Opened, type Opener, type OpenerOptions } from "../../src/wire/open.ts";
import { createSeal } from "../../src/wire/seal.ts";
import type { TestCluster } from "./keys.ts";

const emptyMessage: AnyMessage = { kind: "raw", sender: 0, incarnation: 0 };

export function replicaSeal(test: TestCluster, sender: number, incarnation = 0): Seal<PbftMessage | Reply | Request> {
  const sign = (bytes: Uint8Array): Uint8Array => test.scheme.sign(secretOf(test.replicaSecrets, sender), bytes);
  return createSeal({ schemas: pbftSchemas, cluster: test.cluster.id, sender, incarnation, sign });
}

/** `sender` counts from 1, as clients do. */
export function clientSeal(test: TestCluster, sender = 1): Seal<PbftMessage | Reply | Request> {
  const sign = (bytes: Uint8Array): Uint8Array => test.scheme.sign(secretOf(test.clientSecrets, sender - 1), bytes);
  return createSeal({ schemas: pbftSchemas, cluster: test.cluster.id, sender, incarnation: 0, sign });
}

export function openerOf(test: TestCluster, options: Partial<OpenerOptions<PbftMessage>> = {}): Opener<PbftMessage> {
  const { cluster, replicaKeys, clientKeys, scheme } = test;
  return createOpener({
    schemas: pbftSchemas,
    cluster: cluster.id,
    limits: cluster.limits,
    replicaKeys,
    clientKeys,
    verify: scheme.verify,
    digest: nobleDigest,
    ...options,
  });
}

/** A frame around any payload bytes, rightly signed by a replica as a message of `kind`. */
export function signedFrame(test: TestCluster, sender: number, kind: string, payload: Uint8Array): Uint8Array {
  const signature = test.scheme.sign(secretOf(test.replicaSecrets, sender), signedBytes(test.cluster.id, kind, payload));
  return encodeFrame({ message: emptyMessage, payload, signature });
}

/** `bytes` with the part from `start` to `end` replaced. */
export function spliced(bytes: Uint8Array, start: number, end: number, by: readonly number[]): Uint8Array {
  return concatBytes(bytes.subarray(0, start), Uint8Array.from(by), bytes.subarray(end));
}

export function codeOf(opened: Opened<AnyMessage>): string {
  return opened.ok ? "accepted" : opened.rejection.code;
}

function secretOf(secrets: readonly Uint8Array[], index: number): Uint8Array {
  const secret = secrets[index];
  if (!secret) throw new RangeError(`no secret ${index}`);
  return secret;
}
