// Dynamics that a user wrote, as a subject: the voltage form, where the nonlinearity sits before the synapse,
//   dv/dt = ( −v + W·sigmoid(v) + b + drive ) / τ
// solved by the ODE solver itself, without any model; the loss is a fixed linear functional of the states.

import type { Backend, Bindable, DeviceBuffer, DeviceSparse } from "../backend/backend.ts";
import { lanesOf, packState, unpackState } from "../backend/layout.ts";
import type { PanelLayout } from "../backend/program.ts";
import type { Csr } from "../core/csr.ts";
import { floatArray } from "../core/dtype.ts";
import type { OdeSystem } from "../ode/method.ts";
import { OdeSolver } from "../ode/solve.ts";
import { assertSolved } from "../ode/solveStats.ts";
import { tsit5 } from "../ode/tableaus/index.ts";
import { longestSum } from "./degrees.ts";
import { normals, type Point, representable, streamOf } from "./point.ts";
import { END_TIME, type Evaluation, INITIAL_STATE, type Session, type StepSizes, type Subject } from "./subject.ts";

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
    description: `user-defined voltage dynamics: ${n} neurons, ${csr.nnz} synapses, batch ${BATCH}`,
    point,
    roundings: {
      perEvaluation: POINTWISE_ROUNDINGS + longestSum(csr),
      tableau: tsit5,
      samples: BATCH * MOMENTS.length,
    },
    open: (backend, steps) => new VoltageSession(backend, csr, cotangents, steps),
  };
}

class VoltageSession implements Session {
  readonly #backend: Backend;
  readonly #layout: PanelLayout;
  readonly #n: number;
  readonly #solver: OdeSolver;
  readonly #matrix: DeviceSparse;
  readonly #cotangents: readonly Float64Array[];
  readonly #buffers = new Map<string, DeviceBuffer>();

  constructor(backend: Backend, csr: Csr, cotangents: readonly Float64Array[], steps: StepSizes | null) {
    this.#backend = backend;
    this.#layout = backend.layoutFor(BATCH);
    this.#n = csr.nRows;
    this.#cotangents = cotangents;
    this.#matrix = backend.sparse(WEIGHTS, csr);
    this.#solver = new OdeSolver(backend, voltageDynamics(csr.nRows, csr.nnz), {
      tableau: tsit5,
      controller: steps
        ? { type: "replay", steps }
        : { type: "integral", atol: 1e-6, rtol: 1e-3, safety: 0.9, factorMin: 0.2, factorMax: 10 },
      maxSteps: MAX_STEPS,
      reverse: { wrt: [WEIGHTS, ...ROWS, DRIVE], throughStepSizeControl: steps === null },
    });
  }

  async evaluate(point: Point, want: { readonly gradients: boolean }): Promise<Evaluation> {
    const n = this.#n;
    const ends = Array.from({ length: BATCH }, (_, s) => (point[END_TIME]![0]! * (1 + s)) / BATCH);
    const ys = MOMENTS.map((_, j) => this.#buffer(`y ${j}`, this.#stateLength));
    const stats = await this.#solver.forward({
      layout: this.#layout,
      samples: BATCH,
      inputs: this.#inputs(point),
      y0: this.#state("y0", point[INITIAL_STATE]!, "repeat"),
      tStart: ends.map(() => 0),
      tEnd: ends,
      tEval: MOMENTS.map((part) => ends.map((end) => (part === 1 ? end : part * end))),
      ys,
      record: want.gradients,
    });
    assertSolved(stats);
    const trajectory = new Float64Array(MOMENTS.length * BATCH * n);
    let loss = 0;
    for (const [j, y] of ys.entries()) {
      const part = trajectory.subarray(j * BATCH * n, (j + 1) * BATCH * n);
      part.set(await this.#downloadState(y));
      part.forEach((v, i) => {
        loss += v * this.#cotangents[j]![i]!;
      });
    }
    const gradients = want.gradients ? await this.#gradients() : {};
    return { trajectory, loss, gradients, steps: stats.steps };
  }

  #inputs(point: Point): Record<string, Bindable> {
    const { valuesCsc, valuesCsr, cscOfCsrHost } = this.#matrix;
    const csc = new Float64Array(valuesCsc.length);
    point[WEIGHTS]!.forEach((w, k) => {
      csc[cscOfCsrHost[k]!] = w;
    });
    this.#backend.upload(valuesCsc, csc);
    this.#backend.upload(valuesCsr, point[WEIGHTS]!);
    const inputs: Record<string, Bindable> = { [WEIGHTS]: this.#matrix };
    for (const name of ROWS) {
      inputs[name] = this.#buffer(name, this.#n);
      this.#backend.upload(inputs[name] as DeviceBuffer, point[name]!);
    }
    inputs[DRIVE] = this.#state(DRIVE, point[DRIVE]!, "repeat");
    return inputs;
  }

  async #gradients(): Promise<Point> {
    const backend = this.#backend;
    const grads: Record<string, DeviceBuffer> = {
      [WEIGHTS]: this.#buffer("gradient of the weights", this.#matrix.nnz),
      [DRIVE]: this.#buffer("gradient of the drive", this.#stateLength),
    };
    for (const name of ROWS) grads[name] = this.#buffer(`gradient of ${name}`, this.#n);
    for (const buffer of Object.values(grads)) backend.fill(buffer, 0);
    const ctY0 = this.#buffer("gradient of y0", this.#stateLength);
    const cts = this.#cotangents.map((ct, j) => this.#state(`cotangent ${j}`, ct, "zero"));
    this.#solver.reverse(cts, grads, ctY0);
    const csc = await backend.download(grads[WEIGHTS]!);
    const gradients: Record<string, Float64Array> = {
      [WEIGHTS]: Float64Array.from(this.#matrix.cscOfCsrHost, (at) => csc[at]!),
      [DRIVE]: await this.#downloadState(grads[DRIVE]!),
      [INITIAL_STATE]: await this.#downloadState(ctY0),
    };
    for (const name of ROWS) gradients[name] = Float64Array.from(await backend.download(grads[name]!));
    return gradients;
  }

  get #stateLength(): number {
    return this.#n * lanesOf(this.#layout);
  }

  /** Uploads [samples, n] numbers; lanes without a sample repeat the last one or hold zeros. */
  #state(name: string, data: Float64Array, unused: "repeat" | "zero"): DeviceBuffer {
    const n = this.#n;
    const lanes = lanesOf(this.#layout);
    const padded = unused === "zero" ? Float64Array.from({ length: lanes * n }, (_, i) => data[i] ?? 0) : data;
    const samples = padded.length / n;
    const staging = floatArray(this.#backend.dtype, this.#stateLength);
    packState(padded, (s, row) => s * n + row, samples, n, this.#layout, staging);
    const buffer = this.#buffer(name, staging.length);
    this.#backend.upload(buffer, staging);
    return buffer;
  }

  async #downloadState(buffer: DeviceBuffer): Promise<Float64Array> {
    const n = this.#n;
    const host = new Float64Array(BATCH * n);
    unpackState(await this.#backend.download(buffer), host, (s, row) => s * n + row, BATCH, n, this.#layout);
    return host;
  }

  /** The buffer of this name, made at its first use. */
  #buffer(name: string, length: number): DeviceBuffer {
    let buffer = this.#buffers.get(name);
    if (!buffer) {
      buffer = this.#backend.buffer(name, length);
      this.#buffers.set(name, buffer);
    }
    return buffer;
  }

  dispose(): void {
    this.#solver.dispose();
    this.#matrix.release();
    for (const buffer of this.#buffers.values()) buffer.release();
    this.#buffers.clear();
  }
}
