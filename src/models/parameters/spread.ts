// The values of parameters as the elements of a network have them: those that several share, once for each.

import type { FloatArray } from "../../core/dtype.ts";
import type { Parameter } from "./parameter.ts";
import type { ParameterSet } from "./parameterSet.ts";

/**
 * The value of every element of a parameter (a connection, a neuron, …), in the order of files, as its constraint wants it: shared strengths times
 * what each connection multiplies them by, a value per type once per neuron.
 */
export async function spreadValues(
  parameters: ParameterSet,
  { name, shared }: Pick<Parameter, "name" | "shared">,
): Promise<FloatArray> {
  const values = await parameters.values(name);
  if (!shared) return values;
  const { by, factor } = shared;
  const spread = new Float64Array(by.length);
  for (let k = 0; k < spread.length; k++) spread[k] = values[by[k]!]! * (factor?.[k] ?? 1);
  return spread;
}
