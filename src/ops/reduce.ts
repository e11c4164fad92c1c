// Reductions over rows and over lanes, and table lookup: the transposes of broadcasting.

import type { VjpRule } from "./op.ts";

/** sum: the cotangent is broadcast back (operands broadcast by themselves). max, min: not differentiated (used for decisions only). */
export const reduceRowsVjp: VjpRule = (c) => {
  const { op } = c.value;
  return [op.type === "reduceRows" && op.how === "sum" && c.needs(0) ? c.ct : null];
};

export const reduceLanesVjp: VjpRule = (c) => [c.needs(0) ? c.ct : null];

/** y[row, lane] = table[index[lane]][row, lane]; whole-number indices carry no gradient. */
export const lookupVjp: VjpRule = (c) => {
  if (c.value.op.type === "lookup") c.scatter(c.value.op.table, c.arg(0), c.ct);
  return [null];
};
