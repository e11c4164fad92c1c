// Predictions to a file, batch by batch: .npz and .safetensors by way of a spool on the disk, .csv line by line.

import type { FloatArray } from "../core/dtype.ts";
import { ArgumentError } from "../core/errors.ts";
import { csvCell } from "../core/text.ts";
import type { SampleSet } from "../data/sampleSet.ts";
import { replaceFile } from "../io/durable.ts";
import { Spool } from "../io/spool.ts";
import {
  type ArrayToWrite,
  numberText,
  type StreamedArray,
  WRITTEN_EXTENSIONS,
  writeArrays,
} from "../io/writeArrays.ts";
import type { Task } from "../models/task/task.ts";
import type { Evaluation } from "../train/evaluation.ts";
import { classesOf, FAILED_CLASS, type PredictedBatch, probabilitiesOf } from "./predict.ts";

/** What `predict` iterates over. */
type Predicting = AsyncGenerator<PredictedBatch, Evaluation | null, undefined>;

/** What goes with the outputs. */
export interface PredictionFileOptions {
  readonly task: Task;
  readonly samples: SampleSet;
  /** Names of the model's classes and outputs; default: those of the samples. */
  readonly names?: Pick<SampleSet, "classNames" | "outputNames">;
  /** Write probabilities, too. */
  readonly probabilities?: boolean;
}

/** What was written. */
export interface WrittenPredictions {
  readonly samples: number;
  /** Times of the read-out. */
  readonly times: number;
  /** Outputs per time. */
  readonly rows: number;
  /** Samples whose solve failed; their outputs are NaN, their class is −1. */
  readonly failed: readonly number[];
  /** null: no sample had a target that counts. */
  readonly evaluation: Evaluation | null;
}

/** @throws {ArgumentError} a name with another ending */
export function checkPredictionFile(where: string, file: string): void {
  if (WRITTEN_EXTENSIONS.some((extension) => file.toLowerCase().endsWith(extension))) return;
  throw new ArgumentError(where, "--out", `a name ending in ${WRITTEN_EXTENSIONS.join(", ")}`, file);
}

/**
 * Writes predictions, atomically; no more than a batch is in memory.
 *
 * Arrays: outputs [samples, times, rows], classes [samples, times] (−1 for failed samples), probabilities (the shape of outputs), samples
 * [samples] (their numbers), times [times], failed (numbers of samples), classNames or outputNames (not in .safetensors). A .csv has a line
 * for each sample, or for each sample and time.
 *
 * @throws {ArgumentError} another ending, probabilities of a loss without logits; what predicting throws. The old content is still there
 * @throws {EngineError} "file-write"
 */
export async function writePredictions(
  file: string,
  predicting: Predicting,
  options: PredictionFileOptions,
): Promise<WrittenPredictions> {
  checkPredictionFile("predict", file);
  if (options.probabilities) probabilitiesOf(new Float32Array(0), 1, options.task);
  const log = new PredictionLog(predicting);
  if (file.toLowerCase().endsWith(".csv")) await replaceFile(file, csvLines(log, options));
  else await writeArraysOf(file, log, options);
  return log.result();
}

/** Notes what goes by. */
class PredictionLog {
  readonly #predicting: Predicting;
  readonly #failed: number[] = [];
  #samples = 0;
  #shape: readonly [times: number, rows: number] = [0, 0];
  #evaluation: Evaluation | null = null;

  constructor(predicting: Predicting) {
    this.#predicting = predicting;
  }

  async *batches(): AsyncGenerator<PredictedBatch> {
    try {
      for (;;) {
        const { done, value } = await this.#predicting.next();
        if (done) {
          this.#evaluation = value;
          return;
        }
        const [size, times, rows] = value.shape;
        this.#samples += size;
        this.#shape = [times, rows];
        this.#failed.push(...value.failed);
        yield value;
      }
    } finally {
      await this.#predicting.return(null);
    }
  }

  result(): WrittenPredictions {
    const [times, rows] = this.#shape;
    return { samples: this.#samples, times, rows, failed: this.#failed, evaluation: this.#evaluation };
  }
}

// ---- arrays --------------------------------------------------------------------------------------------------------------

async function writeArraysOf(file: string, log: PredictionLog, options: PredictionFileOptions): Promise<void> {
  const { task, samples, names = samples, probabilities = false } = options;
  let spool: Spool | null = null;
  try {
    for await (const { outputs } of log.batches()) {
      spool ??= await Spool.beside(file, outputs instanceof Float64Array ? "f64" : "f32");
      await spool.append(outputs);
    }
    const { samples: count, times, rows, failed } = log.result();
    const own = spool!;
    const type = own.dtype === "f64" ? "f8" : "f4";
    const streamed = (shape: readonly number[], of: (piece: FloatArray) => FloatArray): StreamedArray => ({
      ...{ type, shape },
      async *pieces() {
        for await (const piece of own.pieces(rows)) yield of(piece);
      },
    });
    const shape = [count, times, rows];
    const isClass = task.target.kind === "class";
    const classes: StreamedArray = {
      ...{ type: "i4", shape: [count, times] },
      async *pieces() {
        for await (const piece of own.pieces(rows)) yield classesOf(piece, rows, task);
      },
    };
    const texts = namesFor(file, isClass, names);
    const arrays: Record<string, ArrayToWrite> = {
      outputs: streamed(shape, (piece) => piece),
      ...(isClass && { classes }),
      ...(probabilities && { probabilities: streamed(shape, (piece) => probabilitiesOf(piece, rows, task)) }),
      samples: { shape: [count], data: Int32Array.from({ length: count }, (_, i) => i) },
      ...(samples.times?.length === times && { times: { shape: [times], data: samples.times } }),
      failed: { shape: [failed.length], data: Int32Array.from(failed) },
      ...texts,
    };
    await writeArrays(file, arrays);
  } finally {
    await spool?.close();
  }
}

function namesFor(
  file: string,
  isClass: boolean,
  { classNames, outputNames }: Pick<SampleSet, "classNames" | "outputNames">,
): Record<string, readonly string[]> {
  if (!file.toLowerCase().endsWith(".npz")) return {};
  if (isClass) return classNames ? { classNames } : {};
  return outputNames ? { outputNames } : {};
}

// ---- a table -------------------------------------------------------------------------------------------------------------

async function* csvLines(log: PredictionLog, options: PredictionFileOptions): AsyncGenerator<string> {
  const { task, samples, names = samples, probabilities = false } = options;
  const isClass = task.target.kind === "class";
  const { classNames, outputNames } = names;
  let begun = false;
  for await (const { indices, outputs, classes, shape } of log.batches()) {
    const [size, times, rows] = shape;
    const of = (r: number): string => (isClass ? classNames?.[r] : outputNames?.[r]) ?? `${r}`;
    const each = Array.from({ length: rows }, (_, r) => r);
    if (!begun) {
      const head = [
        ...["sample", ...(times > 1 ? ["time"] : [])],
        ...(isClass ? ["class", ...(classNames ? ["className"] : [])] : []),
        ...each.map((r) => (isClass || !outputNames ? `output_${of(r)}` : of(r))),
        ...(probabilities ? each.map((r) => `p_${of(r)}`) : []),
      ];
      yield `${head.map(csvCell).join(",")}\n`;
      begun = true;
    }
    const shares = probabilities ? probabilitiesOf(outputs, rows, task) : null;
    const time = samples.times?.length === times ? samples.times : null;
    let text = "";
    for (let b = 0; b < size; b++) {
      for (let t = 0; t < times; t++) {
        const at = b * times + t;
        const cell = (array: FloatArray) => each.map((r) => numberText(array, at * rows + r));
        const predicted = classes?.[at] ?? FAILED_CLASS;
        const cells = [
          ...[`${indices[b]!}`, ...(times > 1 ? [`${time?.[t] ?? t}`] : [])],
          ...(isClass ? [`${predicted}`, ...(classNames ? [csvCell(classNames[predicted] ?? "")] : [])] : []),
          ...cell(outputs),
          ...(shares ? cell(shares) : []),
        ];
        text += `${cells.join(",")}\n`;
      }
    }
    yield text;
  }
}
