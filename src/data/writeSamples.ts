// Sample sets to files that `openSamples` reads.

import { ArgumentError } from "../core/errors.ts";
import type { NpyInput } from "../io/npy.ts";
import { type ArrayToWrite, writeArrays } from "../io/writeArrays.ts";
import type { SampleSet } from "./sampleSet.ts";

/** Samples that are read at once. */
const SAMPLES_AT_ONCE = 256;

/**
 * Writes all samples of a set, as it gives them, to a .npz or .safetensors file: inputs, targets (classes as 32-bit integers), weights, times
 * and, to .npz, names. Holds them in memory once more.
 *
 * @throws {ArgumentError} another ending, an empty set
 * @throws {EngineError} "file-write": the old content is still there
 */
export async function writeSamples(file: string, set: SampleSet): Promise<void> {
  const isNpz = file.toLowerCase().endsWith(".npz");
  if (!isNpz && !file.toLowerCase().endsWith(".safetensors")) {
    throw new ArgumentError("writeSamples", "file", "a name ending in .npz or .safetensors", file);
  }
  if (set.count === 0) throw new ArgumentError("writeSamples", "set", "samples", "none");
  const { target, steps, inputSize, count } = set;
  const arrays: { inputs: NpyInput; targets: NpyInput; weights?: NpyInput } & Record<string, ArrayToWrite> = {
    inputs: { shape: [count, ...(steps === null ? [] : [steps]), inputSize], data: new Float32Array(0) },
    targets: { shape: targetShape(set), data: new Int32Array(0) },
  };
  for (let begin = 0; begin < count; begin += SAMPLES_AT_ONCE) {
    const size = Math.min(SAMPLES_AT_ONCE, count - begin);
    const samples = await set.read(
      Uint32Array.from({ length: size }, (_, k) => begin + k),
      null,
    );
    const put = (name: "inputs" | "targets" | "weights", shape: readonly number[], values: NpyInput["data"]): void => {
      const whole = begin === 0 ? { shape, data: sameType(values, (values.length / size) * count) } : arrays[name]!;
      arrays[name] = whole;
      whole.data.set(values, (values.length / size) * begin);
    };
    put("inputs", arrays.inputs.shape, samples.inputs);
    const isClass = target.kind === "class";
    put("targets", arrays.targets.shape, isClass ? Int32Array.from(samples.targets) : samples.targets);
    if (samples.weights) put("weights", arrays.targets.shape, samples.weights);
  }
  if (set.times) arrays.times = { shape: [set.times.length], data: set.times };
  if (isNpz && set.classNames) arrays.classNames = set.classNames;
  if (isNpz && set.outputNames) arrays.outputNames = set.outputNames;
  await writeArrays(file, arrays);
}

function targetShape({ count, target }: SampleSet): number[] {
  const times = target.times === null ? [] : [target.times];
  return [count, ...times, ...(target.kind === "class" ? [] : [target.width])];
}

function sameType(values: NpyInput["data"], length: number): NpyInput["data"] {
  return new (values.constructor as new (length: number) => NpyInput["data"])(length);
}
