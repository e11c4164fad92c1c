// From edges between named or numbered neurons to a matrix: keeps the edges, learns which neurons there are, numbers them.

import { type Csr, csrFromCoo } from "../core/csr.ts";
import type { DType } from "../core/dtype.ts";
import { ArgumentError, FileFormatError, nearestName } from "../core/errors.ts";
import { compareLabels } from "./labels.ts";
import { Triples } from "./triples.ts";

/** The id of a neuron in a file: a number if it is a whole one from 0 to 2^53 in its shortest form, else text. */
export type NeuronId = number | string;

/** How the identifiers of neurons become indices. */
export interface NeuronIdOptions {
  /** What ids are: positions in the matrix, or labels to be numbered. Default: positions if all are whole numbers below 2^24. */
  readonly ids?: "index" | "label";
  /** How labels are numbered. Default sorted: numbers by size, text by code points, whatever the order of the file. */
  readonly order?: "sorted" | "firstSeen";
  /** The labels themselves, in order; any other one in the file is an error. Overrides `ids` and `order`. */
  readonly labels?: readonly NeuronId[];
  /** Rows and columns of the matrix. Default: as many as the file has neurons. */
  readonly neurons?: number;
}

/** A connectome and what its neurons were called. */
export interface EdgeList {
  /** [post, pre], edges that occur more than once summed. */
  readonly csr: Csr;
  /** Label of each neuron that has one, in the order of the rows; null where the file numbers its neurons. */
  readonly labels: readonly string[] | null;
}

/** Whole numbers from here on are ids of a data base, not positions in a matrix. */
const MAX_INDEX = 2 ** 24;
const LARGEST = 2 ** 31;

export class EdgeListBuilder {
  readonly #file: string;
  readonly #placeOf: (entry: number) => string;
  readonly #options: NeuronIdOptions;
  readonly #edges: Triples;
  /** Number by id; null as long as ids are positions. */
  #numbers: Map<NeuronId, number> | null;
  #largest = -1;

  /**
   * @param placeOf where the entry with a number is, for messages, e.g. "edges.csv:12"
   * @throws {ArgumentError} labels that occur twice, a number of neurons that is none
   */
  constructor(file: string, placeOf: (entry: number) => string, options: NeuronIdOptions, dtype: DType) {
    const { ids, labels, neurons } = options;
    if (neurons !== undefined && !(Number.isInteger(neurons) && neurons >= 1 && neurons <= LARGEST)) {
      throw new ArgumentError("readConnectome", "neurons", "a whole number from 1 to 2^31", `${neurons}`);
    }
    this.#file = file;
    this.#placeOf = placeOf;
    this.#options = options;
    this.#edges = new Triples(dtype);
    this.#numbers = labels || ids === "label" ? new Map() : null;
    labels?.forEach((label, i) => {
      const id = canonicalId(label);
      if (this.#numbers!.has(id)) {
        throw new ArgumentError("readConnectome", "labels", "different labels", `"${label}" more than once`);
      }
      this.#numbers!.set(id, i);
    });
  }

  /**
   * Adds the edge pre → post.
   *
   * @param entry its place in the file, for messages
   * @throws {FileFormatError} an id that is no position, or no label where they are given
   */
  add(pre: NeuronId, post: NeuronId, weight: number, entry: number): void {
    if (this.#numbers === null && !(this.#isIndex(pre, entry) && this.#isIndex(post, entry))) {
      this.#numbers = this.#labelEdges();
    }
    const col = this.#numberOf(pre, entry);
    this.#edges.push(this.#numberOf(post, entry), col, weight);
  }

  /** @throws {FileFormatError} no edges and no number of neurons, more labels than neurons */
  build(): EdgeList {
    const { neurons, labels, order = "sorted" } = this.#options;
    const count = this.#numbers?.size ?? this.#largest + 1;
    if (count === 0 && neurons === undefined) {
      throw new FileFormatError(this.#file, "edges, or the number of neurons given", "no edge");
    }
    if (neurons !== undefined && count > neurons) {
      throw new FileFormatError(this.#file, `at most ${neurons} neurons`, `${count}`);
    }
    const names = this.#numbers === null ? null : [...this.#numbers.keys()];
    const { rows, cols } = this.#edges;
    if (names !== null && labels === undefined && order === "sorted") {
      const sorted = names.map((_, i) => i).sort((a, b) => compareLabels(names[a]!, names[b]!));
      const place = new Uint32Array(names.length);
      sorted.forEach((old, now) => {
        place[old] = now;
      });
      renumber(rows, place);
      renumber(cols, place);
      names.sort(compareLabels);
    }
    const n = neurons ?? count;
    const csr = csrFromCoo({ nRows: n, nCols: n, rows, cols, values: this.#edges.values }, this.#file);
    return { csr, labels: names?.map(String) ?? null };
  }

  /** Whether an id can be a position in the matrix; where ids must be positions, it is an error if it cannot. */
  #isIndex(id: NeuronId, entry: number): id is number {
    const { ids, neurons } = this.#options;
    const limit = ids === "index" ? LARGEST : MAX_INDEX;
    if (typeof id === "number" && id < Math.min(limit, neurons ?? limit)) return true;
    if (ids === "index" || (neurons !== undefined && typeof id === "number" && id < limit)) {
      const expected = `the index of a neuron from 0 to ${(neurons ?? limit) - 1}`;
      throw new FileFormatError(this.#placeOf(entry), expected, JSON.stringify(id));
    }
    return false;
  }

  #numberOf(id: NeuronId, entry: number): number {
    if (this.#numbers === null) {
      const index = Number(id);
      if (index > this.#largest) this.#largest = index;
      return index;
    }
    const known = this.#numbers.get(id);
    if (known !== undefined) return known;
    const { labels } = this.#options;
    if (labels) {
      const near = nearestName(String(id), labels.map(String));
      const hint = near === null ? "" : ` (did you mean "${near}"?)`;
      throw new FileFormatError(this.#placeOf(entry), "one of the labels given", `${JSON.stringify(id)}${hint}`);
    }
    this.#numbers.set(id, this.#numbers.size);
    return this.#numbers.size - 1;
  }

  /** Takes the positions so far for labels, numbered as first seen. */
  #labelEdges(): Map<NeuronId, number> {
    const numbers = new Map<NeuronId, number>();
    const { rows, cols } = this.#edges;
    const numberOf = (id: number): number => {
      const known = numbers.get(id);
      if (known !== undefined) return known;
      numbers.set(id, numbers.size);
      return numbers.size - 1;
    };
    for (let k = 0; k < rows.length; k++) {
      cols[k] = numberOf(cols[k]!);
      rows[k] = numberOf(rows[k]!);
    }
    return numbers;
  }
}

/** An id as `NeuronId` demands, whatever form it has. */
export function canonicalId(id: number | bigint | string): NeuronId {
  if (typeof id === "number") return Number.isSafeInteger(id) && id >= 0 ? id : String(id);
  const text = String(id);
  return /^(0|[1-9]\d{0,15})$/.test(text) && Number(text) <= Number.MAX_SAFE_INTEGER ? Number(text) : text;
}

function renumber(indices: Uint32Array, place: Uint32Array): void {
  for (let k = 0; k < indices.length; k++) indices[k] = place[indices[k]!]!;
}
