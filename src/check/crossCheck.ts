// The cross-check: central differences → f64 → every f32 witness, on the same point and, but for one comparison, the same steps.

import type { Backend } from "../backend/backend.ts";
import { type Gather, HALF_ROUNDOFF } from "../backend/gather.ts";
import { unitRoundoff } from "../core/dtype.ts";
import { type Comparison, compareArrays, type Verdict, verdictOf } from "./comparison.ts";
import { compareWithDifferences, KINKED_STEP, SMOOTH_STEP } from "./differences.ts";
import { type BoundedEvaluation, boundedEvaluation } from "./rounding.ts";
import type { Evaluation, OpenSubject, StepSizes, Subject } from "./subject.ts";

/** Beyond this, differences through the step-size control are left out. */
const MOST_KINKS = 0.002;

/** A backend with the name it has in the table. */
export interface Witness {
  readonly name: string;
  readonly backend: Backend;
  /** What its products gather; default "f32". */
  readonly gather?: Gather;
}

export interface CheckedComparison extends Comparison {
  readonly verdict: Verdict;
}

export interface SubjectReport {
  readonly name: string;
  readonly description: string;
  /** Accepted steps per sample, the same for all witnesses. */
  readonly nSteps: readonly number[];
  readonly comparisons: readonly CheckedComparison[];
}

/**
 * @param reference a backend in double precision that reports its steps
 * @param singles   the f32 backends to be compared with it
 */
export async function crossCheck(
  subject: Subject,
  reference: Witness,
  singles: readonly Witness[],
  seed: number,
): Promise<SubjectReport> {
  const adaptive = subject.open(reference.backend, null);
  try {
    const free = await adaptive.evaluate(subject.point, { gradients: true });
    const steps = replayable(free.steps);
    const opened = subject.open(reference.backend, steps);
    try {
      const boundedFor = (gather: Gather): Promise<BoundedEvaluation> =>
        boundedEvaluation(opened, subject.point, steps, subject.roundings, seed, gather === "f16" ? HALF_ROUNDOFF : 0);
      const bounded = await boundedFor("f32");
      const halves = singles.some(({ gather }) => gather === "f16") ? await boundedFor("f16") : bounded;
      const comparisons = [
        ...(await comparedWithDifferences(subject, opened, adaptive, free, bounded, seed)),
        ...(await comparedWithSingles(subject, reference, singles, steps, { f32: bounded, f16: halves })),
      ];
      return {
        name: subject.name,
        description: subject.description,
        nSteps: steps.map((ofSample) => ofSample.length),
        comparisons: comparisons.map((comparison) => ({ ...comparison, verdict: verdictOf(comparison) })),
      };
    } finally {
      opened.dispose();
    }
  } finally {
    adaptive.dispose();
  }
}

/** Whether nothing failed. */
export function passed(reports: readonly SubjectReport[]): boolean {
  return reports.every(({ comparisons }) => comparisons.every(({ verdict }) => verdict !== "FAIL"));
}

/** Steps rounded to f32, so that every witness can take them exactly. */
function replayable(steps: StepSizes | null): StepSizes {
  if (!steps) throw new TypeError("cross-check: expected a reference that reports its steps, got one that does not");
  return steps.map((ofSample) => ofSample.map(Math.fround));
}

/**
 * Every gradient alone with replayed steps; and, on networks small enough for differences of adaptive solves to mean something, all
 * together through the step-size control.
 */
async function comparedWithDifferences(
  { point, roundings }: Subject,
  opened: OpenSubject,
  adaptive: OpenSubject,
  free: Evaluation,
  { reference, bounds }: BoundedEvaluation,
  seed: number,
): Promise<Comparison[]> {
  const lossRounding = (bounds.loss * unitRoundoff("f64")) / unitRoundoff("f32");
  const names = Object.keys(reference.gradients);
  const comparisons: Comparison[] = [];
  for (const name of names) {
    const along = {
      quantity: `gradient of ${name}`,
      names: [name],
      gradient: reference.gradients,
      step: SMOOTH_STEP,
    };
    comparisons.push(await compareWithDifferences(along, opened, point, lossRounding, seed));
  }
  // In discrete time there is no step control.
  if (roundings.tableau && expectedKinks(free) <= MOST_KINKS) {
    const quantity = "gradient through step control";
    const throughControl = { quantity, names, gradient: free.gradients, step: KINKED_STEP };
    comparisons.push(await compareWithDifferences(throughControl, adaptive, point, lossRounding, seed));
  }
  return comparisons;
}

/** Kinks of the step-size control that a difference may be expected to cross: one per state and step, anywhere in its range. */
function expectedKinks({ trajectory, steps }: Evaluation): number {
  const nSteps = Math.max(...steps!.map((ofSample) => ofSample.length));
  return 4 * KINKED_STEP * trajectory.length * nSteps;
}

async function comparedWithSingles(
  subject: Subject,
  reference: Witness,
  singles: readonly Witness[],
  steps: StepSizes,
  bounded: Readonly<Record<Gather, BoundedEvaluation>>,
): Promise<Comparison[]> {
  const comparisons: Comparison[] = [];
  for (const { name, backend, gather = "f32" } of singles) {
    const got = await replayed(subject, backend, steps);
    comparisons.push(...compareEvaluations(reference.name, name, bounded[gather], got));
  }
  return comparisons;
}

async function replayed(subject: Subject, backend: Backend, steps: StepSizes): Promise<Evaluation> {
  const opened = subject.open(backend, steps);
  try {
    return await opened.evaluate(subject.point, { gradients: true });
  } finally {
    opened.dispose();
  }
}

function compareEvaluations(
  reference: string,
  compared: string,
  { reference: expected, bounds }: BoundedEvaluation,
  got: Evaluation,
): Comparison[] {
  const names = { reference, compared };
  return [
    compareArrays({ quantity: "trajectory", ...names }, expected.trajectory, got.trajectory, bounds.trajectory),
    compareArrays({ quantity: "loss", ...names }, [expected.loss], [got.loss], [bounds.loss]),
    ...Object.entries(expected.measures ?? {}).map(([name, measure]) =>
      compareArrays({ quantity: name, ...names }, measure, got.measures![name]!, bounds.measures[name]!),
    ),
    ...Object.entries(expected.gradients).map(([name, gradient]) =>
      compareArrays(
        { quantity: `gradient of ${name}`, ...names },
        gradient,
        got.gradients[name]!,
        bounds.gradients[name]!,
      ),
    ),
  ];
}
