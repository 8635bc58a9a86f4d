/**
 * The symbolic twin of Ed25519 for the simulator (Dolev and Yao): signatures are perfect by construction, since only the scheme
 * holding a secret makes them, and cost a microsecond instead of a millisecond. Not cryptography; it never leaves a simulator.
 *
 * The mix is MurmurHash3_x86_128, keyed. Each of its steps can be undone, so two messages of one length that differ within one block of
 * 16 bytes never share a state; other differences collide about once in 2^128.
 */
import { sameBytes } from "../core/bytes.ts";
import { checkSecret, publicKeyBytes, type SignatureScheme, signatureBytes } from "./signature.ts";

/** A key pair that the scheme knows; `lanes` seeds the mix. */
interface KeyPair {
  readonly secret: Uint8Array;
  readonly publicKey: Uint8Array;
  readonly lanes: Uint32Array;
}

/**
 * A fresh scheme that knows no keys: `publicKeyOf` and `sign` make a secret's key pair known, and a signature under a key that
 * is not known never verifies. Equal secrets give equal keys and signatures in every instance, so runs replay.
 */
export function symbolicScheme(): SignatureScheme {
  const bySecret = new Map<number, KeyPair[]>();
  const byPublicKey = new Map<number, KeyPair[]>();
  const state = new Uint32Array(4);
  const expected = new Uint8Array(signatureBytes);

  const pairOf = (secret: Uint8Array): KeyPair => {
    checkSecret(secret);
    const known = bySecret.get(firstWord(secret))?.find((pair) => sameBytes(pair.secret, secret));
    return known ?? learn(createKeyPair(secret.slice(), state));
  };

  const learn = (pair: KeyPair): KeyPair => {
    remember(bySecret, pair.secret, pair);
    remember(byPublicKey, pair.publicKey, pair);
    return pair;
  };

  return {
    publicKeyOf: (secret) => pairOf(secret).publicKey.slice(),
    sign(secret, bytes) {
      mix(pairOf(secret).lanes, bytes, state);
      return expand(state, new Uint8Array(signatureBytes));
    },
    verify(publicKey, bytes, signature) {
      if (publicKey.length !== publicKeyBytes || signature.length !== signatureBytes) return false;
      const pair = byPublicKey.get(firstWord(publicKey))?.find((candidate) => sameBytes(candidate.publicKey, publicKey));
      if (!pair) return false;
      mix(pair.lanes, bytes, state);
      return sameBytes(expand(state, expected), signature);
    },
  };
}

const publicSeed = Uint32Array.of(0x71756f72, 0x6174652f, 0x7075626c, 0x69636b79);
const secretSeed = Uint32Array.of(0x71756f72, 0x6174652f, 0x73656372, 0x65746b79);

function createKeyPair(secret: Uint8Array, state: Uint32Array): KeyPair {
  mix(publicSeed, secret, state);
  const publicKey = expand(state, new Uint8Array(publicKeyBytes));
  mix(secretSeed, secret, state);
  return { secret, publicKey, lanes: state.slice() };
}

function remember(table: Map<number, KeyPair[]>, key: Uint8Array, pair: KeyPair): void {
  const word = firstWord(key);
  const others = table.get(word);
  if (others) others.push(pair);
  else table.set(word, [pair]);
}

function firstWord(bytes: Uint8Array): number {
  return wordAt(bytes, 0);
}

/** Four bytes, little-endian. */
function wordAt(bytes: Uint8Array, at: number): number {
  return (bytes[at] as number) | ((bytes[at + 1] as number) << 8) | ((bytes[at + 2] as number) << 16) | ((bytes[at + 3] as number) << 24);
}

const c1 = 0x239b961b;
const c2 = 0xab0e9789;
const c3 = 0x38b34ae5;
const c4 = 0xa1e38b93;

function rotated(word: number, by: number): number {
  return (word << by) | (word >>> (32 - by));
}

/** MurmurHash3_x86_128 of `bytes` from the four seeds, into `state`. The last, partial block is padded with zeros; the length tells it apart. */
function mix(seeds: Uint32Array, bytes: Uint8Array, state: Uint32Array): void {
  state.set(seeds);
  const whole = bytes.length & ~15;
  mixBlocks(state, bytes, whole);
  if (whole < bytes.length) {
    const last = new Uint8Array(16);
    for (let at = whole; at < bytes.length; at++) last[at - whole] = bytes[at] as number;
    mixBlocks(state, last, 16);
  }
  for (let lane = 0; lane < 4; lane++) state[lane] = (state[lane] as number) ^ bytes.length;
}

function mixBlocks(state: Uint32Array, bytes: Uint8Array, end: number): void {
  let h1 = state[0] as number;
  let h2 = state[1] as number;
  let h3 = state[2] as number;
  let h4 = state[3] as number;
  for (let at = 0; at < end; at += 16) {
    h1 ^= Math.imul(rotated(Math.imul(wordAt(bytes, at), c1), 15), c2);
    h1 = (Math.imul((rotated(h1, 19) + h2) | 0, 5) + 0x561ccd1b) | 0;
    h2 ^= Math.imul(rotated(Math.imul(wordAt(bytes, at + 4), c2), 16), c3);
    h2 = (Math.imul((rotated(h2, 17) + h3) | 0, 5) + 0x0bcaa747) | 0;
    h3 ^= Math.imul(rotated(Math.imul(wordAt(bytes, at + 8), c3), 17), c4);
    h3 = (Math.imul((rotated(h3, 15) + h4) | 0, 5) + 0x96cd1c35) | 0;
    h4 ^= Math.imul(rotated(Math.imul(wordAt(bytes, at + 12), c4), 18), c1);
    h4 = (Math.imul((rotated(h4, 13) + h1) | 0, 5) + 0x32ac3b17) | 0;
  }
  state[0] = h1;
  state[1] = h2;
  state[2] = h3;
  state[3] = h4;
}

/** Fills `out` with the state's words, finished: every bit of the state reaches every word of its lane, and lanes reach each other. */
function expand(state: Uint32Array, out: Uint8Array): Uint8Array {
  let h1 = state[0] as number;
  let h2 = state[1] as number;
  let h3 = state[2] as number;
  let h4 = state[3] as number;
  for (let at = 0; at < out.length; at += 16) {
    h1 = (h1 + h2 + h3 + h4 + at) | 0;
    h2 = (h2 + h1) | 0;
    h3 = (h3 + h1) | 0;
    h4 = (h4 + h1) | 0;
    h1 = finished(h1);
    h2 = finished(h2);
    h3 = finished(h3);
    h4 = finished(h4);
    writeWord(out, at, h1);
    writeWord(out, at + 4, h2);
    writeWord(out, at + 8, h3);
    writeWord(out, at + 12, h4);
  }
  return out;
}

function finished(word: number): number {
  let h = word;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return h ^ (h >>> 16);
}

function writeWord(out: Uint8Array, at: number, word: number): void {
  out[at] = word;
  out[at + 1] = word >>> 8;
  out[at + 2] = word >>> 16;
  out[at + 3] = word >>> 24;
}
