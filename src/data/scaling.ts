// Changes of the weights of a connectome that keep its pattern.

import { type Csr, mapValues, withValues } from "../core/csr.ts";
import { ArgumentError } from "../core/errors.ts";

/** The matrix of |w|: the tutorial's form, which forgets which neurons inhibit. */
export function absolute(csr: Csr): Csr {
  // Large matrices of magnitudes need no second copy.
  const isNegative = (w: number): boolean => w < 0 || Object.is(w, -0);
  return csr.values.some(isNegative) ? mapValues(csr, Math.abs) : csr;
}

/**
 * Each row divided by the sum of its |w|, times `gain`: every neuron with any input gets the same total weight, and with gain < 1
 * no activity can grow without bound (the maximum norm of the matrix is `gain`). Rows of zeros stay.
 *
 * @param gain > 0; 2 works well with relu and signed weights
 */
export function normaliseRows(csr: Csr, gain = 1): Csr {
  if (!(gain > 0 && Number.isFinite(gain))) {
    throw new ArgumentError("normaliseRows", "gain", "a number > 0", `${gain}`);
  }
  const values = csr.values.slice();
  for (let i = 0; i < csr.nRows; i++) {
    const begin = csr.rowPtr[i]!;
    const end = csr.rowPtr[i + 1]!;
    let sum = 0;
    for (let k = begin; k < end; k++) sum += Math.abs(values[k]!);
    if (sum === 0) continue;
    for (let k = begin; k < end; k++) values[k] = (values[k]! / sum) * gain;
  }
  return withValues(csr, values);
}
