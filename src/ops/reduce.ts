// Reductions over rows and over lanes, broadcasting, and table lookup.

import type { VjpRule } from "./vocabulary.ts";

/** sum: the cotangent is broadcast back (operands broadcast by themselves). max, min: the rows that tie share it equally. */
export const reduceRowsVjp: VjpRule = (c) => {
  const { op } = c.value;
  if (op.type !== "reduceRows") throw new TypeError("reduceRowsVjp: not a reduceRows");
  if (op.how === "sum") return [c.ct];
  const wins = c.ops.eq(c.arg(0), c.result());
  return [c.ops.mul(wins, c.ops.div(c.ct, c.ops.reduceRows(wins)))];
};

export const reduceLanesVjp: VjpRule = (c) => [c.ct];

/** The caller sums over what was broadcast. */
export const broadcastVjp: VjpRule = (c) => [c.ct];

/** y[row, lane] = table[index[lane]][row, lane]; whole-number indices carry no gradient. */
export const lookupVjp: VjpRule = (c) => {
  if (c.value.op.type === "lookup") c.scatter(c.value.op.table, c.arg(0), c.ct);
  return [null];
};
