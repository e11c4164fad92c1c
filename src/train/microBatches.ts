// Data-parallel steps: a batch is cut into micro-batches, which the ranks divide; their gradients are added as a tree over their numbers.

import { setImmediate as nextTurn } from "node:timers/promises";
import type { Backend, DeviceBuffer } from "../backend/backend.ts";
import { bytesOf, type DType, type FloatArray, floatArray } from "../core/dtype.ts";
import { sliceOfSamples } from "../data/loader.ts";
import type { SampleShape, Samples } from "../data/sampleSet.ts";
import { agreed, agreedValues, checkSame } from "../distributed/agree.ts";
import type { Communicator } from "../distributed/communicator.ts";
import {
  add,
  GrowingSubtrees,
  numbersHeld,
  type Range,
  type Subtree,
  shareOf,
  treeSum,
} from "../distributed/treeSum.ts";
import type { BatchPart, PartGradients } from "../models/networkModel.ts";
import { gatherSamples } from "../models/samples.ts";
import type { TaskGradients, WholeBatch } from "../models/task/passes.ts";
import { addSums, emptySums } from "../models/task/sums.ts";
import { assertSolved } from "../ode/solveStats.ts";
import { inputOf, type TrainableModel, targetsOf } from "./trainable.ts";

/** The part of a batch that a rank has, and what all ranks know of the batch. */
export interface Share {
  /** Those of this rank; of size 0 where it has none. */
  readonly samples: Samples;
  /** Samples of the whole batch. */
  readonly of: number;
  /** Σ w of each micro-batch in the loss. */
  readonly lossWeights: readonly number[];
  /** A rank was asked to stop before this batch. */
  readonly isStopped: boolean;
}

/** What a micro-batch came to, without its gradients; null: it has no samples. */
type PartResult = Omit<TaskGradients, "x" | "measured"> | null;

/** Elements of gradients that are copied from the device at a time. */
const AT_ONCE = 2 ** 22;

/** Samples of a micro-batch where the user gave no number: on the CPU a panel, whatever the number of ranks; on a GPU each rank has one. */
export function defaultMicroBatch({ name, maxLanes }: Backend, samplesPerStep: number, ranks: number): number {
  return name === "webgpu" ? Math.ceil(samplesPerStep / ranks) : Math.min(maxLanes, PANEL);
}

const PANEL = 16;

/** Otherwise the gradients of the only micro-batch are those of the batch, and stay on the device. */
function isParted(terms: number, { size }: Pick<Communicator, "size">): boolean {
  return terms > 1 || size > 1;
}

/**
 * Bytes that a rank takes at most on the host for the sums of gradients.
 *
 * @param samples  of a step
 * @param gradients  numbers
 */
export async function bytesOfSums(
  samples: number,
  microBatch: number,
  gradients: number,
  dtype: DType,
  communicator: Pick<Communicator, "rank" | "size">,
): Promise<number> {
  const terms = Math.ceil(samples / microBatch);
  if (!isParted(terms, communicator)) return 0;
  const read = Math.min(AT_ONCE, gradients);
  return bytesOf(dtype) * (read + (await numbersHeld(terms, gradients, communicator)));
}

/** Computes the gradients of batches together with the other ranks. */
export class MicroBatches<E extends object> {
  readonly #communicator: Communicator;
  readonly #model: TrainableModel<E>;
  readonly #size: number;
  readonly #shape: SampleShape;
  /** For sums of gradients, from step to step. */
  readonly #arrays: FloatArray[] = [];

  /**
   * @param size  samples of a micro-batch; the last one of a batch may have fewer
   * @param shape  of the samples
   */
  constructor(communicator: Communicator, model: TrainableModel<E>, size: number, shape: SampleShape) {
    this.#communicator = communicator;
    this.#model = model;
    this.#size = size;
    this.#shape = shape;
  }

  /** The micro-batches of a batch that this rank has. */
  #own(of: number): Range {
    const { rank, size } = this.#communicator;
    return shareOf(this.#count(of), rank, size);
  }

  #count(of: number): number {
    return Math.ceil(of / this.#size);
  }

  /** Their samples. */
  samplesOf(of: number): Range {
    const { first, count } = this.#own(of);
    const begin = Math.min(first * this.#size, of);
    return { first: begin, count: Math.min((first + count) * this.#size, of) - begin };
  }

  /** This rank's share of batches, which may be shares already (`batches` of the loader) or whole; all ranks agree on each. */
  async *shares(
    source: AsyncGenerator<Samples & { readonly of?: number }, void, undefined>,
    evaluation: E | undefined,
    signal: AbortSignal | undefined,
  ): AsyncGenerator<Share, void, undefined> {
    const communicator = this.#communicator;
    try {
      for (;;) {
        let samples: Samples | null = null;
        const all = await agreedValues(communicator, async () => {
          const { value } = await source.next();
          await nextTurn();
          const isStopped = signal?.aborted ?? false;
          if (!value) return { of: 0, isStopped, lossWeights: [] };
          const { of = value.size } = value;
          const { first, count } = this.samplesOf(of);
          samples = value.size === count ? value : sliceOfSamples(value, this.#shape, first, count);
          return { of, isStopped, lossWeights: this.#lossWeights({ samples, of }, evaluation, []) };
        });
        const { of } = all[0]!;
        if (all.some((theirs) => theirs.of !== of))
          await checkSame(communicator, "fit", { "number of samples in a batch": all[communicator.rank]!.of });
        if (samples === null) return;
        yield {
          samples,
          of,
          isStopped: all.some((theirs) => theirs.isStopped),
          lossWeights: all.flatMap((theirs) => theirs.lossWeights),
        };
      }
    } finally {
      await source.return();
    }
  }

  /** Σ w of each of this rank's micro-batches, without the samples that failed. */
  #lossWeights(
    share: Pick<Share, "samples" | "of">,
    evaluation: E | undefined,
    failed: readonly number[],
  ): readonly number[] {
    return this.#parts(share, failed).map((part) => (part ? this.#model.lossWeight(part, evaluation) : 0));
  }

  /** This rank's micro-batches without the samples that failed; null: none is left. */
  #parts({ samples, of }: Pick<Share, "samples" | "of">, failed: readonly number[]): (BatchPart | null)[] {
    const { first, count } = this.#own(of);
    const begin = this.samplesOf(of).first;
    return Array.from({ length: count }, (_, k) => {
      const from = (first + k) * this.#size;
      const numbers = Array.from({ length: Math.min(this.#size, of - from) }, (_, i) => from + i);
      const kept = numbers.filter((sample) => !failed.includes(sample));
      if (kept.length === 0) return null;
      const own =
        kept.length === numbers.length
          ? sliceOfSamples(samples, this.#shape, from - begin, kept.length)
          : this.#selected(
              samples,
              kept.map((sample) => sample - begin),
            );
      const failedBefore = failed.filter((sample) => sample < kept[0]!).length;
      return {
        input: inputOf(this.#shape, own),
        targets: targetsOf(own),
        samples: kept,
        of,
        firstSample: kept[0]! - failedBefore,
      };
    });
  }

  #selected({ size, inputs, targets, weights }: Samples, kept: readonly number[]): Samples {
    const { steps, inputSize, target } = this.#shape;
    const of = (array: FloatArray, times: number, width: number): FloatArray =>
      gatherSamples(array, { batch: size, times, width, batchFirst: true }, kept);
    return {
      size: kept.length,
      inputs: of(inputs, steps ?? 1, inputSize),
      targets: of(targets, target.times ?? 1, target.width),
      weights: weights && of(weights, target.times ?? 1, target.width),
    };
  }

  /**
   * The gradients of a batch replace those of the parameters, on all ranks.
   *
   * Where samples fail, which is allowed, all are computed again without them: the numbers are those of a batch that never had them, to the
   * bit, if its micro-batches had the same other samples.
   *
   * @param measure  as of `model.gradients`, once the gradients are complete
   */
  async gradients(
    share: Share,
    step: number,
    evaluation: E | undefined,
    measure: () => readonly DeviceBuffer[],
  ): Promise<TaskGradients> {
    const model = this.#model;
    return model.gradientsOfParts(step, evaluation ?? ({} as E), async (gradients) => {
      const all = await this.#pass(share, [], share.lossWeights, gradients);
      const failed = all.results.flatMap((result) => result?.failed ?? []);
      const stats = all.results.flatMap((result) => result?.stats ?? []);
      // The first of them.
      if (failed.length === share.of) await agreed(this.#communicator, () => assertSolved(stats[0]!));
      const last = failed.length === 0 ? all : await this.#passWithout(share, failed, evaluation, gradients);
      await this.#sum(this.#count(share.of), last.subtrees);
      const measured = await model.backend.downloadAll(measure());
      const gradientsOf = measured.map(([value]) => value).join(" ");
      if (this.#communicator.size > 1) await checkSame(this.#communicator, `step ${step}`, { gradients: gradientsOf });
      return { ...this.#joined(last.results), stats, failed, x: null, measured };
    });
  }

  async #passWithout(share: Share, failed: readonly number[], evaluation: E | undefined, gradients: PartGradients) {
    const weights = await agreedValues(this.#communicator, () => this.#lossWeights(share, evaluation, failed));
    return this.#pass(share, failed, weights.flat(), gradients);
  }

  /** All micro-batches once: their results on all ranks, and the sums of this rank's gradients. */
  async #pass(
    share: Share,
    failed: readonly number[],
    lossWeights: readonly number[],
    gradients: PartGradients,
  ): Promise<{ readonly results: readonly PartResult[]; readonly subtrees: readonly Subtree[] }> {
    const { parameters } = this.#model;
    const terms = this.#count(share.of);
    const whole: WholeBatch = {
      size: share.of - failed.length,
      lossWeight: lossWeights.reduce((sum, weight) => sum + weight, 0),
    };
    let made = 0;
    const make = (): FloatArray => {
      this.#arrays[made] ??= floatArray(this.#model.backend.dtype, this.#length);
      return this.#arrays[made++]!;
    };
    const grown = new GrowingSubtrees(terms, make);
    const { first } = this.#own(share.of);
    const all = await agreedValues(this.#communicator, async () => {
      const results: PartResult[] = [];
      let hasFailed = false;
      for (const [k, part] of this.#parts(share, failed).entries()) {
        if (part) {
          const { x: _, measured: __, ...result } = await gradients(part, whole);
          // Step sizes of each sample would be the most that is sent.
          const stats = result.stats.map((of) => ({ ...of, steps: null }));
          results.push({ ...result, stats, failed: result.failed.map((s) => part.samples[s]!) });
        } else {
          parameters.clearGradients();
          results.push(null);
        }
        hasFailed ||= (results.at(-1)?.failed.length ?? 0) > 0;
        if (!hasFailed && isParted(terms, this.#communicator))
          await grown.push(first + k, (into, how) => this.#give(into, how));
      }
      return results;
    });
    return { results: all.flat(), subtrees: grown.roots };
  }

  /** Of all gradients, one after another. */
  get #buffers(): readonly DeviceBuffer[] {
    return this.#model.parameters.trainable().map(({ grad }) => grad!);
  }

  get #length(): number {
    return this.#buffers.reduce((sum, { length }) => sum + length, 0);
  }

  /** Writes the gradients as they are into an array, or adds them to it. */
  async #give(into: FloatArray, how: "set" | "add"): Promise<void> {
    const { backend } = this.#model;
    let at = 0;
    const put = (part: ArrayLike<number>): void => {
      if (how === "set") into.set(part, at);
      else add(into.subarray(at, at + part.length), part);
      at += part.length;
    };
    for (const together of readTogether(this.#buffers)) {
      const [buffer] = together;
      if (together.length > 1) for (const part of await backend.downloadAll(together)) put(part);
      else
        for (let from = 0; from < buffer!.length; from += AT_ONCE)
          put(await backend.download(buffer!, from, Math.min(AT_ONCE, buffer!.length - from)));
    }
  }

  /** The sum over all micro-batches becomes the gradients. */
  async #sum(terms: number, subtrees: readonly Subtree[]): Promise<void> {
    if (!isParted(terms, this.#communicator)) return;
    const { backend } = this.#model;
    await treeSum(this.#communicator, terms, subtrees, this.#length, backend.dtype, (at, sum) => {
      let begin = 0;
      for (const buffer of this.#buffers) {
        const [from, to] = [Math.max(at, begin), Math.min(at + sum.length, begin + buffer.length)];
        if (from < to) backend.upload(buffer, sum.subarray(from - at, to - at), from - begin);
        begin += buffer.length;
      }
    });
  }

  /** Loss, penalties and metrics of the batch: sums in the order of its micro-batches. */
  #joined(results: readonly PartResult[]): Omit<TaskGradients, "x" | "measured" | "stats" | "failed"> {
    const { task } = this.#model;
    const parts = results.filter((result) => result !== null);
    const sum = (of: (part: NonNullable<PartResult>) => number): number =>
      parts.reduce((total, part) => total + of(part), 0);
    return {
      loss: sum(({ loss }) => loss),
      penalties: Object.fromEntries(
        Object.keys(parts[0]!.penalties).map((name) => [name, sum(({ penalties }) => penalties[name]!)]),
      ),
      lossWeight: sum(({ lossWeight }) => lossWeight),
      metrics: parts.reduce((total, { metrics }) => addSums(total, metrics), emptySums(task)),
      count: sum(({ count }) => count),
    };
  }
}

/** Buffers in order, small ones together: a device that works behind the host is waited for less often. */
function readTogether(buffers: readonly DeviceBuffer[]): DeviceBuffer[][] {
  const groups: DeviceBuffer[][] = [];
  let room = 0;
  for (const buffer of buffers) {
    if (buffer.length <= room) groups.at(-1)!.push(buffer);
    else groups.push([buffer]);
    room = (buffer.length <= room ? room : AT_ONCE) - buffer.length;
  }
  return groups;
}
