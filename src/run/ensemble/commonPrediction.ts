// Predictions of the members of an ensemble, and of all of them together: the mean of their outputs, judged as theirs are.

import { OutputAverage, outputScale } from "../../analysis/averageOutputs.ts";
import { memberSpread } from "../../analysis/ensemble.ts";
import type { EnsemblePrediction } from "../../analysis/ensembleResult.ts";
import { yieldToEventLoop } from "../../core/abort.ts";
import type { FloatArray } from "../../core/dtype.ts";
import { ArgumentError } from "../../core/errors.ts";
import type { PartName } from "../../data/sampleArrays.ts";
import type { SampleSet, Samples } from "../../data/sampleSet.ts";
import { asInput, passThrough } from "../../models/passThrough.ts";
import { type Evaluation, EvaluationSums } from "../../train/evaluation.ts";
import type { TaskDescription } from "../../train/taskDescription.ts";
import { targetsOf } from "../../train/trainable.ts";
import type { OpenedRun } from "../openRun.ts";
import { predict } from "../predict.ts";
import type { EnsembleMember, OpenedMember } from "./openEnsemble.ts";
import { joined, partOfRun, WHERE, type Work } from "./work.ts";

/** Samples that outputs are judged at a time. */
const JUDGED_SAMPLES = 256;

/** Predictions of the members, and of their mean, for all samples of a part. */
export class CommonPrediction {
  readonly #wanted: PartName | undefined;
  readonly #evaluations: Evaluation[] = [];
  readonly #failed = new Set<number>();
  #targets: Samples | null = null;
  #part: PartName | null = null;
  #average: OutputAverage | null = null;
  #ensemble: Evaluation | null = null;

  constructor(part: PartName | undefined) {
    this.#wanted = part;
  }

  async add({ run, member }: OpenedMember, isLast: boolean, { signal, show }: Work): Promise<void> {
    const part = partOfRun(run, this.#wanted);
    this.#part ??= part;
    const set = run.data[part]!;
    const { task } = run.model;
    const rows = task.loss.outputs(task.target);
    const targets = await targetsOfSet(set, signal);
    this.#checkSame(member, targets);
    const parts: Float64Array[] = [];
    let times = 1;
    for await (const batch of predict(run, set, {
      ...(signal && { signal }),
      onProgress: (done, total) => show(`predictions for ${done} of ${total} samples`),
    })) {
      times = batch.shape[1];
      parts.push(Float64Array.from(batch.outputs));
      for (const k of batch.failed) this.#failed.add(k);
    }
    const all = joined(parts);
    this.#average ??= new OutputAverage(outputScale(task.loss.name), rows);
    this.#average.add(all);
    this.#evaluations.push(await judged(run, targets, all, times, failedOf(all, set.count)));
    if (isLast) this.#ensemble = await judged(run, targets, this.#average.result(), times, this.#failed);
  }

  #checkSame(member: EnsembleMember, targets: Samples): void {
    const first = this.#targets;
    this.#targets ??= targets;
    if (!first) return;
    const same = (a: ArrayLike<number> | null, b: ArrayLike<number> | null): boolean =>
      a === b ||
      (a !== null &&
        b !== null &&
        a.length === b.length &&
        Array.prototype.every.call(a, (x, i) => Object.is(x, b[i])));
    if (same(first.targets, targets.targets) && same(first.weights, targets.weights)) return;
    throw new ArgumentError(WHERE, "samples", "the same in all members", `other targets in ${member.name}`);
  }

  result(task: TaskDescription): EnsemblePrediction | null {
    const ensemble = this.#ensemble;
    if (!ensemble) return null;
    const named = [
      ...task.metrics.map(({ name, better }) => ({
        name,
        better,
        of: ({ metrics }: Evaluation) => metrics[name] ?? Number.NaN,
      })),
      { name: "loss", better: "lower" as const, of: ({ loss }: Evaluation) => loss },
    ];
    const metrics = named.map(({ name, better, of }) => {
      const members = this.#evaluations.map(of);
      const spread = memberSpread(members);
      const best = spread && (better === "higher" ? spread.max : spread.min);
      return { name, better, members, spread, best, ensemble: of(ensemble) };
    });
    const { size } = this.#targets!;
    return { part: this.#part!, samples: size, failed: this.#failed.size, scale: this.#average!.scale, metrics };
  }
}

/** The targets of a whole set, without the inputs. */
async function targetsOfSet(set: SampleSet, signal: AbortSignal | undefined): Promise<Samples> {
  const width = (set.target.times ?? 1) * set.target.width;
  const targets = new Float64Array(set.count * width);
  const weights = set.weighted ? new Float64Array(set.count * width) : null;
  for (let begin = 0; begin < set.count; begin += JUDGED_SAMPLES) {
    await yieldToEventLoop(signal);
    const indices = Array.from({ length: Math.min(JUDGED_SAMPLES, set.count - begin) }, (_, k) => begin + k);
    const part = await set.read(indices, null);
    targets.set(part.targets, begin * width);
    if (weights) weights.set(part.weights ?? new Float64Array(part.targets.length).fill(1), begin * width);
  }
  return { size: set.count, inputs: new Float64Array(0), targets, weights };
}

/** Loss and metrics of outputs that are given, on the device of a run. Samples in `failed` do not count. */
async function judged(
  { model, backend }: OpenedRun,
  { targets, weights, size }: Samples,
  outputs: Float64Array,
  times: number,
  failed: ReadonlySet<number>,
): Promise<Evaluation> {
  const { task } = model;
  using judge = passThrough(backend, task);
  const sums = new EvaluationSums(task);
  const [stride, width] = [outputs.length / size, targets.length / size];
  for (let begin = 0; begin < size; begin += JUDGED_SAMPLES) {
    const count = Math.min(JUDGED_SAMPLES, size - begin);
    const part = <T extends FloatArray>(all: T, each: number): T =>
      all.slice(begin * each, (begin + count) * each) as T;
    const own = weights ? part(weights, width) : failed.size > 0 ? new Float64Array(count * width).fill(1) : null;
    const given = part(outputs, stride);
    for (let k = 0; k < count; k++) {
      if (!failed.has(begin + k)) continue;
      own!.fill(0, k * width, (k + 1) * width);
      given.fill(0, k * stride, (k + 1) * stride);
    }
    if (own?.every((weight) => weight === 0)) continue;
    const batch: Samples = { size: count, inputs: given, targets: part(targets, width), weights: own };
    const [input, evaluation] = asInput(given, count, times);
    sums.add(batch, await judge.evaluate(input, targetsOf(batch), evaluation));
  }
  return sums.result(0);
}

/** Samples whose outputs are NaN. */
function failedOf(outputs: Float64Array, size: number): Set<number> {
  const stride = outputs.length / size;
  return new Set(Array.from({ length: size }, (_, k) => k).filter((k) => Number.isNaN(outputs[k * stride])));
}
