// The VJP rule of every op type.

import { gatherTVjp, gatherVjp, segmentSumVjp } from "./gather.ts";
import { matmulTVjp, matmulVjp } from "./matmul.ts";
import { POINTWISE } from "./pointwise.ts";
import { broadcastVjp, lookupVjp, reduceLanesVjp, reduceRowsVjp } from "./reduce.ts";
import type { Value } from "./value.ts";
import type { VjpRule } from "./vocabulary.ts";

/** The rule of a value's op, or null when nothing flows back through it. */
export function vjpRuleOf(v: Value): VjpRule | null {
  switch (v.op.type) {
    case "pointwise":
      return POINTWISE[v.op.fn].vjp;
    case "matmul":
      return matmulVjp;
    case "matmulT":
      return matmulTVjp;
    case "reduceRows":
      return reduceRowsVjp;
    case "reduceLanes":
      return reduceLanesVjp;
    case "lookup":
      return lookupVjp;
    case "broadcast":
      return broadcastVjp;
    case "gather":
      return gatherVjp;
    case "segmentSum":
      return segmentSumVjp;
    case "gatherT":
      return gatherTVjp;
    case "leaf":
    case "const":
    case "rowIndex":
    case "random":
      return null;
  }
}
