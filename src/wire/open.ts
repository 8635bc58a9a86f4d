/**
 * Opening: received bytes become a verified message, or a rejection. Nothing that a peer can send makes it throw.
 *
 * What is cheap is checked first, signatures late (A83): size, shape, version, cluster, kind, sender, incarnation, whether anybody
 * wants it; then the signature, then those of the messages inside; then the body.
 */
import type { Limits } from "../core/cluster.ts";
import type { DigestFunction, Peek } from "../core/contract.ts";
import type { Digest } from "../core/ids.ts";
import { type AnyMessage, type OpenedBatch, type Reply, type Request, type Signed, trusted, type Verified } from "../core/message.ts";
import type { Rejection, RejectionCode } from "../core/rejection.ts";
import type { SignatureScheme } from "../crypto/signature.ts";
import { decodeBatch } from "./batch.ts";
import { type DecodedPayload, decodePayload, type KindTable, kindTable, type NestedMessage } from "./codec.ts";
import { decodeFrame } from "./frame.ts";
import type { Schemas } from "./schema.ts";
import { type KeyLookup, type Keys, keyLookup, rememberingCheck, type SignatureCheck } from "./signatures.ts";

export interface OpenerOptions<M extends AnyMessage> extends Keys {
  readonly schemas: Schemas<M>;
  readonly cluster: Digest;
  readonly limits: Limits;
  readonly verify: SignatureScheme["verify"];
  readonly digest: DigestFunction;
  /** The admitted incarnation of a replica (rule 77). @defaultValue 0 for each */
  readonly incarnationOf?: (replica: number) => number;
  /** Good signatures remembered; 0 remembers none, which is right where verifying is cheaper than a digest. @defaultValue 8192 */
  readonly signaturesKept?: number;
}

export type Opened<M extends AnyMessage> =
  | { readonly ok: true; readonly message: Verified<M | Request | Reply> }
  | {
      readonly ok: false;
      readonly rejection: Rejection;
      /** Whom the frame names as its sender; nothing proves it. */
      readonly sender?: number;
      /** A signature, or the key of an open client, was checked and found bad: the peer that delivered this is to be cut off. Correct peers relay only what they verified. */
      readonly signatureFailed: boolean;
    };

export interface Opener<M extends AnyMessage> {
  /**
   * @param wants - asked before signatures are checked; false ends it with the rejection `duplicate`
   */
  open(frame: Uint8Array, wants?: (peek: Peek) => boolean): Opened<M>;
}

/** What the steps share. */
interface Context {
  readonly table: KindTable;
  readonly keyOf: KeyLookup;
  readonly limits: Limits;
  readonly digest: DigestFunction;
  readonly check: SignatureCheck;
  readonly incarnationOf: (replica: number) => number;
}

/** @throws Error when `schemas` clash with the laboratory's own kinds */
export function createOpener<M extends AnyMessage>(options: OpenerOptions<M>): Opener<M> {
  const { limits, digest, verify, incarnationOf = () => 0, signaturesKept = 8192 } = options;
  const context: Context = {
    table: kindTable(options.schemas, options.cluster),
    keyOf: keyLookup(options, digest),
    limits,
    digest,
    check: rememberingCheck(verify, digest, signaturesKept),
    incarnationOf,
  };
  // The kinds of the table are those of M, Request and Reply, and nothing else is decoded.
  return { open: (frame, wants) => openFrame(context, frame, wants) as Opened<M> };
}

function openFrame(context: Context, bytes: Uint8Array, wants: ((peek: Peek) => boolean) | undefined): Opened<AnyMessage> {
  const split = decodeFrame(bytes, context.limits);
  if (!split.ok) return rejected(split.code, split);
  const { payload, signature, body } = split.frame;
  const inside: NestedMessage[] = [];
  const decoded = decodePayload(context.table, payload, inside);
  if (!decoded.ok) return rejected(decoded.code, decoded);

  const { message, entry } = decoded;
  const refuse = (code: RejectionCode, signatureFailed = false): Opened<AnyMessage> =>
    rejected(code, { kind: message.kind, sender: message.sender, signatureFailed });
  const unacceptable = refuseOperation(context, message) ?? refuseSender(context, decoded) ?? refuseInside(context, inside);
  if (unacceptable) return refuse(unacceptable, unacceptable === "bad-key");
  if (body && !entry.schema.body) return refuse("unwanted-body");
  if (wants && !wants(peekOf(message))) return refuse("duplicate");

  if (!verifies(context, { signed: { message, payload, signature }, entry })) return refuse("bad-signature", true);
  if (!inside.every((nested) => verifies(context, nested))) return refuse("bad-signature", true);
  if (!body || !entry.schema.body) return { ok: true, message: trusted({ message, payload, signature }) };

  const { holds, boundBy } = entry.schema.body;
  const bound = (message as unknown as Readonly<Record<string, unknown>>)[boundBy];
  if (context.digest(holds === "batch" ? "batch" : "checkpoint", body) !== bound) return refuse("body-mismatch");
  const signed = { message, payload, signature, body };
  return { ok: true, message: trusted(holds === "batch" ? { ...signed, batch: openBatch(context, body) } : signed) };
}

function rejected(
  code: RejectionCode,
  about: { readonly kind?: string; readonly detail?: string; readonly sender?: number; readonly signatureFailed?: boolean },
): Opened<AnyMessage> {
  const { kind, detail, sender, signatureFailed = false } = about;
  const rejection: Rejection = { code, ...(kind !== undefined && { kind }), ...(detail !== undefined && { detail }) };
  return { ok: false, rejection, ...(sender !== undefined && { sender }), signatureFailed };
}

function peekOf(message: AnyMessage): Peek {
  const { view, slot, digest } = message as AnyMessage & { readonly view?: unknown; readonly slot?: unknown; readonly digest?: unknown };
  return {
    kind: message.kind,
    sender: message.sender,
    ...(typeof view === "number" && { view }),
    ...(typeof slot === "number" && { slot }),
    ...(typeof digest === "string" && { digest: digest as Digest }),
  };
}

/** Clients are never re-admitted: their incarnation is 0. */
function refuseSender(context: Context, { message, entry }: Pick<DecodedPayload, "message" | "entry">): RejectionCode | undefined {
  const key = context.keyOf(entry, message);
  if (typeof key === "string") return key;
  const admitted = entry.schema.from === "replica" ? context.incarnationOf(message.sender) : 0;
  return message.incarnation === admitted ? undefined : "wrong-incarnation";
}

/** Votes of an earlier incarnation stay valid inside certificates; up to which slot is the core's to judge (rule 77). */
function refuseInside(context: Context, inside: readonly NestedMessage[]): RejectionCode | undefined {
  for (const { signed, entry } of inside) {
    const { message } = signed;
    const key = context.keyOf(entry, message);
    if (typeof key === "string") return key;
    const admitted = entry.schema.from === "replica" ? context.incarnationOf(message.sender) : 0;
    if (message.incarnation > admitted) return "wrong-incarnation";
  }
  return undefined;
}

function isRequest(message: AnyMessage): message is Request {
  return message.kind === "request";
}

function refuseOperation(context: Context, message: AnyMessage): RejectionCode | undefined {
  return isRequest(message) && message.operation.length > context.limits.operationBytes ? "operation-too-large" : undefined;
}

function verifies(context: Context, { signed, entry }: NestedMessage): boolean {
  const key = context.keyOf(entry, signed.message);
  return typeof key !== "string" && context.check(entry, key, signed.payload, signed.signature);
}

const onlyRequests: readonly string[] = ["request"];

/** The same answer at every replica, since it depends on bytes and the cluster file alone (rule 14). */
function openBatch(context: Context, body: Uint8Array): OpenedBatch {
  const bad = (code: RejectionCode): OpenedBatch => ({ valid: false, code });
  if (body.length > context.limits.batchBytes) return bad("batch-too-large");
  const parts = decodeBatch(body);
  if (!parts) return bad("bad-batch");
  if (parts.requests.length > context.limits.batchRequests) return bad("batch-too-large");

  const requests: NestedMessage[] = [];
  for (const [payload, signature] of parts.requests) {
    const decoded = decodePayload(context.table, payload, [], onlyRequests);
    if (!decoded.ok) return bad("bad-batch");
    const unacceptable = refuseOperation(context, decoded.message) ?? refuseSender(context, decoded);
    if (unacceptable) return bad(unacceptable);
    requests.push({ signed: { message: decoded.message, payload, signature }, entry: decoded.entry });
  }
  if (!requests.every((request) => verifies(context, request))) return bad("bad-request-signature");
  return { valid: true, timestamp: parts.timestamp, requests: requests.map(({ signed }) => trusted(signed as Signed<Request>)) };
}
