// What a linear field is like, in a few numbers: sign, delay, place, size, shape in time.

import { ShapeError } from "../core/errors.ts";
import { HexagonalEye } from "../data/hexagon.ts";
import { tCritical } from "../stats/studentT.ts";
import { fieldStandardError, type LinearFields } from "./reverseCorrelation.ts";

/** Level at which a field is told from none, over all its coefficients. */
export const FIELD_LEVEL = 0.05;

/**
 * Where inputs lie: in the columns of a hexagonal eye, in the order of `HexagonalEye`, or in pictures, rows from top to bottom. x counts to the
 * right and y downwards, in columns from the centre of the eye or in pixels from the centre of the first one.
 */
export type InputPlaces =
  | { readonly kind: "hexagons"; readonly extent: number }
  | { readonly kind: "pixels"; readonly width: number; readonly height: number };

/** The linear field of a neuron in numbers. */
export interface FieldSummary {
  /** The coefficient with the largest |value|; null: all are 0. */
  readonly peak: {
    readonly lag: number;
    readonly input: number;
    readonly value: number;
    readonly standardError: number;
  } | null;
  /** Coefficients with |value| > threshold · standard error. */
  readonly numSignificant: number;
  /** "on": its peak is positive; "off": negative; null: the peak is not significant, and there is no field in this noise. */
  readonly centreSign: "on" | "off" | null;
  /** Mean place of the significant coefficients of the peak's sign, at all lags, weighted by |value|; null: no field, or no places. */
  readonly centre: { readonly x: number; readonly y: number } | null;
  /** Root of the mean square distance of these coefficients from their centre, weighted alike; 0: one input. */
  readonly radius: number | null;
  /**
   * At the input of the peak: the largest significant |value| of the other sign at any lag, as a share of the peak's. 0: one phase, 1: two equal
   * ones. null: no field.
   */
  readonly biphasic: number | null;
}

/**
 * How many standard errors a coefficient of one field has to exceed, so that noise alone exceeds them in one of all its coefficients with
 * probability 5 % at most (Bonferroni's bound): P(|T| ≥ threshold) = 0.05/(lags·inputs), T of Student's distribution with count − 2 degrees of
 * freedom.
 */
export function fieldThreshold({ lags, inputs, count }: LinearFields): number {
  return tCritical(FIELD_LEVEL / (lags * inputs), Math.max(1, count - 2));
}

/**
 * Summarises the field of neuron number n.
 *
 * @param places  null: not known
 * @throws {ShapeError} places of another number of inputs
 */
export function summariseField(fields: LinearFields, n: number, places: PlacesOfInputs | null): FieldSummary {
  const { lags, inputs, values } = fields;
  if (places && places.x.length !== inputs)
    throw new ShapeError("summariseField", "places", `${inputs}, one per input`, `${places.x.length}`);
  const threshold = fieldThreshold(fields);
  const valueAt = (lag: number, input: number) => values[(n * lags + lag) * inputs + input]!;
  const isSignificant = (lag: number, input: number) =>
    Math.abs(valueAt(lag, input)) > threshold * fieldStandardError(fields, n, lag, input);
  let [numSignificant, peakLag, peakInput, most] = [0, 0, 0, 0];
  for (let lag = 0; lag < lags; lag++) {
    for (let i = 0; i < inputs; i++) {
      if (isSignificant(lag, i)) numSignificant++;
      const size = Math.abs(valueAt(lag, i));
      if (size > most) [peakLag, peakInput, most] = [lag, i, size];
    }
  }
  const none = { numSignificant, centreSign: null, centre: null, radius: null, biphasic: null };
  if (most === 0) return { ...none, peak: null };
  const value = valueAt(peakLag, peakInput);
  const peak = {
    ...{ lag: peakLag, input: peakInput, value },
    standardError: fieldStandardError(fields, n, peakLag, peakInput),
  };
  if (!isSignificant(peakLag, peakInput)) return { ...none, peak };
  const sign = Math.sign(value);
  const weights = Float64Array.from({ length: inputs }, (_, i) => {
    let weight = 0;
    for (let lag = 0; lag < lags; lag++) if (isSignificant(lag, i)) weight += Math.max(0, sign * valueAt(lag, i));
    return weight;
  });
  const opposed = Array.from({ length: lags }, (_, lag) =>
    isSignificant(lag, peakInput) ? Math.max(0, -sign * valueAt(lag, peakInput)) : 0,
  );
  return {
    ...{ peak, numSignificant, centreSign: sign > 0 ? "on" : "off" },
    ...extentOf(weights, places),
    biphasic: Math.max(...opposed) / most,
  };
}

/** Weighted mean place, and root of the mean square distance from it. */
function extentOf(weights: Float64Array, places: PlacesOfInputs | null): Pick<FieldSummary, "centre" | "radius"> {
  if (places === null) return { centre: null, radius: null };
  const total = weights.reduce((sum, w) => sum + w, 0);
  const mean = (of: (i: number) => number) => weights.reduce((sum, w, i) => sum + w * of(i), 0) / total;
  const [x, y] = [mean((i) => places.x[i]!), mean((i) => places.y[i]!)];
  return { centre: { x, y }, radius: Math.sqrt(mean((i) => (places.x[i]! - x) ** 2 + (places.y[i]! - y) ** 2)) };
}

/** Coordinates of inputs. */
export interface PlacesOfInputs {
  readonly x: ArrayLike<number>;
  readonly y: ArrayLike<number>;
}

/** The coordinates of inputs that lie in an eye or a picture. */
export function inputPlaces(places: InputPlaces): PlacesOfInputs {
  if (places.kind === "hexagons") return new HexagonalEye(places.extent);
  const { width, height } = places;
  const pixels = Array.from({ length: width * height }, (_, i) => i);
  return { x: pixels.map((i) => i % width), y: pixels.map((i) => Math.floor(i / width)) };
}
