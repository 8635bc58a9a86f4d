/**
 * Messages to bytes and back, and the bytes that a signature covers.
 *
 * The room `wire` holds the layout of messages, the codec, sealing and opening. It imports `core` and `crypto` only; msgpackr is
 * known to `msgpack.ts` alone. Signatures are over the payload as it was received, never over an encoding of our own (rule 87).
 */

import { concatBytes, utf8ToBytes } from "@noble/hashes/utils.js";
import { sameBytes } from "../core/bytes.ts";
import { type Digest, isOpenClient } from "../core/ids.ts";
import type { AnyMessage, Signed } from "../core/message.ts";
import type { RejectionCode } from "../core/rejection.ts";
import { decode, encode } from "./msgpack.ts";
import { commonSchemas, type DecodeContext, type Field, hexToBytes, Malformed, type MessageSchema, type Schemas } from "./schema.ts";

/** The wire version that this code speaks: the first number of every payload. */
const wireVersion = 1;

/** How deep messages may lie within messages. */
const nestingMax = 2;

/** What a signature may be for besides a message kind; no kind may be called so (rule 86). */
const reservedTags: readonly string[] = ["handshake"];

interface FieldEntry {
  readonly name: string;
  readonly field: Field<unknown>;
}

/** The fields that a message of this sender has, in wire order: what decides is signed, so no message has two layouts. */
function fieldsBy({ fields, openFields }: KindEntry, sender: number): readonly FieldEntry[] {
  return isOpenClient(sender) ? openFields : fields;
}

/** One kind, ready for the codec. */
export interface KindEntry {
  readonly kind: string;
  readonly schema: MessageSchema;
  readonly fields: readonly FieldEntry[];
  /** The same with what open clients write besides. */
  readonly openFields: readonly FieldEntry[];
  /** What precedes the payload in the signed bytes. */
  readonly prefix: Uint8Array;
}

/** The kinds of one protocol and the laboratory's own, by name and by code, as one cluster speaks them. */
export interface KindTable {
  readonly cluster: Uint8Array;
  readonly byKind: ReadonlyMap<string, KindEntry>;
  readonly byCode: ReadonlyMap<number, KindEntry>;
}

/** Why bytes are no message: a code of the rejection registry and what in particular. */
export interface Refusal {
  readonly ok: false;
  readonly code: RejectionCode;
  readonly kind?: string;
  readonly detail: string;
}

export interface DecodedPayload {
  readonly ok: true;
  readonly message: AnyMessage;
  readonly entry: KindEntry;
}

/** A message found inside another; its signature is still to be checked. */
export interface NestedMessage {
  readonly signed: Signed<AnyMessage>;
  readonly entry: KindEntry;
}

/**
 * Merges a protocol's kinds with {@link commonSchemas}, for one cluster.
 *
 * @throws Error naming the kind when a name or code is taken, or a name cannot be a signature tag
 */
export function kindTable<M extends AnyMessage>(schemas: Schemas<M>, cluster: Digest): KindTable {
  const byKind = new Map<string, KindEntry>();
  const byCode = new Map<number, KindEntry>();
  for (const [kind, schema] of [...Object.entries(commonSchemas), ...Object.entries(schemas)] as [string, MessageSchema][]) {
    if (!/^[a-z][a-z0-9-]*$/.test(kind) || reservedTags.includes(kind))
      throw new Error(`message kind ${JSON.stringify(kind)}: expected small letters, digits and hyphens, and none of ${reservedTags}`);
    if (byKind.has(kind)) throw new Error(`message kind ${kind}: the laboratory has a kind of this name`);
    const other = byCode.get(schema.code);
    if (other) throw new Error(`message kind ${kind}: its code ${schema.code} is that of ${other.kind}`);
    const openFields = Object.entries(schema.fields).map(([name, field]) => ({ name, field: field as Field<unknown> }));
    const fields = openFields.filter(({ field }) => !field.openOnly);
    const entry: KindEntry = { kind, schema, fields, openFields, prefix: signedPrefix(cluster, kind) };
    byKind.set(kind, entry);
    byCode.set(schema.code, entry);
  }
  return { cluster: hexToBytes(cluster), byKind, byCode };
}

/**
 * What a signature covers (rule 86): `"quorate/v1" 00 cluster 00 tag 00 bytes`. `tag` is the message kind, or `"handshake"`; so nothing
 * signed for one cluster, kind or purpose can be replayed as another (A88 i, j).
 */
export function signedBytes(cluster: Digest, tag: string, bytes: Uint8Array): Uint8Array {
  return concatBytes(signedPrefix(cluster, tag), bytes);
}

function signedPrefix(cluster: Digest, tag: string): Uint8Array {
  return concatBytes(utf8ToBytes("quorate/v1\0"), hexToBytes(cluster), utf8ToBytes(`\0${tag}\0`));
}

/** The bytes that the signature of a message of this kind covers. */
export function signedPayload(entry: KindEntry, payload: Uint8Array): Uint8Array {
  return concatBytes(entry.prefix, payload);
}

/** @throws Error naming the kinds there are, when this is none of them */
export function kindEntry(table: KindTable, kind: string): KindEntry {
  const entry = table.byKind.get(kind);
  if (!entry) throw new Error(`message kind ${kind}: expected one of ${[...table.byKind.keys()].join(", ")}`);
  return entry;
}

/**
 * `[version, cluster, code, [sender, incarnation], ...fields]`.
 *
 * @throws RangeError naming the kind, when a field holds what the wire cannot carry
 */
export function encodePayload(table: KindTable, entry: KindEntry, message: AnyMessage): Uint8Array {
  const values = message as unknown as Readonly<Record<string, unknown>>;
  try {
    const fields = fieldsBy(entry, message.sender).map(({ name, field }) => field.toPlain(values[name]));
    return encode([wireVersion, table.cluster, entry.schema.code, [message.sender, message.incarnation], ...fields]);
  } catch (cause) {
    throw new RangeError(`a ${message.kind} that the wire cannot carry: ${cause instanceof Error ? cause.message : cause}`, { cause });
  }
}

/**
 * Reads a payload. Everything is checked but who the sender is and whether it signed this; the messages inside are appended to
 * `found`, whose signatures the caller must check before it believes the message.
 *
 * @param kinds - the kinds that may stand here; all by default
 */
export function decodePayload(
  table: KindTable,
  payload: Uint8Array,
  found: NestedMessage[],
  kinds?: readonly string[],
): DecodedPayload | Refusal {
  return decodeAt(table, payload, found, kinds, 0);
}

function decodeAt(
  table: KindTable,
  payload: Uint8Array,
  found: NestedMessage[],
  kinds: readonly string[] | undefined,
  depth: number,
): DecodedPayload | Refusal {
  const decoded = decode(payload);
  if (!decoded.ok) return refusal("malformed", decoded.reason);
  if (!Array.isArray(decoded.value)) return refusal("malformed", "expected an array");
  const [version, cluster, code, header, ...values] = decoded.value as readonly unknown[];
  if (version !== wireVersion) return refusal("wrong-version", `expected version ${wireVersion}`);
  if (!isBytes(cluster, table.cluster)) return refusal("wrong-cluster", "expected this cluster's digest");
  const entry = typeof code === "number" ? table.byCode.get(code) : undefined;
  if (!entry) return refusal("unknown-kind", `code ${typeof code === "number" ? code : "missing"}`);
  const { kind } = entry;
  if (kinds && !kinds.includes(kind)) return refusal("malformed", `expected ${kinds.join(" or ")} here`, kind);
  const sender = senderOf(header);
  if (!sender) return refusal("malformed", "expected [sender, incarnation]", kind);
  const layout = fieldsBy(entry, sender.sender);
  if (values.length !== layout.length) return refusal("malformed", `expected ${layout.length} fields`, kind);
  try {
    return { ok: true, entry, message: { kind, ...sender, ...fieldsOf(layout, values, contextAt(table, found, depth)) } };
  } catch (error) {
    if (error instanceof Refused) return { ...error.refusal, kind };
    if (error instanceof Malformed) return refusal("malformed", error.message, kind);
    throw error;
  }
}

function refusal(code: RejectionCode, detail: string, kind?: string): Refusal {
  return { ok: false, code, detail, ...(kind !== undefined && { kind }) };
}

function isBytes(value: unknown, expected: Uint8Array): boolean {
  return value instanceof Uint8Array && sameBytes(value, expected);
}

function senderOf(header: unknown): { sender: number; incarnation: number } | undefined {
  if (!Array.isArray(header) || header.length !== 2) return undefined;
  const [sender, incarnation] = header as unknown[];
  return typeof sender === "number" && typeof incarnation === "number" ? { sender, incarnation } : undefined;
}

function fieldsOf(layout: readonly FieldEntry[], values: readonly unknown[], context: DecodeContext): Record<string, unknown> {
  const fields: Record<string, unknown> = {};
  for (const [index, { name, field }] of layout.entries()) fields[name] = field.fromPlain(values[index], context);
  return fields;
}

/** A message inside is not acceptable, for a reason of its own. */
class Refused extends Malformed {
  readonly refusal: Refusal;
  constructor(refusal: Refusal) {
    super(refusal.detail);
    this.refusal = refusal;
  }
}

function contextAt(table: KindTable, found: NestedMessage[], depth: number): DecodeContext {
  return {
    nested(payload, signature, kinds) {
      if (depth === nestingMax) throw new Malformed("messages are nested too deep");
      const inner = decodeAt(table, payload, found, kinds, depth + 1);
      if (!inner.ok) throw new Refused({ ...inner, detail: `a message inside: ${inner.detail}` });
      const signed: Signed<AnyMessage> = { message: inner.message, payload, signature };
      found.push({ signed, entry: inner.entry });
      return signed;
    },
  };
}
