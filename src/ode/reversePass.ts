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
  /** Those of them at which some samples start. */
  readonly starting: readonly number[];
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

export class ReversePass {
  readonly #solver: SolverDesk;
  readonly #programs: ReversePrograms;
  readonly #tape: Tape;
  readonly #system: OdeSystem;
  readonly #options: SolverOptions;
  /** Cotangents of what attempts start from, in turn. */
  #cts: readonly [BufferSet, BufferSet] | null = null;
  /** Cotangents of the stages of an attempt, for solves with several evaluation points. */
  #stages: BufferSet | null = null;

  constructor(solver: SolverDesk, programs: ReversePrograms, tape: Tape, system: OdeSystem, options: SolverOptions) {
    this.#solver = solver;
    this.#programs = programs;
    this.#tape = tape;
    this.#system = system;
    this.#options = options;
  }

  /**
   * Gets the memory that the pass works in, before the tape takes what there is.
   * @param points  evaluation points after the start
   */
  prepare(points: number): void {
    this.#ctsOfStarts();
    if (points > 1) this.#ctsOfStages();
    const programs = [this.#programs, points > 1 ? this.#programs.severalPoints : {}].flatMap(programsIn);
    for (const program of programs) this.#solver.desk.executable(program);
  }

  #ctsOfStarts(): readonly [BufferSet, BufferSet] {
    const { desk } = this.#solver;
    const n = this.#system.rows * desk.lanes;
    const { fsal } = this.#options.tableau;
    const ct: Shapes = { y: n, ...(fsal ? { k1: n } : {}), ...eachOf(GRADIENT_NUMBERS, desk.lanes) };
    this.#cts ??= [desk.vectors("ct a", ct), desk.vectors("ct b", ct)];
    return this.#cts;
  }

  #ctsOfStages(): BufferSet {
    const { desk } = this.#solver;
    const n = this.#system.rows * desk.lanes;
    const stages = this.#options.tableau.b.map((_, i) => stageName(i));
    this.#stages ??= prefixed(
      "ct.",
      desk.vectors("ct stages", {
        ...eachOf(["stage.y0", "stage.y1"], n),
        ...eachOf(["stage.t", "stage.dt"], desk.lanes),
        ...eachOf(stages, n),
      }),
    );
    return this.#stages;
  }

  run(solve: RecordedSolve, { ctYs, grads, ctY0 }: Cotangents): void {
    const { desk, leaves, none, void: found } = this.#solver;
    const { request, pending, attempts, hasVoids } = solve;
    const rerun = (start: BufferSet, next: BufferSet, saves: BufferSet, voids?: Voids) =>
      this.#solver.attempt(request, start, next, saves, voids);
    const cts = this.#ctsOfStarts();
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
      const values = {
        ...common,
        ...prefixed("ode.", start),
        ...saves,
        ...prefixed("ct.next.", ctNext),
        ...prefixed("ct.", ct),
        "ode.tNext": next.t,
      };
      const wanted = solve.due[i]!.filter((j) => ctYs[j] != null);
      if (wanted.length === 0) this.#solver.run(this.#programs.attemptReverse, inputs, values);
      else if (pending.length === 1) {
        const dense = { "ct.ys": ctYs[pending[0]!]!, "ode.tEval": this.#solver.tEval(pending[0]!) };
        this.#solver.run(this.#programs.attemptReverseDense, inputs, { ...values, ...dense });
      } else this.#pullSeveral(i, wanted, ctYs, inputs, values);
      this.#tape.forget(i);
    }
    this.#pullStart(solve, inputs, common, cts[0]);
    if (!ctY0) return;
    desk.backend.copy(ctY0, cts[0].y!);
    const add = desk.program("add", () => addProgram(this.#system.rows));
    ctYs.forEach((term, j) => {
      if (!term) return;
      if (!pending.includes(j)) desk.run(add, { sum: ctY0, term });
      else if (solve.starting.includes(j)) this.#solver.addAtStart(j, ctY0, term);
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

  /** Back through dense output in attempt i, whose stages are rebuilt from the record, to cotangents of its stages, and through the attempt. */
  #pullSeveral(
    i: number,
    points: readonly number[],
    ctYs: Cotangents["ctYs"],
    inputs: Readonly<Record<string, Bindable>>,
    values: Bindings,
  ): void {
    const solver = this.#solver;
    const { rebuildStages, denseReverse, attemptReverse, clearStages } = this.#programs.severalPoints;
    const dense = { ...values, ...this.#ctsOfStages(), ...solver.stages, "ode.due": this.#anyDue(i, points) };
    solver.run(rebuildStages, inputs, dense);
    for (const j of points) {
      const point = { "ode.due": solver.due(i, j), "ct.ys": ctYs[j], "ode.tEval": solver.tEval(j) };
      solver.run(denseReverse, inputs, { ...dense, ...point });
    }
    solver.run(attemptReverse, inputs, dense);
    solver.run(clearStages, inputs, dense);
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
