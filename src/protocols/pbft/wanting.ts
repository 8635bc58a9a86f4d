/**
 * What a host may drop before it pays for the signature (A83): what could have no effect at all. A second digest where one is known
 * stays wanted, for the two together are evidence.
 */
import { primaryOf } from "../../core/cluster.ts";
import type { Peek } from "../../core/contract.ts";
import type { ReplicaId, Slot, View } from "../../core/ids.ts";
import { isOpen } from "./agreement.ts";
import { isCheckpointSlot } from "./certificates.ts";
import type { Context } from "./context.ts";

/** False when the message cannot matter any more. */
export function wants(context: Context, { kind, sender, view, slot, digest }: Peek): boolean {
  if (context.halted) return false;
  const from = sender as ReplicaId;
  switch (kind) {
    case "pre-prepare":
    case "prepare":
    case "commit":
      return view === undefined || slot === undefined || wantsVote(context, { kind, from, view: view as View, slot: slot as Slot, digest });
    case "checkpoint": {
      if (slot === undefined) return true;
      const known = context.checkpoints.get(slot as Slot)?.get(from);
      return slot > context.stable && isCheckpointSlot(context.cluster, slot as Slot) && known?.message.digest !== digest;
    }
    case "view-change":
      return view === undefined || wantsViewChange(context, from, view);
    case "new-view":
      if (view === undefined) return true;
      return (
        from === primaryOf(view as View, context.cluster.n) && (isAhead(context, view) || context.entered?.newView.message.view === view)
      );
    case "batch-body":
      return digest === undefined || context.missingBodies.has(digest);
    case "snapshot":
      return context.transfer?.slot === slot && context.transfer?.digest === digest;
    default:
      return true;
  }
}

interface Vote {
  readonly kind: "pre-prepare" | "prepare" | "commit";
  readonly from: ReplicaId;
  readonly view: View;
  readonly slot: Slot;
  readonly digest: Peek["digest"];
}

function wantsVote(context: Context, { kind, from, view, slot, digest }: Vote): boolean {
  const byPrimary = from === primaryOf(view, context.cluster.n);
  if ((kind === "pre-prepare" && !byPrimary) || (kind === "prepare" && byPrimary)) return false;
  const { stable, high, cluster } = context;
  if (kind === "commit" ? slot <= high && !isOpen(context, slot) : slot <= stable || view < context.view) return false;
  // What waits for its view or window needs room to wait in.
  const isEarly = slot > high || (kind !== "commit" && isAhead(context, view));
  if (isEarly) return slot <= high + cluster.limits.window && context.backlog.hasRoomFor(from);
  const log = context.slots.get(slot);
  if (kind === "commit") return log?.commitOf(from, view)?.message.digest !== digest;
  const known = kind === "prepare" ? log?.prepares.get(from)?.message : log?.prePrepare?.message;
  if (known?.view !== view || known.digest !== digest) return true;
  // The same proposal again may bring the body.
  return kind === "pre-prepare" && context.missingBodies.has(known.digest);
}

/** The second of two that contradict each other is wanted, and one that a NEW-VIEW may have named. */
function wantsViewChange(context: Context, from: ReplicaId, view: number): boolean {
  const known = context.viewChanges.get(from)?.message.view ?? -1;
  return known === view || context.candidates.size > 0 || (view > known && isAhead(context, view));
}

/** A view that this replica has not entered yet. */
function isAhead(context: Context, view: number): boolean {
  return view > context.view || (view === context.view && !context.active);
}
