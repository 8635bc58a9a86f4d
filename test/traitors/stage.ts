/** One traitor on a stage: a real, tiny core that says what the test gives it to say, and real seals and openers around it. */

import type { Core, CoreState, Effect, Input, Seal } from "../../src/core/contract.ts";
import { clientId, type Digest, digestOf, type ReplicaId, replicaId, requestNumber, slot, view } from "../../src/core/ids.ts";
import type { Batch, Reply, Request, Signed, Verified } from "../../src/core/message.ts";
import { createRandom } from "../../src/core/random.ts";
import { nobleDigest } from "../../src/crypto/digest.ts";
import { symbolicScheme } from "../../src/crypto/symbolic.ts";
import { type PbftMessage, pbft } from "../../src/protocols/pbft/index.ts";
import { betray } from "../../src/traitors/betray.ts";
import type { Traitor } from "../../src/traitors/traitor.ts";
import { encodeBatch } from "../../src/wire/batch.ts";
import { encodeFrame } from "../../src/wire/frame.ts";
import type { Opened } from "../../src/wire/open.ts";
import { createReplicaSeal } from "../../src/wire/seal.ts";
import { testCluster } from "../support/keys.ts";
import { clientSeal, openerOf } from "../support/wire.ts";

export type StageEffect = Effect<PbftMessage>;
export type StageInput = Input<PbftMessage>;
export type KindOf<K extends PbftMessage["kind"]> = Verified<Extract<PbftMessage, { kind: K }>>;

const wall = { earliest: 1_000_000, latest: 1_000_010 };
export const digestA: Digest = digestOf("a".repeat(64));
export const digestB: Digest = digestOf("b".repeat(64));

export interface StageOptions {
  readonly n?: number;
  /** Which replica the traitor is. @defaultValue 0 */
  readonly id?: number;
  readonly seed?: number;
  readonly state?: Partial<CoreState>;
}

export class Stage {
  readonly core: Core<PbftMessage>;
  readonly id: ReplicaId;
  /** What the honest core got to see. */
  readonly seenByCore: StageInput[] = [];
  readonly state: { -readonly [K in keyof CoreState]: CoreState[K] };
  readonly #test;
  readonly #seals: readonly Seal<PbftMessage | Reply>[];
  #script: readonly StageEffect[] = [];

  constructor(traitors: readonly Traitor[], options: StageOptions = {}) {
    const { n = 4, id = 0, seed = 1, state = {} } = options;
    this.id = replicaId(id);
    this.#test = testCluster(n, { clients: 2, scheme: symbolicScheme() });
    this.#seals = this.#test.cluster.replicas.map((sender) => {
      const secret = this.#test.replicaSecrets[sender] ?? new Uint8Array(32);
      const sign = (bytes: Uint8Array): Uint8Array => this.#test.scheme.sign(secret, bytes);
      return createReplicaSeal<PbftMessage>({ schemas: pbft.messages, cluster: this.#test.cluster.id, sender, incarnation: 0, sign });
    });
    this.state = { view: 0, active: true, stable: 0, executed: 0, halted: false, ...state };
    const honest: Core<PbftMessage> = {
      step: (input) => {
        this.seenByCore.push(input);
        return this.#script;
      },
      wants: () => false,
      inspect: () => ({ ...this.state }),
      assertInvariants: () => undefined,
    };
    const setup = { self: this.id, cluster: this.#test.cluster, seal: this.seal(id), digest: nobleDigest, random: createRandom(seed) };
    this.core = betray(honest, setup, traitors);
  }

  seal(replica: number): Seal<PbftMessage | Reply> {
    const seal = this.#seals[replica];
    if (!seal) throw new RangeError(`no replica ${replica}`);
    return seal;
  }

  /** The honest core wants to do this; what the node does instead. */
  says(...script: readonly StageEffect[]): readonly StageEffect[] {
    this.#script = script;
    return this.core.step({ type: "timeout", now: 0, wall, timer: "any" });
  }

  hears(message: Verified<PbftMessage>, ...script: readonly StageEffect[]): readonly StageEffect[] {
    this.#script = script;
    return this.core.step({ type: "receive", now: 0, wall, message });
  }

  at(now: number, timer: string): readonly StageEffect[] {
    this.#script = [];
    return this.core.step({ type: "timeout", now, wall, timer });
  }

  /** As a receiver opens what was sent, by its bytes alone. */
  open(message: Signed<unknown>): Opened<PbftMessage> {
    return openerOf(this.#test, { signaturesKept: 0 }).open(encodeFrame(message));
  }

  vote<K extends "prepare" | "commit">(kind: K, about: { v?: number; n?: number; digest?: Digest; by?: number } = {}): KindOf<K> {
    const { v = 0, n = 1, digest = digestA, by = this.id } = about;
    return this.seal(by)({ kind, view: view(v), slot: slot(n), digest }) as unknown as KindOf<K>;
  }

  proposal(requests: readonly Verified<Request>[], about: { v?: number; n?: number; by?: number } = {}): KindOf<"pre-prepare"> {
    const { v = 0, n = 1, by = this.id } = about;
    const bytes = encodeBatch(1_000_005, requests);
    const batch: Batch = { valid: true, timestamp: 1_000_005, requests };
    return this.seal(by)({ kind: "pre-prepare", view: view(v), slot: slot(n), digest: nobleDigest("batch", bytes) }, { bytes, batch });
  }

  request(number: number, client = 1): Verified<Request> {
    return clientSeal(this.#test, client)({ kind: "request", number: requestNumber(number), operation: Uint8Array.of(number) });
  }

  reply(...numbers: number[]): Verified<Reply> {
    const results = numbers.map((number) => ({ number: requestNumber(number), result: Uint8Array.of(number) }));
    return this.seal(this.id)({ kind: "reply", view: view(0), client: clientId(1), results });
  }
}

export const send = (message: Signed<PbftMessage | Request>, ...to: number[]): StageEffect => ({
  type: "send",
  to: to.map(replicaId),
  message,
});

/** What each replica gets, in order. */
export function inbox(effects: readonly StageEffect[], to: number): Signed<PbftMessage | Request>[] {
  return effects.flatMap((effect) => (effect.type === "send" && effect.to.some((id) => id === to) ? [effect.message] : []));
}

export const kindsTo = (effects: readonly StageEffect[], to: number): string[] => inbox(effects, to).map(({ message }) => message.kind);

export const digestsTo = (effects: readonly StageEffect[], to: number, kind: string): unknown[] =>
  inbox(effects, to).flatMap(({ message }) => (message.kind === kind && "digest" in message ? [message.digest] : []));

export const treasons = (effects: readonly StageEffect[]): string[] =>
  effects.flatMap((effect) =>
    effect.type === "observe" && effect.event.event === "treason" ? [`${effect.event.behaviour}: ${effect.event.what}`] : [],
  );

export const repliesIn = (effects: readonly StageEffect[]): Signed<Reply>[] =>
  effects.flatMap((effect) => (effect.type === "reply" ? [effect.message] : []));
