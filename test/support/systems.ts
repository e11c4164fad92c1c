// Right-hand sides for tests of the solver and of reverse mode, written as a user writes them.

import type { OdeSystem } from "../../src/ode/method.ts";

/**
 * The rate model dh/dt = (relu(tanh(x(t) + W·h + b)) − h)/τ. Leaves: `hh`, `bias`, `tau`, and the input: the state `drive`, or with
 * `steps` > 1 the table `drive` of states that follow one another over t from 0 to 1.
 */
export function rateSystem(nNeurons: number, nnz: number, steps = 1): OdeSystem {
  return {
    rows: nNeurons,
    rhs: (g, t, h) => {
      const { ops } = g;
      const index = () => ops.max(0, ops.min(steps - 1, ops.floor(ops.mul(t, steps))));
      const drive = steps === 1 ? g.state("drive", nNeurons) : ops.lookup(g.table("drive", nNeurons, steps), index());
      const input = ops.add(drive, ops.matmul(g.sparse("hh", nNeurons, nNeurons, nnz), h));
      const rate = ops.relu(ops.tanh(ops.add(input, g.row("bias", nNeurons))));
      return ops.div(ops.sub(rate, h), g.row("tau", nNeurons));
    },
  };
}
