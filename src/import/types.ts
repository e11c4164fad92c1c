// What the steps of an import hand to one another: neurons of tables, batches of edges, and what was kept and dropped.

import type { Csr } from "../core/csr.ts";
import type { NeuronColumn } from "../core/selector.ts";
import type { ReadProgress } from "../io/tableFile.ts";

/** Names of neurons: whole numbers of 64 bits where all are, else text. */
export type NeuronIds = BigInt64Array | readonly string[];

/** Neurons as published tables describe them, in the order of the first table. */
export interface NeuronFrame {
  readonly ids: NeuronIds;
  /** Their properties by the names in the files, and by those that all data sets share: type, superclass, class, side, status, transmitter. */
  readonly columns: ReadonlyMap<string, NeuronColumn>;
}

/** Finds neurons by id. */
export interface IdIndex {
  readonly ids: NeuronIds;
  readonly count: number;
  /**
   * Sets out[k] to the index of ids[k], or to −1 where no neuron has it.
   *
   * @param placeOf where ids[k] stands, for messages
   * @throws {FileFormatError} an id that is none, or that may be a neuron's in another notation
   */
  lookup(ids: NeuronIds, out: Int32Array, placeOf?: (k: number) => string): void;
}

/** Rows of a table of edges. */
export interface EdgeBatch {
  readonly rowStart: number;
  readonly count: number;
  readonly pre: NeuronIds;
  readonly post: NeuronIds;
  /** Synapses, or sizes of them: numbers from 0; null: every row counts 1. */
  readonly weights: ArrayLike<number> | null;
}

/** Edges of a file, whatever its format. */
export interface EdgeSource {
  readonly file: string;
  /** null: not known beforehand. */
  readonly rows: number | null;
  /**
   * Rows descend by weight, and no pair occurs twice; so reading can end at the threshold. What is read is checked; a file that turns out to be
   * otherwise is read whole.
   */
  readonly isSorted: boolean;
  /** @param visit  returns false to stop */
  read(
    visit: (batch: EdgeBatch) => boolean,
    options?: { onProgress?: (p: ReadProgress) => void; signal?: AbortSignal },
  ): Promise<void>;
  /** Where an end of an edge stands, for messages. */
  placeOf(row: number, end: "pre" | "post" | "weight"): string;
}

export interface EdgeOptions {
  /** Least synapses of a connection, after rows about the same pair were summed. A number from 0; default 0: all. */
  readonly minSynapses?: number;
  readonly onProgress?: (p: ReadProgress) => void;
  readonly signal?: AbortSignal;
}

/** What became of the rows of edges. Synapses are sums of weights. */
export interface EdgeCounts {
  /** Rows read, and their synapses; fewer than the file has where reading ended at the threshold. */
  readonly rows: number;
  readonly synapses: number;
  /** Rows of the file; null: unknown. */
  readonly rowsOfFile: number | null;
  /** Rows with an end that is none of the neurons. */
  readonly outsideRows: number;
  readonly outsideSynapses: number;
  /** Rows between neurons with weight 0, which are no connections. */
  readonly zeroRows: number;
  /** Rows that were added to another one about the same pair. */
  readonly summedRows: number;
  /** Connections below the threshold, and their synapses; null where reading ended early, since they were not read. */
  readonly belowConnections: number | null;
  readonly belowSynapses: number | null;
  readonly connections: number;
  readonly connectionSynapses: number;
  readonly selfConnections: number;
  /** Where a file breaks the order that it was said to have, and so was read whole; null: nowhere. */
  readonly orderBroken: string | null;
}

/** Connections between neurons: counts of synapses [post, pre], as f32 where that is exact, else f64. */
export interface Edges {
  readonly csr: Csr;
  readonly counts: EdgeCounts;
}
