// The memory of training, for axograd inspect: of a connectome with options, or of all settings of a run.

import type { Backend } from "../backend/backend.ts";
import { createBackend } from "../backend/select.ts";
import type { Csr } from "../core/csr.ts";
import type { DType } from "../core/dtype.ts";
import { BackendError } from "../core/errors.ts";
import { formatBytes, formatCount } from "../core/format.ts";
import { plural } from "../core/text.ts";
import type { SampleSet } from "../data/sampleSet.ts";
import { type BaselineFacts, factsOfBaseline } from "../run/baseline.ts";
import type { SolverName, TIMES, TrainConfig } from "../run/config.ts";
import { resolveConfig, type Settings } from "../run/configLayers.ts";
import { openDevice } from "../run/device.ts";
import { loadRunInputs, type RunInputs } from "../run/experiment.ts";
import { type MemoryPlan, type PlanOptions, planMemory } from "../run/memoryPlan.ts";
import { initialWeights } from "../run/network.ts";
import { chooseProjections } from "../run/projections.ts";
import { tableauOf } from "../run/solver.ts";
import { taskOf } from "../run/task.ts";
import type { LongWork } from "./loading.ts";

/** What is assumed of training a connectome. */
export interface MemoryOptions {
  readonly device: "wasm" | "webgpu";
  readonly batchSize: number;
  readonly time: (typeof TIMES)[number];
  readonly method: SolverName;
  readonly dtype: DType;
  /** Attempted steps per solve, or in discrete time steps; null: one per frame, of an adaptive solver a guess. */
  readonly attempts: number | null;
  /** Of the tape; null: the device's. */
  readonly memoryBudgetBytes: number | null;
  /** Frames of an input; 1: it is constant in time. */
  readonly frames: number;
  /** Numbers per frame, which a projection brings to neurons; null: one per neuron, without a projection. */
  readonly inputs: number | null;
  /** Samples held in memory. */
  readonly samples: number;
}

/** A plan, or why there is none: the device has no room, or cannot hold arrays so large. */
export type InspectedMemory = MemoryPlan | { readonly refused: string };

const CLASSES = 10;
/** Fixed steps of a method without an error estimate, unless their number is given. */
const FIXED_STEPS = 10;
const MIB = 2 ** 20;

/** Adam on all weights of a connectome, with a linear read-out of all neurons to CLASSES classes. */
export async function memoryOfConnectome(file: string, csr: Csr, options: MemoryOptions): Promise<InspectedMemory> {
  const { device, dtype, frames, inputs, samples, attempts } = options;
  const config = configFor(file, options);
  const train: SampleSet = {
    inputSize: inputs ?? csr.nRows,
    steps: frames === 1 ? null : frames,
    target: { kind: "class", width: 1, classes: CLASSES, times: null },
    weighted: false,
    count: Math.max(samples, config.batchSize),
    source: "samples of zeros",
    read: () => {
      throw new Error("a rehearsal reads no samples");
    },
  };
  const connectome = {
    csr,
    table: null,
    initial: null,
    source: file,
    file,
    tableFile: null,
    ids: null,
    provenance: null,
  };
  const weights = initialWeights(csr, config, null);
  const splits: RunInputs["samples"] = {
    ...{ train, validation: null, test: null, source: train.source, known: null, teacher: null, files: [] },
    ...{ normalisation: null, centre: null, counts: null, notes: [], release: async () => {} },
  };
  const task = await taskOf(config, splits);
  const planned: RunInputs = {
    ...{
      connectome,
      control: null,
      weights,
      sharing: null,
      baseline: null,
      samples: splits,
      task,
      known: null,
      files: [],
      isRecorded: false,
    },
    taskNetwork: { weights, dynamics: config.dynamics, nonlinearity: config.nonlinearity, group: null, typeIdx: null },
    projections: chooseProjections(connectome, { inputSize: train.inputSize, outputs: CLASSES }, config),
  };
  const dataBytes = samples * frames * train.inputSize * Float32Array.BYTES_PER_ELEMENT;
  const backend = await createBackend({ device, dtype, ...(device === "wasm" && { threads: config.threads }) });
  return planOn(backend, config, planned, { attempts, dataBytes });
}

function configFor(file: string, options: MemoryOptions): TrainConfig {
  const { device, batchSize, time, method, dtype, frames, inputs, attempts, memoryBudgetBytes } = options;
  const isFixed = time === "continuous" && tableauOf({ solver: method }).bErr === null;
  const settings: Settings = {
    ...{ connectome: file, device, dtype, batchSize, time, steps: 1, epochs: null, fcDim: null },
    ...{ dropout: 0, diagnoseEvery: 0 },
    ...{ input: inputs === null ? "direct" : "random", trainInput: false, readout: "all", standardise: false },
    ...(time === "continuous" && { solver: method, endTime: 1, dt: isFixed ? 1 / (attempts ?? FIXED_STEPS) : null }),
    ...(time === "discrete" && attempts !== null && { recurrences: Math.max(1, Math.round(attempts / frames)) }),
    ...(memoryBudgetBytes !== null && { memoryBudget: memoryBudgetBytes / MIB }),
  };
  return resolveConfig([settings]);
}

/** What `train` would take with these settings, and the network in place of the connectome, if there is one. */
export async function inspectRun(
  config: TrainConfig,
  reading: LongWork,
): Promise<{ readonly memory: InspectedMemory; readonly baseline: BaselineFacts | null }> {
  const inputs = await loadRunInputs(config, { hashes: false, onProgress: reading.onProgress });
  reading.done();
  try {
    const { baseline } = inputs;
    const memory = await planOn(await openDevice(config), config, inputs, {});
    return { memory, baseline: baseline && factsOfBaseline(baseline) };
  } finally {
    await inputs.samples.release();
  }
}

async function planOn(
  backend: Backend,
  config: TrainConfig,
  inputs: RunInputs,
  options: PlanOptions,
): Promise<InspectedMemory> {
  try {
    return await planMemory(backend, config, inputs, options);
  } catch (error) {
    if (!(error instanceof BackendError)) throw error;
    return { refused: error.message };
  } finally {
    await backend.dispose();
  }
}

/** A plan as rows of a table. */
export function memoryRows(memory: InspectedMemory): (readonly [label: string, text: string])[] {
  if ("refused" in memory) return [["memory", `cannot be trained there: ${memory.refused}`]];
  const { device, parts, isShared, batchSize, lanes, attempts, attemptsKnown, time } = memory;
  const { processBytes, mostProcessBytes, pageBytes, deviceBytes, tapeBudgetBytes, largest, maxArrayBytes } = memory;
  const unit = time === "continuous" ? "attempt" : "step";
  const steps = `${attemptsKnown ? "" : "about "}${plural(attempts, unit)}${memory.method === null ? "" : ` of ${memory.method}`}`;
  const atOnce = lanes < batchSize ? `, ${lanes} at once` : "";
  const most = mostProcessBytes > processBytes ? `, up to ${formatBytes(mostProcessBytes)} if solves take more` : "";
  const onDevice = isShared
    ? `, ${formatBytes(deviceBytes)} of it on the device`
    : `, and ${formatBytes(deviceBytes)} on the device, whose memory is unknown`;
  return [
    ["parameters", `${formatCount(memory.trainedParameters)} trained`],
    ["memory", `to train it on ${device}, in batches of ${batchSize}${atOnce}, ${steps}`],
    ...parts.map(({ name, bytes }) => {
      const more = name === "tape" ? `: ${storedText(memory)} (budget ${formatBytes(tapeBudgetBytes)})` : "";
      return [`- ${name}`, `${formatBytes(bytes)}${more}`] as const;
    }),
    [
      "in all",
      `about ${formatBytes(processBytes)}${most}${onDevice}; ${formatBytes(pageBytes)} while the page is made`,
    ],
    ...(largest === null
      ? []
      : [
          [
            "largest array",
            `${formatBytes(largest.bytes)} (${largest.label}) of at most ${formatBytes(maxArrayBytes)}, ${formatCount(Math.floor(maxArrayBytes / 4))} numbers of 4 bytes`,
          ] as const,
        ]),
  ];
}

function storedText({ attempts, attemptsStored, time }: MemoryPlan): string {
  const recomputed = attempts - attemptsStored;
  const unit = time === "continuous" ? "attempt" : "step";
  return recomputed <= 0
    ? `all ${plural(attempts, unit)} stored`
    : `${attemptsStored} stored and ${recomputed} run again in the reverse pass`;
}
