// How the inputs of a run reach its neurons, and which neurons are read out.

import type { Csr } from "../core/csr.ts";
import { ArgumentError } from "../core/errors.ts";
import { deriveKey, keyOfSeed } from "../core/random.ts";
import {
  createSparseProjection,
  groupInput,
  groupReadout,
  neuronsOfRole,
  randomGroups,
  randomIndices,
  retinotopicProjection,
} from "../data/connectomes.ts";
import type { SampleSet } from "../data/sampleSet.ts";
import { selectNeurons } from "../data/selectors.ts";
import type { NeuronTable } from "../io/neuronTable.ts";
import { rolesByProjections } from "../report/groups.ts";
import { isReadoutName, type TrainConfig } from "./config.ts";
import { type Connectome, selectable } from "./network.ts";

/** Inputs to neurons, neurons to the read-out. */
export interface Projections {
  readonly input: Exclude<TrainConfig["input"], "auto">;
  /** [neurons, inputs]; null: input i is the drive of neuron i. */
  readonly inputProjection: Csr | null;
  /** Neurons that inputs drive. */
  readonly nDriven: number;
  /** "all", "output", "no-input", "groups", or the selector of the neurons that are read out. */
  readonly readout: string;
  /** Whether neurons with input are among those that are read out. */
  readonly readsDriven: boolean;
  /** [features, neurons], one 1 per row, or means of groups; null: all neurons are read out. */
  readonly outputProjection: Csr | null;
}

/** What the projections of a run lie between. */
export interface Ends extends Pick<SampleSet, "inputSize" | "picture"> {
  /** Outputs that the loss needs. */
  readonly outputs: number;
}

type ProjectionConfig = Pick<TrainConfig, "input" | "readout" | "head" | "groupSize" | "seed">;

/**
 * @throws {ArgumentError} retinotopic input or output neurons without a neuron table, or a table without such neurons; more groups than
 *   neurons; inputs that are not pixels, or not as many as neurons, where they have to be
 */
export function chooseProjections(connectome: Connectome, ends: Ends, config: ProjectionConfig): Projections {
  const { csr, table } = connectome;
  const isRetina = ends.picture !== undefined && table?.role && table.x;
  const input = config.input === "auto" ? (isRetina ? "retinotopic" : "random") : config.input;
  const inputProjection = projectionOf(input, connectome, ends, config);
  const isDriven = (i: number) => !inputProjection || inputProjection.rowPtr[i + 1]! > inputProjection.rowPtr[i]!;
  const nDriven = everyone(csr).filter(isDriven).length;
  if (nDriven === 0) throw new ArgumentError("train", "--input", "neurons of role input in the table", "none");
  return { input, inputProjection, nDriven, ...readoutOf(connectome, ends, config, inputProjection, isDriven) };
}

function projectionOf(
  input: Projections["input"],
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
    case "random":
      return randomProjection(inputSize, numNeurons, seed);
    case "groups":
      return groupInput(numNeurons, disjointGroups("input", inputSize, groupSize, everyone(connectome.csr), seed));
    case "direct": {
      if (inputSize === numNeurons) return null;
      const expected = `${numNeurons} inputs, one per neuron, or another choice`;
      throw new ArgumentError("train", "--input", expected, `${inputSize} inputs`);
    }
  }
}

function readoutOf(
  connectome: Connectome,
  { outputs }: Ends,
  config: ProjectionConfig,
  inputProjection: Csr | null,
  isDriven: (neuron: number) => boolean,
): Pick<Projections, "readout" | "readsDriven" | "outputProjection"> {
  const { csr, table } = connectome;
  const numNeurons = csr.nRows;
  // The signal must cross the network.
  const withoutInput = (neurons: Uint32Array) => neurons.filter((i) => !isDriven(i));
  if (config.head === "groups") {
    if (config.readout !== "auto")
      throw new ArgumentError("train", "--readout", "it dropped, as --head groups draws its neurons", config.readout);
    const groups = disjointGroups("output", outputs, config.groupSize, withoutInput(everyone(csr)), config.seed);
    return { readout: "groups", readsDriven: false, outputProjection: groupReadout(numNeurons, groups) };
  }
  const withoutRoles = inputProjection && config.head !== "states" ? "no-input" : "all";
  const readout = config.readout === "auto" ? (table?.role ? "output" : withoutRoles) : config.readout;
  if (readout === "all") return { readout, readsDriven: true, outputProjection: null };
  const read = (indices: Uint32Array) => ({
    readout,
    readsDriven: indices.some(isDriven),
    outputProjection: createSparseProjection({ size: indices.length, numNeurons, indices, mode: "ho" }),
  });
  if (!isReadoutName(readout)) {
    const roles = rolesByProjections(numNeurons, isDriven, () => false);
    return read(selectNeurons(selectable(connectome, roles), readout, { where: "train", argument: "--readout" }));
  }
  const candidates = readout === "output" ? neuronsOfRole(tableFor("--readout", connectome), "output") : everyone(csr);
  const indices = withoutInput(candidates);
  if (indices.length === 0) {
    throw new ArgumentError(
      "train",
      "--readout",
      `neurons without input to read out (${readout})`,
      "none; --readout all takes those with input, too",
    );
  }
  return read(indices);
}

function everyone({ nRows }: Csr): Uint32Array {
  return Uint32Array.from({ length: nRows }, (_, i) => i);
}

function tableFor(option: string, { table }: Connectome): NeuronTable {
  if (table) return table;
  throw new ArgumentError("train", option, "a neuron table (--neuron-table) to know the neurons' roles", "none");
}

/** Each input drives one random neuron with weight 1, as in the tutorial. */
function randomProjection(size: number, numNeurons: number, seed: number): Csr {
  const indices = randomIndices(size, numNeurons, deriveKey(keyOfSeed(seed), "input projection"));
  return createSparseProjection({ size, numNeurons, indices, mode: "ih" });
}

/** Random groups of some neurons; no neuron is in two. @throws {ArgumentError} too few neurons */
function disjointGroups(
  end: "input" | "output",
  groups: number,
  size: number,
  among: Uint32Array,
  seed: number,
): Uint32Array[] {
  const { length } = among;
  if (groups * size > length) {
    const most = Math.floor(length / groups);
    const expected = `at most ${most}, for ${groups} ${end} groups among ${length} neurons`;
    throw new ArgumentError(
      "train",
      "--group-size",
      most > 0 ? expected : `fewer ${end}s than ${length} neurons`,
      `${size}`,
    );
  }
  const drawn = randomGroups({ numNeurons: length, groups, size }, deriveKey(keyOfSeed(seed), `${end} groups`));
  return drawn.map((group) => group.map((k) => among[k]!));
}
