// Connections grouped by the types of the neurons they connect: networks whose parameters belong to cell types, not to single cells.

import { type Csr, withValues } from "../core/csr.ts";
import { ArgumentError, ShapeError } from "../core/errors.ts";
import type { TypeEdge } from "../io/typeEdges.ts";

/** The type of every neuron, as neuron tables and labels have it. */
export interface TypedNeurons {
  readonly types: readonly (string | number)[];
  /** [neurons], index into `types`. */
  readonly typeIdx: ArrayLike<number>;
}

/** The connections from neurons of one type to those of another. */
export interface TypePair {
  readonly pre: string | number;
  readonly post: string | number;
  readonly connections: number;
  /** Mean of their |weights|: the synapse count of a connection, where weights are counts. */
  readonly meanWeight: number;
}

/** Value for `sharedWeights` of a network, with a description of its groups. */
export interface SharedByTypePair {
  /** [connections], row-major. */
  readonly group: Uint32Array;
  readonly nGroups: number;
  readonly strengthInit: Float64Array;
  /** [nGroups], by type of the sending, then of the receiving neuron. */
  readonly pairs: readonly TypePair[];
}

/**
 * One group per pair of types (pre → post) with connections between them: weight = magnitude · strength of the pair, as in flyvis.
 *
 * @param options.scale  initial strengths are scale / mean |weight| of the pair (flyvis: 0.01); absent: 1
 * @throws {ShapeError} another number of types than neurons
 * Source: Lappalainen et al., Nature 634, 1132–1140 (2024), Methods.
 */
export function sharedByTypePair(
  csr: Csr,
  neurons: TypedNeurons,
  { scale }: { readonly scale?: number } = {},
): SharedByTypePair {
  const where = "sharedByTypePair";
  checkTypedNeurons(where, csr, neurons);
  if (scale !== undefined && !(scale > 0 && Number.isFinite(scale)))
    throw new ArgumentError(where, "scale", "a finite number above 0", `${scale}`);
  const { types } = neurons;
  const keys = pairKeys(csr, neurons);
  const distinct = [...new Set(keys)].sort((a, b) => a - b);
  const position = new Map(distinct.map((key, g) => [key, g]));
  const group = Uint32Array.from(keys, (key) => position.get(key)!);
  const nGroups = distinct.length;
  const connections = new Uint32Array(nGroups);
  const total = new Float64Array(nGroups);
  group.forEach((g, k) => {
    connections[g]!++;
    total[g]! += Math.abs(csr.values[k]!);
  });
  const pairs = distinct.map((key, g): TypePair => {
    const pre = Math.floor(key / types.length);
    return {
      pre: types[pre]!,
      post: types[key - pre * types.length]!,
      connections: connections[g]!,
      meanWeight: total[g]! / connections[g]!,
    };
  });
  // A pair without any weight is as strong as it likes.
  const initial = ({ meanWeight }: TypePair): number =>
    scale === undefined || meanWeight === 0 ? 1 : scale / meanWeight;
  return { group, nGroups, strengthInit: Float64Array.from(pairs, initial), pairs };
}

/**
 * |w| with the sign that the table of connections between types gives to each, also where a neuron's connections have both signs.
 *
 * @throws {ShapeError} another number of types than neurons
 * @throws {ArgumentError} connections between types that the table does not have
 */
export function signByTypePair(csr: Csr, neurons: TypedNeurons, edges: readonly TypeEdge[]): Csr {
  const where = "signByTypePair";
  checkTypedNeurons(where, csr, neurons);
  const { types } = neurons;
  const index = new Map(types.map((type, t) => [String(type), t]));
  const sign = new Map<number, number>();
  for (const edge of edges) {
    const [pre, post] = [index.get(edge.pre), index.get(edge.post)];
    if (pre !== undefined && post !== undefined) sign.set(pre * types.length + post, edge.sign);
  }
  const keys = pairKeys(csr, neurons);
  return withValues(
    csr,
    csr.values.map((w, k) => {
      const s = sign.get(keys[k]!);
      if (s !== undefined) return s * Math.abs(w);
      const pre = Math.floor(keys[k]! / types.length);
      const pair = `${types[pre]} → ${types[keys[k]! % types.length]}`;
      throw new ArgumentError(where, "edges", `a sign for every pair of connected types`, `none for ${pair}`);
    }),
  );
}

/** The type of every neuron by its name: what `neuronType` of a network takes. */
export function typeLabels({ types, typeIdx }: TypedNeurons): (string | number)[] {
  return Array.from(typeIdx, (t) => types[t]!);
}

/** pre·types + post of every connection, row-major. */
function pairKeys({ nRows, rowPtr, colIdx, nnz }: Csr, { types, typeIdx }: TypedNeurons): Float64Array {
  const keys = new Float64Array(nnz);
  for (let post = 0; post < nRows; post++) {
    for (let k = rowPtr[post]!; k < rowPtr[post + 1]!; k++) {
      keys[k] = typeIdx[colIdx[k]!]! * types.length + typeIdx[post]!;
    }
  }
  return keys;
}

/** @throws {ShapeError | ArgumentError} another number of types than neurons, or a type that does not exist */
export function checkTypedNeurons(where: string, { nRows, nCols }: Csr, { types, typeIdx }: TypedNeurons): void {
  if (nRows !== nCols || typeIdx.length !== nRows) {
    throw new ShapeError(where, "neurons", `types of ${nRows} × ${nCols} neurons`, `${typeIdx.length}`);
  }
  for (let i = 0; i < nRows; i++) {
    if (!(Number.isInteger(typeIdx[i]) && typeIdx[i]! >= 0 && typeIdx[i]! < types.length))
      throw new ArgumentError(
        where,
        "neurons.typeIdx",
        `types 0 to ${types.length - 1}`,
        `${typeIdx[i]} at neuron ${i}`,
      );
  }
}
