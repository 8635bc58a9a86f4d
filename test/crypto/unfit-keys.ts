/** Public keys that no node may have (rule 90, A70): every point of small order, and every second way to write a point. */

const hex = (text: string): Uint8Array => Uint8Array.from(text.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));

const smallOrder: readonly (readonly [string, string])[] = [
  ["the identity", `01${"00".repeat(31)}`],
  ["of order 2", `ec${"ff".repeat(30)}7f`],
  ["of order 4", "00".repeat(32)],
  ["of order 4, with the sign", `${"00".repeat(31)}80`],
  ["of order 8", "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"],
  ["of order 8, with the sign", "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85"],
  ["of order 8, the other one", "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a"],
  ["of order 8, the other one with the sign", "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa"],
];

const notCanonical: readonly (readonly [string, string])[] = [
  ["the identity with a sign", `01${"00".repeat(30)}80`],
  ["the point of order 2 with a sign", `ec${"ff".repeat(31)}`],
  ["0 written as p", `ed${"ff".repeat(30)}7f`],
  ["0 written as p, with a sign", `ed${"ff".repeat(31)}`],
  ["the identity written as p + 1", `ee${"ff".repeat(30)}7f`],
  ["the identity written as p + 1, with a sign", `ee${"ff".repeat(31)}`],
  // y = 3 lies on the curve, so this is a second way to write a point of large order.
  ["a point of large order written as p + 3", `f0${"ff".repeat(30)}7f`],
  ["no point at all", `02${"00".repeat(31)}`],
];

export interface UnfitKey {
  readonly about: string;
  readonly publicKey: Uint8Array;
  readonly why: string;
}

export const unfitKeys: readonly UnfitKey[] = [
  ...smallOrder.map(([about, text]) => ({ about, publicKey: hex(text), why: "the public key is of small order" })),
  ...notCanonical.map(([about, text]) => ({
    about,
    publicKey: hex(text),
    why: "the public key is not the canonical encoding of a point on the curve",
  })),
];
