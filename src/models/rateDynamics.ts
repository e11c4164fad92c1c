// The connectome rate model as a graph. Any other dynamics is another such function: see OdeSystem.

import type { Graph } from "../autodiff/graph.ts";
import type { OdeSystem } from "../ode/method.ts";
import type { Value } from "../ops/value.ts";
import { activation } from "./activation.ts";

export interface RateDynamicsOptions {
  readonly nNeurons: number;
  readonly nnz: number;
  readonly nonlinearity: string | null;
  /** false: every neuron is excitatory, no factor is applied. */
  readonly signed: boolean;
  readonly bias: boolean;
  /** Steps of a sequence input; 1: an input that is constant in time. */
  readonly steps: number;
}

/**
 * dh/dt = ( relu( φ( drive(t) + W·(s ⊙ h) + b ) ) − h ) / τ
 *
 * Leaves: `hh` (W, sparse, row = post), `sign` (s = ±1 per neuron), `bias` (b), `tau` (τ), and the projected input: the state `drive`
 * when constant, else the table `drive` of `steps` states, piecewise constant in time: index floor((t − start)/(end − start)·steps),
 * the last one at t = end, with the per-sample leaves `start` and `end`.
 *
 * Source: the rate model of torch-biopl's ConnectomeODERNN; relu after any nonlinearity, Dale's law by the sign of the source.
 */
export function rateDynamics(options: RateDynamicsOptions): OdeSystem {
  const { nNeurons, nnz, steps } = options;
  const phi = activation(options.nonlinearity);
  return {
    rows: nNeurons,
    rhs: (g, t, h) => {
      const { ops } = g;
      const w = g.sparse("hh", nNeurons, nNeurons, nnz);
      const rate = options.signed ? ops.mul(g.row("sign", nNeurons), h) : h;
      let u = ops.add(driveAt(g, t, nNeurons, steps), ops.matmul(w, rate));
      if (options.bias) u = ops.add(u, g.row("bias", nNeurons));
      return ops.div(ops.sub(ops.relu(phi(ops, u)), h), g.row("tau", nNeurons));
    },
  };
}

function driveAt(g: Graph, t: Value, nNeurons: number, steps: number): Value {
  if (steps === 1) return g.state("drive", nNeurons);
  const { ops } = g;
  const start = g.sample("start");
  const phase = ops.div(ops.sub(t, start), ops.sub(g.sample("end"), start));
  const index = ops.floor(ops.mul(phase, steps));
  // At the very end, and where rounding carries a stage's time past an end, the nearest step counts.
  return ops.lookup(g.table("drive", nNeurons, steps), ops.max(0, ops.min(index, steps - 1)));
}
