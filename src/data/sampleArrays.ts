// What the arrays of a sample set mean: their names, shapes and types, in files and in memory.

import { type EngineError, nearestName } from "../core/errors.ts";
import type { TargetShape } from "../core/targets.ts";
import { quoteText } from "../core/text.ts";
import { shapeText } from "../io/npy.ts";
import type { NumberType } from "../io/numbers.ts";

/** Names of the arrays of a sample set. */
export const SAMPLE_ARRAYS = [
  "inputs",
  "targets",
  "mask",
  "weights",
  "times",
  "split",
  "classNames",
  "outputNames",
] as const;

/** The name of an array of a sample set. */
export type SampleArrayName = (typeof SAMPLE_ARRAYS)[number];

/** Makes the error that names the file and the array. */
export type Refuse = (array: string, expected: string, got: string) => EngineError;

/** Shape and element type of an array. */
export interface ArrayShape {
  readonly shape: readonly number[];
  readonly type: NumberType;
}

/** The shapes of inputs, targets and weights. */
export interface SampleArrayShapes {
  readonly inputs: ArrayShape;
  /** A shape of targets: there are none, and this is theirs. */
  readonly targets: ArrayShape | TargetShape;
  /** Of `mask` or `weights`, whichever there is. */
  readonly weights: ArrayShape | null;
  readonly weightsName: "mask" | "weights";
}

/** Shapes of samples; the number of classes is not known yet. */
export interface InterpretedShape {
  readonly count: number;
  readonly inputSize: number;
  readonly steps: number | null;
  readonly target: Omit<TargetShape, "classes">;
}

const INPUTS_RULE = "[samples, inputs] or [samples, frames, inputs]";
const TARGETS_RULE =
  "classes [samples] or [samples, times] in a type of whole numbers, or numbers [samples], [samples, outputs] or [samples, times, outputs] in a floating-point or boolean type (`kind` overrules the type)";

/**
 * What the shapes and types of arrays mean.
 *
 * @param kind  overrules the type of the targets
 * @throws what `refuse` makes: other shapes, empty arrays, different numbers of samples
 */
export function interpretShapes(
  { inputs, targets, weights, weightsName }: SampleArrayShapes,
  kind: "class" | "numbers" | undefined,
  refuse: Refuse,
): InterpretedShape {
  const named = "shape" in targets ? targets : null;
  const given = [
    ["inputs", inputs],
    ["targets", named],
    [weightsName, weights],
  ] as const;
  for (const [name, array] of given) {
    if (array?.shape.includes(0)) throw refuse(name, "an array that is not empty", `shape ${shapeText(array.shape)}`);
  }
  if (inputs.shape.length !== 2 && inputs.shape.length !== 3) {
    const hint = inputs.shape.length === 1 ? "; inputs[:, None] is one number per sample" : "";
    throw refuse("inputs", INPUTS_RULE, `shape ${shapeText(inputs.shape)}${hint}`);
  }
  const count = inputs.shape[0]!;
  for (const [name, array] of given) {
    if (array && (array.shape[0] ?? 1) !== count) {
      throw refuse(name, `${count} samples, as in inputs`, `shape ${shapeText(array.shape)}`);
    }
  }
  const target = "shape" in targets ? targetShape(targets, kind, refuse) : targets;
  if (weights && named) checkWeightsShape(weights, named, weightsName, refuse);
  return {
    ...{ count, inputSize: inputs.shape.at(-1)! },
    target: { kind: target.kind, width: target.width, times: target.times },
    steps: inputs.shape.length === 3 ? inputs.shape[1]! : null,
  };
}

function targetShape(
  { shape, type }: ArrayShape,
  kind: "class" | "numbers" | undefined,
  refuse: Refuse,
): InterpretedShape["target"] {
  const [, second = null, width = null] = shape;
  const dimensions = shape.length;
  if (kind === "class" || (kind === undefined && isWholeType(type))) {
    if (dimensions === 1 || dimensions === 2) return { kind: "class", width: 1, times: second };
  } else {
    if (dimensions === 1) return { kind: "numbers", width: 1, times: null };
    if (dimensions === 2) return { kind: "numbers", width: second!, times: null };
    if (dimensions === 3) return { kind: "numbers", width: width!, times: second };
  }
  throw refuse("targets", TARGETS_RULE, `type ${type}, shape ${shapeText(shape)}${kind ? `, kind ${kind}` : ""}`);
}

function checkWeightsShape(weights: ArrayShape, targets: ArrayShape, name: string, refuse: Refuse): void {
  const fits =
    weights.shape.length >= 1 &&
    weights.shape.length <= targets.shape.length &&
    weights.shape.every((extent, d) => extent === targets.shape[d]);
  if (fits) return;
  const whole = targets.shape;
  const shapes = whole.map((_, d) => shapeText(whole.slice(0, whole.length - d))).join(" or ");
  throw refuse(name, `the shape of the targets or its beginning, ${shapes}`, `shape ${shapeText(weights.shape)}`);
}

/**
 * The array that weights the targets, and its name.
 *
 * @throws what `refuse` makes: mask and weights; either without targets
 */
export function weightingOf<T>(
  mask: T | undefined,
  weights: T | undefined,
  hasTargets: boolean,
  refuse: Refuse,
): { readonly name: "mask" | "weights"; readonly array: T | null } {
  const name = mask === undefined ? "weights" : "mask";
  const array = mask ?? weights ?? null;
  if (mask !== undefined && weights !== undefined) throw refuse("mask", "mask or weights", "both");
  if (array !== null && !hasTargets) throw refuse(name, "targets that it belongs to", "no targets");
  return { name, array };
}

/** Whether a type counts as whole numbers: integers do, truth values do not. */
export function isWholeType(type: NumberType): boolean {
  return type[0] === "i" || type[0] === "u";
}

/**
 * Checks output times.
 *
 * @throws what `refuse` makes: targets without times, another number of them, not finite, not ascending
 */
export function checkTimes(times: ArrayLike<number>, expected: number | null, refuse: Refuse): Float64Array {
  if (expected === null) {
    throw refuse(
      "times",
      "none for one target per sample (targets at several times have a dimension of their own)",
      `${times.length}`,
    );
  }
  if (times.length !== expected) throw refuse("times", `${expected}, one per output time`, `${times.length}`);
  for (let e = 0; e < times.length; e++) {
    if (!Number.isFinite(times[e])) throw refuse("times", "finite numbers", `${times[e]} at ${e}`);
    if (e > 0 && !(times[e]! > times[e - 1]!)) {
      throw refuse("times", "ascending times", `${times[e]} after ${times[e - 1]} at ${e}`);
    }
  }
  return Float64Array.from(times);
}

/** Parts of a set in the order of their numbers in `split`. */
export const PART_NAMES = ["train", "validation", "test"] as const;

/** A part of a set. */
export type PartName = (typeof PART_NAMES)[number];

/**
 * The part of each sample, 0, 1 or 2.
 *
 * @throws what `refuse` makes: another number of entries, another part
 */
export function partsOfSplit(split: ArrayLike<number | string>, count: number, refuse: Refuse): Uint8Array {
  if (split.length !== count) throw refuse("split", `${count} entries, one per sample`, `${split.length}`);
  return Uint8Array.from({ length: count }, (_, i) => {
    const entry = split[i]!;
    const part = typeof entry === "string" ? PART_NAMES.indexOf(entry as PartName) : entry;
    if (part === 0 || part === 1 || part === 2) return part;
    const expected = '0, 1 and 2, or "train", "validation" and "test"';
    throw refuse("split", expected, `${typeof entry === "string" ? quoteText(entry) : entry} at sample ${i}`);
  });
}

/**
 * Names of arrays that have no meaning; one that is nearly the name of an array that is missing counts as misspelt.
 *
 * @throws what `refuse` makes: a misspelt name
 */
export function unusedNames(names: readonly string[], refuse: Refuse): readonly string[] {
  const missing = SAMPLE_ARRAYS.filter((name) => !names.includes(name));
  const unused = names.filter((name) => !SAMPLE_ARRAYS.some((known) => known === name));
  for (const name of unused) {
    const meant = nearestName(name, missing);
    if (meant !== null) throw refuse(name, `the name "${meant}", or one that is not like it`, quoteText(name));
  }
  return unused;
}
