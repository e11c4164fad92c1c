// Cases of the format other than those that are shipped: options in new combinations, other sizes, drawn at random. Their references
// are computed by the oracle, through the same files that the runner reads.

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { deriveKey, keyOfSeed, RandomStream } from "../../src/core/random.ts";
import { writeNpz } from "../../src/io/npz.ts";
import { createOracleBackend } from "../support/oracleBackend.ts";
import { runCase } from "./cases.ts";
import { type GoldenCase, readCaseArrays, readGoldens } from "./format.ts";

/** What a case is made of; `options` are the format's. */
export interface Variant {
  readonly name: string;
  readonly kind: string;
  readonly neurons: number;
  /** Absent: there is no input matrix, every neuron has its own input. */
  readonly inputs?: number;
  readonly batch: number;
  /** Length of the input sequence; absent: constant input. */
  readonly sequence?: number;
  readonly types?: number;
  readonly ih?: "sparse" | "dense";
  /** Outputs and the kind of their matrix. */
  readonly ho?: readonly [number, "sparse" | "dense"];
  readonly hoBias?: boolean;
  readonly bias?: boolean;
  readonly signs?: boolean;
  readonly h0?: boolean;
  /** Neurons that neither send nor receive; the matrix is also given as unsorted triples with duplicates. */
  readonly empty?: number;
  readonly raw?: boolean;
  /** Output times of the cotangent; absent: a classifier, or nothing to pull back. */
  readonly times?: number;
  readonly classes?: number;
  readonly options: Readonly<Record<string, unknown>>;
}

interface Arrays {
  readonly [name: string]: {
    readonly shape: readonly number[];
    readonly data: Float32Array | Float64Array | Int32Array;
  };
}

/** Writes cases with the references that the oracle computes. */
export async function writeVariants(folder: string, variants: readonly Variant[]): Promise<GoldenCase[]> {
  const inputs = new Map(variants.map((v) => [v.name, inputsOf(v)]));
  await writeFolder(folder, variants, inputs);
  const backend = createOracleBackend();
  for (const golden of await readGoldens(folder)) {
    const outputs = await runCase(backend, golden, (await readCaseArrays(golden, "f64")).inputs);
    // An end that rounding misses costs one more step; where a solve fails, counts are what it is about.
    const kept = [...outputs].filter(([name]) => golden.options.solver.fails || !STEPS.test(name));
    const references = kept.map(([name, data]) => {
      const values = COUNTS.test(name) ? Int32Array.from(data) : Float64Array.from(data);
      return [`f64_${name}`, { shape: [data.length], data: values }] as const;
    });
    inputs.set(golden.name, { ...inputs.get(golden.name)!, ...Object.fromEntries(references) });
  }
  await writeFolder(folder, variants, inputs);
  return readGoldens(folder);
}

const COUNTS = /^(n_|status|back_n|hh_rows|hh_cols)/;
const STEPS = /^(back_)?n_/;
/** What two ways to compute in f64 differ by at most, through the step-size control, on problems of this size. */
const SENSITIVITY = 1e-11;

async function writeFolder(
  folder: string,
  variants: readonly Variant[],
  arrays: ReadonlyMap<string, Arrays>,
): Promise<void> {
  const cases = [];
  for (const { name, kind, options } of variants) {
    const own = arrays.get(name)!;
    await writeNpz(join(folder, `${name}.npz`), own);
    const names = Object.keys(own);
    const outputs = names.filter((n) => n.startsWith("f64_")).map((n) => [n.slice(4), SENSITIVITY]);
    cases.push({
      name,
      kind,
      ...options,
      file: `${name}.npz`,
      sensitivity: { f64: Object.fromEntries(outputs), f32: {} },
      arrays: Object.fromEntries(names.map((n) => [n, ["float32", own[n]!.shape]])),
    });
  }
  writeFileSync(join(folder, "index.json"), JSON.stringify({ format: 1, cases }));
}

function inputsOf(v: Variant): Arrays {
  const stream = new RandomStream(deriveKey(keyOfSeed(1), v.name));
  const { neurons: n, batch, sequence, types, kind } = v;
  const nInputs = v.inputs ?? n;
  const timeFirst = v.options.batch_first === false;
  const f32 = (shape: readonly number[], value: (i: number) => number) => {
    const length = shape.reduce((product, size) => product * size, 1);
    return { shape, data: Float32Array.from({ length }, (_, i) => value(i)) };
  };
  const i32 = (shape: readonly number[], value: (i: number) => number) => {
    const length = shape.reduce((product, size) => product * size, 1);
    return { shape, data: Int32Array.from({ length }, (_, i) => value(i)) };
  };
  const normal =
    (scale: number, mean = 0) =>
    () =>
      mean + scale * stream.normal();
  const arrays: Record<string, Arrays[string]> = {};
  const sparse = (name: string, rows: number, cols: number, density: number, skip: number, value: () => number) => {
    const at: [number, number][] = [];
    for (let i = skip; i < rows; i++) for (let j = skip; j < cols; j++) if (stream.uniform() < density) at.push([i, j]);
    arrays[`${name}_rows`] = i32([at.length], (k) => at[k]![0]);
    arrays[`${name}_cols`] = i32([at.length], (k) => at[k]![1]);
    arrays[`${name}_values`] = f32([at.length], value);
  };
  sparse("in_hh", n, n, 0.3, v.empty ?? 0, () => 0.1 + 0.4 * stream.uniform());
  if (v.raw) addRaw(arrays, stream);
  if (v.bias ?? true) arrays.in_hh_bias = f32([n], normal(0.2));
  if (v.ih === "sparse") sparse("in_ih", n, nInputs, 0.4, v.empty ?? 0, normal(0.5));
  if (v.ih === "dense") arrays.in_ih_weight = f32([n, nInputs], normal(0.3));
  const nOut = v.ho?.[0] ?? n;
  if (v.ho?.[1] === "sparse") sparse("in_ho", nOut, n, 0.4, 0, normal(0.5));
  if (v.ho?.[1] === "dense") arrays.in_ho_weight = f32([nOut, n], normal(0.3));
  if (v.ho && (v.hoBias ?? true)) arrays.in_ho_bias = f32([nOut], normal(0.2));
  const perType = v.options.tau_mode === "per_neuron_type";
  arrays.in_tau = f32([perType ? types! : n], () => 1.2 + stream.uniform());
  if (types) arrays.in_neuron_type = i32([n], (i) => (i * 7 + (i >> 2)) % types);
  if (v.signs) arrays.in_sign = f32([n], (i) => (i % 3 === 1 ? -1 : 1));
  const withTime = (last: readonly number[]) => {
    if (sequence === undefined) return [batch, ...last];
    return timeFirst ? [sequence, batch, ...last] : [batch, sequence, ...last];
  };
  if (kind === "train") {
    const steps = v.options.steps as number;
    arrays.in_batches_x = f32([steps, ...withTime([nInputs])], normal(1));
    arrays.in_batches_labels = i32([steps, batch], () => stream.below(v.classes!));
  } else arrays.in_x = f32(withTime([nInputs]), normal(1));
  if (v.h0) arrays.in_h0 = f32([batch, n], () => stream.uniform());
  if (v.classes) {
    const hidden = 5;
    arrays.in_fc1_weight = f32([hidden, nOut], normal(0.4));
    arrays.in_fc1_bias = f32([hidden], normal(0.2));
    arrays.in_fc2_weight = f32([v.classes, hidden], normal(0.4));
    arrays.in_fc2_bias = f32([v.classes], normal(0.2));
    if (kind !== "train") arrays.in_labels = i32([batch], () => stream.below(v.classes!));
  }
  if (v.times !== undefined) {
    const isSolver = !["ode_rnn", "rnn"].includes(kind);
    const shape = timeFirst && !isSolver ? [v.times, batch, nOut] : [batch, v.times, isSolver ? n : nOut];
    arrays.in_cot = f32(shape, normal(1 / Math.sqrt(n)));
  }
  return arrays;
}

/** The triples of in_hh, each value in two parts, in random order. */
function addRaw(arrays: Record<string, Arrays[string]>, stream: RandomStream): void {
  const [rows, cols, values] = ["rows", "cols", "values"].map((part) => arrays[`in_hh_${part}`]!.data);
  const order = stream.permutation(2 * rows!.length);
  const part = (data: ArrayLike<number>, factor: number) =>
    Float32Array.from(order, (k) => data[k % data.length]! * factor);
  const shape = [order.length];
  arrays.in_hh_raw_rows = { shape, data: Int32Array.from(part(rows!, 1)) };
  arrays.in_hh_raw_cols = { shape, data: Int32Array.from(part(cols!, 1)) };
  // Halves are exact, and so is their sum.
  arrays.in_hh_raw_values = { shape, data: part(values!, 0.5) };
}
