// Nonlinearities by the names of torch.nn modules with their default arguments, case-insensitive; "A, B" applies A, then B.

import { ArgumentError, nearestName } from "../core/errors.ts";
import type { Value } from "../ops/value.ts";
import type { Ops } from "../ops/vocabulary.ts";

/** A nonlinearity as a function of a value of a graph. */
export type Activation = (ops: Ops, x: Value) => Value;

/** Constants of Klambauer et al., "Self-normalizing neural networks", NeurIPS 2017, eq. 2. */
const SELU_ALPHA = 1.6732632423543772;
const SELU_SCALE = 1.0507009873554805;

/** α(eˣ − 1) for x ≤ 0, x above; the exponential never sees a positive argument, so it cannot overflow in the unused branch. */
function elu(ops: Ops, x: Value, alpha: number): Value {
  const positive = ops.lt(0, x);
  const negative = ops.mul(alpha, ops.sub(ops.exp(ops.select(positive, 0, x)), 1));
  return ops.select(positive, x, negative);
}

/** x limited to [low, high]; derivative 0 at the bounds, as torch's hardtanh has it. */
function clip(ops: Ops, x: Value, low: number, high: number): Value {
  return ops.select(ops.le(x, low), low, ops.select(ops.le(high, x), high, x));
}

/** x + 3 limited to [0, 6]; derivative 1 at the bounds, as torch's hardswish has it: its own slopes at ±3 are 1.5 and −0.5. */
function gate(ops: Ops, x: Value): Value {
  return ops.select(ops.lt(x, -3), 0, ops.select(ops.lt(3, x), 6, ops.add(x, 3)));
}

/** x beyond ±λ, moved towards 0 by λ; derivative 0 at ±λ. */
function softShrink(ops: Ops, x: Value, lambda: number): Value {
  const moved = ops.select(ops.lt(0, x), ops.sub(x, lambda), ops.add(x, lambda));
  return ops.select(ops.le(ops.abs(x), lambda), 0, moved);
}

const ACTIVATIONS: Readonly<Record<string, Activation>> = {
  identity: (_, x) => x,
  sigmoid: (o, x) => o.sigmoid(x),
  tanh: (o, x) => o.tanh(x),
  relu: (o, x) => o.relu(x),
  softplus: (o, x) => o.softplus(x),
  elu: (o, x) => elu(o, x, 1),
  celu: (o, x) => elu(o, x, 1),
  selu: (o, x) => o.mul(SELU_SCALE, elu(o, x, SELU_ALPHA)),
  leakyrelu: (o, x) => o.select(o.lt(0, x), x, o.mul(0.01, x)),
  relu6: (o, x) => clip(o, x, 0, 6),
  hardtanh: (o, x) => clip(o, x, -1, 1),
  hardsigmoid: (o, x) => o.div(clip(o, o.add(x, 3), 0, 6), 6),
  hardswish: (o, x) => o.mul(x, o.div(gate(o, x), 6)),
  silu: (o, x) => o.mul(x, o.sigmoid(x)),
  gelu: (o, x) => o.mul(o.mul(0.5, x), o.add(1, o.erf(o.mul(x, Math.SQRT1_2)))),
  mish: (o, x) => o.mul(x, o.tanh(o.softplus(x))),
  softsign: (o, x) => o.div(x, o.add(1, o.abs(x))),
  // Not −softplus(−x), which is x itself below −20.
  logsigmoid: (o, x) => o.sub(o.min(x, 0), o.softplus(o.neg(o.abs(x)))),
  tanhshrink: (o, x) => o.sub(x, o.tanh(x)),
  softshrink: (o, x) => softShrink(o, x, 0.5),
  hardshrink: (o, x) => o.select(o.le(o.abs(x), 0.5), 0, x),
};

/** The names that `activation` knows, in lower case. */
export const ACTIVATION_NAMES: readonly string[] = Object.keys(ACTIVATIONS);

/**
 * The function for a torch.nn module name; null and "identity" are the identity.
 * @throws {ArgumentError} an unknown name, with the nearest known one
 */
export function activation(name: string | null): Activation {
  const chain = (name ?? "identity").split(",").map((part) => part.trim().toLowerCase());
  const functions = chain.map((part) => {
    const f = Object.hasOwn(ACTIVATIONS, part) ? ACTIVATIONS[part] : undefined;
    if (f) return f;
    const near = nearestName(part, ACTIVATION_NAMES);
    const hint = near ? `did you mean "${near}"? known: ` : "";
    throw new ArgumentError("activation", "nonlinearity", `${hint}${ACTIVATION_NAMES.join(", ")}`, `"${part}"`);
  });
  return (ops, x) => functions.reduce((value, f) => f(ops, value), x);
}
