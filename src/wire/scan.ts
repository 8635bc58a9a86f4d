/**
 * Accepts exactly one msgpack encoding for each value of the canonical profile (rule 88), and reads bytes only: no value of the
 * input makes it allocate. So the decoder behind it never meets a header bomb (A81), deep nesting or a foreign type (A82), and
 * whatever it accepts encodes back to the same bytes (rule 87).
 */

/** What one encoded value may hold at most. */
export interface ScanLimits {
  /** Arrays within arrays: a plain number has depth 0, a list of numbers 1. */
  readonly depth: number;
  /** Values in total, counting arrays and their entries. */
  readonly elements: number;
}

/** Twice the depth of any message of the laboratory, and more values than the votes that fill a frame of 8 MiB. */
export const defaultScanLimits: ScanLimits = { depth: 12, elements: 1 << 18 };

/** Where the walk is, and what it may still spend. One per scan, of constant size. */
interface Cursor {
  readonly bytes: Uint8Array;
  position: number;
  elements: number;
}

const truncated = "it ends too early";
const notMinimal = "a number or length is not in its shortest form";

/** @returns why `bytes` are not the canonical encoding of one value, or undefined when they are */
export function scan(bytes: Uint8Array, limits: ScanLimits = defaultScanLimits): string | undefined {
  const cursor: Cursor = { bytes, position: 0, elements: limits.elements };
  const wrong = scanValue(cursor, limits.depth);
  if (wrong !== undefined) return wrong;
  return cursor.position === bytes.length ? undefined : "bytes follow the value";
}

/** `depth` is what is left of it, which bounds the recursion. */
function scanValue(cursor: Cursor, depth: number): string | undefined {
  const token = cursor.bytes[cursor.position];
  if (token === undefined) return truncated;
  if (cursor.elements-- === 0) return "it holds too many values";
  cursor.position++;
  if (token < 0x80) return undefined;
  if (token >= 0x90 && token < 0xa0) return scanEntries(cursor, token - 0x90, depth);
  if (token >= 0xa0 && token < 0xc0) return scanText(cursor, token - 0xa0);
  switch (token) {
    case 0xc4:
      return scanSized(cursor, 1, 0, depth, scanBin);
    case 0xc5:
      return scanSized(cursor, 2, 0x100, depth, scanBin);
    case 0xc6:
      return scanSized(cursor, 4, 0x10000, depth, scanBin);
    case 0xcc:
      return scanInteger(cursor, 1, 0x80);
    case 0xcd:
      return scanInteger(cursor, 2, 0x100);
    case 0xce:
      return scanInteger(cursor, 4, 0x10000);
    case 0xcf:
      return scanLongInteger(cursor);
    case 0xd9:
      return scanSized(cursor, 1, 0x20, depth, scanText);
    case 0xda:
      return scanSized(cursor, 2, 0x100, depth, scanText);
    case 0xdb:
      return scanSized(cursor, 4, 0x10000, depth, scanText);
    case 0xdc:
      return scanSized(cursor, 2, 0x10, depth, scanEntries);
    case 0xdd:
      return scanSized(cursor, 4, 0x10000, depth, scanEntries);
    default:
      return `0x${token.toString(16)} begins no type of the profile`;
  }
}

/** Big-endian; undefined where the input ends before it. */
function readUnsigned(cursor: Cursor, size: number): number | undefined {
  const start = cursor.position;
  if (cursor.bytes.length - start < size) return undefined;
  cursor.position = start + size;
  let value = 0;
  for (let at = start; at < cursor.position; at++) value = value * 256 + (cursor.bytes[at] as number);
  return value;
}

/** `smallest` is the first value that no shorter form holds. */
function scanInteger(cursor: Cursor, size: number, smallest: number): string | undefined {
  const value = readUnsigned(cursor, size);
  if (value === undefined) return truncated;
  return value < smallest ? notMinimal : undefined;
}

function scanLongInteger(cursor: Cursor): string | undefined {
  const high = readUnsigned(cursor, 4);
  if (high === undefined || readUnsigned(cursor, 4) === undefined) return truncated;
  if (high === 0) return notMinimal;
  return high >= 0x200000 ? "a number is 2^53 or more" : undefined;
}

function scanSized(
  cursor: Cursor,
  size: number,
  smallest: number,
  depth: number,
  content: (cursor: Cursor, length: number, depth: number) => string | undefined,
): string | undefined {
  const length = readUnsigned(cursor, size);
  if (length === undefined) return truncated;
  return length < smallest ? notMinimal : content(cursor, length, depth);
}

function scanEntries(cursor: Cursor, count: number, depth: number): string | undefined {
  if (depth === 0) return "it is nested too deep";
  // Every entry takes a byte at least: a header that promises more than is there ends here, before anything is made of it (A81).
  if (count > cursor.bytes.length - cursor.position) return truncated;
  if (count > cursor.elements) return "it holds too many values";
  for (let entry = 0; entry < count; entry++) {
    const wrong = scanValue(cursor, depth - 1);
    if (wrong !== undefined) return wrong;
  }
  return undefined;
}

function scanBin(cursor: Cursor, length: number): string | undefined {
  if (length > cursor.bytes.length - cursor.position) return truncated;
  cursor.position += length;
  return undefined;
}

function scanText(cursor: Cursor, length: number): string | undefined {
  const start = cursor.position;
  if (length > cursor.bytes.length - start) return truncated;
  cursor.position = start + length;
  return scanUtf8(cursor.bytes, start, cursor.position);
}

/**
 * Well-formed UTF-8 (RFC 3629): no overlong form, no surrogate, nothing above U+10FFFF. A byte order mark at the start is refused
 * too, because decoders drop it, and then two encodings give one text.
 */
function scanUtf8(bytes: Uint8Array, start: number, end: number): string | undefined {
  if (end - start >= 3 && bytes[start] === 0xef && bytes[start + 1] === 0xbb && bytes[start + 2] === 0xbf)
    return "a text begins with a byte order mark";
  for (let at = start; at < end; ) {
    const length = sequenceLength(bytes, at);
    if (length === 0 || length > end - at) return "a text is not valid UTF-8";
    for (let next = at + 2; next < at + length; next++) if (!continues(bytes[next])) return "a text is not valid UTF-8";
    at += length;
  }
  return undefined;
}

/** How long the sequence is that the first two bytes at `at` begin; 0 when they begin none. */
function sequenceLength(bytes: Uint8Array, at: number): number {
  const first = bytes[at] as number;
  if (first < 0x80) return 1;
  const second = bytes[at + 1];
  if (first < 0xc2 || first > 0xf4 || !continues(second)) return 0;
  if (first < 0xe0) return 2;
  if (first === 0xe0 && second < 0xa0) return 0;
  if (first === 0xed && second >= 0xa0) return 0;
  if (first < 0xf0) return 3;
  if (first === 0xf0 && second < 0x90) return 0;
  if (first === 0xf4 && second >= 0x90) return 0;
  return 4;
}

function continues(byte: number | undefined): byte is number {
  return byte !== undefined && byte >= 0x80 && byte < 0xc0;
}
