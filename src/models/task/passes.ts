// Passes over a batch: loss, sums of metrics and outputs, or loss and gradients; where samples fail, over the batch without them.

import type { DeviceBuffer } from "../../backend/backend.ts";
import { type FloatArray, floatArray } from "../../core/dtype.ts";
import { ArgumentError } from "../../core/errors.ts";
import type { SolveStats } from "../../ode/solveStats.ts";
import { resultWithoutFailed } from "../failures.ts";
import {
  type ChunkGradients,
  type ChunkStates,
  type SettledChunk,
  type StartedChunk,
  settled,
} from "../network/chunks.ts";
import type { Evaluated, Network } from "../network/network.ts";
import type { ReadBatch } from "../readout/features.ts";
import type { Readout } from "../readout/readout.ts";
import { readTimesOf } from "../readout/times.ts";
import { partOf, type SampleRows, scatterSamples } from "../samples.ts";
import type { Penalties } from "./penalties.ts";
import { type MetricSums, sumsFrom } from "./sums.ts";
import {
  type CountedTargets,
  checkCounted,
  countTargets,
  selectTargets,
  type TargetBatch,
  targetRows,
} from "./targets.ts";

/** Loss, penalties and sums of metrics of one batch. Samples that failed, where that is allowed (`solve.onFailure`), do not count. */
export interface TaskResult {
  /** Weighted mean of the loss, Σ w·l / Σ w, plus the penalties. NaN without targets, and where the loss gives all of them the weight 0. */
  readonly loss: number;
  /** What each penalty adds to the loss. */
  readonly penalties: Readonly<Record<string, number>>;
  /**
   * Σ w, which the loss was divided by: the weight of this loss beside that of another batch. 0: nothing counts in the loss (the classes
   * weigh 0, or the samples with targets failed).
   */
  readonly lossWeight: number;
  readonly metrics: MetricSums;
  /** Samples × times of the read-out. */
  readonly count: number;
  readonly stats: readonly SolveStats[];
  /** Samples that did not reach their end. */
  readonly failed: readonly number[];
}

/** What a reverse pass yields besides the gradients of `parameters`. */
export interface TaskGradients extends TaskResult {
  /** Gradient with respect to the input, in its layout; null unless `rnn.inputGradient`. */
  readonly x: FloatArray | null;
  /** Numbers of the buffers that `measure` returned. */
  readonly measured: readonly ArrayLike<number>[];
}

/**
 * Enqueues work on the gradients and returns buffers to read along with the loss. Called again if the gradients were not complete.
 *
 * @param complete  scalar on the device: 1 where the gradients are complete. Guards what is added to them (see Guard)
 */
export type Measurement = (complete: DeviceBuffer) => readonly DeviceBuffer[];

/** What judges a network. */
export interface Judge {
  readonly readout: Readout;
  readonly penalties: Penalties;
}

/** The batch that a part belongs to: its samples and the weight of its targets decide what those of the part count. */
export interface WholeBatch {
  /** Samples; activity penalties are means over them. */
  readonly size: number;
  /** Σ w, which the loss is divided by. 0: nothing counts in the loss. */
  readonly lossWeight: number;
}

/** A batch with its targets; null: outputs alone are wanted. */
export interface JudgedBatch<E> extends ReadBatch<E> {
  readonly targets: TargetBatch | null;
  /** The batch is a part of this one. Its loss, penalties and gradients are its share in those of the whole batch. */
  readonly whole?: WholeBatch;
}

/** The result of a pass; `outputs` [batch, readings, rows] of a loss pass. */
type Pass = TaskGradients & { readonly outputs: FloatArray | null };

/**
 * A batch, and where samples fail, the batch without them.
 * @param measure  of the gradients; null: the loss only
 * @throws {ArgumentError | ShapeError} targets that the task cannot take, or none that counts
 * @throws {SolverError} all samples failed
 */
export async function runBatch<E>(
  network: Network<E>,
  judge: Judge,
  batch: JudgedBatch<E>,
  measure: Measurement | null,
): Promise<Pass> {
  const { input, targets } = batch;
  const { task } = judge.readout;
  const { all, rest } = await resultWithoutFailed(network, batch, (part, kept) => {
    const chosen = targets && kept ? selectTargets(targets, targetRows(task, input.batch), kept) : targets;
    const run = new BatchRun(network, judge, { ...batch, ...part, targets: chosen });
    if (!kept) run.checkTargets(measure !== null);
    if (!measure) return run.loss();
    if (kept) network.parameters.clearGradients();
    return run.gradients(measure);
  });
  if (!rest) return all;
  const { kept, result } = rest;
  const spread = (part: FloatArray | null, whole: FloatArray | null, rows: SampleRows) => {
    if (part && whole) scatterSamples(part, whole, rows, kept);
    return whole;
  };
  const outputRows = new BatchRun(network, judge, { ...batch, targets: null }).outputRows;
  return {
    ...result,
    failed: all.failed,
    stats: all.stats,
    x: spread(result.x, all.x?.fill(0) ?? null, network.inputRows(input)),
    outputs: spread(result.outputs, all.outputs?.fill(Number.NaN) ?? null, outputRows),
  };
}

/**
 * The gradients of a part of a batch replace those of the parameters. Nothing in the part needs to count. Where samples fail there are no
 * gradients, and the result only names them: the whole batch is to be computed without them.
 */
export async function runPart<E>(
  network: Network<E>,
  judge: Judge,
  batch: JudgedBatch<E> & { readonly whole: WholeBatch },
): Promise<TaskGradients> {
  network.parameters.clearGradients();
  return new BatchRun(network, judge, batch).gradients(() => []);
}

/**
 * Σ of the weights that the targets of a batch, or of a part, have in the loss. 0: none counts.
 *
 * @throws {ArgumentError | ShapeError} targets that the task cannot take
 */
export function lossWeightOf<E>(network: Network<E>, judge: Judge, batch: JudgedBatch<E>): number {
  return new BatchRun(network, judge, batch).lossWeight;
}

/** One walk over the chunks of a batch. */
class BatchRun<E> {
  readonly #network: Network<E>;
  readonly #readout: Readout;
  readonly #penalties: Penalties;
  readonly #batch: Evaluated<E>;
  readonly #targets: CountedTargets | null;
  readonly #firstSample: number;
  readonly #whole: WholeBatch;
  readonly #times: readonly number[];
  readonly #stats: SolveStats[] = [];
  readonly #failed: number[] = [];

  constructor(network: Network<E>, { readout, penalties }: Judge, batch: JudgedBatch<E>) {
    const { input, targets, firstSample = 0 } = batch;
    this.#network = network;
    this.#readout = readout;
    this.#penalties = penalties;
    this.#times = readTimesOf(batch.times, network.outputTimes(batch));
    // Penalties are on the activity of any neuron.
    const reads = penalties.sums.length > 0 ? "states" : "outputs";
    this.#batch = { ...batch, at: this.#times, reads, widest: readout.shape.widest };
    const { dtype } = network.backend;
    this.#targets = targets && countTargets(readout.task, targets, input.batch, this.#readings, dtype, firstSample);
    this.#firstSample = firstSample;
    this.#whole = batch.whole ?? { size: input.batch, lossWeight: this.#targets?.total ?? 1 };
  }

  /** @throws {ArgumentError} none counts, or with gradients none in the loss */
  checkTargets(training: boolean): void {
    if (!this.#targets) return;
    checkCounted(this.#targets);
    if (!training || this.#targets.total > 0) return;
    const expected = "at least one target that counts in the loss";
    throw new ArgumentError("targets", "weights", expected, "only targets of classes with the weight 0");
  }

  /** Σ w of its own targets, in the loss. */
  get lossWeight(): number {
    return this.#targets?.total ?? 0;
  }

  get #readings(): number {
    return this.#readout.readingsOf(this.#times);
  }

  /** How the outputs of the batch lie on the host. */
  get outputRows(): SampleRows {
    const { batch } = this.#batch.input;
    return { batch, times: this.#readings, width: this.#readout.shape.nOutputs, batchFirst: true };
  }

  #begin(): void {
    this.#readout.beginBatch(this.#whole.lossWeight);
    this.#penalties.beginBatch(this.#whole.size * this.#times.length);
  }

  #beginChunk(chunk: ChunkStates): void {
    if (!this.#targets) return;
    this.#readout.beginChunk(chunk, this.#targets, this.#firstSample);
    this.#penalties.beginChunk(chunk);
  }

  #note(first: number, { stats, failed }: Pick<SettledChunk, "stats" | "failed">): void {
    this.#stats.push(stats);
    this.#failed.push(...failed.map((s) => first + s));
  }

  /** Loss and outputs. Once a sample fails, the walk only finds out which others do. */
  async loss(): Promise<Pass> {
    const { backend } = this.#network;
    const rows = this.outputRows;
    const outputs = floatArray(backend.dtype, rows.batch * rows.times * rows.width);
    this.#begin();
    for await (const chunk of this.#network.chunks(this.#batch, "loss")) {
      this.#note(chunk.first, chunk);
      if (this.#failed.length > 0) continue;
      this.#beginChunk(chunk);
      for (const [k, reading] of this.#readout.readings(chunk, this.#times).entries()) {
        if (this.#targets) this.#readout.judge(chunk, reading, k, this.#targets, null);
        else this.#readout.read(chunk, reading);
        await chunk.desk.take(this.#readout.outputs(chunk.desk), outputs, partOf(rows, chunk, k));
      }
      if (this.#targets) this.#penalties.add(chunk, this.#times, null);
    }
    const record = await backend.downloadAll(this.#sums);
    return { ...this.#result(record), x: null, measured: [], outputs };
  }

  /** Loss and gradients, without waiting in between. */
  async gradients(measure: Measurement): Promise<Pass> {
    const network = this.#network;
    const { input } = this.#batch;
    const targets = this.#targets!;
    const x = network.options.inputGradient ? floatArray(network.backend.dtype, input.data.length) : null;
    let record: readonly ArrayLike<number>[] = [];
    this.#begin();
    for await (const chunk of network.startedChunks(this.#batch, "gradients")) {
      this.#beginChunk(chunk);
      const { complete } = chunk;
      let back: ChunkGradients | null = null;
      const work = (): readonly DeviceBuffer[] => {
        const readings = this.#readout.readings(chunk, this.#times);
        for (const [k, reading] of readings.entries()) this.#readout.judge(chunk, reading, k, targets, complete);
        this.#readout.spreadCotangents(chunk, readings, this.#times);
        this.#penalties.add(chunk, this.#times, complete);
        back = network.reverseChunk(chunk, chunk.ctHs);
        const isLast = chunk.first + chunk.count === input.batch;
        if (isLast) network.parameters.foldGradients(complete);
        return [...this.#sums, ...(isLast ? measure(complete) : [])];
      };
      const known = await pollWith(network, chunk, this.#failed.length > 0 ? () => [] : work);
      this.#note(chunk.first, known);
      record = known.values;
      if (this.#failed.length === 0 && x) await network.readInputGradient(chunk, back!, input, x);
    }
    return { ...this.#result(record), x, measured: record.slice(this.#sums.length), outputs: null };
  }

  get #sums(): readonly DeviceBuffer[] {
    return [...this.#readout.sums, ...this.#penalties.sums];
  }

  /** The result from the numbers of the sums; without samples that failed. */
  #result(record: readonly ArrayLike<number>[]): TaskResult {
    const { task, sumLayout } = this.#readout;
    const isKnown = this.#targets !== null && this.#failed.length === 0;
    const hasLoss = isKnown && this.#whole.lossWeight > 0;
    const [loss, ...rest] = isKnown ? record : [[Number.NaN]];
    const parts = sumLayout.map((layout, i) => ({ layout, values: rest[i] ?? new Float64Array(layout.rows) }));
    const penalties = isKnown ? this.#penalties.values(rest.slice(sumLayout.length)) : {};
    return {
      loss: Object.values(penalties).reduce((sum, p) => sum + p, hasLoss ? loss![0]! : Number.NaN),
      penalties,
      lossWeight: isKnown ? this.lossWeight : 0,
      metrics: sumsFrom(task, parts, isKnown ? this.#targets!.perNumber : new Float64Array(task.target.width)),
      count: this.#batch.input.batch * this.#readings,
      stats: this.#stats,
      failed: this.#failed,
    };
  }
}

/** Enqueues work on a chunk's states and polls until they are complete. With samples that are known to have failed there is none. */
async function pollWith<E>(
  { backend }: Network<E>,
  chunk: StartedChunk,
  work: () => readonly DeviceBuffer[],
): Promise<SettledChunk> {
  if (!backend.isAsynchronous) {
    const known = await settled(chunk);
    if (known.failed.length > 0) return known;
    return { ...known, values: await backend.downloadAll(work()) };
  }
  for (;;) {
    const known = await chunk.poll(work());
    if (known) return known;
  }
}
