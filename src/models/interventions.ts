// Interventions in a running network: neurons that are silenced, clamped or driven. They belong to an evaluation, so that one model runs with
// and without.

import type { DType } from "../core/dtype.ts";
import { ArgumentError, ShapeError } from "../core/errors.ts";
import { checkFinite } from "../core/finite.ts";
import { checkNames } from "../core/optionNames.ts";
import { type ChoosableNeurons, chosenNeurons, type NeuronChoice } from "./neuronChoice.ts";
import type { Dynamics, ModelInput } from "./options.ts";

/** Neurons whose state is held. */
export interface Clamp {
  readonly neurons: NeuronChoice;
  /** One state for all, or one per neuron, in the order of `neurons` (of a selector: ascending). */
  readonly value: number | ArrayLike<number>;
}

/** Neurons that get an additional input. */
export interface DrivenNeurons {
  readonly neurons: NeuronChoice;
  /** One number for all times; a list for a sequence: one per frame; or one per sample and frame, [batch, steps]. */
  readonly current: number | ArrayLike<number>;
}

/**
 * What is done to neurons during a whole run, from the start to the end:
 *
 * - A *silenced* neuron sends nothing: other neurons receive 0 from it. Its state is held at 0, so that a read-out gets 0, too.
 * - A *clamped* neuron's state is held at a value: h(t) = value, whatever h0 and its input. What it sends follows from its state.
 * - A *driven* neuron gets its current I in addition to its projected input: U·x + I. Currents into the same neuron add up.
 *
 * Where the run starts at rest (`h0: { rest }`), neurons are silenced and clamped on the way there, too: it is the resting state of the network
 * as it runs. Currents are input and begin with the run.
 *
 * Gradients are those of the network as it runs: held states do not depend on parameters, and the gradient by their h0 is 0.
 */
export interface Interventions {
  readonly silence?: NeuronChoice;
  readonly clamp?: readonly Clamp[];
  readonly drive?: readonly DrivenNeurons[];
}

/** How neurons of a network are acted upon in one run. */
export interface Intervened {
  /** Default: the network runs as it is. */
  readonly interventions?: Interventions | null;
}

/** The interventions of a run, per neuron. */
export interface ResolvedInterventions {
  /** Which states are held, and where; null: none. */
  readonly held: { readonly isHeld: Uint8Array; readonly values: Float64Array } | null;
  /** Neurons that send nothing, whatever their state; null where a state of 0 sends nothing. */
  readonly isMuted: Uint8Array | null;
  readonly drives: readonly ResolvedDrive[];
}

/** A current into some neurons. */
export interface ResolvedDrive {
  readonly isDriven: Uint8Array;
  /** Whether the current depends on the frame. */
  readonly hasFrames: boolean;
  readonly current: (sample: number, frame: number) => number;
}

/** The network that is acted upon. */
interface Subject extends ChoosableNeurons {
  readonly options: { readonly numNeurons: number; readonly dynamics?: Dynamics };
  readonly backend: { readonly dtype: DType };
}

const WHERE = "interventions";
const NAMES: Readonly<Record<keyof Interventions, true>> = { silence: true, clamp: true, drive: true };
const CLAMP_NAMES: Readonly<Record<keyof Clamp, true>> = { neurons: true, value: true };
const DRIVE_NAMES: Readonly<Record<keyof DrivenNeurons, true>> = { neurons: true, current: true };

/**
 * null: there are none.
 *
 * @throws {ArgumentError | ShapeError} unknown neurons, one that is held twice or both held and driven, numbers that are not finite or not as
 *   many as there are neurons, frames or samples
 */
export function resolveInterventions(
  network: Subject,
  { interventions }: Intervened,
  input: ModelInput,
): ResolvedInterventions | null {
  if (!interventions) return null;
  checkNames(WHERE, interventions, NAMES);
  const { silence, clamp = [], drive = [] } = interventions;
  const { numNeurons, dynamics } = network.options;
  if (silence === undefined && clamp.length === 0 && drive.length === 0) return null;
  const isHeld = new Uint8Array(numNeurons);
  const values = new Float64Array(numNeurons);
  const hold = (argument: string, neurons: Uint32Array, value: (k: number) => number): void => {
    neurons.forEach((i, k) => {
      if (isHeld[i]) throw new ArgumentError(WHERE, argument, "neurons that are held once", `neuron ${i} again`);
      isHeld[i] = 1;
      values[i] = value(k);
    });
  };
  const silenced = silence === undefined ? null : chosenNeurons(WHERE, "silence", network, silence);
  if (silenced) hold("silence", silenced, () => 0);
  for (const [k, given] of clamp.entries()) {
    const argument = `clamp[${k}]`;
    checkNames(WHERE, given, CLAMP_NAMES, `${argument}.`);
    const neurons = chosenNeurons(WHERE, `${argument}.neurons`, network, given.neurons);
    hold(`${argument}.neurons`, neurons, clampValues(network, `${argument}.value`, given, neurons.length));
  }
  const drives = drive.map((given, k) => resolveDrive(network, `drive[${k}]`, given, isHeld, input));
  return {
    held: isHeld.includes(1) ? { isHeld, values } : null,
    isMuted: silenced && dynamics === "voltage" ? maskOf(silenced, numNeurons) : null,
    drives,
  };
}

function clampValues({ backend }: Subject, argument: string, { value }: Clamp, count: number): (k: number) => number {
  const values = listOf(WHERE, argument, value, backend.dtype);
  if (typeof value === "number") return () => value;
  if (values.length !== count)
    throw new ShapeError(WHERE, argument, `${count} numbers, one per neuron, or one for all`, `${values.length}`);
  return (k) => values[k]!;
}

function resolveDrive(
  network: Subject,
  argument: string,
  given: DrivenNeurons,
  isHeld: Uint8Array,
  { batch, steps = 1 }: ModelInput,
): ResolvedDrive {
  checkNames(WHERE, given, DRIVE_NAMES, `${argument}.`);
  const neurons = chosenNeurons(WHERE, `${argument}.neurons`, network, given.neurons);
  const held = neurons.find((i) => isHeld[i] === 1);
  if (held !== undefined) {
    const expected = "neurons whose state is not held, as a current has no effect on others";
    throw new ArgumentError(WHERE, `${argument}.neurons`, expected, `neuron ${held}`);
  }
  const { current } = given;
  const values = listOf(WHERE, `${argument}.current`, current, network.backend.dtype);
  const isDriven = maskOf(neurons, network.options.numNeurons);
  if (typeof current === "number") return { isDriven, hasFrames: false, current: () => current };
  const hasFrames = steps > 1;
  checkLength(WHERE, `${argument}.current`, current, { batch, steps });
  if (values.length === steps) return { isDriven, hasFrames, current: (_, k) => values[k]! };
  return { isDriven, hasFrames, current: (s, k) => values[s * steps + k]! };
}

/**
 * Checks currents with all samples of a set: of its batches a list could fit one by chance.
 *
 * @param path  of the interventions, before the argument that an error names: "perturbations[0].interventions."
 * @throws {ShapeError} a list of currents that fits neither the frames nor the samples and frames
 */
export function checkCurrents(
  where: string,
  path: string,
  { drive = [] }: Interventions,
  input: Pick<ModelInput, "batch" | "steps">,
): void {
  for (const [k, { current }] of drive.entries()) checkLength(where, `${path}drive[${k}].current`, current, input);
}

function checkLength(
  where: string,
  argument: string,
  current: number | ArrayLike<number>,
  { batch, steps = 1 }: Pick<ModelInput, "batch" | "steps">,
): void {
  if (typeof current === "number" || current.length === steps || current.length === batch * steps) return;
  const expected = `one number, ${steps} (one per frame) or ${batch} × ${steps} (per sample and frame)`;
  throw new ShapeError(where, argument, expected, `${current.length}`);
}

function listOf(where: string, argument: string, given: number | ArrayLike<number>, dtype: DType): ArrayLike<number> {
  const values = typeof given === "number" ? [given] : given;
  checkFinite(where, argument, values, dtype);
  return values;
}

function maskOf(neurons: Uint32Array, count: number): Uint8Array {
  const mask = new Uint8Array(count);
  for (const i of neurons) mask[i] = 1;
  return mask;
}

/** The interventions in the run to rest: silenced and clamped neurons are part of the network, currents of its input. null: none. */
export function interventionsAtRest(interventions: Interventions | null): Interventions | null {
  if (!interventions) return null;
  const { drive: _, ...held } = interventions;
  return held;
}

/** The interventions in the samples `kept` of a batch: those of a batch of their own. */
export function interventionsOfSamples(
  interventions: Interventions,
  { batch, steps = 1 }: ModelInput,
  kept: readonly number[],
): Interventions {
  const { drive } = interventions;
  if (!drive) return interventions;
  const ofKept = (given: DrivenNeurons): DrivenNeurons => {
    const { current } = given;
    if (typeof current === "number" || current.length !== batch * steps || batch === 1) return given;
    const rows = kept.flatMap((s) => Array.from({ length: steps }, (_, k) => current[s * steps + k]!));
    return { ...given, current: rows };
  };
  return { ...interventions, drive: drive.map(ofKept) };
}
