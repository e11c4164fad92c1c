// The network of a run: read or generated, with scaled weights, an input projection from the pixels, and a projection to the read-out.

import { type Csr, mapValues } from "../core/csr.ts";
import { ArgumentError, FileFormatError } from "../core/errors.ts";
import { deriveKey, keyOfSeed } from "../core/random.ts";
import {
  absolute,
  createSparseProjection,
  degreePreservingShuffle,
  erdosRenyiLike,
  logNormalConnectome,
  neuronsOfRole,
  normaliseRows,
  randomIndices,
  retinotopicConnectome,
  retinotopicProjection,
} from "../data/connectomes.ts";
import type { SampleSet } from "../data/sampleSet.ts";
import { CONNECTOME_EXTENSIONS, readLabelledConnectome } from "../io/connectome.ts";
import { exists } from "../io/files.ts";
import { type NeuronTable, readNeuronTable } from "../io/neuronTable.ts";
import type { TrainConfig } from "./config.ts";

/** A network as read or generated. */
export interface Connectome {
  readonly csr: Csr;
  readonly table: NeuronTable | null;
  /** Its source, for people. */
  readonly source: string;
  /** The file of the table, where there is one. */
  readonly tableFile: string | null;
}

/** Generated networks replace files, so they do not depend on the seed of a run. */
const NETWORK_SEED = 1;

export async function loadConnectome(
  config: Pick<TrainConfig, "connectome" | "neuronTable" | "generate">,
): Promise<Connectome> {
  const { connectome, generate } = config;
  if (connectome !== null) return readFiles(connectome, config.neuronTable);
  if (generate !== null) {
    const csr = logNormalConnectome({ ...generate, seed: NETWORK_SEED });
    return { csr, table: null, source: "random, log-normal degrees and weights", tableFile: null };
  }
  const { csr, ...table } = retinotopicConnectome({ seed: NETWORK_SEED });
  return { csr, table, source: "made-up visual system", tableFile: null };
}

/** Joins the table by id if the connectome has ids, else by position. */
async function readFiles(file: string, tableFile: string | null): Promise<Connectome> {
  const { csr, labels } = await readLabelledConnectome(file);
  const source = labels === null ? file : `${file}, neurons numbered by id`;
  const found = tableFile ?? (await tableBeside(file));
  if (found === null) return { csr, table: null, source, tableFile: null };
  const table = await readNeuronTable(found, { ids: labels });
  if (table.count !== csr.nRows) {
    throw new FileFormatError(found, `${csr.nRows} neurons, as ${file} has`, `${table.count}`);
  }
  return { csr, table, source, tableFile: found };
}

/** `X_neurons.csv` beside a connectome X.npz, X_csr.npz, X_coo.npz, X.pt or whatever its ending; null if there is none. */
async function tableBeside(file: string): Promise<string | null> {
  const ending = CONNECTOME_EXTENSIONS.find((extension) => file.toLowerCase().endsWith(extension)) ?? "";
  const stem = file.slice(0, file.length - ending.length).replace(/_(csr|csc|coo)$/, "");
  const candidate = `${stem}_neurons.csv`;
  return (await exists(candidate)) ? candidate : null;
}

/** The connectome with the wiring and the weights of the recipe. */
export function initialWeights(
  csr: Csr,
  config: Pick<TrainConfig, "wiring" | "weights" | "normalise" | "gain" | "seed">,
): Csr {
  const wired = rewired(csr, config);
  const base = config.weights === "abs" ? absolute(wired) : wired;
  if (config.normalise === "rows") return normaliseRows(base, config.gain);
  return config.gain === 1 ? base : mapValues(base, (w) => w * config.gain);
}

function rewired(csr: Csr, { wiring, seed }: Pick<TrainConfig, "wiring" | "seed">): Csr {
  switch (wiring) {
    case "real":
      return csr;
    case "shuffled":
      return degreePreservingShuffle(csr, { seed });
    case "random":
      return erdosRenyiLike(csr, { seed });
    case "none":
      return mapValues(csr, () => 0);
  }
}

/** Inputs to neurons, neurons to the read-out. */
export interface Projections {
  readonly input: "retinotopic" | "random";
  /** [neurons, inputs] */
  readonly inputProjection: Csr;
  /** Neurons that inputs drive. */
  readonly nDriven: number;
  readonly readout: "all" | "output" | "no-input";
  /** [features, neurons], one 1 per row; null: all neurons are read out. */
  readonly outputProjection: Csr | null;
}

/**
 * @throws {ArgumentError} retinotopic input or output neurons without a neuron table, or a table without such neurons
 */
export function chooseProjections(
  { csr, table }: Connectome,
  { picture, inputSize }: Pick<SampleSet, "picture" | "inputSize">,
  config: Pick<TrainConfig, "input" | "readout" | "seed">,
): Projections {
  const needTable = (option: string): NeuronTable => {
    if (table) return table;
    throw new ArgumentError("train", option, "a neuron table (--neuron-table) to know the neurons' roles", "none");
  };
  const { nRows: numNeurons } = csr;
  const needPicture = (option: string): NonNullable<typeof picture> => {
    if (picture) return picture;
    throw new ArgumentError("train", option, "inputs that are pictures", `inputs of ${inputSize} numbers`);
  };
  const isRetina = picture !== undefined && table?.role && table.x;
  const input = config.input === "auto" ? (isRetina ? "retinotopic" : "random") : config.input;
  const inputProjection =
    input === "retinotopic"
      ? retinotopicProjection(needTable("--input"), needPicture("--input"))
      : randomProjection(inputSize, numNeurons, config.seed);
  const driven = (i: number) => inputProjection.rowPtr[i + 1]! > inputProjection.rowPtr[i]!;
  const everyone = Uint32Array.from({ length: numNeurons }, (_, i) => i);
  const nDriven = everyone.filter(driven).length;
  if (nDriven === 0) throw new ArgumentError("train", "--input", "neurons of role input in the table", "none");

  const readout = config.readout === "auto" ? (table?.role ? "output" : "no-input") : config.readout;
  if (readout === "all") return { input, inputProjection, nDriven, readout, outputProjection: null };
  // Neurons with input are not read out: the signal must cross the network.
  const candidates = readout === "output" ? neuronsOfRole(needTable("--readout"), "output") : everyone;
  const indices = candidates.filter((i) => !driven(i));
  if (indices.length === 0) {
    throw new ArgumentError(
      "train",
      "--readout",
      `neurons without input to read out (${readout})`,
      "none; --readout all takes those with input, too",
    );
  }
  const outputProjection = createSparseProjection({ size: indices.length, numNeurons, indices, mode: "ho" });
  return { input, inputProjection, nDriven, readout, outputProjection };
}

/** Each pixel drives one random neuron with weight 1, as in the tutorial. */
function randomProjection(size: number, numNeurons: number, seed: number): Csr {
  const indices = randomIndices(size, numNeurons, deriveKey(keyOfSeed(seed), "input projection"));
  return createSparseProjection({ size, numNeurons, indices, mode: "ih" });
}
