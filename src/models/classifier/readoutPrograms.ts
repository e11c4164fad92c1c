// Read-outs as graphs: state of the output neurons → logits → cross-entropy, and, in the same program, all their gradients.

import { Graph } from "../../autodiff/graph.ts";
import { lower } from "../../autodiff/lower.ts";
import { type GradTarget, pullBack } from "../../autodiff/vjp.ts";
import type { Program } from "../../backend/program.ts";
import type { Value } from "../../ops/value.ts";
import type { Ops } from "../../ops/vocabulary.ts";

export interface ReadoutShape {
  /** Rows of the features. */
  readonly nFeatures: number;
  readonly nClasses: number;
  /** Hidden units between two linear layers with relu and dropout; null: one linear layer. */
  readonly fcDim: number | null;
  /** Probability to drop a hidden unit in training; survivors are scaled by 1/(1 − p). */
  readonly dropout: number;
  /** Features are standardised by the frozen rows `feature.mean` and `feature.scale`: (x − mean)·scale. */
  readonly standardised: boolean;
}

/** A dense layer y = W·x + b with leaves `name.weight` [nOut, nIn] and `name.bias` [nOut]. */
function linear(g: Graph, name: string, x: Value, nOut: number): Value {
  return g.ops.add(g.ops.matmul(g.dense(`${name}.weight`, nOut, x.rows), x), g.row(`${name}.bias`, nOut));
}

/** The features that layers see. */
function standardisedOf(g: Graph, features: Value, { standardised, nFeatures }: ReadoutShape): Value {
  if (!standardised) return features;
  return g.ops.mul(g.ops.sub(features, g.row("feature.mean", nFeatures)), g.row("feature.scale", nFeatures));
}

/** Logits of `features`; with `training`, dropout draws from the key `dropout.key` and the per-sample leaf `sampleId`. */
function logitsOf(g: Graph, features: Value, shape: ReadoutShape, training: boolean): Value {
  const { ops } = g;
  const { nClasses, fcDim, dropout } = shape;
  const x = standardisedOf(g, features, shape);
  if (fcDim === null) return linear(g, "fc", x, nClasses);
  let hidden = ops.relu(linear(g, "fc1", x, fcDim));
  if (training && dropout > 0) {
    const keep = ops.le(dropout, g.random("dropout.key", fcDim, g.sample("sampleId")));
    hidden = ops.select(keep, ops.mul(hidden, 1 / (1 - dropout)), 0);
  }
  return linear(g, "fc2", hidden, nClasses);
}

/** log Σ e^logit − logit[label] per sample, with the maximum subtracted first; and whether the largest logit is the label's. */
function crossEntropy(
  ops: Ops,
  logits: Value,
  label: Value,
  rowIndex: Value,
): { max: Value; loss: Value; correct: Value } {
  const max = ops.reduceRows(logits, "max");
  const shifted = ops.sub(logits, max);
  const logSum = ops.log(ops.reduceRows(ops.exp(shifted)));
  const target = ops.reduceRows(ops.select(ops.eq(rowIndex, label), shifted, 0));
  const predicted = ops.reduceRows(ops.select(ops.eq(logits, max), rowIndex, logits.rows), "min");
  return { max, loss: ops.sub(logSum, target), correct: ops.eq(predicted, label) };
}

/** Builds features from a graph: the state leaf `h`, or its output projection. */
export type FeatureGraph = (g: Graph) => Value;

/**
 * The read-out program. Leaves: `h`, `label` and `weight` per sample (weight 0: not a sample), the layers' parameters.
 * Stores `logits` and adds to the scalars `loss` (Σ weight·cross-entropy) and `correct` (samples whose largest logit is the label's).
 *
 * @param wrt  gradients to compute: the parameters' leaves, and `h` (binding `ct.h`); null: evaluation only, no dropout.
 *   With gradients, the program has no effect where the scalar `complete` is 0
 */
export function readoutProgram(
  features: FeatureGraph,
  shape: ReadoutShape,
  wrt: ReadonlyMap<string, GradTarget> | null,
): Program {
  const g = new Graph();
  const { ops } = g;
  const logits = logitsOf(g, features(g), shape, wrt !== null);
  const weight = g.sample("weight");
  const { max, loss, correct } = crossEntropy(ops, logits, g.sample("label"), g.rowIndex(shape.nClasses));
  const weighted = ops.mul(weight, loss);
  g.store("logits", logits);
  g.store("loss", ops.reduceLanes(weighted), { accumulate: true });
  g.store("correct", ops.reduceLanes(ops.mul(correct, ops.lt(0, weight))), { accumulate: true });
  // The loss does not depend on what is subtracted first.
  if (wrt) pullBack(g, g, [[weighted, ops.constant(1)]], wrt, (v) => v, new Set([max]));
  if (!wrt) return lower(g, "readout", "readout");
  return lower(g, "readout.train", "readout", { scalars: ["complete"], skips: "everything" });
}

/** Stores in `firing`, for each of `fcDim` hidden units, for how many lanes it is above 0. Leaves: `h`, those of the first layer. */
export function firingProgram(features: FeatureGraph, shape: ReadoutShape, fcDim: number): Program {
  const g = new Graph();
  const hidden = linear(g, "fc1", standardisedOf(g, features(g), shape), fcDim);
  g.store("firing", g.ops.reduceLanes(g.ops.lt(0, hidden)));
  return lower(g, "readout.firing", "readout");
}
