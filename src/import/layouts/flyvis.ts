// flyvis: the visual system by cell type, laid out over the hexagonal columns of an eye.
// Source: Lappalainen et al., Nature 634, 1132 (2024), and the counts of its published network.

import { ArgumentError, FileFormatError } from "../../core/errors.ts";
import type { NeuronColumn } from "../../core/selector.ts";
import { quoteText, quoteValue } from "../../core/text.ts";
import { HexagonalEye } from "../../data/hexagon.ts";
import { readBytes } from "../../io/files.ts";
import { JsonParts } from "../../io/jsonParts.ts";
import { Triples } from "../../io/triples.ts";
import { edgesOfIndices, positions } from "../memoryEdges.ts";
import type { Dataset, FoundFiles, Layout, OpenLayoutOptions } from "./layout.ts";

const WHAT = "cell types and their connections (flyvis)";
/** Columns from the centre in flyvis' published network. */
const DEFAULT_EXTENT = 15;
/** 27 million connections. */
const LARGEST_EXTENT = 64;
/** Offsets are a few columns. */
const LARGEST_OFFSET = 64;

export const flyvis: Layout = {
  name: "flyvis",
  title: "flyvis, visual system of Drosophila by cell type",
  citation: "Lappalainen et al., Nature 634, 1132 (2024), doi:10.1038/s41586-024-07939-3",
  licence: "MIT",
  isRecognised: true,
  takes: ["extent"],
  files: [
    {
      role: "edges",
      name: "fib25-fib19_v2.2.json",
      patterns: [/(^|\/)fib25-fib19_v2\.2\.json$/, /(^|\/)fib25-fib19_v[\d.]+\.json$/],
      isNeeded: true,
    },
  ],
  defaultNodes: null,
  roles: { column: "superclass", input: /^input$/, output: /^output$/ },
  open: openFlyvis,
};

/** A cell type: its cells are in the columns (u, v) with u ≡ 0 mod strideU and v ≡ 0 mod strideV. */
interface CellType {
  readonly name: string;
  readonly strideU: number;
  readonly strideV: number;
}

/** Connections from each cell of a type to the cells of another one at these offsets. */
interface TypeProjection {
  readonly pre: number;
  readonly post: number;
  readonly sign: 1 | -1;
  readonly offsets: readonly Offset[];
}

interface Offset {
  readonly du: number;
  readonly dv: number;
  /** Mean number of synapses. */
  readonly synapses: number;
}

async function openFlyvis(files: FoundFiles, options: OpenLayoutOptions): Promise<Dataset> {
  const { extent = DEFAULT_EXTENT } = options;
  if (!(Number.isInteger(extent) && extent >= 0 && extent <= LARGEST_EXTENT)) {
    throw new ArgumentError("importConnectome", "extent", `a whole number from 0 to ${LARGEST_EXTENT}`, `${extent}`);
  }
  const file = files.get("edges")!;
  const parts = JsonParts.parse(file, new TextDecoder().decode(await readBytes(file, WHAT)), WHAT);
  const types = parts.objects("nodes").map((node) => cellTypeOf(node, file));
  const numbers = new Map(types.map(({ name }, t) => [name, t]));
  if (numbers.size < types.length) throw new FileFormatError(file, "different names of nodes", "one twice");
  const projections = parts.objects("edges").map((edge) => projectionOf(edge, numbers, file));
  const eye = new HexagonalEye(extent);
  const cells = layOut(types, eye);
  const columns = cellColumns(types, cells, eye, parts, file);
  // A pair of types has one sign, so all connections between them do.
  const signs = new Map<number, 1 | -1>();
  const pairOf = (pre: number, post: number): number => post * types.length + pre;
  for (const { pre, post, sign } of projections) {
    if (signs.has(pairOf(pre, post))) {
      const names = `${quoteText(types[pre]!.name)} → ${quoteText(types[post]!.name)}`;
      throw new FileFormatError(file, "every pair of types once", `${names} again`);
    }
    signs.set(pairOf(pre, post), sign);
  }
  const { rows: post, cols: pre, values: synapses } = connect(projections, cells, eye);
  const edges = edgesOfIndices({
    file,
    count: pre.length,
    fill(start, count, preIds, postIds, weights) {
      for (let k = 0; k < count; k++) {
        preIds[k] = pre[start + k]!;
        postIds[k] = post[start + k]!;
        weights[k] = synapses[start + k]!;
      }
    },
    placeOf: (row) => `${file}: connection ${row} of the layout`,
  });
  const count = cells.typeIdx.length;
  return {
    neurons: { ids: positions(count), columns },
    decision: null,
    edgeIds: null,
    edges: [edges],
    transmittersOf: null,
    signOf: async () => (from, to) => signs.get(pairOf(cells.typeIdx[from]!, cells.typeIdx[to]!))!,
    places: {
      u: Float64Array.from(cells.column, (c) => eye.u[c]!),
      v: Float64Array.from(cells.column, (c) => eye.v[c]!),
    },
    notes: [
      `${types.length} cell types and ${projections.length} pairs of types over ${eye.count} columns (extent ${extent})`,
      "offsets within the hull of three or more that are not listed have one synapse; of the hull's border, those in its lowest row have none",
    ],
    close: async () => {},
  };
}

function cellTypeOf(node: JsonParts, file: string): CellType {
  const name = node.text("name");
  const pattern = node.all.pattern;
  const [kind, stride] = Array.isArray(pattern) ? pattern : [];
  const [strideU, strideV] = Array.isArray(stride) ? stride : [];
  const isStride = (value: unknown): value is number => Number.isInteger(value) && (value as number) >= 1;
  if (kind === "stride" && isStride(strideU) && isStride(strideV)) return { name, strideU, strideV };
  throw new FileFormatError(`${file}: ${quoteText(name)}`, 'a pattern ["stride", [u, v]]', quoteValue(pattern));
}

function projectionOf(edge: JsonParts, numbers: ReadonlyMap<string, number>, file: string): TypeProjection {
  const [src, tar] = [edge.text("src"), edge.text("tar")];
  const place = `${file}: ${quoteText(src)} → ${quoteText(tar)}`;
  const [pre, post] = [numbers.get(src), numbers.get(tar)];
  if (pre === undefined || post === undefined) throw new FileFormatError(place, "names of nodes", "another name");
  const sign = edge.number("alpha");
  if (sign !== 1 && sign !== -1) throw new FileFormatError(place, "alpha 1 or -1", `${sign}`);
  const list = edge.all.offsets;
  if (!Array.isArray(list)) throw new FileFormatError(place, "a list of offsets", quoteValue(list));
  const offsets = list.map((entry): Offset => {
    const [step, synapses] = Array.isArray(entry) ? entry : [];
    const [du, dv] = Array.isArray(step) ? step : [];
    const isStep = (value: unknown): boolean => Number.isInteger(value) && Math.abs(value as number) <= LARGEST_OFFSET;
    if (isStep(du) && isStep(dv) && Number.isFinite(synapses) && synapses >= 0) return { du, dv, synapses };
    throw new FileFormatError(place, "offsets as [[du, dv], synapses]", quoteValue(entry));
  });
  if (new Set(offsets.map(({ du, dv }) => `${du},${dv}`)).size < offsets.length) {
    throw new FileFormatError(place, "every offset once", "one twice");
  }
  return { pre, post, sign, offsets: completed(offsets) };
}

/**
 * The offsets, and one synapse at those within the convex hull of three or more that are not listed. A point on the border of the hull is within it,
 * except in the row of the least v: so many connections has the published network.
 */
function completed(offsets: readonly Offset[]): readonly Offset[] {
  const hull = convexHull(offsets);
  if (hull.length < 3) return offsets;
  const listed = new Set(offsets.map(({ du, dv }) => `${du},${dv}`));
  const [us, vs] = [offsets.map(({ du }) => du), offsets.map(({ dv }) => dv)];
  const all = [...offsets];
  for (let du = Math.min(...us); du <= Math.max(...us); du++) {
    for (let dv = Math.min(...vs) + 1; dv <= Math.max(...vs); dv++) {
      const isInside = hull.every((a, i) => turn(a, hull[(i + 1) % hull.length]!, { du, dv }) >= 0);
      if (isInside && !listed.has(`${du},${dv}`)) all.push({ du, dv, synapses: 1 });
    }
  }
  return all;
}

type Point = Pick<Offset, "du" | "dv">;

/** Twice the area of the triangle; above 0 where it goes round counterclockwise. */
function turn(a: Point, b: Point, c: Point): number {
  return (b.du - a.du) * (c.dv - a.dv) - (b.dv - a.dv) * (c.du - a.du);
}

/** Corners of the convex hull, counterclockwise; fewer than three where all points lie on a line. Source: Andrew, Inf. Process. Lett. 9, 216 (1979). */
function convexHull(points: readonly Point[]): readonly Point[] {
  const sorted = [...points].sort((a, b) => a.du - b.du || a.dv - b.dv);
  const half = (ordered: readonly Point[]): Point[] => {
    const chain: Point[] = [];
    for (const point of ordered) {
      while (chain.length >= 2 && turn(chain.at(-2)!, chain.at(-1)!, point) <= 0) chain.pop();
      chain.push(point);
    }
    return chain.slice(0, -1);
  };
  return [...half(sorted), ...half(sorted.reverse())];
}

/** The cells, by type in the order of the file, then by column. */
interface Cells {
  /** [cells] */
  readonly typeIdx: Uint32Array;
  /** [cells], number of the column. */
  readonly column: Uint32Array;
  /** [types][columns], number of the cell; −1: none. */
  readonly cellOf: readonly Int32Array[];
}

function layOut(types: readonly CellType[], eye: HexagonalEye): Cells {
  const [typeIdx, column]: [number[], number[]] = [[], []];
  const cellOf = types.map(({ strideU, strideV }, t) => {
    const cells = new Int32Array(eye.count).fill(-1);
    for (let c = 0; c < eye.count; c++) {
      if (eye.u[c]! % strideU !== 0 || eye.v[c]! % strideV !== 0) continue;
      cells[c] = typeIdx.length;
      typeIdx.push(t);
      column.push(c);
    }
    return cells;
  });
  return { typeIdx: Uint32Array.from(typeIdx), column: Uint32Array.from(column), cellOf };
}

/** Connections as (post, pre, synapses). */
function connect(projections: readonly TypeProjection[], { cellOf }: Cells, eye: HexagonalEye): Triples {
  const connections = new Triples("f64");
  for (const projection of projections) {
    const [sources, targets] = [cellOf[projection.pre]!, cellOf[projection.post]!];
    for (const offset of projection.offsets) {
      if (offset.synapses === 0) continue;
      for (let c = 0; c < eye.count; c++) {
        if (sources[c]! < 0) continue;
        const target = eye.neighbour(c, offset);
        if (target >= 0 && targets[target]! >= 0) connections.push(targets[target]!, sources[c]!, offset.synapses);
      }
    }
  }
  return connections;
}

/** Coordinates of cells as text. */
function coordinates(ofColumn: Int32Array, column: Uint32Array): NeuronColumn {
  const least = ofColumn.reduce((a, b) => Math.min(a, b));
  const most = ofColumn.reduce((a, b) => Math.max(a, b));
  const values = Array.from({ length: most - least + 1 }, (_, k) => String(least + k));
  return { values, valueIdx: Uint32Array.from(column, (c) => ofColumn[c]! - least) };
}

/** Type, role (as superclass) and column of each cell. */
function cellColumns(
  types: readonly CellType[],
  { typeIdx, column }: Cells,
  eye: HexagonalEye,
  parts: JsonParts,
  file: string,
): ReadonlyMap<string, NeuronColumn> {
  const roles = ["hidden", "input", "output"];
  const roleOf = new Uint32Array(types.length);
  for (const [role, name] of [
    [1, "input_units"],
    [2, "output_units"],
  ] as const) {
    const units = parts.all[name];
    if (!Array.isArray(units)) throw new FileFormatError(file, `a list of names in ${name}`, quoteValue(units));
    for (const unit of units) {
      const type = types.findIndex((known) => known.name === unit);
      if (type < 0) throw new FileFormatError(`${file}: ${name}`, "names of nodes", quoteValue(unit));
      roleOf[type] = role;
    }
  }
  return new Map<string, NeuronColumn>([
    ["type", { values: types.map(({ name }) => name), valueIdx: typeIdx }],
    ["superclass", { values: roles, valueIdx: Uint32Array.from(typeIdx, (type) => roleOf[type]!) }],
    ["u", coordinates(eye.u, column)],
    ["v", coordinates(eye.v, column)],
  ]);
}
