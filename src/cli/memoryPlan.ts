// Estimates the memory of training a connectome network, by part and in total, without making the network.

import type { Csr } from "../core/csr.ts";
import { bytesOf, type DType } from "../core/dtype.ts";
import type { Tableau } from "../ode/tableau.ts";
import { plannedTape, tapeBytes } from "../ode/tape.ts";

export interface MemoryOptions {
  readonly batchSize: number;
  /** The method; null: a network in discrete time. */
  readonly tableau: Tableau | null;
  readonly dtype: DType;
  /** Attempted steps per solve; in discrete time, steps. */
  readonly attempts: number;
  readonly tapeBudgetBytes: number;
  /** Frames of an input; default 1: it is constant in time. */
  readonly frames?: number;
  /** Numbers per frame, which a projection brings to neurons; default: one per neuron, without a projection. */
  readonly inputs?: number;
  /** Samples held in memory as numbers of single precision; default: none. */
  readonly samples?: number;
}

/** Bytes on the CPU backend, which runs a batch in panels of up to 16 samples. A read-out and its moments come on top. */
export interface MemoryPlan {
  readonly batchSize: number;
  /** null: steps in discrete time. */
  readonly method: string | null;
  readonly dtype: DType;
  readonly panel: number;
  readonly chunks: number;
  readonly state: number;
  /** W by rows and by columns, with the permutation between them. */
  readonly matrix: number;
  /** Gradient and the two moments of Adam, when the weights are trained. */
  readonly matrixTraining: number;
  /** States that solver, or steps, and reverse pass work with: stages, their cotangents, drives, evaluation points. */
  readonly working: number;
  /** Frames of a panel's inputs, and of a solver all their drives; a trained projection doubles these. */
  readonly input: number;
  /** Of the tape, per attempt: starting state and contraction outputs of the stages. */
  readonly tapePerAttempt: number;
  readonly tapeBudget: number;
  readonly attempts: number;
  /** Attempts that the budget keeps whole; the reverse pass recomputes the others. */
  readonly attemptsStored: number;
  /** The tape of as many attempts. */
  readonly tape: number;
  /** matrix + matrixTraining + working + input + tape. */
  readonly device: number;
  /** Of the samples in memory. */
  readonly samples: number;
  /** Node.js itself, the connectome as it was read, and the samples. */
  readonly host: number;
  /** device + host. */
  readonly total: number;
}

/**
 * States besides the tape: `fixed` + `perStage`·stages, as counted on models with an input and a bias per neuron. Methods that estimate
 * their error keep more: the candidate of the next state, the error, dense output.
 */
const WORKING = {
  adaptive: { fixed: 25, perStage: 4.2 },
  fixedSteps: { fixed: 15, perStage: 5 },
  // The start, the drive, the last state, their cotangents, another cotangent, temporaries of the reverse step.
  discrete: { fixed: 10, perStage: 0 },
} as const;
/** Resident size of a process that has loaded axograd and read nothing. */
const NODE_BYTES = 80 * 2 ** 20;

const WIDEST = 16;

function panelFor(samples: number): number {
  return samples <= 4 ? 4 : samples <= 8 ? 8 : WIDEST;
}

export function memoryPlan({ nRows, nnz, rowPtr, colIdx, values }: Csr, options: MemoryOptions): MemoryPlan {
  const { batchSize, tableau, dtype, attempts, tapeBudgetBytes, frames = 1, inputs, samples = 0 } = options;
  const element = bytesOf(dtype);
  const panel = panelFor(Math.min(batchSize, WIDEST));
  const state = nRows * panel * element;
  // The samples beyond the last whole panel have separate arrays.
  const rest = batchSize > WIDEST ? batchSize % WIDEST : 0;
  const shapes = rest > 0 && panelFor(rest) < panel ? 1 + panelFor(rest) / panel : 1;
  const indexBytes = nRows <= 65536 ? 2 : 4;
  const { stages } = tableau ?? { stages: 1 };
  // Where inputs jump from frame to frame, the last slope of an attempt is not the first of the next one.
  const fsal = tableau?.fsal === true && frames === 1;
  const start = fsal ? 2 * state : state;
  // One contraction per stage; the first stage of an FSAL method is the last of the attempt before.
  const saves = (fsal ? stages - 1 : stages) * state;
  const sizes = { bytesPerStart: start, bytesPerSaves: saves, budgetBytes: tapeBudgetBytes };
  const shape = plannedTape(attempts, sizes);
  const { fixed, perStage } = WORKING[!tableau ? "discrete" : tableau.bErr === null ? "fixedSteps" : "adaptive"];
  const matrix = nnz * (2 * element + 2 * indexBytes + 4) + 2 * 4 * (nRows + 1);
  const matrixTraining = 3 * nnz * element;
  const working = Math.round((fixed + perStage * stages) * shapes) * state;
  const tape = tapeBytes(attempts, shape, sizes) * shapes;
  // Besides one frame, which is among the working states. A solver may need any drive at any time.
  const drives = tableau || inputs === undefined ? (frames - 1) * state : 0;
  const projected = inputs === undefined ? 0 : frames * inputs * panel * element;
  const input = (drives + projected) * shapes;
  const device = matrix + matrixTraining + working + input + tape;
  const sampleBytes = samples * frames * (inputs ?? nRows) * Float32Array.BYTES_PER_ELEMENT;
  const host = NODE_BYTES + rowPtr.byteLength + colIdx.byteLength + values.byteLength + sampleBytes;
  return {
    batchSize,
    method: tableau?.name ?? null,
    dtype,
    panel,
    chunks: Math.ceil(batchSize / panel),
    state,
    matrix,
    matrixTraining,
    working,
    input,
    tapePerAttempt: start + saves,
    tapeBudget: tapeBudgetBytes,
    attempts,
    attemptsStored: shape.stored,
    tape,
    device,
    samples: sampleBytes,
    host,
    total: device + host,
  };
}
