/** What a replica must find again after a restart, because a message of its relied on it (docs/protocol.md A.9). */
import type { Digest, Slot } from "../../core/ids.ts";
import type { Verified } from "../../core/message.ts";
import type { Checkpoint, NewView, PrePrepare, PreparedCertificate, ViewChange } from "./messages.ts";

export type PbftRecord =
  /** Before its own PRE-PREPARE (rule 65) or PREPARE (rule 66) leaves; the body rides on the message. */
  | { readonly type: "accepted"; readonly message: Verified<PrePrepare> }
  /** Before the COMMIT leaves (rule 67). */
  | { readonly type: "prepared"; readonly certificate: PreparedCertificate }
  /** Before the VIEW-CHANGE leaves: every view below is left for good (rule 68). */
  | { readonly type: "view-change"; readonly message: Verified<ViewChange> }
  /** Before the NEW-VIEW (rule 69) or the PREPAREs of it (rule 70) leave. */
  | { readonly type: "new-view"; readonly message: Verified<NewView>; readonly viewChanges: readonly Verified<ViewChange>[] }
  /** Before the CHECKPOINT leaves (rule 71), and when a state is installed (rule 100). */
  | { readonly type: "snapshot"; readonly slot: Slot; readonly digest: Digest; readonly bytes: Uint8Array }
  /** Before anything is collected (rule 72). */
  | { readonly type: "stable"; readonly proof: readonly Verified<Checkpoint>[] };
