// The right-hand sides of the adjoint equations on host arrays: f and its vector-Jacobian products, computed on the device.

import { Graph } from "../autodiff/graph.ts";
import { lower } from "../autodiff/lower.ts";
import { checkWrt, type GradTarget, pullBack } from "../autodiff/vjp.ts";
import type { Backend, Bindable, DeviceBuffer } from "../backend/backend.ts";
import { Desk } from "../backend/desk.ts";
import type { Program } from "../backend/program.ts";
import { type FloatArray, floatArray } from "../core/dtype.ts";
import { orRelease } from "../core/release.ts";
import type { HostRhs } from "./externalSolver.ts";
import { type OdeSystem, slopeOfLeaves } from "./method.ts";
import { checkInputNames, gradName, systemInputs } from "./programs.ts";

/** What the right-hand side depends on besides t and y. */
export interface FieldInputs {
  readonly samples: number;
  readonly tStart: readonly number[];
  /** Leaves of the right-hand side that are states, constant in time: [samples, rows of the leaf]. */
  readonly states: Readonly<Record<string, ArrayLike<number>>>;
  /** Its parameters on the device, by name. */
  readonly parameters: Readonly<Record<string, Bindable>>;
}

/** What the adjoint equations are solved for. */
export interface FieldOptions {
  /** Names of the parameters (rows, matrices) of the right-hand side whose gradient is wanted. */
  readonly wrt: readonly string[];
  /** true: the batch is one unit; false: each sample is. */
  readonly joint: boolean;
}

/** Start and end of one solve, per sample. */
export interface Span {
  readonly from: readonly number[];
  readonly to: readonly number[];
}

/** Times of the samples of a group: absolute, and since the start of the problem. */
interface Times {
  readonly t: readonly number[];
  readonly elapsed: readonly number[];
}

/** The right-hand side of some units for a span of time. */
export type TimedField = (span: Span, units: readonly number[]) => HostRhs;

/** f, and a·∂f/∂t, a·∂f/∂y and a·∂f/∂p (added to their buffers) for the cotangent leaf `ct.k` = a. */
export function vjpProgram(system: OdeSystem, wrt: readonly string[]): Program {
  const g = new Graph();
  const k = slopeOfLeaves(g, system);
  const inputs = systemInputs(system);
  checkWrt("backsolve", wrt, inputs);
  g.store("k", k);
  const targets = new Map<string, GradTarget>([
    ["ode.t", { binding: "ct.t", accumulate: false }],
    ["ode.elapsed", { binding: "ct.elapsed", accumulate: false }],
    ["ode.y", { binding: "ct.y", accumulate: false }],
  ]);
  for (const name of wrt) targets.set(name, { binding: gradName(name), accumulate: true });
  pullBack(g, g, [[k, g.state("ct.k", system.rows)]], targets, (v) => v);
  const program = lower(g, "backsolve.vjp", "reverse");
  checkInputNames("backsolve", inputs, [program]);
  return program;
}

/**
 * The right-hand sides on host arrays. A *unit* is what has one step size: a sample, or the whole batch. In a unit of S samples
 * z is [a_t, y (S·N), a (S·N), a_p (P)]; sample i of a joint unit runs at t_i = c_i + m_i·t, and its f counts m_i times.
 */
export class AdjointField {
  readonly #backend: Backend;
  readonly #rows: number;
  readonly #samplesPerUnit: number;
  readonly #units: number;
  readonly #parameters: readonly { readonly name: string; readonly size: number; readonly order: Uint32Array | null }[];
  readonly #nParameters: number;
  readonly #tStart: readonly number[];
  readonly #groups: Group[] = [];

  constructor(
    backend: Backend,
    { rows }: OdeSystem,
    program: Program,
    { wrt, joint }: FieldOptions,
    inputs: FieldInputs,
  ) {
    const { samples, tStart } = inputs;
    this.#tStart = tStart;
    this.#backend = backend;
    this.#rows = rows;
    this.#samplesPerUnit = joint ? samples : 1;
    this.#units = samples / this.#samplesPerUnit;
    this.#parameters = wrt.map((name) => {
      const bound = inputs.parameters[name]!;
      return "nnz" in bound
        ? { name, size: bound.nnz, order: bound.cscOfCsrHost }
        : { name, size: bound.length, order: null };
    });
    this.#nParameters = this.#parameters.reduce((sum, { size }) => sum + size, 0);
    const widths = Object.values(inputs.states).map((data) => data.length / samples);
    const groupSize = Math.min(this.#samplesPerUnit, backend.lanesFor(Math.max(rows, ...widths)));
    orRelease({ release: () => this.dispose() }, () => {
      for (let unit = 0; unit < this.#units; unit++) {
        const end = (unit + 1) * this.#samplesPerUnit;
        for (let first = unit * this.#samplesPerUnit; first < end; first += groupSize) {
          const part = { unit, first, count: Math.min(groupSize, end - first) };
          const desk = new Desk(backend, backend.layoutFor(part.count), "backsolve");
          this.#groups.push(orRelease(desk, () => new Group(desk, program, rows, part, inputs, this.#parameters)));
        }
      }
    });
  }

  /** dy/dt. */
  stateRhs(): TimedField {
    return (span, units) => async (elapsed, y) => {
      const dy = floatArray(this.#backend.dtype, y.length);
      const width = this.#rows * this.#samplesPerUnit;
      for (const [group, position] of this.#groupsOf(units)) {
        const at = position * width + (group.first - group.unit * this.#samplesPerUnit) * this.#rows;
        const { times, rates } = this.#clock(group, span, elapsed[position]!);
        const zero = floatArray(this.#backend.dtype, group.count * this.#rows);
        const { k } = await group.evaluate(times, y.subarray(at, at + zero.length), zero);
        for (let i = 0; i < k.length; i++) dy[at + i] = rates[Math.floor(i / this.#rows)]! * k[i]!;
      }
      return dy;
    };
  }

  /** dz/dt. */
  augmentedRhs(): TimedField {
    return (span, units) => async (elapsed, z) => {
      const dz = floatArray(this.#backend.dtype, z.length);
      const n = this.#rows;
      const stateSize = n * this.#samplesPerUnit;
      for (const [group, position] of this.#groupsOf(units)) {
        const base = position * this.#width();
        const y = base + 1 + (group.first - group.unit * this.#samplesPerUnit) * n;
        const a = y + stateSize;
        const size = group.count * n;
        const { times, rates } = this.#clock(group, span, elapsed[position]!);
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
    for (const group of this.#groups) group.release();
  }

  #width(): number {
    return 1 + 2 * this.#rows * this.#samplesPerUnit + this.#nParameters;
  }

  /** Groups of some units, with their unit's position among these. */
  #groupsOf(units: readonly number[]): (readonly [Group, number])[] {
    const positions = new Map(units.map((unit, position) => [unit, position]));
    return this.#groups.flatMap((group) => {
      const position = positions.get(group.unit);
      return position === undefined ? [] : [[group, position] as const];
    });
  }

  /** Times of a group's samples when this much time of its unit has passed, and how fast they pass. */
  #clock(
    { unit, first, count }: Group,
    { from, to }: Span,
    elapsed: number,
  ): { times: Times; rates: readonly number[] } {
    const lead = unit * this.#samplesPerUnit;
    const rates = Array.from({ length: count }, (_, i) => {
      return (to[first + i]! - from[first + i]!) / (to[lead]! - from[lead]!);
    });
    const t = rates.map((m, i) => from[first + i]! + m * elapsed);
    // Not t − tStart: far from 0, t has few digits.
    const own = rates.map((m, i) => from[first + i]! - this.#tStart[first + i]! + m * elapsed);
    return { rates, times: { t, elapsed: own } };
  }

  /** Visits the states: position in z, position in [samples, rows]. */
  #eachState(visit: (at: number, i: number) => void): void {
    const stateSize = this.#rows * this.#samplesPerUnit;
    for (let unit = 0; unit < this.#units; unit++) {
      for (let j = 0; j < stateSize; j++) visit(unit * this.#width() + 1 + j, unit * stateSize + j);
    }
  }
}

/** Samples of one unit that the device evaluates at once. Buffers have the names of the program's bindings. */
class Group {
  readonly unit: number;
  readonly first: number;
  readonly count: number;
  readonly #desk: Desk;
  readonly #program: Program;
  readonly #rows: number;
  readonly #parameters: FieldInputs["parameters"];
  readonly #gradients: readonly DeviceBuffer[];

  constructor(
    desk: Desk,
    program: Program,
    rows: number,
    { unit, first, count }: Pick<Group, "unit" | "first" | "count">,
    { states, samples, parameters }: FieldInputs,
    wanted: readonly { readonly name: string; readonly size: number }[],
  ) {
    this.unit = unit;
    this.first = first;
    this.count = count;
    this.#desk = desk;
    this.#program = program;
    this.#rows = rows;
    this.#parameters = parameters;
    for (const name of ["ode.y", "ct.k", "k", "ct.y"]) desk.state(name, rows);
    for (const name of ["ode.t", "ode.elapsed", "ode.segment", "ct.t", "ct.elapsed"]) desk.sample(name);
    for (const [name, data] of Object.entries(states))
      desk.put(desk.state(name, data.length / samples), data, { first, count });
    this.#gradients = wanted.map(({ name, size }) => desk.vector(gradName(name), size));
    desk.bind(program, parameters);
  }

  /** f at these times and y, and its products with the cotangents `ct` [count, rows]; those of the parameters behind one another. */
  async evaluate(
    { t, elapsed }: Times,
    y: ArrayLike<number>,
    ct: FloatArray,
  ): Promise<{ k: FloatArray; ctT: FloatArray; ctY: FloatArray; ctP: FloatArray }> {
    const desk = this.#desk;
    const { backend } = desk;
    const { count } = this;
    const state = (name: string) => desk.state(name, this.#rows);
    desk.put(desk.sample("ode.t"), t, { count });
    desk.put(desk.sample("ode.elapsed"), elapsed, { count });
    desk.put(state("ode.y"), y, { count });
    desk.put(state("ct.k"), ct, { count }, "zero");
    for (const gradient of this.#gradients) backend.fill(gradient, 0);
    desk.run(this.#program, this.#parameters);
    const ctP = floatArray(
      backend.dtype,
      this.#gradients.reduce((sum, { length }) => sum + length, 0),
    );
    let offset = 0;
    for (const gradient of this.#gradients) {
      ctP.set(await backend.download(gradient), offset);
      offset += gradient.length;
    }
    const [byTime, byElapsed] = [
      await desk.read(desk.sample("ct.t"), count),
      await desk.read(desk.sample("ct.elapsed"), count),
    ];
    return {
      k: await desk.read(state("k"), count),
      ctT: byTime.map((ct, s) => ct + byElapsed[s]!),
      ctY: await desk.read(state("ct.y"), count),
      ctP,
    };
  }

  release(): void {
    this.#desk.release();
  }
}
