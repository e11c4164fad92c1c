// A small network for tasks that are about one.

import { csrFromCoo } from "../../../src/core/csr.ts";
import type { TaskNetwork } from "../../../src/data/tasks/taskSet.ts";

/** Neurons in a ring: each gets excitation from the one before and inhibition from the one after; nothing is shared. */
export function ringNetwork(neurons: number, change: Partial<TaskNetwork> = {}): TaskNetwork {
  const rows = Array.from({ length: 2 * neurons }, (_, e) => e >> 1);
  const cols = rows.map((i, e) => (i + (e % 2 === 0 ? neurons - 1 : 1)) % neurons);
  const values = rows.map((i, e) => (e % 2 === 0 ? 1 : -0.5) * (1 + i / neurons));
  const weights = csrFromCoo({ nRows: neurons, nCols: neurons, rows, cols, values });
  return { weights, dynamics: "rate", nonlinearity: "Sigmoid", group: null, typeIdx: null, ...change };
}
