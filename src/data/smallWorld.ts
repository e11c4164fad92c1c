// Connectomes between a ring and chance: mostly near neighbours, some far ones.

import { type Csr, csrFromParts, indexArray } from "../core/csr.ts";
import { ArgumentError } from "../core/errors.ts";
import { deriveKey, keyOfSeed, RandomStream } from "../core/random.ts";
import { checkProbability, checkWhole, MAX_NEURONS } from "./checks.ts";

/** Size, neighbours and rewiring of a small-world network. */
export interface SmallWorldOptions {
  /** On a ring. */
  readonly neurons: number;
  /** Inputs of each neuron, an even number below `neurons`: half from each side. */
  readonly neighbours: number;
  /** Probability that an input comes from a random neuron instead: 0 is the ring, 1 nearly Erdős–Rényi. */
  readonly rewiring: number;
  readonly seed: number;
}

/**
 * The directed small-world network [post, pre], weights 1 in f32. Each neuron receives from its `neighbours` nearest ones; each of
 * these inputs is replaced with probability `rewiring` by one from a neuron drawn at random that is neither itself nor an input
 * already, so in-degrees stay equal. O(connections).
 *
 * @throws {ArgumentError} neighbours odd, or more than half of the neurons (others to rewire to must be easy to find)
 * Source: Watts, Strogatz, "Collective dynamics of 'small-world' networks", Nature 393, 440–442 (1998), made directed.
 */
export function smallWorld({ neurons, neighbours, rewiring, seed }: SmallWorldOptions): Csr {
  const where = "smallWorld";
  checkWhole(where, "neurons", neurons, 3, MAX_NEURONS);
  checkWhole(where, "neighbours", neighbours, 2, neurons - 1);
  checkProbability(where, "rewiring", rewiring);
  if (neighbours % 2 !== 0 || neighbours > Math.max(2, neurons / 2)) {
    throw new ArgumentError(where, "neighbours", `an even number up to ${Math.max(2, neurons / 2)}`, `${neighbours}`);
  }
  const stream = new RandomStream(deriveKey(keyOfSeed(seed), where));
  const nnz = neurons * neighbours;
  const colIdx = indexArray(neurons, nnz);
  // stamp[j] = i + 1 while j is an input of neuron i: a set that needs no clearing.
  const stamp = new Uint32Array(neurons);
  for (let i = 0; i < neurons; i++) {
    const begin = i * neighbours;
    stamp[i] = i + 1;
    for (let s = 0; s < neighbours; s++) {
      const step = s % 2 === 0 ? s / 2 + 1 : neurons - (s + 1) / 2;
      const j = (i + step) % neurons;
      colIdx[begin + s] = j;
      stamp[j] = i + 1;
    }
    for (let k = begin; k < begin + neighbours && neighbours < neurons - 1; k++) {
      if (stream.uniform() >= rewiring) continue;
      let j: number;
      do j = stream.below(neurons);
      while (stamp[j] === i + 1);
      stamp[colIdx[k]!] = 0;
      stamp[j] = i + 1;
      colIdx[k] = j;
    }
    colIdx.subarray(begin, begin + neighbours).sort();
  }
  const rowPtr = Uint32Array.from({ length: neurons + 1 }, (_, i) => i * neighbours);
  return csrFromParts({ nRows: neurons, nCols: neurons, rowPtr, colIdx, values: new Float32Array(nnz).fill(1) }, where);
}
