// How much of a known teacher's parameters a run has found.

import { type Recovery, recovery, type Teacher } from "../data/tasks/teacherNetwork.ts";
import type { ParameterRole } from "../models/parameters/parameter.ts";
import type { ParameterSet } from "../models/parameters/parameterSet.ts";
import { spreadValues } from "../models/parameters/spread.ts";

/** R² of the weights, time constants and biases of a network with the wiring of the teacher. */
export async function recoveryOf(
  { parameters }: { readonly parameters: ParameterSet },
  teacher: Teacher,
): Promise<Recovery> {
  const ofRole = (role: ParameterRole) => spreadValues(parameters, parameters.all().find((p) => p.role === role)!);
  return recovery(teacher, {
    weights: await ofRole("weights"),
    tau: await ofRole("time constants"),
    bias: await ofRole("biases"),
  });
}
