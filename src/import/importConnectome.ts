// From published files to a connectome: neurons chosen, connections counted, thresholded, signed and scaled, with a record of all of it.

import { relative } from "node:path";
import { type Csr, withValues } from "../core/csr.ts";
import { ArgumentError } from "../core/errors.ts";
import { checkNames } from "../core/optionNames.ts";
import type { NeuronColumn } from "../core/selector.ts";
import { compareText } from "../core/text.ts";
import { VERSION } from "../core/version.ts";
import { candidatesOf, selectNeurons } from "../data/selectors.ts";
import { type HashedFile, hashOf } from "../io/hash.ts";
import { hexagonalPlaces, type NeuronRole, type NeuronTable } from "../io/neuronTable.ts";
import type { Provenance, ProvenanceStep } from "../io/provenance.ts";
import type { ReadProgress } from "../io/tableFile.ts";
import { readEdges, readEdgesOfAll } from "./edges.ts";
import { candidatesOf as candidateFiles, filesOf, layoutOf, type NamedFiles, recognise } from "./findFiles.ts";
import { idIndexOf } from "./idIndex.ts";
import type { IdDecision, IdPolicy } from "./idPolicy.ts";
import { LAYOUTS } from "./layouts/index.ts";
import type { ColumnChoice, Dataset, FoundFiles, Layout, RoleRule } from "./layouts/layout.ts";
import { columnAt, csrAt, csrWithin, filtered, idsAt } from "./subset.ts";
import type { EdgeCounts, NeuronIds } from "./types.ts";

const WHERE = "importConnectome";

/** Options of `importConnectome`. */
export interface ImportOptions extends ColumnChoice {
  /** The layout of the files, such as "malecns". Default: the one that their names show. */
  readonly layout?: string;
  /** File of the edges, or of the neurons, in place of the one with the published name. */
  readonly edges?: string;
  readonly neurons?: string;
  /** What ids are taken for. Default "auto": their form decides. */
  readonly ids?: IdPolicy;
  /** Selector of the neurons, by the columns of their tables and their connections. Default: that of the layout. */
  readonly nodes?: string;
  /** Leave out neurons without connections. Default false. */
  readonly connected?: boolean;
  /** Least synapses of a connection, after rows about the same pair were summed. Default 1. */
  readonly minSynapses?: number;
  /** Matrices with names: what rows are. Default: what the layout says. */
  readonly rows?: "pre" | "post";
  /** flyvis: columns from the centre to the border. Default 15. */
  readonly extent?: number;
  /** Called while files are read. */
  readonly onProgress?: (step: string, progress: ReadProgress) => void;
  readonly signal?: AbortSignal;
}

/** A connectome of published files. */
export interface ImportedConnectome {
  /** Weights [post, pre]. */
  readonly csr: Csr;
  /** Ids of the neurons, in the order of the rows. */
  readonly labels: NeuronIds;
  /** Types, roles, signs, and all columns of the files. */
  readonly table: NeuronTable;
  readonly provenance: Provenance;
  readonly report: ImportReport;
}

/** What an import did, beyond the steps of its provenance. Plain JSON. */
export interface ImportReport {
  /** What ids were taken for; null: nothing was to be decided. */
  readonly ids: IdDecision | null;
  readonly edges: EdgeCounts;
  /** Neurons without a connection. */
  readonly unconnected: number;
  readonly notes: readonly string[];
}

const OPTIONS: Readonly<Record<keyof ImportOptions, true>> = {
  ...{ layout: true, edges: true, neurons: true, pre: true, post: true, weight: true, id: true, ids: true, nodes: true },
  ...{ connected: true, minSynapses: true, rows: true, extent: true, onProgress: true, signal: true },
};

/**
 * Reads a published connectome.
 *
 * @param paths  folders of its files, or the files themselves
 * @throws {ArgumentError} an option that is none; files that fit no layout or several; a selector of no neuron
 * @throws {FileFormatError} "file-missing": a file of the layout is not there; damaged content, with its place
 * @throws {EngineError} "peer-missing": a package that decodes a file is not installed
 */
export async function importConnectome(
  paths: readonly string[],
  options: ImportOptions = {},
): Promise<ImportedConnectome> {
  checkNames(WHERE, options, OPTIONS);
  const named: NamedFiles = { edges: options.edges, neurons: options.neurons };
  const candidates = await candidateFiles(paths);
  const layout =
    options.layout === undefined ? recognise(candidates, LAYOUTS, named) : layoutOf(options.layout, LAYOUTS);
  const files = filesOf(layout, candidates, named);
  const dataset = await layout.open(files, options);
  try {
    return await connectomeOf(layout, files, dataset, options);
  } finally {
    await dataset.close();
  }
}

async function connectomeOf(
  layout: Layout,
  files: FoundFiles,
  dataset: Dataset,
  options: ImportOptions,
): Promise<ImportedConnectome> {
  const { nodes = layout.defaults.nodes, connected = false, minSynapses = 1 } = options;
  const steps: ProvenanceStep[] = [];
  const chosen = await chosenConnections(layout, dataset, nodes, minSynapses, options, steps);
  const { counts } = chosen;
  let { indices, csr, table } = chosen;
  const isolated = withoutConnections(csr);
  if (connected && isolated.length > 0) {
    const kept = complement(isolated, csr.nRows);
    [csr, indices] = [csrAt(csr, kept), idsOfPart(indices, kept)];
    steps.push(stepOf("with a connection", csr));
  }
  table = tableAt(table, indices);
  const labels = idsAt(chosen.ids, indices);
  const sources = await hashSources(files, options);
  const provenance: Provenance = {
    format: 1,
    dataset: layout.title,
    layout: layout.name,
    axograd: VERSION,
    created: new Date().toISOString(),
    sources,
    rules: { nodes: nodes ?? "all", minSynapses, connected },
    steps,
  };
  const report = {
    ids: chosen.decision,
    edges: counts,
    unconnected: connected ? 0 : isolated.length,
    notes: dataset.notes,
  };
  return { csr, labels, table, provenance, report };
}
