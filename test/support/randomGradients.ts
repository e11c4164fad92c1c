// Values and gradients of random graphs, on a device and by central differences of the graph's meaning.

import { lower } from "../../src/autodiff/lower.ts";
import { type GradTarget, pullBack, reverseGraph } from "../../src/autodiff/vjp.ts";
import type { Backend } from "../../src/backend/backend.ts";
import type { BindingKind } from "../../src/backend/program.ts";
import { cscOf, withValues } from "../../src/core/csr.ts";
import { unitRoundoff } from "../../src/core/dtype.ts";
import { deriveKey, keyOfSeed, RandomStream } from "../../src/core/random.ts";
import type { Value } from "../../src/ops/value.ts";
import { assertBitEqual } from "./close.ts";
import { GraphInterpreter, lengthOf } from "./graphInterpreter.ts";
import { type GraphInput, runProgramOften } from "./graphs.ts";
import { type RandomGraph, randomGraph } from "./randomGraph.ts";

/** Every so many of a graph's values is an output, and so is the last. */
const OUTPUT_EVERY = 4;
/** Roundings on the longest path, for values and slopes that stay moderate. */
const ROUNDINGS = 500;

/** What a device made of a graph. */
export interface DeviceResult {
  /** By output. */
  readonly values: readonly ArrayLike<number>[];
  /** By input; those of a sparse matrix in CSR order. */
  readonly gradients: Readonly<Record<string, ArrayLike<number>>>;
}

/** A random graph with outputs and their cotangents. */
export interface Problem extends RandomGraph {
  readonly seed: number;
  readonly outputs: readonly Value[];
  readonly cotangents: readonly Float64Array[];
}

/** Always the same for a seed, with a graph of its own. */
export function problemOf(seed: number): Problem {
  const sample = randomGraph(seed);
  const { made } = sample;
  const outputs = made.filter((_, i) => (made.length - 1 - i) % OUTPUT_EVERY === 0);
  const stream = new RandomStream(deriveKey(keyOfSeed(seed), "cotangents"));
  const cotangents = outputs.map((v) => Float64Array.from({ length: lengthOf(v) }, () => stream.normal()));
  return { ...sample, seed, outputs, cotangents };
}

/**
 * Runs a graph and its reverse; each program twice, to the same bits. `together`: both in one program; else the reverse is a program of
 * its own, from what the forward one saved.
 */
export async function runProblem(backend: Backend, problem: Problem, together: boolean): Promise<DeviceResult> {
  const { graph, inputs, outputs, cotangents, wrt, seed } = problem;
  const targets = new Map(
    wrt.map((name, i): [string, GradTarget] => [name, targetOf(name, graph.inputs.get(name)!.kind, i)]),
  );
  const cts = Object.fromEntries(cotangents.map((ct, k) => [`ct.${k}`, ct]));
  const run = async (name: string, g: RandomGraph["graph"], given: Readonly<Record<string, GraphInput>>) => {
    const [first, second] = await runProgramOften(backend, lower(g, `${name} ${seed}`), given, 2);
    for (const [binding, data] of Object.entries(first!))
      assertBitEqual(second![binding]!, data, `${name} ${seed}: ${binding}`);
    return first!;
  };
  const storeOutputs = () => {
    for (const [k, v] of outputs.entries()) graph.store(`out.${k}`, v);
  };
  let results: Readonly<Record<string, ArrayLike<number>>>;
  if (together) {
    storeOutputs();
    const seeds = outputs.map((v, k) => [v, graph.leaf(`ct.${k}`, v.kind, v.rows)] as const);
    pullBack(graph, graph, seeds, targets, (v) => v);
    results = await run("together", graph, { ...inputs, ...cts });
  } else {
    const { graph: reverse, saves } = reverseGraph(graph, new Map(outputs.map((v, k) => [v, `ct.${k}`])), targets);
    storeOutputs();
    for (const [name, v] of saves) graph.store(name, v);
    const forward = await run("forward", graph, inputs);
    results = { ...forward, ...(await run("reverse", reverse, { ...inputs, ...forward, ...cts })) };
  }
  const gradients = Object.fromEntries(wrt.map((name) => [name, gradientOf(inputs[name]!, results[`grad.${name}`])]));
  return { values: outputs.map((_, k) => results[`out.${k}`]!), gradients };
}

/** Gradients of matrices and tables are added up; of leaves now and then. */
function targetOf(name: string, kind: BindingKind, i: number): GradTarget {
  return { binding: `grad.${name}`, accumulate: ["sparse", "dense", "table"].includes(kind) || i % 2 === 0 };
}

function gradientOf(input: GraphInput, data: ArrayLike<number> | undefined): ArrayLike<number> {
  if (!("rowPtr" in input)) return data ?? new Float64Array(input.length);
  if (!data) return new Float64Array(input.nnz);
  return Float64Array.from(cscOf(input).cscOfCsr, (at) => data[at]!);
}

/** What the comparison of a graph's gradients with central differences came to. */
export interface Comparison {
  /** What differs by more than truncation and rounding explain. */
  readonly failures: readonly string[];
  /** Inputs along which the function is smooth and its derivative so large that a thousandth of it would be noticed. */
  readonly sharp: readonly string[];
}

/**
 * Compares gradients with central differences along one random direction per input: |Σ gᵢvᵢ − (f(x + hv) − f(x − hv))/2h| must be at most
 * the truncation error, estimated from steps h and 2h, plus the rounding error. Directions that cross a kink are left out.
 */
export function compareWithDifferences(problem: Problem, gradients: DeviceResult["gradients"]): Comparison {
  const failures: string[] = [];
  const sharp: string[] = [];
  const u = unitRoundoff("f64");
  const h = Math.cbrt(u);
  for (const name of problem.wrt) {
    const data = dataOf(problem.inputs[name]!);
    const stream = new RandomStream(deriveKey(keyOfSeed(problem.seed), `direction ${name}`));
    const direction = data.map((x) => stream.normal() * Math.max(1, Math.abs(x)));
    const at = (step: number) =>
      evaluate(
        problem,
        name,
        data.map((x, i) => x + step * direction[i]!),
      );
    const points = [at(-2 * h), at(-h), at(0), at(h), at(2 * h)] as const;
    if (points.some(({ outcomes }) => outcomes !== points[2].outcomes)) continue;
    const near = (points[3].sum - points[1].sum) / (2 * h);
    const far = (points[4].sum - points[0].sum) / (4 * h);
    const bound = Math.abs(far - near) + (ROUNDINGS * u * Math.max(...points.map(({ size }) => size))) / h;
    const along = direction.reduce((sum, v, i) => sum + v * gradients[name]![i]!, 0);
    if (!(Math.abs(along - near) <= bound))
      failures.push(`graph ${problem.seed}, ${name}: ${along}, differences ${near} ± ${bound}`);
    if (Math.abs(near) > 1000 * bound) sharp.push(name);
  }
  return { failures, sharp };
}

function dataOf(input: GraphInput): Float64Array {
  return Float64Array.from("rowPtr" in input ? input.values : input);
}

/** Σ ct·y with other data for one input, the sum of the sizes of the terms, and the outcomes of the comparisons. */
function evaluate(
  { inputs, outputs, cotangents }: Problem,
  name: string,
  data: Float64Array,
): { sum: number; size: number; outcomes: number } {
  const input = inputs[name]!;
  const interpreter = new GraphInterpreter({ ...inputs, [name]: "rowPtr" in input ? withValues(input, data) : data });
  const terms = outputs.flatMap((v, k) => [...interpreter.valueOf(v)].map((y, i) => y * cotangents[k]![i]!));
  return {
    sum: terms.reduce((sum, x) => sum + x, 0),
    size: terms.reduce((sum, x) => sum + Math.abs(x), 0),
    outcomes: interpreter.outcomes,
  };
}
