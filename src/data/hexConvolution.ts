// Connections and read-outs that repeat in every column of a hexagonal eye: one weight per pair of channels and offset.

import { type Coo, type Csr, csrFromCoo, withValues } from "../core/csr.ts";
import { checkWhole } from "./checks.ts";
import { type HexagonalEye, type HexagonalOffset, hexagonalOffsets } from "./hexagon.ts";

/** A sparse matrix of ones whose entries share weights. */
export interface SharedPattern {
  readonly csr: Csr;
  /** [nnz], row-major: the weight of each entry. */
  readonly group: Uint32Array;
  readonly nGroups: number;
}

/** Connections from a channel (a cell type, say) to another one: column c of `to` receives from column c + offset of `from`. */
export interface ChannelConnection {
  readonly from: number;
  readonly to: number;
  readonly offsets: readonly HexagonalOffset[];
}

/** Most channels of a convolution. */
export const MAX_CHANNELS: number = 2 ** 20;

/**
 * A convolution over the columns of an eye: out[o, c] = Σ_i Σ_d w[o, i, d]·in[i, c + d] over the offsets d within the radius; columns
 * outside the eye count as 0. Channels are major: entry [o, c] is row o·columns + c. The group of w[o, i, d] is
 * (o·channelsIn + i)·offsets + d, offsets in the order of `hexagonalOffsets`.
 *
 * @param kernelRadius  in columns; 2 is a kernel 5 wide
 * @returns [channelsOut·columns, channelsIn·columns]
 * @throws {ArgumentError} a radius or number of channels that is no whole number
 */
export function hexConvolution(
  eye: HexagonalEye,
  kernelRadius: number,
  channelsIn: number,
  channelsOut: number,
): SharedPattern {
  checkWhole("hexConvolution", "channelsIn", channelsIn, 1, MAX_CHANNELS);
  checkWhole("hexConvolution", "channelsOut", channelsOut, 1, MAX_CHANNELS);
  const offsets = hexagonalOffsets(kernelRadius);
  const connections: ChannelConnection[] = [];
  for (let to = 0; to < channelsOut; to++) {
    for (let from = 0; from < channelsIn; from++) connections.push({ from, to, offsets });
  }
  return connectChannels(eye, connections, channelsIn, channelsOut);
}

/**
 * The same for chosen pairs of channels and offsets. Groups count through the offsets of the connections, in their order; pairs and
 * offsets must not repeat.
 */
export function connectChannels(
  eye: HexagonalEye,
  connections: readonly ChannelConnection[],
  channelsIn: number,
  channelsOut: number,
): SharedPattern {
  const rows: number[] = [];
  const cols: number[] = [];
  const groups: number[] = [];
  let group = 0;
  for (const { from, to, offsets } of connections) {
    for (const offset of offsets) {
      for (let column = 0; column < eye.count; column++) {
        const source = eye.neighbour(column, offset);
        if (source < 0) continue;
        rows.push(to * eye.count + column);
        cols.push(from * eye.count + source);
        groups.push(group);
      }
      group++;
    }
  }
  const shape = { nRows: channelsOut * eye.count, nCols: channelsIn * eye.count };
  return sharedPattern({ ...shape, rows, cols, values: groups }, group, "connectChannels");
}

/** The pattern of entries whose values are their groups; no place may occur twice. */
export function sharedPattern(groups: Coo, nGroups: number, where: string): SharedPattern {
  // The groups are sorted as the values of a matrix are.
  const sorted = csrFromCoo(groups, where);
  return {
    csr: withValues(sorted, new Float32Array(sorted.nnz).fill(1)),
    group: Uint32Array.from(sorted.values),
    nGroups,
  };
}
