// Solves problems on host arrays, in chunks of as many samples as the device takes at once, so that memory does not grow with the batch.

import type { Backend, Bindable, DeviceBuffer, DeviceSparse } from "../backend/backend.ts";
import { Desk, Desks, type Part } from "../backend/desk.ts";
import type { Binding } from "../backend/program.ts";
import { type Abortable, yieldToEventLoop } from "../core/abort.ts";
import { type FloatArray, floatArray } from "../core/dtype.ts";
import {
  type CheckedProblem,
  checkCotangents,
  checkProblem,
  type HostGradients,
  type HostProblem,
  type HostSolution,
  type InputBinding,
  inputBindings,
  isCsr,
  isOnDevice,
  isWhole,
  type SampleCotangents,
  type StateCotangents,
  sharedLengthOf,
  widthOf,
} from "./hostProblem.ts";
import type { OdeSystem } from "./method.ts";
import type { SolveRequest, StartedSolve } from "./request.ts";
import type { Cotangents } from "./reversePass.ts";
import { assertSolved, joinedStats, type SolveStats } from "./solveStats.ts";

/** The solver on the device. */
export interface DeviceSolver {
  start(request: SolveRequest): Promise<StartedSolve>;
  reverse(cotangents: Cotangents): void;
}

/** Waits until a solve is complete. `enqueue` enqueues what depends on it, again if it was not. */
export async function completed(
  backend: Backend,
  solve: StartedSolve,
  { signal }: Abortable,
  enqueue: () => void = () => {},
): Promise<SolveStats> {
  for (;;) {
    await yieldToEventLoop(signal);
    enqueue();
    const stats = await solve.poll(await backend.downloadAll(solve.record()));
    if (stats) return stats;
  }
}

type Inputs = Readonly<Record<string, Bindable>>;

/** Samples of a batch that are solved at once. */
interface Chunk {
  readonly first: number;
  readonly count: number;
}

/** Cotangents of a whole batch and the gradients that each chunk adds its samples to. */
interface HostReverse {
  readonly cotangents: StateCotangents | SampleCotangents;
  readonly y0: FloatArray;
  /** Of inputs per sample. */
  readonly inputs: Readonly<Record<string, FloatArray>>;
  /** On the device: of inputs that the samples share. */
  readonly summed: Readonly<Record<string, DeviceBuffer>>;
}

export class HostSolver {
  readonly #backend: Backend;
  readonly #system: OdeSystem;
  readonly #bindings: readonly InputBinding[];
  readonly #wanted: readonly InputBinding[];
  readonly #solver: DeviceSolver;
  readonly #lanes: number;
  /** What the samples share. */
  readonly #shared: Desk;
  readonly #desks: Desks;

  constructor(backend: Backend, system: OdeSystem, wrt: readonly string[], solver: DeviceSolver) {
    this.#backend = backend;
    this.#system = system;
    this.#bindings = inputBindings(system);
    this.#wanted = this.#bindings.filter(({ name }) => wrt.includes(name));
    this.#solver = solver;
    this.#lanes = backend.lanesFor(Math.max(system.rows, ...this.#bindings.map(widthOf)));
    this.#shared = new Desk(backend, backend.layoutFor(1), "solve");
    this.#desks = new Desks(backend, "solve");
  }

  async solve(problem: HostProblem): Promise<HostSolution> {
    const checked = this.#check(problem);
    return this.#withShared(checked, (shared) => this.#chunks(checked, shared, null));
  }

  async vjp(problem: HostProblem, cotangents: StateCotangents | SampleCotangents): Promise<HostGradients> {
    const checked = this.#check(problem);
    const { batch, y0, tEval } = checked;
    const { dtype } = this.#backend;
    if (typeof cotangents !== "function")
      checkCotangents("cotangents", cotangents, tEval.length, batch, this.#system.rows, dtype);
    return this.#withShared(checked, async (shared) => {
      const summed = this.#sharedGradients();
      for (const buffer of Object.values(summed)) this.#backend.fill(buffer, 0);
      const own = this.#wanted.filter((b) => widthOf(b) > 0);
      const inputs = Object.fromEntries(own.map((b) => [b.name, floatArray(dtype, batch * widthOf(b))]));
      const reverse: HostReverse = { cotangents, y0: floatArray(dtype, y0.length), inputs, summed };
      const solution = await this.#chunks(checked, shared, reverse);
      for (const [name, buffer] of Object.entries(summed)) {
        const gradient = (await this.#backend.download(buffer)) as FloatArray;
        const input = shared[name]!;
        inputs[name] = "nnz" in input ? gradient.map((_, k) => gradient[input.cscOfCsrHost[k]!]!) : gradient;
      }
      return { ...solution, gradients: { y0: reverse.y0, inputs } };
    });
  }

  #check(problem: HostProblem): CheckedProblem {
    return checkProblem(problem, this.#system, this.#bindings, this.#backend.dtype);
  }

  // ---- inputs that the samples share -------------------------------------------------------------------------------------

  /** Uploads them for the time of a call; matrices are made for it. */
  async #withShared<T>({ inputs }: CheckedProblem, call: (shared: Inputs) => Promise<T>): Promise<T> {
    const shared: Record<string, Bindable> = {};
    const matrices: DeviceSparse[] = [];
    try {
      for (const b of this.#bindings) {
        const input = inputs[b.name]!;
        if (widthOf(b) > 0) continue;
        if (isOnDevice(input)) shared[b.name] = input;
        else if (isCsr(input)) {
          matrices.push(this.#backend.sparse(b.name, input));
          shared[b.name] = matrices.at(-1)!;
        } else {
          const buffer = this.#shared.vector(b.name, sharedLengthOf(b), isWhole(b) ? "u32" : "float");
          this.#backend.upload(buffer, input);
          shared[b.name] = buffer;
        }
      }
      return await call(shared);
    } finally {
      for (const matrix of matrices) matrix.release();
    }
  }

  /** Gradients of shared inputs; of a sparse matrix those of its values. */
  #sharedGradients(): Readonly<Record<string, DeviceBuffer>> {
    const wanted = this.#wanted.filter((b) => widthOf(b) === 0);
    return Object.fromEntries(
      wanted.map((b) => [b.name, this.#shared.vector(`gradient of ${b.name}`, sharedLengthOf(b))]),
    );
  }

  // ---- chunks ------------------------------------------------------------------------------------------------------------

  async #chunks(problem: CheckedProblem, shared: Inputs, reverse: HostReverse | null): Promise<HostSolution> {
    const { batch, y0, tEval } = problem;
    const ys = tEval.map(() => floatArray(this.#backend.dtype, y0.length));
    const stats: SolveStats[] = [];
    for (let first = 0; first < batch; first += this.#lanes) {
      const chunk = { first, count: Math.min(this.#lanes, batch - first) };
      stats.push(await this.#chunk(problem, shared, chunk, ys, reverse));
    }
    return { ys, stats: joinedStats(stats) };
  }

  async #chunk(
    problem: CheckedProblem,
    shared: Inputs,
    chunk: Chunk,
    ys: readonly FloatArray[],
    reverse: HostReverse | null,
  ): Promise<SolveStats> {
    const backend = this.#backend;
    const desk = this.#desks.of(backend.layoutFor(chunk.count));
    const request = this.#requestOf(desk, problem, shared, chunk, reverse !== null);
    const pull = reverse && this.#reverseOf(desk, problem, chunk, reverse);
    const solve = await this.#solver.start(request);
    const isAhead = typeof reverse?.cotangents !== "function";
    const stats = await completed(backend, solve, problem, () => isAhead && pull?.enqueue(ys));
    for (const [j, y] of request.ys.entries()) await desk.take(y, ys[j]!, chunk);
    if (!pull) return stats;
    if (stats.status.includes("nonFinite")) assertSolved(stats, chunk.first);
    if (!isAhead) pull.enqueue(ys);
    await pull.take();
    return stats;
  }

  #requestOf(desk: Desk, problem: CheckedProblem, shared: Inputs, chunk: Chunk, record: boolean): SolveRequest {
    const { first, count } = chunk;
    const { y0, tStart, tEnd, tEval, dt0, jumpTimes, signal } = problem;
    const own = <T>(perSample: readonly T[]) => perSample.slice(first, first + count);
    const state = (name: string) => desk.state(name, this.#system.rows);
    return {
      layout: desk.layout,
      samples: count,
      inputs: { ...shared, ...this.#uploadInputs(desk, problem, chunk) },
      y0: desk.put(state("y0"), y0, chunk),
      tStart: own(tStart),
      tEnd: own(tEnd),
      tEval: tEval.map(own),
      ys: tEval.map((_, j) => state(`y ${j}`)),
      record,
      ...(dt0 ? { dt0: own(dt0) } : {}),
      ...(jumpTimes?.length ? { jumpTimes: own(jumpTimes) } : {}),
      ...(signal ? { signal } : {}),
    };
  }

  #uploadInputs(desk: Desk, { inputs }: CheckedProblem, chunk: Chunk): Inputs {
    const own: Record<string, Bindable> = {};
    for (const b of this.#bindings.filter((b) => widthOf(b) > 0)) {
      const target = desk.state(`input ${b.name}`, widthOf(b));
      for (const frame of framesOf(b)) desk.put(target, inputs[b.name] as ArrayLike<number>, { ...chunk, ...frame });
      own[b.name] = target;
    }
    return own;
  }

  /** What enqueues the reverse pass of a chunk, and what reads the gradients of its samples. */
  #reverseOf(desk: Desk, { tEval }: CheckedProblem, chunk: Chunk, { cotangents, y0, inputs, summed }: HostReverse) {
    const n = this.#system.rows;
    const { first, count } = chunk;
    const own = this.#wanted.filter((b) => widthOf(b) > 0);
    const grads = Object.fromEntries(own.map((b) => [b.name, desk.state(`gradient of ${b.name}`, widthOf(b))]));
    const ctY0 = desk.state("gradient of y0", n);
    for (const buffer of Object.values(grads)) this.#backend.fill(buffer, 0);
    const put = (ct: ArrayLike<number>, j: number, part: Part) => desk.put(desk.state(`ct ${j}`, n), ct, part, "zero");
    const known = typeof cotangents === "function" ? null : cotangents.map((ct, j) => ct && put(ct, j, chunk));
    const fromSamples = (ys: readonly FloatArray[], of: SampleCotangents): DeviceBuffer[] => {
      const cts = tEval.map(() => floatArray(this.#backend.dtype, count * n));
      for (let s = first; s < first + count; s++) {
        const given = of(
          s,
          ys.map((y) => y.subarray(s * n, (s + 1) * n)),
        );
        checkCotangents(`cotangents of sample ${s}`, given, tEval.length, 1, n, this.#backend.dtype);
        for (const [j, ct] of given.entries()) if (ct) cts[j]!.set(ct, (s - first) * n);
      }
      return cts.map((ct, j) => put(ct, j, { count }));
    };
    return {
      enqueue: (ys: readonly FloatArray[]) => {
        const ctYs = known ?? fromSamples(ys, cotangents as SampleCotangents);
        this.#solver.reverse({ ctYs, grads: { ...summed, ...grads }, ctY0 });
      },
      take: async () => {
        await desk.take(ctY0, y0, chunk);
        for (const b of own)
          for (const frame of framesOf(b)) await desk.take(grads[b.name]!, inputs[b.name]!, { ...chunk, ...frame });
      },
    };
  }

  release(): void {
    this.#shared.release();
    this.#desks.release();
  }
}

/** Where the numbers of an input are in [batch, …] and in its buffer: those of a table one depth after another. */
function framesOf({ kind, rows, cols: depth = 1 }: Binding): Pick<Part, "at" | "frame">[] {
  if (kind !== "table") return [{}];
  return Array.from({ length: depth }, (_, index) => ({
    at: (sample, row) => (sample * depth + index) * rows + row,
    frame: { index, rows },
  }));
}
