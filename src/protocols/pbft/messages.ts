/** The messages of PBFT between replicas (docs/protocol.md A.2), and their layout on the wire. */
import type { Digest, ReplicaId, Slot, View } from "../../core/ids.ts";
import type { Header, Verified } from "../../core/message.ts";
import { bytes, digest, flag, list, nested, type Schemas, tuple, uint, word } from "../../wire/schema.ts";

/** `<PRE-PREPARE, v, n, d>`: the primary assigns slot n to the batch with digest d, which travels beside (rule 8). */
export interface PrePrepare extends Header {
  readonly kind: "pre-prepare";
  readonly view: View;
  readonly slot: Slot;
  readonly digest: Digest;
}

/** `<PREPARE, v, n, d, i>`: a backup accepted that assignment and holds the body (rules 15, 16). */
export interface Prepare extends Header {
  readonly kind: "prepare";
  readonly view: View;
  readonly slot: Slot;
  readonly digest: Digest;
}

/** `<COMMIT, v, n, d, i>`: the sender holds a prepared certificate (rule 19). */
export interface Commit extends Header {
  readonly kind: "commit";
  readonly view: View;
  readonly slot: Slot;
  readonly digest: Digest;
}

/** `<CHECKPOINT, n, d, i>`: the sender's state after slot n has digest d (rules 25, 26). */
export interface Checkpoint extends Header {
  readonly kind: "checkpoint";
  readonly slot: Slot;
  readonly digest: Digest;
}

/** A pre-prepare and q-1 matching PREPAREs of distinct backups (rule 17). */
export interface PreparedCertificate {
  readonly prePrepare: Verified<PrePrepare>;
  readonly prepares: readonly Verified<Prepare>[];
}

/** `<VIEW-CHANGE, v, h, C, P, i>` (rule 10). */
export interface ViewChange extends Header {
  readonly kind: "view-change";
  /** The view that the sender wants to enter. */
  readonly view: View;
  readonly stable: Slot;
  /** C: proves `stable`; empty only for the genesis checkpoint. */
  readonly checkpoints: readonly Verified<Checkpoint>[];
  /** P: for each slot above `stable` that ever prepared at the sender, its certificate of the highest view (rule 31). */
  readonly prepared: readonly PreparedCertificate[];
}

/** `<NEW-VIEW, v, V, O>`; V names its view changes by digest, they travel on their own (rule 35). */
export interface NewView extends Header {
  readonly kind: "new-view";
  readonly view: View;
  readonly viewChanges: readonly ViewChangeReference[];
  readonly prePrepares: readonly Verified<PrePrepare>[];
}

export interface ViewChangeReference {
  readonly sender: ReplicaId;
  readonly digest: Digest;
}

/** `<STATUS>`: what the sender has, so that others send what it lacks (rule 51). Bit k of a bitmap is slot `executed + 1 + k`. */
export interface Status extends Header {
  readonly kind: "status";
  readonly view: View;
  readonly active: boolean;
  readonly stable: Slot;
  readonly executed: Slot;
  readonly prepared: Uint8Array;
  readonly committed: Uint8Array;
  /** Entry i: the view of the latest view change of replica i that the sender holds; 0 for none. */
  readonly viewChanges: readonly View[];
}

/** Asks one peer for the bytes behind a digest (rule 99). `slot` is that of the checkpoint, else 0. */
export interface Fetch extends Header {
  readonly kind: "fetch";
  readonly what: "batch" | "view-change" | "snapshot";
  readonly slot: Slot;
  readonly digest: Digest;
}

/** A batch body by its digest. */
export interface BatchBody extends Header {
  readonly kind: "batch-body";
  readonly digest: Digest;
}

/** The state after `slot` by its certified digest. */
export interface Snapshot extends Header {
  readonly kind: "snapshot";
  readonly slot: Slot;
  readonly digest: Digest;
}

/** q COMMITs for one (view, slot, digest), or q CHECKPOINTs for one (slot, digest): proof for a lagging peer (rules 22, 28). */
export interface Certificate extends Header {
  readonly kind: "certificate";
  readonly votes: readonly Verified<Commit | Checkpoint>[];
}

export type PbftMessage =
  | PrePrepare
  | Prepare
  | Commit
  | Checkpoint
  | ViewChange
  | NewView
  | Status
  | Fetch
  | BatchBody
  | Snapshot
  | Certificate;

/** No cluster is larger; bounds every list of votes before allocation. */
const replicasMax = 256;
/** No window is larger. */
const slotsMax = 4096;

const vote = { view: uint<View>(), slot: uint<Slot>(), digest };

export const pbftSchemas: Schemas<PbftMessage> = {
  "pre-prepare": { code: 10, from: "replica", fields: vote, body: { holds: "batch", boundBy: "digest" } },
  prepare: { code: 11, from: "replica", fields: vote },
  commit: { code: 12, from: "replica", fields: vote },
  checkpoint: { code: 13, from: "replica", fields: { slot: uint<Slot>(), digest } },
  "view-change": {
    code: 14,
    from: "replica",
    fields: {
      view: uint<View>(),
      stable: uint<Slot>(),
      checkpoints: list(nested<Checkpoint>("checkpoint"), replicasMax),
      prepared: list(
        tuple<PreparedCertificate>({
          prePrepare: nested<PrePrepare>("pre-prepare"),
          prepares: list(nested<Prepare>("prepare"), replicasMax),
        }),
        slotsMax,
      ),
    },
  },
  "new-view": {
    code: 15,
    from: "replica",
    fields: {
      view: uint<View>(),
      viewChanges: list(tuple<ViewChangeReference>({ sender: uint<ReplicaId>(replicasMax), digest }), replicasMax),
      prePrepares: list(nested<PrePrepare>("pre-prepare"), slotsMax),
    },
  },
  status: {
    code: 16,
    from: "replica",
    fields: {
      view: uint<View>(),
      active: flag,
      stable: uint<Slot>(),
      executed: uint<Slot>(),
      prepared: bytes(slotsMax / 8),
      committed: bytes(slotsMax / 8),
      viewChanges: list(uint<View>(), replicasMax),
    },
  },
  fetch: { code: 17, from: "replica", fields: { what: word(["batch", "view-change", "snapshot"]), slot: uint<Slot>(), digest } },
  "batch-body": { code: 18, from: "replica", fields: { digest }, body: { holds: "batch", boundBy: "digest" } },
  snapshot: { code: 19, from: "replica", fields: { slot: uint<Slot>(), digest }, body: { holds: "snapshot", boundBy: "digest" } },
  certificate: { code: 20, from: "replica", fields: { votes: list(nested<Commit | Checkpoint>("commit", "checkpoint"), replicasMax) } },
};
