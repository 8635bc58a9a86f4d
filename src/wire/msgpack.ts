/**
 * Plain data to bytes and back in the canonical profile of rule 88. The one place that knows msgpackr; its types end here.
 *
 * The subpath `pack` is the part of msgpackr in plain JavaScript, without the optional native string reader: one behaviour everywhere.
 */
import { addExtension, Packr } from "msgpackr/pack";
import { type ScanLimits, scan } from "./scan.ts";
import type { Plain } from "./schema.ts";

export type Decoded = { readonly ok: true; readonly value: Plain } | { readonly ok: false; readonly reason: string };

const packr = new Packr({
  useRecords: false,
  moreTypes: false,
  structuredClone: false,
  bundleStrings: false,
  useToJSON: false,
  encodeUndefinedAsNil: false,
  int64AsType: "number",
  // Each byte string becomes a copy of its own: a digest kept for long must not keep the whole frame alive.
  copyBuffers: true,
});

/** An integer of 2^32 or more. msgpackr would write it as a float, and a bigint as a signed integer. */
class Uint64 {
  readonly value: number;
  constructor(value: number) {
    this.value = value;
  }
}

/** What msgpackr hands to an extension that writes its bytes itself, as its own Date does; its declarations omit it. */
type AllocateForWrite = (size: number) => { readonly target: Uint8Array; readonly targetView: DataView; readonly position: number };

function packUint64(wide: Uint64, allocateForWrite: AllocateForWrite): undefined {
  const { target, targetView, position } = allocateForWrite(9);
  target[position] = 0xcf;
  targetView.setUint32(position + 1, Math.floor(wide.value / 0x100000000));
  targetView.setUint32(position + 5, wide.value % 0x100000000);
}

// The type number is never written: `packUint64` writes the bytes of an ordinary integer.
addExtension({ Class: Uint64, type: 0x71, pack: packUint64 as unknown as (value: unknown) => Uint8Array });

/**
 * The one canonical encoding, in a byte array of its own.
 *
 * @throws RangeError for what the profile cannot hold: a number that is no integer in 0..2^53-1, a text that is not well-formed
 *   or begins with a byte order mark, anything but numbers, texts, byte strings and arrays
 */
export function encode(plain: Plain): Uint8Array {
  return new Uint8Array(packr.pack(checked(plain)));
}

/** Never throws, and accepts nothing whose encoding would differ from `bytes` (rule 87). Byte strings are copies. */
export function decode(bytes: Uint8Array, limits?: ScanLimits): Decoded {
  const reason = scan(bytes, limits);
  if (reason !== undefined) return { ok: false, reason };
  // A view of its own, because msgpackr leaves a property on the array that it reads.
  return { ok: true, value: packr.unpack(new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength)) as Plain };
}

/** Checks the profile and wraps wide integers; arrays without any are passed through as they are. */
function checked(plain: Plain): unknown {
  if (typeof plain === "number") {
    if (!Number.isSafeInteger(plain) || plain < 0) throw new RangeError(`expected an integer in 0..2^53-1, got ${plain}`);
    return plain < 0x100000000 ? plain : new Uint64(plain);
  }
  if (typeof plain === "string") {
    if (/^\uFEFF|\p{Surrogate}/u.test(plain)) throw new RangeError("expected a well-formed text without a byte order mark");
    return plain;
  }
  if (Array.isArray(plain)) return checkedEntries(plain as readonly Plain[]);
  if (plain instanceof Uint8Array) return plain;
  throw new RangeError(`expected a number, text, byte string or array, got ${plain === null ? "null" : typeof plain}`);
}

function checkedEntries(entries: readonly Plain[]): readonly unknown[] {
  let copy: unknown[] | undefined;
  for (const [index, entry] of entries.entries()) {
    const value = checked(entry);
    if (value === entry) continue;
    copy ??= [...entries];
    copy[index] = value;
  }
  return copy ?? entries;
}
