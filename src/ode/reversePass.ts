// The reverse pass of a recorded solve: from attempt to attempt backwards, each time through the attempt and the dense output in it.

import type { Bindable, DeviceBuffer } from "../backend/backend.ts";
import type { Bindings } from "../backend/desk.ts";
import { GRADIENT_NUMBERS } from "./control.ts";
import { type OdeSystem, stageName } from "./method.ts";
import { addProgram, gradName, programsIn, type ReversePrograms, windowProgram } from "./programs.ts";
import type { SolveRequest, SolverOptions } from "./request.ts";
import { eachOf, prefixed, type SolverDesk, VOIDS, type Voids } from "./solverDesk.ts";
import type { BufferSet, Shapes, Tape } from "./tape.ts";

/** What the reverse pass needs to know of a solve. */
export interface RecordedSolve {
  readonly request: SolveRequest;
  /** Evaluation points after the start. */
  readonly pending: readonly number[];
  attempts: number;
  /** Evaluation points to interpolate, by attempt. */
  readonly due: (readonly number[])[];
  /** Some trial step was void: the reverse pass must not read its record. */
  hasVoids: boolean;
}

/** Cotangents that go in (null: zero), and where gradients and the cotangent of the initial state go. */
export interface Cotangents {
  readonly ctYs: readonly (DeviceBuffer | null)[];
  readonly grads: Readonly<Record<string, Bindable>>;
  readonly ctY0: DeviceBuffer | null;
}

/** Cotangents on the device. */
interface ReverseState {
  /** Of what attempts start from, in turn. */
  readonly cts: readonly [BufferSet, BufferSet];
  readonly stages: BufferSet;
}

export class ReversePass {
  readonly #solver: SolverDesk;
  readonly #programs: ReversePrograms;
  readonly #tape: Tape;
  readonly #system: OdeSystem;
  readonly #options: SolverOptions;
  #state: ReverseState | null = null;

  constructor(solver: SolverDesk, programs: ReversePrograms, tape: Tape, system: OdeSystem, options: SolverOptions) {
    this.#solver = solver;
    this.#programs = programs;
    this.#tape = tape;
    this.#system = system;
    this.#options = options;
  }

  /** Gets the memory that the pass works in, before the tape takes what there is. */
  prepare(): void {
    this.#buffers();
    for (const program of programsIn(this.#programs)) this.#solver.desk.executable(program);
  }

  #buffers(): ReverseState {
    if (this.#state) return this.#state;
    const { desk } = this.#solver;
    const { tableau } = this.#options;
    const n = this.#system.rows * desk.lanes;
    const ct: Shapes = { y: n, ...(tableau.fsal ? { k1: n } : {}), ...eachOf(GRADIENT_NUMBERS, desk.lanes) };
    const stages = {
      ...eachOf(["stage.y0", "stage.y1"], n),
      ...eachOf(["stage.t", "stage.dt"], desk.lanes),
      ...eachOf(
        tableau.b.map((_, i) => stageName(i)),
        n,
      ),
    };
    this.#state = {
      cts: [desk.vectors("ct a", ct), desk.vectors("ct b", ct)],
      stages: prefixed("ct.", desk.vectors("ct stages", stages)),
    };
    return this.#state;
  }

  run(solve: RecordedSolve, { ctYs, grads, ctY0 }: Cotangents): void {
    const { desk, leaves, none, void: found } = this.#solver;
    const { request, pending, attempts, hasVoids } = solve;
    const rerun = (start: BufferSet, next: BufferSet, saves: BufferSet, voids?: Voids) =>
      this.#solver.attempt(request, start, next, saves, voids);
    const { cts, stages } = this.#buffers();
    const gradients = Object.fromEntries(Object.entries(grads).map(([name, buffer]) => [gradName(name), buffer]));
    const inputs = { ...request.inputs, ...gradients };
    const common = { ...leaves, "ode.void": hasVoids ? found : none };
    // What comes after the last step has no cotangent, be it an attempt that turned out superfluous.
    for (const set of cts) for (const buffer of Object.values(set)) desk.backend.fill(buffer, 0);
    for (let i = attempts - 1; i >= 0; i--) {
      const [ct, ctNext] = i % 2 === 0 ? cts : [cts[1], cts[0]];
      const { start, next, saves } = this.#tape.recall(i, (from, to, record) => rerun(from, to, record));
      // Void trial steps leave no numbers in the record: it is made again without them.
      if (hasVoids) for (const voids of VOIDS) rerun(start, next, saves, voids);
      if (request.window) this.#cutWindow(start, next, ctNext);
      const values = { ...common, ...prefixed("ode.", start), ...saves };
      const wanted = solve.due[i]!.filter((j) => ctYs[j] != null);
      const dense = wanted.length === 0 ? null : { ...values, ...stages, "ode.due": this.#anyDue(i, wanted) };
      if (dense) this.#pullDense(i, wanted, ctYs, next, inputs, dense);
      this.#solver.run(dense ? this.#programs.attemptReverseDense : this.#programs.attemptReverse, inputs, {
        ...values,
        ...stages,
        ...prefixed("ct.next.", ctNext),
        ...prefixed("ct.", ct),
      });
      if (dense) this.#solver.run(this.#programs.clearStages, inputs, dense);
      this.#tape.forget(i);
    }
    this.#pullStart(solve, inputs, common, cts[0]);
    if (!ctY0) return;
    desk.backend.copy(ctY0, cts[0].y!);
    const add = desk.program("add", () => addProgram(this.#system.rows));
    ctYs.forEach((term, j) => {
      if (term && !pending.includes(j)) desk.run(add, { sum: ctY0, term });
    });
  }

  /** Drops the cotangents of what an attempt led to, for samples that ended a window with it. */
  #cutWindow(start: BufferSet, next: BufferSet, ctNext: BufferSet): void {
    const { desk, segments, window } = this.#solver;
    if (segments === 0) return;
    const program = desk.program("window", () => windowProgram(this.#system.rows));
    desk.run(program, {
      "ode.segment": start.segment,
      "next.segment": next.segment,
      "ode.window": window,
      ...prefixed("ct.next.", ctNext),
    });
  }

  /** Guard for several evaluation points: that of one of them does not speak for the others. */
  #anyDue(attempt: number, points: readonly number[]): DeviceBuffer {
    return points.length === 1 ? this.#solver.due(attempt, points[0]!) : this.#solver.always;
  }

  /** Cotangents of dense output in attempt i → of the step's values, which are rebuilt from the record. */
  #pullDense(
    i: number,
    points: readonly number[],
    ctYs: Cotangents["ctYs"],
    next: BufferSet,
    inputs: Readonly<Record<string, Bindable>>,
    dense: Bindings,
  ): void {
    const solver = this.#solver;
    solver.run(this.#programs.rebuildStages, inputs, { ...dense, ...solver.stages });
    for (const j of points) {
      solver.run(this.#programs.denseReverse, inputs, {
        ...dense,
        ...solver.stages,
        "ode.due": solver.due(i, j),
        "ct.ys": ctYs[j],
        "ode.tEval": solver.tEval(j),
        "ode.tNext": next.t,
      });
    }
  }

  /** Cotangent of what the first attempt started from → of y0, in place. */
  #pullStart(
    { request, hasVoids }: RecordedSolve,
    inputs: Readonly<Record<string, Bindable>>,
    common: Bindings,
    ctFirst: BufferSet,
  ): void {
    const solver = this.#solver;
    const first = this.#tape.first();
    if (hasVoids) for (const voids of VOIDS) solver.init(request, first, voids);
    solver.run(this.#programs.initReverse, inputs, {
      ...prefixed("ode.", first),
      ...common,
      "ode.segment": solver.none,
      ...solver.initSaves,
      ...prefixed("ct.next.", ctFirst),
      "ct.y": ctFirst.y,
    });
  }
}
