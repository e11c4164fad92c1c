// Projections may be sparse or dense; both are matrices to a graph.

import type { Graph } from "../autodiff/graph.ts";
import type { Csr } from "../core/csr.ts";
import { ArgumentError, ShapeError } from "../core/errors.ts";
import type { Matrix } from "../ops/value.ts";

/** Row-major values of a dense [nRows, nCols] matrix. */
export interface DenseMatrix {
  readonly nRows: number;
  readonly nCols: number;
  readonly values: ArrayLike<number>;
}

/** A matrix between numbers outside of the network and its neurons, sparse or dense. */
export type Projection = Csr | DenseMatrix;

export function isSparse(m: Projection): m is Csr {
  return "rowPtr" in m;
}

/** The matrix of `m` as a leaf of `g`. */
export function matrixLeaf(g: Graph, name: string, m: Projection): Matrix {
  return isSparse(m) ? g.sparse(name, m.nRows, m.nCols, m.nnz) : g.dense(name, m.nRows, m.nCols);
}

/**
 * @throws {ShapeError} another shape than [rows, cols] (null: any), or another number of values of a dense matrix
 * @throws {ArgumentError} none, or several
 */
export function checkMatrix(where: string, name: string, m: Projection, rows: number | null, cols: number): void {
  // A JavaScript caller may have left it out.
  if (typeof m !== "object" || m === null) throw new ArgumentError(where, name, "a matrix, sparse or dense", String(m));
  if (Array.isArray(m))
    throw new ArgumentError(where, name, "one matrix, sparse or dense (drop the others)", "several");
  if ((rows !== null && m.nRows !== rows) || m.nCols !== cols) {
    throw new ShapeError(where, name, `a matrix [${rows ?? "any"}, ${cols}]`, `[${m.nRows}, ${m.nCols}]`);
  }
  if (!isSparse(m) && m.values.length !== m.nRows * m.nCols) {
    throw new ShapeError(where, name, `${m.nRows} × ${m.nCols} values`, `${m.values.length}`);
  }
}
