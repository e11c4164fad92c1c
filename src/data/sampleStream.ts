// Streams of batches from a program, each of which is checked before it is trained on.

import type { DType } from "../core/dtype.ts";
import { ArgumentError } from "../core/errors.ts";
import { checkNames } from "../core/optionNames.ts";
import { quoteValue } from "../core/text.ts";
import type { Refuse } from "./sampleArrays.ts";
import { checkSamples } from "./sampleChecks.ts";
import type { SampleShape, SampleStream, Samples } from "./sampleSet.ts";

const WHERE = "sampleStream";

/** A stream as a program describes it. */
export interface SampleStreamOptions extends Omit<SampleShape, "steps" | "weighted"> {
  /** Default null: one vector per sample. */
  readonly steps?: number | null;
  /** Whether batches have weights. Default false. */
  readonly weighted?: boolean;
  /** For people. Default "stream". */
  readonly source?: string;
  /** Precision of the network, in which numbers must be finite. Default "f64". */
  readonly dtype?: DType;
  /**
   * The batches from number `first` (from 0) on; a generator function does. To repeat or resume a run, they must be the same batches each
   * time.
   */
  batches(first: number): Iterable<Samples> | AsyncIterable<Samples>;
}

/**
 * A stream whose batches are checked one by one.
 *
 * @throws {ArgumentError} a shape that is none. Iteration throws it, too, with the number of the batch: arrays of another length, NaN or
 *   infinity, no class, negative weights, a batch without a target that counts. What the program's own code throws passes through
 */
export function sampleStream(options: SampleStreamOptions): SampleStream {
  checkNames(WHERE, options, {
    ...{ inputSize: true, steps: true, target: true, weighted: true, source: true, dtype: true, batches: true },
  });
  const { inputSize, steps = null, target, weighted = false, source = "stream" } = options;
  const extents = { inputSize, steps: steps ?? 1, "target.width": target.width, "target.times": target.times ?? 1 };
  for (const [name, extent] of Object.entries({ ...extents, "target.classes": target.classes ?? 1 })) {
    if (Number.isSafeInteger(extent) && extent >= 1) continue;
    throw new ArgumentError(WHERE, name, "a whole number ≥ 1", quoteValue(extent));
  }
  if (target.kind === "class" ? target.width !== 1 || target.classes === null : target.classes !== null) {
    throw new ArgumentError(
      WHERE,
      "target",
      "width 1 and classes for a class, classes null for numbers",
      quoteValue(target),
    );
  }
  return {
    ...{ inputSize, steps, target, weighted, source },
    batches: (first) => checked({ ...options, steps, weighted, source }, first),
  };
}

type Stream = SampleStreamOptions & SampleShape & { readonly source: string };

async function* checked(stream: Stream, first: number): AsyncGenerator<Samples, void, undefined> {
  let number = first;
  for await (const batch of stream.batches(first)) {
    checkBatch(stream, batch, number);
    yield batch;
    number++;
  }
}

function checkBatch(
  { inputSize, steps, target, weighted, source, dtype = "f64" }: Stream,
  batch: Samples,
  number: number,
): void {
  const refuse: Refuse = (array, expected, got) =>
    new ArgumentError(`${source}, batch ${number}`, array, expected, got);
  if (typeof batch !== "object" || batch === null)
    throw refuse("batch", "{ size, inputs, targets, weights }", quoteValue(batch));
  const { size, inputs, targets, weights } = batch;
  if (!Number.isSafeInteger(size) || size < 1) throw refuse("size", "a whole number ≥ 1", quoteValue(size));
  const inputLength = size * (steps ?? 1) * inputSize;
  const targetLength = size * (target.times ?? 1) * target.width;
  checkArray("inputs", inputs, inputLength, refuse);
  checkArray("targets", targets, targetLength, refuse);
  if (weighted) checkArray("weights", weights, targetLength, refuse);
  else if (weights) throw refuse("weights", "null, as the stream is not weighted", `${weights.length} numbers`);
  checkSamples(
    batch,
    {
      ...{ inputSize, steps, target, dtype, weightsName: "weights", refuse },
      ...{ whole: { inputs: false, targets: false }, classLimit: target.classes ?? 0, classHint: "" },
    },
    (sample) => `sample ${sample}`,
  );
  if (weights?.every((weight) => weight === 0)) throw refuse("weights", "a target that counts", "none");
}

function checkArray(name: string, array: unknown, length: number, refuse: Refuse): void {
  if (!(array instanceof Float32Array || array instanceof Float64Array)) {
    throw refuse(name, "a Float32Array or Float64Array", quoteValue(array));
  }
  if (array.length !== length) throw refuse(name, `${length} numbers`, `${array.length}`);
}
