// Products with a matrix, sparse or dense: Y = W·X. The reverse is one walk over the columns of W that gives both Wᵀ·G and
// the gradient of every stored weight, dW = (G·Xᵀ) at the pattern of W (sddmm): nnz numbers, never N×N.

import type { VjpRule } from "./op.ts";
import type { Matrix } from "./value.ts";

export const matmulVjp: VjpRule = (c) => {
  if (c.value.op.type !== "matmul") throw new TypeError("matmulVjp: not a matmul");
  const { matrix } = c.value.op;
  const binding = c.gradOfMatrix(matrix);
  if (binding === null) return [c.needs(0) ? c.ops.matmulT(matrix, c.ct) : null];
  const ct = c.ops.matmulT(matrix, c.ct, { x: c.arg(0), binding });
  return [c.needs(0) ? ct : null];
};

/** Y = Wᵀ·G: the VJP with respect to G is W·ct, and dW = G·ctᵀ at the pattern of W, by the same walk as that of W·X. */
export const matmulTVjp: VjpRule = (c) => {
  if (c.value.op.type !== "matmulT") throw new TypeError("matmulTVjp: not a matmulT");
  const { matrix } = c.value.op;
  const binding = c.gradOfMatrix(matrix);
  if (binding !== null) c.ops.matmulT(matrix, c.arg(0), { x: c.ct, binding });
  return [c.needs(0) ? c.ops.matmul(matrix, c.ct) : null];
};

/** FLOP and bytes moved by one product with `lanes` columns, counting every gathered row once per use. */
export function matmulCost(matrix: Matrix, lanes: number, elementBytes: number): { flops: number; bytes: number } {
  const { stored } = matrix;
  const indexBytes = matrix.form === "dense" ? 0 : matrix.cols <= 65536 ? 2 : 4;
  return {
    flops: 2 * stored * lanes,
    bytes: stored * (elementBytes + indexBytes) + (stored + matrix.rows) * lanes * elementBytes,
  };
}
