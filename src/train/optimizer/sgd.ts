// Stochastic gradient descent, with momentum.

import type { Backend } from "../../backend/backend.ts";
import { ArgumentError } from "../../core/errors.ts";
import { checkNames } from "../../core/optionNames.ts";
import type { ParameterSet } from "../../models/parameters/parameterSet.ts";
import type { Value } from "../../ops/value.ts";
import { OPTIMIZER_OPTIONS, Optimizer, type OptimizerOptions } from "./base.ts";
import { decayed, notNegative, type Rule } from "./rule.ts";

/** Constants of stochastic gradient descent. */
export interface SgdOptions extends OptimizerOptions {
  /** Default 0. */
  readonly momentum?: number;
  readonly dampening?: number;
  /** λ·p is added to the gradient; default 0. */
  readonly weightDecay?: number;
  readonly nesterov?: boolean;
}

/** d = g + λp; b ← μb + (1−δ)d (b = d at the first step); p ← p − lr·b, with Nesterov p − lr·(d + μb). As torch.optim.SGD. */
export class SGD extends Optimizer {
  constructor(backend: Backend, parameters: ParameterSet, options: SgdOptions = {}) {
    super(backend, parameters, sgdRule(options), options);
  }
}

const SGD_OPTIONS: Readonly<Record<keyof SgdOptions, true>> = {
  ...OPTIMIZER_OPTIONS,
  ...{ momentum: true, dampening: true, weightDecay: true, nesterov: true },
};

function sgdRule(options: SgdOptions): Rule {
  checkNames("SGD", options, SGD_OPTIONS);
  const { momentum = 0, dampening = 0, weightDecay = 0, nesterov = false } = options;
  notNegative("SGD", "momentum", momentum);
  notNegative("SGD", "weightDecay", weightDecay);
  if (!Number.isFinite(dampening)) throw new ArgumentError("SGD", "dampening", "a finite number", `${dampening}`);
  if (nesterov && (momentum === 0 || dampening !== 0)) {
    throw new ArgumentError("SGD", "nesterov", "momentum above 0 and no dampening", `${momentum} and ${dampening}`);
  }
  return {
    name: "SGD",
    moments: momentum > 0 ? ["momentum_buffer"] : [],
    scalars: ["rate", "fresh"],
    weightDecay,
    at: (k, lr) => [lr, k === 1 ? 1 : 1 - dampening],
    update: (ops, inputs) => {
      const { p, moments } = inputs;
      const [b] = moments;
      const [rate, fresh] = inputs.scalars as [Value, Value];
      const d = decayed(ops, inputs);
      if (!b) return { p: ops.sub(p, ops.mul(rate, d)), moments: [] };
      const b1 = ops.add(ops.mul(momentum, b), dampening !== 0 ? ops.mul(fresh, d) : d);
      const direction = nesterov ? ops.add(d, ops.mul(momentum, b1)) : b1;
      return { p: ops.sub(p, ops.mul(rate, direction)), moments: [b1] };
    },
  };
}
