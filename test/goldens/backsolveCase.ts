// The kinds `backsolve` and `joint_backsolve`: gradients of the rate model by solving the adjoint equations backwards.

import type { Backend, Bindable } from "../../src/backend/backend.ts";
import { ParameterSet } from "../../src/models/parameters/parameterSet.ts";
import { Backsolve } from "../../src/ode/backsolve.ts";
import type { SolveStats } from "../../src/ode/solveStats.ts";
import { tableauByName } from "../../src/ode/tableaus/index.ts";
import { dataOf, dot, type Inputs, stepCounts } from "./arrays.ts";
import type { Outputs } from "./compare.ts";
import type { GoldenCase } from "./format.ts";
import { addParameters, controllerOf, DEFAULT_MAX_STEPS, PARAMETERS, problemOf, rateModel } from "./solverCase.ts";

export async function runBacksolveCase(backend: Backend, golden: GoldenCase, inputs: Inputs): Promise<Outputs> {
  const problem = problemOf(golden, inputs);
  const { batch, nNeurons, tEval, tStart, tEnd } = problem;
  const { solver: options } = golden.options;
  const joint = golden.kind === "joint_backsolve";
  const parameters = new ParameterSet(backend);
  addParameters(parameters, problem);
  parameters.refresh();
  const wrt = parameters.trainable().map((p) => p.name);
  const adjoint = new Backsolve(backend, rateModel(problem, parameters), {
    tableau: tableauByName(options.method),
    controller: controllerOf(options),
    maxSteps: options.maxSteps ?? DEFAULT_MAX_STEPS,
    wrt,
    joint,
  });
  try {
    const { ys, stats } = await adjoint.forward({
      samples: batch,
      y0: inputs.get("h0")?.data ?? new Float64Array(batch * nNeurons),
      states: { x: dataOf(golden, inputs, "x") },
      parameters: Object.fromEntries(parameters.all().map((p): [string, Bindable] => [p.name, p.bindable])),
      tStart,
      tEnd,
      tEval: options.tEval && tEval,
      ...(options.dt0 === null ? {} : { dt0: options.dt0 }),
    });
    const cotangent = dataOf(golden, inputs, "cot");
    const at = (j: number) => (i: number) => (Math.floor(i / nNeurons) * ys.length + j) * nNeurons + (i % nNeurons);
    /** A gradient per neuron, summed over the neurons that share the parameter. */
    const shared = (name: string, gradient: ArrayLike<number>): ArrayLike<number> => {
      const sum = new Float64Array(parameters.get(name).size);
      if (gradient.length === sum.length) return gradient;
      dataOf(golden, inputs, "neuron_type").forEach((type, i) => {
        sum[Number(type)]! += gradient[i]!;
      });
      return sum;
    };
    const gradients = await adjoint.reverse(ys.map((y, j) => y.map((_, i) => cotangent[at(j)(i)]!)));
    const outputs = new Float64Array(batch * ys.length * nNeurons);
    ys.forEach((y, j) => {
      y.forEach((value, i) => {
        outputs[at(j)(i)] = value;
      });
    });
    return new Map<string, ArrayLike<number>>([
      ["ys", outputs],
      ["loss", [dot(outputs, cotangent)]],
      ["grad_h0", gradients.y0],
      ...wrt.map((name) => [PARAMETERS[name]!, shared(name, gradients.parameters[name]!)] as const),
      ...stepCounts([stats]),
      ...backwardCounts(gradients.stats, joint),
    ]);
  } finally {
    adjoint.dispose();
    parameters.dispose();
  }
}

/** One row per backward solve. The reference counts no evaluations when each sample has its own adjoint equations. */
function backwardCounts(stats: readonly SolveStats[], joint: boolean): [string, number[]][] {
  return [
    ["back_n_steps", stats.flatMap((s) => s.nSteps)],
    ["back_n_accepted", stats.flatMap((s) => s.nAccepted)],
    ["back_n_f_evals", stats.flatMap((s) => s.nSteps.map(() => (joint ? s.nFEvals : 0)))],
  ];
}
