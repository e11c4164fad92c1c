// The connectome of a run: read or generated, and its initial weights.

import { type Csr, mapValues, withValues } from "../core/csr.ts";
import { ArgumentError, FileFormatError } from "../core/errors.ts";
import {
  absolute,
  logNormalConnectome,
  motionConnectome,
  normaliseRows,
  normaliseTypes,
  retinotopicConnectome,
  sharedByTypePair,
} from "../data/connectomes.ts";
import { CONTROLS, type ControlReport, makeControl } from "../data/controls.ts";
import type { InvariantContext } from "../data/invariants.ts";
import type { SelectableNeurons } from "../data/selectors.ts";
import { blocksByColumn, positionsByColumns } from "../data/tableBlocks.ts";
import { CONNECTOME_EXTENSIONS, readLabelledConnectome } from "../io/connectome.ts";
import type { ConnectomeContent } from "../io/connectomeFile.ts";
import { exists } from "../io/files.ts";
import { type NeuronRole, type NeuronTable, readNeuronTable } from "../io/neuronTable.ts";
import type { Provenance } from "../io/provenance.ts";
import { controlOf, type NamedNetwork, type TrainConfig } from "./config.ts";
import type { LoadOptions } from "./samples.ts";

/** A network as read or generated. */
export interface Connectome {
  readonly csr: Csr;
  readonly table: NeuronTable | null;
  /** Initial values that the network has; null: those of the recipe. */
  readonly initial: InitialValues | null;
  /** Its source, for people. */
  readonly source: string;
  /** The file of the network; null: it was generated. */
  readonly file: string | null;
  /** The file of the table, where there is one. */
  readonly tableFile: string | null;
  /** Ids of the neurons; null: they are their indices, or in the table. */
  readonly ids: readonly (string | number)[] | null;
  /** How it was made of published files, where its file says so. */
  readonly provenance: Provenance | null;
}

/** Initial time constants and biases, [neurons]. */
export interface InitialValues {
  readonly tau: Float64Array;
  readonly bias: Float64Array;
}

/** Generated networks replace files, so they do not depend on the seed of a run. */
const NETWORK_SEED = 1;

export async function loadConnectome(
  config: Pick<TrainConfig, "connectome" | "neuronTable" | "generate" | "columns">,
): Promise<Connectome> {
  const { connectome, generate, columns } = config;
  if (connectome !== null) return readFiles(connectome, config.neuronTable);
  if (generate !== null && typeof generate !== "string") {
    const csr = logNormalConnectome({ ...generate, seed: NETWORK_SEED });
    return { csr, table: null, ...GENERATED, source: "random, log-normal degrees and weights" };
  }
  if (generate !== null) return motionNetwork(generate);
  const { csr, ...table } = retinotopicConnectome({ columns, seed: NETWORK_SEED });
  return { csr, table, ...GENERATED, source: "made-up visual system" };
}

const GENERATED = { initial: null, file: null, tableFile: null, ids: null, provenance: null } as const;

/** Its weights are its strengths with their signs. */
function motionNetwork(name: NamedNetwork): Connectome {
  const [, extent] = name.split(":");
  const { csr, shared, tau, rest, eye, ...table } = motionConnectome({
    ...(extent !== undefined && { extent: Number(extent) }),
    seed: NETWORK_SEED,
  });
  const { group, strengthInit } = shared;
  const perNeuron = (values: Float64Array) => Float64Array.from(table.typeIdx, (t) => values[t]!);
  return {
    csr: withValues(
      csr,
      csr.values.map((sign, k) => sign * strengthInit[group[k]!]!),
    ),
    table,
    ...GENERATED,
    initial: { tau: perNeuron(tau), bias: perNeuron(rest) },
    source: `made-up motion detectors in ${eye.count} hexagonal columns`,
  };
}

async function readFiles(file: string, tableFile: string | null): Promise<Connectome> {
  return withTable(file, await readLabelledConnectome(file), tableFile);
}

/**
 * A connectome that has been read, with its table: the given one, that of its file, or X_neurons.csv beside the file. Files are joined by id
 * if there are ids.
 */
export async function withTable(
  file: string,
  { csr, labels, table: own, provenance }: ConnectomeContent,
  tableFile: string | null,
): Promise<Connectome> {
  const found = tableFile ?? (own ? null : await tableBeside(file));
  const table = found === null ? own : await readNeuronTable(found, { ids: labels });
  if (found !== null && table!.count !== csr.nRows) {
    throw new FileFormatError(found, `${csr.nRows} neurons, as ${file} has`, `${table!.count}`);
  }
  const source = labels === null ? file : `${file}, neurons numbered by id`;
  return { csr, table, initial: null, source, file, tableFile: found, ids: labels, provenance };
}

/** `X_neurons.csv` beside a connectome X.npz, X_csr.npz, X_coo.npz, X.pt or whatever its ending; null if there is none. */
async function tableBeside(file: string): Promise<string | null> {
  const ending = CONNECTOME_EXTENSIONS.find((extension) => file.toLowerCase().endsWith(extension)) ?? "";
  const stem = file.slice(0, file.length - ending.length).replace(/_(csr|csc|coo)$/, "");
  const candidate = `${stem}_neurons.csv`;
  return (await exists(candidate)) ? candidate : null;
}

/** The settings of a run that make a control of a connectome. */
type WiringSettings = Pick<TrainConfig, "wiring" | "swapsPerEdge" | "wiringBlocks" | "wiringPositions" | "seed">;

/** The connections of a run. */
export interface Wiring {
  readonly csr: Csr;
  /** What the control is, keeps and changes; null: the connectome as it is. */
  readonly control: ControlReport | null;
}

/** Neurons of a connectome. */
type Neurons = Pick<Connectome, "csr" | "table" | "ids">;

/**
 * The blocks or lengths that a wiring is made with, from the neuron table.
 *
 * @throws {ArgumentError} the control needs a neuron table, or columns, that are missing
 */
export function wiringContext(
  { csr, table, ids }: Neurons,
  { wiring, wiringBlocks, wiringPositions }: Omit<WiringSettings, "swapsPerEdge" | "seed">,
): InvariantContext {
  const name = controlOf(wiring);
  const needs = name && CONTROLS[name].needs;
  if (needs === null) return {};
  if (table === null) {
    throw new ArgumentError("train", "--wiring", `a neuron table (--neuron-table) with --wiring ${wiring}`, "none");
  }
  const neurons = { ...table, count: csr.nRows, ids };
  const option = (argument: string) => ({ where: "train", argument });
  if (needs === "blocks") return { blocks: blocksByColumn(neurons, wiringBlocks, option("--wiring-blocks")) };
  return { lengths: positionsByColumns(neurons, wiringPositions, option("--wiring-positions")) };
}

/**
 * The connectome, or a control of it.
 *
 * @throws {ArgumentError} the control needs a neuron table, or columns, that are missing
 */
export function wiringOf(
  connectome: Neurons,
  settings: WiringSettings,
  onProgress?: LoadOptions["onProgress"],
): Wiring {
  const { csr } = connectome;
  const { wiring, swapsPerEdge, seed } = settings;
  const name = controlOf(wiring);
  // A baseline, made later, has as many parameters as the real wiring.
  if (name === null) return { csr, control: null };
  const work = `making ${name}`;
  const made = makeControl(csr, name, {
    ...{ seed, swapsPerEdge, ...wiringContext(connectome, settings) },
    ...(onProgress && { onProgress: (done, total) => onProgress({ work, done, total }) }),
  });
  return { csr: made.csr, control: made.report };
}

/**
 * Connections with the weights of the recipe.
 *
 * @throws {ArgumentError} means over types, or pairs of types, without a neuron table
 */
export function initialWeights(
  wired: Csr,
  { weights, normalise, gain }: Pick<TrainConfig, "weights" | "normalise" | "gain">,
  table: NeuronTable | null,
): Csr {
  const base = weights === "abs" ? absolute(wired) : wired;
  if (normalise === "rows") return normaliseRows(base, gain);
  if (normalise !== "none") return normaliseTyped(base, normalise, table, gain);
  return gain === 1 ? base : mapValues(base, (w) => w * gain);
}

function normaliseTyped(csr: Csr, normalise: "types" | "pairs", table: NeuronTable | null, gain: number): Csr {
  if (table) return normalise === "types" ? normaliseTypes(csr, table, gain) : normalisePairs(csr, table, gain);
  const expected = `a neuron table (--neuron-table) to know the cell types of --normalise ${normalise}`;
  throw new ArgumentError("train", "--normalise", expected, "none");
}

/** Weights divided by the mean |weight| of their pair of types, times `gain`. Pairs without any weight keep it. */
function normalisePairs(csr: Csr, table: NeuronTable, gain: number): Csr {
  const { group, strengthInit } = sharedByTypePair(csr, table, { scale: gain });
  return withValues(
    csr,
    csr.values.map((w, k) => w * strengthInit[group[k]!]!),
  );
}

/** What the neurons of a connectome are selected by: its table, its connections. @param roles  where its table has none; null: unknown */
export function selectable({ csr, table, ids }: Connectome, roles: readonly NeuronRole[] | null): SelectableNeurons {
  return { ...table, count: csr.nRows, ids, role: table?.role ?? roles, csr };
}
