// Adam and AdamW.

import type { Backend } from "../../backend/backend.ts";
import { ArgumentError } from "../../core/errors.ts";
import { checkNames } from "../../core/optionNames.ts";
import type { ParameterSet } from "../../models/parameters/parameterSet.ts";
import type { Value } from "../../ops/value.ts";
import { OPTIMIZER_OPTIONS, Optimizer, type OptimizerOptions } from "./base.ts";
import { decayed, isDecaying, notNegative, type Rule } from "./rule.ts";

/** Constants of Adam and AdamW. */
export interface AdamOptions extends OptimizerOptions {
  /** Default 0.9 and 0.999. */
  readonly betas?: readonly [number, number];
  /** Default 1e-8. */
  readonly eps?: number;
  /** Adam: λ·p is added to the gradient. AdamW: p shrinks by lr·λ before the step. Default 0 (Adam), 0.01 (AdamW). */
  readonly weightDecay?: number;
}

/**
 * m ← β₁m + (1−β₁)g, v ← β₂v + (1−β₂)g², p ← p − (lr/(1−β₁ᵏ))·m/(√v/√(1−β₂ᵏ) + ε) at step k.
 * Source: Kingma & Ba, ICLR 2015, in the form of torch.optim.Adam.
 */
export class Adam extends Optimizer {
  constructor(backend: Backend, parameters: ParameterSet, options: AdamOptions = {}) {
    super(backend, parameters, adamRule("Adam", options, 0, false), options);
  }
}

/** Adam with decoupled weight decay: p ← p·(1 − lr·λ) first. Source: Loshchilov & Hutter, ICLR 2019; torch.optim.AdamW. */
export class AdamW extends Optimizer {
  constructor(backend: Backend, parameters: ParameterSet, options: AdamOptions = {}) {
    super(backend, parameters, adamRule("AdamW", options, 0.01, true), options);
  }
}

const ADAM_OPTIONS: Readonly<Record<keyof AdamOptions, true>> = {
  ...OPTIMIZER_OPTIONS,
  ...{ betas: true, eps: true, weightDecay: true },
};

function adamRule(name: string, options: AdamOptions, defaultDecay: number, decoupled: boolean): Rule {
  checkNames(name, options, ADAM_OPTIONS);
  const { betas = [0.9, 0.999], eps = 1e-8, weightDecay = defaultDecay } = options;
  const [b1, b2] = betas;
  if (betas.length !== 2 || betas.some((b) => !(b >= 0 && b < 1)))
    throw new ArgumentError(name, "betas", "two numbers from 0 to below 1", `${betas}`);
  notNegative(name, "eps", eps);
  notNegative(name, "weightDecay", weightDecay);
  return {
    name,
    moments: ["exp_avg", "exp_avg_sq"],
    scalars: ["rate", "correction", "keep"],
    weightDecay,
    at: (k, lr, decay) => [lr / (1 - b1 ** k), Math.sqrt(1 - b2 ** k), 1 - lr * decay],
    update: (ops, inputs) => {
      const [m, v] = inputs.moments as [Value, Value];
      const [rate, correction, keep] = inputs.scalars as [Value, Value, Value];
      const p = decoupled && isDecaying(inputs.weightDecay) ? ops.mul(inputs.p, keep) : inputs.p;
      const d = decoupled ? inputs.g : decayed(ops, inputs);
      const m1 = ops.add(ops.mul(b1, m), ops.mul(1 - b1, d));
      const v1 = ops.add(ops.mul(b2, v), ops.mul(1 - b2, ops.mul(d, d)));
      const denominator = ops.add(ops.div(ops.sqrt(v1), correction), eps);
      return { p: ops.sub(p, ops.mul(rate, ops.div(m1, denominator))), moments: [m1, v1] };
    },
  };
}
