// RMSprop.

import type { Backend } from "../../backend/backend.ts";
import { ArgumentError } from "../../core/errors.ts";
import { checkNames } from "../../core/optionNames.ts";
import type { ParameterSet } from "../../models/parameters/parameterSet.ts";
import type { Value } from "../../ops/value.ts";
import { OPTIMIZER_OPTIONS, Optimizer, type OptimizerOptions } from "./base.ts";
import { decayed, notNegative, type Rule } from "./rule.ts";

/** Constants of RMSprop. */
export interface RmspropOptions extends OptimizerOptions {
  /** Of the mean of squares; default 0.99. */
  readonly alpha?: number;
  /** Default 1e-8. */
  readonly eps?: number;
  /** λ·p is added to the gradient; default 0. */
  readonly weightDecay?: number;
  /** Default 0. */
  readonly momentum?: number;
  /** Divide by the standard deviation of the gradient in place of its root mean square. */
  readonly centered?: boolean;
}

/**
 * d = g + λp; v ← αv + (1−α)d²; u = d/(√v + ε); p ← p − lr·u, with momentum b ← μb + u, p ← p − lr·b. Centred: m ← αm + (1−α)d, and
 * v − m² in place of v. As torch.optim.RMSprop.
 * Source: Hinton, Neural Networks for Machine Learning, lecture 6e, 2012; Graves, arXiv:1308.0850, eq. 38–41 (centred).
 */
export class RMSprop extends Optimizer {
  constructor(backend: Backend, parameters: ParameterSet, options: RmspropOptions = {}) {
    super(backend, parameters, rmspropRule(options), { ...options, lr: options.lr ?? 1e-2 });
  }
}

const RMSPROP_OPTIONS: Readonly<Record<keyof RmspropOptions, true>> = {
  ...OPTIMIZER_OPTIONS,
  ...{ alpha: true, eps: true, weightDecay: true, momentum: true, centered: true },
};

function rmspropRule(options: RmspropOptions): Rule {
  checkNames("RMSprop", options, RMSPROP_OPTIONS);
  const { alpha = 0.99, eps = 1e-8, weightDecay = 0, momentum = 0, centered = false } = options;
  if (!(alpha >= 0 && alpha < 1)) throw new ArgumentError("RMSprop", "alpha", "a number from 0 to below 1", `${alpha}`);
  notNegative("RMSprop", "eps", eps);
  notNegative("RMSprop", "weightDecay", weightDecay);
  notNegative("RMSprop", "momentum", momentum);
  return {
    name: "RMSprop",
    moments: ["square_avg", ...(centered ? ["grad_avg"] : []), ...(momentum > 0 ? ["momentum_buffer"] : [])],
    scalars: ["rate"],
    weightDecay,
    at: (_, lr) => [lr],
    update: (ops, inputs) => {
      const [v, ...others] = inputs.moments as [Value, ...Value[]];
      const [m, b] = centered ? others : [undefined, ...others];
      const [rate] = inputs.scalars as [Value];
      const d = decayed(ops, inputs);
      const mean = (old: Value, of: Value) => ops.add(ops.mul(alpha, old), ops.mul(1 - alpha, of));
      const v1 = mean(v, ops.mul(d, d));
      const m1 = m && mean(m, d);
      // Rounded, the variance of a gradient that hardly changes may be below 0.
      const variance = m1 ? ops.max(0, ops.sub(v1, ops.mul(m1, m1))) : v1;
      const u = ops.div(d, ops.add(ops.sqrt(variance), eps));
      const b1 = b && ops.add(ops.mul(momentum, b), u);
      const moments = [v1, m1, b1].filter((moment) => moment !== undefined);
      return { p: ops.sub(inputs.p, ops.mul(rate, b1 ?? u)), moments };
    },
  };
}
