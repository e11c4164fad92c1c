// The parameters of a model as part of a point.

import type { RandomStream } from "../core/random.ts";
import type { ParameterSpec } from "../models/parameters/parameter.ts";
import { normals } from "./point.ts";

/** Where the parameters of a model are checked, by name, drawn in the order of the parameters. */
export function parametersAt(specs: readonly ParameterSpec[], stream: RandomStream): Record<string, Float64Array> {
  return Object.fromEntries(specs.map((spec) => [spec.name, valuesOf(spec, stream)]));
}

/** Weights and time constants as the options have them; projections and strengths near 1, dense layers of size 1/√columns. */
function valuesOf(spec: ParameterSpec, stream: RandomStream): Float64Array {
  const { role, of, shape } = spec;
  const size = "draw" in spec ? spec.size : spec.values.length;
  if (role === "biases") return normals(stream, size, 0.3);
  if (of === "outputs" || of === "units") return normals(stream, size, 0.2);
  if (role === "read-out" && shape) return normals(stream, size, 1 / Math.sqrt(shape.at(-1)!));
  if (role === "input" || role === "output" || role === "read-out") return normals(stream, size, 0.5, 1);
  return "draw" in spec ? new Float64Array(size) : Float64Array.from(spec.values);
}
