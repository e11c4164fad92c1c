// The one random generator: Threefry-2x32 with 20 rounds, counter-based, the same bits in TypeScript, WASM and WGSL.
// Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC11 (Random123), §3.2.
//
// A draw is a pure function of (key, counter), so a run can be repeated, resumed and split among threads exactly.

import { ArgumentError } from "./errors.ts";

/** The key of a sequence of random draws: two 32-bit words. See `keyOfSeed` and `deriveKey`. */
export type Key = readonly [number, number];

const ROTATIONS = [13, 15, 26, 6, 17, 29, 16, 24] as const;
const PARITY = 0x1bd11bda;

/** Threefry-2x32-20: two 32-bit words from a key and a counter of two 32-bit words each. */
export function threefry2x32(key: Key, c0: number, c1: number): [number, number] {
  const ks = [key[0] | 0, key[1] | 0, PARITY ^ key[0] ^ key[1]];
  let x0 = (c0 + ks[0]!) | 0;
  let x1 = (c1 + ks[1]!) | 0;
  for (let round = 0; round < 20; round++) {
    const r = ROTATIONS[round & 7]!;
    x0 = (x0 + x1) | 0;
    x1 = ((x1 << r) | (x1 >>> (32 - r))) ^ x0;
    if ((round & 3) === 3) {
      const s = (round >> 2) + 1;
      x0 = (x0 + ks[s % 3]!) | 0;
      x1 = (x1 + ks[(s + 1) % 3]! + s) | 0;
    }
  }
  return [x0 >>> 0, x1 >>> 0];
}

/** A key derived from `key` for the purpose `label` (a name or a number): streams with different labels are independent. */
export function deriveKey(key: Key, label: string | number): Key {
  if (typeof label === "number") return threefry2x32(key, label >>> 0, Math.floor(label / 2 ** 32) >>> 0);
  // The top bit of the second word sets names apart from numbers, the length one name from the beginning of another.
  let derived: Key = threefry2x32(key, label.length, 0x80000000);
  for (let i = 0; i < label.length; i++) derived = threefry2x32(derived, label.charCodeAt(i), i);
  return derived;
}

/** The key of a seed, a whole number from 0 to 2^53 − 1. */
export function keyOfSeed(seed: number): Key {
  if (!Number.isSafeInteger(seed) || seed < 0) {
    throw new ArgumentError("keyOfSeed", "seed", "a whole number from 0 to 2^53 - 1", `${seed}`);
  }
  return [seed >>> 0, Math.floor(seed / 2 ** 32) >>> 0];
}

/** A running stream of draws from one key; its whole state is the number of words used. */
export class RandomStream {
  readonly key: Key;
  #position: number;
  #spare = 0;

  constructor(key: Key, position = 0) {
    this.key = key;
    this.#position = position;
    if (position % 2 === 1) this.#spare = this.#block(position)[1];
  }

  /** Words drawn so far; `new RandomStream(key, position)` continues from here. */
  get position(): number {
    return this.#position;
  }

  /** 32 random bits as an unsigned number. */
  bits(): number {
    if (this.#position % 2 === 1) {
      this.#position++;
      return this.#spare;
    }
    const [a, b] = this.#block(this.#position++);
    this.#spare = b;
    return a;
  }

  /** The two words that hold the draw at `position`. */
  #block(position: number): [number, number] {
    const counter = Math.floor(position / 2);
    return threefry2x32(this.key, counter >>> 0, Math.floor(counter / 2 ** 32));
  }

  /** Uniform in [0, 1), 32 bits of resolution. */
  uniform(): number {
    return this.bits() * 2 ** -32;
  }

  /** Standard normal by the Box–Muller transform (one of the pair). */
  normal(): number {
    const u = 1 - this.uniform();
    return Math.sqrt(-2 * Math.log(u)) * Math.cos(2 * Math.PI * this.uniform());
  }

  /** A whole number from 0 to n − 1, without modulo bias (rejection). */
  below(n: number): number {
    const limit = 2 ** 32 - (2 ** 32 % n);
    for (;;) {
      const x = this.bits();
      if (x < limit) return x % n;
    }
  }

  /** A uniformly random permutation of 0 … n − 1 (Fisher–Yates). */
  permutation(n: number): Uint32Array {
    const p = Uint32Array.from({ length: n }, (_, i) => i);
    for (let i = n - 1; i > 0; i--) {
      const j = this.below(i + 1);
      const t = p[i]!;
      p[i] = p[j]!;
      p[j] = t;
    }
    return p;
  }
}

/**
 * The uniform in [0, 1) that the `random` instruction gives for `row` and `sampleId`: 24 bits, exact in f32.
 * Used on the host to check devices, and wherever host and device must agree.
 */
export function uniformAt(key: Key, row: number, sampleId: number): number {
  return (threefry2x32(key, row >>> 0, sampleId >>> 0)[0] >>> 8) * 2 ** -24;
}
