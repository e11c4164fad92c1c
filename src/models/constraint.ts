// Constraints on parameters. A pass restores them on the device; values that contradict one from the start are refused, not changed.

import { ArgumentError } from "../core/errors.ts";

/**
 * A condition on the values. They are projected onto it before each forward pass, in place; the gradient is that at the projected
 * value, not masked. "sign": no weight may change the sign it started with (0 may become either).
 *
 * Values that are given (at the start, by `set`, from a file) and contradict it are refused. `clamp: true` takes those below `min` and
 * sets them to it, as torch-biopl does silently.
 */
export type Constraint = "none" | "sign" | { readonly min: number; readonly clamp?: boolean };

/** Remedies where weights of both signs have to be at least `min`. */
const WEIGHTS = {
  what: "weights",
  ways:
    'take their absolute values by absolute(), with neuronClass for the signs of neurons; or weightConstraint "sign", which keeps signs; ' +
    'or "none"; or { min, clamp: true }, which sets those below to the minimum, as torch-biopl does',
};

/**
 * @param of  for the message: the kind of values, and remedies for those below
 * @throws {ArgumentError} values below a minimum without `clamp`: how many, and the least
 */
export function checkMinimum(
  where: string,
  name: string,
  values: ArrayLike<number>,
  constraint: Constraint,
  of = { what: "values", ways: "clamp: true sets those below to it" },
): void {
  if (typeof constraint === "string" || constraint.clamp) return;
  const { min } = constraint;
  let below = 0;
  let least = min;
  for (let i = 0; i < values.length; i++) {
    const value = values[i]!;
    if (value < min) below++;
    if (value < least) least = value;
  }
  if (below === 0) return;
  const got = `${below} of ${values.length} below it, the least ${least}`;
  throw new ArgumentError(where, name, `${of.what} of at least ${min} (${of.ways})`, got);
}

/** `checkMinimum` for the weights of a network. */
export function checkWeights(where: string, name: string, values: ArrayLike<number>, constraint: Constraint): void {
  checkMinimum(where, name, values, constraint, WEIGHTS);
}

/** @throws {ArgumentError} values of the other sign than the one to keep; 0 may become either */
export function checkSigns(where: string, name: string, values: ArrayLike<number>, signs: ArrayLike<number>): void {
  let changed = 0;
  for (let i = 0; i < values.length; i++) if (values[i]! * signs[i]! < 0) changed++;
  if (changed === 0) return;
  const expected = 'the signs that values started with (constraint "sign"; clamp: true sets others to 0)';
  throw new ArgumentError(where, name, expected, `${changed} of ${values.length} of the other sign`);
}
