// Verdicts in words and in tables.

import { formatNumber } from "../core/format.ts";
import { plural } from "../core/text.ts";
import { type Comparison, isComplete, LEAST_PAIRS, type Verdict, type VerdictRules } from "../stats/verdict.ts";
import type { MetricDescription } from "../train/taskDescription.ts";
import type { Table } from "./figure.ts";

/** The metric of a verdict; its name is that of the values: "test accuracy". */
export type JudgedMeasure = Pick<MetricDescription, "name" | "format" | "better">;

const NOTHING = "–";

/** "+0.95 points" of a share, in percent; "−0.012" of a number; with a standard error "+0.95 ± 0.10 points". */
export function differenceText(
  measure: Pick<JudgedMeasure, "format">,
  value: number,
  error: number = Number.NaN,
): string {
  const about = Number.isNaN(error) ? "" : ` ± ${numberText(measure, error)}`;
  return `${signed(measure, value)}${about}${unitOf(measure)}`;
}

function unitOf({ format }: Pick<JudgedMeasure, "format">): string {
  return format === "share" ? " points" : "";
}

/** Without a sign. */
function sizeText(measure: Pick<JudgedMeasure, "format">, value: number): string {
  return `${numberText(measure, Math.abs(value))}${unitOf(measure)}`;
}

function numberText({ format }: Pick<JudgedMeasure, "format">, value: number): string {
  return format === "share" ? (100 * value).toFixed(2) : formatNumber(value);
}

function signed(measure: Pick<JudgedMeasure, "format">, value: number): string {
  const text = numberText(measure, Math.abs(value));
  return value > 0 ? `+${text}` : value < 0 ? `−${text}` : text;
}

function intervalText(measure: Pick<JudgedMeasure, "format">, interval: readonly [number, number]): string {
  return interval.map((end) => signed(measure, end)).join(" to ");
}

/** "p = 0.012", "p < 0.0001". */
function pText(p: number): string {
  return p < 1e-4 ? "< 0.0001" : `${Number(p.toPrecision(2))}`;
}

/** "95 %" for α = 0.05. */
export function level(alpha: number): string {
  return `${formatNumber(100 * (1 - alpha))} %`;
}

/** What a verdict says, in a sentence or two. */
export function verdictSentence(verdict: Verdict, measure: JudgedMeasure, rules: VerdictRules): string {
  const { control, pairs, complete, statistics, kind, isEquivalent } = verdict;
  const { alpha, smallestEffect } = rules;
  const { mean, detectable } = statistics;
  const facts = factsText(verdict, measure, alpha);
  const within = smallestEffect === null ? "" : `±${sizeText(measure, smallestEffect)}`;
  const left = complete < pairs.length ? ` ${missingText(verdict)}; left out, as was allowed.` : "";
  switch (kind) {
    case "better":
    case "worse": {
      const small = isEquivalent ? ` The difference is within ${within}, too small to be of interest.` : "";
      return `real is ${kind} than ${control}: ${facts}.${small}${left}`;
    }
    case "equivalent":
      return `real and ${control} are equivalent within ${within}: ${facts}; two one-sided tests, p = ${pText(verdict.equivalenceP!)}.${left}`;
    case "none": {
      if (detectable === null)
        return `no difference between real and ${control}: all ${complete} pairs are equal.${left}`;
      const least = `${plural(complete, "pair")} would have found differences above ${sizeText(measure, detectable)} in 80 % of studies`;
      return `no difference between real and ${control} found at this size: ${facts}; ${least}.${left}`;
    }
    case "undecided":
      if (complete === pairs.length)
        return `undecided between real and ${control}: the difference is ${differenceText(measure, mean!)} in every pair, and without spread there is no test.`;
      return `undecided between real and ${control}: ${missingText(verdict)}; --allow-missing decides from the others.`;
    case "too-few":
      return `no verdict on real and ${control}: ${plural(complete, "pair")}, and a verdict needs ${LEAST_PAIRS}.`;
  }
}

function factsText({ statistics, correctedP }: Verdict, measure: JudgedMeasure, alpha: number): string {
  const { mean, interval } = statistics;
  const range = interval ? `, ${level(alpha)} interval ${intervalText(measure, interval)}` : "";
  const p = correctedP === null ? "" : `, corrected p ${/^</.test(pText(correctedP)) ? "" : "= "}${pText(correctedP)}`;
  return `${differenceText(measure, mean!)}${range}${p}`;
}

function missingText({ pairs, complete }: Comparison): string {
  const seeds = pairs.filter((pair) => !isComplete(pair)).map(({ seed }) => seed);
  const n = pairs.length - complete;
  return `${n} of ${pairs.length} pairs ${n === 1 ? "is" : "are"} missing (${seeds.length === 1 ? "seed" : "seeds"} ${seeds.join(", ")})`;
}

/** A row per control. */
export function verdictTable(verdicts: readonly Verdict[], measure: JudgedMeasure, { alpha }: VerdictRules): Table {
  return {
    columns: [
      ...["control", "verdict", "pairs", `real − control${measure.format === "share" ? " (points)" : ""}`],
      ...[`${level(alpha)} interval`, "s", "g_z", "p", "corrected p", "sign-flip p", "found in 80 %"],
    ],
    rows: verdicts.map(({ control, kind, pairs, complete, statistics: it, correctedP }) => {
      const optional = <T>(value: T | null, text: (value: T) => string): string =>
        value === null ? NOTHING : text(value);
      return [
        control,
        kind,
        complete === pairs.length ? `${complete}` : `${complete} of ${pairs.length}`,
        optional(it.mean, (value) => signed(measure, value)),
        optional(it.interval, (interval) => intervalText(measure, interval)),
        optional(it.sd, (value) => numberText(measure, value)),
        optional(it.effectSize, (value) => value.toFixed(2)),
        optional(it.p, pText),
        optional(correctedP, pText),
        optional(it.signFlipP, pText),
        optional(it.detectable, (value) => numberText(measure, value)),
      ];
    }),
  };
}
