// Layouts that are tables: edges with two ids and a count, and neurons in one table or several.

import { openTable } from "../../io/openTable.ts";
import type { IdCells, NumberCells, ReadProgress, TableFile } from "../../io/tableFile.ts";
import { columnOf, neededColumnOf } from "../columnNames.ts";
import { tableEdges } from "../edges.ts";
import { type EdgeColumnNames, edgeColumnsOf } from "../edgeTable.ts";
import { idIndexOf } from "../idIndex.ts";
import { NeuronSigns } from "../neuronSigns.ts";
import { type NeuronTableSource, readNeurons } from "../neurons.ts";
import { type TransmitterShare, transmittersByShares } from "../transmitterShares.ts";
import type { NeuronFrame } from "../types.ts";
import type { Dataset, FoundFiles, Layout, OpenLayoutOptions, SharedSources, SignOf } from "./layout.ts";

/** A table of neurons of a layout. */
export interface NeuronTableLayout {
  readonly role: string;
  /** Names of the column of ids. */
  readonly id: readonly string[];
  /** Columns of ids where a row is about several neurons, with the side of each. */
  readonly pairs?: readonly { readonly id: string; readonly side: string }[];
  /** The ids are in the first column if that has no name. */
  readonly idsMayBeUnnamed?: boolean;
  readonly noIds?: readonly string[];
}

/** What a layout of tables says beyond `Layout`. */
export interface TableLayout extends Omit<Layout, "open" | "takes" | "isRecognised"> {
  readonly isRecognised?: boolean;
  readonly edges: EdgeColumnNames;
  /** Tables of neurons by role; the first one that is there names the neurons. */
  readonly neurons: readonly NeuronTableLayout[];
  readonly shared: SharedSources;
  /** Whether rows of this file of edges descend by weight, with every pair once. */
  readonly isSorted?: (file: string) => boolean;
  /** The column of edges with the sign of the presynaptic neuron. */
  readonly sign?: string;
  /** Columns of edges with the share of each transmitter. */
  readonly transmitterShares?: readonly TransmitterShare[];
}

const TAKES: Layout["takes"] = ["pre", "post", "weight", "id", "ids"];

/** A layout whose files are tables. */
export function tableLayout(spec: TableLayout): Layout {
  const { edges: _edges, neurons: _neurons, shared: _shared, isSorted: _isSorted, sign: _sign, ...others } = spec;
  const { transmitterShares: _shares, ...layout } = others;
  return { isRecognised: true, ...layout, takes: TAKES, open: (files, options) => openTables(spec, files, options) };
}

async function openTables(spec: TableLayout, files: FoundFiles, options: OpenLayoutOptions): Promise<Dataset> {
  const open: TableFile[] = [];
  const close = async (): Promise<void> => {
    for (const table of open) await table.close();
  };
  try {
    const opened = async (file: string): Promise<TableFile> => {
      const table = await openTable(file);
      open.push(table);
      return table;
    };
    const edgeTable = await opened(files.get("edges")!);
    const columns = edgeColumnsOf(edgeTable, spec.edges, options);
    const edges = tableEdges(edgeTable, columns, { isSorted: spec.isSorted?.(edgeTable.file) ?? false });
    const sources: NeuronTableSource[] = [];
    for (const layout of spec.neurons) {
      const file = files.get(layout.role);
      if (file !== undefined) sources.push(neuronSourceOf(layout, await opened(file), options));
    }
    const signal = options.signal ? { signal: options.signal } : {};
    const read =
      sources.length > 0
        ? await readNeurons(sources, { shared: spec.shared, ...(options.ids && { policy: options.ids }), ...signal })
        : null;
    const notes = [...(read?.notes ?? [])];
    if (columns.weight === null) notes.push(`${edges.file}: every row counts 1`);
    const { sign } = spec;
    const hasSigns = sign !== undefined && read !== null && columnOf(edgeTable, [sign], undefined, "sign") !== null;
    const signOf = hasSigns ? () => signsOfColumn(edgeTable, columns.pre, sign, read.frame, options) : null;
    const [neurons, decision] = [read?.frame ?? null, read?.decision ?? null];
    const common = { neurons, decision, edgeIds: null, edges: [edges], signOf, places: null, notes, close };
    const shares = sharesIn(edgeTable, spec.transmitterShares ?? []);
    if (shares.length === 0 || neurons?.columns.has("transmitter")) return { ...common, transmittersOf: null };
    const { onProgress } = options;
    const reading = {
      ...signal,
      ...(onProgress && { onProgress: (done: ReadProgress) => onProgress("transmitters", done) }),
    };
    return { ...common, transmittersOf: (ids) => transmittersByShares(edgeTable, columns, shares, ids, reading) };
  } catch (cause) {
    await close();
    throw cause;
  }
}

/** The columns that a table has, of those with shares of transmitters. */
function sharesIn(table: TableFile, shares: readonly TransmitterShare[]): readonly TransmitterShare[] {
  return shares.filter(({ column }) => table.columns.some(({ name }) => name === column));
}

/** An open table of neurons. */
export function neuronSourceOf(
  layout: NeuronTableLayout,
  table: TableFile,
  { id }: OpenLayoutOptions,
): NeuronTableSource {
  const { role, pairs, noIds } = layout;
  const common = { role, table, ...(noIds && { noIds }) };
  if (pairs && id === undefined) {
    const idColumns = pairs.map((pair) => neededColumnOf(table, [pair.id], undefined, "id"));
    return { ...common, idColumns, sides: pairs.map(({ side }) => side) };
  }
  const chosen = role === "neurons" ? id : undefined;
  const unnamed = layout.idsMayBeUnnamed && chosen === undefined ? table.columns[0] : undefined;
  if (unnamed?.name === "" && columnOf(table, layout.id, chosen, "id") === null) return { ...common, idColumns: [""] };
  return { ...common, idColumns: [neededColumnOf(table, layout.id, chosen, "id")] };
}

/** Signs of presynaptic neurons in a column of the edges. */
async function signsOfColumn(
  table: TableFile,
  pre: string,
  sign: string,
  { ids }: NeuronFrame,
  options: OpenLayoutOptions,
): Promise<SignOf> {
  const signs = new NeuronSigns(ids.length, (row) => table.placeOf(row, sign));
  const index = idIndexOf(ids, (i) => `neuron ${i}`);
  let neurons = new Int32Array(0);
  await table.read(
    [
      { name: pre, as: "id" },
      { name: sign, as: "number" },
    ],
    ({ rowStart, count, cells }) => {
      if (neurons.length < count) neurons = new Int32Array(count);
      index.lookup((cells[0] as IdCells).ids, neurons, (row) => table.placeOf(rowStart + row, pre));
      const { numbers } = cells[1] as NumberCells;
      for (let row = 0; row < count; row++) signs.set(neurons[row]!, numbers[row]!, rowStart + row);
      return true;
    },
    options.signal ? { signal: options.signal } : {},
  );
  return signs.signOf;
}
