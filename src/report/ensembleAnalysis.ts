// What one analysis found of all members of an ensemble: a table with a line per cell type (or whatever the analysis names), and figures.

import { type ComparedNumbers, spreadOfNumber } from "../analysis/comparedNumbers.ts";
import type { EnsembleAnalysis } from "../analysis/ensembleResult.ts";
import { formatNumber } from "../core/format.ts";
import type { Figure, Table } from "./figure.ts";
import { comparisonFigure } from "./plots/comparison.ts";

/** Numbers that a table has beside each other, and that are drawn. */
const MOST_COLUMNS = 8;
const MOST_FIGURES = 4;
/** Share of the largest number below which a number counts as 0. */
const NOTHING = 1e-9;

/** Numbers of the same things, one of each. */
interface Things {
  /** Names of the things, and where they are among all. */
  readonly rows: readonly { readonly name: string; readonly k: number }[];
  /** Things that are not among them. */
  readonly left: number;
  /** Sizes below `least` are what rounding left of 0. */
  readonly columns: readonly { readonly name: string; readonly numbers: ComparedNumbers; readonly least: number }[];
}

/** @param most  things; of more those are shown whose first number has the largest mean */
function thingsOf({ numbers }: EnsembleAnalysis, most: number): Things[] {
  const byThings = new Map<string, ComparedNumbers[]>();
  for (const own of numbers) {
    // Lists are for the file.
    if (own.place.some((place) => place !== null)) continue;
    const key = JSON.stringify(own.of);
    byThings.set(key, [...(byThings.get(key) ?? []), own]);
  }
  return Array.from(byThings.values(), (all) => {
    const { of } = all[0]!;
    const size = of.map((_, k) => Math.abs(spreadOfNumber(all[0]!, k)?.mean ?? 0));
    const ranked = [...of.keys()].sort((a, b) => size[b]! - size[a]! || a - b);
    const shown = new Set(ranked.slice(0, most));
    return {
      rows: of.map((name, k) => ({ name: name === "" ? "all" : name, k })).filter(({ k }) => shown.has(k)),
      left: Math.max(0, of.length - most),
      columns: all.map((own) => ({ name: shortName(own.path, all), numbers: own, least: NOTHING * largestOf(own) })),
    };
  });
}

function largestOf({ values }: ComparedNumbers): number {
  return values.flat().reduce((most, x) => (Math.abs(x) > most ? Math.abs(x) : most), 0);
}

function rounded(x: number, least: number): number {
  return Math.abs(x) < least ? 0 : x;
}

/** A path without what all have in common. */
function shortName(path: string, all: readonly ComparedNumbers[]): string {
  const parts = path.split(".");
  let common = 0;
  while (common < parts.length - 1 && all.every((own) => own.path.split(".")[common] === parts[common])) common++;
  return parts.slice(common).join(".");
}

/** A table for each kind of things. */
export function analysisTables(analysis: EnsembleAnalysis, most: number): { title: string; table: Table }[] {
  return thingsOf(analysis, most).map(({ rows, left, columns }) => {
    const shown = columns.slice(0, MOST_COLUMNS);
    const parts = [
      `Analysis ${analysis.name}, mean ± standard deviation over members`,
      ...(left > 0 ? [`${rows.length} of ${rows.length + left}`] : []),
      ...(columns.length > shown.length ? [`${shown.length} of ${columns.length} numbers`] : []),
    ];
    return {
      title: parts.join("; "),
      table: {
        columns: ["of", ...shown.map(({ name, numbers }) => `${name}${numbers.isAngle ? " [deg]" : ""}`)],
        rows: rows.map(({ name, k }) => [name, ...shown.map(({ numbers, least }) => cellOf(numbers, k, least))]),
      },
    };
  });
}

/** "0.41 ± 0.05", with the number of members where not all have it. */
function cellOf(numbers: ComparedNumbers, k: number, least: number): string {
  const own = spreadOfNumber(numbers, k);
  if (!own) return "–";
  const text = (x: number): string =>
    formatNumber(numbers.isAngle ? Math.round(x) : Number(rounded(x, least).toPrecision(3)));
  const spread = own.sd === null ? "" : ` ± ${text(own.sd)}`;
  return `${text(own.mean)}${spread}${own.n < numbers.values.length ? ` (n = ${own.n})` : ""}`;
}

/** Numbers with a dot per member; angles go round, and are left to the table. */
export function analysisFigures(analysis: EnsembleAnalysis, most: number): Figure[] {
  const all = thingsOf(analysis, most).flatMap(({ rows, left, columns }) =>
    rows.length < 2
      ? []
      : columns.filter(({ numbers }) => !numbers.isAngle).map((column) => ({ ...column, rows, left })),
  );
  return all.slice(0, MOST_FIGURES).map(({ name, numbers, least, rows, left }, k) => {
    const groups = rows.flatMap(({ name: group, k: at }) => {
      const own = spreadOfNumber(numbers, at);
      if (!own) return [];
      const values = numbers.values.map((list) => list[at]!).filter(Number.isFinite);
      const sd = own.sd === null ? null : rounded(own.sd, least);
      return [{ name: group, values, mean: rounded(own.mean, least), sd }];
    });
    const words = [
      "Small dots: members. Large dot and bar: their mean, one standard deviation to each side.",
      ...(left > 0 ? [`${left} with smaller numbers are left out.`] : []),
    ];
    const about = {
      id: `analysis-${k + 1}`,
      title: `${analysis.name}: ${name}`,
      caption: words.join(" "),
      group: "of",
    };
    return comparisonFigure(groups, { name, format: "number", range: [null, null] }, about);
  });
}
