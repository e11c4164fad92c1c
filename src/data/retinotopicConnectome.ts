// A small made-up visual system: columns on a square grid, four layers of cell types, and connections that repeat in every column,
// like a convolution. It is invented, not measured; it has what a fly's optic lobe has that matters for learning: an ordered
// input, local wiring, excitation and inhibition, recurrence, and outputs two or three synapses away from the input.

import { type Csr, csrFromCoo } from "../core/csr.ts";
import { ArgumentError } from "../core/errors.ts";
import { deriveKey, keyOfSeed, RandomStream } from "../core/random.ts";
import type { NeuronRole, NeuronTable } from "../io/neuronTable.ts";

interface CellType {
  readonly name: string;
  readonly role: NeuronRole;
  readonly sign: 1 | -1;
  /** Place within the column, in columns; photoreceptors share a column's facets so that they see finer than the grid. */
  readonly dx: number;
  readonly dy: number;
}

const cell = (name: string, role: NeuronRole, sign: 1 | -1, dx = 0, dy = 0): CellType => ({ name, role, sign, dx, dy });

/** Numbers follow this order, type by type. */
const CELL_TYPES: readonly CellType[] = [
  cell("R1", "input", 1, -0.25, -0.25),
  cell("R2", "input", 1, 0.25, 0.25),
  cell("L1", "hidden", 1),
  cell("L2", "hidden", -1),
  cell("L3", "hidden", -1),
  cell("M1", "hidden", 1),
  cell("M2", "hidden", -1),
  cell("M3", "hidden", 1),
  cell("M4", "hidden", -1),
  cell("T1", "output", 1),
  cell("T2", "output", -1),
  cell("T3", "output", 1),
  cell("T4", "output", -1),
  cell("T5", "output", 1),
];

/** Connections from every type of one group to every type of another. Groups are first letters: R, L, M, T. */
interface TypeConnection {
  readonly from: string;
  readonly to: string;
  /** Farthest offset, in columns. */
  readonly radius: number;
  /** How many offsets each pair of types uses (fewer at the border, where they leave the grid). */
  readonly offsets: number;
  /** Synapses of the strongest offset, on average. */
  readonly strength: number;
}

const TYPE_CONNECTIONS: readonly TypeConnection[] = [
  { from: "R", to: "L", radius: 1.5, offsets: 4, strength: 20 },
  { from: "R", to: "M", radius: 2.3, offsets: 3, strength: 10 },
  { from: "L", to: "L", radius: 2.3, offsets: 2, strength: 4 },
  { from: "L", to: "M", radius: 2.3, offsets: 5, strength: 15 },
  { from: "L", to: "T", radius: 2.3, offsets: 5, strength: 15 },
  { from: "M", to: "L", radius: 2.3, offsets: 1, strength: 4 },
  { from: "M", to: "M", radius: 2.3, offsets: 3, strength: 5 },
  { from: "M", to: "T", radius: 3.2, offsets: 8, strength: 15 },
  { from: "T", to: "M", radius: 2.3, offsets: 1, strength: 3 },
  { from: "T", to: "T", radius: 2.3, offsets: 2, strength: 3 },
];

/** Standard deviation of the logarithm of a synapse count around that of its offset. */
const COUNT_SIGMA = 0.25;

/** The same of the offsets of a pair of types around the Gaussian of their distance. */
const OFFSET_SIGMA = 0.8;

/** Options of `retinotopicConnectome`. */
export interface RetinotopicOptions {
  /** Side of the grid of columns, ≥ 2. Default 17: 4,046 neurons. */
  readonly columns?: number;
  /** Default 1. */
  readonly seed?: number;
}

/** A table that has everything. */
export type PlacedNeurons = { readonly [K in keyof NeuronTable]: NonNullable<NeuronTable[K]> };

/** A network with its neurons' types, roles, signs and places. */
export interface RetinotopicConnectome extends PlacedNeurons {
  /** [count, count], row = post, column = pre; synapse counts (≥ 1), negative from inhibitory neurons; f32. */
  readonly csr: Csr;
}

/**
 * Builds the network. Each pair of connected types draws its offsets once, and they serve every column; the synapse count of each
 * connection then varies a little. Photoreceptors receive nothing; they do not connect to outputs. Neurons are numbered by type, then by
 * row of the grid, then by column. O(connections).
 *
 * @throws {ArgumentError} a grid side below 2 or above 512, a seed that is no whole number
 */
export function retinotopicConnectome({ columns = 17, seed = 1 }: RetinotopicOptions = {}): RetinotopicConnectome {
  if (!Number.isInteger(columns) || columns < 2 || columns > 512) {
    throw new ArgumentError("retinotopicConnectome", "columns", "a whole number from 2 to 512", `${columns}`);
  }
  const key = deriveKey(keyOfSeed(seed), "retinotopicConnectome");
  return { csr: connectColumns(columns, new RandomStream(key)), ...neuronTable(columns) };
}

function neuronTable(columns: number): PlacedNeurons {
  const perType = columns * columns;
  const count = CELL_TYPES.length * perType;
  const typeIdx = new Uint32Array(count);
  const role: NeuronRole[] = [];
  const sign = new Int8Array(count);
  const x = new Float64Array(count);
  const y = new Float64Array(count);
  CELL_TYPES.forEach((type, t) => {
    for (let c = 0; c < perType; c++) {
      const i = t * perType + c;
      typeIdx[i] = t;
      role.push(type.role);
      sign[i] = type.sign;
      x[i] = ((c % columns) + 0.5 + type.dx) / columns;
      y[i] = (Math.floor(c / columns) + 0.5 + type.dy) / columns;
    }
  });
  return { count, types: CELL_TYPES.map((type) => type.name), typeIdx, role, sign, x, y };
}

function connectColumns(columns: number, stream: RandomStream): Csr {
  const perType = columns * columns;
  const rows: number[] = [];
  const cols: number[] = [];
  const values: number[] = [];
  for (const { from, to, radius, offsets, strength } of TYPE_CONNECTIONS) {
    for (const pre of typesOf(from)) {
      for (const post of typesOf(to)) {
        for (const { du, dv, share } of drawOffsets(radius, offsets, pre === post, stream)) {
          const count = strength * share;
          for (let v = Math.max(0, -dv); v < Math.min(columns, columns - dv); v++) {
            for (let u = Math.max(0, -du); u < Math.min(columns, columns - du); u++) {
              rows.push(post * perType + (v + dv) * columns + u + du);
              cols.push(pre * perType + v * columns + u);
              const synapses = Math.max(1, Math.round(count * Math.exp(COUNT_SIGMA * stream.normal())));
              values.push(CELL_TYPES[pre]!.sign * synapses);
            }
          }
        }
      }
    }
  }
  const n = CELL_TYPES.length * perType;
  return csrFromCoo({ nRows: n, nCols: n, rows, cols, values: Float32Array.from(values) }, "retinotopicConnectome");
}

/** Indices of the cell types whose name begins with a letter. */
function typesOf(group: string): number[] {
  return CELL_TYPES.flatMap((type, t) => (type.name.startsWith(group) ? [t] : []));
}

/** From a column to another one, and its strength relative to the strongest. */
interface Offset {
  readonly du: number;
  readonly dv: number;
  readonly share: number;
}

/** Different offsets within a radius, near ones more likely and stronger; without (0, 0) when a neuron would meet itself. */
function drawOffsets(radius: number, count: number, sameType: boolean, stream: RandomStream): Offset[] {
  const reach = Math.floor(radius);
  const drawn = new Map<string, Offset>();
  while (drawn.size < count) {
    const du = stream.below(2 * reach + 1) - reach;
    const dv = stream.below(2 * reach + 1) - reach;
    // A Gaussian of half the radius, both as chance to be drawn and as mean strength.
    const nearness = Math.exp(-(du * du + dv * dv) / (2 * (radius / 2) ** 2));
    const accepted = stream.uniform() < nearness;
    const spread = Math.exp(OFFSET_SIGMA * stream.normal());
    if (!accepted || du * du + dv * dv > radius * radius || (sameType && du === 0 && dv === 0)) continue;
    drawn.set(`${du},${dv}`, { du, dv, share: nearness * spread });
  }
  return [...drawn.values()];
}
