// Addition: the sum of some numbers, read symbol by symbol, as a class. Source: the arithmetic task of arXiv:2610.10014.

import { ArgumentError } from "../../core/errors.ts";
import { deriveKey, type Key, RandomStream } from "../../core/random.ts";
import { generatedSet, type KnownAnswer, type TaskSet, taskSet } from "./taskSet.ts";

const SYMBOLS = [..."0123456789+="] as const;
const PLUS = 10;
const EQUALS = 11;
/** All expressions are listed, so that some of them can be held out exactly. */
const MAX_EXPRESSIONS = 1e6;

/**
 * Expressions "3+4=", one symbol after the other: inputs are one-hot [steps, 12] over 0 … 9, + and =, then nothing for `wait` steps; the
 * target is the sum, a class. All expressions are equally likely, leading zeros included.
 */
export const addition: TaskSet = taskSet("addition", {
  summary: "add numbers that are read digit by digit; the sum is a class",
  options: {
    operands: { kind: "whole", help: "numbers to add", default: 2, least: 2, most: 6 },
    digits: { kind: "whole", help: "digits of each number", default: 1, least: 1, most: 3 },
    hold: { kind: "whole", help: "steps that each symbol lasts", default: 1, least: 1, most: 64 },
    wait: { kind: "whole", help: "steps without input after the last symbol", default: 8, least: 0, most: 1024 },
    heldOut: {
      kind: "number",
      help: "share of the expressions that only validation and test have; 0: every part has all of them",
      default: 0,
      least: 0,
      most: 0.9,
    },
  },
  make: ({ options, key, parts }) => {
    const { operands, digits, hold, wait, heldOut } = options;
    const radix = 10 ** digits;
    const expressions = radix ** operands;
    if (expressions > MAX_EXPRESSIONS) {
      const expected = `at most ${MAX_EXPRESSIONS} expressions, 10^(operands · digits)`;
      throw new ArgumentError("addition", "operands, digits", expected, `${operands} and ${digits}: ${expressions}`);
    }
    const classes = operands * (radix - 1) + 1;
    const { trained, tested } = splitExpressions(expressions, heldOut, key);
    const symbols = operands * (digits + 1);
    const part = (choices: Uint32Array) => (count: number, partKey: Key) =>
      generatedSet(
        {
          inputSize: SYMBOLS.length,
          steps: symbols * hold + wait,
          target: { kind: "class", width: 1, classes, times: null },
          weighted: false,
          source: `addition: ${operands} numbers of ${digits} digit${digits > 1 ? "s" : ""}`,
          classNames: Array.from({ length: classes }, (_, sum) => `${sum}`),
        },
        count,
        partKey,
        (stream, { inputs, targets }) => {
          const expression = choices[stream.below(choices.length)]!;
          symbolsOf(expression, operands, digits).forEach((symbol, k) => {
            for (let step = k * hold; step < (k + 1) * hold; step++) inputs[step * SYMBOLS.length + symbol] = 1;
          });
          targets[0] = sumOf(expression, radix);
        },
      );
    return { ...parts(part(trained), part(tested)), known: knownOf(tested, radix, classes) };
  },
});

/** Expression e names its operands: they are the digits of e in base `radix`, the first operand the lowest one. */
function operandsOf(expression: number, operands: number, radix: number): number[] {
  return Array.from({ length: operands }, (_, k) => Math.floor(expression / radix ** k) % radix);
}

function sumOf(expression: number, radix: number): number {
  let sum = 0;
  for (let rest = expression; rest > 0; rest = Math.floor(rest / radix)) sum += rest % radix;
  return sum;
}

/** The symbols of "a+b=", as numbers. */
function symbolsOf(expression: number, operands: number, digits: number): number[] {
  return operandsOf(expression, operands, 10 ** digits).flatMap((operand, k) => [
    ...Array.from({ length: digits }, (_, d) => Math.floor(operand / 10 ** (digits - 1 - d)) % 10),
    k < operands - 1 ? PLUS : EQUALS,
  ]);
}

/** Which expressions the training set draws from, and which the others. @throws {ArgumentError} a share of less than one expression */
function splitExpressions(
  expressions: number,
  heldOut: number,
  key: Key,
): { trained: Uint32Array; tested: Uint32Array } {
  const order = new RandomStream(deriveKey(key, "heldOut")).permutation(expressions);
  if (heldOut === 0) return { trained: order, tested: order };
  const nHeldOut = Math.round(heldOut * expressions);
  if (nHeldOut === 0) {
    throw new ArgumentError("addition", "heldOut", `0, or at least one of ${expressions} expressions`, `${heldOut}`);
  }
  return { trained: order.subarray(nHeldOut), tested: order.subarray(0, nHeldOut) };
}

function knownOf(tested: Uint32Array, radix: number, classes: number): Record<string, KnownAnswer> {
  const counts = new Float64Array(classes);
  for (const expression of tested) counts[sumOf(expression, radix)]!++;
  const shares = counts.map((n) => n / tested.length);
  const accuracy = Math.max(...shares);
  const loss = -shares.reduce((sum, p) => sum + (p > 0 ? p * Math.log(p) : 0), 0);
  const reason = "a sum has one right answer; who does not see the numbers knows the distribution of sums";
  return {
    accuracy: { best: 1, memoryless: accuracy, chance: accuracy, reason },
    loss: { best: 0, memoryless: loss, chance: loss, reason },
  };
}
