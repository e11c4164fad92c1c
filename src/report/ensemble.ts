// The page about an ensemble, and its figures.

import type { Agreement, MemberSpread } from "../analysis/ensemble.ts";
import type { EnsembleResult } from "../analysis/ensembleResult.ts";
import { formatCount, formatNumber } from "../core/format.ts";
import { plural, quoteValue } from "../core/text.ts";
import { descriptionOf, type MetricDescription, metricText } from "../train/taskDescription.ts";
import { analysisFigures, analysisTables } from "./ensembleAnalysis.ts";
import type { Figure, MissingFigure, Table } from "./figure.ts";
import { capitalised } from "./names.ts";
import { type PageSection, page } from "./page.ts";
import { type ComparedGroup, comparisonFigure } from "./plots/comparison.ts";
import { correlationsFigure } from "./plots/correlations.ts";
import { dendrogramFigure } from "./plots/dendrogram.ts";
import { memberResponsesFigure } from "./plots/memberResponses.ts";

/** Most members, or rows of a table, that are shown. */
const SHOWN = 60;

/** How the metric of a name like "test accuracy" is shown; losses are numbers. */
export function describedMetric({ task }: EnsembleResult, name: string): MetricDescription {
  return descriptionOf(task, name.replace(/^(test|validation) /, ""));
}

/** "94.1 ± 0.4 %", or a number. */
export function spreadText(metric: MetricDescription, { mean, sd }: Pick<MemberSpread, "mean" | "sd">): string {
  const text = metricText(metric, mean);
  if (sd === null) return text;
  return `${text.replace(/ %$/, "")} ± ${metricText(metric, sd)}`;
}

/** What was found, a sentence each. */
export function ensembleStatements(result: EnsembleResult): string[] {
  const { statistics, prediction, members } = result;
  const [first] = statistics.metrics;
  const statements: string[] = [];
  if (first?.spread) {
    const metric = describedMetric(result, first.name);
    const best =
      first.best === null
        ? ""
        : `; best: ${members[first.best]!.name} (${metricText(metric, first.values[first.best]!)})`;
    statements.push(
      `${capitalised(first.name)}: ${spreadText(metric, first.spread)} over ${plural(members.length, "member")}${best}.`,
    );
  }
  const judged = prediction?.metrics[0];
  if (prediction && judged?.spread && judged.best !== null) {
    const metric = describedMetric(result, judged.name);
    const text = (value: number): string => metricText(metric, value);
    statements.push(
      `Averaged predictions: ${judged.name} ${text(judged.ensemble)} on ${formatCount(prediction.samples)} ${prediction.part} samples; members: mean ${text(judged.spread.mean)}, best ${text(judged.best)}.`,
    );
  }
  statements.push(solutionsText(result));
  return statements;
}

function solutionsText({ statistics: { solutions }, members }: EnsembleResult): string {
  if (!solutions)
    return "No clusters: the values of a member are constant, so its correlation with others is not defined.";
  const { by, count, counts, leastSilhouette, clusters } = solutions;
  const best = counts.reduce((most, { silhouette }) => Math.max(most, silhouette), Number.NEGATIVE_INFINITY);
  const value = formatNumber(best);
  if (counts.length === 0) return `One cluster by ${by}: two members cannot be divided further.`;
  if (count === 1) return `One cluster by ${by}: the best mean silhouette, ${value}, is below ${leastSilhouette}.`;
  const sizes = clusters.map((own) => own.members.length).join(" and ");
  return `${count} clusters by ${by}, of ${sizes} of ${members.length} members: mean silhouette ${value}.`;
}

/** All metrics: mean, spread, best. */
export function metricsTable(result: EnsembleResult): Table {
  return {
    columns: ["metric", "members", "mean ± sd", "median", "lowest", "highest", "best member"],
    rows: result.statistics.metrics.flatMap(({ name, spread, best }) => {
      if (!spread) return [];
      const metric = describedMetric(result, name);
      const text = (value: number): string => metricText(metric, value);
      const { n, median, min, max } = spread;
      return [
        [
          name,
          n,
          spreadText(metric, spread),
          text(median),
          text(min),
          text(max),
          best === null ? "–" : result.members[best]!.name,
        ],
      ];
    }),
  };
}

/** Averaged predictions beside those of members; null: there are none. */
export function predictionTable(result: EnsembleResult): Table | null {
  const { prediction } = result;
  if (!prediction) return null;
  return {
    columns: [`on ${prediction.part} samples`, "members, mean ± sd", "best member", "averaged outputs"],
    rows: prediction.metrics.map(({ name, spread, best, ensemble }) => {
      const metric = describedMetric(result, name);
      const text = (value: number | null): string => metricText(metric, value ?? Number.NaN);
      return [name, spread ? spreadText(metric, spread) : "–", text(best), text(ensemble)];
    }),
  };
}

/** How much members agree. */
export function agreementTable({ statistics: { agreement } }: EnsembleResult): Table {
  // What rounding left of 0 is 0.
  const text = (value: number | null): string =>
    formatNumber(value === null ? Number.NaN : Math.abs(value) < 1e-12 ? 0 : value);
  return {
    columns: ["values", "compared", "mean correlation", "ICC(2,1), agreement", "ICC(3,1), consistency"],
    rows: agreement.map(({ name, count, meanCorrelation, intraclass }) => [
      ...[name, formatCount(count), text(meanCorrelation)],
      ...[text(intraclass.agreement), text(intraclass.consistency)],
    ]),
  };
}

/** Performance by cluster; null: there is one. */
export function clustersTable(result: EnsembleResult): Table | null {
  const { solutions, metrics } = result.statistics;
  if (!solutions || solutions.count === 1) return null;
  const names = metrics.map(({ name }) => name).slice(0, 4);
  return {
    columns: ["cluster", "members", ...names],
    rows: solutions.clusters.map(({ members, metrics: own }, c) => [
      c + 1,
      members.map((m) => result.members[m]!.name).join(", "),
      ...names.map((name) => {
        const spread = own.find((it) => it.name === name);
        return spread ? spreadText(describedMetric(result, name), spread) : "–";
      }),
    ]),
  };
}

/** Parameters of groups, those that vary most first. */
function parametersTable({ parameters }: EnsembleResult): Table {
  const varying = [...parameters].sort((a, b) => (b.variation ?? -1) - (a.variation ?? -1));
  return {
    columns: ["parameter", "group", "mean over members", "standard deviation", "coefficient of variation"],
    rows: varying
      .slice(0, SHOWN)
      .map(({ parameter, group, mean, sd, variation }) => [
        ...[parameter, group, formatNumber(mean), formatNumber(sd ?? Number.NaN)],
        formatNumber(variation ?? Number.NaN),
      ]),
  };
}

function distributionsTable({ distributions }: EnsembleResult): Table {
  return {
    columns: ["parameter", "values", "distance of distributions", "in standard deviations"],
    rows: distributions.map(({ parameter, values, distance, relative }) => [
      ...[parameter, formatCount(values), formatNumber(distance), formatNumber(relative ?? Number.NaN)],
    ]),
  };
}

function membersTable({ members, differences }: EnsembleResult): Table {
  return {
    columns: ["member", "folder", "seed", "step", "axograd", ...differences.map(({ setting }) => setting)],
    rows: members.map(({ name, folder, seed, step, version }, m) => [
      ...[name, folder, seed, formatCount(step), version],
      ...differences.map(({ values }) => quoteValue(values[m])),
    ]),
  };
}

/** Figures by section. */
export interface EnsembleFigures {
  readonly metrics: readonly Figure[];
  readonly solutions: readonly (Figure | MissingFigure)[];
  readonly agreement: readonly (Figure | MissingFigure)[];
  readonly analysis: readonly Figure[];
  readonly responses: readonly Figure[];
}

/** The figures of an ensemble. @param isDiscrete  times of responses are numbers of steps */
export function ensembleFigures(result: EnsembleResult, isDiscrete: boolean): EnsembleFigures {
  const { members, statistics, responses } = result;
  const names = members.map(({ name }) => name);
  const tooMany = (id: string, title: string): MissingFigure => ({
    ...{ id, title },
    missing: `More than ${SHOWN} members: the numbers are in ensemble.json.`,
  });
  const few = members.length <= SHOWN;
  const order = statistics.solutions?.order ?? names.map((_, m) => m);
  const heatMap = ({ name, count, correlations }: Agreement): Figure | MissingFigure => {
    const words = {
      id: `correlations-${name}`,
      title: `Correlation of ${name}`,
      caption: `Of members with each other, over ${formatCount(count)} values.`,
    };
    return few ? correlationsFigure(words, names, correlations, order) : tooMany(words.id, words.title);
  };
  return {
    metrics: metricFigures(result),
    solutions: statistics.solutions ? [few ? treeFigure(result) : tooMany("solutions", "Clusters of solutions")] : [],
    agreement: statistics.agreement.map(heatMap),
    analysis: result.analysis ? analysisFigures(result.analysis, SHOWN) : [],
    responses: responses ? [memberResponsesFigure(responses, isDiscrete)] : [],
  };
}

/** The first metric of each member, of their mean, and of the averaged predictions. */
function metricFigures(result: EnsembleResult): Figure[] {
  const { statistics, prediction, members } = result;
  const [first] = statistics.metrics;
  if (!first?.spread) return [];
  const metric = describedMetric(result, first.name);
  const judged = prediction?.metrics.find(({ name }) => `${prediction.part} ${name}` === first.name);
  const sign = first.better === "higher" ? -1 : 1;
  const ranked = members
    .flatMap(({ name }, m) => (Number.isFinite(first.values[m]) ? [{ name, value: first.values[m]! }] : []))
    .sort((a, b) => sign * (a.value - b.value));
  const single = (name: string, value: number): ComparedGroup => ({ name, values: [], mean: value, sd: null });
  const groups = [
    ...(judged ? [single("averaged outputs", judged.ensemble)] : []),
    { name: "mean of members", values: ranked.map(({ value }) => value), ...first.spread },
    ...ranked.slice(0, SHOWN).map(({ name, value }) => single(name, value)),
  ];
  const rest = ranked.length > SHOWN ? ` The ${SHOWN} best of ${ranked.length} members.` : "";
  const words = {
    id: "members",
    title: `${capitalised(first.name)} of members`,
    caption: `Bar: one standard deviation to each side of the members' mean.${judged ? " Averaged outputs: all members together." : ""}${rest}`,
    group: "member",
  };
  return [comparisonFigure(groups, { ...metric, name: first.name }, words)];
}

function treeFigure(result: EnsembleResult): Figure {
  const { members, statistics } = result;
  const [first] = statistics.metrics;
  const { by } = statistics.solutions!;
  const leaves = members.map(({ name }, m) => ({
    name,
    text: first ? metricText(describedMetric(result, first.name), first.values[m]!) : "",
  }));
  const words = {
    id: "solutions",
    title: "Clusters of solutions",
    caption: `Average linkage of members by 1 − correlation of ${by}. Colours: clusters. ${first ? `Beside each member: ${first.name}.` : ""}`,
  };
  return dendrogramFigure(words, statistics.solutions!, leaves, `1 − correlation of ${by}`);
}

/** The page of an ensemble. @param name  of its folder */
export function ensemblePage(result: EnsembleResult, figures: EnsembleFigures, name: string): string {
  const { members, notes, leftOut, statistics } = result;
  const { solutions } = statistics;
  const table = (title: string, own: Table | null): PageSection[] =>
    own && own.rows.length > 0 ? [{ title, figures: [], table: own }] : [];
  const silhouettes: Table | null = solutions && {
    columns: ["clusters", "mean silhouette"],
    rows: solutions.counts.slice(0, SHOWN).map(({ count, silhouette }) => [count, formatNumber(silhouette)]),
  };
  const rest =
    result.parameters.length > SHOWN ? `, the ${SHOWN} of ${formatCount(result.parameters.length)} that vary most` : "";
  const sections: PageSection[] = [
    { title: "Performance", figures: figures.metrics, table: metricsTable(result) },
    ...table("Averaged predictions", predictionTable(result)),
    ...(figures.solutions.length > 0
      ? [{ title: "Solutions", figures: figures.solutions, ...(silhouettes && { table: silhouettes }) }]
      : []),
    ...table("Performance by cluster", clustersTable(result)),
    { title: "Agreement", figures: figures.agreement, table: agreementTable(result) },
    ...(result.analysis
      ? analysisTables(result.analysis, SHOWN).map(({ title, table: own }, k) => ({
          ...{ title, table: own, figures: k === 0 ? figures.analysis : [] },
        }))
      : []),
    ...(figures.responses.length > 0 ? [{ title: "Responses", figures: figures.responses }] : []),
    ...table(`Parameters by group${rest}`, parametersTable(result)),
    ...table("Parameters without groups", distributionsTable(result)),
    ...table("Members", membersTable(result)),
  ];
  return page({
    kind: "axograd ensemble",
    title: `${plural(members.length, "network")} as one`,
    subtitle: `ensemble ${name}`,
    notes: [...notes, ...leftOut.map(({ folder, reason }) => `Left out: ${folder}, ${reason}.`)],
    statements: ensembleStatements(result),
    keyNumbers: [
      { value: `${members.length}`, name: "members" },
      { value: solutions ? `${solutions.count}` : "–", name: "clusters of solutions" },
    ],
    sections,
    facts: [],
  });
}
