// What is kept of receptive fields for the page of a run: their numbers, and of the strongest ones a map and a curve.

import type { InputPlaces } from "./fieldSummary.ts";
import type { ReceptiveFields } from "./receptiveFields.ts";
import { fieldStandardError } from "./reverseCorrelation.ts";

/** Fields with a map. */
const MAPS = 30;
/** Inputs of a map with places, and of one without. */
const MOST_PLACES = 2 ** 16;
const MOST_OTHERS = 1024;

/** How fields were measured, in the words of the options. */
export interface FieldMeasurement {
  readonly noise: string;
  readonly mean: number;
  readonly contrast: number;
  readonly response: string;
  /** How long a frame of noise lasts. */
  readonly frame: { readonly length: number; readonly unit: "steps" | "time constants" };
  readonly places: InputPlaces | null;
}

/** A neuron in words. */
export interface NamedNeuron {
  readonly name: string;
  readonly type: string | null;
}

/** The record of receptive fields. `names` are those of `fields.indices`. */
export function fieldRecord(
  fields: ReceptiveFields,
  measurement: FieldMeasurement,
  names: readonly NamedNeuron[],
): Readonly<Record<string, unknown>> {
  const { lags, inputs, values, indices, summaries, threshold, count, heldOut } = fields;
  const strength = summaries.map(({ peak }) => (peak ? Math.abs(peak.value) / peak.standardError : 0));
  const strongest = [...strength.keys()].sort((a, b) => strength[b]! - strength[a]! || a - b).slice(0, MAPS);
  const mapped = new Set(inputs <= (measurement.places ? MOST_PLACES : MOST_OTHERS) ? strongest : []);
  const drawn = new Set(strongest);
  const neurons = summaries.map(({ peak, explained, ...summary }, n) => {
    const valueAt = (lag: number, input: number) => short(values[(n * lags + lag) * inputs + input]!);
    return {
      ...{ index: indices[n]!, ...names[n]! },
      ...{ mean: short(fields.mean[n]!), sd: short(fields.sd[n]!) },
      peak: peak && {
        ...peak,
        value: short(peak.value),
        standardError: short(peak.standardError),
      },
      ...summary,
      explained: { share: short(explained.share), standardError: short(explained.standardError) },
      kernel: drawn.has(n) && peak ? Array.from({ length: lags }, (_, lag) => valueAt(lag, peak.input)) : null,
      kernelError:
        drawn.has(n) && peak
          ? Array.from({ length: lags }, (_, lag) => short(fieldStandardError(fields, n, lag, peak.input)))
          : null,
      significant: mapped.has(n) && peak ? significantAt(fields, n, peak.lag) : null,
      map: mapped.has(n) && peak ? Array.from({ length: inputs }, (_, i) => valueAt(peak.lag, i)) : null,
    };
  });
  return { ...measurement, inputs, lags, responses: count, heldOut, threshold: short(threshold), neurons };
}

/** Inputs whose coefficient at a lag exceeds noise. */
function significantAt(fields: ReceptiveFields, n: number, lag: number): number[] {
  const { lags, inputs, values, threshold } = fields;
  const exceeds = (i: number) =>
    Math.abs(values[(n * lags + lag) * inputs + i]!) > threshold * fieldStandardError(fields, n, lag, i);
  return Array.from({ length: inputs }, (_, i) => i).filter(exceeds);
}

/** Enough for a picture and a table. */
function short(value: number): number {
  return Number.isFinite(value) ? Number(value.toPrecision(4)) : value;
}
