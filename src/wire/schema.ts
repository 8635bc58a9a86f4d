/**
 * Message schemas as data: each kind has a small code, a sender role and an ordered list of typed fields. The codec walks them;
 * nothing else knows the layout. On the wire a message is the array `[version, cluster, code, [sender, incarnation], ...fields]`.
 */
import type { Digest } from "../core/ids.ts";
import type { AnyMessage, Reply, Request, Signed, Verified } from "../core/message.ts";

/** What the canonical profile can hold (rule 88): unsigned integers below 2^53, byte strings, text, arrays. */
export type Plain = number | Uint8Array | string | readonly Plain[];

/** Thrown while decoding and caught by the codec; never leaves `wire`. */
export class Malformed extends Error {}

/** What a field may ask of the codec while it decodes. */
export interface DecodeContext {
  /** Decodes a message inside a message and notes it for the verifier. @throws Malformed */
  nested(payload: Uint8Array, signature: Uint8Array, kinds: readonly string[]): Signed<AnyMessage>;
}

/** One typed field: how a value becomes plain data and back. `fromPlain` throws {@link Malformed}. */
export interface Field<T> {
  toPlain(value: T): Plain;
  fromPlain(plain: unknown, context: DecodeContext): T;
  /** Only open clients write it, who stand in no file. */
  readonly openOnly?: true;
}

export interface MessageSchema<M extends AnyMessage = AnyMessage> {
  /** Small integer on the wire; unique among all protocols of the laboratory. */
  readonly code: number;
  readonly from: "replica" | "client";
  /** In wire order, which is the order in which the keys are written. */
  readonly fields: { readonly [K in Exclude<keyof M, "kind" | "sender" | "incarnation">]-?: Field<NonNullable<M[K]>> };
  /** The unsigned body that may travel beside, and the signed field that binds it (rule 8). */
  readonly body?: { readonly holds: "batch" | "snapshot"; readonly boundBy: Exclude<keyof M, "kind" | "sender" | "incarnation"> };
}

/** All kinds of one protocol. */
export type Schemas<M extends AnyMessage> = { readonly [K in M["kind"]]: MessageSchema<Extract<M, { kind: K }>> };

/** An unsigned integer of `max` at most; brands come back by the type asked for. */
export function uint<T extends number = number>(max: number = Number.MAX_SAFE_INTEGER): Field<T> {
  return {
    toPlain: (value) => value,
    fromPlain: (plain) => {
      if (typeof plain !== "number" || !Number.isSafeInteger(plain) || plain < 0 || plain > max)
        throw new Malformed(`expected an integer in 0..${max}`);
      return plain as T;
    },
  };
}

export const flag: Field<boolean> = {
  toPlain: (value) => (value ? 1 : 0),
  fromPlain: (plain) => {
    if (plain !== 0 && plain !== 1) throw new Malformed("expected 0 or 1");
    return plain === 1;
  },
};

/** A byte string of `min` to `max` bytes. */
export function bytes(max: number, min = 0): Field<Uint8Array> {
  return {
    toPlain: (value) => value,
    fromPlain: (plain) => {
      if (!(plain instanceof Uint8Array) || plain.length < min || plain.length > max) throw new Malformed(`expected ${min}..${max} bytes`);
      return plain;
    },
  };
}

/** 32 bytes on the wire, hex in memory. */
export const digest: Field<Digest> = {
  toPlain: (value) => hexToBytes(value),
  fromPlain: (plain) => {
    if (!(plain instanceof Uint8Array) || plain.length !== 32) throw new Malformed("expected a digest of 32 bytes");
    return bytesToHex(plain) as Digest;
  },
};

/** One of a fixed set of words, by its index. */
export function word<const W extends readonly string[]>(words: W): Field<W[number]> {
  return {
    toPlain: (value) => words.indexOf(value),
    fromPlain: (plain) => {
      const found = typeof plain === "number" ? words[plain] : undefined;
      if (found === undefined) throw new Malformed(`expected one of ${words.length} words`);
      return found;
    },
  };
}

export function list<T>(of: Field<T>, max: number): Field<readonly T[]> {
  return {
    toPlain: (values) => values.map((value) => of.toPlain(value)),
    fromPlain: (plain, context) => {
      if (!Array.isArray(plain) || plain.length > max) throw new Malformed(`expected at most ${max} entries`);
      return plain.map((entry) => of.fromPlain(entry, context));
    },
  };
}

/** A fixed-length array with named parts, in the order in which they are written. */
export function tuple<T extends object>(parts: { readonly [K in keyof T]: Field<T[K]> }): Field<T> {
  const names = Object.keys(parts) as (keyof T)[];
  return {
    toPlain: (value) => names.map((name) => parts[name].toPlain(value[name])),
    fromPlain: (plain, context) => {
      if (!Array.isArray(plain) || plain.length !== names.length) throw new Malformed(`expected ${names.length} parts`);
      const value: Partial<T> = {};
      for (const [index, name] of names.entries()) value[name] = parts[name].fromPlain(plain[index], context);
      return value as T;
    },
  };
}

/** A whole signed message of one of `kinds`, inside this one: `[payload, signature]`, the bytes as they were signed. */
export function nested<M extends AnyMessage>(...kinds: readonly M["kind"][]): Field<Verified<M>> {
  return {
    toPlain: (value) => [value.payload, value.signature],
    fromPlain: (plain, context) => {
      if (!Array.isArray(plain) || plain.length !== 2) throw new Malformed("expected a payload and a signature");
      const [payload, signature] = plain as unknown[];
      if (!(payload instanceof Uint8Array) || !(signature instanceof Uint8Array) || signature.length !== 64)
        throw new Malformed("expected a payload and a signature");
      // Branded only when the message around it is: the verifier checks everything that `nested` noted.
      return context.nested(payload, signature, kinds) as Verified<M>;
    },
  };
}

const hexOf = Array.from({ length: 256 }, (_, byte) => byte.toString(16).padStart(2, "0"));

export function bytesToHex(value: Uint8Array): string {
  let hex = "";
  for (const byte of value) hex += hexOf[byte];
  return hex;
}

/** @throws RangeError unless `hex` is pairs of lowercase hex digits: each value has one spelling (A88 m). */
export function hexToBytes(hex: string): Uint8Array {
  if (!/^(?:[0-9a-f]{2})*$/.test(hex))
    throw new RangeError(`expected pairs of lowercase hex digits, got ${JSON.stringify(hex.slice(0, 80))}`);
  const value = new Uint8Array(hex.length / 2);
  for (let index = 0; index < value.length; index++) value[index] = Number.parseInt(hex.slice(2 * index, 2 * index + 2), 16);
  return value;
}

/** The laboratory's own kinds, the same under every protocol. */
export const commonSchemas: Schemas<Request | Reply> = {
  request: {
    code: 1,
    from: "client",
    fields: { number: uint(), operation: bytes(1 << 20), publicKey: { ...bytes(32, 32), openOnly: true } },
  },
  reply: {
    code: 2,
    from: "replica",
    fields: { view: uint(), client: uint(), results: list(tuple({ number: uint(), result: bytes(1 << 20) }), 4096) },
  },
};
