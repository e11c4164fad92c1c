// Changes of the weights of a connectome that keep its pattern.

import { type Csr, mapValues, withValues } from "../core/csr.ts";
import { ArgumentError } from "../core/errors.ts";
import { checkPositive } from "./checks.ts";
import { type SpectralEstimate, spectralRadiusOfAbsolute } from "./spectralRadius.ts";
import { checkTypedNeurons, type TypedNeurons } from "./typePairs.ts";

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
  checkPositive("normaliseRows", "gain", gain);
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

/**
 * Rows of the neurons of a type divided by one number, so that the mean of their Σ_j |w_ij| is `gain`: weights of a type keep their ratios, also where
 * cells at the border of a field have fewer connections. Types without any input stay as they are.
 *
 * @throws {ShapeError | ArgumentError} other types than neurons, a gain that is not above 0
 */
export function normaliseTypes(csr: Csr, neurons: TypedNeurons, gain = 1): Csr {
  const where = "normaliseTypes";
  checkTypedNeurons(where, csr, neurons);
  checkPositive(where, "gain", gain);
  const { types, typeIdx } = neurons;
  const { nRows, rowPtr } = csr;
  const [total, count] = [new Float64Array(types.length), new Float64Array(types.length)];
  for (let i = 0; i < nRows; i++) {
    const t = typeIdx[i]!;
    count[t]!++;
    for (let k = rowPtr[i]!; k < rowPtr[i + 1]!; k++) total[t]! += Math.abs(csr.values[k]!);
  }
  const factor = total.map((sum, t) => (sum === 0 ? 1 : (gain * count[t]!) / sum));
  return mapValues(csr, (w, post) => w * factor[typeIdx[post]!]!);
}

/**
 * Each weight divided by √d, where d is the in-degree of the postsynaptic neuron: its number of connections, not of synapses. Inputs of equal size
 * and random sign then sum to the same variance, whatever the number of connections.
 */
export function divideByRootInDegree(csr: Csr): Csr {
  const values = csr.values.slice();
  for (let i = 0; i < csr.nRows; i++) {
    const begin = csr.rowPtr[i]!;
    const end = csr.rowPtr[i + 1]!;
    const root = Math.sqrt(end - begin);
    for (let k = begin; k < end; k++) values[k]! /= root;
  }
  return withValues(csr, values);
}

/** Each weight w as sign(w) · ln(1 + |w|), which brings counts from 1 to thousands near each other. */
export function logarithms(csr: Csr): Csr {
  return withValues(
    csr,
    csr.values.map((w) => Math.sign(w) * Math.log1p(Math.abs(w))),
  );
}

/**
 * All weights times radius / ρ, where ρ is the spectral radius of |W|: below 1, no activity can grow without bound under tanh, relu or the identity.
 *
 * @param radius > 0
 * @returns the matrix, and ρ as estimated (`spectralRadiusOfAbsolute`)
 * @throws {ArgumentError} a matrix that is not square, or without cycles: its radius is 0 at any scale
 */
export function scaleToRadius(csr: Csr, radius: number): { readonly csr: Csr; readonly before: SpectralEstimate } {
  checkPositive("scaleToRadius", "radius", radius);
  const before = spectralRadiusOfAbsolute(csr);
  if (before.value === 0) {
    throw new ArgumentError(
      "scaleToRadius",
      "csr",
      "a network with a cycle (others have radius 0 at any scale)",
      "none",
    );
  }
  return { csr: scaled(csr, radius / before.value), before };
}

/**
 * All weights times a factor.
 *
 * @param scale a finite number other than 0
 * @throws {ArgumentError} any other scale, and one that makes a weight infinite, or 0, in the type of the values
 */
export function scaled(csr: Csr, scale: number): Csr {
  if (scale === 0 || !Number.isFinite(scale)) {
    throw new ArgumentError("scaled", "scale", "a finite number other than 0", `${scale}`);
  }
  if (scale === 1) return csr;
  const values = csr.values.map((w) => w * scale);
  const lost = values.findIndex((w, k) => !Number.isFinite(w) || (w === 0 && csr.values[k] !== 0));
  if (lost >= 0) {
    const type = values instanceof Float32Array ? "f32" : "f64";
    const got = `${scale}, which makes ${csr.values[lost]} ${values[lost]}`;
    throw new ArgumentError("scaled", "scale", `a factor that keeps all weights within ${type}`, got);
  }
  return withValues(csr, values);
}
