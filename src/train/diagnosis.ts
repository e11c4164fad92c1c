// Whether a training can work: measures of network, read-out, gradients and solver, and what they mean in plain words.

import type { ActivityProbe } from "../models/classifier.ts";
import { type SolverMetrics, solverMetrics } from "./solverMetrics.ts";

/** Groups of parameters, by how their names begin. */
const GROUPS = {
  weights: ["rnn.hh.values", "rnn.hh.strength"],
  biases: ["rnn.hh.bias"],
  "time constants": ["rnn.tau"],
  input: ["rnn.ih."],
  output: ["rnn.ho."],
  "read-out": ["out_layer."],
} as const;

export type GradientGroup = keyof typeof GROUPS;

export interface Diagnosis extends Omit<ActivityProbe, "stats"> {
  /** Training steps done before it. */
  readonly step: number;
  /** 2-norms of the gradients of the last step, by group of parameters; null before the first one. */
  readonly gradients: Readonly<Partial<Record<GradientGroup, number>>> | null;
  /** For the images it was made with; null for a model in discrete time. */
  readonly solver: SolverMetrics | null;
  readonly findings: readonly Finding[];
}

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

function findingsOf(measures: Omit<Diagnosis, "findings">, state: TrainingState): Finding[] {
  const { deadUnits, constantFeatures, featureSpread, saturated, gradients } = measures;
  const { step, meanLoss, classes, standardised } = state;
  if (step === 0) return [];
  const chance = Math.log(classes);
  const heading = `this run is heading for a loss of ln ${classes} = ${chance.toFixed(3)}, which is guessing`;
  const hasLearned = meanLoss !== null && meanLoss < chance - NOTHING_LEARNED;
  const found: Finding[] = [];
  const add = (fault: Fault, reason: string, advice: string): void => {
    found.push({ fault, message: `${heading}: ${reason}. Try ${advice}` });
  };
  if (deadUnits !== null && deadUnits >= MOST_DEAD) {
    const spread =
      featureSpread === null ? "" : `; features differ between images by ${percent(featureSpread)} of their size`;
    add(
      "dead-read-out",
      `${percent(deadUnits)} of the read-out's hidden units fire for no image, so that its answer hardly depends on the image${standardised ? "" : spread}`,
      standardised ? "a smaller --lr, or --fc-dim none" : "--standardise, or --fc-dim none with a smaller --lr",
    );
  }
  if (constantFeatures >= 1) {
    add(
      "constant-features",
      "what is read out is the same for every image",
      "a longer --end-time, a larger --gain, or other neurons to --readout",
    );
  }
  if (saturated >= MUCH_SATURATED && step >= PATIENCE.saturated && !hasLearned) {
    const { weights, "read-out": readout } = gradients ?? {};
    const ratio =
      weights !== undefined && readout
        ? `; the gradient of its weights is ${(weights / readout).toExponential(0)} of the read-out's`
        : "";
    add(
      "saturated",
      `${percent(saturated)} of the neurons are saturated, and pass neither differences between images nor gradients${ratio}`,
      "--weights signed --normalise rows, a smaller --gain, or --nonlinearity ReLU",
    );
  }
  if (found.length === 0 && step >= PATIENCE.stalled && meanLoss !== null && !hasLearned) {
    add(
      "stalled",
      `the loss has not fallen below ${meanLoss.toFixed(3)} in ${step} steps`,
      "another --lr, --standardise, or --preset retina, which is known to learn",
    );
  }
  return found;
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
