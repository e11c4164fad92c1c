// Row vectors read through bound indices, and sums over them. Each op is linear, and its reverse is another of the three.

import type { VjpRule } from "./vocabulary.ts";

/** y[row] = source[index[row]]: every row gives its cotangent to the number that it read. */
export const gatherVjp: VjpRule = (c) => {
  if (c.value.op.type !== "gather") throw new TypeError("gatherVjp: not a gather");
  return [c.ops.gatherT(c.ct, c.value.op.index, c.value.args[0]!.rows)];
};

/** y[row] = Σ source[members[k]]: every member gets the cotangent of its segment. */
export const segmentSumVjp: VjpRule = (c) => {
  if (c.value.op.type !== "segmentSum") throw new TypeError("segmentSumVjp: not a segmentSum");
  const { offsets, members } = c.value.op;
  return [c.ops.gatherT(c.ct, members, c.value.args[0]!.rows, offsets)];
};

/** y = Aᵀ·source, A a gather or (given offsets) a segmentSum: the cotangent goes through A itself. */
export const gatherTVjp: VjpRule = (c) => {
  if (c.value.op.type !== "gatherT") throw new TypeError("gatherTVjp: not a gatherT");
  const { index, offsets } = c.value.op;
  const { rows } = c.value.args[0]!;
  return [offsets === null ? c.ops.gather(c.ct, index, rows) : c.ops.segmentSum(c.ct, offsets, index, rows)];
};
