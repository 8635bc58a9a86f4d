/** Messages made to measure, under genuine signatures: what honest replicas would say, and what traitors could. */
import { type Digest, digestOf, slot as slotOf, view as viewOf } from "../../src/core/ids.ts";
import type { Request, Verified } from "../../src/core/message.ts";
import { nobleDigest } from "../../src/crypto/digest.ts";
import type { MessageOf, Rig } from "./rig.ts";

export type PrePrepare = MessageOf<"pre-prepare">;
export type Prepare = MessageOf<"prepare">;
export type Commit = MessageOf<"commit">;
export type Checkpoint = MessageOf<"checkpoint">;
export type ViewChange = MessageOf<"view-change">;
export type NewView = MessageOf<"new-view">;
export type Certificate = ViewChange["prepared"][number];

/** A digest of nothing in particular. */
export const someDigest = (name: string): Digest =>
  nobleDigest(
    "random",
    Uint8Array.from(name, (letter) => letter.charCodeAt(0)),
  );

/** The digest that a proposal binds. */
export const digestIn = (proposal: Verified<PrePrepare>): Digest => proposal.message.digest;

/** A proposal without its body, as certificates and O carry it. */
export function bare(rig: Rig, view: number, slot: number, digest: string, by = view % rig.cluster.n): Verified<PrePrepare> {
  return rig.seal(by, { kind: "pre-prepare", view: viewOf(view), slot: slotOf(slot), digest: digestOf(digest) });
}

/** A proposal whose body the verifier found invalid: a request that nobody signed, say. */
export function invalidProposal(rig: Rig, slot: number, requests: readonly Verified<Request>[]): Verified<PrePrepare> {
  const { bytes, digest } = rig.batch(requests);
  const body = { bytes, batch: { valid: false, code: "bad-request-signature" } } as const;
  return rig.seal(0, { kind: "pre-prepare", view: viewOf(0), slot: slotOf(slot), digest }, body);
}

export function prepare(rig: Rig, id: number, view: number, slot: number, digest: string): Verified<Prepare> {
  return rig.vote(id, "prepare", view, slot, digest) as Verified<Prepare>;
}

export function commit(rig: Rig, id: number, view: number, slot: number, digest: string): Verified<Commit> {
  return rig.vote(id, "commit", view, slot, digest) as Verified<Commit>;
}

/** A prepared certificate: by default a valid one of the first q-1 backups. */
export function prepared(rig: Rig, view: number, slot: number, digest: string, voters?: readonly number[]): Certificate {
  const backups = rig.cluster.replicas.filter((id) => id !== view % rig.cluster.n).slice(0, rig.cluster.quorums.order - 1);
  return {
    prePrepare: bare(rig, view, slot, digest),
    prepares: (voters ?? backups).map((id) => prepare(rig, id, view, slot, digest)),
  };
}

export function checkpointProof(rig: Rig, slot: number, digest: string, ids: readonly number[] = [0, 1, 2]): Verified<Checkpoint>[] {
  return ids.map((id) => rig.checkpoint(id, slot, digest));
}

export interface ViewChangeParts {
  readonly stable?: number;
  readonly checkpoints?: readonly Verified<Checkpoint>[];
  readonly prepared?: readonly Certificate[];
}

export function viewChange(rig: Rig, id: number, view: number, parts: ViewChangeParts = {}): Verified<ViewChange> {
  const { stable = 0, checkpoints = [], prepared: certificates = [] } = parts;
  return rig.seal(id, { kind: "view-change", view: viewOf(view), stable: slotOf(stable), checkpoints, prepared: certificates });
}

/** How a NEW-VIEW names a view change. */
export function named(rig: Rig, change: Verified<ViewChange>): NewView["viewChanges"][number] {
  return { sender: change.message.sender, digest: rig.digest("view-change", change.payload) };
}

/** A NEW-VIEW with V and O as given; `choices` are [slot, digest] pairs. */
export function newView(
  rig: Rig,
  view: number,
  changes: readonly Verified<ViewChange>[],
  choices: readonly (readonly [number, string])[] = [],
): Verified<NewView> {
  const proposals = choices.map(([slot, digest]) => bare(rig, view, slot, digest));
  return sealNewView(
    rig,
    view,
    changes.map((change) => named(rig, change)),
    proposals,
  );
}

export function sealNewView(
  rig: Rig,
  view: number,
  viewChanges: NewView["viewChanges"],
  prePrepares: readonly Verified<PrePrepare>[],
  by = view % rig.cluster.n,
): Verified<NewView> {
  return rig.seal(by, { kind: "new-view", view: viewOf(view), viewChanges, prePrepares });
}

export function certificate(rig: Rig, by: number, votes: readonly Verified<Commit | Checkpoint>[]): Verified<MessageOf<"certificate">> {
  return rig.seal(by, { kind: "certificate", votes });
}

export function commitCertificate(rig: Rig, by: number, view: number, slot: number, digest: string, voters: readonly number[] = [0, 1, 2]) {
  return certificate(
    rig,
    by,
    voters.map((id) => commit(rig, id, view, slot, digest)),
  );
}

export interface StatusParts {
  readonly view?: number;
  readonly active?: boolean;
  readonly stable?: number;
  readonly executed?: number;
  readonly prepared?: readonly number[];
  readonly committed?: readonly number[];
  /** By replica: the view of its latest view change that the sender holds. */
  readonly viewChanges?: readonly number[];
}

/** A STATUS; bitmaps are lists of the bits that are set. */
export function status(rig: Rig, id: number, parts: StatusParts = {}): Verified<MessageOf<"status">> {
  const { view = 0, active = true, stable = 0, executed = 0 } = parts;
  return rig.seal(id, {
    kind: "status",
    view: viewOf(view),
    active,
    stable: slotOf(stable),
    executed: slotOf(executed),
    prepared: bitmap(parts.prepared),
    committed: bitmap(parts.committed),
    viewChanges: (parts.viewChanges ?? []).map(viewOf),
  });
}

export function fetch(rig: Rig, id: number, what: "batch" | "view-change" | "snapshot", digest: string, slot = 0) {
  return rig.seal(id, { kind: "fetch", what, slot: slotOf(slot), digest: digestOf(digest) });
}

/** The body of a proposal, as a peer hands it over. */
export function bodyOf(rig: Rig, by: number, proposal: Verified<PrePrepare>): Verified<MessageOf<"batch-body">> {
  const { body, batch } = proposal;
  if (!body || !batch) throw new Error("the proposal carries no body");
  return rig.seal(by, { kind: "batch-body", digest: proposal.message.digest }, { bytes: body, batch });
}

/** Hands `id` the bodies that the certificates of a view change name: without them a new primary waits. Which bytes they are, nobody asks. */
export function handBodies(rig: Rig, id: number, { message }: Verified<ViewChange>): void {
  const { body, batch } = rig.proposal(0, 0, 1, [rig.request(2, 1)]);
  if (!body || !batch) throw new Error("the proposal carries no body");
  for (const { prePrepare } of message.prepared)
    rig.receive(id, rig.seal(message.sender, { kind: "batch-body", digest: prePrepare.message.digest }, { bytes: body, batch }));
}

export function snapshotOf(rig: Rig, by: number, slot: number, bytes: Uint8Array, digest = rig.digest("checkpoint", bytes)) {
  return rig.seal(by, { kind: "snapshot", slot: slotOf(slot), digest }, { bytes });
}

/** `id` leaves for `view` because f+1 others did; `others` must be f+1 replicas. */
export function leave(rig: Rig, id: number, view: number, others: readonly number[]): void {
  for (const other of others) rig.receive(id, viewChange(rig, other, view));
}

/** Enters `view` at replica `id` by a NEW-VIEW over empty view changes of `members`, who are q replicas. */
export function enterView(rig: Rig, id: number, view: number, members: readonly number[] = [0, 1, 2]): void {
  const changes = members.map((member) => viewChange(rig, member, view));
  rig.receive(id, newView(rig, view, changes));
  for (const change of changes) rig.receive(id, change);
}

function bitmap(bits: readonly number[] = []): Uint8Array {
  const map = new Uint8Array(bits.length === 0 ? 0 : 1 + Math.floor(Math.max(...bits) / 8));
  for (const bit of bits) map[bit >> 3] = (map[bit >> 3] ?? 0) | (1 << (bit & 7));
  return map;
}
