// All parameters of a model as they take effect: constraints hold, and what is shared is spread.

import type { FloatArray } from "../../core/dtype.ts";
import type { Parameter, ParameterElement } from "../../models/parameters/parameter.ts";
import type { ParameterSet } from "../../models/parameters/parameterSet.ts";
import { spreadValues } from "../../models/parameters/spread.ts";

/** A parameter of a model, with a value for each of its elements. */
export interface EffectiveParameter extends Pick<Parameter, "name" | "leaf" | "role" | "of" | "trainable" | "matrix"> {
  /** [elements], in the order of files. */
  readonly values: FloatArray;
}

/** What has a value of its own once shared values are spread. */
const SPREAD: Readonly<Partial<Record<ParameterElement, ParameterElement>>> = {
  "groups of connections": "connections",
  "neuron types": "neurons",
};

/**
 * The parameters of a model as its next pass has them: constraints applied; strengths that connections share times what each of them multiplies
 * them by; a value per type once per neuron.
 */
export async function effectiveParameters(parameters: ParameterSet): Promise<EffectiveParameter[]> {
  const all: EffectiveParameter[] = [];
  for (const p of parameters.all()) {
    const { name, leaf, role, trainable, matrix } = p;
    const of = p.shared ? (SPREAD[p.of] ?? p.of) : p.of;
    all.push({ name, leaf, role, of, trainable, matrix, values: await spreadValues(parameters, p) });
  }
  return all;
}
