// From published files to a connectome: neurons chosen, connections counted, thresholded, signed and scaled, with a record of all of it.

import { basename, relative } from "node:path";
import { type Csr, withValues } from "../core/csr.ts";
import { ArgumentError } from "../core/errors.ts";
import { formatCount } from "../core/format.ts";
import { checkNames } from "../core/optionNames.ts";
import { filesOfSelector, type NeuronColumn, parseSelector, type SelectorPlace } from "../core/selector.ts";
import { compareText, plural, quoteText } from "../core/text.ts";
import { VERSION } from "../core/version.ts";
import { candidatesOf, type SelectableNeurons, selectNeurons } from "../data/selectors.ts";
import { sizeOf } from "../io/files.ts";
import { type HashedFile, hashOf } from "../io/hash.ts";
import { hexagonalPlaces, type NeuronRole, type NeuronTable } from "../io/neuronTable.ts";
import type { Provenance, ProvenanceStep } from "../io/provenance.ts";
import type { ReadProgress } from "../io/tableFile.ts";
import { readEdges, readEdgesOfAll } from "./edges.ts";
import { candidatesOf as candidateFiles, filesOf, layoutOf, type NamedFiles, recognise } from "./findFiles.ts";
import { idIndexOf } from "./idIndex.ts";
import type { IdDecision, IdPolicy } from "./idPolicy.ts";
import { LAYOUTS } from "./layouts/index.ts";
import type { ColumnChoice, Dataset, FoundFiles, Layout, LayoutOption, RoleRule, SignOf } from "./layouts/layout.ts";
import { type Normalisation, normalise, parseNormalisation } from "./normalise.ts";
import {
  type FileSignRule,
  type NeuronSigns,
  SIGN_RULES,
  type SignCount,
  type SignedEdges,
  type SignRule,
  signEdges,
  signRuleOf,
  signsOf,
  type UnclearPolicy,
} from "./signs.ts";
import { columnAt, csrAt, csrWithin, filtered, idsAt } from "./subset.ts";
import type { EdgeCounts, NeuronIds } from "./types.ts";

const WHERE = "importConnectome";
/** A file beside data that no animal has. */
const MADE_UP_NOTE = "MADE-UP.txt";

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
  /** Least synapses of a connection, after rows about the same pair were summed. Default 0: any. */
  readonly minSynapses?: number;
  /**
   * Signs of connections: those in the files ("source"), a rule by the transmitter of the presynaptic neuron ("shiu", "strict", "permissive"), a
   * file of signs, or "none". Default: source where the files have signs, else shiu where they name transmitters, else none.
   */
  readonly signs?: string;
  /** Neurons with an unclear transmitter, or none. Default "rule": what the rule says (shiu: they excite; strict, permissive: no connections). */
  readonly unclear?: UnclearPolicy;
  /** "rows", "in-degree", "radius=0.9", "log" or "none". Default "none": weights are signed counts of synapses. */
  readonly normalise?: string;
  /** Factor of all weights, after their normalisation. Default 1. */
  readonly scale?: number;
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
  /** Ids of the neurons, in the order of the rows; null: they are 0, 1, 2, … and say no more than the positions. */
  readonly labels: NeuronIds | null;
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
  /** Neurons and connections by transmitter and sign; empty: no rule by transmitters. */
  readonly signs: readonly SignCount[];
  /** Spectral radius of |W| before the normalisation; null: it does not use it. */
  readonly radiusBefore: number | null;
  /** Neurons without a connection. */
  readonly unconnected: number;
}

const NODES: SelectorPlace = { where: WHERE, argument: "nodes" };

/** Names of all options. */
export const IMPORT_OPTIONS: Readonly<Record<keyof ImportOptions, true>> = {
  ...{
    layout: true,
    edges: true,
    neurons: true,
    pre: true,
    post: true,
    weight: true,
    id: true,
    ids: true,
    nodes: true,
  },
  ...{ signs: true, unclear: true, normalise: true, scale: true },
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
  checkNames(WHERE, options, IMPORT_OPTIONS);
  const named: NamedFiles = { edges: options.edges, neurons: options.neurons };
  const given = Object.values(named).filter((file) => file !== undefined);
  const candidates = await candidateFiles([...paths, ...given]);
  const layout = options.layout === undefined ? recognise(candidates, LAYOUTS) : layoutOf(options.layout, LAYOUTS);
  checkLayoutOptions(layout, options);
  const files = filesOf(layout, candidates, named);
  const dataset = await layout.open(files, options);
  const isMadeUp = candidates.some(({ name }) => basename(name) === MADE_UP_NOTE);
  try {
    return await connectomeOf(isMadeUp ? madeUp(layout) : layout, files, dataset, options);
  } finally {
    await dataset.close();
  }
}

const LAYOUT_OPTIONS: readonly LayoutOption[] = ["pre", "post", "weight", "id", "ids", "rows", "extent"];

/** @throws {ArgumentError} an option that the layout does not take */
function checkLayoutOptions(layout: Layout, options: ImportOptions): void {
  const stray = LAYOUT_OPTIONS.find((name) => options[name] !== undefined && !layout.takes.includes(name));
  if (stray === undefined) return;
  const takers = LAYOUTS.filter(({ takes }) => takes.includes(stray)).map(({ name }) => name);
  throw new ArgumentError(WHERE, stray, `a layout that takes it (${takers.join(", ")})`, layout.name);
}

/** What is settled before the first file is read for long. */
interface Rules {
  /** null: all neurons. */
  readonly nodes: string | null;
  readonly connected: boolean;
  readonly minSynapses: number;
  /** source: the signs in the files. */
  readonly signs: SignRule | "source";
  readonly unclear: UnclearPolicy;
  readonly normalisation: Normalisation;
  readonly scale: number;
}

async function rulesOf(
  { defaultNodes }: Layout,
  hasSigns: boolean,
  hasTransmitters: boolean,
  options: ImportOptions,
): Promise<Rules> {
  const { nodes = defaultNodes, connected = false, minSynapses = 0 } = options;
  const { unclear = "rule", normalise: normalisation = "none", scale = 1 } = options;
  const usual = hasSigns ? "source" : hasTransmitters ? "shiu" : "none";
  const signs = options.signs ?? usual;
  if (signs === "source" && !hasSigns) {
    throw new ArgumentError(
      WHERE,
      "signs",
      "a rule by transmitters, or none",
      "source, though the files have no signs",
    );
  }
  if (signs !== "source" && Object.hasOwn(SIGN_RULES, signs) && !hasTransmitters) {
    const got = `${signs}, though the files name no transmitters`;
    throw new ArgumentError(WHERE, "signs", `none, a file of signs by id${hasSigns ? ", or source" : ""}`, got);
  }
  if (unclear !== "rule" && (signs === "source" || signs === "none")) {
    throw new ArgumentError(WHERE, "unclear", `a rule of signs by transmitters beside it`, `signs ${signs}`);
  }
  const rule = signs === "source" ? signs : await signRuleOf(signs);
  if (typeof rule !== "string" && rule.kind === "transmitter" && !hasTransmitters) {
    throw new ArgumentError(WHERE, "signs", "a file of signs by id", `${signs}, though the files name no transmitters`);
  }
  return {
    ...{ nodes, connected, minSynapses, unclear, scale },
    signs: rule,
    normalisation: parseNormalisation(normalisation),
  };
}

/** A layout whose files nobody measured: there is nobody to cite. */
function madeUp(layout: Layout): Layout {
  return { ...layout, title: `made-up data in the layout of ${layout.title}`, citation: null, licence: null };
}

async function connectomeOf(
  layout: Layout,
  files: FoundFiles,
  dataset: Dataset,
  options: ImportOptions,
): Promise<ImportedConnectome> {
  if (dataset.neurons !== null && options.ids === "position") {
    const expected = "auto, number or name, as the files name the neurons";
    throw new ArgumentError(WHERE, "ids", expected, "position");
  }
  const hasTransmitters = dataset.transmittersOf !== null || (dataset.neurons?.columns.has("transmitter") ?? false);
  const rules = await rulesOf(layout, dataset.signOf !== null, hasTransmitters, options);
  const steps: ProvenanceStep[] = [];
  const chosen = await chooseConnections(layout, dataset, rules, options, steps);
  const notes = [...(chosen.decision ? [chosen.decision.why] : []), ...dataset.notes];
  notes.push(...notesOfEdges(chosen.counts));
  const ids = idsAt(chosen.ids, chosen.indices);
  const own = await withTransmitters(tableAt(chosen.table, chosen.indices), ids, dataset, rules, notes);
  const signed = await signEdgesBy(rules, chosen, dataset, own, ids, files, notes);
  if (signed.csr.nnz === 0) {
    const got = `${typeof rules.signs === "string" ? rules.signs : rules.signs.file}, which gives all of them 0`;
    throw new ArgumentError(WHERE, "signs", "a rule that gives a connection a sign", got);
  }
  if (signed.droppedConnections > 0) steps.push(stepOf("with a sign", signed.csr));
  // Neurons may have lost their connections with the signs.
  const lonely = withoutConnections(signed.csr);
  const leavesOut = rules.connected && lonely.length > 0;
  const kept = leavesOut ? complement(lonely, signed.csr.nRows) : all(signed.csr.nRows);
  const csr = leavesOut ? csrAt(signed.csr, kept) : signed.csr;
  if (leavesOut) steps.push(stepOf("with a connection", csr));
  const labels = leavesOut ? idsAt(ids, kept) : ids;
  const { csr: weighted, radiusBefore } = normalise(csr, rules.normalisation, rules.scale);
  if (radiusBefore && !radiusBefore.converged) {
    const products = formatCount(radiusBefore.iterations);
    notes.push(
      `the spectral radius did not settle in ${products} products: the weights have about the radius demanded`,
    );
  }
  const provenance: Provenance = {
    ...{ format: 1, dataset: layout.title, layout: layout.name, axograd: VERSION, created: new Date().toISOString() },
    ...(layout.citation !== null && { citation: layout.citation }),
    ...(layout.licence !== null && { licence: layout.licence }),
    sources: await hashSources(allFiles(files, rules), options),
    rules: rulesText(rules, options),
    steps,
    notes,
  };
  const report: ImportReport = {
    ids: chosen.decision,
    edges: chosen.counts,
    signs: signed.table,
    radiusBefore: radiusBefore?.value ?? null,
    unconnected: rules.connected ? 0 : lonely.length,
  };
  return {
    csr: weighted,
    labels: arePositions(labels) ? null : labels,
    table: tableAt({ ...own, sign: signed.signs }, kept),
    provenance,
    report,
  };
}

/** Neurons, and the connections among them: counts of synapses. */
interface ChosenConnections {
  /** Of all neurons that the files describe. */
  readonly ids: NeuronIds;
  readonly table: NeuronTable;
  /** Those chosen, ascending. */
  readonly indices: Uint32Array;
  /** [chosen, chosen] */
  readonly csr: Csr;
  readonly counts: EdgeCounts;
  readonly decision: IdDecision | null;
}

async function chooseConnections(
  layout: Layout,
  dataset: Dataset,
  { nodes, minSynapses }: Rules,
  options: ImportOptions,
  steps: ProvenanceStep[],
): Promise<ChosenConnections> {
  const { onProgress, signal } = options;
  const reading = {
    minSynapses,
    ...(onProgress && { onProgress: (progress: ReadProgress) => onProgress("edges", progress) }),
    ...(signal && { signal }),
  };
  const { neurons } = dataset;
  if (neurons === null) {
    const { csr, counts, ids, decision } = await readEdgesOfAll(dataset.edges, {
      ...reading,
      ...(options.ids && { ids: options.ids }),
    });
    steps.push({ step: "neurons at the ends of edges", neurons: ids.length, connections: null, synapses: null });
    steps.push(...stepsOfEdges(counts, csr.nRows, minSynapses));
    const table = tableOf(new Map(), ids.length, null, null);
    const indices = nodes === null ? all(ids.length) : selectNeurons({ ...selectable(table, ids), csr }, nodes, NODES);
    const part = indices.length < ids.length ? csrAt(csr, indices) : csr;
    if (part !== csr) steps.push(stepOf(`nodes: ${nodes}`, part));
    return { ids, table, indices, csr: part, counts, decision };
  }
  const { ids, columns } = neurons;
  const table = tableOf(columns, ids.length, layout.roles, dataset.places);
  steps.push({ step: "neurons in the tables", neurons: ids.length, connections: null, synapses: null });
  const candidates =
    nodes === null ? { indices: all(ids.length), isExact: true } : candidatesOf(selectable(table, ids), nodes, NODES);
  const some = candidates.indices;
  if (nodes !== null) {
    const step = candidates.isExact ? `nodes: ${nodes}` : `nodes: ${nodes}, whatever the connections`;
    steps.push({ step, neurons: some.length, connections: null, synapses: null });
  }
  const index = idIndexOf(
    idsAt(dataset.edgeIds ?? ids, some),
    (k) => `neuron ${String(ids[some[k]!])}`,
    dataset.edgeIds ? "auto" : options.ids,
  );
  const { csr, counts } = await readEdges(dataset.edges, index, reading);
  steps.push(...stepsOfEdges(counts, some.length, minSynapses));
  const common = { ids, table, counts, decision: dataset.decision };
  if (candidates.isExact) return { ...common, indices: some, csr };
  // The selector sees the whole table, so that indices and values mean the same as without connections.
  const whole = csrWithin(csr, some, ids.length);
  const indices = selectNeurons({ ...selectable(table, ids), csr: whole }, nodes!, NODES);
  const part = csrAt(whole, indices);
  steps.push(stepOf(`nodes: ${nodes}`, part));
  return { ...common, indices, csr: part };
}

function selectable(table: NeuronTable, ids: NeuronIds): SelectableNeurons {
  return { ...table, sign: null, ids: Array.from(ids as ArrayLike<bigint | string>, String) };
}

function arePositions(ids: NeuronIds): boolean {
  return ids instanceof BigInt64Array && ids.every((id, i) => id === BigInt(i));
}

function all(count: number): Uint32Array {
  return Uint32Array.from({ length: count }, (_, i) => i);
}

// ---- what was kept -------------------------------------------------------------------------------------------------------

function stepsOfEdges(counts: EdgeCounts, neurons: number, minSynapses: number): readonly ProvenanceStep[] {
  const { rows, rowsOfFile, synapses, connections, connectionSynapses, belowConnections, belowSynapses } = counts;
  const isWhole = rowsOfFile === null || rows === rowsOfFile;
  const read = isWhole ? "rows of edges" : `rows of edges down to the threshold, of ${formatCount(rowsOfFile)}`;
  const steps: ProvenanceStep[] = [{ step: read, neurons: null, connections: rows, synapses }];
  if (belowConnections !== null && belowSynapses !== null && minSynapses > 0) {
    const step = "pairs of these neurons";
    const before = { connections: connections + belowConnections, synapses: connectionSynapses + belowSynapses };
    steps.push({ step, neurons, ...before });
  }
  const step = minSynapses > 0 ? `with at least ${minSynapses} synapses` : "pairs of these neurons";
  steps.push({ step, neurons, connections, synapses: connectionSynapses });
  return steps;
}

/** What is worth a word about edges, beyond the steps. */
function notesOfEdges({ orderBroken, zeroRows }: EdgeCounts): readonly string[] {
  return [
    ...(zeroRows > 0 ? [`${plural(zeroRows, "row")} of 0 synapses between these neurons left out`] : []),
    ...(orderBroken === null ? [] : [`edges are not in descending order: ${orderBroken}; the whole file was read`]),
  ];
}

/** A step after which a matrix of counts is left. */
function stepOf(step: string, { nRows, nnz, values }: Csr): ProvenanceStep {
  let synapses = 0;
  for (let k = 0; k < nnz; k++) synapses += Math.abs(values[k]!);
  return { step, neurons: nRows, connections: nnz, synapses };
}

/** Neurons without a connection, ascending. */
function withoutConnections({ nRows, rowPtr, colIdx, nnz }: Csr): Uint32Array {
  const has = new Uint8Array(nRows);
  for (let i = 0; i < nRows; i++) if (rowPtr[i + 1]! > rowPtr[i]!) has[i] = 1;
  for (let k = 0; k < nnz; k++) has[colIdx[k]!] = 1;
  return all(nRows).filter((i) => !has[i]);
}

/** The numbers below `count` that a list, ascending, does not have. */
function complement(indices: Uint32Array, count: number): Uint32Array {
  let next = 0;
  return all(count).filter((i) => {
    if (indices[next] !== i) return true;
    next++;
    return false;
  });
}

function rulesText(
  { nodes, connected, minSynapses, signs, unclear, normalisation, scale }: Rules,
  options: ImportOptions,
): Provenance["rules"] {
  const {
    layout: _layout,
    edges: _edges,
    neurons: _neurons,
    onProgress: _onProgress,
    signal: _signal,
    ...given
  } = options;
  return {
    ...given,
    nodes: nodes ?? "all",
    ...{ connected, minSynapses },
    signs: typeof signs === "string" ? signs : signs.file,
    ...(signs !== "source" && signs !== "none" && { unclear }),
    normalise: normalisation.kind === "radius" ? `radius=${normalisation.radius}` : normalisation.kind,
    scale,
  };
}

/** The files of the layout, and those that rules name. */
function allFiles(files: FoundFiles, { signs, nodes }: Rules): readonly (readonly [role: string, file: string])[] {
  const lists = nodes === null ? [] : filesOfSelector(parseSelector(nodes, NODES));
  return [
    ...files,
    ...(typeof signs === "string" ? [] : [["signs", signs.file] as const]),
    ...lists.map((file) => ["ids", file] as const),
  ];
}

/** Hashes of the files, which are read once more. */
async function hashSources(
  files: readonly (readonly [role: string, file: string])[],
  { onProgress, signal }: ImportOptions,
): Promise<readonly HashedFile[]> {
  const sources: HashedFile[] = [];
  for (const [role, file] of files) {
    const total = await sizeOf(file, "a file of the data set");
    const hash = await hashOf(file, (done) => {
      signal?.throwIfAborted();
      onProgress?.(`hash of ${file}`, { done, total });
    });
    sources.push({ role, file: relative(process.cwd(), file), ...hash });
  }
  return sources;
}

// ---- signs ---------------------------------------------------------------------------------------------------------------

/** Whether neurons get their signs by their transmitters. */
function isByTransmitters({ signs }: Rules): boolean {
  return signs !== "source" && signs !== "none" && (typeof signs === "string" || signs.kind === "transmitter");
}

/** The table with the transmitters that the edges say, where a rule asks for them and the table has none. */
async function withTransmitters(
  table: NeuronTable,
  ids: NeuronIds,
  { transmittersOf }: Dataset,
  rules: Rules,
  notes: string[],
): Promise<NeuronTable> {
  if (transmittersOf === null || !isByTransmitters(rules)) return table;
  const transmitter = await transmittersOf(ids);
  notes.push("transmitter is that with the largest sum of share × synapses over the rows of the presynaptic neuron");
  return { ...table, columns: new Map([...(table.columns ?? []), ["transmitter", transmitter]]) };
}

async function signEdgesBy(
  { signs: rule, unclear }: Rules,
  { csr, indices }: ChosenConnections,
  dataset: Dataset,
  table: NeuronTable,
  ids: NeuronIds,
  files: FoundFiles,
  notes: string[],
): Promise<SignedEdges> {
  if (rule === "none") return signEdges(csr, null);
  if (rule === "source") return signedBySource(csr, await dataset.signOf!(), indices);
  const index = idIndexOf(ids, (k) => `neuron ${String(ids[k])}`);
  const transmitters = table.columns?.get("transmitter") ?? null;
  const place = files.get("transmitters") ?? files.get("neurons") ?? files.get("edges")!;
  const signs = signsOf(transmitters, index, rule, unclear, place);
  if (typeof rule !== "string") notes.push(...unusedKeys(rule, signs));
  return signEdges(csr, signs);
}

/** What a file of signs names, and the neurons do not have. */
function unusedKeys({ file, kind, keys }: FileSignRule, { transmitters, unusedIds }: NeuronSigns): readonly string[] {
  if (kind === "id") return unusedIds === 0 ? [] : [`${file}: ${plural(unusedIds, "id")} of none of these neurons`];
  const unused = keys.filter((key) => !transmitters.values.includes(key));
  return unused.length === 0 ? [] : [`${file}: no neuron has ${unused.map((key) => quoteText(key)).join(", ")}`];
}

/** Connections with the signs that their files have. A neuron has a sign where all its connections share it. */
function signedBySource(csr: Csr, signOf: SignOf, indices: Uint32Array): SignedEdges {
  const { nCols, rowPtr, colIdx, values } = csr;
  const [plus, minus] = [new Uint8Array(nCols), new Uint8Array(nCols)];
  const signed = values.slice();
  let [droppedConnections, droppedSynapses] = [0, 0];
  for (let i = 0; i < csr.nRows; i++) {
    for (let k = rowPtr[i]!; k < rowPtr[i + 1]!; k++) {
      const j = colIdx[k]!;
      const sign = signOf(indices[j]!, indices[i]!);
      signed[k]! *= sign;
      if (sign > 0) plus[j] = 1;
      else if (sign < 0) minus[j] = 1;
      else {
        droppedConnections++;
        droppedSynapses += values[k]!;
      }
    }
  }
  const whole = withValues(csr, signed);
  return {
    csr: droppedConnections === 0 ? whole : filtered(whole, (k) => signed[k] !== 0),
    signs: Int8Array.from(plus, (is, j) => is - minus[j]!),
    ...{ table: [], droppedConnections, droppedSynapses },
  };
}

// ---- the table -----------------------------------------------------------------------------------------------------------

function tableOf(
  columns: ReadonlyMap<string, NeuronColumn>,
  count: number,
  roles: RoleRule | null,
  places: Dataset["places"],
): NeuronTable {
  const { values: types, valueIdx } = byName(columns.get("type") ?? { values: [""], valueIdx: new Uint32Array(count) });
  const { x = null, y = null } = places ? hexagonalPlaces(places.u, places.v) : {};
  return {
    count,
    types,
    typeIdx: Uint32Array.from(valueIdx),
    role: rolesOf(columns, roles),
    sign: null,
    x,
    y,
    columns,
  };
}

/** A column whose values are in order. */
function byName({ values, valueIdx }: NeuronColumn): NeuronColumn {
  const order = values.map((_, v) => v).sort((a, b) => compareText(values[a]!, values[b]!));
  const rank = new Uint32Array(values.length);
  order.forEach((v, r) => {
    rank[v] = r;
  });
  return { values: order.map((v) => values[v]!), valueIdx: Uint32Array.from(valueIdx, (v) => rank[v]!) };
}

/** null: the neurons have no column that says it. */
function rolesOf(columns: ReadonlyMap<string, NeuronColumn>, rule: RoleRule | null): readonly NeuronRole[] | null {
  const column = rule && columns.get(rule.column);
  if (!rule || !column) return null;
  const roles = column.values.map(
    (text): NeuronRole => (rule.input.test(text) ? "input" : rule.output.test(text) ? "output" : "hidden"),
  );
  if (roles.every((role) => role === "hidden")) return null;
  return Array.from(column.valueIdx, (v) => roles[v]!);
}

/** The table of some neurons. */
function tableAt(table: NeuronTable, indices: Uint32Array): NeuronTable {
  if (indices.length === table.count) return table;
  const { types, typeIdx, role, sign, x, y, columns } = table;
  const own = columnAt({ values: types, valueIdx: typeIdx }, indices);
  const floats = (values: Float64Array | null) => values && Float64Array.from(indices, (i) => values[i]!);
  return {
    count: indices.length,
    types: own.values,
    typeIdx: Uint32Array.from(own.valueIdx),
    role: role && Array.from(indices, (i) => role[i]!),
    sign: sign && Int8Array.from(indices, (i) => sign[i]!),
    x: floats(x),
    y: floats(y),
    columns: new Map(Array.from(columns ?? [], ([name, column]) => [name, columnAt(column, indices)])),
  };
}
