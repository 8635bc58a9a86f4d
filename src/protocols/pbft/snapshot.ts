/** The whole replicated state as bytes (rule 26): what a checkpoint digest covers and a state transfer moves. */
import type { Slot } from "../../core/ids.ts";
import { decode, encode } from "../../wire/msgpack.ts";
import { hexToBytes, type Plain } from "../../wire/schema.ts";
import type { Context, HeldSnapshot } from "./context.ts";

/** Room for every row of every client: the bytes were certified, the frame limit bounds them. */
const snapshotLimits = { depth: 6, elements: 1 << 24 };

/** `[slot, agreed clock, cluster id, dedup table, application]`, canonical: equal states give equal bytes. */
export function takeSnapshot(context: Context): HeldSnapshot {
  const plain: Plain = [
    context.executed,
    context.clock,
    hexToBytes(context.cluster.id),
    context.table.toPlain(),
    context.service.snapshot(),
  ];
  const bytes = encode(plain);
  return { bytes, digest: context.digest("checkpoint", bytes) };
}

/**
 * Replaces state, dedup table and clock together (rule 100, M84). The digest was checked against a certified one before: false,
 * and a state that is good for nothing, when more than f signed for bytes that are no snapshot.
 */
export function restoreSnapshot(context: Context, slot: Slot, { bytes }: HeldSnapshot): boolean {
  const decoded = decode(bytes, snapshotLimits);
  if (!decoded.ok) return false;
  try {
    const [, clock, , rows, application] = decoded.value as [number, number, Uint8Array, Plain, Uint8Array];
    context.service.restore(application);
    context.table.restore(rows);
    context.clock = clock;
    context.executed = slot;
    return true;
  } catch {
    return false;
  }
}
