// Figures about changes of parameters: how far they moved, where, how Dale's law fared, and what was found of known ones.

import type { AnalysisRecord } from "../../analysis/record.ts";
import { formatCount, formatNumber, formatPercent } from "../../core/format.ts";
import { plural } from "../../core/text.ts";
import type { JsonParts } from "../../io/jsonParts.ts";
import type { Figure, Table } from "../figure.ts";
import { barsFigure } from "../plots/bars.ts";
import { drawGroupMap } from "../plots/groupMap.ts";
import { drawHistogram } from "../plots/histogram.ts";
import { type BarSeries, drawNamedBars } from "../plots/namedBars.ts";
import { drawPointDensity } from "../plots/pointDensity.ts";

/** Bars of groups that are drawn. */
const MOST_BARS = 20;
const BEFORE_AND_AFTER: readonly BarSeries[] = [
  { name: "before", colour: "orange" },
  { name: "after", colour: "blue" },
];
/** Of the colours of a map. */
const MEANING = ["Σ|w| grew", "Σ|w| shrank"] as const;
/** Rows of a table about pairs. */
const MOST_ROWS = 60;

/** @throws {FileFormatError} a part that is missing or wrong */
export function changesFigures({ result }: AnalysisRecord): readonly Figure[] {
  const by = result.text("by");
  const recovered = result.objectOrNull("recovered");
  return [
    sizesFigure(result),
    ...mapFigures(result, by),
    ...ratioFigures(result.object("weights")),
    ...mixingFigures(result.object("signs"), by),
    ...result.objects("neuronValues").flatMap((values) => neuronFigures(values, by)),
    ...(recovered ? recoveredFigures(recovered) : []),
  ];
}

function baselineOf(result: JsonParts): string {
  const against = result.text("against");
  if (against === "start") return "the beginning of training";
  return against === "connectome" ? "the connectome" : against;
}

/** Numbers of a record; where the value was not finite, NaN. */
function number(parts: JsonParts, name: string): number {
  return parts.numberOrNaN(name);
}

function sizesFigure(result: JsonParts): Figure {
  const moves = result.objects("parameters").map((move) => ({
    name: move.text("name"),
    role: move.text("role"),
    count: move.count("count"),
    trained: move.flag("trained"),
    before: number(move, "normBefore"),
    after: number(move, "normAfter"),
    value: number(move, "relativeL2"),
  }));
  const nameOf = ({ name, role, trained, value }: (typeof moves)[number]) =>
    `${role}: ${name}${trained || value !== 0 ? "" : " (not trained)"}`;
  const shown = moves.filter(({ value }) => Number.isFinite(value));
  const fromZero = moves.filter(({ value }) => !Number.isFinite(value)).map(({ name }) => name);
  const left = fromZero.length === 0 ? "" : ` Without ${fromZero.join(", ")}, all 0 before.`;
  const caption = `‖p − p₀‖ / ‖p₀‖ of each parameter against ${baselineOf(result)}; shared values are spread over what shares them.${left}`;
  const bars = shown.map((move) => ({ name: nameOf(move), value: move.value }));
  const figure = barsFigure(
    { id: "sizes", title: "How far parameters moved", caption },
    bars,
    formatNumber,
    "relative L2",
  );
  return { ...figure, span: "half", table: sizesTable(result, moves) };
}

function sizesTable(
  result: JsonParts,
  moves: readonly { readonly name: string; readonly count: number; readonly [measure: string]: unknown }[],
): Table {
  const rows = moves.map(({ name, count, before, after, value }) => [
    ...[name, formatCount(count), formatNumber(before as number), formatNumber(after as number)],
    formatNumber(value as number),
  ]);
  const measure = (name: string, text: string) => [name, text, "", "", ""];
  const weights = result.object("weights");
  const share = (name: string) => formatPercent(weights.count(name) / Math.max(1, weights.count("count")));
  const connectome = result.objectOrNull("connectome");
  const radius = result.object("amplification");
  const amplified = (name: string, key: string) => [
    ...[name, ""],
    formatNumber(number(radius.object("before"), key)),
    formatNumber(number(radius.object("after"), key)),
    "",
  ];
  const rank = weights.numberOrNull("rankCorrelation");
  return {
    columns: ["", "number", "norm before", "after", "relative L2"],
    rows: [
      ...rows,
      measure("weights: relative L1", formatNumber(number(weights, "relativeL1"))),
      measure("cosine", formatNumber(number(weights, "cosine"))),
      measure("correlation", formatNumber(number(weights, "correlation"))),
      ...(rank === null ? [] : [measure("correlation of ranks", formatNumber(rank))]),
      measure("sign changed", share("signChanged")),
      measure("grew", share("grown")),
      measure("shrank", share("shrunk")),
      measure("fell below 1 %", share("silenced")),
      ...(connectome
        ? [measure("relative L2 against the connectome", formatNumber(number(connectome, "relativeL2")))]
        : []),
      amplified("spectral radius of |W|", "radius"),
      amplified("growth rate of W", "growth"),
    ],
  };
}

function mapFigures(result: JsonParts, by: string): Figure[] {
  const map = result.object("map");
  const groups = map.texts("groups");
  const size = groups.length;
  if (size === 0) return [];
  const square = (name: string): number[] => map.numbersOrNaN(name, size * size);
  const [relativeL2, growth] = [square("relativeL2"), square("growth")];
  const largest = relativeL2.reduce((most, x) => (x > most ? x : most), 0);
  const scale = Math.min(largest, 1) || 1;
  const shades = relativeL2.map((x, k) => Math.min(1, x / scale) * (growth[k]! < 0 ? -1 : 1));
  const leftOut = map.count("leftOut");
  const pairs = result.object("pairs");
  const rest = leftOut === 0 ? "" : ` ${plural(leftOut, "group")} that changed less are left out.`;
  return [
    {
      id: "pairs",
      title: `Weight change by ${by}`,
      caption: `‖w − w₀‖ / ‖w₀‖ of the connections between two groups; full colour: ${formatNumber(scale)}${largest > scale ? " or more" : ""}. Blue: Σ|w| grew; orange: it shrank; grey: no change.${rest}`,
      span: "half",
      draw: (width, uid) => drawGroupMap({ groups, shades, meaning: MEANING }, width, uid),
      table: pairsTable(pairs.objects("strongest")),
    },
  ];
}

function pairsTable(pairs: readonly JsonParts[]): Table {
  return {
    columns: ["from", "to", "connections", "mean before", "mean after", "relative L2", "signs changed"],
    rows: pairs.slice(0, MOST_ROWS).map((pair) => {
      const connections = pair.count("connections", 1);
      return [
        ...[pair.text("pre"), pair.text("post"), formatCount(connections)],
        formatNumber(number(pair, "sumBefore") / connections),
        formatNumber(number(pair, "sumAfter") / connections),
        formatNumber(number(pair, "relativeL2")),
        formatCount(pair.count("signChanged")),
      ];
    }),
  };
}

/** 2^x as a factor: 1 → "×2", −2 → "×1/4", 0.5 → "×1.41". */
function factorText(log: number): string {
  if (Number.isInteger(log) && log < 0) return `×1/${formatCount(2 ** -log)}`;
  return `×${formatNumber(Number((2 ** log).toPrecision(3)))}`;
}

function ratioFigures(weights: JsonParts): Figure[] {
  const logRatio = weights.object("logRatio");
  const count = logRatio.count("count");
  if (count === 0 || weights.count("unchanged") === weights.count("count")) return [];
  const histogram = logRatio.object("histogram");
  const [low, step, counts] = [number(histogram, "low"), number(histogram, "step"), histogram.numbersOrNaN("counts")];
  const [q5, q25, median, q75, q95] = logRatio.numbersOrNaN("quantiles").map((q) => factorText(q));
  return [
    {
      id: "ratios",
      title: "Growth of single weights",
      caption: `|w| / |w₀| of ${plural(count, "connection")}, on a logarithmic axis; the outermost bars hold what lies beyond. Median ${median}; half of them between ${q25} and ${q75}.`,
      span: "half",
      draw: (width) =>
        drawHistogram(
          { low, step, counts, xLabel: "|w| / |w₀|", yLabel: "connections", format: factorText, mark: 0 },
          width,
        ),
      table: {
        columns: ["quantile", "|w| / |w₀|"],
        rows: [
          ["5 %", q5!],
          ["25 %", q25!],
          ["50 %", median!],
          ["75 %", q75!],
          ["95 %", q95!],
        ],
      },
    },
  ];
}

function mixingFigures(signs: JsonParts, by: string): Figure[] {
  const groups = signs.object("groups");
  const found = groups.objects("strongest").map((group) => ({
    name: group.text("name"),
    neurons: group.count("neurons"),
    mixedBefore: group.count("mixedBefore"),
    mixedAfter: group.count("mixedAfter"),
    before: number(group, "shareBefore"),
    after: number(group, "shareAfter"),
  }));
  if (found.length === 0) return [];
  const [before, after] = [signs.object("before"), signs.object("after")];
  const counts = (parts: JsonParts) =>
    `${formatCount(parts.count("mixed"))} (${formatPercent(number(parts, "share"))} of all |w|)`;
  const left = groups.count("count") - Math.min(MOST_BARS, found.length);
  const rest = left > 0 ? ` ${plural(left, "more group")} with smaller shares.` : "";
  const bars = found.slice(0, MOST_BARS).map((group) => ({ name: group.name, values: [group.before, group.after] }));
  return [
    {
      id: "mixing",
      title: "Neurons whose outputs mix signs",
      caption: `Share of outgoing |w| with the rarer sign of its neuron, by ${by}. Mixed neurons: ${counts(before)} before, ${counts(after)} after.${rest}`,
      span: "half",
      draw: (width) => drawNamedBars(bars, BEFORE_AND_AFTER, formatPercent, width),
      table: {
        columns: [by, "neurons", "mixed before", "after", "share before", "after"],
        rows: found.map((group) => [
          ...[group.name, formatCount(group.neurons), formatCount(group.mixedBefore), formatCount(group.mixedAfter)],
          ...[formatPercent(group.before), formatPercent(group.after)],
        ]),
      },
    },
  ];
}

function neuronFigures(values: JsonParts, by: string): Figure[] {
  const name = values.oneOf("name", ["biases", "time constants"]);
  const groups = values.objects("groups").map((group) => ({
    name: group.text("name"),
    neurons: group.count("neurons"),
    value: number(group, "rms"),
    before: number(group, "meanBefore"),
    after: number(group, "meanAfter"),
  }));
  if (!groups.some(({ value }) => value > 0)) return [];
  const shown = groups.slice(0, MOST_BARS);
  const left = values.count("groupCount") - shown.length;
  const rest = left > 0 ? ` ${plural(left, "more group")} that changed less.` : "";
  const bars = shown.map((group) => ({ name: group.name, values: [group.value] }));
  return [
    {
      id: name === "biases" ? "biases" : "time-constants",
      title: `Change of ${name} by ${by}`,
      caption: `Root-mean-square change of the neurons of each group.${rest}`,
      span: "third",
      draw: (width) => drawNamedBars(bars, [{ name: "change", colour: "blue" }], formatNumber, width),
      table: {
        columns: [by, "neurons", "mean before", "mean after", "RMS change"],
        rows: groups.map((group) => [
          ...[group.name, formatCount(group.neurons), formatNumber(group.before), formatNumber(group.after)],
          formatNumber(group.value),
        ]),
      },
    },
  ];
}

const RECOVERED = [
  ["weights", "weights"],
  ["tau", "time constants"],
  ["bias", "biases"],
] as const;

function recoveredFigures(recovered: JsonParts): Figure[] {
  const source = recovered.text("source");
  return RECOVERED.flatMap(([key, name]) => {
    const found = recovered.objectOrNull(key);
    if (!found || found.count("count") === 0) return [];
    const density = found.object("density");
    const size = density.count("size", 1);
    const counts = density.numbersOrNaN("counts", size * size);
    const [r2, slope, intercept] = ["r2", "slope", "intercept"].map((part) => number(found, part)) as [
      number,
      number,
      number,
    ];
    const rows = key === "weights" ? pairRows(recovered.objects("pairs")) : groupRows(found.objects("byGroup"));
    const unmatched =
      key === "weights" && found.count("missing") + found.count("unknown") > 0
        ? ` Not matched: ${formatCount(found.count("missing"))} known connections, ${formatCount(found.count("unknown"))} of the network.`
        : "";
    return [
      {
        id: `recovered-${key}`,
        title: `Known ${name}: R² ${formatNumber(r2)}`,
        caption: `${formatCount(found.count("count"))} ${name} found by training, over those of ${source}; darker: more of them. Slope ${formatNumber(slope)}, intercept ${formatNumber(intercept)}; dotted: equal.${unmatched}`,
        span: "third" as const,
        draw: (width: number, uid: string) =>
          drawPointDensity(
            { low: number(density, "low"), high: number(density, "high"), size, counts, slope, intercept },
            width,
            uid,
          ),
        table: recoveredTable(found, rows),
      },
    ];
  });
}

function recoveredTable(found: JsonParts, rows: Table["rows"]): Table {
  const measures = [
    ["R²", "r2"],
    ["slope", "slope"],
    ["intercept", "intercept"],
    ["correlation", "correlation"],
    ["RMS difference", "rmse"],
  ] as const;
  return {
    columns: ["", "value", "mean known", "mean found"],
    rows: [...measures.map(([name, key]) => [name, formatNumber(number(found, key)), "", ""]), ...rows],
  };
}

function pairRows(pairs: readonly JsonParts[]): Table["rows"] {
  return pairs.slice(0, MOST_ROWS).map((pair) => {
    const connections = pair.count("connections", 1);
    return [
      `RMS difference ${pair.text("pre")} → ${pair.text("post")}`,
      formatNumber(number(pair, "moved") / Math.sqrt(connections)),
      formatNumber(number(pair, "sumBefore") / connections),
      formatNumber(number(pair, "sumAfter") / connections),
    ];
  });
}

function groupRows(groups: readonly JsonParts[]): Table["rows"] {
  return groups.map((group) => [
    ...[`RMS difference ${group.text("name")}`, formatNumber(number(group, "rms"))],
    ...[formatNumber(number(group, "meanBefore")), formatNumber(number(group, "meanAfter"))],
  ]);
}
