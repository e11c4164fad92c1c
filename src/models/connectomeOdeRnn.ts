// ConnectomeODERNN: the connectome rate model with its projections, solved in continuous time, and its reverse pass. Batches of
// any size run in chunks of as many lanes as the device takes at once, so memory does not grow with the batch.

import { Graph } from "../autodiff/graph.ts";
import { lower } from "../autodiff/lower.ts";
import { type GradTarget, reverseGraph } from "../autodiff/vjp.ts";
import type { Backend, Bindable, BoundProgram, DeviceBuffer } from "../backend/backend.ts";
import { lanesOf, packState, unpackState } from "../backend/layout.ts";
import type { PanelLayout, Program } from "../backend/program.ts";
import type { Csr } from "../core/csr.ts";
import { type FloatArray, floatArray } from "../core/dtype.ts";
import { ArgumentError, ShapeError } from "../core/errors.ts";
import type { Controller } from "../ode/method.ts";
import { assertSolved, OdeSolver, type SolveStats } from "../ode/solve.ts";
import type { Tableau } from "../ode/tableau.ts";
import { dopri5 } from "../ode/tableaus/dopri5.ts";
import { type Constraint, ParameterSet } from "./parameters.ts";
import { rateDynamics } from "./rateDynamics.ts";

/** How the ODE is solved. */
export interface SolveOptions {
  readonly tableau?: Tableau;
  /** Default 1e-6. */
  readonly atol?: number;
  /** Default 1e-3. */
  readonly rtol?: number;
  /** Default 1000 attempts per sample. */
  readonly maxSteps?: number;
  /** First step; default: found by the heuristic. */
  readonly dt0?: number;
  /** true: every step has size dt0 and is accepted. */
  readonly fixedStep?: boolean;
  /** Gradients flow through the step-size control; default true, as in torchode. */
  readonly backpropThroughStepSizeControl?: boolean;
  /** Most bytes for the record of the reverse pass. */
  readonly memoryBudgetBytes?: number;
}

/** +1 or −1 for all neurons by name, or one per neuron; multiplies the state of the *sending* neuron (Dale's law). */
export type NeuronSign = "excitatory" | "inhibitory" | ArrayLike<number>;

export interface ConnectomeODERNNOptions {
  /** Numbers per sample and time step. */
  readonly inputSize: number;
  readonly numNeurons: number;
  /** W, [numNeurons, numNeurons], row = post. */
  readonly connectome: Csr;
  /** U, [numNeurons, inputSize]; null: the input is the drive itself (inputSize = numNeurons). */
  readonly inputProjection?: Csr | null;
  /** H, [outputs, numNeurons]; null: the outputs are the states. */
  readonly outputProjection?: Csr | null;
  /** Default true. */
  readonly outputProjectionBias?: boolean;
  /** A torch.nn module's name, or several separated by commas; default "Sigmoid". relu follows. */
  readonly neuronNonlinearity?: string | null;
  /** Default "excitatory". */
  readonly neuronSign?: NeuronSign;
  /** Time constants, one for all or one per neuron; each ≥ 1. Default 1. */
  readonly neuronTau?: number | ArrayLike<number>;
  /** Default true. */
  readonly connectomeBias?: boolean;
  /** Initial bias; default 0. */
  readonly biasInit?: number | ArrayLike<number>;
  /** Default true: weights and bias. */
  readonly trainConnectome?: boolean;
  readonly trainInputProjection?: boolean;
  readonly trainOutputProjection?: boolean;
  readonly trainTau?: boolean;
  /** Default { min: 0 }: weights are magnitudes, signs belong to neurons. */
  readonly weightConstraint?: Constraint;
  /** true (default): sequences are [batch, time, …]; false: [time, batch, …]. Outputs likewise. */
  readonly batchFirst?: boolean;
  /** Also compute gradients with respect to the input; default false. */
  readonly inputGradient?: boolean;
  readonly solve?: SolveOptions;
}

/** One batch. `data` is [batch, inputSize], or with `steps` [batch, steps, inputSize] (time first: [steps, batch, inputSize]). */
export interface ModelInput {
  readonly data: ArrayLike<number>;
  readonly batch: number;
  /** Length of a sequence; absent: the input is constant in time. */
  readonly steps?: number;
}

export interface EvaluationOptions {
  /** Evaluation times, equally spaced from start to end, both included; default 2. */
  readonly numEvals?: number;
  readonly startTime?: number;
  readonly endTime?: number;
  /** Initial state [batch, numNeurons]; default zeros. */
  readonly h0?: ArrayLike<number> | null;
}

/** One chunk of a batch on the device after its solve. */
export interface SolvedChunk {
  readonly first: number;
  readonly count: number;
  readonly layout: PanelLayout;
  /** Names the buffers behind it: chunks of equal key share them. */
  readonly key: string;
  /** State at each evaluation time. */
  readonly hs: readonly DeviceBuffer[];
  /** Room for their cotangents. */
  readonly ctHs: readonly DeviceBuffer[];
  readonly stats: SolveStats;
}

export interface Trajectory {
  /** [batch, numEvals, outputs], or time first. */
  readonly outs: FloatArray;
  /** [batch, numEvals, numNeurons], or time first. */
  readonly hs: FloatArray;
  /** [numEvals]. */
  readonly ts: FloatArray;
  readonly stats: SolveStats[];
}

/** Gradients that are not parameters'. */
export interface InputGradients {
  /** In the layout of the input; null unless `inputGradient`. */
  readonly x: FloatArray | null;
  /** [batch, numNeurons]. */
  readonly h0: FloatArray;
}

const DEFAULT_ATOL = 1e-6;
const DEFAULT_RTOL = 1e-3;
const DEFAULT_MAX_STEPS = 1000;

export class ConnectomeODERNN {
  readonly backend: Backend;
  readonly parameters: ParameterSet;
  readonly options: ConnectomeODERNNOptions;
  readonly nOutputs: number;
  readonly #ownsParameters: boolean;
  readonly #sign: DeviceBuffer | null;
  readonly #solvers = new Map<number, OdeSolver>();
  readonly #chunks = new Map<string, ChunkBuffers>();
  readonly #bound = new Map<string, BoundProgram>();
  readonly #maxSteps: number;

  /** @param parameters where to register the parameters (a classifier shares one set); default: an own set */
  constructor(backend: Backend, options: ConnectomeODERNNOptions, parameters?: ParameterSet) {
    checkOptions(options);
    this.backend = backend;
    this.options = options;
    this.#ownsParameters = parameters === undefined;
    this.parameters = parameters ?? new ParameterSet(backend);
    this.#maxSteps = options.solve?.maxSteps ?? DEFAULT_MAX_STEPS;
    const { numNeurons: n, connectome, inputProjection = null, outputProjection = null } = options;
    const trainable = options.trainConnectome ?? true;
    const p = this.parameters;
    p.addSparse("rnn.hh.values", connectome, { trainable, constraint: options.weightConstraint ?? { min: 0 } });
    if (options.connectomeBias ?? true) p.addVector("rnn.hh.bias", perNeuron(options.biasInit ?? 0, n), { trainable });
    if (inputProjection)
      p.addSparse("rnn.ih.values", inputProjection, { trainable: options.trainInputProjection ?? true });
    if (outputProjection) {
      const outputTrainable = options.trainOutputProjection ?? true;
      p.addSparse("rnn.ho.values", outputProjection, { trainable: outputTrainable });
      if (options.outputProjectionBias ?? true) {
        p.addVector("rnn.ho.bias", new Float64Array(outputProjection.nRows), { trainable: outputTrainable });
      }
    }
    p.addVector("rnn.tau", perNeuron(options.neuronTau ?? 1, n), {
      trainable: options.trainTau ?? true,
      constraint: { min: 1 },
    });
    this.nOutputs = outputProjection?.nRows ?? n;
    const signs = signVector(options.neuronSign ?? "excitatory", n);
    this.#sign = signs && backend.buffer("neuron sign", n);
    if (this.#sign && signs) backend.upload(this.#sign, signs);
  }

  /** Solves a batch and returns outputs and states at the evaluation times. */
  async forward(input: ModelInput, evaluation: EvaluationOptions = {}): Promise<Trajectory> {
    const { trajectory } = await this.#run(input, evaluation, null);
    return trajectory;
  }

  /**
   * Solves a batch, pulls `ctOuts` (cotangents of `outs`, same layout) back, and adds the gradients to those of `parameters`.
   */
  async vjp(
    input: ModelInput,
    ctOuts: ArrayLike<number>,
    evaluation: EvaluationOptions = {},
  ): Promise<{ trajectory: Trajectory; gradients: InputGradients }> {
    const { trajectory, gradients } = await this.#run(input, evaluation, ctOuts);
    return { trajectory, gradients: gradients! };
  }

  /** Solves the batch chunk by chunk; with `record`, `reverseChunk` must be called on each chunk before the next one. */
  async *chunks(input: ModelInput, evaluation: EvaluationOptions, record: boolean): AsyncGenerator<SolvedChunk> {
    const steps = this.#checkInput(input, evaluation);
    const nEvals = evaluation.numEvals ?? 2;
    this.parameters.refresh();
    const { maxLanes } = this.backend;
    for (let first = 0; first < input.batch; first += maxLanes) {
      const count = Math.min(maxLanes, input.batch - first);
      yield await this.#solveChunk(input, evaluation, first, count, steps, nEvals, record);
    }
  }

  /** Cotangents in `chunk.ctHs` → gradients of the parameters (added); call it after the chunk's recorded solve. */
  reverseChunk(chunk: SolvedChunk, ctHs: readonly (DeviceBuffer | null)[], input: ModelInput): ChunkGradients {
    const steps = input.steps ?? 1;
    const buffers = this.#buffers(chunk.layout, steps, chunk.hs.length);
    const gradOf = (name: string) => this.parameters.get(name).grad;
    const grads: Record<string, DeviceBuffer> = {};
    for (const [leaf, name] of this.#trainedLeaves()) grads[leaf] = gradOf(name)!;
    if (this.#needsDrive()) {
      this.backend.fill(buffers.ctDrive!, 0);
      grads.drive = buffers.ctDrive!;
    }
    this.#solver(steps).reverse(ctHs, grads, buffers.ctY0);
    if (this.#needsDrive() && this.options.inputProjection) {
      for (let k = 0; k < steps; k++) this.#project(buffers, chunk.layout, steps, k, true);
    }
    const length = this.options.inputSize * lanesOf(chunk.layout);
    const ctX = (k: number) =>
      buffers.ctX
        ? this.backend.download(buffers.ctX[k]!)
        : this.backend.download(buffers.ctDrive!, k * length, length);
    return { ctY0: buffers.ctY0, ctX };
  }

  /** Writes a chunk's part of the gradient with respect to the input into `target`, in the layout of the input. */
  async readInputGradient(
    chunk: SolvedChunk,
    { ctX }: ChunkGradients,
    input: ModelInput,
    target: FloatArray,
  ): Promise<void> {
    const { first, count, layout } = chunk;
    const { inputSize } = this.options;
    const { batch, steps = 1 } = input;
    for (let k = 0; k < steps; k++) {
      const at = (s: number, row: number) => this.#at(first + s, k, row, batch, steps, inputSize);
      unpackState(await ctX(k), target, at, count, inputSize, layout);
    }
  }

  /** outs = H·h + b for each evaluation time of a chunk, or the states themselves. */
  outputsOf(chunk: SolvedChunk): readonly DeviceBuffer[] {
    if (!this.options.outputProjection) return chunk.hs;
    const buffers = this.#chunkOuts(chunk);
    chunk.hs.forEach((h, j) => {
      this.#runOnce(`output ${chunk.key} ${j}`, () => outputProgram(this), chunk.layout, {
        ...this.outputBindings(),
        h,
        out: buffers.outs[j]!,
      });
    });
    return buffers.outs;
  }

  /** Adds the output projection to a graph: features as a function of the state leaf `h`. Used by read-outs too. */
  outputGraph(g: Graph): ReturnType<Graph["state"]> {
    const { outputProjection, numNeurons } = this.options;
    const h = g.state("h", numNeurons);
    if (!outputProjection) return h;
    const { nRows, nCols, nnz } = outputProjection;
    const out = g.ops.matmul(g.sparse("ho", nRows, nCols, nnz), h);
    return this.#hasOutputBias() ? g.ops.add(out, g.row("ho.bias", nRows)) : out;
  }

  /** What programs that contain `outputGraph` bind, besides `h`. */
  outputBindings(): Record<string, Bindable> {
    if (!this.options.outputProjection) return {};
    const p = this.parameters;
    return {
      ho: p.get("rnn.ho.values").bindable,
      ...(this.#hasOutputBias() ? { "ho.bias": p.get("rnn.ho.bias").bindable } : {}),
    };
  }

  /** Trainable parts of the output projection: leaf name → parameter name. */
  outputParameters(): [string, string][] {
    if (!this.options.outputProjection || !(this.options.trainOutputProjection ?? true)) return [];
    return [
      ["ho", "rnn.ho.values"],
      ...(this.#hasOutputBias() ? [["ho.bias", "rnn.ho.bias"] as [string, string]] : []),
    ];
  }

  #hasOutputBias(): boolean {
    return this.options.outputProjectionBias ?? true;
  }

  dispose(): void {
    for (const s of this.#solvers.values()) s.dispose();
    for (const c of this.#chunks.values()) for (const b of c.all) b.release();
    this.#solvers.clear();
    this.#chunks.clear();
    this.#bound.clear();
    this.#sign?.release();
    if (this.#ownsParameters) this.parameters.dispose();
  }

  // ---- one batch -------------------------------------------------------------------------------------------------------

  async #run(
    input: ModelInput,
    evaluation: EvaluationOptions,
    ctOuts: ArrayLike<number> | null,
  ): Promise<{ trajectory: Trajectory; gradients: InputGradients | null }> {
    const { numNeurons: n, inputSize } = this.options;
    const { batch } = input;
    const nEvals = evaluation.numEvals ?? 2;
    const steps = input.steps ?? 1;
    const { dtype } = this.backend;
    const outs = floatArray(dtype, batch * nEvals * this.nOutputs);
    const hs = floatArray(dtype, batch * nEvals * n);
    if (ctOuts && ctOuts.length !== outs.length)
      throw new ShapeError("vjp", "ctOuts", `${outs.length} numbers, as outs`, `${ctOuts.length}`);
    const x = ctOuts && this.options.inputGradient ? floatArray(dtype, batch * steps * inputSize) : null;
    const h0 = ctOuts ? floatArray(dtype, batch * n) : null;
    const stats: SolveStats[] = [];
    for await (const chunk of this.chunks(input, evaluation, ctOuts !== null)) {
      const { first, count, layout } = chunk;
      stats.push(chunk.stats);
      const chunkOuts = this.outputsOf(chunk);
      for (let j = 0; j < nEvals; j++) {
        const atEval = (width: number) => (s: number, row: number) => this.#at(first + s, j, row, batch, nEvals, width);
        unpackState(await this.backend.download(chunk.hs[j]!), hs, atEval(n), count, n, layout);
        unpackState(
          await this.backend.download(chunkOuts[j]!),
          outs,
          atEval(this.nOutputs),
          count,
          this.nOutputs,
          layout,
        );
        if (ctOuts) this.#pullOutput(chunk, j, ctOuts, atEval(this.nOutputs));
      }
      if (!ctOuts) continue;
      const back = this.reverseChunk(chunk, chunk.ctHs, input);
      unpackState(await this.backend.download(back.ctY0), h0!, (s, row) => (first + s) * n + row, count, n, layout);
      if (x) await this.readInputGradient(chunk, back, input, x);
    }
    const trajectory = { outs, hs, ts: this.#times(evaluation), stats };
    return { trajectory, gradients: h0 && { x, h0 } };
  }

  /** Position of (sample, time, row) in a host array [batch, times, width], or [times, batch, width] when time comes first. */
  #at(sample: number, time: number, row: number, batch: number, times: number, width: number): number {
    const batchFirst = this.options.batchFirst ?? true;
    return ((batchFirst ? sample * times + time : time * batch + sample) * width + row) | 0;
  }

  /** torch.linspace(start, end, E): the first half counts from the start, the second from the end. */
  #times({ numEvals = 2, startTime = 0, endTime = 1 }: EvaluationOptions): FloatArray {
    const ts = floatArray(this.backend.dtype, numEvals);
    const round = this.backend.dtype === "f32" ? Math.fround : (v: number) => v;
    const step = round((endTime - startTime) / (numEvals - 1));
    for (let i = 0; i < numEvals; i++) {
      ts[i] = i < numEvals / 2 ? startTime + round(step * i) : endTime - round(step * (numEvals - 1 - i));
    }
    return ts;
  }

  async #solveChunk(
    input: ModelInput,
    evaluation: EvaluationOptions,
    first: number,
    count: number,
    steps: number,
    nEvals: number,
    record: boolean,
  ): Promise<SolvedChunk> {
    const { backend } = this;
    const { inputSize, numNeurons: n, inputProjection } = this.options;
    const { startTime = 0, endTime = 1, h0 = null } = evaluation;
    const layout = backend.layoutFor(count);
    const buffers = this.#buffers(layout, steps, nEvals);
    const staging = floatArray(backend.dtype, inputSize * lanesOf(layout));
    if (inputProjection && steps > 1) backend.fill(buffers.drive, 0);
    for (let k = 0; k < steps; k++) {
      packState(
        input.data,
        (s, row) => this.#at(first + s, k, row, input.batch, steps, inputSize),
        count,
        inputSize,
        layout,
        staging,
      );
      if (!inputProjection) backend.upload(buffers.drive, staging, k * staging.length);
      else {
        backend.upload(buffers.x[k]!, staging);
        this.#project(buffers, layout, steps, k, false);
      }
    }
    if (h0) {
      const state = floatArray(backend.dtype, n * lanesOf(layout));
      backend.upload(
        buffers.y0,
        packState(h0, (s, row) => (first + s) * n + row, count, n, layout, state),
      );
    } else backend.fill(buffers.y0, 0);
    const all = (value: number) => new Array<number>(count).fill(value);
    backend.fill(buffers.start, startTime);
    backend.fill(buffers.end, endTime);
    const stats = await this.#solver(steps).forward({
      layout,
      samples: count,
      inputs: this.#solverInputs(buffers),
      y0: buffers.y0,
      tStart: all(startTime),
      tEnd: all(endTime),
      tEval: Array.from(this.#times({ ...evaluation, numEvals: nEvals }), all),
      ys: buffers.ys,
      record,
    });
    assertSolved(stats, this.#maxSteps, first);
    return { first, count, layout, key: buffers.key, hs: buffers.ys, ctHs: buffers.ctYs, stats };
  }

  #solverInputs(buffers: ChunkBuffers): Record<string, Bindable> {
    const p = this.parameters;
    return {
      hh: p.get("rnn.hh.values").bindable,
      tau: p.get("rnn.tau").value,
      drive: buffers.drive,
      start: buffers.start,
      end: buffers.end,
      ...((this.options.connectomeBias ?? true) ? { bias: p.get("rnn.hh.bias").value } : {}),
      ...(this.#sign ? { sign: this.#sign } : {}),
    };
  }

  /** Trainable leaves of the dynamics: leaf name → parameter name. */
  #trainedLeaves(): [string, string][] {
    const candidates: [string, string][] = [
      ["hh", "rnn.hh.values"],
      ["tau", "rnn.tau"],
    ];
    if (this.options.connectomeBias ?? true) candidates.push(["bias", "rnn.hh.bias"]);
    return candidates.filter(([, name]) => this.parameters.get(name).trainable);
  }

  /** The cotangent of the drive is wanted for the input projection or the input itself. */
  #needsDrive(): boolean {
    const { inputProjection, trainInputProjection = true, inputGradient = false } = this.options;
    return inputGradient || (inputProjection != null && trainInputProjection);
  }

  #solver(steps: number): OdeSolver {
    let solver = this.#solvers.get(steps);
    if (solver) return solver;
    const { solve = {}, numNeurons, connectome } = this.options;
    const controller: Controller = solve.fixedStep
      ? { type: "fixed" }
      : {
          type: "integral",
          atol: solve.atol ?? DEFAULT_ATOL,
          rtol: solve.rtol ?? DEFAULT_RTOL,
          safety: 0.9,
          factorMin: 0.2,
          factorMax: 10,
        };
    const system = rateDynamics({
      nNeurons: numNeurons,
      nnz: connectome.nnz,
      nonlinearity: this.options.neuronNonlinearity === undefined ? "Sigmoid" : this.options.neuronNonlinearity,
      signed: this.#sign !== null,
      bias: this.options.connectomeBias ?? true,
      steps,
    });
    solver = new OdeSolver(this.backend, system, {
      tableau: solve.tableau ?? dopri5,
      controller,
      maxSteps: this.#maxSteps,
      ...(solve.dt0 === undefined ? {} : { dt0: solve.dt0 }),
      ...(solve.memoryBudgetBytes === undefined ? {} : { memoryBudgetBytes: solve.memoryBudgetBytes }),
      reverse: {
        wrt: [...this.#trainedLeaves().map(([leaf]) => leaf), ...(this.#needsDrive() ? ["drive"] : [])],
        throughStepSizeControl: solve.backpropThroughStepSizeControl ?? true,
      },
    });
    this.#solvers.set(steps, solver);
    return solver;
  }

  // ---- projections -----------------------------------------------------------------------------------------------------

  /** drive_k = U·x_k, or its reverse. */
  #project(buffers: ChunkBuffers, layout: PanelLayout, steps: number, k: number, reverse: boolean): void {
    const U = this.options.inputProjection!;
    const trained = this.options.trainInputProjection ?? true;
    const key = `${reverse ? "unproject" : "project"} ${buffers.key} ${k}`;
    const grad = trained ? this.parameters.get("rnn.ih.values").grad! : null;
    const make = () =>
      reverse ? unprojectProgram(U, steps, trained, this.options.inputGradient ?? false) : projectProgram(U, steps);
    this.#runOnce(key, make, layout, {
      ih: this.parameters.get("rnn.ih.values").bindable,
      x: buffers.x[k]!,
      ...(steps > 1 ? { index: buffers.stepIndex[k]! } : {}),
      ...(reverse
        ? {
            "ct.drive": buffers.ctDrive!,
            ...(grad ? { "grad.ih": grad } : {}),
            ...(buffers.ctX ? { "ct.x": buffers.ctX[k]! } : {}),
          }
        : { drive: buffers.drive }),
    });
  }

  /** Host cotangents of the outputs at evaluation j → cotangent of the state, and gradients of the output projection. */
  #pullOutput(
    chunk: SolvedChunk,
    j: number,
    ctOuts: ArrayLike<number>,
    at: (sample: number, row: number) => number,
  ): void {
    const { backend, nOutputs } = this;
    const { layout, count } = chunk;
    const packed = packState(
      ctOuts,
      at,
      count,
      nOutputs,
      layout,
      floatArray(backend.dtype, nOutputs * lanesOf(layout)),
    );
    // Lanes without a sample repeat the last one's values, but their cotangent is zero.
    clearUnusedLanes(packed, count, nOutputs, layout);
    if (!this.options.outputProjection) {
      backend.upload(chunk.ctHs[j]!, packed);
      return;
    }
    const ct = this.#chunkOuts(chunk).ctOut;
    backend.upload(ct, packed);
    const p = this.parameters;
    const grads = Object.fromEntries(
      this.outputParameters().map(([leaf, name]) => [`grad.${leaf}`, p.get(name).grad!]),
    );
    this.#runOnce(`output reverse ${chunk.key} ${j}`, () => outputReverseProgram(this), layout, {
      ...this.outputBindings(),
      ...grads,
      h: chunk.hs[j]!,
      "ct.out": ct,
      "ct.h": chunk.ctHs[j]!,
    });
  }

  #chunkOuts(chunk: SolvedChunk): { outs: DeviceBuffer[]; ctOut: DeviceBuffer } {
    const buffers = this.#chunks.get(chunk.key);
    if (!buffers) throw new ArgumentError("outputsOf", "chunk", "a chunk of this model", "another");
    const length = this.nOutputs * lanesOf(chunk.layout);
    buffers.outputs ??= {
      outs: chunk.hs.map((_, j) => own(buffers, this.backend.buffer(`out ${j}`, length))),
      ctOut: own(buffers, this.backend.buffer("ct out", length)),
    };
    return buffers.outputs;
  }

  // ---- buffers and programs ---------------------------------------------------------------------------------------------

  #buffers(layout: PanelLayout, steps: number, nEvals: number): ChunkBuffers {
    const key = `${layout.panel}x${layout.panels} ${steps} ${nEvals}`;
    const known = this.#chunks.get(key);
    if (known) return known;
    const { backend } = this;
    const { numNeurons, inputSize, inputProjection, inputGradient = false } = this.options;
    const lanes = lanesOf(layout);
    const all: DeviceBuffer[] = [];
    const make = (label: string, length: number): DeviceBuffer => {
      const b = backend.buffer(label, length);
      all.push(b);
      return b;
    };
    const state = (label: string, rows = numNeurons) => make(label, rows * lanes);
    const each = <T>(n: number, f: (i: number) => T): T[] => Array.from({ length: n }, (_, i) => f(i));
    const ctDrive = this.#needsDrive() ? make("ct drive", steps * numNeurons * lanes) : null;
    const buffers: ChunkBuffers = {
      key,
      all,
      x: inputProjection ? each(steps, (k) => state(`x ${k}`, inputSize)) : [],
      drive: make("drive", steps * numNeurons * lanes),
      start: make("start", lanes),
      end: make("end", lanes),
      stepIndex: steps > 1 ? each(steps, (k) => make(`step ${k}`, lanes)) : [],
      y0: state("y0"),
      ys: each(nEvals, (j) => state(`h ${j}`)),
      ctYs: each(nEvals, (j) => state(`ct h ${j}`)),
      ctY0: state("ct y0"),
      ctDrive,
      ctX: inputGradient && inputProjection ? each(steps, (k) => state(`ct x ${k}`, inputSize)) : null,
      outputs: null,
    };
    buffers.stepIndex.forEach((b, k) => {
      backend.fill(b, k);
    });
    this.#chunks.set(key, buffers);
    return buffers;
  }

  /** Runs a program on whichever of the given buffers it names: reverse programs read only a part of what forward ones do. */
  #runOnce(key: string, program: () => Program, layout: PanelLayout, buffers: Record<string, Bindable>): void {
    let bound = this.#bound.get(key);
    if (!bound) {
      const made = program();
      const bindings = Object.fromEntries(
        Object.entries(buffers).filter(([name]) => made.bindings.some((b) => b.name === name)),
      );
      bound = this.backend.bind(this.backend.compile(made, layout), bindings);
      this.#bound.set(key, bound);
    }
    this.backend.run(bound);
  }

  #checkInput(input: ModelInput, { numEvals = 2, startTime = 0, endTime = 1, h0 = null }: EvaluationOptions): number {
    const { inputSize, numNeurons } = this.options;
    const { data, batch, steps = 1 } = input;
    const where = "ConnectomeODERNN";
    if (!Number.isInteger(batch) || batch < 1)
      throw new ArgumentError(where, "batch", "a whole number of at least 1", `${batch}`);
    if (!Number.isInteger(steps) || steps < 1)
      throw new ArgumentError(where, "steps", "a whole number of at least 1", `${steps}`);
    const expected = batch * steps * inputSize;
    if (data.length !== expected) {
      throw new ShapeError(where, "data", `${batch} × ${steps} × ${inputSize} = ${expected} numbers`, `${data.length}`);
    }
    if (!Number.isInteger(numEvals) || numEvals < 2)
      throw new ArgumentError(where, "numEvals", "a whole number of at least 2", `${numEvals}`);
    if (!(Number.isFinite(startTime) && Number.isFinite(endTime)) || startTime === endTime) {
      throw new ArgumentError(where, "endTime", `a finite time other than startTime = ${startTime}`, `${endTime}`);
    }
    if (h0 && h0.length !== batch * numNeurons)
      throw new ShapeError(where, "h0", `${batch} × ${numNeurons} numbers`, `${h0.length}`);
    return steps;
  }
}

/** Cotangents that leave the solver, on the device. */
export interface ChunkGradients {
  readonly ctY0: DeviceBuffer;
  /** Cotangent of the input at time step k; only with `inputGradient`. */
  readonly ctX: (k: number) => Promise<ArrayLike<number>>;
}

interface ChunkBuffers {
  readonly key: string;
  readonly all: DeviceBuffer[];
  readonly x: readonly DeviceBuffer[];
  readonly drive: DeviceBuffer;
  readonly start: DeviceBuffer;
  readonly end: DeviceBuffer;
  readonly stepIndex: readonly DeviceBuffer[];
  readonly y0: DeviceBuffer;
  readonly ys: readonly DeviceBuffer[];
  readonly ctYs: readonly DeviceBuffer[];
  readonly ctY0: DeviceBuffer;
  readonly ctDrive: DeviceBuffer | null;
  readonly ctX: readonly DeviceBuffer[] | null;
  outputs: { outs: DeviceBuffer[]; ctOut: DeviceBuffer } | null;
}

function own(buffers: ChunkBuffers, b: DeviceBuffer): DeviceBuffer {
  buffers.all.push(b);
  return b;
}

/** drive = U·x; into state number `index` of a table when the input is a sequence. */
function projectProgram(U: Csr, steps: number): Program {
  const g = new Graph();
  const drive = g.ops.matmul(g.sparse("ih", U.nRows, U.nCols, U.nnz), g.state("x", U.nCols));
  if (steps === 1) g.store("drive", drive);
  else g.scatter("drive", g.table("drive", U.nRows, steps), g.sample("index"), drive);
  return lower(g, "project");
}

function unprojectProgram(U: Csr, steps: number, trained: boolean, inputGradient: boolean): Program {
  const g = new Graph();
  const ct =
    steps === 1 ? g.state("ct.drive", U.nRows) : g.ops.lookup(g.table("ct.drive", U.nRows, steps), g.sample("index"));
  const ih = g.sparse("ih", U.nRows, U.nCols, U.nnz);
  const ctX = trained ? g.ops.matmulT(ih, ct, { x: g.state("x", U.nCols), binding: "grad.ih" }) : g.ops.matmulT(ih, ct);
  if (inputGradient) g.store("ct.x", ctX);
  return lower(g, "project.reverse");
}

function outputProgram(model: ConnectomeODERNN): Program {
  const g = new Graph();
  g.store("out", model.outputGraph(g));
  return lower(g, "output");
}

function outputReverseProgram(model: ConnectomeODERNN): Program {
  const g = new Graph();
  const out = model.outputGraph(g);
  const wrt = new Map<string, GradTarget>([["h", { binding: "ct.h", accumulate: false }]]);
  for (const [leaf] of model.outputParameters()) wrt.set(leaf, { binding: `grad.${leaf}`, accumulate: true });
  return lower(reverseGraph(g, new Map([[out, "ct.out"]]), wrt).graph, "output.reverse");
}

function clearUnusedLanes(state: FloatArray, samples: number, rows: number, layout: PanelLayout): void {
  const { panel, panels } = layout;
  for (let lane = samples; lane < panel * panels; lane++) {
    const base = Math.floor(lane / panel) * rows * panel + (lane % panel);
    for (let row = 0; row < rows; row++) state[base + row * panel] = 0;
  }
}

function perNeuron(value: number | ArrayLike<number>, n: number): ArrayLike<number> {
  return typeof value === "number" ? new Float64Array(n).fill(value) : value;
}

/** null when every neuron is excitatory: no factor to apply. */
function signVector(sign: NeuronSign, n: number): ArrayLike<number> | null {
  if (sign === "excitatory") return null;
  if (sign === "inhibitory") return new Float64Array(n).fill(-1);
  return Array.from(sign).every((s) => s === 1) ? null : sign;
}

function checkOptions(o: ConnectomeODERNNOptions): void {
  const where = "ConnectomeODERNN";
  const shape = (name: string, m: Csr, rows: number, cols: number | null) => {
    if (m.nRows !== rows || (cols !== null && m.nCols !== cols)) {
      throw new ShapeError(where, name, `a matrix [${rows}, ${cols ?? "any"}]`, `[${m.nRows}, ${m.nCols}]`);
    }
  };
  shape("connectome", o.connectome, o.numNeurons, o.numNeurons);
  if (o.inputProjection) shape("inputProjection", o.inputProjection, o.numNeurons, o.inputSize);
  else if (o.inputSize !== o.numNeurons) {
    throw new ShapeError(
      where,
      "inputSize",
      `${o.numNeurons} = numNeurons without an input projection`,
      `${o.inputSize}`,
    );
  }
  if (o.outputProjection) shape("outputProjection", o.outputProjection, o.outputProjection.nRows, o.numNeurons);
  const vector = (name: string, v: unknown, ok: (x: number) => boolean, expected: string) => {
    const values = typeof v === "number" ? [v] : (v as ArrayLike<number>);
    if (typeof v !== "number" && values.length !== o.numNeurons) {
      throw new ShapeError(where, name, `${o.numNeurons} numbers, one per neuron`, `${values.length}`);
    }
    for (let i = 0; i < values.length; i++) {
      if (!ok(values[i]!)) throw new ArgumentError(where, name, expected, `${values[i]} at ${i}`);
    }
  };
  if (o.neuronTau !== undefined)
    vector("neuronTau", o.neuronTau, (x) => Number.isFinite(x) && x >= 1, "time constants of at least 1");
  if (o.biasInit !== undefined) vector("biasInit", o.biasInit, Number.isFinite, "finite numbers");
  if (o.neuronSign !== undefined && typeof o.neuronSign !== "string") {
    vector("neuronSign", o.neuronSign, (x) => x === 1 || x === -1, "1 or -1");
  } else if (o.neuronSign !== undefined && o.neuronSign !== "excitatory" && o.neuronSign !== "inhibitory") {
    throw new ArgumentError(
      where,
      "neuronSign",
      '"excitatory", "inhibitory" or one of 1 and -1 per neuron',
      `"${String(o.neuronSign)}"`,
    );
  }
}
