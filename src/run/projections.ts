// How the inputs of a run reach its neurons, and which neurons are read out.

import { type Csr, mapValues } from "../core/csr.ts";
import { ArgumentError } from "../core/errors.ts";
import { deriveKey, keyOfSeed } from "../core/random.ts";
import { plural } from "../core/text.ts";
import {
  createSparseProjection,
  groupInput,
  groupReadout,
  type HexagonalEye,
  hexagonalEyeOf,
  hexagonalInput,
  hexagonalReadout,
  hexConvolution,
  neuronsOfRole,
  randomGroups,
  randomIndices,
  retinotopicProjection,
  type SharedPattern,
} from "../data/connectomes.ts";
import type { SampleSet } from "../data/sampleSet.ts";
import { type SelectableNeurons, selectNeurons } from "../data/selectors.ts";
import type { NeuronTable } from "../io/neuronTable.ts";
import { rolesByProjections } from "../report/groups.ts";
import { INPUTS, isInputName, isReadoutName, READOUTS, type TrainConfig } from "./config.ts";
import { type Connectome, selectable } from "./network.ts";

/** Inputs to neurons, neurons to the read-out. */
export interface Projections {
  /** A name, or the selector of the neurons among which groups are driven. */
  readonly input: string;
  /** [neurons, inputs]; null: input i is the drive of neuron i. */
  readonly inputProjection: Csr | null;
  /** Neurons that inputs drive. */
  readonly nDriven: number;
  /** Neurons among which those with input are drawn: that a selector names, or of role input; null: among all, or not drawn. */
  readonly inputSelected: number | null;
  /** "all", "output", "no-input", "groups" (among all without input), or the selector of the neurons that are read out. */
  readonly readout: string;
  /** Of groups among neurons that `readout` names: how many it names, and how many of them are left out as they get input; null: others. */
  readonly readoutSelected: { readonly neurons: number; readonly leftOut: number } | null;
  /** Whether neurons with input are among those that are read out. */
  readonly readsDriven: boolean;
  /** [features, neurons], one 1 per row, or means of groups; null: all neurons are read out. */
  readonly outputProjection: Csr | null;
  /** Convolutions over the columns of an eye, from features to outputs; empty: another read-out. */
  readonly convolutions: readonly Convolution[];
  /** [features], the channel of each that convolutions read, which is its cell type; null: another read-out. */
  readonly featureChannel: Uint32Array | null;
}

/** A convolution over columns. Its rows are the columns of the first channel, then those of the next. */
export interface Convolution extends SharedPattern {
  readonly channels: number;
  /** [rows], the channel of each. */
  readonly channel: Uint32Array;
}

/** What the projections of a run lie between. */
export interface Ends extends Pick<SampleSet, "inputSize" | "picture"> {
  /** Outputs that the loss needs. */
  readonly outputs: number;
}

type ProjectionConfig = Pick<
  TrainConfig,
  "input" | "inputScale" | "readout" | "head" | "headScale" | "groupSize" | "kernel" | "hiddenChannels" | "seed"
>;

/**
 * Input "auto": pixels reach the places of input neurons; where the table has roles but no places, each input drives a random input neuron; else
 * any random neuron. Read-out "auto": neurons of role output where there are some, else those without input, or all.
 *
 * @throws {ArgumentError} retinotopic input or output neurons without a neuron table, or a table without such neurons; a selector of no
 *   neurons; more groups than neurons; inputs that are not pixels, or not as many as neurons, where they have to be
 */
export function chooseProjections(connectome: Connectome, ends: Ends, config: ProjectionConfig): Projections {
  const { csr, table } = connectome;
  const isRetina = ends.picture !== undefined && table?.role && table.x;
  const input = config.input === "auto" ? (isRetina ? "retinotopic" : "random") : config.input;
  const selected =
    config.input === "auto" ? inputWithoutPlaces(table) : isInputName(input) ? null : selectedInput(connectome, input);
  const inputProjection = scaled(projectionOf(input, selected, connectome, ends, config), config.inputScale);
  const isDriven = drivenBy({ inputProjection });
  const nDriven = everyone(csr).filter(isDriven).length;
  if (nDriven === 0) throw new ArgumentError("train", "--input", "neurons of role input in the table", "none");
  const inputSelected = selected?.length ?? null;
  const read = readoutOf(connectome, ends, config, inputProjection, isDriven);
  return { input, inputProjection, nDriven, inputSelected, ...read };
}

/** The neurons of role input of a table without places; null: another table, or none of them. */
function inputWithoutPlaces(table: NeuronTable | null): Uint32Array | null {
  if (!table?.role || table.x) return null;
  const neurons = neuronsOfRole(table, "input");
  return neurons.length === 0 ? null : neurons;
}

function selectedInput(connectome: Connectome, selector: string): Uint32Array {
  return selectNeurons(selectable(connectome, null), selector, { where: "train", argument: "--input", words: INPUTS });
}

/** Whether a neuron gets input. */
export function drivenBy({ inputProjection }: Pick<Projections, "inputProjection">): (neuron: number) => boolean {
  if (inputProjection === null) return () => true;
  const { rowPtr } = inputProjection;
  return (i) => rowPtr[i + 1]! > rowPtr[i]!;
}

/** Whether a neuron is read out. */
export function readBy({ outputProjection }: Pick<Projections, "outputProjection">): (neuron: number) => boolean {
  if (outputProjection === null) return () => true;
  const read = new Set(outputProjection.colIdx);
  return (i) => read.has(i);
}

/** What the neurons of a run are selected by: their table, without roles there their projections, and their connections. */
export function neuronsOfRun(connectome: Connectome, projections: Projections): SelectableNeurons {
  const roles = () => rolesByProjections(connectome.csr.nRows, drivenBy(projections), readBy(projections));
  return selectable(connectome, connectome.table?.role ?? roles());
}

function projectionOf(
  input: string,
  selected: Uint32Array | null,
  connectome: Connectome,
  { inputSize, picture }: Ends,
  { groupSize, seed }: ProjectionConfig,
): Csr | null {
  const numNeurons = connectome.csr.nRows;
  switch (input) {
    case "retinotopic": {
      const table = tableFor("--input", connectome);
      if (picture) return retinotopicProjection(table, picture);
      throw new ArgumentError("train", "--input", "inputs that are pictures", `inputs of ${inputSize} numbers`);
    }
    case "hexagonal": {
      const table = tableFor("--input", connectome);
      return hexagonalInput(table, eyeFor("--input", table, inputSize, "inputs"));
    }
    case "random":
      return randomProjection(inputSize, numNeurons, selected, seed);
    case "direct": {
      if (inputSize === numNeurons) return null;
      const expected = `${numNeurons} inputs, one per neuron, or another choice`;
      throw new ArgumentError("train", "--input", expected, `${inputSize} inputs`);
    }
    default: {
      const among = selected ?? everyone(connectome.csr);
      return groupInput(numNeurons, disjointGroups("input", inputSize, groupSize, among, seed));
    }
  }
}

type NeuronsRead = Pick<
  Projections,
  "readout" | "readoutSelected" | "readsDriven" | "outputProjection" | "convolutions" | "featureChannel"
>;

function readoutOf(
  connectome: Connectome,
  { outputs }: Ends,
  config: ProjectionConfig,
  inputProjection: Csr | null,
  isDriven: (neuron: number) => boolean,
): NeuronsRead {
  const { csr, table } = connectome;
  const numNeurons = csr.nRows;
  // The signal must cross the network.
  const withoutInput = (neurons: Uint32Array) => neurons.filter((i) => !isDriven(i));
  const named = (readout: string): Uint32Array => {
    if (readout === "output") return neuronsOfRole(tableFor("--readout", connectome), "output");
    if (isReadoutName(readout)) return everyone(csr);
    const roles = rolesByProjections(numNeurons, isDriven, () => false);
    const place = { where: "train", argument: "--readout", words: READOUTS };
    return selectNeurons(selectable(connectome, roles), readout, place);
  };
  if (config.head === "groups") {
    const neurons = named(config.readout);
    const among = withoutInput(neurons);
    if (among.length === 0) {
      const expected = "neurons without input, as --head groups reads out no others";
      throw new ArgumentError("train", "--readout", expected, `${plural(neurons.length, "neuron")}, all with input`);
    }
    const groups = disjointGroups("output", outputs, config.groupSize, among, config.seed);
    const isAuto = config.readout === "auto";
    return {
      readout: isAuto ? "groups" : config.readout,
      readoutSelected: isAuto ? null : { neurons: neurons.length, leftOut: neurons.length - among.length },
      readsDriven: false,
      outputProjection: scaled(groupReadout(numNeurons, groups), config.headScale),
      convolutions: [],
      featureChannel: null,
    };
  }
  if (config.head === "columns") {
    if (config.readout !== "auto" && config.readout !== "output") {
      const expected = "output, or it dropped: --head columns reads out the output neurons";
      throw new ArgumentError("train", "--readout", expected, config.readout);
    }
    return columnReadout(connectome, outputs, config, isDriven);
  }
  const withoutRoles = inputProjection && config.head !== "states" ? "no-input" : "all";
  const hasOutputs = table?.role?.includes("output") ?? false;
  const readout = config.readout === "auto" ? (hasOutputs ? "output" : withoutRoles) : config.readout;
  if (readout === "all") {
    return {
      readout,
      readoutSelected: null,
      readsDriven: true,
      outputProjection: null,
      convolutions: [],
      featureChannel: null,
    };
  }
  const read = (indices: Uint32Array) => ({
    readout,
    readoutSelected: null,
    readsDriven: indices.some(isDriven),
    outputProjection: createSparseProjection({ size: indices.length, numNeurons, indices, mode: "ho" }),
    convolutions: [],
    featureChannel: null,
  });
  if (!isReadoutName(readout)) return read(named(readout));
  const neurons = named(readout);
  const indices = withoutInput(neurons);
  if (indices.length === 0) throw allDriven(readout, neurons.length, table);
  return read(indices);
}

/** Why no neuron is left to read out, and what helps. */
function allDriven(readout: string, count: number, table: NeuronTable | null): ArgumentError {
  const expected = `neurons without input to read out (${readout})`;
  if (count === 0) return new ArgumentError("train", "--readout", expected, "no neuron of this role in the table");
  const elsewhere = table?.role?.includes("input") ? ' (--input "role=input" drives others)' : "";
  const got = `${plural(count, "neuron")}, all with input${elsewhere}; --readout all takes those with input, too`;
  return new ArgumentError("train", "--readout", expected, got);
}

function scaled<P extends Csr | null>(projection: P, factor: number): P {
  return projection === null || factor === 1 ? projection : (mapValues(projection, (w) => w * factor) as P);
}

/** Convolutions from the output neurons to as many channels as the outputs make of the columns: one, or two with hidden channels between. */
function columnReadout(
  connectome: Connectome,
  outputs: number,
  { kernel, hiddenChannels: hidden }: Pick<TrainConfig, "kernel" | "hiddenChannels">,
  isDriven: (neuron: number) => boolean,
): NeuronsRead {
  const table = tableFor("--head", connectome);
  const eye = hexagonalEyeOf(table);
  const channels = outputs / eye.count;
  if (!Number.isInteger(channels)) {
    const expected = `outputs for each of the ${eye.count} columns of the network's eye`;
    throw new ArgumentError("train", "--head", expected, `${outputs} outputs`);
  }
  const indices = neuronsOfRole(table, "output");
  const first = hexagonalReadout(table, eye, kernel, hidden ?? channels);
  const feature = new Map(Array.from(indices, (neuron, k) => [neuron, k]));
  const colIdx = first.csr.colIdx.map((neuron) => feature.get(neuron)!);
  const ofFeatures = { ...first, csr: { ...first.csr, nCols: indices.length, colIdx } };
  const convolution = (pattern: SharedPattern, channels: number): Convolution => ({
    ...pattern,
    channels,
    channel: Uint32Array.from({ length: channels * eye.count }, (_, row) => Math.floor(row / eye.count)),
  });
  return {
    readout: "output",
    readoutSelected: null,
    readsDriven: indices.some(isDriven),
    outputProjection: createSparseProjection({
      size: indices.length,
      numNeurons: table.count,
      indices,
      mode: "ho",
    }),
    featureChannel: indices.map((neuron) => table.typeIdx[neuron]!),
    convolutions:
      hidden === null
        ? [convolution(ofFeatures, channels)]
        : [convolution(ofFeatures, hidden), convolution(hexConvolution(eye, kernel, hidden, channels), channels)],
  };
}

/** The eye of the network, which must have a column for each of `count` numbers. */
function eyeFor(option: string, table: NeuronTable, count: number, what: string): HexagonalEye {
  const eye = hexagonalEyeOf(table);
  if (eye.count === count) return eye;
  const expected = `${eye.count} ${what}, one per column of the network's eye (extent ${eye.extent})`;
  throw new ArgumentError("train", option, expected, `${count}`);
}

function everyone({ nRows }: Csr): Uint32Array {
  return Uint32Array.from({ length: nRows }, (_, i) => i);
}

function tableFor(option: string, { table }: Connectome): NeuronTable {
  if (table) return table;
  throw new ArgumentError("train", option, "a neuron table (--neuron-table) to know the neurons' roles", "none");
}

/** Each input drives one random neuron with weight 1, as in the tutorial. @param among  null: all neurons */
function randomProjection(size: number, numNeurons: number, among: Uint32Array | null, seed: number): Csr {
  const key = deriveKey(keyOfSeed(seed), "input projection");
  const drawn = randomIndices(size, among?.length ?? numNeurons, key);
  return createSparseProjection({ size, numNeurons, indices: among ? drawn.map((k) => among[k]!) : drawn, mode: "ih" });
}

/** Random groups of some neurons; no neuron is in two. @param size  all: the largest that fits @throws {ArgumentError} too few neurons */
function disjointGroups(
  end: "input" | "output",
  groups: number,
  size: TrainConfig["groupSize"],
  among: Uint32Array,
  seed: number,
): Uint32Array[] {
  const { length } = among;
  const most = Math.floor(length / groups);
  const chosen = size === "all" ? Math.max(1, most) : size;
  if (chosen > most) {
    const expected = `at most ${most}, for ${groups} ${end} groups among ${length} neurons`;
    throw new ArgumentError(
      "train",
      "--group-size",
      most > 0 ? expected : `fewer ${end}s than ${length} neurons`,
      `${size}`,
    );
  }
  const drawn = randomGroups({ numNeurons: length, groups, size: chosen }, deriveKey(keyOfSeed(seed), `${end} groups`));
  return drawn.map((group) => group.map((k) => among[k]!));
}
