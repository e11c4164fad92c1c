// The rate model in discrete time: steps from state to state.

import { Graph } from "../../autodiff/graph.ts";
import { lower } from "../../autodiff/lower.ts";
import { type GradTarget, reverseGraph } from "../../autodiff/vjp.ts";
import type { Bindable } from "../../backend/backend.ts";
import type { Program } from "../../backend/program.ts";
import type { Abortable } from "../../core/abort.ts";
import { ArgumentError } from "../../core/errors.ts";
import { checkNames } from "../../core/optionNames.ts";
import type { Value } from "../../ops/value.ts";
import { type InitialStateOptions, initialState } from "../initialState.ts";
import type { Intervened } from "../interventions.ts";
import { discreteStep } from "../rateDynamics.ts";
import { type ChunkBuffers, variantOf } from "./chunks.ts";
import type { Evolution } from "./evolution.ts";
import type { NetworkParameters } from "./parameters.ts";

/** How many steps a network in discrete time takes, and from which state. */
export interface StepOptions extends Abortable, InitialStateOptions, Intervened {
  /** Steps with the same input; for a sequence it is the length of the sequence, and may be left out. */
  readonly numSteps?: number;
}

const WHERE = "ConnectomeRNN";

/** Every option of an evaluation. */
const STEP_OPTIONS: Readonly<Record<keyof StepOptions, true>> = {
  numSteps: true,
  h0: true,
  h0Seed: true,
  interventions: true,
  signal: true,
};

/** Programs of one step. */
interface StepPrograms {
  readonly step: Program;
  readonly recorded: Program;
  readonly reverse: Program;
  /** What a recorded step keeps for its reverse. */
  readonly saves: ReadonlyMap<string, Value>;
}

/** h ← discreteStep, from the initial state; the outputs are the states after each step. Steps do not fail. */
export function stepEvolution(model: NetworkParameters): Evolution<StepOptions> {
  const { numNeurons } = model.options;
  const known = new Map<string, StepPrograms>();

  const programsFor = (chunk: ChunkBuffers): StepPrograms => {
    const { steps, active } = chunk;
    const variant = variantOf(chunk);
    const programs =
      known.get(variant) ?? stepPrograms((g) => discreteStep(g, model.rateShape(steps, active)), model.trainedLeaves());
    known.set(variant, programs);
    return programs;
  };

  /** What step k binds, and with `saves` its record. */
  const bindingsAt = (
    { desk, drive, y0, hs, stepIndex, active }: ChunkBuffers,
    k: number,
    saves: StepPrograms["saves"] | null,
  ) => {
    const bindings: Record<string, Bindable | undefined> = {
      ...model.dynamicsInputs(),
      ...active?.rows,
      drive,
      h: hs[k - 1] ?? y0,
      index: stepIndex[k],
    };
    for (const [name, v] of saves ?? []) bindings[name] = desk.state(`step ${k} ${name}`, v.rows);
    return bindings;
  };

  return {
    refusesNonFinite: true,
    shapeOf: (input, evaluation) => {
      checkNames(WHERE, evaluation, STEP_OPTIONS);
      const times = timesOf(input.steps, evaluation.numSteps);
      return { h0: () => initialState(WHERE, evaluation, input.batch, numNeurons), times, schedule: null };
    },
    evolve: async (chunk, _count, _evaluation, purpose) => {
      const { step, recorded, saves } = programsFor(chunk);
      const record = purpose === "gradients";
      for (const [k, next] of chunk.hs.entries())
        chunk.desk.run(record ? recorded : step, { ...bindingsAt(chunk, k, record ? saves : null), next });
      return null;
    },
    checkSolved: () => {},
    reverse: (chunk, ctHs, grads) => {
      const { desk, hs, ctY0 } = chunk;
      const { reverse, saves } = programsFor(chunk);
      const join = desk.program("join", () => sumProgram(numNeurons));
      const gradBindings = Object.fromEntries(Object.entries(grads).map(([leaf, b]) => [`grad.${leaf}`, b]));
      // The cotangent of the state after a step: from later steps, plus that of the step's output.
      const total = desk.state("ct total", numNeurons);
      model.backend.fill(ctY0, 0);
      for (let k = hs.length - 1; k >= 0; k--) {
        const own = ctHs[k];
        if (own) desk.run(join, { a: ctY0, b: own, sum: total });
        else model.backend.copy(total, ctY0);
        desk.run(reverse, { ...bindingsAt(chunk, k, saves), ...gradBindings, "ct.next": total, "ct.h": ctY0 });
      }
    },
    release: () => {},
  };
}

/** The number of steps. @throws {ArgumentError} no whole number, or one that contradicts the length of the sequence */
function timesOf(steps: number | undefined, numSteps: number | undefined): number {
  const times = numSteps ?? steps;
  if (times === undefined || !Number.isInteger(times) || times < 1) {
    throw new ArgumentError(WHERE, "numSteps", "a whole number of at least 1, or a sequence", `${times}`);
  }
  if (steps !== undefined && steps !== 1 && times !== steps) {
    throw new ArgumentError(WHERE, "numSteps", `${steps}, the length of the sequence, or nothing`, `${times}`);
  }
  return times;
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
