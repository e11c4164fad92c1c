// The light cone of the outputs: the neurons whose state can still matter for what is read out, step by step from the end.

import type { DeviceSparse } from "../../backend/backend.ts";
import type { Csr } from "../../core/csr.ts";
import type { Releasable } from "../../core/release.ts";
import { isSparse } from "../matrix.ts";
import { gatesOf } from "../options.ts";
import type { NetworkParameters } from "./parameters.ts";

/** Rows with this share of the connections, or more, are as good as all. */
const WORTHWHILE_SHARE = 0.6;
/** Sets of rows that hold this many times the connections of the smallest among them share one matrix. */
const SHARED_GROWTH = 1.25;

/** The rows of W that matter at a step. */
export interface ConeRows {
  /** W, or in its place some of its rows (see Backend.sparseRows). */
  readonly matrix: DeviceSparse;
  /** Connections that a product with it walks. */
  readonly connections: number;
}

/**
 * For each number of steps from the last one that is read out, the neurons that matter after that step: those that are read out, and the
 * senders of those that matter one step later, with these themselves.
 */
export class LightCone implements Releasable {
  readonly #model: NetworkParameters;
  readonly #made: Releasable[] = [];
  #rows: readonly ConeRows[] | null = null;

  constructor(model: NetworkParameters) {
    this.#model = model;
  }

  /** All of W. */
  get whole(): ConeRows {
    return { matrix: this.#model.connections, connections: this.#model.walked };
  }

  /** The rows that matter `distance` steps before the last one that is read out. */
  at(distance: number): ConeRows {
    this.#rows ??= this.#make();
    return this.#rows[distance] ?? this.whole;
  }

  #make(): ConeRows[] {
    const { backend, options } = this.#model;
    const { outputProjection: H, connectome } = options;
    // The gates of a neuron have connections of their own.
    if (!H || !isSparse(H) || gatesOf(options).length > 0) return [];
    const { distances, counts } = distancesTo(connectome, H.colIdx, WORTHWHILE_SHARE * connectome.nnz);
    const rows: ConeRows[] = [];
    while (rows.length < counts.length) {
      const most = SHARED_GROWTH * counts[rows.length]!;
      const beyond = counts.findIndex((count) => count > most);
      const end = beyond < 0 ? counts.length : beyond;
      const isTaken = distances.map((distance) => (distance < end ? 1 : 0));
      const matrix = backend.sparseRows(this.#model.connections, isTaken);
      if (!matrix) return rows;
      this.#made.push(matrix);
      rows.push(...new Array<ConeRows>(end - rows.length).fill({ matrix, connections: counts[end - 1]! }));
    }
    return rows;
  }

  release(): void {
    for (const matrix of this.#made.splice(0)) matrix.release();
    this.#rows = null;
  }
}

/** A neuron from which no target is reached, or not before the search ends. */
const FAR = 0xffffffff;

/**
 * Synapses on the way from each neuron to the next of `targets`, and for each distance the connections that end in neurons within it. The
 * search ends before these are `most` or more.
 */
function distancesTo(
  { nRows, rowPtr, colIdx }: Csr,
  targets: ArrayLike<number>,
  most: number,
): { readonly distances: Uint32Array; readonly counts: readonly number[] } {
  const distances = new Uint32Array(nRows).fill(FAR);
  const counts: number[] = [];
  const found = new Uint32Array(nRows);
  let [from, end, connections] = [0, 0, 0];
  const find = (neuron: number, distance: number): void => {
    if (distances[neuron] !== FAR) return;
    distances[neuron] = distance;
    found[end++] = neuron;
    connections += rowPtr[neuron + 1]! - rowPtr[neuron]!;
  };
  for (let k = 0; k < targets.length; k++) find(targets[k]!, 0);
  while (connections < most) {
    counts.push(connections);
    const reached = end;
    if (from === reached) break;
    for (; from < reached; from++) {
      const row = found[from]!;
      for (let k = rowPtr[row]!; k < rowPtr[row + 1]!; k++) find(colIdx[k]!, counts.length);
    }
  }
  return { distances, counts };
}
