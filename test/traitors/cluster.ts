/** A whole cluster of real cores, some betrayed, joined by frames: everything is opened from its bytes. First come, first served. */
import { type ClientCore, type ClientEffect, createClientCore } from "../../src/client/client-core.ts";
import type { Core, Effect, Input } from "../../src/core/contract.ts";
import { clientId, type ReplicaId, replicaName } from "../../src/core/ids.ts";
import type { AnyMessage, Reply, Request, Signed, Verified } from "../../src/core/message.ts";
import { createRandom } from "../../src/core/random.ts";
import { nobleDigest } from "../../src/crypto/digest.ts";
import { symbolicScheme } from "../../src/crypto/symbolic.ts";
import { type PbftMessage, type PbftRecord, pbft } from "../../src/protocols/pbft/index.ts";
import { createKeyValueStore, decodeResult, type KeyValueResult, kv } from "../../src/services/key-value.ts";
import type { Behaviour } from "../../src/traitors/behaviour.ts";
import { betray } from "../../src/traitors/betray.ts";
import { createTraitor } from "../../src/traitors/catalogue.ts";
import { encodeFrame } from "../../src/wire/frame.ts";
import { createReplicaSeal } from "../../src/wire/seal.ts";
import { type TestCluster, type TestClusterOptions, testCluster } from "../support/keys.ts";
import { clientSeal, openerOf } from "../support/wire.ts";

type Node = ReplicaId | "client";
type PbftCore = Core<PbftMessage, PbftRecord>;

const hopMs = 1;

export interface ClusterOptions extends TestClusterOptions {
  readonly n?: number;
  readonly traitors?: Readonly<Record<number, Behaviour>>;
  /** Replicas whose replies take their time. */
  readonly far?: readonly number[];
}

export class TraitorCluster {
  readonly rejected: string[] = [];
  readonly treasons: string[] = [];
  readonly accused = new Set<number>();
  readonly suspected = new Set<number>();
  readonly results = new Map<number, KeyValueResult>();
  /** By replica and slot. */
  readonly decided = new Map<number, Map<number, string>>();
  readonly #test: TestCluster;
  readonly #far: readonly number[];
  readonly #opener;
  readonly #cores: readonly PbftCore[];
  readonly #client: ClientCore;
  #now = 0;
  #order = 0;
  #events: { readonly at: number; readonly order: number; readonly act: () => void }[] = [];
  readonly #timers = new Map<string, object>();

  constructor({ n = 4, traitors = {}, far = [], ...options }: ClusterOptions) {
    this.#far = far;
    this.#test = testCluster(n, { scheme: symbolicScheme(), ...options });
    this.#opener = openerOf(this.#test, { signaturesKept: 0 });
    this.#cores = this.#test.cluster.replicas.map((id) => this.#core(id, traitors[id]));
    const seal = clientSeal(this.#test, 1);
    this.#client = createClientCore({
      self: clientId(1),
      cluster: this.#test.cluster,
      seal: (request) => seal(request),
      digest: nobleDigest,
    });
    for (const id of this.#test.cluster.replicas) this.#step(id, { type: "start", now: 0 });
    this.#carryOutClient(this.#client.step({ type: "start", now: 0 }));
  }

  #core(self: ReplicaId, behaviour: Behaviour | undefined): PbftCore {
    const { cluster, scheme, replicaSecrets } = this.#test;
    const secret = replicaSecrets[self] ?? new Uint8Array(32);
    const seal = createReplicaSeal<PbftMessage>({
      schemas: pbft.messages,
      cluster: cluster.id,
      sender: self,
      incarnation: 0,
      sign: (bytes) => scheme.sign(secret, bytes),
    });
    const setup = { self, cluster, seal, digest: nobleDigest, service: createKeyValueStore() };
    const random = createRandom(1).fork(`replica ${self}`);
    return betray(pbft.createCore(setup), { ...setup, random }, behaviour ? [createTraitor(behaviour)] : []);
  }

  /** Invokes puts on one key, each with a value of its own, and runs for `ms`. */
  run(puts: number, ms = 20_000): this {
    for (let index = 1; index <= puts; index++) {
      this.#carryOutClient(this.#client.step({ type: "invoke", now: this.#now, operation: kv.put("key", `value ${index}`) }));
    }
    const end = this.#now + ms;
    for (;;) {
      this.#events.sort((a, b) => a.at - b.at || a.order - b.order);
      const [next] = this.#events;
      if (!next || next.at > end) break;
      this.#events.shift();
      this.#now = next.at;
      next.act();
    }
    this.#now = end;
    return this;
  }

  /** Slots at which two of these replicas decided differently. */
  forks(...replicas: number[]): number[] {
    const known = new Map<number, string>();
    const forked = new Set<number>();
    for (const [slot, digest] of replicas.flatMap((id) => [...(this.decided.get(id) ?? [])])) {
      if ((known.get(slot) ?? digest) !== digest) forked.add(slot);
      known.set(slot, digest);
    }
    return [...forked];
  }

  view(replica: number): number | undefined {
    return this.#cores[replica]?.inspect().view;
  }

  get #wall(): { earliest: number; latest: number } {
    return { earliest: 1_800_000_000_000 + this.#now, latest: 1_800_000_000_002 + this.#now };
  }

  #at(at: number, act: () => void): void {
    this.#events.push({ at, order: this.#order++, act });
  }

  #step(id: ReplicaId, input: Input<PbftMessage, PbftRecord>): void {
    for (const effect of this.#cores[id]?.step(input) ?? []) this.#carryOut(id, effect);
  }

  #carryOut(id: ReplicaId, effect: Effect<PbftMessage, PbftRecord>): void {
    if (effect.type === "send") for (const to of effect.to) this.#post(to, effect.message);
    else if (effect.type === "reply") this.#post("client", effect.message);
    else if (effect.type === "set-timer") this.#setTimer(id, effect.timer, effect.ms);
    else if (effect.type === "cancel-timer") this.#timers.delete(`${id} ${effect.timer}`);
    else if (effect.type === "evidence") this.accused.add(effect.culprit);
    else if (effect.type === "decide")
      this.decided.set(id, (this.decided.get(id) ?? new Map<number, string>()).set(effect.slot, effect.digest));
    else if (effect.type === "observe" && effect.event.event === "treason")
      this.treasons.push(`${replicaName(id)} ${effect.event.behaviour}`);
  }

  #carryOutClient(effects: readonly ClientEffect[]): void {
    for (const effect of effects) {
      if (effect.type === "send") for (const to of effect.to) this.#post(to, effect.message);
      else if (effect.type === "set-timer") this.#setTimer("client", effect.timer, effect.ms);
      else if (effect.type === "cancel-timer") this.#timers.delete(`client ${effect.timer}`);
      else if (effect.type === "return") this.results.set(effect.number, decodeResult(effect.result));
      else if (effect.type === "suspect") this.suspected.add(effect.replica);
    }
  }

  #post(to: Node, signed: Signed<AnyMessage>): void {
    const frame = encodeFrame(signed);
    const late = to === "client" && this.#far.includes(signed.message.sender);
    this.#at(this.#now + (late ? 50 * hopMs : hopMs), () => {
      const opened = this.#opener.open(frame);
      if (!opened.ok) this.rejected.push(opened.rejection.code);
      else this.#receive(to, opened.message);
    });
  }

  #receive(to: Node, message: Verified<PbftMessage | Request | Reply>): void {
    const now = this.#now;
    if (to === "client") this.#carryOutClient(this.#client.step({ type: "receive", now, message: message as Verified<Reply> }));
    else if (message.message.kind === "request")
      this.#step(to, { type: "request", now, wall: this.#wall, request: message as Verified<Request> });
    else this.#step(to, { type: "receive", now, wall: this.#wall, message: message as Verified<PbftMessage> });
  }

  #setTimer(node: Node, timer: string, ms: number): void {
    const name = `${node} ${timer}`;
    const token = {};
    this.#timers.set(name, token);
    this.#at(this.#now + ms, () => {
      if (this.#timers.get(name) !== token) return;
      this.#timers.delete(name);
      const input = { type: "timeout", now: this.#now, wall: this.#wall, timer } as const;
      if (node === "client") this.#carryOutClient(this.#client.step(input));
      else this.#step(node, input);
    });
  }
}
