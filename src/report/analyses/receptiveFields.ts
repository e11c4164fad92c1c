// Figures about receptive fields, from their record.

import type { InputPlaces } from "../../analysis/fieldSummary.ts";
import type { AnalysisRecord } from "../../analysis/record.ts";
import { formatCount, formatNumber, formatPercent } from "../../core/format.ts";
import { plural } from "../../core/text.ts";
import type { JsonParts } from "../../io/jsonParts.ts";
import type { Figure, Table } from "../figure.ts";
import { type DrawnField, fieldsFigure } from "../plots/fields.ts";

/** Rows of the table. */
const LISTED = 60;
const SIGNS = ["on", "off"] as const;

interface Row extends Pick<DrawnField, "name" | "sign"> {
  readonly index: number;
  readonly peak: {
    readonly value: number;
    readonly error: number;
    readonly lag: number;
    readonly input: number;
  } | null;
  readonly centre: { readonly x: number; readonly y: number } | null;
  readonly radius: number | null;
  readonly biphasic: number | null;
  readonly share: number;
  readonly error: number;
}

/** @throws {FileFormatError} a part that is missing or wrong */
export function receptiveFieldFigures({ result }: AnalysisRecord): readonly Figure[] {
  const lags = result.count("lags", 1);
  const inputs = result.count("inputs", 1);
  const threshold = result.number("threshold", { least: 0 });
  const frame = result.object("frame");
  const unit = frame.oneOf("unit", ["steps", "time constants"]);
  const duration = frame.number("length", { least: 0 });
  const length = unit === "steps" ? plural(duration, "step") : `${formatNumber(duration)} ${unit}`;
  const places = placesOf(result, inputs);
  const neurons = result.objects("neurons");
  const drawn = neurons.flatMap((neuron) => drawnField(neuron, { lags, inputs, threshold }));
  const rows = neurons.map(rowOf);
  const left = neurons.length - drawn.length;
  const responses = result.oneOf("response", ["rates", "states"]);
  const some =
    left > 0 ? ` ${drawn.length} of ${formatCount(neurons.length)} neurons, those with the clearest peaks.` : "";
  const map = places
    ? "Maps: the field at the lag of its peak, fainter where it does not exceed noise."
    : "Bars: the strongest inputs at the lag of the peak.";
  const caption =
    `What raises (blue) or lowers (orange) the ${responses} of neurons, by ${result.text("noise")} noise on all inputs. ${map} ` +
    `Curves: the input of the peak over the lag, in frames of ${length}; beyond the dotted lines it exceeds noise. ` +
    `%: share of the variance that the field explains.${some}`;
  if (drawn.length === 0) return [];
  const words = { id: "receptive-fields", title: "Receptive fields", caption };
  return [fieldsFigure(words, { fields: drawn, places, lags }, tableOf(rows))];
}

function placesOf(result: JsonParts, inputs: number): InputPlaces | null {
  const places = result.objectOrNull("places");
  if (places === null) return null;
  const kind = places.oneOf("kind", ["hexagons", "pixels"]);
  if (kind === "pixels") {
    const [width, height] = [places.count("width", 1), places.count("height", 1)];
    if (width * height !== inputs) throw places.error("width", `a width so that there are ${plural(inputs, "pixel")}`);
    return { kind, width, height };
  }
  const extent = places.count("extent");
  if (3 * extent * (extent + 1) + 1 !== inputs)
    throw places.error("extent", `the extent of an eye of ${plural(inputs, "column")}`);
  return { kind, extent };
}

/** Those with a curve. */
function drawnField(
  neuron: JsonParts,
  { lags, inputs, threshold }: { readonly lags: number; readonly inputs: number; readonly threshold: number },
): DrawnField[] {
  if (neuron.all.kernel === null) return [];
  const list = (name: string, length: number): number[] =>
    neuron.numbersOrNaN(name, length).map((value) => (Number.isNaN(value) ? 0 : value));
  const peak = neuron.object("peak");
  return [
    {
      name: neuron.text("name"),
      sign: signOf(neuron),
      share: neuron.object("explained").numberOrNaN("share"),
      kernel: list("kernel", lags),
      bounds: list("kernelError", lags).map((error) => threshold * error),
      peakInput: peak.count("input"),
      map: neuron.all.map === null ? null : { values: list("map", inputs), isSignificant: marked(neuron, inputs) },
    },
  ];
}

/** Which inputs a list names. */
function marked(neuron: JsonParts, inputs: number): Uint8Array {
  const marks = new Uint8Array(inputs);
  for (const i of neuron.numbersOrNaN("significant")) {
    if (!(Number.isInteger(i) && i >= 0 && i < inputs)) throw neuron.error("significant", "numbers of inputs");
    marks[i] = 1;
  }
  return marks;
}

function signOf(neuron: JsonParts): DrawnField["sign"] {
  return neuron.textOrNull("centreSign") === null ? null : neuron.oneOf("centreSign", SIGNS);
}

function rowOf(neuron: JsonParts): Row {
  const [peak, centre, explained] = [
    neuron.objectOrNull("peak"),
    neuron.objectOrNull("centre"),
    neuron.object("explained"),
  ];
  return {
    ...{ index: neuron.count("index"), name: neuron.text("name"), sign: signOf(neuron) },
    peak: peak && {
      ...{ value: peak.number("value"), error: peak.numberOrNaN("standardError") },
      ...{ lag: peak.count("lag"), input: peak.count("input") },
    },
    centre: centre && { x: centre.number("x"), y: centre.number("y") },
    ...{ radius: neuron.numberOrNull("radius"), biphasic: neuron.numberOrNull("biphasic") },
    ...{ share: explained.numberOrNaN("share"), error: explained.numberOrNaN("standardError") },
  };
}

/** The clearest fields, in the order of the neurons. */
function tableOf(rows: readonly Row[]): Table {
  const clarity = ({ peak }: Row): number => (peak && peak.error > 0 ? Math.abs(peak.value) / peak.error : 0);
  const order = [...rows.keys()].sort((a, b) => clarity(rows[b]!) - clarity(rows[a]!) || a - b).slice(0, LISTED);
  const shown = order.sort((a, b) => a - b).map((k) => rows[k]!);
  const cell = (value: number | null | undefined) => (value == null ? "–" : formatNumber(value));
  const left = rows.length - shown.length;
  return {
    columns: [
      ...["neuron", "index", "field", "peak", "standard error", "lag", "input", "centre x", "centre y", "radius"],
      ...["biphasic", "linear share", "standard error of the share"],
    ],
    rows: [
      ...shown.map(({ name, index, sign, peak, centre, radius, biphasic, share, error }) => [
        ...[name, index, peak === null ? "constant" : (sign ?? "none"), cell(peak?.value), cell(peak?.error)],
        ...[peak?.lag ?? "–", peak?.input ?? "–", cell(centre?.x), cell(centre?.y), cell(radius), cell(biphasic)],
        ...[formatPercent(share), formatPercent(error)],
      ]),
      ...(left > 0 ? [[`and ${plural(left, "more neuron")}`, ...new Array<string>(12).fill("")]] : []),
    ],
  };
}
