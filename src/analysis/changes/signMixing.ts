// Dale's law: how far the outputs of each neuron have one sign, and how much excitation and inhibition each gets.

import type { Csr } from "../../core/csr.ts";

/** Sums of |w| at every neuron. */
export interface SignedTotals {
  /** [neurons], of the positive weights. */
  readonly positive: Float64Array;
  /** [neurons], of the negative ones. */
  readonly negative: Float64Array;
}

/** Signs of weights by neuron. */
export interface SignMixing {
  /** Of the connections that a neuron sends (columns), and of those that it receives (rows). */
  readonly outputs: SignedTotals;
  readonly inputs: SignedTotals;
  /** [neurons], min(P, N) / (P + N) of a neuron's outputs: 0 where all have one sign, or there are none; at most ½. */
  readonly minorityShare: Float64Array;
  /** Neurons by the signs of their outputs; those of `silent` are all 0, or there are none. */
  readonly excitatory: number;
  readonly inhibitory: number;
  readonly mixed: number;
  readonly silent: number;
  /** Σ min(P, N) / Σ (P + N) over all neurons: the share of all |w| that breaks Dale's law; 0 without weights. */
  readonly share: number;
}

/**
 * Which neurons mix signs in their outputs, against Dale's law, and by how much. P and N are the sums of |w| of a neuron's positive and negative
 * outputs; weights of 0 have no sign. O(connections); memory O(neurons).
 *
 * @param csr  W, [post, pre]
 */
export function signMixing({ nRows, nCols, rowPtr, colIdx, values }: Csr): SignMixing {
  const totals = (n: number): SignedTotals => ({ positive: new Float64Array(n), negative: new Float64Array(n) });
  const [outputs, inputs] = [totals(nCols), totals(nRows)];
  for (let i = 0; i < nRows; i++) {
    for (let k = rowPtr[i]!; k < rowPtr[i + 1]!; k++) {
      const w = values[k]!;
      const sign = w > 0 ? "positive" : "negative";
      const size = Math.abs(w);
      outputs[sign][colIdx[k]!]! += size;
      inputs[sign][i]! += size;
    }
  }
  const minorityShare = new Float64Array(nCols);
  let [excitatory, inhibitory, mixed, minority, total] = [0, 0, 0, 0, 0];
  for (let j = 0; j < nCols; j++) {
    const [p, n] = [outputs.positive[j]!, outputs.negative[j]!];
    const less = Math.min(p, n);
    if (less > 0) {
      mixed++;
      minorityShare[j] = less / (p + n);
    } else if (p > 0) excitatory++;
    else if (n > 0) inhibitory++;
    minority += less;
    total += p + n;
  }
  return {
    ...{ outputs, inputs, minorityShare, excitatory, inhibitory, mixed },
    silent: nCols - excitatory - inhibitory - mixed,
    share: total === 0 ? 0 : minority / total,
  };
}
