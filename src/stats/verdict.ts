// Verdicts on a network and its controls, from paired runs. What is decided here was decided before the runs: see `VerdictRules`.

import { equivalenceP, holm, type PairedStatistics, pairedStatistics } from "./paired.ts";

/**
 * "better", "worse": the network is, in the direction of the metric; "none": no difference was found; "equivalent": none of the smallest size of
 * interest, by a test; "undecided": pairs are missing, or all differences are the same; "too-few": fewer than three pairs.
 */
export type VerdictKind = "better" | "worse" | "none" | "equivalent" | "undecided" | "too-few";

/** Fewest pairs of a verdict. */
export const LEAST_PAIRS = 3;

/** What was decided before the runs. */
export interface VerdictRules {
  readonly better: "higher" | "lower";
  /** Chance of any false claim of a difference, over all controls. */
  readonly alpha: number;
  /** Differences below it do not matter; null: not given, and equivalence is never claimed. */
  readonly smallestEffect: number | null;
  /** Decide from the pairs that there are; else a missing pair leaves the verdict undecided. */
  readonly allowMissing: boolean;
}

/** A seed with the values of both networks; null: missing or not a number. */
export interface Pair {
  readonly seed: number;
  readonly real: number | null;
  readonly control: number | null;
}

/** Whether a pair has both values. */
export function isComplete(pair: Pair): pair is Pair & { readonly real: number; readonly control: number } {
  return Number.isFinite(pair.real) && Number.isFinite(pair.control);
}

/** real − control of the complete pairs. */
export function differences(pairs: readonly Pair[]): number[] {
  return pairs.filter(isComplete).map(({ real, control }) => real - control);
}

/** All pairs of a control. */
export interface PairedRuns {
  readonly control: string;
  readonly pairs: readonly Pair[];
}

/** The comparison with a control. Differences are real − control. */
export interface Comparison extends PairedRuns {
  /** Pairs with both values. */
  readonly complete: number;
  readonly statistics: PairedStatistics;
}

/** A comparison, and what it comes to. */
export interface Verdict extends Comparison {
  readonly kind: VerdictKind;
  /** p-value, corrected for all controls (Holm). */
  readonly correctedP: number | null;
  /** p-value of the test of equivalence, corrected likewise; null: no smallest effect was given, or no test was possible. */
  readonly equivalenceP: number | null;
  /** The difference is within ±smallestEffect, by a test, even if it is one. */
  readonly isEquivalent: boolean;
}

/** The differences of the complete pairs, and their statistics. @param detectableAlpha  see `PairedOptions` */
export function compare(runs: PairedRuns, alpha: number, detectableAlpha: number = alpha): Comparison {
  const complete = runs.pairs.filter(isComplete);
  const scale = Math.max(0, ...complete.flatMap(({ real, control }) => [Math.abs(real), Math.abs(control)]));
  const statistics = pairedStatistics(differences(runs.pairs), scale, { alpha, detectableAlpha });
  return { ...runs, complete: complete.length, statistics };
}

/** The verdicts on all controls of a study. */
export function verdicts(all: readonly PairedRuns[], rules: VerdictRules): Verdict[] {
  const { alpha, smallestEffect, allowMissing } = rules;
  const comparisons = all.map((runs) => compare(runs, alpha, alpha / all.length));
  /** A comparison without verdict makes no claim, so its p-value counts as 1. */
  const isDecided = ({ complete, pairs }: Comparison): boolean =>
    complete >= LEAST_PAIRS && (allowMissing || complete === pairs.length);
  const corrected = holm(comparisons.map((it) => (isDecided(it) ? it.statistics.p : null)));
  const equivalence = holm(
    comparisons.map((it) =>
      isDecided(it) && smallestEffect !== null ? equivalenceP(it.statistics, smallestEffect) : null,
    ),
  );
  return comparisons.map((comparison, k): Verdict => {
    const [correctedP, eqP] = [corrected[k]!, equivalence[k]!];
    const isEquivalent = eqP !== null && eqP <= alpha;
    const kind = kindOf(comparison, isDecided(comparison), { ...rules, correctedP, isEquivalent });
    return { ...comparison, kind, correctedP, equivalenceP: eqP, isEquivalent };
  });
}

function kindOf(
  { statistics: { mean, sd }, pairs }: Comparison,
  isDecided: boolean,
  {
    better,
    alpha,
    allowMissing,
    correctedP,
    isEquivalent,
  }: VerdictRules & { readonly correctedP: number | null; readonly isEquivalent: boolean },
): VerdictKind {
  if (pairs.length < LEAST_PAIRS) return "too-few";
  if (!isDecided) return allowMissing ? "too-few" : "undecided";
  // All differences are the same: no test can tell chance from effect, unless there is nothing to tell.
  if (sd === 0) return mean === 0 ? "none" : "undecided";
  if (correctedP !== null && correctedP <= alpha) return mean! > 0 === (better === "higher") ? "better" : "worse";
  return isEquivalent ? "equivalent" : "none";
}
