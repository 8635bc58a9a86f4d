/** Bytes compare by content; `===` compares the arrays that hold them (M110). */

/** Not constant-time: for public bytes only. */
export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let index = 0; index < a.length; index++) if (a[index] !== b[index]) return false;
  return true;
}
