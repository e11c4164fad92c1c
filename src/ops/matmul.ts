// Products with a matrix, sparse or dense: Y = W·X. The reverse is one walk over the columns of W that gives both Wᵀ·G and
// the gradient of every stored weight, dW = (G·Xᵀ) at the pattern of W (sddmm): nnz numbers, never N×N.

import type { VjpRule } from "./vocabulary.ts";

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
