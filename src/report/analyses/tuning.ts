// Direction tuning on a run's page: polar tuning curves, and the selectivity of types beside that of other networks.

import { EDGES, type EdgeName } from "../../analysis/directionTuning.ts";
import type { AnalysisRecord } from "../../analysis/record.ts";
import { formatNumber } from "../../core/format.ts";
import { plural } from "../../core/text.ts";
import type { JsonParts } from "../../io/jsonParts.ts";
import type { Figure, Table } from "../figure.ts";
import { DOT_HUES, dotsFigure } from "../plots/dots.ts";
import { type PolarPanel, polarFigure } from "../plots/polar.ts";

/** Rows that are drawn of a figure: as many as flyvis' connectome has cell types. */
const MOST_ROWS = 65;
/** Curves that are drawn. */
const MOST_PANELS = 24;
const STYLES: Readonly<Record<EdgeName, string>> = { on: "blue", off: "orange dashed" };
const TITLES: Readonly<Record<EdgeName, string>> = { on: "ON edges", off: "OFF edges" };

interface Tuned {
  readonly dsi: number;
  readonly direction: number;
  readonly curve: readonly number[];
}

interface TunedType extends Readonly<Record<EdgeName, Tuned>> {
  readonly name: string;
  readonly polarity: number;
}

interface TunedNetwork {
  readonly name: string;
  readonly types: readonly TunedType[];
}

/** @throws {FileFormatError} a part that is missing or wrong */
export function tuningFigures({ result }: AnalysisRecord): Figure[] {
  const directions = result.numbersOrNaN("directions");
  const networks = result.objects("networks").map((network) => networkOf(network, directions.length));
  if (networks.length === 0) throw result.error("networks", "at least one network");
  const known = result.objects("known").map((it) => ({
    type: it.text("type"),
    edge: it.oneOf("edge", EDGES),
    direction: it.number("direction"),
  }));
  const isShown = new Set(result.texts("shown"));
  const shown = networks[0]!.types.filter(({ name }) => isShown.has(name));
  const marksOf = (type: string): number[] => known.filter((it) => it.type === type).map((it) => it.direction);
  const figures = [selectivityFigure(networks), ...polarityFigure(networks)];
  return shown.length === 0 ? figures : [curvesFigure(shown, directions, marksOf), ...figures];
}

function networkOf(network: JsonParts, directions: number): TunedNetwork {
  const types = network.objects("types").map((type): TunedType => {
    const tuned = (edge: EdgeName): Tuned => {
      const parts = type.object(edge);
      const curve = parts.numbersOrNaN("curve", directions);
      const dsi = parts.number("dsi", { least: 0, most: 1 });
      return { dsi, direction: parts.numberOrNaN("direction"), curve };
    };
    const polarity = type.numberOrNaN("polarity", { least: -1, most: 1 });
    return { name: type.text("name"), polarity, on: tuned("on"), off: tuned("off") };
  });
  return { name: network.text("name"), types };
}

/** The edge to which a type is more selective. */
function edgeOf({ on, off }: TunedType): EdgeName {
  return on.dsi >= off.dsi ? "on" : "off";
}

function curvesFigure(
  shown: readonly TunedType[],
  directions: readonly number[],
  marksOf: (type: string) => number[],
): Figure {
  const drawn = shown.slice(0, MOST_PANELS);
  const panels = drawn.map((type): PolarPanel => {
    const { dsi, direction } = type[edgeOf(type)];
    const at = Number.isNaN(direction) ? "" : ` at ${Math.round(direction)}°`;
    return {
      title: type.name,
      note: `${edgeOf(type).toUpperCase()}: DSI ${dsi.toFixed(2)}${at}`,
      curves: EDGES.map((edge) => ({
        name: TITLES[edge],
        style: STYLES[edge],
        directions,
        values: type[edge].curve,
      })),
      marks: marksOf(type.name),
    };
  });
  const left = shown.length - drawn.length;
  const hasMarks = panels.some(({ marks }) => marks.length > 0);
  return polarFigure(
    {
      id: "curves",
      title: "Tuning to the direction of moving edges",
      caption:
        "Distance from the middle: peak response, mean over speeds; the rim is the largest one of a panel. Below the name: DSI and preferred direction for the edge with the higher DSI. 90° is downwards, as the eye is drawn." +
        `${hasMarks ? " Marks at the rim: known directions." : ""}${left > 0 ? ` ${left} more types are not drawn.` : ""}`,
    },
    panels,
    {
      columns: ["type", "edge", ...directions.map((angle) => `${formatNumber(angle)}°`)],
      rows: shown.flatMap((type) => EDGES.map((edge) => [type.name, edge, ...type[edge].curve.map(formatNumber)])),
    },
  );
}

function selectivityFigure(networks: readonly TunedNetwork[]): Figure {
  const [first, ...others] = networks;
  const highest = (type: TunedType): number => type[edgeOf(type)].dsi;
  const sorted = [...first!.types].sort((a, b) => highest(b) - highest(a));
  const rows = sorted.slice(0, MOST_ROWS);
  const drawn = networks.slice(0, DOT_HUES.length);
  const byName = networks.map(({ types }) => new Map(types.map((type) => [type.name, type])));
  const dsiOf = (n: number, type: string, edge: EdgeName): number => byName[n]!.get(type)?.[edge].dsi ?? Number.NaN;
  const panels = EDGES.map((edge) => ({
    title: TITLES[edge],
    values: drawn.map((_, n) => rows.map(({ name }) => dsiOf(n, name, edge))),
  }));
  const left = sorted.length - rows.length;
  const undrawn = networks.length - drawn.length;
  return dotsFigure(
    {
      id: "selectivity",
      title: "Direction selectivity by cell type",
      caption:
        "DSI from 0 (all directions alike) to 1 (one direction only), mean over speeds. Weak responses can be selective, too: the table has their size." +
        `${left > 0 ? ` The ${rows.length} most selective types; ${left} more are not drawn.` : ""}${undrawn > 0 ? ` ${undrawn} more networks are in the table.` : ""}`,
    },
    {
      rows: rows.map(({ name }) => name),
      series: drawn.map(({ name }) => name),
      panels,
      axis: { label: "DSI", domain: [0, 1] },
    },
    selectivityTable(sorted, others, (n, type, edge) => dsiOf(n + 1, type, edge)),
  );
}

/** None if no type responds. */
function polarityFigure(networks: readonly TunedNetwork[]): Figure[] {
  const drawn = networks.slice(0, DOT_HUES.length);
  const byName = networks.map(({ types }) => new Map(types.map(({ name, polarity }) => [name, polarity])));
  const polarityOf = (n: number, type: string): number => byName[n]!.get(type) ?? Number.NaN;
  const responding = networks[0]!.types.filter(({ polarity }) => !Number.isNaN(polarity));
  if (responding.length === 0) return [];
  const decided = [...responding].sort((a, b) => Math.abs(b.polarity) - Math.abs(a.polarity)).slice(0, MOST_ROWS);
  const descending = (a: TunedType, b: TunedType): number => b.polarity - a.polarity;
  const rows = decided.sort(descending).map(({ name }) => name);
  const left = responding.length - rows.length;
  const silent = networks[0]!.types.length - responding.length;
  return [
    dotsFigure(
      {
        id: "polarity",
        title: "ON and OFF by cell type",
        caption:
          "Polarity (ON − OFF)/(ON + OFF) of the responses to edges, mean over directions and speeds." +
          `${left > 0 ? ` The ${rows.length} types of the clearest polarity; ${left} more are in the table.` : ""}` +
          `${silent > 0 ? ` ${plural(silent, "type")} without any response.` : ""}`,
      },
      {
        rows,
        series: drawn.map(({ name }) => name),
        panels: [{ title: "", values: drawn.map((_, n) => rows.map((type) => polarityOf(n, type))) }],
        axis: { label: "−1: OFF edges only, 1: ON edges only", domain: [-1, 1] },
      },
      {
        columns: ["type", ...networks.map(({ name }) => `polarity, ${name}`)],
        rows: responding
          .sort(descending)
          .map(({ name }) => [name, ...networks.map((_, n) => textOf(polarityOf(n, name), 2))]),
      },
    ),
  ];
}

function textOf(value: number, digits: number): string {
  return Number.isNaN(value) ? "–" : value.toFixed(digits);
}

function selectivityTable(
  types: readonly TunedType[],
  others: readonly TunedNetwork[],
  dsiOf: (other: number, type: string, edge: EdgeName) => number,
): Table {
  const largest = ({ curve }: Tuned): string => formatNumber(Math.max(...curve));
  const columns = [
    ...["DSI ON", "DSI OFF", "prefers ON (°)", "prefers OFF (°)", "polarity"],
    ...["largest response ON", "largest response OFF"],
  ];
  return {
    columns: ["type", ...columns, ...others.flatMap(({ name }) => [`DSI ON, ${name}`, `DSI OFF, ${name}`])],
    rows: types.map(({ name, on, off, polarity }) => [
      name,
      ...[
        textOf(on.dsi, 3),
        textOf(off.dsi, 3),
        textOf(on.direction, 0),
        textOf(off.direction, 0),
        textOf(polarity, 2),
      ],
      ...[largest(on), largest(off)],
      ...others.flatMap((_, n) => EDGES.map((edge) => textOf(dsiOf(n, name, edge), 3))),
    ]),
  };
}
