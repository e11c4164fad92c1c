// Gradients by solving the adjoint equations backwards in time ("optimise, then discretise"), for parity with torchode. The gradient is
// that of the exact solution, approximated by another solve: it agrees with the numbers of the forward pass only up to the
// solver's tolerance, and the backward solve may be unstable where the forward one is not. OdeSolver.reverse is exact, faster and
// takes less memory; prefer it.

import { Graph } from "../autodiff/graph.ts";
import { lower } from "../autodiff/lower.ts";
import { type GradTarget, pullBack } from "../autodiff/vjp.ts";
import type { Backend, Bindable, BoundProgram, DeviceBuffer } from "../backend/backend.ts";
import { compileAndBind } from "../backend/bind.ts";
import { clearUnusedLanes, lanesOf, packState, unpackState } from "../backend/layout.ts";
import type { PanelLayout, Program } from "../backend/program.ts";
import { type FloatArray, floatArray } from "../core/dtype.ts";
import { ArgumentError, ShapeError, SolverError } from "../core/errors.ts";
import { ExternalSolver, type HostRhs } from "./externalSolver.ts";
import type { Method, OdeSystem } from "./method.ts";
import { gradName } from "./programs.ts";
import type { SolveStats } from "./solve.ts";

export interface BacksolveOptions extends Method {
  /** Names of the parameters (rows, matrices) of the right-hand side whose gradient is wanted. */
  readonly wrt: readonly string[];
  /**
   * true: the batch is one sample with one step size, all intervals of time mapped onto that of the first sample (torchode's
   * JointBacksolveAdjoint); false: each sample has its own adjoint equations and steps (BacksolveAdjoint).
   */
  readonly joint: boolean;
}

export interface BacksolveProblem {
  readonly samples: number;
  /** [samples, rows]. */
  readonly y0: ArrayLike<number>;
  /** Leaves of the right-hand side that are states, constant in time: [samples, rows of the leaf]. */
  readonly states: Readonly<Record<string, ArrayLike<number>>>;
  /** Its parameters on the device, by name; what `wrt` names must be here. */
  readonly parameters: Readonly<Record<string, Bindable>>;
  readonly tStart: readonly number[];
  readonly tEnd: readonly number[];
  /** [evaluation point][sample], the first at tStart or not, the last at tEnd; null: one output, at tEnd. */
  readonly tEval: readonly (readonly number[])[] | null;
}

export interface BacksolveGradients {
  /** [samples, rows]. */
  readonly y0: FloatArray;
  /** By parameter; values of sparse matrices in row-major order. */
  readonly parameters: Readonly<Record<string, FloatArray>>;
  /** One per backward solve, in the order solved: the last interval first. */
  readonly stats: readonly SolveStats[];
}

/** Times per sample between which one solve goes. */
interface Span {
  readonly from: readonly number[];
  readonly to: readonly number[];
}

/** Relative difference that rounding leaves between evaluation times that should be proportional. */
const PROPORTIONAL = 1e-6;

/**
 * Solves forward, and gradients by the augmented system of Pontryagin's adjoint a = ∂L/∂y,
 *
 *     z = [a_t, y, a, a_p],   dz/dt = [−a·∂f/∂t, f, −a·∂f/∂y, −a·∂f/∂p],
 *
 * from each evaluation time back to the one before; there y is set to what the forward solve stored, and the cotangent of the
 * output is added to a. The error norm runs over all of z: 1 + 2N + P numbers per sample, P the number of all parameters, kept on
 * the host and for every stage of the method on the device. The time before the first evaluation point is left out.
 *
 * Source: Chen, Rubanova, Bettencourt, Duvenaud, "Neural ordinary differential equations", NeurIPS 2018, algorithm 1.
 */
export class Backsolve {
  readonly #backend: Backend;
  readonly #system: OdeSystem;
  readonly #options: BacksolveOptions;
  readonly #program: Program;
  readonly #solvers = new Map<number, ExternalSolver>();
  #last: { evaluator: Evaluator; times: readonly (readonly number[])[]; ys: readonly FloatArray[] } | null = null;

  constructor(backend: Backend, system: OdeSystem, options: BacksolveOptions) {
    if (options.controller.type !== "integral" && options.controller.type !== "pid") {
      throw new ArgumentError("Backsolve", "controller", "integral or pid", options.controller.type);
    }
    this.#backend = backend;
    this.#system = system;
    this.#options = options;
    this.#program = vjpProgram(system, options.wrt);
  }

  /** Outputs at the evaluation points, each [samples, rows], and the statistics of the solve; `reverse` may follow. */
  async forward(problem: BacksolveProblem): Promise<{ ys: readonly FloatArray[]; stats: SolveStats }> {
    checkProblem(problem, this.#system.rows, this.#options);
    const { dtype } = this.#backend;
    const { tStart, tEnd, y0 } = problem;
    const times = problem.tEval ?? [tStart, tEnd];
    const startsHere = times[0]!.every((t, s) => t === tStart[s]);
    this.#last?.evaluator.dispose();
    const evaluator = new Evaluator(this.#backend, this.#system, this.#options, this.#program, problem);
    this.#last = null;
    const start = floatArray(dtype, y0.length);
    start.set(y0);
    const later = startsHere ? times.slice(1) : times;
    const { ys, stats } = await this.#solve(evaluator.stateRhs(), start, { from: tStart, to: tEnd }, later);
    const all = startsHere ? [start, ...ys] : ys;
    this.#last = { evaluator, times, ys: all };
    return { ys: problem.tEval ? all : ys, stats };
  }

  /** @param ctYs cotangents of the outputs of `forward`, each [samples, rows] */
  async reverse(ctYs: readonly ArrayLike<number>[]): Promise<BacksolveGradients> {
    if (!this.#last) throw new SolverError("not-recorded", "reverse: expected a forward solve before it, got none", {});
    const { evaluator, times, ys } = this.#last;
    const skipped = ys.length - ctYs.length;
    let z = evaluator.augmented(ys.at(-1)!, ctYs.at(-1)!);
    const stats: SolveStats[] = [];
    for (let i = times.length - 1; i > 0; i--) {
      const span = { from: times[i]!, to: times[i - 1]! };
      const solution = await this.#solve(evaluator.augmentedRhs(), z, span, [span.to]);
      stats.push(solution.stats);
      z = solution.ys[0]!;
      evaluator.restart(z, ys[i - 1]!, ctYs[i - 1 - skipped] ?? null);
    }
    return { ...evaluator.gradients(z), stats };
  }

  dispose(): void {
    this.#last?.evaluator.dispose();
    this.#last = null;
  }

  /** Solves for all samples, as many at once as the device takes; joint ones are one sample on the first one's time. */
  async #solve(
    field: TimedField,
    y0: FloatArray,
    span: Span,
    tEval: readonly (readonly number[])[],
  ): Promise<{ ys: FloatArray[]; stats: SolveStats }> {
    const { joint } = this.#options;
    const units = joint ? 1 : span.from.length;
    const rows = y0.length / units;
    let solver = this.#solvers.get(rows);
    if (!solver) {
      solver = new ExternalSolver(this.#backend, rows, this.#options);
      this.#solvers.set(rows, solver);
    }
    const ys = tEval.map(() => floatArray(this.#backend.dtype, y0.length));
    const parts: SolveStats[] = [];
    for (let first = 0; first < units; first += this.#backend.maxLanes) {
      const end = Math.min(units, first + this.#backend.maxLanes);
      const own = (t: readonly number[]) => t.slice(first, end);
      const solution = await solver.solve({
        rhs: field(span, first),
        samples: end - first,
        y0: y0.subarray(first * rows, end * rows),
        tStart: own(span.from),
        tEnd: own(span.to),
        tEval: tEval.map(own),
      });
      solution.ys.forEach((y, j) => {
        ys[j]!.set(y, first * rows);
      });
      parts.push(solution.stats);
    }
    return { ys, stats: joined(parts) };
  }
}

/** The right-hand side of units first, first + 1, … for a span of time. */
type TimedField = (span: Span, first: number) => HostRhs;

/** f, and a·∂f/∂t, a·∂f/∂y and a·∂f/∂p (added to their buffers) for the cotangent leaf `ct.k` = a. */
function vjpProgram(system: OdeSystem, wrt: readonly string[]): Program {
  const g = new Graph();
  const k = system.rhs(g, g.sample("ode.t"), g.state("ode.y", system.rows));
  g.store("k", k);
  const targets = new Map<string, GradTarget>([
    ["ode.t", { binding: "ct.t", accumulate: false }],
    ["ode.y", { binding: "ct.y", accumulate: false }],
  ]);
  for (const name of wrt) targets.set(name, { binding: gradName(name), accumulate: true });
  pullBack(g, g, [[k, g.state("ct.k", system.rows)]], targets, (v) => v);
  return lower(g, "backsolve.vjp");
}

/**
 * The right-hand sides on host arrays. A *unit* is what has one step size: a sample, or the whole batch. In a unit of S samples
 * z is [a_t, y (S·N), a (S·N), a_p (P)]; sample i of a joint unit runs at t_i = c_i + m_i·t, and its f counts m_i times.
 */
class Evaluator {
  readonly #backend: Backend;
  readonly #rows: number;
  readonly #samplesPerUnit: number;
  readonly #units: number;
  readonly #parameters: readonly { readonly name: string; readonly size: number; readonly order: Uint32Array | null }[];
  readonly #nParameters: number;
  readonly #groups: readonly Group[];

  constructor(
    backend: Backend,
    { rows }: OdeSystem,
    { wrt, joint }: BacksolveOptions,
    program: Program,
    problem: BacksolveProblem,
  ) {
    const { samples } = problem;
    this.#backend = backend;
    this.#rows = rows;
    this.#samplesPerUnit = joint ? samples : 1;
    this.#units = samples / this.#samplesPerUnit;
    this.#parameters = wrt.map((name) => {
      const bound = problem.parameters[name]!;
      return "nnz" in bound
        ? { name, size: bound.nnz, order: bound.cscOfCsrHost }
        : { name, size: bound.length, order: null };
    });
    this.#nParameters = this.#parameters.reduce((sum, { size }) => sum + size, 0);
    const groupSize = Math.min(this.#samplesPerUnit, backend.maxLanes);
    const groups: Group[] = [];
    for (let unit = 0; unit < this.#units; unit++) {
      const end = (unit + 1) * this.#samplesPerUnit;
      for (let first = unit * this.#samplesPerUnit; first < end; first += groupSize) {
        const count = Math.min(groupSize, end - first);
        groups.push(new Group(backend, program, rows, unit, first, count, problem, this.#parameters));
      }
    }
    this.#groups = groups;
  }

  /** dy/dt. */
  stateRhs(): TimedField {
    return (span, first) => async (t, y) => {
      const dy = floatArray(this.#backend.dtype, y.length);
      const width = this.#rows * this.#samplesPerUnit;
      for (const group of this.#groupsOf(first, t.length)) {
        const at = (group.unit - first) * width + (group.first - group.unit * this.#samplesPerUnit) * this.#rows;
        const { times, rates } = this.#clock(group, span, t[group.unit - first]!);
        const zero = floatArray(this.#backend.dtype, group.count * this.#rows);
        const { k } = await group.evaluate(times, y.subarray(at, at + zero.length), zero);
        for (let i = 0; i < k.length; i++) dy[at + i] = rates[Math.floor(i / this.#rows)]! * k[i]!;
      }
      return dy;
    };
  }

  /** dz/dt. */
  augmentedRhs(): TimedField {
    return (span, first) => async (t, z) => {
      const dz = floatArray(this.#backend.dtype, z.length);
      const n = this.#rows;
      const stateSize = n * this.#samplesPerUnit;
      for (const group of this.#groupsOf(first, t.length)) {
        const base = (group.unit - first) * this.#width();
        const y = base + 1 + (group.first - group.unit * this.#samplesPerUnit) * n;
        const a = y + stateSize;
        const size = group.count * n;
        const { times, rates } = this.#clock(group, span, t[group.unit - first]!);
        const rateOf = (i: number) => rates[Math.floor(i / n)]!;
        const ct = z.subarray(a, a + size).map((x, i) => rateOf(i) * x);
        const { k, ctT, ctY, ctP } = await group.evaluate(times, z.subarray(y, y + size), ct);
        for (let i = 0; i < size; i++) {
          dz[y + i] = rateOf(i) * k[i]!;
          dz[a + i] = -ctY[i]!;
        }
        for (let s = 0; s < group.count; s++) dz[base]! -= rates[s]! * ctT[s]!;
        const p = base + 1 + 2 * stateSize;
        for (let i = 0; i < ctP.length; i++) dz[p + i]! -= ctP[i]!;
      }
      return dz;
    };
  }

  /** z with the given states and adjoints, the rest zero. */
  augmented(ys: ArrayLike<number>, adjoints: ArrayLike<number>): FloatArray {
    const z = floatArray(this.#backend.dtype, this.#units * this.#width());
    this.#eachState((at, i) => {
      z[at] = ys[i]!;
      z[at + this.#rows * this.#samplesPerUnit] = adjoints[i]!;
    });
    return z;
  }

  /** At an evaluation point: y as it was computed forwards, the output's cotangent added to the adjoint. */
  restart(z: FloatArray, ys: ArrayLike<number>, cotangents: ArrayLike<number> | null): void {
    this.#eachState((at, i) => {
      z[at] = ys[i]!;
      if (cotangents) z[at + this.#rows * this.#samplesPerUnit]! += cotangents[i]!;
    });
  }

  /** Adjoints of the initial states, and those of the parameters summed over the units. */
  gradients(z: FloatArray): { y0: FloatArray; parameters: Record<string, FloatArray> } {
    const { dtype } = this.#backend;
    const stateSize = this.#rows * this.#samplesPerUnit;
    const y0 = floatArray(dtype, this.#units * stateSize);
    this.#eachState((at, i) => {
      y0[i] = z[at + stateSize]!;
    });
    const parameters: Record<string, FloatArray> = {};
    let offset = 1 + 2 * stateSize;
    for (const { name, size, order } of this.#parameters) {
      const gradient = floatArray(dtype, size);
      for (let unit = 0; unit < this.#units; unit++) {
        const base = unit * this.#width() + offset;
        for (let k = 0; k < size; k++) gradient[k]! += z[base + (order ? order[k]! : k)]!;
      }
      parameters[name] = gradient;
      offset += size;
    }
    return { y0, parameters };
  }

  dispose(): void {
    for (const group of this.#groups) group.dispose();
  }

  #width(): number {
    return 1 + 2 * this.#rows * this.#samplesPerUnit + this.#nParameters;
  }

  #groupsOf(firstUnit: number, units: number): Group[] {
    return this.#groups.filter(({ unit }) => unit >= firstUnit && unit < firstUnit + units);
  }

  /** Own times of a group's samples when its unit is at t, and how fast they pass. */
  #clock({ unit, first, count }: Group, { from, to }: Span, t: number): { times: number[]; rates: number[] } {
    const lead = unit * this.#samplesPerUnit;
    const rates = Array.from({ length: count }, (_, i) => {
      return (to[first + i]! - from[first + i]!) / (to[lead]! - from[lead]!);
    });
    return { rates, times: rates.map((m, i) => from[first + i]! - m * from[lead]! + m * t) };
  }

  /** Visits the states: position in z, position in [samples, rows]. */
  #eachState(visit: (at: number, i: number) => void): void {
    const stateSize = this.#rows * this.#samplesPerUnit;
    for (let unit = 0; unit < this.#units; unit++) {
      for (let j = 0; j < stateSize; j++) visit(unit * this.#width() + 1 + j, unit * stateSize + j);
    }
  }
}

/** Samples of one unit that the device evaluates at once; buffers and the bound program for them. */
class Group {
  readonly unit: number;
  readonly first: number;
  readonly count: number;
  readonly #backend: Backend;
  readonly #rows: number;
  readonly #layout: PanelLayout;
  readonly #buffers: Record<string, DeviceBuffer> = {};
  readonly #gradients: readonly DeviceBuffer[];
  readonly #bound: BoundProgram;

  constructor(
    backend: Backend,
    program: Program,
    rows: number,
    unit: number,
    first: number,
    count: number,
    { states, samples, parameters }: BacksolveProblem,
    wanted: readonly { readonly name: string; readonly size: number }[],
  ) {
    this.unit = unit;
    this.first = first;
    this.count = count;
    this.#backend = backend;
    this.#rows = rows;
    this.#layout = backend.layoutFor(count);
    const lanes = lanesOf(this.#layout);
    const buffers = this.#buffers;
    for (const name of ["ode.y", "ct.k", "k", "ct.y"]) buffers[name] = backend.buffer(name, rows * lanes);
    for (const name of ["ode.t", "ct.t"]) buffers[name] = backend.buffer(name, lanes);
    for (const [name, data] of Object.entries(states)) {
      const width = data.length / samples;
      buffers[name] = backend.buffer(name, width * lanes);
      this.#uploadState(name, data, width, first);
    }
    this.#gradients = wanted.map(({ name, size }) => backend.buffer(gradName(name), size));
    wanted.forEach(({ name }, i) => {
      buffers[gradName(name)] = this.#gradients[i]!;
    });
    this.#bound = compileAndBind(backend, program, this.#layout, { ...parameters, ...buffers });
  }

  /** f at (t, y), and its products with the cotangents `ct` [count, rows]; those of the parameters behind one another. */
  async evaluate(
    t: readonly number[],
    y: ArrayLike<number>,
    ct: FloatArray,
  ): Promise<{ k: FloatArray; ctT: FloatArray; ctY: FloatArray; ctP: FloatArray }> {
    const backend = this.#backend;
    const n = this.#rows;
    this.#uploadState("ode.t", t, 1);
    this.#uploadState("ode.y", y, n);
    // Lanes without a sample repeat the last one, but must not count in the gradients of the parameters.
    this.#uploadState("ct.k", ct, n, 0, "zero");
    for (const gradient of this.#gradients) backend.fill(gradient, 0);
    backend.run(this.#bound);
    const ctP = floatArray(
      backend.dtype,
      this.#gradients.reduce((sum, { length }) => sum + length, 0),
    );
    let offset = 0;
    for (const gradient of this.#gradients) {
      ctP.set(await backend.download(gradient), offset);
      offset += gradient.length;
    }
    return {
      k: await this.#download("k", n),
      ctT: await this.#download("ct.t", 1),
      ctY: await this.#download("ct.y", n),
      ctP,
    };
  }

  dispose(): void {
    for (const buffer of Object.values(this.#buffers)) buffer.release();
  }

  /** @param first  sample of `data` that the first lane takes */
  #uploadState(
    name: string,
    data: ArrayLike<number>,
    rows: number,
    first = 0,
    unused: "repeat" | "zero" = "repeat",
  ): void {
    const layout = this.#layout;
    const packed = floatArray(this.#backend.dtype, rows * lanesOf(layout));
    packState(data, (s, row) => (first + s) * rows + row, this.count, rows, layout, packed);
    if (unused === "zero") clearUnusedLanes(packed, this.count, rows, layout);
    this.#backend.upload(this.#buffers[name]!, packed);
  }

  async #download(name: string, rows: number): Promise<FloatArray> {
    const values = floatArray(this.#backend.dtype, this.count * rows);
    const state = await this.#backend.download(this.#buffers[name]!);
    unpackState(state, values, (s, row) => s * rows + row, this.count, rows, this.#layout);
    return values;
  }
}

/** Statistics of solves that stand for parts of one batch. */
function joined(parts: readonly SolveStats[]): SolveStats {
  return {
    nSteps: parts.flatMap((p) => p.nSteps),
    nAccepted: parts.flatMap((p) => p.nAccepted),
    nFEvals: Math.max(...parts.map((p) => p.nFEvals)),
    status: parts.flatMap((p) => p.status),
    t: parts.flatMap((p) => p.t),
    dt: parts.flatMap((p) => p.dt),
    steps: null,
    plan: null,
  };
}

function checkProblem(problem: BacksolveProblem, rows: number, { wrt, joint }: BacksolveOptions): void {
  const where = "Backsolve";
  const { samples, y0, states, parameters, tStart, tEnd, tEval } = problem;
  if (y0.length !== samples * rows) throw new ShapeError(where, "y0", `${samples} × ${rows} numbers`, `${y0.length}`);
  for (const [name, data] of Object.entries(states)) {
    if (data.length === 0 || data.length % samples !== 0)
      throw new ShapeError(where, name, `a state for each of ${samples} samples`, `${data.length} numbers`);
  }
  const missing = wrt.find((name) => !Object.hasOwn(parameters, name));
  if (missing !== undefined) throw new ArgumentError(where, "parameters", `"${missing}" of wrt`, "nothing");
  const times = tEval ?? [tStart, tEnd];
  for (const t of [tStart, tEnd, ...times]) {
    if (t.length !== samples) throw new ShapeError(where, "times", `${samples}, one per sample`, `${t.length}`);
  }
  if (times.length < 2) throw new ArgumentError(where, "tEval", "at least 2 evaluation points", `${times.length}`);
  for (let s = 0; s < samples; s++) {
    if (times.at(-1)![s] !== tEnd[s])
      throw new ArgumentError(where, "tEval", `the last point at tEnd = ${tEnd[s]}`, `${times.at(-1)![s]}`);
    if ((times[0]![s] === tStart[s]) !== (times[0]![0] === tStart[0]))
      throw new ArgumentError(where, "tEval", "the first point at tStart for all samples or for none", "some of each");
    if (!joint) continue;
    const phase = (t: readonly number[], sample: number) =>
      (t[sample]! - tStart[sample]!) / (tEnd[sample]! - tStart[sample]!);
    const apart = times.find((t) => Math.abs(phase(t, s) - phase(t, 0)) > PROPORTIONAL);
    if (apart)
      throw new ArgumentError(where, "tEval", "times proportional to those of sample 0", `${apart[s]} for sample ${s}`);
  }
}
