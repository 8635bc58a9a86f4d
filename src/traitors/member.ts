/** One behaviour at work in one node: asks its hooks, checks what they answer, and keeps its confessions for the trace. */
import { clientName, type NodeName, replicaName } from "../core/ids.ts";
import { LabError } from "../core/lab-error.ts";
import type { AnyMessage, Verified } from "../core/message.ts";
import type { Random } from "../core/random.ts";
import { type AnyDraft, type Envelope, sameDraft } from "./drafts.ts";
import type { NodeReference } from "./options.ts";
import type { Hooks, Traitor } from "./traitor.ts";
import { fires, type Occasion } from "./trigger.ts";

/** Hooks by kind, whatever the protocol. */
type HookTable<Args extends readonly unknown[]> = Readonly<Record<string, ((...args: Args) => unknown) | undefined>>;

export class Member {
  readonly name: string;
  readonly #send: HookTable<[AnyDraft, number]>;
  readonly #relay: HookTable<[AnyMessage, number]>;
  readonly #receive: HookTable<[Verified<AnyMessage>]>;
  readonly #when: Traitor["when"];
  readonly #random: Random;
  readonly #said: Set<string>;
  /** Changes that hooks made, by what was done; for those that say nothing. */
  readonly #done: Map<string, NodeName[]> = new Map();

  /** @param said - where the behaviour's own words arrive */
  constructor(traitor: Traitor, options: { readonly hooks: Hooks; readonly random: Random; readonly said: Set<string> }) {
    const { send = {}, relay = {}, receive = {} } = options.hooks;
    this.name = traitor.name;
    this.#send = send as unknown as HookTable<[AnyDraft, number]>;
    this.#relay = relay as unknown as HookTable<[AnyMessage, number]>;
    this.#receive = receive as unknown as HookTable<[Verified<AnyMessage>]>;
    this.#when = traitor.when;
    this.#random = options.random;
    this.#said = options.said;
  }

  fires(occasion: Occasion): boolean {
    return fires(this.#when, occasion, this.#random);
  }

  /** What the node now sends to `to` in place of `envelope`: itself when nothing changed. */
  rewrite(envelope: Envelope, to: NodeReference, state: Occasion["state"]): readonly Envelope[] {
    const { draft } = envelope;
    const hook = hookFor(this.#send, draft.kind);
    if (!hook || !this.fires({ ...positionOf(draft), to, state })) return [envelope];
    const outcome = hook(draft, numberOf(to));
    if (outcome === undefined) return [envelope];
    if (outcome === "hold") return [];
    const changed =
      outcome === "drop" ? [] : (Array.isArray(outcome) ? outcome : [outcome]).map((entry) => this.#envelope(envelope, entry));
    const [only] = changed;
    if (changed.length === 1 && only === envelope) return [envelope];
    this.#did(deed(envelope, changed), nameOf(to));
    return changed;
  }

  /** Ms to keep a message of somebody else, or undefined when it is not passed on at all. */
  relay(message: AnyMessage, to: number, state: Occasion["state"]): number | undefined {
    const hook = hookFor(this.#relay, message.kind);
    if (!hook || !this.fires({ ...positionOf(message), to, state })) return 0;
    const outcome = hook(message, to);
    if (outcome === undefined) return 0;
    if (outcome === "drop") this.#did(`did not pass on ${message.kind} to`, replicaName(to));
    else this.#did(`passed on ${message.kind} late to`, replicaName(to));
    return outcome === "drop" ? undefined : this.#delay((outcome as { delayMs?: unknown }).delayMs, message.kind);
  }

  /** False when the honest core must not see it. */
  hears(signed: Verified<AnyMessage>): boolean {
    const { kind, sender } = signed.message;
    const outcome = hookFor(this.#receive, kind)?.(signed);
    if (outcome === undefined) return true;
    if (outcome !== "drop") throw this.#wrong(kind, `a receive hook returns "drop" or nothing`);
    this.#did(`ignored ${kind} of`, kind === "request" ? clientName(sender) : replicaName(sender));
    return false;
  }

  /** What it has done since the last call, in its own words if it had any. */
  confess(): readonly string[] {
    const plain = [...this.#done].map(([what, whom]) => `${what} ${[...new Set(whom)].join(", ")}`);
    const words = this.#said.size > 0 ? [...this.#said] : plain;
    this.#said.clear();
    this.#done.clear();
    return words;
  }

  #did(what: string, whom: NodeName): void {
    const known = this.#done.get(what);
    if (known) known.push(whom);
    else this.#done.set(what, [whom]);
  }

  /** The envelope itself when the hook gave back what it was given. */
  #envelope(given: Envelope, entry: unknown): Envelope {
    const { kind } = given.draft;
    if (typeof entry !== "object" || entry === null) throw this.#wrong(kind, `it returned ${JSON.stringify(entry)}`);
    const altered =
      "message" in entry && !("kind" in entry)
        ? (entry as { message: AnyDraft; delayMs?: unknown; corruptSignature?: unknown })
        : undefined;
    const draft = altered?.message ?? (entry as AnyDraft);
    if (typeof draft.kind !== "string") throw this.#wrong(kind, "it returned an object that is no message");
    if (kind === "reply" && draft.kind !== kind) throw this.#wrong(kind, "clients are sent replies only");
    const delayMs = given.delayMs + this.#delay(altered?.delayMs ?? 0, kind);
    const corrupt = given.corrupt || altered?.corruptSignature === true;
    const same = sameDraft(draft, given.draft);
    if (same && delayMs === given.delayMs && corrupt === given.corrupt) return given;
    return { draft: same ? given.draft : Object.freeze({ ...draft }), delayMs, corrupt };
  }

  #delay(ms: unknown, kind: string): number {
    if (typeof ms === "number" && Number.isSafeInteger(ms) && ms >= 0 && ms < 2 ** 31) return ms;
    throw this.#wrong(kind, `expected delayMs to be an integer in 0..2^31-1, got ${ms}`);
  }

  #wrong(kind: string, what: string): LabError {
    const allowed = `a hook returns nothing, "drop", "hold", a message, { message, delayMs, corruptSignature }, or a list of those`;
    return new LabError("bad-traitor", `traitor "${this.name}", hook for ${kind}: ${what} (${allowed})`);
  }
}

function hookFor<Args extends readonly unknown[]>(table: HookTable<Args>, kind: string): ((...args: Args) => unknown) | undefined {
  return table[kind] ?? table["*"];
}

function positionOf(message: object): Pick<Occasion, "view" | "slot"> {
  const { view, slot } = message as { readonly view?: unknown; readonly slot?: unknown };
  return { view: typeof view === "number" ? view : undefined, slot: typeof slot === "number" ? slot : undefined };
}

function numberOf(to: NodeReference): number {
  return typeof to === "number" ? to : Number(to.slice("client-".length));
}

function nameOf(to: NodeReference): NodeName {
  return typeof to === "number" ? replicaName(to) : to;
}

function deed(before: Envelope, after: readonly Envelope[]): string {
  const { kind } = before.draft;
  const [first] = after;
  if (!first) return `withheld ${kind} from`;
  if (after.length > 1 || first.draft !== before.draft) return `changed ${kind} to`;
  return first.corrupt === before.corrupt ? `delayed ${kind} to` : `corrupted the signature of ${kind} to`;
}
