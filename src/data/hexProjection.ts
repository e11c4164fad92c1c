// Inputs and read-outs of networks whose neurons lie in the columns of a hexagonal eye.

import { type Csr, csrFromCoo } from "../core/csr.ts";
import { ArgumentError } from "../core/errors.ts";
import type { NeuronTable } from "../io/neuronTable.ts";
import { checkWhole } from "./checks.ts";
import { HexagonalEye, hexagonalOffsets } from "./hexagon.ts";
import { MAX_CHANNELS, type SharedPattern, sharedPattern } from "./hexConvolution.ts";
import { neuronsOfRole } from "./projection.ts";

/** Neurons with their types, roles and places: x from 0 (left border of the eye) to 1 (right), y from 0 (top) to 1 (bottom). */
export type HexagonalNeurons = Pick<NeuronTable, "count" | "types" | "typeIdx" | "role" | "x" | "y">;

/** Places may be off their column by rounding, as tables in text are. */
const TOLERANCE = 1e-3;
/** Places closer than this, as a part of the eye, are the same. */
const SAME_PLACE = 1e-6;

/** Extent of the eye that has as many columns as the neurons have places; null: no eye has, or they have none. */
export function eyeExtentOf(neurons: Pick<HexagonalNeurons, "count" | "x" | "y">): number | null {
  const count = countPlaces(neurons);
  const extent = Math.round((Math.sqrt((4 * count - 1) / 3) - 1) / 2);
  return count > 0 && 3 * extent * (extent + 1) + 1 === count ? extent : null;
}

function countPlaces({ x, y, count }: Pick<HexagonalNeurons, "count" | "x" | "y">): number {
  if (x === null || y === null) return 0;
  const places = new Set<string>();
  for (let i = 0; i < count; i++) {
    if (!Number.isNaN(x[i])) places.add(`${Math.round(x[i]! / SAME_PLACE)} ${Math.round(y[i]! / SAME_PLACE)}`);
  }
  return places.size;
}

/**
 * The eye whose columns the neurons lie in, by the number of their places.
 *
 * @throws {ArgumentError} neurons without places, or with other than 3·extent·(extent + 1) + 1 of them
 */
export function hexagonalEyeOf(neurons: Pick<HexagonalNeurons, "count" | "x" | "y">): HexagonalEye {
  const where = "hexagonalEyeOf";
  const name = "neurons";
  if (neurons.x === null || neurons.y === null) throw new ArgumentError(where, name, PLACES, "none");
  const extent = eyeExtentOf(neurons);
  if (extent !== null) return new HexagonalEye(extent);
  const expected = "places in all columns of a hexagonal eye: 1, 7, 19, 37, … of them";
  throw new ArgumentError(where, name, expected, `${countPlaces(neurons)}`);
}

/**
 * Column c of the eye drives every input neuron of column c with weight 1.
 *
 * @returns [neurons, columns], f32
 * @throws {ArgumentError} neurons without roles or places, or an input neuron that lies in no column of this eye
 */
export function hexagonalInput(neurons: HexagonalNeurons, eye: HexagonalEye): Csr {
  const where = "hexagonalInput";
  const rows = neuronsOfRole(neurons, "input");
  const cols = Uint32Array.from(rows, (i) => columnOf(where, neurons, eye, i));
  const values = new Float32Array(rows.length).fill(1);
  return csrFromCoo({ nRows: neurons.count, nCols: eye.count, rows, cols, values }, where);
}

/**
 * A convolution over the columns as read-out: out[o, c] = Σ_t Σ_d w[o, t, d]·h[t, c + d] over the types t of output neurons and the offsets d
 * within the radius. Output [o, c] is row o·columns + c. The group of w[o, t, d] is (o·types + t)·offsets + d; types with output neurons
 * count in their order.
 *
 * @param kernelRadius  in columns; 2 is a kernel 5 wide
 * @returns [channelsOut·columns, neurons]
 * @throws {ArgumentError} neurons without roles or places, no output neuron, or one that lies in no column of this eye
 */
export function hexagonalReadout(
  neurons: HexagonalNeurons,
  eye: HexagonalEye,
  kernelRadius: number,
  channelsOut: number,
): SharedPattern {
  const where = "hexagonalReadout";
  checkWhole(where, "channelsOut", channelsOut, 1, MAX_CHANNELS);
  const offsets = hexagonalOffsets(kernelRadius);
  const outputs = neuronsOfRole(neurons, "output");
  if (outputs.length === 0) throw new ArgumentError(where, "neurons.role", "output neurons", "none");
  const types = [...new Set(Array.from(outputs, (i) => neurons.typeIdx[i]!))].sort((a, b) => a - b);
  const channel = new Map(types.map((type, t) => [type, t]));
  const rows: number[] = [];
  const cols: number[] = [];
  const values: number[] = [];
  for (const i of outputs) {
    const column = columnOf(where, neurons, eye, i);
    const t = channel.get(neurons.typeIdx[i]!)!;
    offsets.forEach(({ du, dv }, d) => {
      const to = eye.neighbour(column, { du: -du, dv: -dv });
      if (to < 0) return;
      for (let o = 0; o < channelsOut; o++) {
        rows.push(o * eye.count + to);
        cols.push(i);
        values.push((o * types.length + t) * offsets.length + d);
      }
    });
  }
  const shape = { nRows: channelsOut * eye.count, nCols: neurons.count };
  return sharedPattern({ ...shape, rows, cols, values }, channelsOut * types.length * offsets.length, where);
}

const PLACES = "places of the neurons (columns u and v of the neuron table)";

/** The column that a neuron lies in. @throws {ArgumentError} it lies in none of this eye */
export function columnOf(
  where: string,
  { x, y }: Pick<HexagonalNeurons, "x" | "y">,
  eye: HexagonalEye,
  i: number,
): number {
  if (x === null || y === null) throw new ArgumentError(where, "neurons", PLACES, "none");
  const v = 2 * eye.extent * (x[i]! - 0.5);
  const u = -2 * eye.extent * (y[i]! - 0.5) - v / 2;
  const column = eye.indexOf(Math.round(u), Math.round(v));
  const isOff = !(Math.abs(u - Math.round(u)) < TOLERANCE && Math.abs(v - Math.round(v)) < TOLERANCE);
  if (column >= 0 && !isOff) return column;
  const expected = `the place of a column of an eye of extent ${eye.extent}`;
  throw new ArgumentError(where, `neurons.x, y at ${i}`, expected, `${x[i]}, ${y[i]}`);
}
