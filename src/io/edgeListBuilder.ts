// Builds a matrix from edges between named or numbered neurons: collects the edges and the neurons' ids, and numbers the neurons.

import { type Csr, csrFromCoo } from "../core/csr.ts";
import type { DType } from "../core/dtype.ts";
import { ArgumentError, FileFormatError } from "../core/errors.ts";
import { quoteText, quoteValue } from "../core/text.ts";
import { nearHint } from "./joinIds.ts";
import { checkExtents, type ExtentOptions } from "./limits.ts";
import {
  arePositions,
  checkIdText,
  compareIds,
  idOfText,
  idOfValue,
  MAX_POSITION,
  type NeuronId,
  settleIds,
} from "./neuronIds.ts";
import { Triples } from "./triples.ts";

export type { NeuronId } from "./neuronIds.ts";

/** How the identifiers of neurons become indices. */
export interface NeuronIdOptions extends ExtentOptions {
  /**
   * Whether ids are positions in the matrix, or labels to be numbered. Default: positions if all are whole numbers below 2^24 that start near
   * 0 and leave out at most half of the numbers, or a thousand; else labels.
   */
  readonly ids?: "index" | "label";
  /** How labels are numbered. Default sorted: numbers by size, text by code points, whatever the order of the file. */
  readonly order?: "sorted" | "firstSeen";
  /** The labels, in order; any other label in the file is an error. Overrides `ids` and `order`. */
  readonly labels?: readonly NeuronId[];
  /** Rows and columns of the matrix. Default: as many as the file has neurons. */
  readonly neurons?: number;
}

/** A connectome and the labels of its neurons. */
export interface EdgeList {
  /** [post, pre], edges that occur more than once summed. */
  readonly csr: Csr;
  /** Label of each neuron that has one, in the order of the rows; null where the file numbers its neurons. */
  readonly labels: readonly string[] | null;
}

/** Place of the id of one end of an entry, e.g. 'edges.csv:12, column "pre"'. */
export type PlaceOf = (entry: number, end: "pre" | "post") => string;

const LARGEST = 2 ** 31;

export class EdgeListBuilder {
  readonly #file: string;
  readonly #placeOf: PlaceOf;
  readonly #options: NeuronIdOptions;
  readonly #edges: Triples;
  /** Number by id as it stands in the file; null as long as ids are positions. */
  #numbers: Map<NeuronId, number> | null;
  /** Twice the entry in which an id was seen first, + 1 where it was at its end "post", by number; NaN where it was a position. */
  readonly #ends: number[] = [];
  #smallest = Number.POSITIVE_INFINITY;
  #largest = -1;

  /**
   * @param placeOf where an end of an entry stands, for messages
   * @throws {ArgumentError} labels that occur twice, a number of neurons that is none
   */
  constructor(file: string, placeOf: PlaceOf, options: NeuronIdOptions, dtype: DType) {
    const { ids, labels, neurons } = options;
    if (neurons !== undefined && !(Number.isInteger(neurons) && neurons >= 1 && neurons <= LARGEST)) {
      throw new ArgumentError("readConnectome", "neurons", "a whole number from 1 to 2^31", `${neurons}`);
    }
    this.#file = file;
    this.#placeOf = placeOf;
    this.#options = options;
    this.#edges = new Triples(dtype);
    this.#numbers = labels ? numbersOf(labels) : ids === "label" ? new Map() : null;
  }

  /**
   * Adds the edge pre → post.
   *
   * @param entry its place in the file, for messages
   * @throws {FileFormatError} an id that is none, or no position or label where they are given
   */
  add(pre: NeuronId, post: NeuronId, weight: number, entry: number): void {
    if (this.#numbers === null && !(this.#isIndex(pre, 2 * entry) && this.#isIndex(post, 2 * entry + 1))) {
      this.#numbers = this.#labelEdges();
    }
    const col = this.#numberOf(pre, 2 * entry);
    this.#edges.push(this.#numberOf(post, 2 * entry + 1), col, weight);
  }

  /** @throws {FileFormatError} no edges and no number of neurons, more labels than neurons, ambiguous ids */
  build(): EdgeList {
    const { neurons } = this.#options;
    if (
      this.#numbers === null &&
      neurons === undefined &&
      this.#options.ids !== "index" &&
      !this.#lookLikePositions()
    ) {
      this.#numbers = this.#labelEdges();
    }
    const names = this.#numbers === null ? null : this.#settled([...this.#numbers.keys()]);
    const count = names?.length ?? this.#largest + 1;
    if (count === 0 && neurons === undefined) {
      throw new FileFormatError(this.#file, "edges, or the number of neurons given", "no edge");
    }
    if (neurons !== undefined && count > neurons) {
      throw new FileFormatError(this.#file, `at most ${neurons} neurons`, `${count}`);
    }
    const { rows, cols, values } = this.#edges;
    const n = neurons ?? count;
    if (neurons === undefined) checkExtents({ nRows: n, nCols: n }, values.length, this.#file, this.#options);
    const csr = csrFromCoo({ nRows: n, nCols: n, rows, cols, values }, this.#file);
    return { csr, labels: names?.map(String) ?? null };
  }

  /**
   * Gives the labels found their meaning, and the edges the numbers that follow from it.
   *
   * @returns the labels by number; null: they are positions
   */
  #settled(found: readonly NeuronId[]): readonly NeuronId[] | null {
    const { labels, order = "sorted" } = this.#options;
    if (labels) return found;
    const ids = settleIds(found, (i) => this.#placeOfId(i));
    if (this.#takesPositions(ids)) {
      this.#renumber(Uint32Array.from(ids as readonly number[]));
      return null;
    }
    const different = [...new Set(ids)];
    if (order === "sorted") different.sort(compareIds);
    const place = new Map(different.map((id, i) => [id, i]));
    this.#renumber(Uint32Array.from(ids, (id) => place.get(id)!));
    return different;
  }

  /** Whether ids that were not in their shortest form when they were read turn out to be positions. */
  #takesPositions(ids: readonly NeuronId[]): boolean {
    const { ids: kind, neurons } = this.#options;
    if (kind === "label" || ids.length === 0 || !ids.every((id) => typeof id === "number" && id < MAX_POSITION))
      return false;
    const numbers = new Set(ids as readonly number[]);
    let [smallest, largest] = [Number.POSITIVE_INFINITY, -1];
    for (const id of numbers) {
      smallest = Math.min(smallest, id);
      largest = Math.max(largest, id);
    }
    if (neurons === undefined && !arePositions(numbers.size, smallest, largest)) return false;
    if (neurons !== undefined && largest >= neurons) {
      const i = ids.indexOf(largest);
      throw new FileFormatError(this.#placeOfId(i), indexExpected(neurons), `${largest}`);
    }
    this.#largest = largest;
    return true;
  }

  /** Whether the positions read are ones, by how many of them are used. */
  #lookLikePositions(): boolean {
    if (this.#largest < 0) return true;
    const most = Math.min(this.#largest + 1, 2 * this.#edges.length);
    if (!arePositions(most, this.#smallest, this.#largest)) return false;
    const used = new Uint8Array(this.#largest + 1);
    for (const list of [this.#edges.rows, this.#edges.cols]) {
      for (let k = 0; k < list.length; k++) used[list[k]!] = 1;
    }
    let count = 0;
    for (const one of used) count += one;
    return arePositions(count, this.#smallest, this.#largest);
  }

  /** Whether an id can be a position in the matrix; where ids must be positions, it is an error if it cannot. */
  #isIndex(id: NeuronId, end: number): boolean {
    const { ids, neurons } = this.#options;
    const limit = ids === "index" ? LARGEST : MAX_POSITION;
    const index = ids === "index" ? this.#indexOf(id, end) : id;
    if (typeof index === "number" && index < Math.min(limit, neurons ?? limit)) return true;
    if (ids === "index" || (neurons !== undefined && typeof id === "number" && id < limit)) {
      throw new FileFormatError(this.#placeOfEnd(end), indexExpected(neurons ?? limit), quoteValue(id));
    }
    return false;
  }

  /** An id that must be a position: a whole number in any form. */
  #indexOf(id: NeuronId, end: number): NeuronId {
    if (typeof id === "number") return id;
    checkIdText(id, () => this.#placeOfEnd(end));
    return settleIds([id], () => this.#placeOfEnd(end))[0]!;
  }

  #numberOf(id: NeuronId, end: number): number {
    if (this.#numbers === null) {
      const index = Number(id);
      if (index > this.#largest) this.#largest = index;
      if (index < this.#smallest) this.#smallest = index;
      return index;
    }
    const known = this.#numbers.get(id);
    if (known !== undefined) return known;
    const place = (): string => this.#placeOfEnd(end);
    if (typeof id === "string") checkIdText(id, place);
    const { labels } = this.#options;
    if (labels) return this.#numberOfGiven(id, labels, place);
    this.#ends[this.#numbers.size] = end;
    this.#numbers.set(id, this.#numbers.size);
    return this.#numbers.size - 1;
  }

  /** The number of an id that is written in another way than its label: 7.0 for 7. */
  #numberOfGiven(id: NeuronId, labels: readonly NeuronId[], place: () => string): number {
    const value = typeof id === "string" && Number.isInteger(Number(id)) ? idOfValue(Number(id), place) : id;
    const known = /^\+?0\d/.test(String(id)) ? undefined : this.#numbers!.get(value);
    if (known !== undefined) return known;
    const hint = nearHint(String(id), labels.map(String));
    throw new FileFormatError(place(), "one of the labels given", `${quoteValue(id)}${hint}`);
  }

  /** Takes the positions so far for labels, numbered as first seen. */
  #labelEdges(): Map<NeuronId, number> {
    const numbers = new Map<NeuronId, number>();
    const { rows, cols } = this.#edges;
    const numberOf = (id: number): number => {
      const known = numbers.get(id);
      if (known !== undefined) return known;
      this.#ends[numbers.size] = Number.NaN;
      numbers.set(id, numbers.size);
      return numbers.size - 1;
    };
    for (let k = 0; k < rows.length; k++) {
      cols[k] = numberOf(cols[k]!);
      rows[k] = numberOf(rows[k]!);
    }
    return numbers;
  }

  #placeOfId(number: number): string {
    const end = this.#ends[number]!;
    return Number.isNaN(end) ? this.#file : this.#placeOfEnd(end);
  }

  #placeOfEnd(end: number): string {
    return this.#placeOf(Math.floor(end / 2), end % 2 === 0 ? "pre" : "post");
  }

  #renumber(place: Uint32Array): void {
    for (const list of [this.#edges.rows, this.#edges.cols]) {
      for (let k = 0; k < list.length; k++) list[k] = place[list[k]!]!;
    }
  }
}

function indexExpected(count: number): string {
  return `the index of a neuron from 0 to ${count - 1} (or ids: "label", --ids label, if ids are names)`;
}

function numbersOf(labels: readonly NeuronId[]): Map<NeuronId, number> {
  const numbers = new Map<NeuronId, number>();
  labels.forEach((label, i) => {
    const id = idOfText(String(label));
    if (numbers.has(id)) {
      const got = `${quoteText(String(label))} more than once`;
      throw new ArgumentError("readConnectome", "labels", "different labels", got);
    }
    numbers.set(id, i);
  });
  return numbers;
}
