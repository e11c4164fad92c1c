// A read-out on a device: its layers, its loss, and the statistics that standardise its features.

import type { GradTarget } from "../../autodiff/vjp.ts";
import type { Bindable, DeviceBuffer } from "../../backend/backend.ts";
import { Desk } from "../../backend/desk.ts";
import type { FloatArray } from "../../core/dtype.ts";
import { deriveKey, type Key, keyOfSeed, RandomStream } from "../../core/random.ts";
import { orRelease } from "../../core/release.ts";
import type { ChunkStates } from "../network/chunks.ts";
import type { NetworkParameters } from "../network/parameters.ts";
import { outputsOf } from "../network/projections.ts";
import { bindingsOf, type Parameter, type ParameterSpec } from "../parameters/parameter.ts";
import type { ReadoutOptions } from "./options.ts";
import { firingProgram, type ReadoutShape, readoutProgram } from "./readoutPrograms.ts";

const DEFAULT_FC_DIM = 512;
const DEFAULT_DROPOUT = 0.2;

export function readoutShape(options: ReadoutOptions, nFeatures: number): ReadoutShape {
  return {
    nFeatures,
    nClasses: options.numClasses,
    fcDim: options.fcDim === undefined ? DEFAULT_FC_DIM : options.fcDim,
    dropout: options.dropout ?? DEFAULT_DROPOUT,
    standardised: options.standardise ?? false,
  };
}

/** The parameters of a read-out, in the order in which files have them. */
export function readoutParameters({ nFeatures, nClasses, fcDim }: ReadoutShape, seed: number): ParameterSpec[] {
  const key = keyOfSeed(seed);
  if (fcDim === null) return linear(key, "fc", "out_layer.1", nFeatures, nClasses);
  return [
    ...linear(key, "fc1", "out_layer.1", nFeatures, fcDim),
    ...linear(key, "fc2", "out_layer.4", fcDim, nClasses),
  ];
}

/** torch.nn.Linear: weights and biases uniform in ±1/√nIn. */
function linear(key: Key, leaf: string, layer: string, nIn: number, nOut: number): ParameterSpec[] {
  const bound = 1 / Math.sqrt(nIn);
  const drawn = (part: string, shape: readonly number[]) => {
    const name = `${layer}.${part}`;
    const stream = new RandomStream(deriveKey(key, name));
    const draw = (): number => (2 * stream.uniform() - 1) * bound;
    const size = shape.reduce((product, n) => product * n, 1);
    return { name, role: "read-out", leaf: `${leaf}.${part}`, shape, size, draw, trainable: true } as const;
  };
  return [
    { ...drawn("weight", [nOut, nIn]), of: "connections" },
    { ...drawn("bias", [nOut]), of: "units" },
  ];
}

/** Makes logits, losses and gradients of the features of chunks. It changes nothing of the network but gradients. */
export class Readout {
  readonly shape: ReadoutShape;
  readonly #model: NetworkParameters;
  readonly #layers: readonly Parameter[];
  readonly #dropoutKey: Key;
  readonly #desk: Desk;
  readonly #own: Readonly<Record<"key" | "loss" | "correct", DeviceBuffer>>;
  /** null: features are not standardised. */
  readonly #feature: Readonly<Record<"mean" | "scale", DeviceBuffer>> | null;
  #isCalibrated: boolean;

  /** Its layers are registered with the parameters of the network. */
  constructor(model: NetworkParameters, options: ReadoutOptions) {
    const { backend, set, nOutputs } = model;
    const seed = options.seed ?? 0;
    this.shape = readoutShape(options, nOutputs);
    this.#model = model;
    this.#dropoutKey = deriveKey(keyOfSeed(seed), "dropout");
    this.#layers = readoutParameters(this.shape, seed).map((spec) => set.add(spec));
    const desk = new Desk(backend, backend.layoutFor(1), "classifier");
    this.#desk = desk;
    const { own, feature } = orRelease(desk, () => ({
      own: {
        key: desk.vector("dropout key", 2, "u32"),
        loss: desk.vector("loss", 1),
        correct: desk.vector("correct", 1),
      },
      feature: this.shape.standardised ? desk.vectors("feature", { mean: nOutputs, scale: nOutputs }) : null,
    }));
    this.#own = own;
    this.#feature = feature;
    this.#isCalibrated = feature === null;
    if (feature) orRelease(desk, () => backend.fill(feature.scale, 1));
  }

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

  /** Dropout draws from (seed, step, sample, unit). */
  beginStep(step: number): void {
    this.#model.backend.upload(this.#own.key, deriveKey(this.#dropoutKey, step));
  }

  /** Sets the sums over a batch to zero. */
  clearSums(): void {
    for (const sum of this.sums) this.#model.backend.fill(sum, 0);
  }

  /** Scalars on the device: Σ weight · cross-entropy, and how many logits are the largest where the label says so. */
  get sums(): readonly DeviceBuffer[] {
    return [this.#own.loss, this.#own.correct];
  }

  /** Sets the labels of a chunk, each with `weight`. */
  label({ desk, first, count }: ChunkStates, labels: ArrayLike<number>, weight: number): void {
    desk.setSamples(desk.sample("label"), count, (sample) => labels[first + sample]!);
    desk.set(desk.sample("weight"), (lane) => (lane < count ? weight : 0));
    desk.set(desk.sample("sampleId"), (lane) => first + lane);
  }

  /**
   * Logits of a labelled chunk at output time j; adds to the sums and, with gradients, to those of the parameters.
   * @param complete  with gradients, where this scalar is not 0; null: the loss only
   */
  run({ desk, hs, ctHs }: ChunkStates, j: number, complete: DeviceBuffer | null): void {
    const program = desk.program(complete ? "readout.train" : "readout", () => {
      const wrt = new Map<string, GradTarget>([["h", { binding: "ct.h", accumulate: false }]]);
      for (const leaf of [...this.#layers.map((p) => p.leaf), ...this.#model.outputTrainedLeaves()])
        wrt.set(leaf, { binding: `grad.${leaf}`, accumulate: true });
      return readoutProgram((g) => this.#model.outputGraph(g), this.shape, complete ? wrt : null);
    });
    const { loss, correct, key } = this.#own;
    const logits = this.logits(desk);
    desk.run(program, {
      ...this.#bindings(),
      h: hs[j],
      "ct.h": ctHs[j],
      complete,
      logits,
      loss,
      correct,
      "dropout.key": key,
    });
  }

  /** Where `run` puts the logits. */
  logits(desk: Desk): DeviceBuffer {
    return desk.state("logits", this.shape.nClasses);
  }

  /** Copies a chunk's features at the last output time into its rows of [batch, features]. */
  async readFeatures(chunk: ChunkStates, features: FloatArray): Promise<void> {
    await chunk.desk.take(outputsOf(this.#model, chunk).at(-1)!, features, chunk);
  }

  /** For how many lanes of a chunk each hidden unit is above 0; none for a linear read-out. */
  async firing({ desk, hs }: ChunkStates): Promise<ArrayLike<number>> {
    const { fcDim } = this.shape;
    if (fcDim === null) return [];
    const firing = desk.vector("firing", fcDim);
    const make = () => firingProgram((g) => this.#model.outputGraph(g), this.shape, fcDim);
    desk.run(desk.program("firing", make), { ...this.#bindings(), h: hs.at(-1), firing });
    return (await desk.backend.download(firing)) as FloatArray;
  }

  /** The output projection, the layers, and the statistics of the features. */
  #bindings(): Record<string, Bindable | undefined> {
    const { mean, scale } = this.#feature ?? {};
    return {
      ...this.#model.outputBindings(),
      ...bindingsOf(this.#layers),
      "feature.mean": mean,
      "feature.scale": scale,
    };
  }

  /** Releases what it keeps besides its layers. */
  release(): void {
    this.#desk.release();
  }
}
