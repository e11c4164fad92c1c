// Markov chains of some order over a few symbols: drawn at random, with their stationary distribution and entropies.

import { type Key, RandomStream } from "../../core/random.ts";
import { gamma, uniform53 } from "../sampling.ts";

/** A stationary chain over `symbols` symbols; a state is the last `order` symbols, the latest one the lowest digit. */
export interface MarkovChain {
  readonly symbols: number;
  readonly order: number;
  /** symbols^order. */
  readonly states: number;
  /** P(next | state), [states, symbols]; rows sum to 1. */
  readonly next: Float64Array;
  /** π, [states]: the distribution of the state at any time. */
  readonly stationary: Float64Array;
}

/** A chain whose rows P(· | state) are independent draws of a symmetric Dirichlet distribution, parameter `concentration` > 0. */
export function drawMarkovChain(symbols: number, order: number, concentration: number, key: Key): MarkovChain {
  const stream = new RandomStream(key);
  const next = Float64Array.from({ length: symbols ** (order + 1) }, () => gamma(concentration, stream));
  for (let from = 0; from < next.length; from += symbols) {
    const row = next.subarray(from, from + symbols);
    const sum = row.reduce((total, x) => total + x, 0);
    for (let c = 0; c < symbols; c++) row[c]! /= sum;
  }
  return markovChain(symbols, order, next);
}

/** The chain with the probabilities `next` > 0; see MarkovChain. */
export function markovChain(symbols: number, order: number, next: Float64Array): MarkovChain {
  const states = symbols ** order;
  return { symbols, order, states, next, stationary: stationaryDistribution(states, symbols, next) };
}

/** The state after `symbol` in `state`. */
export function stateAfter({ symbols, states }: MarkovChain, state: number, symbol: number): number {
  return ((state * symbols) % states) + symbol;
}

/** Draws `into.length` successive symbols, the first state from the stationary distribution. */
export function drawSymbols(chain: MarkovChain, stream: RandomStream, into: Uint32Array): void {
  const { symbols, order, next, stationary } = chain;
  let state = choose(stationary, 0, stationary.length, stream);
  for (let i = 0; i < into.length; i++) {
    if (i < order) {
      into[i] = Math.floor(state / symbols ** (order - 1 - i)) % symbols;
    } else {
      into[i] = choose(next, state * symbols, (state + 1) * symbols, stream);
      state = stateAfter(chain, state, into[i]!);
    }
  }
}

/** What the best prediction of the next symbol from the last `seen` ≤ order symbols attains. */
export interface Predictability {
  /** Σ P(seen)·H(next | seen), in nats; of seen = order it is the entropy rate. */
  readonly entropy: number;
  /** Σ P(seen)·max P(next | seen). */
  readonly accuracy: number;
}

/** Exact, from the stationary distribution. */
export function predictability({ symbols, states, next, stationary }: MarkovChain, seen: number): Predictability {
  const contexts = symbols ** seen;
  // P(seen symbols, next symbol): the latest symbols of a state are its lowest digits.
  const joint = new Float64Array(contexts * symbols);
  for (let s = 0; s < states; s++) {
    for (let c = 0; c < symbols; c++) {
      joint[(s % contexts) * symbols + c]! += stationary[s]! * next[s * symbols + c]!;
    }
  }
  let entropy = 0;
  let accuracy = 0;
  for (let context = 0; context < contexts; context++) {
    const row = joint.subarray(context * symbols, (context + 1) * symbols);
    const p = row.reduce((sum, x) => sum + x, 0);
    for (const x of row) if (x > 0) entropy -= x * Math.log(x / p);
    accuracy += Math.max(...row);
  }
  return { entropy, accuracy };
}

/**
 * π with π = π·P, by elimination of one state after the other without any subtraction, so that each π is accurate to rounding. O(states³).
 * Source: Grassmann, Taksar, Heyman, "Regenerative analysis and steady state distributions for Markov chains", Operations Research 33(5),
 * 1107–1116 (1985).
 */
function stationaryDistribution(states: number, symbols: number, next: Float64Array): Float64Array {
  const p = new Float64Array(states * states);
  for (let s = 0; s < states; s++) {
    for (let c = 0; c < symbols; c++) p[s * states + ((s * symbols) % states) + c]! += next[s * symbols + c]!;
  }
  for (let k = states - 1; k > 0; k--) {
    const row = p.subarray(k * states, k * states + k);
    const leaving = row.reduce((sum, x) => sum + x, 0);
    for (let i = 0; i < k; i++) {
      const share = p[i * states + k]! / leaving;
      p[i * states + k] = share;
      if (share > 0) for (let j = 0; j < k; j++) p[i * states + j]! += share * row[j]!;
    }
  }
  const pi = new Float64Array(states);
  pi[0] = 1;
  let total = 1;
  for (let k = 1; k < states; k++) {
    for (let i = 0; i < k; i++) pi[k]! += pi[i]! * p[i * states + k]!;
    total += pi[k]!;
  }
  return pi.map((x) => x / total);
}

/** An index from `first` to `end` − 1 with the probabilities there, which sum to 1. */
function choose(probabilities: Float64Array, first: number, end: number, stream: RandomStream): number {
  let rest = uniform53(stream);
  for (let i = first; i < end - 1; i++) {
    rest -= probabilities[i]!;
    if (rest < 0) return i - first;
  }
  return end - 1 - first;
}
