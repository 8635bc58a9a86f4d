/**
 * Linearizability of a key-value history: is there one order of its operations that keeps real time and explains every result?
 * Per key, which is enough (M. Herlihy, J. Wing, TOPLAS 1990; A. Horn, D. Kroening, FORTE 2015); for each key the search of J. Wing and
 * C. Gong (JPDC 1993), never twice from the same point (G. Lowe, CCPE 2017). It judges only what clients saw, so it needs no replica.
 */
import { clientName } from "../core/ids.ts";
import { invariant } from "../core/invariant.ts";
import { LabError } from "../core/lab-error.ts";
import { decodeOperation, decodeResult, type KeyValueOperation, type KeyValueResult } from "../services/key-value.ts";
import { hexToBytes } from "../wire/schema.ts";
import { readHistory } from "./history.ts";
import type { TraceRecord } from "./trace.ts";

/** One operation as its client saw it. Times in ms, of one clock for all clients. */
export interface ClientOperation {
  /** Who asked, for the words of an explanation. A client may have several operations under way. */
  readonly client: string;
  readonly operation: KeyValueOperation;
  readonly invokedAt: number;
  /** Without it, or without a result, the outcome is unknown: it took effect at any time after its invocation, or never. */
  readonly returnedAt?: number;
  /**
   * An error says that the store refused the operation: it had no effect, and that is always allowed, because a full store depends on
   * other keys. Except for `bad-result`, which says nothing: the outcome is then unknown.
   */
  readonly result?: KeyValueResult;
}

export interface LinearizabilityOptions {
  /**
   * Events that the search may look at, over all keys; also what bounds its memory. Each key gets an equal share of what the keys
   * before it left. An integer from 1. @defaultValue 10_000_000
   */
  readonly steps?: number;
}

export type Linearizability =
  | { readonly ok: true }
  | {
      readonly ok: false;
      readonly key: string;
      /** The longest order found that explains results: its operations are linearizable without the others. */
      readonly prefix: readonly ClientOperation[];
      /** After it one of these would have to come next, and none can. */
      readonly stuck: readonly ClientOperation[];
      /** The same in words. */
      readonly because: string;
    }
  /** The bound was reached for these keys; no other key has a violation. */
  | { readonly ok: "unknown"; readonly keys: readonly string[]; readonly because: string };

/**
 * Judges a history. An operation that returned at t and one that was invoked at t are concurrent. Every key is absent at first.
 * The first key with a violation decides, in the order in which keys appear, even where the search of another was given up.
 *
 * @throws LabError when an operation returned before its invocation, or `steps` is no integer from 1
 */
export function checkLinearizable(history: Iterable<ClientOperation>, options: LinearizabilityOptions = {}): Linearizability {
  const { steps = 10_000_000 } = options;
  if (!Number.isSafeInteger(steps) || steps < 1) throw new LabError("bad-option", `steps is an integer from 1, got ${steps}`);
  const byKey = new Map<string, ClientOperation[]>();
  for (const operation of history) {
    const { key } = operation.operation;
    byKey.set(key, byKey.get(key) ?? []);
    byKey.get(key)?.push(operation);
  }
  const givenUp: string[] = [];
  let stepsLeft = steps;
  let keysLeft = byKey.size;
  for (const [key, operations] of byKey) {
    const search = new Search(key, operations, Math.floor(stepsLeft / keysLeft));
    const found = search.run();
    if (found === "given-up") givenUp.push(key);
    else if (!found.ok) return found;
    stepsLeft -= search.steps;
    keysLeft -= 1;
  }
  if (givenUp.length === 0) return { ok: true };
  const because = `${steps} steps were not enough for ${givenUp.length} of ${byKey.size} keys, the first being ${quoted(givenUp[0] ?? "")}`;
  return { ok: "unknown", keys: givenUp, because };
}

/**
 * The key-value operations of a trace's correct clients. What never returned has an unknown outcome; what is no operation of the
 * store is left out, because the store refuses it. What traitor clients wrote is not in it: a history that read it is no evidence.
 *
 * @throws LabError when the trace does not begin with a run record; RangeError when an operation or result is not hex
 */
export function operationsOf(trace: Iterable<TraceRecord>): ClientOperation[] {
  return [...readHistory(trace).invocations.values()].flat().flatMap(({ record, returned }) => {
    const operation = decodeOperation(hexToBytes(record.op));
    if (!operation) return [];
    const outcome = returned && { returnedAt: returned.at, result: decodeResult(hexToBytes(returned.result)) };
    return [{ client: clientName(record.client), operation, invokedAt: record.at, ...outcome }];
  });
}

/** What stands under the key, numbered. */
type Value = number;
const absent: Value = 0;

/** What must stand there before: a value, or one of these. */
const anything = -1;
const present = -2;
const impossible = -3;

/** An operation as a change of the key's value. */
interface Move {
  readonly of: ClientOperation;
  /** It returned, so that it must have its place; otherwise only where it changes something. */
  readonly certain: boolean;
  readonly from: Value | typeof anything | typeof present | typeof impossible;
  /** Undefined: what stood there before. */
  readonly to: Value | undefined;
}

interface Link {
  next: Event | undefined;
}

/** An invocation or a return, in a list from which operations that have their place are taken out. */
interface Event extends Link {
  readonly at: number;
  readonly move: Move;
  readonly isReturn: boolean;
  /** Of an invocation, where it is known. */
  readonly return: Event | undefined;
  /** Its place in the whole list. */
  index: number;
  previous: Link;
}

/** Why an operation cannot come next; `needed`: it would overwrite what others must still find. */
type Obstacle = "never" | "other-value" | "idle" | "needed";

/** A point of the search: what can come next, and which of it was tried. */
interface Point {
  readonly value: Value;
  readonly choices: readonly Event[];
  tried: number;
}

/** In words; all of them are in `stuck`. */
const obstaclesTold = 5;

/** Where nothing can come next, and why. */
interface DeadEnd {
  readonly value: Value;
  readonly prefix: readonly Move[];
  /** Operations of the prefix whose result is known. */
  readonly certain: number;
  readonly stuck: readonly { readonly move: Move; readonly obstacle: Obstacle }[];
}

class Search {
  readonly #key: string;
  readonly #moves: readonly Move[];
  readonly #bound: number;
  readonly #values = new Map<string | undefined, Value>([[undefined, absent]]);
  /** Before the first event. */
  readonly #head: Link;
  /** By value: operations without a place that must find it, and that may write it. */
  readonly #readers: number[] = [];
  readonly #writers: number[] = [];
  readonly #order: Event[] = [];
  readonly #seen = new Set<string>();
  #placed = 0;
  #longest: DeadEnd | undefined;
  #steps = 0;

  constructor(key: string, operations: readonly ClientOperation[], bound: number) {
    this.#key = key;
    this.#bound = bound;
    this.#moves = operations.flatMap((operation) => this.#moveOf(operation) ?? []);
    this.#head = listOf(this.#moves);
    for (const move of this.#moves) this.#count(move, 1);
  }

  /** Events looked at. */
  get steps(): number {
    return this.#steps;
  }

  run(): Exclude<Linearizability, { ok: "unknown" }> | "given-up" {
    const orphan = this.#moves.find((move) => this.#isOrphan(move, absent));
    if (orphan) return this.#violation({ value: absent, prefix: [], certain: 0, stuck: [{ move: orphan, obstacle: "never" }] });
    const points: Point[] = [];
    let value: Value = absent;
    for (;;) {
      const point = this.#arrive(value);
      if (point === "done") return { ok: true };
      if (this.#steps > this.#bound) return "given-up";
      if (point) points.push(point);
      else this.#takeBack();
      const next = this.#goOn(points);
      if (next === undefined) break;
      value = next;
    }
    invariant(this.#longest !== undefined, "a search that fails came to an end somewhere");
    return this.#violation(this.#longest);
  }

  /** Places the next choice of the latest point that has one left; undefined when none has. */
  #goOn(points: Point[]): Value | undefined {
    for (let point = points.at(-1); point; point = points.at(-1)) {
      const choice = point.choices[point.tried];
      if (choice) {
        point.tried += 1;
        this.#place(choice);
        return choice.move.to ?? point.value;
      }
      points.pop();
      this.#takeBack();
    }
    return undefined;
  }

  /** Undefined where the search was before. */
  #arrive(value: Value): Point | "done" | undefined {
    const open: Event[] = [];
    let event = this.#head.next;
    for (; event && !event.isReturn; event = event.next) open.push(event);
    this.#steps += open.length + 1;
    // What has no known return need not have happened.
    if (!event) return "done";
    // What is open tells which return this is. All that was invoked before it has its place but for what is open, and nothing after.
    const here = `${value}:${open.map(({ index }) => index).join()}`;
    if (this.#seen.has(here)) return undefined;
    this.#seen.add(here);
    const choices = this.#choicesAmong(open, value);
    if (choices.length === 0 && (this.#longest === undefined || this.#placed > this.#longest.certain)) {
      const stuck = open.map(({ move }) => ({ move, obstacle: this.#obstacle(move, value) ?? "idle" }));
      this.#longest = { value, prefix: this.#order.map(({ move }) => move), certain: this.#placed, stuck };
    }
    return { value, choices, tried: 0 };
  }

  #choicesAmong(open: readonly Event[], value: Value): readonly Event[] {
    const possible = open.filter(({ move }) => this.#obstacle(move, value) === undefined);
    // What changes nothing can as well come at once: had it a later place, it could be moved to here.
    const idle = possible.find(({ move }) => move.to === undefined);
    if (idle) return [idle];
    // Likely first: effects come in about the order of returns, and what is unknown rarely explains anything.
    const position = (event: Event): number => event.return?.index ?? Number.MAX_SAFE_INTEGER;
    return possible.sort((a, b) => position(a) - position(b));
  }

  /** Why the move cannot come next where `value` stands. */
  #obstacle(move: Move, value: Value): Obstacle | undefined {
    if (this.#isOrphan(move, value)) return "never";
    if (move.from === present ? value === absent : move.from >= absent && move.from !== value) return "other-value";
    if (move.to === undefined || move.to === value) return move.certain ? undefined : "idle";
    const readersLeft = (this.#readers[value] ?? 0) - (move.certain && move.from === value ? 1 : 0);
    return readersLeft > 0 && this.#writers[value] === 0 ? "needed" : undefined;
  }

  /** What it found does not stand there, and nothing without a place writes it. */
  #isOrphan({ certain, from }: Move, value: Value): boolean {
    return certain && (from === impossible || (from >= absent && from !== value && this.#writers[from] === 0));
  }

  #place(event: Event): void {
    unlink(event);
    if (event.return) unlink(event.return);
    this.#order.push(event);
    if (event.move.certain) this.#placed += 1;
    this.#count(event.move, -1);
  }

  #takeBack(): void {
    const event = this.#order.pop();
    if (!event) return;
    // In the opposite order, so that each finds its neighbours as it left them.
    if (event.return) relink(event.return);
    relink(event);
    if (event.move.certain) this.#placed -= 1;
    this.#count(event.move, 1);
  }

  #count({ certain, from, to }: Move, by: 1 | -1): void {
    if (certain && from >= absent) this.#readers[from] = (this.#readers[from] ?? 0) + by;
    if (to !== undefined) this.#writers[to] = (this.#writers[to] ?? 0) + by;
  }

  /** Undefined for what has no effect, whatever its place. */
  #moveOf(operation: ClientOperation): Move | undefined {
    const { invokedAt, returnedAt, result } = operation;
    if (!(invokedAt <= (returnedAt ?? Number.POSITIVE_INFINITY))) {
      throw new LabError("bad-history", `${describe(operation)}: an operation returns at or after its invocation`);
    }
    const isUnknown = returnedAt === undefined || !result || (result.type === "error" && result.code === "bad-result");
    if (isUnknown && operation.operation.type === "get") return undefined;
    if (!isUnknown && result.type === "error") return undefined;
    // Of an unknown outcome only success matters: any other is as if it had not happened.
    const [from, to] = this.#change(operation.operation, isUnknown ? { type: "ok" } : result);
    return { of: operation, certain: !isUnknown, from, to };
  }

  /** What the operation must have found, and what it left, to have that result. */
  #change(operation: KeyValueOperation, result: KeyValueResult): readonly [Move["from"], Value | undefined] {
    const found = result.type === "value" ? result.value : undefined;
    if (result.type === "ok") {
      if (operation.type === "put") return [anything, this.#number(operation.value)];
      if (operation.type === "cas") return [this.#number(operation.expected), this.#number(operation.value)];
      return operation.type === "del" ? [present, absent] : [impossible, undefined];
    }
    const isRead = operation.type === "get" || (operation.type === "cas" && operation.expected !== found);
    return isRead || (operation.type === "del" && result.type === "none") ? [this.#number(found), undefined] : [impossible, undefined];
  }

  #number(text: string | undefined): Value {
    const value = this.#values.get(text) ?? this.#values.size;
    this.#values.set(text, value);
    this.#readers[value] ??= 0;
    this.#writers[value] ??= 0;
    return value;
  }

  #words(value: Value): string {
    const text = [...this.#values.keys()][value];
    return text === undefined ? "nothing" : quoted(text);
  }

  #violation({ value, prefix, stuck }: DeadEnd): Linearizability & { ok: false } {
    const last = prefix.at(-1);
    const stands = this.#words(value);
    const where = last
      ? `after ${prefix.length} operation${prefix.length === 1 ? "" : "s"}, the last being ${describe(last.of)}, ${stands}`
      : stands;
    const obstacles = stuck.map(({ move, obstacle }) => {
      const reader =
        obstacle === "needed" &&
        this.#moves.find((other) => other !== move && other.certain && other.from === value && !prefix.includes(other));
      const words: Readonly<Record<Obstacle, string>> = {
        never: "which nothing left can lead to",
        "other-value": `but ${stands} stands there`,
        idle: "but it would change nothing",
        needed: `but ${reader ? describe(reader.of) : ""} must find ${stands}, which nothing writes again`,
      };
      return `${describe(move.of)}, ${words[obstacle]}`;
    });
    const more = obstacles.length > obstaclesTold ? `; and ${obstacles.length - obstaclesTold} more` : "";
    const told = obstacles.slice(0, obstaclesTold).join("; ");
    const because = `${where} stands under ${quoted(this.#key)}, and nothing can come next: ${told}${more}`;
    return { ok: false, key: this.#key, prefix: prefix.map(({ of }) => of), stuck: stuck.map(({ move }) => move.of), because };
  }
}

/** Invocations and returns by time, an invocation before a return of the same time. */
function listOf(moves: readonly Move[]): Link {
  const head: Link = { next: undefined };
  const events = moves.flatMap((move) => {
    const rest = { move, index: 0, previous: head, next: undefined };
    const returned = { ...rest, at: move.of.returnedAt ?? 0, isReturn: true, return: undefined };
    const invoked = { ...rest, at: move.of.invokedAt, isReturn: false, return: move.certain ? returned : undefined };
    return move.certain ? [invoked, returned] : [invoked];
  });
  events.sort((a, b) => a.at - b.at || Number(a.isReturn) - Number(b.isReturn));
  let previous = head;
  for (const [index, event] of events.entries()) {
    event.index = index;
    event.previous = previous;
    previous.next = event;
    previous = event;
  }
  return head;
}

function unlink(event: Event): void {
  event.previous.next = event.next;
  if (event.next) event.next.previous = event.previous;
}

/** Undoes the latest {@link unlink} that is not undone. */
function relink(event: Event): void {
  event.previous.next = event;
  if (event.next) event.next.previous = event;
}

function describe({ client, operation, invokedAt, returnedAt, result }: ClientOperation): string {
  const outcome = result && (result.type === "value" ? quoted(result.value) : result.type === "error" ? result.code : result.type);
  const until = returnedAt === undefined || outcome === undefined ? "outcome unknown" : `${outcome} at ${returnedAt}`;
  return `${client}'s ${inWords(operation)} (invoked at ${invokedAt}, ${until})`;
}

function inWords(operation: KeyValueOperation): string {
  if (operation.type === "put") return `put ${quoted(operation.value)}`;
  if (operation.type !== "cas") return operation.type;
  return `cas from ${operation.expected === undefined ? "nothing" : quoted(operation.expected)} to ${quoted(operation.value)}`;
}

function quoted(text: string): string {
  return JSON.stringify(text.length <= 64 ? text : `${text.slice(0, 63)}…`);
}
