// Dynamics that a user wrote, as a subject: the voltage form, where the nonlinearity sits before the synapse,
//   dv/dt = ( −v + W·sigmoid(v) + b + drive ) / τ
// solved by the ODE solver itself, without any model; the loss is a fixed linear functional of the states.

import type { Backend, DeviceSparse } from "../backend/backend.ts";
import type { Csr } from "../core/csr.ts";
import type { HostProblem } from "../ode/hostProblem.ts";
import type { OdeSystem } from "../ode/method.ts";
import { OdeSolver } from "../ode/solve.ts";
import { assertSolved } from "../ode/solveStats.ts";
import { tsit5 } from "../ode/tableaus/index.ts";
import { longestSum } from "./degrees.ts";
import { normals, type Point, representable, streamOf } from "./point.ts";
import { END_TIME, type Evaluation, INITIAL_STATE, type OpenSubject, type StepSizes, type Subject } from "./subject.ts";

/** A panel of eight with two unused lanes. */
const BATCH = 6;
/** Evaluation times as parts of the duration, which differs between samples. */
const MOMENTS = [0.4, 1];
const DURATION = 2;
const MAX_STEPS = 1000;
const POINTWISE_ROUNDINGS = 16;

/** Leaves of the right-hand side. */
const WEIGHTS = "weights";
const ROWS = ["bias", "tau"] as const;
const DRIVE = "drive";

function voltageDynamics(n: number, nnz: number): OdeSystem {
  return {
    rows: n,
    rhs: (g, _, v) => {
      const { ops } = g;
      const synaptic = ops.matmul(g.sparse(WEIGHTS, n, n, nnz), ops.sigmoid(v));
      const current = ops.add(ops.add(synaptic, g.row("bias", n)), g.state(DRIVE, n));
      return ops.div(ops.sub(current, v), g.row("tau", n));
    },
  };
}

/** @param csr  row = post; its weights are taken as they are */
export function voltageSubject(name: string, csr: Csr, seed: number): Subject {
  const stream = streamOf(seed, "check voltage");
  const n = csr.nRows;
  const point = representable({
    [WEIGHTS]: Float64Array.from(csr.values),
    bias: normals(stream, n, 0.3),
    tau: normals(stream, n).map((x) => 1 + Math.abs(x)),
    [DRIVE]: normals(stream, BATCH * n),
    [INITIAL_STATE]: normals(stream, BATCH * n),
    [END_TIME]: Float64Array.of(DURATION),
  });
  // Of size 1/√N, so that the loss is of the order of the states.
  const cotangents = MOMENTS.map(() => normals(stream, BATCH * n, 1 / Math.sqrt(BATCH * n)));
  return {
    name,
    description: `user-defined voltage dynamics: ${n} neurons, ${csr.nnz} connections, batch ${BATCH}`,
    point,
    roundings: {
      perEvaluation: POINTWISE_ROUNDINGS + longestSum(csr),
      tableau: tsit5,
      samples: BATCH * MOMENTS.length,
    },
    open: (backend, steps) => new OpenVoltages(backend, csr, cotangents, steps),
  };
}

class OpenVoltages implements OpenSubject {
  readonly #backend: Backend;
  readonly #solver: OdeSolver;
  readonly #matrix: DeviceSparse;
  readonly #cotangents: readonly Float64Array[];

  constructor(backend: Backend, csr: Csr, cotangents: readonly Float64Array[], steps: StepSizes | null) {
    this.#backend = backend;
    this.#cotangents = cotangents;
    this.#solver = new OdeSolver(backend, voltageDynamics(csr.nRows, csr.nnz), {
      tableau: tsit5,
      controller: steps
        ? { type: "replay", steps }
        : { type: "integral", atol: 1e-6, rtol: 1e-3, safety: 0.9, factorMin: 0.2, factorMax: 10 },
      maxSteps: MAX_STEPS,
      reverse: { wrt: [WEIGHTS, ...ROWS, DRIVE], throughStepSizeControl: steps === null },
    });
    this.#matrix = backend.sparse(WEIGHTS, csr);
  }

  async evaluate(point: Point, want: { readonly gradients: boolean }): Promise<Evaluation> {
    const ends = Array.from({ length: BATCH }, (_, s) => (point[END_TIME]![0]! * (1 + s)) / BATCH);
    const problem: HostProblem = {
      y0: point[INITIAL_STATE]!,
      inputs: {
        [WEIGHTS]: this.#uploaded(point[WEIGHTS]!),
        ...Object.fromEntries([...ROWS, DRIVE].map((name) => [name, point[name]!])),
      },
      tEval: MOMENTS.map((part) => ends.map((end) => (part === 1 ? end : part * end))),
    };
    const { ys, stats, gradients } = want.gradients
      ? await this.#solver.vjp(problem, this.#cotangents)
      : { ...(await this.#solver.solve(problem)), gradients: null };
    assertSolved(stats);
    let loss = 0;
    for (const [j, y] of ys.entries()) for (const [i, v] of y.entries()) loss += v * this.#cotangents[j]![i]!;
    const wanted = gradients ? Object.entries({ ...gradients.inputs, [INITIAL_STATE]: gradients.y0 }) : [];
    return {
      trajectory: Float64Array.from(ys.flatMap((y) => [...y])),
      loss,
      gradients: Object.fromEntries(wanted.map(([name, values]) => [name, Float64Array.from(values)])),
      steps: stats.steps,
    };
  }

  /** The matrix with these weights, row-major. */
  #uploaded(weights: Float64Array): DeviceSparse {
    const { valuesCsc, valuesCsr, cscOfCsrHost } = this.#matrix;
    const csc = new Float64Array(weights.length);
    weights.forEach((w, k) => {
      csc[cscOfCsrHost[k]!] = w;
    });
    this.#backend.upload(valuesCsc, csc);
    this.#backend.upload(valuesCsr, weights);
    return this.#matrix;
  }

  dispose(): void {
    this.#solver.dispose();
    this.#matrix.release();
  }
}
