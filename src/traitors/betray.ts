/**
 * Wraps an honest core: it sees what the core would send, and sends what the behaviours make of it. A host cannot tell the two
 * apart, and the core knows nothing of it.
 */
import type { Core, CoreSetup, CoreState, Effect, Input } from "../core/contract.ts";
import type { ClientId, ReplicaId } from "../core/ids.ts";
import type { AnyMessage, Reply, Request, Signed, Verified } from "../core/message.ts";
import type { Random } from "../core/random.ts";
import { type AnyDraft, type AnySeal, draftOf, type Envelope, proposalDigest, sameDraft, sealDraft, withFlippedBit } from "./drafts.ts";
import { Member } from "./member.ts";
import type { NodeReference } from "./options.ts";
import type { Traitor, TraitorSelf } from "./traitor.ts";

/** What a traitor is handed: no more than its core, and chance. */
export interface TraitorSetup<M extends AnyMessage> extends Pick<CoreSetup<M>, "self" | "cluster" | "seal" | "digest"> {
  readonly random: Random;
}

/**
 * @param core - the honest core of the node, which is stepped as ever
 * @param traitors - behaviours; each sees what the ones before it made of a message. None: `core` itself comes back
 * @returns a core whose timers of the prefix `traitor:` are its own
 * @throws LabError from `make` or `step` when a behaviour answers what no hook may; the message names it
 */
export function betray<M extends AnyMessage, R>(
  core: Core<M, R>,
  setup: TraitorSetup<NoInfer<M>>,
  traitors: readonly Traitor[],
): Core<M, R> {
  return traitors.length === 0 ? core : new TraitorCore(core, setup, traitors);
}

const releaseTimer = "traitor:release";
const seenMax = 256;

/** What goes to one destination, in order. */
interface Delivery {
  readonly to: ReplicaId;
  readonly envelopes: readonly Envelope[];
}

interface Spontaneous {
  readonly by: number;
  readonly to: readonly number[];
  readonly draft: AnyDraft;
}

class TraitorCore<M extends AnyMessage, R> implements Core<M, R> {
  readonly #core: Core<M, R>;
  readonly #setup: TraitorSetup<M>;
  readonly #members: readonly Member[];
  readonly #seen: Verified<AnyMessage>[] = [];
  #spontaneous: Spontaneous[] = [];
  /** Kept back, by due time and then in the order in which they were sent. */
  readonly #held: { readonly due: number; readonly effect: Effect<M, R> }[] = [];
  #timerAt: number | undefined;
  #now = 0;
  #state: CoreState | undefined;
  #out: Effect<M, R>[] = [];

  constructor(core: Core<M, R>, setup: TraitorSetup<M>, traitors: readonly Traitor[]) {
    this.#core = core;
    this.#setup = setup;
    this.#members = traitors.map((traitor, index) => this.#member(traitor, index));
  }

  step(input: Input<M, R>): readonly Effect<M, R>[] {
    this.#out = [];
    this.#now = input.now;
    this.#state = undefined;
    if (input.type === "timeout" && input.timer === releaseTimer) this.#release();
    else if (this.#hears(input)) {
      for (const effect of this.#core.step(input)) this.#pass(effect);
    }
    this.#setTimer();
    return this.#out;
  }

  /** Behaviours may look at what their core no longer needs. */
  wants(): boolean {
    return true;
  }

  inspect(): CoreState {
    return this.#core.inspect();
  }

  assertInvariants(): void {
    this.#core.assertInvariants();
  }

  #member(traitor: Traitor, index: number): Member {
    const { self: id, cluster, digest } = this.#setup;
    const said = new Set<string>();
    const self: TraitorSelf<AnyMessage> = {
      id,
      n: cluster.n,
      f: cluster.f,
      cluster,
      random: this.#setup.random.fork(`${index}/${traitor.name}`),
      seen: this.#seen,
      said: (what) => void said.add(what),
      send: (to, draft) => void this.#spontaneous.push({ by: index, to: [...to], draft: Object.freeze({ ...(draft as AnyDraft) }) }),
      digestOf: (proposal) => proposalDigest(proposal, digest),
    };
    const hooks = traitor.make(self as unknown as TraitorSelf);
    return new Member(traitor, { hooks, said, random: this.#setup.random.fork(`${index}/${traitor.name}/when`) });
  }

  /** Shows a message to every behaviour. False when one of them hides it from the core. */
  #hears(input: Input<M, R>): boolean {
    const message: Verified<AnyMessage> | undefined =
      input.type === "receive" ? input.message : input.type === "request" ? input.request : undefined;
    if (!message) return true;
    this.#seen.push(message);
    if (this.#seen.length > seenMax) this.#seen.shift();
    const hidden = this.#members.filter((member) => !member.hears(message));
    this.#confess();
    this.#sendSpontaneous();
    return hidden.length === 0;
  }

  #pass(effect: Effect<M, R>): void {
    if (effect.type === "reply") this.#reply(effect);
    else if (effect.type !== "send") this.#out.push(effect);
    else if (this.#isOwn(effect.message.message)) this.#send(effect);
    else this.#relay(effect);
    this.#sendSpontaneous();
  }

  /** Clients are numbered apart: a request is never the replica's own. */
  #isOwn({ kind, sender }: AnyMessage): boolean {
    return kind !== "request" && sender === this.#setup.self;
  }

  #send(effect: Extract<Effect<M, R>, { type: "send" }>): void {
    const draft = draftOf(effect.message);
    const deliveries = effect.to.map((to): Delivery => ({ to, envelopes: this.#rewrite({ draft, from: 0, to }) }));
    this.#confess();
    const untouched = deliveries.every(
      ({ envelopes: [first, ...more] }) => more.length === 0 && first && isPlain(first) && first.draft === draft,
    );
    if (untouched) this.#out.push(effect);
    else this.#deliver(deliveries, effect.message);
  }

  #reply(effect: Extract<Effect<M, R>, { type: "reply" }>): void {
    const draft = draftOf(effect.message);
    const envelopes = this.#rewrite({ draft, from: 0, to: `client-${effect.to}` });
    this.#confess();
    const seal = this.#sealer(effect.message);
    for (const envelope of envelopes) this.#emitReply(effect.to, seal(envelope), envelope.delayMs);
  }

  #emitReply(to: ClientId, message: Signed<AnyMessage>, delayMs: number): void {
    this.#emit({ type: "reply", to, message: message as Signed<Reply> }, delayMs);
  }

  /** Somebody else's signature: passed on as it is, late, or not at all. */
  #relay(effect: Extract<Effect<M, R>, { type: "send" }>): void {
    const { message } = effect.message;
    const delays = effect.to.map((to) => ({ to, delayMs: this.#relayDelay(message, to) }));
    this.#confess();
    if (delays.every(({ delayMs }) => delayMs === 0)) return void this.#out.push(effect);
    for (const [delayMs, to] of grouped(delays, (entry) => entry.delayMs)) {
      if (delayMs !== undefined) this.#emit({ ...effect, to: to.map((entry) => entry.to) }, delayMs);
    }
  }

  #relayDelay(message: AnyMessage, to: ReplicaId): number | undefined {
    let total = 0;
    for (const member of this.#members) {
      const ms = member.relay(message, to, this.#stateOf);
      if (ms === undefined) return undefined;
      total += ms;
    }
    return total;
  }

  /** Through all behaviours from number `from` on, each working on what the last one made. */
  #rewrite({ draft, from, to }: { readonly draft: AnyDraft; readonly from: number; readonly to: NodeReference }): readonly Envelope[] {
    let envelopes: readonly Envelope[] = [{ draft, delayMs: 0, corrupt: false }];
    for (const member of this.#members.slice(from)) {
      envelopes = envelopes.flatMap((envelope) => member.rewrite(envelope, to, this.#stateOf));
    }
    return envelopes;
  }

  #sendSpontaneous(): void {
    for (let next = this.#spontaneous.shift(); next; next = this.#spontaneous.shift()) {
      const { by, draft } = next;
      const position = { view: numberIn(draft, "view"), slot: numberIn(draft, "slot"), state: this.#stateOf };
      const to = this.#setup.cluster.replicas.filter((id) => id !== this.#setup.self && next?.to.includes(id));
      const targets = to.filter((id) => this.#members[by]?.fires({ ...position, to: id }));
      const deliveries = targets.map((id): Delivery => ({ to: id, envelopes: this.#rewrite({ draft, from: by + 1, to: id }) }));
      this.#confess();
      this.#deliver(deliveries);
    }
  }

  /** Equal messages to several destinations become one effect again; each destination's own order is kept. */
  #deliver(deliveries: readonly Delivery[], original?: Signed<AnyMessage>): void {
    const seal = this.#sealer(original);
    const longest = Math.max(0, ...deliveries.map(({ envelopes }) => envelopes.length));
    for (let turn = 0; turn < longest; turn++) {
      const ready = deliveries.flatMap(({ to, envelopes }) => {
        const envelope = envelopes[turn];
        return envelope ? [{ to, message: seal(envelope), delayMs: envelope.delayMs }] : [];
      });
      for (const [message, sameMessage] of grouped(ready, (entry) => entry.message)) {
        for (const [delayMs, entries] of grouped(sameMessage, (entry) => entry.delayMs)) {
          this.#emit({ type: "send", to: entries.map(({ to }) => to), message: message as Signed<M | Request> }, delayMs);
        }
      }
    }
  }

  /** Seals each distinct draft once; the original, untouched, stays the very object that the core made. */
  #sealer(original: Signed<AnyMessage> | undefined): (envelope: Envelope) => Signed<AnyMessage> {
    const sealed: { readonly draft: AnyDraft; readonly signed: Signed<AnyMessage> }[] = [];
    if (original) sealed.push({ draft: draftOf(original), signed: original });
    const { digest, random } = this.#setup;
    const seal = this.#setup.seal as unknown as AnySeal;
    return ({ draft, corrupt }) => {
      let known = sealed.find((entry) => sameDraft(entry.draft, draft));
      if (!known) {
        known = { draft, signed: sealDraft(draft, { seal, digest, ...(original && { original }) }) };
        sealed.push(known);
      }
      return corrupt ? withFlippedBit(known.signed, random.next(512)) : known.signed;
    };
  }

  #emit(effect: Effect<M, R>, delayMs: number): void {
    if (delayMs === 0) return void this.#out.push(effect);
    const due = this.#now + delayMs;
    const later = this.#held.findIndex((held) => held.due > due);
    this.#held.splice(later < 0 ? this.#held.length : later, 0, { due, effect });
  }

  #release(): void {
    this.#timerAt = undefined;
    while (this.#held[0] && this.#held[0].due <= this.#now) this.#out.push(...this.#held.splice(0, 1).map(({ effect }) => effect));
  }

  #setTimer(): void {
    const due = this.#held[0]?.due;
    if (due === undefined || (this.#timerAt !== undefined && this.#timerAt <= due)) return;
    this.#timerAt = due;
    this.#out.push({ type: "set-timer", timer: releaseTimer, ms: Math.min(Math.ceil(due - this.#now), 2 ** 31 - 1) });
  }

  #confess(): void {
    for (const member of this.#members) {
      for (const what of member.confess()) this.#out.push({ type: "observe", event: { event: "treason", behaviour: member.name, what } });
    }
  }

  readonly #stateOf = (): CoreState => {
    this.#state ??= this.#core.inspect();
    return this.#state;
  };
}

function isPlain({ delayMs, corrupt }: Envelope): boolean {
  return delayMs === 0 && !corrupt;
}

function numberIn(draft: AnyDraft, field: string): number | undefined {
  const value = draft[field];
  return typeof value === "number" ? value : undefined;
}

function grouped<K, T>(entries: readonly T[], keyOf: (entry: T) => K): Map<K, T[]> {
  const groups = new Map<K, T[]>();
  for (const entry of entries) {
    const group = groups.get(keyOf(entry));
    if (group) group.push(entry);
    else groups.set(keyOf(entry), [entry]);
  }
  return groups;
}
