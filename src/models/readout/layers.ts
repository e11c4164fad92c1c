// Layers of a read-out: what the options ask for, their parameters, and their graph.

import type { Graph } from "../../autodiff/graph.ts";
import type { Csr } from "../../core/csr.ts";
import { ArgumentError, ShapeError } from "../../core/errors.ts";
import { checkNames } from "../../core/optionNames.ts";
import { deriveKey, type Key, keyOfSeed, RandomStream } from "../../core/random.ts";
import type { Matrix, Value } from "../../ops/value.ts";
import { checkMatrix } from "../matrix.ts";
import { filled, type SharedWeights } from "../options.ts";
import type { ParameterSpec } from "../parameters/parameter.ts";
import { checkReadoutTimes, type ReadoutTimes } from "./times.ts";

/** y = W·x + b with a dense W, drawn as torch.nn.Linear does. */
export interface LinearLayer {
  readonly type: "linear";
  /** Rows of y; default: as many as the loss needs. */
  readonly units?: number;
}

/**
 * y = W·x + b with a sparse W, whose values are the initial ones. Entries of one group can share a trained strength, as connections of a
 * network do: W = magnitude · strength[group]. A convolution is such a matrix: one group per offset and pair of channels.
 */
export interface SparseLayer {
  readonly type: "sparse";
  readonly matrix: Csr;
  readonly sharedWeights?: SharedWeights;
  /** true (default): one bias per row; false: none; a list: the group of each row, from 0, whose rows share a bias. They begin at 0. */
  readonly bias?: boolean | ArrayLike<number>;
}

/** max(x, 0). */
export interface ReluLayer {
  readonly type: "relu";
}

/** In training each number is dropped with probability p; the others are scaled by 1/(1 − p). */
export interface DropoutLayer {
  readonly type: "dropout";
  readonly p: number;
}

/** A layer of a read-out. */
export type ReadoutLayer = LinearLayer | SparseLayer | ReluLayer | DropoutLayer;

/** What turns the states of a network into the outputs that a loss judges. */
export interface ReadoutOptions {
  /** Default "last". Each time has outputs of its own, unless `average`. */
  readonly times?: ReadoutTimes;
  /** The features are the mean over `times`, read out once. Default false. */
  readonly average?: boolean;
  /** Layers from the features (outputs of the network) to the outputs; none: the features are the outputs. Instead of `fcDim`, `dropout`. */
  readonly layers?: readonly ReadoutLayer[];
  /** Hidden units of Linear → ReLU → Dropout → Linear; null: one linear layer. Default 512. */
  readonly fcDim?: number | null;
  /** Default 0.2. */
  readonly dropout?: number;
  /** Seed of the read-out's initial values and of dropout; default 0. */
  readonly seed?: number;
  /** Standardise the features with fixed statistics, set by `calibrate`. Default false. */
  readonly standardise?: boolean;
  /** [features], with `standardise`: the group of each, whose features share a scale, such as those of a channel; means are their own. Default: none. */
  readonly scaleBy?: ArrayLike<number>;
}

const DEFAULT_FC_DIM = 512;
const DEFAULT_DROPOUT = 0.2;
const WHERE = "readout";
const OPTIONS: Readonly<Record<keyof ReadoutOptions, true>> = {
  times: true,
  average: true,
  layers: true,
  fcDim: true,
  dropout: true,
  seed: true,
  standardise: true,
  scaleBy: true,
};
const LAYER_OPTIONS: Readonly<Record<ReadoutLayer["type"], Readonly<Record<string, true>>>> = {
  linear: { type: true, units: true },
  sparse: { type: true, matrix: true, sharedWeights: true, bias: true },
  relu: { type: true },
  dropout: { type: true, p: true },
};

/** A layer with its size, its name in files and its leaves in graphs. */
export type SizedLayer =
  | {
      readonly type: "linear";
      readonly name: string;
      readonly leaf: string;
      readonly nIn: number;
      readonly nOut: number;
    }
  | { readonly type: "sparse"; readonly name: string; readonly leaf: string; readonly layer: SparseLayer }
  | { readonly type: "relu" }
  /** `key` is the leaf of its random numbers, `purpose` what their seed is derived for. */
  | { readonly type: "dropout"; readonly p: number; readonly key: string; readonly purpose: string };

/** Sizes of a read-out: its graph and parameters follow from them. */
export interface ReadoutShape {
  /** Rows of the features. */
  readonly nFeatures: number;
  readonly nOutputs: number;
  /** The most rows that a layer has. */
  readonly widest: number;
  readonly layers: readonly SizedLayer[];
  /** Features are standardised by the frozen rows `feature.mean` and `feature.scale`: (x − mean)·scale. */
  readonly standardised: boolean;
  /** [features], the group of those that share a scale; null: each has its own. */
  readonly scaleBy: ArrayLike<number> | null;
  /** The most features that a number behind them sees. */
  readonly fanIn: number;
}

/** @throws {ArgumentError | ShapeError} naming the option */
export function checkReadoutOptions(options: ReadoutOptions): void {
  const where = WHERE;
  checkNames(where, options, OPTIONS);
  const { times = "last", average, layers, fcDim, dropout } = options;
  checkReadoutTimes(times);
  if (average !== undefined && typeof average !== "boolean")
    throw new ArgumentError(where, "average", "true or false", `${average}`);
  if (fcDim != null && (!Number.isInteger(fcDim) || fcDim < 1))
    throw new ArgumentError(where, "fcDim", "a whole number of at least 1, or null", `${fcDim}`);
  if (dropout !== undefined) checkProbability(where, "dropout", dropout);
  if (layers === undefined) return;
  if (!Array.isArray(layers)) throw new ArgumentError(where, "layers", "a list of layers", `${layers}`);
  for (const name of ["fcDim", "dropout"] as const) {
    if (options[name] !== undefined) throw new ArgumentError(where, name, "it dropped, or no layers", "both");
  }
  for (const [i, layer] of layers.entries()) checkLayer(layer, i);
}

function checkLayer(layer: ReadoutLayer, i: number): void {
  const path = `layers[${i}].`;
  const known = LAYER_OPTIONS[layer?.type];
  if (!known)
    throw new ArgumentError(WHERE, `${path}type`, `one of ${Object.keys(LAYER_OPTIONS).join(", ")}`, `${layer?.type}`);
  checkNames(WHERE, layer, known, path);
  if (layer.type === "dropout") checkProbability(WHERE, `${path}p`, layer.p);
  if (layer.type !== "linear" || layer.units === undefined) return;
  if (!Number.isInteger(layer.units) || layer.units < 1)
    throw new ArgumentError(WHERE, `${path}units`, "a whole number of at least 1", `${layer.units}`);
}

function checkProbability(where: string, name: string, p: number): void {
  if (!(p >= 0 && p < 1)) throw new ArgumentError(where, name, "a probability from 0 to below 1", `${p}`);
}

/** The layers that the options ask for. */
function layersOf({
  layers,
  fcDim = DEFAULT_FC_DIM,
  dropout = DEFAULT_DROPOUT,
}: ReadoutOptions): readonly ReadoutLayer[] {
  if (layers) return layers;
  if (fcDim === null) return [{ type: "linear" }];
  return [{ type: "linear", units: fcDim }, { type: "relu" }, { type: "dropout", p: dropout }, { type: "linear" }];
}

/**
 * The read-out from `nFeatures` rows to the `nOutputs` that a loss needs.
 * @throws {ShapeError | ArgumentError} layers that do not fit each other, the features or the loss
 */
export function readoutShape(options: ReadoutOptions, nFeatures: number, nOutputs: number): ReadoutShape {
  const layers = layersOf(options);
  const weighted = layers.filter(({ type }) => type === "linear" || type === "sparse").length;
  let rows = nFeatures;
  let widest = rows;
  let [products, dropouts] = [0, 0];
  const sized = layers.map((layer, i): SizedLayer => {
    // torch counts the layers of a Sequential, whose first one flattens.
    const name = `out_layer.${i + 1}`;
    if (layer.type === "relu") return layer;
    if (layer.type === "dropout") {
      const number = ++dropouts === 1 ? "" : ` ${dropouts}`;
      return { type: "dropout", p: layer.p, key: `dropout.key${number}`, purpose: `dropout${number}` };
    }
    products++;
    const leaf = weighted === 1 ? "fc" : `fc${products}`;
    const nIn = rows;
    if (layer.type === "linear") {
      rows = layer.units ?? nOutputs;
      widest = Math.max(widest, rows);
      return { type: "linear", name, leaf, nIn, nOut: rows };
    }
    checkSparse(layer, i, nIn);
    rows = layer.matrix.nRows;
    widest = Math.max(widest, rows);
    return { type: "sparse", name, leaf, layer };
  });
  if (rows !== nOutputs) {
    const last = sized.length === 0 ? "features, without layers" : "of the last layer";
    throw new ShapeError(WHERE, "layers", `${nOutputs} outputs, as the loss needs`, `${rows} ${last}`);
  }
  const { standardise: standardised = false, scaleBy = null } = options;
  if (scaleBy && scaleBy.length !== nFeatures)
    throw new ShapeError(WHERE, "scaleBy", `${nFeatures} groups, one per feature`, `${scaleBy.length}`);
  if (scaleBy && !standardised) throw new ArgumentError(WHERE, "scaleBy", "standardise: true with it", "false");
  const fanIn = fanInOf(sized[0], nFeatures);
  return { nFeatures, nOutputs, widest, layers: sized, standardised, scaleBy, fanIn };
}

/** The most features that a row of the first layer sees. */
function fanInOf(first: SizedLayer | undefined, nFeatures: number): number {
  if (first?.type !== "sparse") return nFeatures;
  const { nRows, rowPtr } = first.layer.matrix;
  let most = 1;
  for (let i = 0; i < nRows; i++) most = Math.max(most, rowPtr[i + 1]! - rowPtr[i]!);
  return most;
}

function checkSparse({ matrix, sharedWeights: shared, bias }: SparseLayer, i: number, nIn: number): void {
  const path = `layers[${i}].`;
  checkMatrix(WHERE, `${path}matrix`, matrix, null, nIn);
  if (shared && shared.group.length !== matrix.nnz) {
    const name = `${path}sharedWeights.group`;
    throw new ShapeError(WHERE, name, `${matrix.nnz} groups, one per entry`, `${shared.group.length}`);
  }
  if (typeof bias === "object" && bias.length !== matrix.nRows)
    throw new ShapeError(WHERE, `${path}bias`, `${matrix.nRows} groups, one per row`, `${bias.length}`);
}

/** The parameters of a read-out, in the order in which files have them. */
export function readoutParameters({ layers }: ReadoutShape, seed: number): ParameterSpec[] {
  const key = keyOfSeed(seed);
  return layers.flatMap((layer) => {
    if (layer.type === "linear") return linearParameters(key, layer);
    return layer.type === "sparse" ? sparseParameters(layer) : [];
  });
}

/** torch.nn.Linear: weights and biases uniform in ±1/√nIn. */
function linearParameters(
  key: Key,
  { name: layer, leaf, nIn, nOut }: Extract<SizedLayer, { type: "linear" }>,
): ParameterSpec[] {
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

function sparseParameters({ name, leaf, layer }: Extract<SizedLayer, { type: "sparse" }>): ParameterSpec[] {
  const { matrix, sharedWeights: shared, bias = true } = layer;
  const facts = { role: "read-out", leaf: `${leaf}.weight`, trainable: true, matrix } as const;
  const values = `${name}.values`;
  const strength = `${name}.strength`;
  const weights: ParameterSpec = shared
    ? {
        name: strength,
        of: "groups of connections",
        values: filled(shared.strengthInit ?? 1, shared.nGroups),
        shared: { by: shared.group, factor: matrix.values, dictionary: { own: strength, spread: values } },
        ...facts,
      }
    : { name: values, of: "connections", values: matrix.values, ...facts };
  if (bias === false) return [weights];
  const biases = {
    name: `${name}.bias`,
    role: "read-out",
    of: "units",
    leaf: `${leaf}.bias`,
    trainable: true,
  } as const;
  if (bias === true) return [weights, { ...biases, values: new Float64Array(matrix.nRows) }];
  const groups = Array.from(bias).reduce((most, g) => Math.max(most, g + 1), 0);
  const sharedBias = { by: bias, factor: null, dictionary: null };
  return [weights, { ...biases, values: new Float64Array(groups), shared: sharedBias }];
}

/** Adds the features that layers see to a graph. Leaves: `feature.mean`, `feature.scale`. */
function standardised(g: Graph, features: Value, shape: ReadoutShape): Value {
  if (!shape.standardised) return features;
  const { nFeatures } = shape;
  return g.ops.mul(g.ops.sub(features, g.row("feature.mean", nFeatures)), g.row("feature.scale", nFeatures));
}

/**
 * Adds the layers to a graph: features → outputs. With `training`, dropout draws from its keys and the per-sample leaf `sampleId`.
 * @param beforeRelu  gets what each relu is applied to
 */
export function layersGraph(
  g: Graph,
  features: Value,
  shape: ReadoutShape,
  training: boolean,
  beforeRelu: (x: Value) => void = () => {},
): Value {
  let x = standardised(g, features, shape);
  for (const layer of shape.layers) {
    if (layer.type === "relu") beforeRelu(x);
    x = layerGraph(g, x, layer, training);
  }
  return x;
}

function layerGraph(g: Graph, x: Value, layer: SizedLayer, training: boolean): Value {
  const { ops } = g;
  switch (layer.type) {
    case "linear":
      return product(g, layer.leaf, g.dense(`${layer.leaf}.weight`, layer.nOut, layer.nIn), x, true);
    case "sparse": {
      const { matrix, bias = true } = layer.layer;
      const W = g.sparse(`${layer.leaf}.weight`, matrix.nRows, matrix.nCols, matrix.nnz);
      return product(g, layer.leaf, W, x, bias !== false);
    }
    case "relu":
      return ops.relu(x);
    case "dropout": {
      if (!training || layer.p === 0) return x;
      const keep = ops.le(layer.p, g.random(layer.key, x.rows, g.sample("sampleId")));
      return ops.select(keep, ops.mul(x, 1 / (1 - layer.p)), 0);
    }
  }
}

/** W·x + b. */
function product(g: Graph, leaf: string, W: Matrix, x: Value, bias: boolean): Value {
  const y = g.ops.matmul(W, x);
  return bias ? g.ops.add(y, g.row(`${leaf}.bias`, W.rows)) : y;
}
