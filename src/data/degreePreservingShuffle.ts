// A control that keeps every neuron's numbers of inputs and outputs, and randomises its partners.

import { type Csr, cscOf, csrFromCoo, csrFromParts, indexArray } from "../core/csr.ts";
import { ArgumentError } from "../core/errors.ts";
import { deriveKey, keyOfSeed, RandomStream } from "../core/random.ts";
import { checkWhole } from "./checks.ts";
import { shuffle } from "./sampling.ts";

/** How a connectome is shuffled. */
export interface DegreeShuffleOptions {
  /**
   * Whose weights stay together. "source" (default): each presynaptic neuron keeps the weights of its connections, and so its sign
   * (Dale's law). "target": each postsynaptic neuron keeps them, and so its total input.
   */
  readonly keep?: "source" | "target";
  /** How often every neuron trades, on average. Default 20, about where graphs of many shapes are well mixed. */
  readonly sweeps?: number;
  readonly seed: number;
}

/**
 * A random connectome with the in-degree and the out-degree of every neuron of `csr`, without new repeated entries. Neurons trade
 * partners in random pairs: what only one of the two has is pooled, shuffled and dealt out again, as many to each as before (global
 * curveball). Entries on the diagonal keep their places and weights, and none are added. The weights that stay together are dealt out
 * anew among the neuron's new partners. All such connectomes can be reached, except that those cycles of three neurons are never
 * reversed that all of them have, in one direction or the other. O(sweeps · connections) time, O(connections) memory.
 *
 * @throws {ArgumentError} a matrix that is not square, sweeps out of range
 * Sources: Strona et al., "A fast and unbiased procedure to randomize ecological binary matrices with fixed row and column totals",
 * Nature Communications 5, 4114 (2014); Carstens et al., "Parallel and I/O-efficient randomisation of massive networks using
 * global curveball trades", ESA 2018.
 */
export function degreePreservingShuffle(csr: Csr, options: DegreeShuffleOptions): Csr {
  const { keep = "source", sweeps = 20, seed } = options;
  const where = "degreePreservingShuffle";
  if (csr.nRows !== csr.nCols) {
    throw new ArgumentError(where, "csr", "a square matrix", `${csr.nRows} × ${csr.nCols}`);
  }
  checkWhole(where, "sweeps", sweeps, 0, 10_000);
  const lists = keep === "source" ? listsBySource(csr) : listsByTarget(csr);
  const stream = new RandomStream(deriveKey(keyOfSeed(seed), where));
  const trader = new Trader(lists, stream);
  for (let sweep = 0; sweep < sweeps; sweep++) {
    const order = stream.permutation(csr.nRows);
    for (let k = 0; k + 1 < order.length; k += 2) trader.trade(order[k]!, order[k + 1]!);
  }
  if (sweeps > 0) dealWeights(lists, stream);
  return keep === "source" ? fromSourceLists(lists, csr.nRows) : fromTargetLists(lists, csr.nRows);
}

/** Partners and weights of neuron a are entries ptr[a] … ptr[a + 1], in any order. */
interface Lists {
  readonly ptr: Uint32Array;
  readonly partners: Uint16Array | Uint32Array;
  readonly values: Csr["values"];
}

class Trader {
  readonly #lists: Lists;
  readonly #stream: RandomStream;
  /** #owner[p] = 2t where only the first neuron of trade t has partner p, 2t + 1 where both do. */
  readonly #owner: Float64Array;
  #trades = 0;

  constructor(lists: Lists, stream: RandomStream) {
    this.#lists = lists;
    this.#stream = stream;
    this.#owner = new Float64Array(lists.ptr.length - 1);
  }

  /** Pools the partners that only one of a and b has, and deals them out at random. */
  trade(a: number, b: number): void {
    const { ptr, partners } = this.#lists;
    const mine = 2 * ++this.#trades;
    for (let k = ptr[a]!; k < ptr[a + 1]!; k++) this.#owner[partners[k]!] = mine;
    const pool: number[] = [];
    const places: number[] = [];
    const put = (k: number): void => {
      // A neuron among its own partners, or dealt to itself, would change the diagonal.
      if (partners[k] === a || partners[k] === b) return;
      pool.push(partners[k]!);
      places.push(k);
    };
    for (let k = ptr[b]!; k < ptr[b + 1]!; k++) {
      if (this.#owner[partners[k]!] === mine) this.#owner[partners[k]!] = mine + 1;
      else put(k);
    }
    for (let k = ptr[a]!; k < ptr[a + 1]!; k++) if (this.#owner[partners[k]!] === mine) put(k);
    shuffle(pool, this.#stream);
    places.forEach((k, i) => {
      partners[k] = pool[i]!;
    });
  }
}

/** Shuffles the weights of each list among its partners; those of the diagonal stay. */
function dealWeights({ ptr, partners, values }: Lists, stream: RandomStream): void {
  for (let a = 0; a + 1 < ptr.length; a++) {
    const places: number[] = [];
    for (let k = ptr[a]!; k < ptr[a + 1]!; k++) if (partners[k] !== a) places.push(k);
    const weights = places.map((k) => values[k]!);
    shuffle(weights, stream);
    places.forEach((k, i) => {
      values[k] = weights[i]!;
    });
  }
}

function listsByTarget({ rowPtr, colIdx, values }: Csr): Lists {
  return { ptr: rowPtr, partners: colIdx.slice(), values: values.slice() };
}

function listsBySource(csr: Csr): Lists {
  const { colPtr, rowIdx, cscOfCsr } = cscOf(csr);
  const values = csr.values.slice();
  for (let k = 0; k < csr.nnz; k++) values[cscOfCsr[k]!] = csr.values[k]!;
  return { ptr: colPtr, partners: rowIdx, values };
}

function fromTargetLists({ ptr, partners, values }: Lists, n: number): Csr {
  return csrFromParts({ nRows: n, nCols: n, rowPtr: ptr, colIdx: partners, values });
}

function fromSourceLists({ ptr, partners, values }: Lists, n: number): Csr {
  const cols = indexArray(n, values.length);
  for (let j = 0; j < n; j++) cols.fill(j, ptr[j]!, ptr[j + 1]!);
  return csrFromCoo({ nRows: n, nCols: n, rows: partners, cols, values });
}
