/**
 * Seeded randomness: the one source that a pure folder may draw from. sfc32 (Chris Doty-Humphrey, PractRand), whose 32-bit
 * operations give the same numbers in every JavaScript engine; a test pins the sequence, because a kept seed must replay for ever.
 */

export interface Random {
  /** An integer in 0..bound-1, each equally likely. @throws RangeError unless bound is an integer in 1..2^32. */
  next(bound: number): number;
  /** A number in [0, 1) with 53 random bits. */
  float(): number;
  /** A source of its own: it depends on this one's seed and on `name`, never on how much was drawn here. */
  fork(name: string): Random;
}

/** The same seed gives the same numbers, in any process. There is no default seed: chance has to be chosen. */
export function createRandom(seed: number | string): Random {
  return fromKey(`${seed}`);
}

function fromKey(key: string): Random {
  const draw = sfc32(key);
  return {
    next(bound) {
      if (!Number.isSafeInteger(bound) || bound < 1 || bound > 2 ** 32) {
        throw new RangeError(`expected a bound to be an integer in 1..2^32, got ${bound}`);
      }
      // Drawing again above the last whole multiple keeps every result equally likely.
      const limit = 2 ** 32 - (2 ** 32 % bound);
      for (;;) {
        const value = draw();
        if (value < limit) return value % bound;
      }
    },
    float: () => ((draw() >>> 5) * 2 ** 26 + (draw() >>> 6)) / 2 ** 53,
    fork: (name) => fromKey(`${key}\0${name}`),
  };
}

function sfc32(key: string): () => number {
  let [a, b, c] = [hash(key, 0x9e3779b9), hash(key, 0x243f6a88), hash(key, 0xb7e15162)];
  let counter = 1;
  const draw = () => {
    const out = (a + b + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (((c << 21) | (c >>> 11)) + out) | 0;
    return out >>> 0;
  };
  // The author's advice: the first draws still show the seed.
  for (let round = 0; round < 15; round++) draw();
  return draw;
}

/** MurmurHash3's mixing over UTF-16 units: spreads a seed, nothing more. */
function hash(text: string, basis: number): number {
  let value = basis | 0;
  for (let index = 0; index < text.length; index++) {
    value = Math.imul(value ^ text.charCodeAt(index), 0xcc9e2d51);
    value = (value << 13) | (value >>> 19);
  }
  value = Math.imul(value ^ (value >>> 16), 0x85ebca6b);
  value = Math.imul(value ^ (value >>> 13), 0xc2b2ae35);
  return value ^ (value >>> 16);
}
