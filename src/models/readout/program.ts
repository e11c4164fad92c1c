// Read-outs as graphs: state of the output neurons → outputs → loss and sums of metrics, and, in the same program, all gradients.

import { Graph } from "../../autodiff/graph.ts";
import { lower } from "../../autodiff/lower.ts";
import { type GradTarget, pullBack } from "../../autodiff/vjp.ts";
import type { Program } from "../../backend/program.ts";
import { ShapeError } from "../../core/errors.ts";
import type { Value } from "../../ops/value.ts";
import { judgedOf, rowsOfSum } from "../task/sums.ts";
import type { Judged, Task } from "../task/task.ts";
import { layersGraph, type ReadoutShape } from "./layers.ts";

/** Builds features from a graph: the state leaf `h`, or its output projection. */
export type FeatureGraph = (g: Graph) => Value;

/** Which weights of targets a program reads. */
export interface WeightForm {
  /** Targets have weights; those with weight 0 may be NaN. false: every target counts 1, and `weight` only tells samples from unused lanes. */
  readonly weighted: boolean;
  /** Weights in the loss differ from `weight`: they are `loss.weight`. */
  readonly ofLoss: boolean;
}

/** Stores `outputs`, without dropout. Leaves: `h`, the layers' parameters. */
export function outputsProgram(features: FeatureGraph, shape: ReadoutShape): Program {
  const g = new Graph();
  g.store("outputs", layersGraph(g, features(g), shape, false));
  return lower(g, "readout.outputs", "readout");
}

/**
 * The read-out program. Leaves: `h`, `target`, `weight` (0: it does not count), `loss.weight`, the scalar `scale` (1/Σ of the weights in the
 * loss), the layers' parameters, what loss and metrics read. Stores `outputs` and adds to the scalar `loss` (Σ weight·scale·loss) and to
 * `sum METRIC NAME` (Σ weight·value).
 *
 * @param wrt  gradients to compute: the parameters' leaves, and `h` (binding `ct.h`); null: evaluation only, no dropout.
 *   With gradients, the program has no effect where the scalar `complete` is 0
 */
export function readoutProgram(
  features: FeatureGraph,
  shape: ReadoutShape,
  task: Task,
  form: WeightForm,
  wrt: ReadonlyMap<string, GradTarget> | null,
): Program {
  const g = new Graph();
  const { ops } = g;
  const outputs = layersGraph(g, features(g), shape, wrt !== null);
  const weight = weightLeaf(g, "weight", task, form.weighted);
  const lossWeight = form.ofLoss ? weightLeaf(g, "loss.weight", task, true) : weight;
  const judged = form.weighted ? countedOnly(g, judgedOf(g, task, outputs), weight) : judgedOf(g, task, outputs);
  // What a graph makes of the zeros that stand for targets which do not count may be no number.
  const counted = (value: Value) => (form.weighted ? ops.select(ops.lt(0, weight), value, 0) : value);
  const weighted = counted(ops.mul(ops.mul(lossWeight, g.scalar("scale")), lossOf(g, task, judged)));
  g.store("outputs", outputs);
  g.store("loss", ops.reduceLanes(weighted.kind === "state" ? ops.reduceRows(weighted) : weighted), {
    accumulate: true,
  });
  for (const metric of task.metrics) {
    for (const [name, value] of Object.entries(metric.sums(g, judged, task.target))) {
      const rows = rowsOfSum(task, value);
      const term = counted(ops.mul(rows > 1 ? spread(g, value, rows) : value, weight));
      g.store(sumName(metric.name, name), ops.reduceLanes(term), { accumulate: true });
    }
  }
  if (wrt) pullBack(g, g, [[weighted, ops.constant(1)]], wrt, (v) => v);
  if (!wrt) return lower(g, "readout", "readout");
  return lower(g, "readout.train", "readout", { scalars: ["complete"], skips: "everything" });
}

/** The binding of a sum of a metric. */
export function sumName(metric: string, sum: string): string {
  return `sum ${metric} ${sum}`;
}

/** A weight per target, or (without weights of their own) per sample. */
function weightLeaf(g: Graph, name: string, { target }: Task, perTarget: boolean): Value {
  return perTarget && target.kind === "numbers" ? g.state(name, target.width) : g.sample(name);
}

/** Zeros in place of targets that do not count, and of the outputs for them: neither can make a NaN. */
function countedOnly(g: Graph, judged: Judged, weight: Value): Judged {
  const { ops } = g;
  const counts = ops.lt(0, weight);
  const { outputs, target } = judged;
  const oneEach = weight.kind === "sample" || outputs.rows === weight.rows;
  // Outputs that are not one per number are of all numbers together.
  const read = oneEach ? counts : ops.lt(0, ops.reduceRows(weight));
  return {
    ...judged,
    outputs: ops.select(read, outputs, 0),
    target: ops.select(counts, target, 0),
  };
}

/** A value as a state of `rows` rows; that of one row, be it a state, is repeated. */
function spread(g: Graph, value: Value, rows: number): Value {
  const each = value.kind === "state" && value.rows === 1 && rows > 1 ? g.ops.reduceRows(value) : value;
  return g.ops.broadcast(each, { kind: "state", rows });
}

/** The loss of each target. @throws {ShapeError} other rows than targets have */
function lossOf(g: Graph, { loss, target }: Task, judged: Judged): Value {
  const value = loss.graph(g, judged);
  const { kind, rows } = value;
  if (target.kind === "numbers" && target.width > 1 && rows === 1) return spread(g, value, target.width);
  const isSample = kind === "sample" || (kind === "state" && rows === 1);
  if (isSample && rows === target.width) return value;
  if (kind === "state" && target.kind === "numbers" && rows === target.width) return value;
  const expected = target.kind === "class" ? "a value per sample" : `a value per sample, or ${target.width} rows`;
  throw new ShapeError("task", `loss ${loss.name}`, expected, `${kind} of ${rows} rows`);
}

/** Stores in `firing i`, for each unit behind relu number i, for how many lanes it is above 0. Leaves: `h`, those of the layers. */
export function firingProgram(features: FeatureGraph, shape: ReadoutShape): Program {
  const g = new Graph();
  const before: Value[] = [];
  layersGraph(g, features(g), shape, false, (x) => before.push(x));
  for (const [i, x] of before.entries()) g.store(`firing ${i}`, g.ops.reduceLanes(g.ops.lt(0, x)));
  return lower(g, "readout.firing", "readout");
}
