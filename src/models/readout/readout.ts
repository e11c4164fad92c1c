// A read-out on a device: its layers, the loss and metrics of a task, and the statistics that standardise its features.

import { Graph } from "../../autodiff/graph.ts";
import { lower } from "../../autodiff/lower.ts";
import type { GradTarget } from "../../autodiff/vjp.ts";
import type { Bindable, DeviceBuffer } from "../../backend/backend.ts";
import { Desk } from "../../backend/desk.ts";
import type { Program } from "../../backend/program.ts";
import type { Csr } from "../../core/csr.ts";
import type { FloatArray } from "../../core/dtype.ts";
import { deriveKey, type Key, keyOfSeed } from "../../core/random.ts";
import { orRelease } from "../../core/release.ts";
import type { ChunkStates } from "../network/chunks.ts";
import type { NetworkParameters } from "../network/parameters.ts";
import { outputProgram } from "../network/projectionPrograms.ts";
import { bindingsOf, type Parameter } from "../parameters/parameter.ts";
import { partOf } from "../samples.ts";
import { type SumLayout, sumLayout } from "../task/sums.ts";
import type { CountedTargets } from "../task/targets.ts";
import type { Task } from "../task/task.ts";
import { type ReadoutOptions, type ReadoutShape, readoutParameters, readoutShape, type SizedLayer } from "./layers.ts";
import { firingProgram, outputsProgram, readoutProgram, sumName, type WeightForm } from "./program.ts";

/** The states of a chunk that are read out once, and in runs for gradients room for their cotangent. */
export interface Reading {
  readonly h: DeviceBuffer;
  readonly ctH: DeviceBuffer | undefined;
}

/** A dropout layer's key on the device, and the key of a seed that those of all steps derive from. */
interface DropoutKey {
  readonly leaf: string;
  readonly buffer: DeviceBuffer;
  readonly key: Key;
}

/** Makes outputs, losses, sums of metrics and gradients of the features of chunks. It changes nothing of the network but gradients. */
export class Readout {
  readonly shape: ReadoutShape;
  readonly task: Task;
  /** The sums of the metrics, in the order of `sums`, behind the loss. */
  readonly sumLayout: readonly SumLayout[];
  readonly #model: NetworkParameters;
  readonly #averages: boolean;
  readonly #layers: readonly Parameter[];
  readonly #desk: Desk;
  readonly #dropout: readonly DropoutKey[];
  readonly #scale: DeviceBuffer;
  readonly #loss: DeviceBuffer;
  readonly #metricSums: readonly DeviceBuffer[];
  /** Bindings that do not change: sums, keys, fixed rows of the task, statistics of the features. */
  readonly #fixed: Readonly<Record<string, Bindable>>;
  /** null: features are not standardised. */
  readonly #feature: Readonly<Record<"mean" | "scale", DeviceBuffer>> | null;
  #isCalibrated: boolean;

  /** Its layers are registered with the parameters of the network. */
  constructor(model: NetworkParameters, options: ReadoutOptions, task: Task) {
    const { backend, set, nOutputs } = model;
    const seed = options.seed ?? 0;
    this.task = task;
    this.shape = readoutShape(options, nOutputs, task.loss.outputs(task.target));
    this.sumLayout = sumLayout(task);
    this.#model = model;
    this.#averages = options.average ?? false;
    this.#layers = readoutParameters(this.shape, seed).map((spec) => set.add(spec));
    const desk = new Desk(backend, backend.layoutFor(1), "readout");
    this.#desk = desk;
    const own = orRelease(desk, () => {
      const feature = this.shape.standardised ? desk.vectors("feature", { mean: nOutputs, scale: nOutputs }) : null;
      if (feature) backend.fill(feature.scale, 1);
      return {
        feature,
        dropout: dropoutKeys(desk, this.shape, seed),
        scale: desk.vector("scale", 1),
        loss: desk.vector("loss", 1),
        sums: this.sumLayout.map(({ metric, sum, rows }) => desk.vector(sumName(metric, sum), rows)),
        rows: fixedRows(desk, task),
        matrices: fixedMatrices(desk, task),
      };
    });
    this.#feature = own.feature;
    this.#dropout = own.dropout;
    this.#scale = own.scale;
    this.#loss = own.loss;
    this.#metricSums = own.sums;
    this.#isCalibrated = own.feature === null;
    this.#fixed = {
      ...own.rows,
      ...own.matrices,
      scale: own.scale,
      loss: own.loss,
      ...Object.fromEntries(this.sumLayout.map(({ metric, sum }, i) => [sumName(metric, sum), own.sums[i]!])),
      ...Object.fromEntries(own.dropout.map(({ leaf, buffer }) => [leaf, buffer])),
      ...(own.feature && { "feature.mean": own.feature.mean, "feature.scale": own.feature.scale }),
    };
  }

  // ---- statistics of the features --------------------------------------------------------------------------------------

  /** Whether the statistics of the features are known, or none are needed. */
  get isCalibrated(): boolean {
    return this.#isCalibrated;
  }

  /** Mean and scale that are in use; null without standardisation. */
  async statistics(): Promise<{ mean: FloatArray; scale: FloatArray } | null> {
    if (!this.#feature) return null;
    const [mean, scale] = await this.#model.backend.downloadAll([this.#feature.mean, this.#feature.scale]);
    return { mean: mean as FloatArray, scale: scale as FloatArray };
  }

  setStatistics(mean: Float64Array, scale: Float64Array): void {
    const { backend } = this.#model;
    backend.upload(this.#feature!.mean, mean);
    backend.upload(this.#feature!.scale, scale);
    this.#isCalibrated = true;
  }

  // ---- batches and chunks ----------------------------------------------------------------------------------------------

  /** Dropout draws from (seed, step, sample, unit). */
  beginStep(step: number): void {
    for (const { buffer, key } of this.#dropout) this.#model.backend.upload(buffer, deriveKey(key, step));
  }

  /** Sets the sums over a batch to zero, and what its loss is divided by; 0: nothing counts in it. */
  beginBatch(total: number): void {
    for (const sum of this.sums) this.#model.backend.fill(sum, 0);
    this.#desk.set(this.#scale, () => (total > 0 ? 1 / total : 0));
  }

  /** On the device: Σ weight·scale·loss, and the sums of the metrics. */
  get sums(): readonly DeviceBuffer[] {
    return [this.#loss, ...this.#metricSums];
  }

  /**
   * Uploads what the samples of a chunk have in common at all times.
   * @param firstSample  number of the first of `targets`, where these are of a part of a batch
   */
  beginChunk(chunk: ChunkStates, targets: CountedTargets, firstSample: number): void {
    const { desk, first, count } = chunk;
    desk.set(desk.sample("sampleId"), (lane) => firstSample + first + lane);
    if (!targets.weights) desk.set(desk.sample("counts"), (lane) => (lane < count ? 1 : 0));
    if (targets.rows.times === 1) this.#putTargets(chunk, targets, 0);
  }

  /** Uploads targets at one time, and their weights. */
  #putTargets({ desk, first, count }: ChunkStates, targets: CountedTargets, time: number): void {
    const { values, weights, lossWeights, rows } = targets;
    const part = partOf(rows, { first, count }, time);
    desk.put(desk.state("target", rows.width), values, part);
    if (weights) desk.put(desk.state("weight", rows.width), weights, part, "zero");
    if (lossWeights) desk.put(desk.state("loss weight", rows.width), lossWeights, part, "zero");
  }

  /** What is read out of a chunk: its states at the output times `times`, or their mean, which is computed here. */
  readings(chunk: ChunkStates, times: readonly number[]): readonly Reading[] {
    const { desk, hs, ctHs } = chunk;
    if (!this.#averages) return times.map((j) => ({ h: hs[j]!, ctH: ctHs[j] }));
    const { numNeurons } = this.#model.options;
    const h = desk.state("mean h", numNeurons);
    const ctH = ctHs[times[0]!] && desk.state("ct mean h", numNeurons);
    const program = desk.program(`add to mean ${times.length}`, () => meanProgram(numNeurons, times.length));
    this.#model.backend.fill(h, 0);
    for (const j of times) desk.run(program, { h: hs[j], mean: h });
    return [{ h, ctH }];
  }

  /** Number of readings of a chunk. */
  readingsOf(times: readonly number[]): number {
    return this.#averages ? 1 : times.length;
  }

  /**
   * Outputs of reading number k of a chunk that has begun; adds to the sums and, with gradients, to those of the parameters.
   * @param complete  with gradients, where this scalar is not 0; null: the loss only
   */
  judge(
    chunk: ChunkStates,
    { h, ctH }: Reading,
    k: number,
    targets: CountedTargets,
    complete: DeviceBuffer | null,
  ): void {
    const { desk } = chunk;
    const { rows } = targets;
    // Targets at every time would take as much memory as the outputs of all times.
    if (rows.times > 1) this.#putTargets(chunk, targets, k);
    const form = { weighted: targets.weights !== null, ofLoss: targets.lossWeights !== null };
    const program = desk.program(programName(form, complete !== null), () => this.#program(form, complete !== null));
    const at = (name: string) => desk.state(name, rows.width);
    desk.run(program, {
      ...this.#bindings(),
      h,
      "ct.h": ctH,
      complete,
      outputs: this.outputs(desk),
      target: at("target"),
      weight: form.weighted ? at("weight") : desk.sample("counts"),
      "loss.weight": form.ofLoss ? at("loss weight") : null,
    });
  }

  /** Outputs of a reading, without a task. */
  read({ desk }: ChunkStates, { h }: Reading): void {
    const program = desk.program("readout.outputs", () =>
      outputsProgram((g) => this.#model.outputGraph(g), this.shape),
    );
    desk.run(program, { ...this.#bindings(), h, outputs: this.outputs(desk) });
  }

  /** After `judge` with gradients: the cotangents of the readings become those of the states at `times`. */
  spreadCotangents({ desk, ctHs }: ChunkStates, readings: readonly Reading[], times: readonly number[]): void {
    if (!this.#averages) return;
    const { numNeurons } = this.#model.options;
    const program = desk.program(`spread mean ${times.length}`, () => spreadProgram(numNeurons, times.length));
    for (const j of times) desk.run(program, { ct: readings[0]!.ctH, "ct.h": ctHs[j] });
  }

  /** Where `judge` and `read` put the outputs. */
  outputs(desk: Desk): DeviceBuffer {
    return desk.state("outputs", this.shape.nOutputs);
  }

  // ---- measures --------------------------------------------------------------------------------------------------------

  /** Copies a chunk's features, at the last of `times` or their mean, into its rows of [batch, features]. */
  async readFeatures(chunk: ChunkStates, times: readonly number[], features: FloatArray): Promise<void> {
    const { desk } = chunk;
    const { h } = this.readings(chunk, times).at(-1)!;
    const { options, nOutputs } = this.#model;
    if (!options.outputProjection) {
      await desk.take(h, features, chunk);
      return;
    }
    const out = desk.state("features", nOutputs);
    const program = desk.program("output", () => outputProgram((g) => this.#model.outputGraph(g)));
    desk.run(program, { ...this.#model.outputBindings(), h, out });
    await desk.take(out, features, chunk);
  }

  /** For how many lanes of a chunk each unit behind a relu is above 0; null without a relu. */
  async firing(chunk: ChunkStates, times: readonly number[]): Promise<readonly ArrayLike<number>[] | null> {
    if (!this.shape.layers.some(({ type }) => type === "relu")) return null;
    const { desk } = chunk;
    const { h } = this.readings(chunk, times).at(-1)!;
    const make = () => firingProgram((g) => this.#model.outputGraph(g), this.shape);
    const program = desk.program("firing", make);
    const stored = program.bindings.filter(({ name }) => name.startsWith("firing "));
    const firing = stored.map(({ name, rows }) => [name, desk.vector(name, rows)] as const);
    desk.run(program, { ...this.#bindings(), h, ...Object.fromEntries(firing) });
    return desk.backend.downloadAll(firing.map(([, buffer]) => buffer));
  }

  #program(form: WeightForm, training: boolean): Program {
    const wrt = new Map<string, GradTarget>([["h", { binding: "ct.h", accumulate: false }]]);
    for (const leaf of [...this.#layers.map((p) => p.leaf), ...this.#model.outputTrainedLeaves()])
      wrt.set(leaf, { binding: `grad.${leaf}`, accumulate: true });
    return readoutProgram((g) => this.#model.outputGraph(g), this.shape, this.task, form, training ? wrt : null);
  }

  #bindings(): Record<string, Bindable> {
    return { ...this.#model.outputBindings(), ...bindingsOf(this.#layers), ...this.#fixed };
  }

  /** Releases what it keeps besides its layers. */
  release(): void {
    this.#desk.release();
  }
}

function programName({ weighted, ofLoss }: WeightForm, training: boolean): string {
  return `readout${training ? ".train" : ""}${weighted ? " weighted" : ""}${ofLoss ? " loss weights" : ""}`;
}

function dropoutKeys(desk: Desk, { layers }: ReadoutShape, seed: number): DropoutKey[] {
  const isDropout = (layer: SizedLayer) => layer.type === "dropout";
  return layers.filter(isDropout).map(({ key: leaf, purpose }) => ({
    leaf,
    buffer: desk.vector(leaf, 2, "u32"),
    key: deriveKey(keyOfSeed(seed), purpose),
  }));
}

/** The rows that a task's graphs read besides outputs and targets. */
function fixedRows(desk: Desk, { loss, centre }: Task): Record<string, DeviceBuffer> {
  const rows = { ...loss.rows, ...(centre && { "target.centre": centre }) };
  return Object.fromEntries(
    Object.entries(rows).map(([name, values]) => {
      const buffer = desk.vector(`task ${name}`, values.length);
      desk.backend.upload(buffer, values);
      return [name, buffer];
    }),
  );
}

/** The matrices that a task's graphs read. */
function fixedMatrices(desk: Desk, { loss, metrics, target }: Task): Record<string, Bindable> {
  const matrices = Object.assign({}, ...[loss, ...metrics].map((part) => part.matrices?.(target) ?? {}));
  return Object.fromEntries(
    Object.entries<Csr>(matrices).map(([name, csr]) => [name, desk.own(desk.backend.sparse(`task ${name}`, csr))]),
  );
}

/** mean += h/n. */
function meanProgram(rows: number, n: number): Program {
  const g = new Graph();
  g.store("mean", g.ops.mul(g.state("h", rows), 1 / n), { accumulate: true });
  return lower(g, "readout.mean", "readout");
}

/** The reverse of `meanProgram`: ct.h = ct/n. */
function spreadProgram(rows: number, n: number): Program {
  const g = new Graph();
  g.store("ct.h", g.ops.mul(g.state("ct", rows), 1 / n));
  return lower(g, "readout.mean.reverse", "readout");
}
