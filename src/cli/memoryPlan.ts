// Estimates the memory of training a connectome network, by part and in total, without making the network.

import type { Csr } from "../core/csr.ts";
import { bytesOf, type DType } from "../core/dtype.ts";
import type { Tableau } from "../ode/tableau.ts";
import { plannedTape, tapeBytes } from "../ode/tape.ts";

export interface MemoryOptions {
  readonly batchSize: number;
  readonly tableau: Tableau;
  readonly dtype: DType;
  /** Attempted steps per solve. */
  readonly attempts: number;
  readonly tapeBudgetBytes: number;
}

/** Bytes on the CPU backend, which runs a batch in panels of up to 16 samples. A read-out, its moments and the images come on top. */
export interface MemoryPlan {
  readonly batchSize: number;
  readonly method: string;
  readonly dtype: DType;
  readonly panel: number;
  readonly chunks: number;
  readonly state: number;
  /** W by rows and by columns, with the permutation between them. */
  readonly matrix: number;
  /** Gradient and the two moments of Adam, when the weights are trained. */
  readonly matrixTraining: number;
  /** States that solver and reverse pass work with: stages, their cotangents, drives, evaluation points. */
  readonly working: number;
  /** Of the tape, per attempt: starting state and contraction outputs of the stages. */
  readonly tapePerAttempt: number;
  readonly tapeBudget: number;
  readonly attempts: number;
  /** Attempts that the budget keeps whole; the reverse pass recomputes the others. */
  readonly attemptsStored: number;
  /** The tape of as many attempts. */
  readonly tape: number;
  /** matrix + matrixTraining + working + tape. */
  readonly device: number;
  /** Node.js itself, and the connectome as it was read. */
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
} as const;
/** Resident size of a process that has loaded axograd and read nothing. */
const NODE_BYTES = 80 * 2 ** 20;

const WIDEST = 16;

function panelFor(samples: number): number {
  return samples <= 4 ? 4 : samples <= 8 ? 8 : WIDEST;
}

export function memoryPlan({ nRows, nnz, rowPtr, colIdx, values }: Csr, options: MemoryOptions): MemoryPlan {
  const { batchSize, tableau, dtype, attempts, tapeBudgetBytes } = options;
  const element = bytesOf(dtype);
  const panel = panelFor(Math.min(batchSize, WIDEST));
  const state = nRows * panel * element;
  // The samples beyond the last whole panel have separate arrays.
  const rest = batchSize > WIDEST ? batchSize % WIDEST : 0;
  const shapes = rest > 0 && panelFor(rest) < panel ? 1 + panelFor(rest) / panel : 1;
  const indexBytes = nRows <= 65536 ? 2 : 4;
  const { stages, fsal, bErr } = tableau;
  const start = fsal ? 2 * state : state;
  // One contraction per stage; the first stage of an FSAL method is the last of the attempt before.
  const saves = (fsal ? stages - 1 : stages) * state;
  const sizes = { bytesPerStart: start, bytesPerSaves: saves, budgetBytes: tapeBudgetBytes };
  const shape = plannedTape(attempts, sizes);
  const { fixed, perStage } = bErr === null ? WORKING.fixedSteps : WORKING.adaptive;
  const matrix = nnz * (2 * element + 2 * indexBytes + 4) + 2 * 4 * (nRows + 1);
  const matrixTraining = 3 * nnz * element;
  const working = Math.round((fixed + perStage * stages) * shapes) * state;
  const tape = tapeBytes(attempts, shape, sizes) * shapes;
  const device = matrix + matrixTraining + working + tape;
  const host = NODE_BYTES + rowPtr.byteLength + colIdx.byteLength + values.byteLength;
  return {
    batchSize,
    method: tableau.name,
    dtype,
    panel,
    chunks: Math.ceil(batchSize / panel),
    state,
    matrix,
    matrixTraining,
    working,
    tapePerAttempt: start + saves,
    tapeBudget: tapeBudgetBytes,
    attempts,
    attemptsStored: shape.stored,
    tape,
    device,
    host,
    total: device + host,
  };
}
