// Layouts that are dense matrices with the ids of the neurons in the first line and the first column.

import { FileFormatError } from "../../core/errors.ts";
import { plural, quoteValue } from "../../core/text.ts";
import { readNamedMatrix } from "../../io/matrixTable.ts";
import { openTable } from "../../io/openTable.ts";
import { settleNeuronIds } from "../idPolicy.ts";
import { edgesOfIndices, positions } from "../memoryEdges.ts";
import { idsFrom, readNeurons } from "../neurons.ts";
import type { Dataset, FoundFiles, Layout, OpenLayoutOptions, SharedSources } from "./layout.ts";
import { type NeuronTableLayout, neuronSourceOf } from "./tables.ts";

/** What a layout with a dense matrix says beyond `Layout`. */
export interface MatrixLayout extends Omit<Layout, "open" | "takes" | "isRecognised"> {
  /** What the rows are. */
  readonly rows: "pre" | "post";
  readonly neurons: NeuronTableLayout;
  readonly shared: SharedSources;
}

/** A layout whose edges are a matrix. Neurons are those of the first line, then those that only lines have. */
export function matrixLayout(spec: MatrixLayout): Layout {
  const { rows: _rows, neurons: _neurons, shared: _shared, ...layout } = spec;
  return {
    isRecognised: true,
    ...layout,
    takes: ["rows", "id", "ids"],
    open: (files, options) => openMatrix(spec, files, options),
  };
}

async function openMatrix(spec: MatrixLayout, files: FoundFiles, options: OpenLayoutOptions): Promise<Dataset> {
  const file = files.get("edges")!;
  const { columns, lines, placeOfLine, entries } = await readNamedMatrix(file, { emptyIsZero: true });
  const placeOf = (k: number): string => (k < columns.length ? file : placeOfLine(k - columns.length));
  const policy = options.ids ?? "auto";
  const found = settleNeuronIds([...columns, ...lines].map(String), policy, placeOf);
  const settled = Array.from<bigint | string>(found.ids);
  const numbers = new Map<bigint | string, number>(settled.slice(0, columns.length).map((id, k) => [id, k]));
  const lineIds = new Set<bigint | string>();
  const ofLines = Uint32Array.from(lines, (_, line) => {
    const id = settled[columns.length + line]!;
    if (lineIds.has(id)) throw new FileFormatError(placeOfLine(line), "every neuron once", `${quoteValue(id)} again`);
    lineIds.add(id);
    const number = numbers.get(id) ?? numbers.size;
    numbers.set(id, number);
    return number;
  });
  const { ids, decision } = settleNeuronIds(idsFrom([...numbers.keys()]), policy, placeOf);
  const notes: string[] = [];
  const onlyOne = 2 * numbers.size - columns.length - lines.length;
  if (onlyOne > 0) notes.push(`${file}: ${plural(onlyOne, "neuron")} with a line or a column alone`);
  const rows = options.rows ?? spec.rows;
  notes.push(`${file}: rows are ${rows === "pre" ? "presynaptic" : "postsynaptic"}`);
  const ends = { pre: rows === "pre", post: rows === "post" };
  const { rows: line, cols: column, values } = entries;
  const edges = edgesOfIndices({
    file,
    count: entries.length,
    fill(start, count, pre, post, weights) {
      const [ofLine, ofColumn] = ends.pre ? [pre, post] : [post, pre];
      for (let k = 0; k < count; k++) {
        ofLine[k] = ofLines[line[start + k]!]!;
        ofColumn[k] = column[start + k]!;
        weights[k] = values[start + k]!;
      }
    },
    placeOf: (row) => `${placeOfLine(line[row]!)} (entry ${column[row]! + 1} of the line)`,
  });
  const none = { signOf: null, transmittersOf: null, places: null };
  const common = { edgeIds: positions(ids.length), edges: [edges], ...none };
  const table = files.get("neurons");
  if (table === undefined) {
    return { ...common, neurons: { ids, columns: new Map() }, decision, notes, close: async () => {} };
  }
  const open = await openTable(table);
  try {
    const read = await readNeurons([neuronSourceOf(spec.neurons, open, options)], {
      shared: spec.shared,
      known: { ids, placeOf: (k) => `${file}: neuron ${k}` },
      policy,
      ...(options.signal && { signal: options.signal }),
    });
    notes.push(...read.notes);
    return { ...common, neurons: read.frame, decision, notes, close: async () => {} };
  } finally {
    await open.close();
  }
}
