// Whether a training can work: measures of network, read-out, gradients and solver, and what they mean in plain words.

import { formatNumber } from "../core/format.ts";
import type { ParameterRole } from "../models/parameters/parameter.ts";
import type { ActivityProbe } from "../models/readout/features.ts";
import { type SolverMetrics, solverMetrics } from "./solverMetrics.ts";

/** Parameters whose gradients are taken together: those of one role. */
export type GradientGroup = ParameterRole;

/** The groups, in the order in which they are shown. */
const GROUPS: readonly GradientGroup[] = [
  "weights",
  "biases",
  "time constants",
  "input",
  "output",
  "read-out",
  "other",
];

/** Measures of a training: activity, gradients, steps of the solver; and what is wrong. */
export interface Diagnosis extends Omit<ActivityProbe, "stats"> {
  /** Training steps done before it. */
  readonly step: number;
  /** 2-norms of the gradients of the last step, by group of parameters; null before the first one. */
  readonly gradients: Readonly<Partial<Record<GradientGroup, number>>> | null;
  /** For the samples it was made with; null for a model in discrete time. */
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

/** What may help. */
export type Remedy =
  | "smaller learning rate"
  | "other learning rate"
  | "linear read-out"
  | "linear read-out, smaller learning rate"
  | "standardised features"
  | "longer time"
  | "larger weights"
  | "smaller weights"
  | "other outputs"
  | "signed rows of equal norm"
  | "rectifier"
  | "known set-up";

/** In the options of the library. */
const REMEDIES: Readonly<Record<Remedy, string>> = {
  "smaller learning rate": "a smaller lr",
  "other learning rate": "another lr",
  "linear read-out": "fcDim: null",
  "linear read-out, smaller learning rate": "fcDim: null with a smaller lr",
  "standardised features": "standardise: true",
  "longer time": "a longer endTime",
  "larger weights": "larger weights",
  "smaller weights": "smaller weights",
  "other outputs": "an outputProjection of other neurons",
  "signed rows of equal norm": "weights of both signs after normaliseRows",
  rectifier: 'neuronNonlinearity: "ReLU"',
  "known set-up": "a set-up that is known to learn (docs/learning.md)",
};

/** What is known of the training besides the probe. */
export interface TrainingState {
  readonly step: number;
  /** Of the last steps; null before the first one. */
  readonly meanLoss: number | null;
  /** Loss without knowledge of the inputs; null: unknown. */
  readonly chance: number | null;
  /** null: targets are numbers. */
  readonly classes: number | null;
  /** 2-norm of the gradient of each parameter, by role. */
  readonly gradientNorms: readonly (readonly [role: ParameterRole, norm: number])[] | null;
  readonly standardised: boolean;
}

/** From this share of dead hidden units on, they do not recover. */
const MOST_DEAD = 0.9;
/** Share of neurons without slope from which on a network counts as saturated. */
const MUCH_SATURATED = 0.5;
/** Nearer to guessing than this, in nats, nothing has been learned; for numbers, nearer than this share of the loss of guessing. */
const NOTHING_LEARNED = 0.05;
/** A healthy training has left guessing behind by then, an unhealthy one not. */
const PATIENCE = { saturated: 20, stalled: 200 } as const;

/** @param say  puts a remedy into words, or null where it would change nothing; default: in the options of the library */
export function diagnose(
  { stats, ...probe }: ActivityProbe,
  state: TrainingState,
  say: (remedy: Remedy) => string | null = (remedy) => REMEDIES[remedy],
): Diagnosis {
  const gradients = state.gradientNorms && groupNorms(state.gradientNorms);
  const measures = { ...probe, step: state.step, gradients, solver: solverMetrics(stats) };
  return { ...measures, findings: findingsOf(measures, state, say) };
}

function groupNorms(norms: NonNullable<TrainingState["gradientNorms"]>): Diagnosis["gradients"] {
  const groups = GROUPS.flatMap((group) => {
    const own = norms.flatMap(([role, norm]) => (role === group ? [norm] : []));
    return own.length === 0 ? [] : [[group, Math.hypot(...own)] as const];
  });
  return Object.fromEntries(groups);
}

type Measures = Omit<Diagnosis, "findings">;

/** Why a training cannot work, and what may help. */
interface Reason {
  readonly fault: Fault;
  readonly reason: string;
  /** One of them. */
  readonly remedies: readonly Remedy[];
}

function findingsOf(measures: Measures, state: TrainingState, say: (remedy: Remedy) => string | null): Finding[] {
  if (state.step === 0) return [];
  const { chance, meanLoss } = state;
  const margin = state.classes === null ? NOTHING_LEARNED * Math.abs(chance ?? 0) : NOTHING_LEARNED;
  const isGuessing = chance !== null && (meanLoss === null || !(meanLoss < chance - margin));
  const structural = [
    deadReadout(measures, state),
    constantFeatures(measures),
    isGuessing ? saturatedNetwork(measures) : null,
  ];
  // Without any other reason.
  const last = isGuessing && structural.every((reason) => reason === null) ? stalledLoss(state) : null;
  const reasons = [...structural, last].filter((reason) => reason !== null);
  const heading =
    chance === null
      ? "this run can hardly learn"
      : `this run is heading for a loss of ${levelOf(chance, state.classes)}, which is ${state.classes === null ? "that of a constant prediction" : "guessing"}`;
  return reasons.map(({ fault, reason, remedies }) => ({
    fault,
    message: `${heading}: ${reason}${advice(remedies.map(say).filter((remedy) => remedy !== null))}`,
  }));
}

/** "ln 10 = 2.303". */
function levelOf(chance: number, classes: number | null): string {
  const formula = classes !== null && chance === Math.log(classes) ? `ln ${classes} = ` : "";
  return `${formula}${classes === null ? formatNumber(chance) : chance.toFixed(3)}`;
}

/** ". Try a, b, or c"; nothing where there is nothing to try. */
function advice(all: readonly string[]): string {
  if (all.length < 2) return all.map((only) => `. Try ${only}`).join("");
  return `. Try ${all.slice(0, -1).join(", ")}, or ${all.at(-1)}`;
}

function deadReadout({ deadUnits, featureSpread }: Measures, { standardised }: TrainingState): Reason | null {
  if (deadUnits === null || deadUnits < MOST_DEAD) return null;
  const dead = `${percent(deadUnits)} of the read-out's hidden units fire for no sample, so that its answer hardly depends on the input`;
  const fault = "dead-read-out";
  if (standardised) return { fault, reason: dead, remedies: ["smaller learning rate", "linear read-out"] };
  const spread =
    featureSpread === null ? "" : `; features differ between samples by ${percent(featureSpread)} of their size`;
  const remedies = ["standardised features", "linear read-out, smaller learning rate"] as const;
  return { fault, reason: `${dead}${spread}`, remedies };
}

function constantFeatures(measures: Measures): Reason | null {
  if (measures.constantFeatures < 1) return null;
  return {
    fault: "constant-features",
    reason: "what is read out is the same for every sample",
    remedies: ["longer time", "larger weights", "other outputs"],
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
    reason: `${percent(saturated)} of the neurons are saturated, and pass neither differences between samples nor gradients${ratio}`,
    remedies: ["signed rows of equal norm", "smaller weights", "rectifier"],
  };
}

function stalledLoss({ step, meanLoss, standardised }: TrainingState): Reason | null {
  if (step < PATIENCE.stalled || meanLoss === null) return null;
  return {
    fault: "stalled",
    reason: `the loss has not fallen below ${meanLoss.toFixed(3)} in ${step} steps`,
    remedies: ["other learning rate", ...(standardised ? [] : (["standardised features"] as const)), "known set-up"],
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
    ...(solver ? [`solver ${solver.steps.mean.toFixed(1)} steps per sample, ${solver.rejected} rejected`] : []),
  ].join("; ");
}

/** A share with two digits that count. */
function percent(share: number): string {
  return `${Number((100 * share).toPrecision(2))} %`;
}
