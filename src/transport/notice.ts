/** What happens on links and at the door as an operator wants to hear it, told where it is counted. */
import type { NodeName } from "../core/ids.ts";
import type { RejectionCode } from "../core/rejection.ts";
import type { TransportReason } from "./counters.ts";

/** `peer` has proven who it is; `detail` is what the platform says of a failure, such as `ECONNREFUSED`. */
export type TransportNotice =
  | { readonly type: "link-up"; readonly peer: NodeName }
  | { readonly type: "link-down"; readonly peer: NodeName; readonly reason: TransportReason; readonly detail?: string }
  /** A replica that this node dials could not be had, or is not who it should be; the next call follows by itself. */
  | { readonly type: "call-failed"; readonly peer: NodeName; readonly reason: TransportReason; readonly detail?: string }
  /** A connection that came in ended before it was a link. `claimed`: whose key it had, where it was refused in spite of that. */
  | { readonly type: "stranger-refused"; readonly reason: TransportReason; readonly address: string; readonly claimed?: NodeName }
  | { readonly type: "cut-off"; readonly peer: NodeName; readonly reason: RejectionCode; readonly ms: number }
  | { readonly type: "frames-dropped"; readonly peer: NodeName; readonly reason: TransportReason; readonly frames: number }
  /** Reading from the peer pauses until it keeps its rate. */
  | { readonly type: "held-back"; readonly peer: NodeName }
  | { readonly type: "page-failed"; readonly path: string; readonly error: unknown };
