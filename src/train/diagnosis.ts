// Whether a training can work: measures of network, read-out, gradients and solver, and what they mean in plain words.

import type { ActivityProbe } from "../models/classifier.ts";
import { type SolverMetrics, solverMetrics } from "./solverMetrics.ts";

/** Groups of parameters, by how their names begin. */
const GROUPS: Readonly<Record<GradientGroup, readonly string[]>> = {
  weights: ["rnn.hh.values", "rnn.hh.strength"],
  biases: ["rnn.hh.bias"],
  "time constants": ["rnn.tau"],
  input: ["rnn.ih."],
  output: ["rnn.ho."],
  "read-out": ["out_layer."],
};

/** Parameters whose gradients are looked at together. */
export type GradientGroup = "weights" | "biases" | "time constants" | "input" | "output" | "read-out";

/** What a look into a model says about its training: activity, gradients, steps of the solver, and what is wrong. */
export interface Diagnosis extends Omit<ActivityProbe, "stats"> {
  /** Training steps done before it. */
  readonly step: number;
  /** 2-norms of the gradients of the last step, by group of parameters; null before the first one. */
  readonly gradients: Readonly<Partial<Record<GradientGroup, number>>> | null;
  /** For the images it was made with; null for a model in discrete time. */
  readonly solver: SolverMetrics | null;
  readonly findings: readonly Finding[];
}

/** Kinds of findings. */
export type Fault = "dead-read-out" | "constant-features" | "saturated" | "stalled";

/** Something that keeps a training from working, and what to change. */
export interface Finding {
  readonly fault: Fault;
  readonly message: string;
}

/** What is known of the training besides the probe. */
export interface TrainingState {
  readonly step: number;
  /** Of the last steps; null before the first one. */
  readonly meanLoss: number | null;
  readonly classes: number;
  readonly gradientNorms: Readonly<Record<string, number>> | null;
  readonly standardised: boolean;
}

/** Hidden units, or features, of which so few are left cannot come back. */
const MOST_DEAD = 0.9;
/** Neurons without slope, from which a network counts as saturated. */
const MUCH_SATURATED = 0.5;
/** Nearer to guessing than this, in nats, nothing has been learned. */
const NOTHING_LEARNED = 0.05;
/** A healthy training has left guessing behind by then, an unhealthy one not. */
const PATIENCE = { saturated: 20, stalled: 200 } as const;

export function diagnose({ stats, ...probe }: ActivityProbe, state: TrainingState): Diagnosis {
  const gradients = state.gradientNorms && groupNorms(state.gradientNorms);
  const measures = { ...probe, step: state.step, gradients, solver: solverMetrics(stats) };
  return { ...measures, findings: findingsOf(measures, state) };
}

function groupNorms(norms: Readonly<Record<string, number>>): Diagnosis["gradients"] {
  const groups = Object.entries(GROUPS).flatMap(([group, prefixes]) => {
    const own = Object.entries(norms).filter(([name]) => prefixes.some((prefix) => name.startsWith(prefix)));
    return own.length === 0 ? [] : [[group, Math.hypot(...own.map(([, norm]) => norm))] as const];
  });
  return Object.fromEntries(groups);
}

type Measures = Omit<Diagnosis, "findings">;

/** Why a training cannot work, and what may help. */
interface Reason {
  readonly fault: Fault;
  readonly reason: string;
  readonly advice: string;
}

function findingsOf(measures: Measures, state: TrainingState): Finding[] {
  if (state.step === 0) return [];
  const chance = Math.log(state.classes);
  const isGuessing = state.meanLoss === null || !(state.meanLoss < chance - NOTHING_LEARNED);
  const structural = [
    deadReadout(measures, state),
    constantFeatures(measures),
    isGuessing ? saturatedNetwork(measures) : null,
  ];
  // Without any other reason.
  const last = isGuessing && structural.every((reason) => reason === null) ? stalledLoss(state) : null;
  const reasons = [...structural, last].filter((reason) => reason !== null);
  const heading = `this run is heading for a loss of ln ${state.classes} = ${chance.toFixed(3)}, which is guessing`;
  return reasons.map(({ fault, reason, advice }) => ({ fault, message: `${heading}: ${reason}. Try ${advice}` }));
}

function deadReadout({ deadUnits, featureSpread }: Measures, { standardised }: TrainingState): Reason | null {
  if (deadUnits === null || deadUnits < MOST_DEAD) return null;
  const dead = `${percent(deadUnits)} of the read-out's hidden units fire for no image, so that its answer hardly depends on the image`;
  const fault = "dead-read-out";
  if (standardised) return { fault, reason: dead, advice: "a smaller --lr, or --fc-dim none" };
  const spread =
    featureSpread === null ? "" : `; features differ between images by ${percent(featureSpread)} of their size`;
  return { fault, reason: `${dead}${spread}`, advice: "--standardise, or --fc-dim none with a smaller --lr" };
}

function constantFeatures(measures: Measures): Reason | null {
  if (measures.constantFeatures < 1) return null;
  return {
    fault: "constant-features",
    reason: "what is read out is the same for every image",
    advice: "a longer --end-time, a larger --gain, or other neurons to --readout",
  };
}

function saturatedNetwork({ saturated, gradients, step }: Measures): Reason | null {
  if (saturated < MUCH_SATURATED || step < PATIENCE.saturated) return null;
  const { weights, "read-out": readout } = gradients ?? {};
  const ratio =
    weights !== undefined && readout
      ? `; the gradient of its weights is ${(weights / readout).toExponential(0)} of the read-out's`
      : "";
  return {
    fault: "saturated",
    reason: `${percent(saturated)} of the neurons are saturated, and pass neither differences between images nor gradients${ratio}`,
    advice: "--weights signed --normalise rows, a smaller --gain, or --nonlinearity ReLU",
  };
}

function stalledLoss({ step, meanLoss }: TrainingState): Reason | null {
  if (step < PATIENCE.stalled || meanLoss === null) return null;
  return {
    fault: "stalled",
    reason: `the loss has not fallen below ${meanLoss.toFixed(3)} in ${step} steps`,
    advice: "another --lr, --standardise, or --preset retina, which is known to learn",
  };
}

/** "87 % of neurons saturated, 2 % silent; features differ by 1.3 %; …" */
export function describeDiagnosis(diagnosis: Diagnosis): string {
  const { step, saturated, silent, featureSpread, constantFeatures, deadUnits, gradients, solver } = diagnosis;
  const norms = Object.entries(gradients ?? {}).map(([group, norm]) => `${group} ${norm.toPrecision(2)}`);
  return [
    `step ${step}: ${percent(saturated)} of neurons saturated, ${percent(silent)} silent`,
    featureSpread === null
      ? "all features 0"
      : `features vary by ${percent(featureSpread)} of their size, ${percent(constantFeatures)} not at all`,
    ...(deadUnits === null ? [] : [`${percent(deadUnits)} of hidden units dead`]),
    ...(norms.length === 0 ? [] : [`gradients ${norms.join(", ")}`]),
    ...(solver ? [`solver ${solver.steps.mean.toFixed(1)} steps per image, ${solver.rejected} rejected`] : []),
  ].join("; ");
}

/** A share with two digits that count. */
function percent(share: number): string {
  return `${Number((100 * share).toPrecision(2))} %`;
}
