// The results of `axograd inspect`, as data.

import type { Csr } from "../core/csr.ts";
import {
  connectomeStatistics,
  type Distribution,
  distributionOf,
  growthRate,
  spectralRadiusOfAbsolute,
  stronglyConnectedComponents,
  weaklyConnectedComponents,
} from "../data/connectomes.ts";
import type { InspectedMemory } from "./inspectMemory.ts";

export interface InspectionOptions {
  /** Name of a nonlinearity. */
  readonly nonlinearity: string;
  /** Typical rate of a neuron; null: the nonlinearity's default. */
  readonly rate: number | null;
}

/** Neurons by powers of two: `from` ≤ value < `to`; the first bin of degrees holds the zeros. */
export interface Bin {
  readonly from: number;
  readonly to: number;
  readonly count: number;
}

export interface Inspection {
  readonly neurons: readonly [rows: number, columns: number];
  readonly connections: number;
  readonly density: number;
  readonly duplicatesSummed: number;
  readonly selfLoops: number;
  readonly emptyRows: number;
  readonly emptyColumns: number;
  readonly inDegree: Distribution & { readonly histogram: readonly Bin[] };
  readonly outDegree: Distribution & { readonly histogram: readonly Bin[] };
  readonly weights: Distribution & {
    readonly positive: number;
    readonly negative: number;
    readonly zero: number;
    readonly shareInhibitory: number;
    /** Of |w|. */
    readonly histogram: readonly Bin[];
  };
  readonly columnSigns: { readonly excitatory: number; readonly inhibitory: number; readonly mixed: number };
  /** The following three are null for a matrix that is not square. */
  readonly components: ComponentReport | null;
  readonly spectralRadius: SpectralReport | null;
  readonly saturation: Saturation;
  readonly memory: InspectedMemory | null;
}

export interface ComponentReport {
  readonly weak: number;
  readonly largestWeak: number;
  readonly strong: number;
  readonly largestStrong: number;
}

export interface SpectralReport {
  readonly absolute: number;
  readonly absoluteConverged: boolean;
  /** Growth per application of W, an estimate of its spectral radius. */
  readonly signedEstimate: number;
}

/** Share of neurons that a nonlinearity would saturate. */
export interface Saturation {
  readonly nonlinearity: string;
  /** Rate assumed for every presynaptic neuron. */
  readonly rate: number;
  /** Pre-activation at which the nonlinearity is within 2 % of its limit. */
  readonly threshold: number;
  /** Share of neurons with |rate · Σ w| above the threshold; null where the nonlinearity has no limit. */
  readonly share: number | null;
}

/** Nonlinearities that level off for large arguments. */
const SATURATING: readonly string[] = ["sigmoid", "tanh", "relu6", "hardtanh", "hardsigmoid", "softsign"];
const SATURATION_THRESHOLD = 4;
/** Half of the positive range of functions bounded by 1; the rate of all others is taken as 1. */
const SATURATING_RATE = 0.5;

export function inspect(csr: Csr, options: InspectionOptions, memory: InspectedMemory | null): Inspection {
  const s = connectomeStatistics(csr);
  const square = csr.nRows === csr.nCols;
  return {
    neurons: [s.nRows, s.nCols],
    connections: s.connections,
    density: s.density,
    duplicatesSummed: s.duplicatesSummed,
    selfLoops: s.selfLoops,
    emptyRows: s.emptyRows,
    emptyColumns: s.emptyColumns,
    inDegree: { ...distributionOf(s.inDegrees), histogram: binsOf(s.inDegrees) },
    outDegree: { ...distributionOf(s.outDegrees), histogram: binsOf(s.outDegrees) },
    weights: {
      ...s.weights,
      positive: s.positive,
      negative: s.negative,
      zero: s.zero,
      shareInhibitory: s.connections === 0 ? 0 : s.negative / s.connections,
      histogram: binsOf(csr.values.map(Math.abs)),
    },
    columnSigns: s.columnSigns,
    components: square ? componentsOf(csr) : null,
    spectralRadius: square ? spectrumOf(csr) : null,
    saturation: saturationOf(csr, options),
    memory,
  };
}

/** Bins of powers of two for all values; values ≤ 0 share one bin, from 0 to 0. */
export function binsOf(values: ArrayLike<number>): Bin[] {
  const counts = new Map<number, number>();
  let zeros = 0;
  for (let k = 0; k < values.length; k++) {
    if (!(values[k]! > 0)) {
      zeros++;
      continue;
    }
    const exponent = Math.floor(Math.log2(values[k]!));
    counts.set(exponent, (counts.get(exponent) ?? 0) + 1);
  }
  const bins: Bin[] = zeros > 0 ? [{ from: 0, to: 0, count: zeros }] : [];
  if (counts.size === 0) return bins;
  const exponents = [...counts.keys()].sort((a, b) => a - b);
  for (let e = exponents[0]!; e <= exponents.at(-1)!; e++) {
    bins.push({ from: 2 ** e, to: 2 ** (e + 1), count: counts.get(e) ?? 0 });
  }
  return bins;
}

function componentsOf(csr: Csr): ComponentReport {
  const weak = weaklyConnectedComponents(csr);
  const strong = stronglyConnectedComponents(csr);
  const largest = (sizes: Uint32Array): number => sizes.reduce((a, b) => Math.max(a, b), 0);
  return {
    weak: weak.count,
    largestWeak: largest(weak.sizes),
    strong: strong.count,
    largestStrong: largest(strong.sizes),
  };
}

function spectrumOf(csr: Csr): SpectralReport {
  const absolute = spectralRadiusOfAbsolute(csr);
  const nonNegative = csr.values.every((w) => w >= 0);
  return {
    absolute: absolute.value,
    absoluteConverged: absolute.converged,
    signedEstimate: nonNegative ? absolute.value : growthRate(csr).value,
  };
}

function saturationOf(csr: Csr, { nonlinearity, rate }: InspectionOptions): Saturation {
  const last = nonlinearity.split(",").at(-1)!.trim().toLowerCase();
  const saturates = SATURATING.includes(last);
  const typical = rate ?? (saturates ? SATURATING_RATE : 1);
  let above = 0;
  for (let i = 0; i < csr.nRows; i++) {
    let sum = 0;
    for (let k = csr.rowPtr[i]!; k < csr.rowPtr[i + 1]!; k++) sum += csr.values[k]!;
    if (Math.abs(typical * sum) > SATURATION_THRESHOLD) above++;
  }
  return { nonlinearity, rate: typical, threshold: SATURATION_THRESHOLD, share: saturates ? above / csr.nRows : null };
}
