// ConnectomeRNN: the connectome rate model in discrete time.

import { Graph } from "../autodiff/graph.ts";
import { lower } from "../autodiff/lower.ts";
import { type GradTarget, reverseGraph } from "../autodiff/vjp.ts";
import type { Backend, DeviceBuffer } from "../backend/backend.ts";
import { lanesOf } from "../backend/layout.ts";
import type { Program } from "../backend/program.ts";
import type { Abortable } from "../core/abort.ts";
import { ArgumentError } from "../core/errors.ts";
import { checkNames } from "../core/optionNames.ts";
import type { Value } from "../ops/value.ts";
import { type InitialStateOptions, initialState } from "./initialState.ts";
import type { SampleLoss } from "./lossCotangents.ts";
import {
  type ChunkBuffers,
  ConnectomeNetwork,
  type NetworkOutputs,
  type RunPurpose,
  type RunShape,
} from "./network.ts";
import type { ConnectomeNetworkOptions, InputGradients, ModelInput } from "./options.ts";
import type { ParameterSet } from "./parameters.ts";
import { discreteStep } from "./rateDynamics.ts";

/** How many steps a network in discrete time takes, and from which state. */
export interface StepOptions extends Abortable, InitialStateOptions {
  /** Steps with the same input; for a sequence it is the length of the sequence, and may be left out. */
  readonly numSteps?: number;
}

/** Every option of an evaluation. */
const STEP_OPTIONS: Readonly<Record<keyof StepOptions, true>> = {
  numSteps: true,
  h0: true,
  h0Seed: true,
  signal: true,
};

interface StepPrograms {
  readonly step: Program;
  readonly recorded: Program;
  readonly reverse: Program;
  readonly saves: ReadonlyMap<string, Value>;
}

/** h ← (1/τ)·relu( φ( U·x_k + W·(s ⊙ h) + b ) ) + (1 − 1/τ)·h; outputs are the states after each step. */
export class ConnectomeRNN extends ConnectomeNetwork<StepOptions> {
  readonly #programs = new Map<number, StepPrograms>();
  readonly #saves = new Map<string, Record<string, DeviceBuffer>[]>();
  readonly #spare = new Map<string, DeviceBuffer>();

  /** @param parameters where to register the parameters (a classifier shares one set); default: an own set */
  constructor(backend: Backend, options: ConnectomeNetworkOptions, parameters?: ParameterSet) {
    super(backend, options, parameters);
  }

  /** Runs a batch and returns outputs and states after each step. */
  async forward(input: ModelInput, evaluation: StepOptions = {}): Promise<NetworkOutputs> {
    return (await this.run(input, evaluation, null)).outputs;
  }

  /** Runs a batch, pulls `ctOuts` (cotangents of `outs`, same layout) back, and adds the gradients to those of `parameters`. */
  async vjp(
    input: ModelInput,
    ctOuts: ArrayLike<number>,
    evaluation: StepOptions = {},
  ): Promise<{ outputs: NetworkOutputs; gradients: InputGradients }> {
    const { outputs, gradients } = await this.run(input, evaluation, ctOuts);
    return { outputs, gradients: gradients! };
  }

  /** Runs a batch once forward and back: the gradients of Σ loss over the samples replace those of `parameters`. */
  async gradients(
    input: ModelInput,
    loss: SampleLoss,
    evaluation: StepOptions = {},
  ): Promise<{ loss: number; outputs: NetworkOutputs; gradients: InputGradients }> {
    return this.runWithLoss(input, evaluation, loss);
  }

  protected override shapeOf({ steps, batch }: ModelInput, evaluation: StepOptions): RunShape {
    checkNames("ConnectomeRNN", evaluation, STEP_OPTIONS);
    const { numSteps } = evaluation;
    const times = numSteps ?? steps;
    if (times === undefined || !Number.isInteger(times) || times < 1) {
      throw new ArgumentError("ConnectomeRNN", "numSteps", "a whole number of at least 1, or a sequence", `${times}`);
    }
    if (steps !== undefined && steps !== 1 && times !== steps) {
      throw new ArgumentError(
        "ConnectomeRNN",
        "numSteps",
        `${steps}, the length of the sequence, or nothing`,
        `${times}`,
      );
    }
    return { h0: () => initialState("ConnectomeRNN", evaluation, batch, this.options.numNeurons), times };
  }

  protected override async evolve(
    chunk: ChunkBuffers,
    _count: number,
    _evaluation: StepOptions,
    purpose: RunPurpose,
  ): Promise<null> {
    const record = purpose === "gradients";
    const programs = this.#stepPrograms(chunk.steps);
    const saves = record ? this.#savesOf(chunk, programs) : null;
    chunk.hs.forEach((next, k) => {
      this.runOnce(
        `step ${record} ${chunk.key} ${k}`,
        () => (record ? programs.recorded : programs.step),
        chunk.layout,
        { ...this.#inputsAt(chunk, k), next, ...saves?.[k] },
      );
    });
    return null;
  }

  /** Steps in discrete time do not fail. */
  protected override checkSolved(): void {}

  protected override refusesNonFinite(): boolean {
    return true;
  }

  protected override pullStates(
    chunk: ChunkBuffers,
    ctHs: readonly (DeviceBuffer | null)[],
    grads: Readonly<Record<string, DeviceBuffer>>,
  ): void {
    const { backend } = this;
    const programs = this.#stepPrograms(chunk.steps);
    const saves = this.#savesOf(chunk, programs);
    // The cotangent of the state that a step leads to: what comes from later steps plus that of its own output.
    const total = this.#spareState(chunk);
    const gradBindings = Object.fromEntries(Object.entries(grads).map(([leaf, b]) => [`grad.${leaf}`, b]));
    backend.fill(chunk.ctY0, 0);
    for (let k = chunk.hs.length - 1; k >= 0; k--) {
      const own = ctHs[k];
      if (own) {
        this.runOnce(`join ${chunk.key} ${k}`, () => sumProgram(this.options.numNeurons), chunk.layout, {
          a: chunk.ctY0,
          b: own,
          sum: total,
        });
      } else backend.copy(total, chunk.ctY0);
      this.runOnce(`step reverse ${chunk.key} ${k}`, () => programs.reverse, chunk.layout, {
        ...this.#inputsAt(chunk, k),
        ...saves[k],
        ...gradBindings,
        "ct.next": total,
        "ct.h": chunk.ctY0,
      });
    }
  }

  #inputsAt(chunk: ChunkBuffers, k: number): Record<string, DeviceBuffer | undefined> {
    const inputs = this.dynamicsInputs(chunk) as Record<string, DeviceBuffer>;
    return { ...inputs, h: k === 0 ? chunk.y0 : chunk.hs[k - 1]!, index: chunk.stepIndex[k] };
  }

  #stepPrograms(steps: number): StepPrograms {
    let programs = this.#programs.get(steps);
    if (!programs) {
      programs = stepPrograms((g) => discreteStep(g, this.rateShape(steps)), this.trainedLeaves());
      this.#programs.set(steps, programs);
    }
    return programs;
  }

  /** What each step keeps for the reverse pass. */
  #savesOf(chunk: ChunkBuffers, { saves }: StepPrograms): readonly Record<string, DeviceBuffer>[] {
    let kept = this.#saves.get(chunk.key);
    if (!kept) {
      const lanes = lanesOf(chunk.layout);
      kept = chunk.hs.map((_, k) => {
        const record: Record<string, DeviceBuffer> = {};
        for (const [name, v] of saves) record[name] = this.chunkBuffer(chunk, `step ${k} ${name}`, v.rows * lanes);
        return record;
      });
      this.#saves.set(chunk.key, kept);
    }
    return kept;
  }

  #spareState(chunk: ChunkBuffers): DeviceBuffer {
    let spare = this.#spare.get(chunk.key);
    if (!spare) {
      spare = this.chunkBuffer(chunk, "ct total", this.options.numNeurons * lanesOf(chunk.layout));
      this.#spare.set(chunk.key, spare);
    }
    return spare;
  }
}

/** Programs of one step `next = f(h, …)` with the state leaf `h`. */
function stepPrograms(step: (g: Graph) => Value, wrt: readonly string[]): StepPrograms {
  const g = new Graph();
  const next = step(g);
  g.store("next", next);
  const plain = lower(g, "step", "forward");
  const targets = new Map<string, GradTarget>([["h", { binding: "ct.h", accumulate: false }]]);
  for (const leaf of wrt) targets.set(leaf, { binding: `grad.${leaf}`, accumulate: true });
  const reverse = reverseGraph(g, new Map([[next, "ct.next"]]), targets);
  for (const [name, v] of reverse.saves) g.store(name, v);
  return {
    step: plain,
    recorded: lower(g, "step.recorded", "forward"),
    reverse: lower(reverse.graph, "step.reverse", "reverse"),
    saves: reverse.saves,
  };
}

function sumProgram(rows: number): Program {
  const g = new Graph();
  g.store("sum", g.ops.add(g.state("a", rows), g.state("b", rows)));
  return lower(g, "sum", "reverse");
}
