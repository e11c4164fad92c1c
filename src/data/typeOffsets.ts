// Connections grouped by the types of the neurons they connect and by the offset of their columns: parameters of a network that repeats in
// every column of a hexagonal eye, as those of a convolution do.

import { type Csr, withValues } from "../core/csr.ts";
import type { HexagonalEye } from "./hexagon.ts";
import { columnOf, type HexagonalNeurons } from "./hexProjection.ts";
import { checkTypedNeurons, type TypedNeurons } from "./typePairs.ts";

/** Groups of connections that share a weight. */
export interface SharedByTypeOffset {
  /** The signs of the connections, or where weights of a group differ, their ratios to the mean |weight| of the group. */
  readonly magnitudes: Csr;
  /** Value for `sharedWeights` of a network with these magnitudes: initial strengths are the mean |weights| of the groups. */
  readonly shared: {
    /** [connections], row-major. */
    readonly group: Uint32Array;
    readonly nGroups: number;
    readonly strengthInit: Float64Array;
  };
}

/**
 * One group per pair of types (pre → post) and offset from the column of the sending neuron to that of the receiving one, with connections
 * between them. Groups are in order of pre, post, du, dv.
 *
 * @throws {ShapeError} another number of types than neurons
 * @throws {ArgumentError} a neuron that lies in no column of this eye
 */
export function sharedByTypeOffset(
  csr: Csr,
  neurons: TypedNeurons & Pick<HexagonalNeurons, "x" | "y">,
  eye: HexagonalEye,
): SharedByTypeOffset {
  const where = "sharedByTypeOffset";
  checkTypedNeurons(where, csr, neurons);
  const { types, typeIdx } = neurons;
  const { nRows, rowPtr, colIdx, nnz } = csr;
  const column = Uint32Array.from({ length: nRows }, (_, i) => columnOf(where, neurons, eye, i));
  /** Differences of coordinates are from −2·extent to 2·extent. */
  const span = 4 * eye.extent + 1;
  const keys = new Float64Array(nnz);
  for (let post = 0; post < nRows; post++) {
    for (let k = rowPtr[post]!; k < rowPtr[post + 1]!; k++) {
      const pre = colIdx[k]!;
      const pair = typeIdx[pre]! * types.length + typeIdx[post]!;
      const [from, to] = [column[pre]!, column[post]!];
      const [du, dv] = [eye.u[to]! - eye.u[from]!, eye.v[to]! - eye.v[from]!];
      keys[k] = (pair * span + du + 2 * eye.extent) * span + dv + 2 * eye.extent;
    }
  }
  const distinct = [...new Set(keys)].sort((a, b) => a - b);
  const position = new Map(distinct.map((key, g) => [key, g]));
  const group = Uint32Array.from(keys, (key) => position.get(key)!);
  const nGroups = distinct.length;
  const strengthInit = meanMagnitudes(csr, group, nGroups);
  const magnitudes = withValues(
    csr,
    csr.values.map((w, k) => w / (strengthInit[group[k]!]! || 1)),
  );
  return { magnitudes, shared: { group, nGroups, strengthInit } };
}

function meanMagnitudes({ values }: Csr, group: Uint32Array, nGroups: number): Float64Array {
  const [total, count] = [new Float64Array(nGroups), new Float64Array(nGroups)];
  group.forEach((g, k) => {
    total[g]! += Math.abs(values[k]!);
    count[g]!++;
  });
  return total.map((sum, g) => sum / count[g]!);
}
