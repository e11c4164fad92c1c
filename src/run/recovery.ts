// How much of a known teacher's parameters a run has found.

import { type Recovery, recovery, type Teacher } from "../data/tasks/teacherNetwork.ts";
import type { ParameterRole } from "../models/parameters/parameter.ts";
import type { ParameterSet } from "../models/parameters/parameterSet.ts";

/** R² of the weights, time constants and biases of a network with the wiring of the teacher. */
export async function recoveryOf(
  { parameters }: { readonly parameters: ParameterSet },
  teacher: Teacher,
): Promise<Recovery> {
  return recovery(teacher, {
    weights: await spread(parameters, "weights"),
    tau: await spread(parameters, "time constants"),
    bias: await spread(parameters, "biases"),
  });
}

/** The values of a network's parameter, one per connection or neuron. */
async function spread(parameters: ParameterSet, role: ParameterRole): Promise<ArrayLike<number>> {
  const { name, shared } = parameters.all().find((p) => p.role === role)!;
  const values = await parameters.values(name);
  if (!shared) return values;
  const { by, factor } = shared;
  return Float64Array.from(by, (group, k) => values[group]! * (factor?.[k] ?? 1));
}
