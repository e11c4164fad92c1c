// From the edges of published files to a matrix of connections: rows about the same pair summed, then the threshold.

import type { Csr } from "../core/csr.ts";
import { ArgumentError, FileFormatError } from "../core/errors.ts";
import { plural, quoteText } from "../core/text.ts";
import type { IdCells, NumberCells, ReadProgress, TableFile, WantedColumn } from "../io/tableFile.ts";
import { EdgeStore } from "./edgeStore.ts";
import { IdCollector } from "./idCollector.ts";
import type { IdDecision, IdPolicy } from "./idPolicy.ts";
import type { EdgeBatch, EdgeCounts, EdgeOptions, EdgeSource, Edges, IdIndex, NeuronIds } from "./types.ts";

/** Connections of edges that came without a table of neurons. */
export interface EdgesOfAll extends Edges {
  /** Ids of the neurons, in the order of the rows and columns. */
  readonly ids: NeuronIds;
  readonly decision: IdDecision;
}

/** How edges without a table of neurons are read. */
export interface EdgesOfAllOptions extends EdgeOptions {
  /** What ids are taken for. Default auto. */
  readonly ids?: IdPolicy;
}

/**
 * Reads the edges between known neurons. Edges with other ends are counted and left out, as are rows of weight 0, and connections below the
 * threshold. A single sorted file is read up to the threshold only.
 *
 * @returns the matrix [post, pre] of sums of weights
 * @throws {FileFormatError} an id that is none, a weight that is no number ≥ 0, no edge between neurons
 * @throws {ArgumentError} a threshold that is no number from 0, or leaves no connection
 */
export async function readEdges(
  sources: readonly EdgeSource[],
  index: IdIndex,
  options: EdgeOptions = {},
): Promise<Edges> {
  const least = thresholdOf(options);
  if (index.count === 0) throw new ArgumentError("readEdges", "index", "at least one neuron", "none");
  // An edge below the threshold in one file may reach it together with an edge of another.
  const mayEndEarly = sources.length === 1 && sources[0]!.isSorted && least > 0;
  const reader = new EdgeReader(index.count, index, mayEndEarly ? least : 0);
  await reader.read(sources, options);
  const csr = reader.store.takeCsr(index.count, null, filesOf(sources));
  if (reader.endedEarly && csr.duplicatesSummed > 0) {
    // What was not read may hold more rows about the same pairs.
    const whole = new EdgeReader(index.count, index, 0);
    await whole.read(sources, options);
    const all = whole.store.takeCsr(index.count, null, filesOf(sources));
    return edgesOf(all, whole, least, sources, `${sources[0]!.file}: pairs of neurons occur more than once`);
  }
  return edgesOf(csr, reader, least, sources, reader.orderBroken);
}

/**
 * Reads edges without a table of neurons: every id that occurs is a neuron, whatever its connections. Sorted files are read whole, too.
 *
 * @throws {FileFormatError} see `readEdges`; ids that are ambiguous, or not what `ids` demands
 * @throws {ArgumentError} see `readEdges`
 */
export async function readEdgesOfAll(
  sources: readonly EdgeSource[],
  options: EdgesOfAllOptions = {},
): Promise<EdgesOfAll> {
  const least = thresholdOf(options);
  const collector = new IdCollector();
  const reader = new EdgeReader(2 ** 32, collector, 0);
  await reader.read(sources, options);
  const files = filesOf(sources);
  const { ids, decision, indexOf } = collector.settle(options.ids ?? "auto", files);
  if (ids.length === 0) throw new FileFormatError(files, "edges", "none");
  const csr = reader.store.takeCsr(ids.length, indexOf, files);
  return { ...edgesOf(csr, reader, least, sources, null), ids, decision };
}

/** Finds what the ends of edges are: neurons, or −1. */
interface EndLookup {
  lookup(ids: NeuronIds, out: Int32Array, placeOf: (k: number) => string): void;
}

/** Gathers the edges of files between neurons. */
class EdgeReader {
  readonly store: EdgeStore;
  rows = 0;
  synapses = 0;
  outsideRows = 0;
  outsideSynapses = 0;
  zeroRows = 0;
  endedEarly = false;
  /** An end that is none of the neurons, for messages. */
  outsider: string | null = null;
  orderBroken: string | null = null;
  /** The first weight of a file that descends: its largest. */
  strongest = 0;
  readonly #ends: EndLookup;
  /** Rows of a sorted file below this are not read; 0: all are. */
  #endBelow: number;
  #previous = Number.POSITIVE_INFINITY;
  #pre = new Int32Array(0);
  #post = new Int32Array(0);

  constructor(extent: number, ends: EndLookup, endBelow: number) {
    this.store = new EdgeStore(extent);
    this.#ends = ends;
    this.#endBelow = endBelow;
  }

  async read(sources: readonly EdgeSource[], { onProgress, signal }: EdgeOptions): Promise<void> {
    for (const [i, source] of sources.entries()) {
      const report = onProgress && ((progress: ReadProgress): void => onProgress(partOf(progress, i, sources.length)));
      await source.read((batch) => this.#add(batch, source), {
        ...(report && { onProgress: report }),
        ...(signal && { signal }),
      });
    }
  }

  /** @returns false: the rest of the file is below the threshold */
  #add(batch: EdgeBatch, source: EdgeSource): boolean {
    const { count, rowStart, pre: preIds, post: postIds, weights } = batch;
    if (this.#pre.length < count) {
      this.#pre = new Int32Array(count);
      this.#post = new Int32Array(count);
    }
    const end = this.#checkWeights(batch, source);
    const pre = this.#pre;
    const post = this.#post;
    this.#ends.lookup(preIds, pre, (k) => source.placeOf(rowStart + k, "pre"));
    this.#ends.lookup(postIds, post, (k) => source.placeOf(rowStart + k, "post"));
    const { store } = this;
    const { file } = source;
    let synapses = 0;
    for (let k = 0; k < end; k++) {
      const weight = weights === null ? 1 : weights[k]!;
      synapses += weight;
      if (pre[k]! < 0 || post[k]! < 0) {
        if (this.outsideRows++ === 0) this.outsider = outsiderOf(batch, k, pre[k]! < 0 ? "pre" : "post", source);
        this.outsideSynapses += weight;
      } else if (weight === 0) this.zeroRows++;
      else store.push(pre[k]!, post[k]!, weight, file);
    }
    this.rows += end;
    this.synapses += synapses;
    this.endedEarly = end < count;
    return !this.endedEarly;
  }

  /**
   * Checks the weights of a batch, and their order where reading may end early.
   *
   * @returns how many rows of the batch count: all, or those above the threshold
   */
  #checkWeights({ count, rowStart, weights }: EdgeBatch, source: EdgeSource): number {
    if (weights === null) return count;
    for (let k = 0; k < count; k++) {
      const weight = weights[k]!;
      if (weight >= 0 && weight < Number.POSITIVE_INFINITY) continue;
      const got = Number.isNaN(weight) ? "none" : `${weight}`;
      throw new FileFormatError(source.placeOf(rowStart + k, "weight"), "a weight, a number from 0", got);
    }
    if (this.#endBelow === 0) return count;
    let end = count;
    if (this.#previous === Number.POSITIVE_INFINITY && count > 0) this.strongest = weights[0]!;
    for (let k = 0; k < count; k++) {
      const weight = weights[k]!;
      if (weight > this.#previous) {
        this.orderBroken = `${source.placeOf(rowStart + k, "weight")}: ${weight} comes after ${this.#previous}`;
        this.#endBelow = 0;
        return count;
      }
      this.#previous = weight;
      if (weight < this.#endBelow) end = Math.min(end, k);
    }
    return end;
  }
}

function outsiderOf({ rowStart, pre, post }: EdgeBatch, k: number, end: "pre" | "post", source: EdgeSource): string {
  const id = (end === "pre" ? pre : post)[k]!;
  return `${quoteText(String(id))} at ${source.placeOf(rowStart + k, end)}`;
}

/** Applies the threshold, and counts. */
function edgesOf(
  summed: Csr,
  reader: EdgeReader,
  least: number,
  sources: readonly EdgeSource[],
  orderBroken: string | null,
): Edges {
  const files = filesOf(sources);
  if (summed.nnz === 0 && reader.endedEarly) {
    const most = reader.strongest;
    if (reader.rows === 0) {
      throw new ArgumentError(
        "readEdges",
        "minSynapses",
        `at most ${most}, the synapses of the strongest row of ${files}`,
        `${least}`,
      );
    }
    const rows = `the ${plural(reader.rows, "row")} of ${files} with as many ${reader.rows === 1 ? "is" : "are"} not between the neurons`;
    throw new ArgumentError(
      "readEdges",
      "minSynapses",
      "fewer, as a connection between the neurons has",
      `${least}; ${rows}`,
    );
  }
  if (summed.nnz === 0) {
    const got =
      reader.rows === 0
        ? "none"
        : `none among ${plural(reader.rows, "row")}${reader.outsider === null ? "" : `, as ${reader.outsider} is none of the neurons`}`;
    throw new FileFormatError(files, "edges between the neurons", got);
  }
  const { csr, belowConnections, belowSynapses } = withoutBelow(summed, least);
  let [connectionSynapses, selfConnections] = [0, 0];
  for (let i = 0; i < csr.nRows; i++) {
    for (let k = csr.rowPtr[i]!; k < csr.rowPtr[i + 1]!; k++) {
      connectionSynapses += csr.values[k]!;
      if (csr.colIdx[k] === i) selfConnections++;
    }
  }
  const rowsOfFile = sources.reduce<number | null>(
    (sum, { rows }) => (sum === null || rows === null ? null : sum + rows),
    0,
  );
  const counts: EdgeCounts = {
    rows: reader.rows,
    synapses: reader.synapses,
    rowsOfFile: rowsOfFile ?? (reader.endedEarly ? null : reader.rows),
    outsideRows: reader.outsideRows,
    outsideSynapses: reader.outsideSynapses,
    zeroRows: reader.zeroRows,
    summedRows: summed.duplicatesSummed,
    belowConnections: reader.endedEarly ? null : belowConnections,
    belowSynapses: reader.endedEarly ? null : belowSynapses,
    connections: csr.nnz,
    connectionSynapses,
    selfConnections,
    orderBroken,
  };
  return { csr, counts };
}

interface Thresholded {
  readonly csr: Csr;
  readonly belowConnections: number;
  readonly belowSynapses: number;
}

/** Without the entries below a threshold; works in place. In f32 where the rest is exact in it. */
function withoutBelow(summed: Csr, least: number): Thresholded {
  const { nRows, rowPtr, colIdx, values, nnz } = summed;
  let [kept, belowSynapses, largest] = [0, 0, 0];
  let isExactInF32 = true;
  let begin = 0;
  for (let i = 0; i < nRows; i++) {
    const end = rowPtr[i + 1]!;
    rowPtr[i] = kept;
    for (let k = begin; k < end; k++) {
      const value = values[k]!;
      if (value > largest) largest = value;
      if (value < least) {
        belowSynapses += value;
        continue;
      }
      if (Math.fround(value) !== value) isExactInF32 = false;
      colIdx[kept] = colIdx[k]!;
      values[kept++] = value;
    }
    begin = end;
  }
  rowPtr[nRows] = kept;
  if (kept === 0) {
    throw new ArgumentError(
      "readEdges",
      "minSynapses",
      `at most ${largest}, the synapses of the strongest connection`,
      `${least}`,
    );
  }
  const rest = kept === nnz ? values : values.subarray(0, kept);
  const own = isExactInF32 && !(rest instanceof Float32Array) ? Float32Array.from(rest) : rest;
  const csr = {
    ...summed,
    nnz: kept,
    colIdx: kept === nnz ? colIdx : colIdx.slice(0, kept),
    values: own === rest && kept < nnz ? own.slice() : own,
  };
  return { csr, belowConnections: nnz - kept, belowSynapses };
}

function thresholdOf({ minSynapses = 0 }: EdgeOptions): number {
  if (minSynapses >= 0 && Number.isFinite(minSynapses)) return minSynapses;
  throw new ArgumentError("readEdges", "minSynapses", "a number from 0", `${minSynapses}`);
}

function filesOf(sources: readonly EdgeSource[]): string {
  return sources.map(({ file }) => file).join(", ");
}

/** The progress of all files, in files. */
function partOf({ done, total }: ReadProgress, file: number, files: number): ReadProgress {
  return files === 1 ? { done, total } : { done: file + (total > 0 ? done / total : 0), total: files };
}

/** Columns of a table that hold edges. */
export interface EdgeTableColumns {
  readonly pre: string;
  readonly post: string;
  /** null: every row counts 1. */
  readonly weight: string | null;
}

/**
 * The edges in a table.
 *
 * @param isSorted rows descend by weight, and no pair occurs twice
 */
export function tableEdges(
  table: TableFile,
  columns: EdgeTableColumns,
  { isSorted = false }: { readonly isSorted?: boolean } = {},
): EdgeSource {
  const wanted: WantedColumn[] = [
    { name: columns.pre, as: "id" },
    { name: columns.post, as: "id" },
  ];
  if (columns.weight !== null) wanted.push({ name: columns.weight, as: "number" });
  const placeOf: EdgeSource["placeOf"] = (row, end) => table.placeOf(row, columns[end] ?? "");
  return {
    file: table.file,
    rows: table.rows,
    isSorted,
    placeOf,
    async read(visit, options) {
      await table.read(
        wanted,
        ({ rowStart, count, cells }) => {
          const [pre, post] = cells as readonly [IdCells, IdCells];
          const weights = columns.weight === null ? null : (cells[2] as NumberCells);
          checkFilled(pre.nulls, (k) => placeOf(rowStart + k, "pre"), "the id of a neuron");
          checkFilled(post.nulls, (k) => placeOf(rowStart + k, "post"), "the id of a neuron");
          if (weights) checkFilled(weights.nulls, (k) => placeOf(rowStart + k, "weight"), "a weight, a number from 0");
          return visit({ rowStart, count, pre: pre.ids, post: post.ids, weights: weights?.numbers ?? null });
        },
        options,
      );
    },
  };
}

function checkFilled(nulls: Uint8Array | null, placeOf: (k: number) => string, expected: string): void {
  const empty = nulls?.indexOf(1) ?? -1;
  if (empty >= 0) throw new FileFormatError(placeOf(empty), expected, "an empty cell");
}
