// What weights are made of signed counts of synapses.

import type { Csr } from "../core/csr.ts";
import { ArgumentError, nearestName } from "../core/errors.ts";
import { quoteText } from "../core/text.ts";
import { divideByRootInDegree, logarithms, normaliseRows, scaled, scaleToRadius } from "../data/scaling.ts";
import type { SpectralEstimate } from "../data/spectralRadius.ts";

/**
 * How weights follow from signed counts w_ij (i postsynaptic, j presynaptic):
 *
 *     none        w_ij
 *     rows        w_ij / Σ_k |w_ik|
 *     in-degree   w_ij / √d_i, with d_i the number of connections to i
 *     radius      w_ij · radius / ρ(|W|), with ρ the spectral radius
 *     log         sign(w_ij) · ln(1 + |w_ij|)
 */
export type Normalisation =
  | { readonly kind: "none" | "rows" | "in-degree" | "log" }
  | { readonly kind: "radius"; readonly radius: number };

const KINDS = ["rows", "in-degree", "radius=0.9", "log", "none"] as const;

/**
 * The normalisation that a text names: rows, in-degree, radius=0.9 (or any number > 0), log, none.
 *
 * @throws {ArgumentError} any other text, with the nearest name
 */
export function parseNormalisation(text: string): Normalisation {
  const [, number] = /^radius=(.+)$/.exec(text) ?? [];
  const radius = Number(number);
  if (number !== undefined && number.trim() !== "" && radius > 0 && Number.isFinite(radius)) {
    return { kind: "radius", radius };
  }
  if (text === "none" || text === "rows" || text === "in-degree" || text === "log") return { kind: text };
  const near = nearestName(text, KINDS);
  const hint = near === null ? "" : ` (did you mean ${near}?)`;
  throw new ArgumentError("normalise", "normalise", `one of ${KINDS.join(", ")}`, `${quoteText(text)}${hint}`);
}

/** Weights, and what is worth reporting of how they were made. */
export interface NormalisedEdges {
  readonly csr: Csr;
  /** The spectral radius of |W| beforehand; null: the normalisation does not use it. */
  readonly radiusBefore: SpectralEstimate | null;
}

/**
 * Normalises weights, then multiplies all by `scale`. Computed in double precision and rounded to the type of the values at each of the two steps.
 *
 * @param csr [post, pre], signed counts of synapses
 * @param scale a finite number other than 0
 * @throws {ArgumentError} a scale that is none, a radius for a network without cycles
 */
export function normalise(csr: Csr, how: Normalisation, scale = 1): NormalisedEdges {
  const { csr: normalised, radiusBefore } = normalisedBy(csr, how);
  return { csr: scaled(normalised, scale), radiusBefore };
}

function normalisedBy(csr: Csr, how: Normalisation): NormalisedEdges {
  switch (how.kind) {
    case "none":
      return { csr, radiusBefore: null };
    case "rows":
      return { csr: normaliseRows(csr), radiusBefore: null };
    case "in-degree":
      return { csr: divideByRootInDegree(csr), radiusBefore: null };
    case "log":
      return { csr: logarithms(csr), radiusBefore: null };
    case "radius": {
      const { csr: scaledCsr, before } = scaleToRadius(csr, how.radius);
      return { csr: scaledCsr, radiusBefore: before };
    }
  }
}
