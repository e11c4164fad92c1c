// The density of the connectome's matrix, with rows and columns in the order of the neuron groups.

import type { Csr } from "../../core/csr.ts";
import { formatCount } from "../../core/format.ts";
import { clipped } from "../../core/text.ts";

import type { Drawing, Figure } from "../figure.ts";
import type { NeuronGroup } from "../groups.ts";
import { greyImage, painted } from "../mask.ts";
import { at, element, label } from "../svg.ts";

const RESOLUTION = 200;
const LEFT = 82;
const TOP = 30;
const BOTTOM = 34;
/** The faintest connection still shows. */
const FAINTEST = 0.22;
const LABEL_GAP = 12;
const NAME_LENGTH = 11;

interface Density {
  readonly size: number;
  /** [size, size] connections per cell. */
  readonly connections: Uint32Array;
  /** [size, size] excitatory minus inhibitory ones. */
  readonly balance: Int32Array;
}

export function spyFigure(csr: Csr, groups: readonly NeuronGroup[]): Figure {
  const place = placesOf(groups, csr.nRows);
  const density = densityOf(csr, place);
  return {
    id: "spy",
    title: "Connectivity",
    caption: `${formatCount(csr.nnz)} connections: row, the receiving neuron; column, the sending one; both by cell type. Blue: mostly positive weights; orange: mostly negative; stronger: more connections.`,
    span: "half",
    draw: (width, uid) => draw(density, groups, width, uid),
    table: tableOf(csr, groups),
  };
}

/** Position of every neuron when groups follow one another. */
function placesOf(groups: readonly NeuronGroup[], n: number): Uint32Array {
  const place = new Uint32Array(n);
  let next = 0;
  for (const { neurons } of groups) for (const i of neurons) place[i] = next++;
  return place;
}

function densityOf({ nRows, rowPtr, colIdx, values }: Csr, place: Uint32Array): Density {
  const size = Math.min(RESOLUTION, nRows);
  const connections = new Uint32Array(size * size);
  const balance = new Int32Array(size * size);
  const binOf = (i: number) => Math.floor((place[i]! * size) / nRows);
  for (let i = 0; i < nRows; i++) {
    const row = binOf(i) * size;
    for (let k = rowPtr[i]!; k < rowPtr[i + 1]!; k++) {
      const cell = row + binOf(colIdx[k]!);
      connections[cell]!++;
      balance[cell]! += Math.sign(values[k]!);
    }
  }
  return { size, connections, balance };
}

function draw(
  { size, connections, balance }: Density,
  groups: readonly NeuronGroup[],
  fullWidth: number,
  uid: string,
): Drawing {
  const side = Math.min(fullWidth - LEFT - 8, 420);
  const most = Math.log1p(connections.reduce((a, b) => Math.max(a, b), 1));
  const picture = (belongs: (balance: number) => boolean) =>
    greyImage(size, size, (x, y) => {
      const n = connections[y * size + x]!;
      if (n === 0 || !belongs(balance[y * size + x]!)) return 0;
      return FAINTEST + (1 - FAINTEST) * (Math.log1p(n) / most);
    });
  const box = { x: 0, y: 0, width: side, height: side };
  const total = groups.reduce((sum, g) => sum + g.neurons.length, 0);
  let from = 0;
  let lastLabel = Number.NEGATIVE_INFINITY;
  const marks = groups.map(({ name, neurons }) => {
    const top = (from / total) * side;
    from += neurons.length;
    const bottom = (from / total) * side;
    const line = element("line", { class: "axis thin", x1: -5, x2: 0, y1: bottom, y2: bottom });
    const middle = (top + bottom) / 2;
    if (middle - lastLabel < LABEL_GAP) return line;
    lastLabel = middle;
    return line + label(-9, middle + 4, clipped(name, NAME_LENGTH), { class: "soft small", "text-anchor": "end" });
  });
  const body = [
    element("rect", { class: "fill ink", ...box, "fill-opacity": 0.04 }),
    painted(`${uid}-positive`, "blue", [{ image: picture((b) => b >= 0), ...box }]),
    painted(`${uid}-negative`, "orange", [{ image: picture((b) => b < 0), ...box }]),
    ...marks,
    label(-LEFT, -12, "to", { class: "soft" }),
    label(side / 2, side + 22, "from, in the same order", { class: "soft", "text-anchor": "middle" }),
  ];
  return { height: TOP + side + BOTTOM, body: at(LEFT, TOP, ...body) };
}

/** Connections between roles. */
function tableOf({ nRows, rowPtr, colIdx }: Csr, groups: readonly NeuronGroup[]): Figure["table"] {
  const roles = [...new Set(groups.map((g) => g.role))];
  const roleOf = new Uint8Array(nRows);
  for (const { role, neurons } of groups) for (const i of neurons) roleOf[i] = roles.indexOf(role);
  const counts = roles.map(() => roles.map(() => 0));
  for (let i = 0; i < nRows; i++) {
    for (let k = rowPtr[i]!; k < rowPtr[i + 1]!; k++) counts[roleOf[i]!]![roleOf[colIdx[k]!]!]!++;
  }
  return {
    columns: ["connections to", ...roles.map((role) => `from ${role}`)],
    rows: roles.map((role, r) => [role, ...counts[r]!.map(formatCount)]),
  };
}
