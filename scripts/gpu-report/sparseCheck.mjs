// Checks the products at full size against f64 on the host, on a sample of rows, columns and entries. Bounds are derived.

import { cscOf } from "../../dist/src/core/csr.js";
import { addressOf, G, X } from "./sparseProducts.mjs";

const ROWS = 64;
const ENTRIES = 512;
/** Unit roundoff of f32. */
const U = 2 ** -24;

/** Relative error of k roundings in any order: Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., lemma 3.1. */
function gamma(k) {
  return (k * U) / (1 - k * U);
}

/**
 * The largest ratio of error to bound, per result: at most 1 if it is correct, NaN if it contains NaN.
 *
 * @returns {{ y: number, ct: number, grad: number }}
 */
export function errorsOverBounds(csr, batch, { layout, y, ct, grad }) {
  const { cscOfCsr, colPtr, rowIdx } = cscOf(csr);
  const csrOfCsc = new Uint32Array(csr.nnz);
  cscOfCsr.forEach((at, k) => {
    csrOfCsc[at] = k;
  });
  const forward = { ptr: csr.rowPtr, neuronOf: (k) => csr.colIdx[k], weightOf: (k) => csr.values[k], operand: X };
  const reverse = { ptr: colPtr, neuronOf: (at) => rowIdx[at], weightOf: (at) => csr.values[csrOfCsc[at]], operand: G };
  return {
    y: worstOfProduct(csr.nRows, batch, layout, y, forward),
    ct: worstOfProduct(csr.nRows, batch, layout, ct, reverse),
    grad: worstOfGradient(csr, batch, grad, cscOfCsr),
  };
}

function worstOfProduct(n, batch, layout, got, { ptr, neuronOf, weightOf, operand }) {
  let worst = 0;
  for (const row of sampleOfRows(ptr, n)) {
    const length = ptr[row + 1] - ptr[row];
    for (let sample = 0; sample < batch; sample++) {
      let sum = 0;
      let size = 0;
      for (let k = ptr[row]; k < ptr[row + 1]; k++) {
        const term = weightOf(k) * operand(neuronOf(k), sample);
        sum += term;
        size += Math.abs(term);
      }
      const error = Math.abs(got[addressOf(n, row, sample, layout)] - sum);
      worst = Math.max(worst, overBound(error, gamma(length + 1) * size));
    }
  }
  return worst;
}

/** The gradient of an entry is Σ over samples of G of its row times X of its column; entries are in CSC order. */
function worstOfGradient(csr, batch, got, cscOfCsr) {
  let worst = 0;
  for (let i = 0; i < Math.min(ENTRIES, csr.nnz); i++) {
    const k = Math.floor(((i + 0.5) / Math.min(ENTRIES, csr.nnz)) * csr.nnz);
    const row = rowOfEntry(csr.rowPtr, k);
    let sum = 0;
    let size = 0;
    for (let sample = 0; sample < batch; sample++) {
      const term = G(row, sample) * X(csr.colIdx[k], sample);
      sum += term;
      size += Math.abs(term);
    }
    worst = Math.max(worst, overBound(Math.abs(got[cscOfCsr[k]] - sum), gamma(batch + 1) * size));
  }
  return worst;
}

function overBound(error, bound) {
  return error === 0 ? 0 : error / bound;
}

/** Evenly spaced rows, and the longest row, which has the most rounding. */
function sampleOfRows(ptr, n) {
  let longest = 0;
  for (let row = 1; row < n; row++) {
    if (ptr[row + 1] - ptr[row] > ptr[longest + 1] - ptr[longest]) longest = row;
  }
  return [longest, ...Array.from({ length: ROWS }, (_, i) => Math.floor(((i + 0.5) / ROWS) * n))];
}

function rowOfEntry(rowPtr, k) {
  let low = 0;
  let high = rowPtr.length - 1;
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (rowPtr[middle] <= k) low = middle;
    else high = middle;
  }
  return low;
}

/** Whether samples that two batches share have the same bits. Batches begin with the same samples. */
export function sameSamples(n, a, b) {
  const samples = Math.min(a.batch, b.batch);
  for (let neuron = 0; neuron < n; neuron++) {
    for (let sample = 0; sample < samples; sample++) {
      const x = a.values[addressOf(n, neuron, sample, a.layout)];
      if (!Object.is(x, b.values[addressOf(n, neuron, sample, b.layout)])) return false;
    }
  }
  return true;
}

/** Whether two f32 arrays have the same bits. */
export function sameBits(a, b) {
  const bytes = ({ buffer, byteOffset, byteLength }) => Buffer.from(buffer, byteOffset, byteLength);
  return bytes(a).equals(bytes(b));
}
