// `axograd tuning`: how the cell types of a network with a hexagonal eye are tuned to the direction of moving edges.

import type { Command } from "commander";
import {
  angleBetween,
  type DirectionTuning,
  directionTuning,
  EDGE_PROBE,
  EDGES,
  type EdgeName,
  type EdgeProbe,
  type EdgeProbeOptions,
  type EdgeTuning,
  probeEdges,
} from "../../analysis/directionTuning.ts";
import { ArgumentError, FileFormatError } from "../../core/errors.ts";
import { formatNumber } from "../../core/format.ts";
import { alignColumns, plural, quoteText } from "../../core/text.ts";
import { hexagonalEyeOf } from "../../data/hexProjection.ts";
import { type NamedNeurons, nearestToCentre, neuronsByColumn } from "../../data/neuronGroups.ts";
import { selectNeurons } from "../../data/selectors.ts";
import { columnIndex, forEachRow } from "../../io/delimited.ts";
import type { ArrayToWrite } from "../../io/writeArrays.ts";
import type { Interventions } from "../../models/interventions.ts";
import { ConnectomeODEModel } from "../../models/networkModel.ts";
import { tuningFigures } from "../../report/analyses/tuning.ts";
import type { Table } from "../../report/figure.ts";
import { baselineOf } from "../../run/baseline.ts";
import { stepEvaluationOf } from "../../run/evaluation.ts";
import { type OpenedRun, openRun } from "../../run/openRun.ts";
import { readBegun } from "../../run/runStart.ts";
import { numberOf } from "../../run/settingTypes.ts";
import { odeFramesOf } from "../../run/trajectory.ts";
import { timeLeft } from "../../train/progress.ts";
import { addInterventionOptions, type InterventionOptions, readInterventions } from "../interventionOptions.ts";
import { samplesNeeded } from "../sampleOptions.ts";
import { oneOf, path, realNumber, repeated, wholeNumber } from "../values.ts";
import { type AnalysisOptions, type AnalysisWork, addAnalysisOptions, runAnalysis } from "./analysis.ts";

const KIND = "tuning";
const CELLS = ["central", "all"] as const;
/** Types that are drawn as tuning curves, unless others are chosen. */
const SHOWN = 8;
/** Types that are listed for people. */
const LISTED = 12;
/** Names that --beside takes for the run itself. */
const UNTRAINED = "untrained";
const INTACT = "intact";

const EXAMPLES = `
Edges cross the eye in evenly spaced directions: ON edges, behind which it is bright (luminance 1), and OFF edges, behind which it is dark (0), on
grey (0.5). Directions are those of the eye's axes: 0 degrees to the right, 90 downwards as the eye is drawn. In the eye of flyvis 90 is up,
180 front to back. A response is the peak of what a cell sends, minus what it sends in grey. DSI is the direction selectivity from 0 to 1,
the mean over speeds. Polarity is (ON − OFF)/(ON + OFF) of the mean responses: 1 answers to ON edges only.

Speeds are in columns per second. --frame-ms says how long a frame of the run's samples lasts: at 20 ms, 25 columns/s are 0.5 columns per frame.

Examples:
  npx axograd tuning runs/a --beside untrained --plot tuning.svg
  npx axograd tuning runs/a --beside runs/shuffled --beside runs/none --out tuning.csv
  npx axograd tuning runs/fly --known examples/flyDirections.csv
  npx axograd tuning runs/a --silence Mi4 --beside intact --show 'T4*' --name tuning-without-Mi4

In Python: pandas.read_csv("tuning.csv"), a line per network, type, edge, speed and direction.
`;

type GivenOptions = AnalysisOptions &
  InterventionOptions & {
    readonly speeds: readonly number[];
    readonly directions: number;
    readonly frameMs: number;
    readonly before: number;
    readonly after: number;
    readonly cells: (typeof CELLS)[number];
    readonly neurons?: string;
    readonly show?: string;
    readonly beside?: readonly string[];
    readonly known?: string;
  };

/** The tuning of the cells of a type. */
interface TypeTuning extends DirectionTuning {
  readonly name: string;
  /** Cells whose responses were averaged. */
  readonly cells: number;
}

/** What one network does. */
interface NetworkTuning {
  readonly name: string;
  /** Training steps done. */
  readonly step: number;
  readonly types: readonly TypeTuning[];
}

/** A direction that is known of a type. */
interface KnownDirection {
  readonly type: string;
  readonly edge: EdgeName;
  readonly direction: number;
}

interface TuningResult extends EdgeProbe {
  readonly cells: (typeof CELLS)[number];
  /** Types that are drawn as tuning curves. */
  readonly shown: readonly string[];
  /** The run, then those beside it. */
  readonly networks: readonly NetworkTuning[];
  /** With the angle between it and the preferred direction, per network; NaN: a type without one. */
  readonly known: readonly (KnownDirection & { readonly errors: readonly number[] })[];
  /** What is left out, a sentence each. */
  readonly notes: readonly string[];
}

/** Adds the command to the program. */
export function register(program: Command): void {
  const command = addAnalysisOptions(program.command("tuning"), KIND)
    .description("show moving edges to a run's network and tell how selective its cell types are for direction")
    .option("--speeds <list>", "speeds of the edges, in columns per second", speedList, EDGE_PROBE.speeds)
    .option(
      "--directions <n>",
      "evenly spaced directions",
      wholeNumber("--directions", 3, 360),
      EDGE_PROBE.directions.length,
    )
    .option(
      "--frame-ms <ms>",
      "how long a frame of the run's samples lasts",
      positive("--frame-ms"),
      EDGE_PROBE.frameMs,
    )
    .option("--before <s>", "seconds of grey before an edge", positive("--before"), EDGE_PROBE.before)
    .option(
      "--after <s>",
      "seconds after an edge has crossed the eye",
      realNumber("--after", { least: 0 }),
      EDGE_PROBE.after,
    )
    .option(
      "--cells <which>",
      "the central cells of each type, or the mean over all",
      oneOf("--cells", CELLS),
      "central" as const,
    )
    .option("--neurons <selector>", "neurons whose types are probed (default: all)")
    .option(
      "--show <selector>",
      `types drawn as tuning curves (default: those of --known, else the ${SHOWN} most selective output types)`,
    )
    .option(
      "--beside <run>",
      `another run, ${UNTRAINED} (this run as it began) or ${INTACT} (without interventions), shown beside it; repeatable`,
      repeated,
    )
    .option(
      "--known <file>",
      "known directions, as CSV with columns type, edge (on or off), direction; examples/flyDirections.csv has those of T4 and T5",
      path("--known"),
    );
  addInterventionOptions(command, { files: false });
  command.addHelpText("after", EXAMPLES).action(run);
}

async function run(folder: string, given: GivenOptions): Promise<void> {
  const { speeds, directions, frameMs, before, after, cells, neurons, show, beside = [], known } = given;
  const { silence = [], clamp = [], drive = [] } = given;
  const twice = beside.find((name, k) => beside.indexOf(name) !== k);
  if (twice !== undefined) throw new ArgumentError(KIND, "--beside", "each network once", quoteText(twice));
  // Runs that do not exist are known before hours of work.
  for (const name of beside) if (name !== UNTRAINED && name !== INTACT) await readBegun(name);
  const angles = Array.from({ length: directions }, (_, k) => (360 * k) / directions);
  const probe: EdgeProbe = { directions: angles, speeds, frameMs, before, after };
  const knownDirections = known === undefined ? [] : await readKnown(known);
  const knownTypes = new Set(knownDirections.map(({ type }) => type));
  await runAnalysis<TuningResult>(folder, given, {
    kind: KIND,
    options: { ...{ cells, neurons: neurons ?? null, beside, known: known ?? null }, silence, clamp, drive },
    samples: await samplesNeeded(folder, given.checkpoint),
    figures: tuningFigures,
    table,
    arrays,
    lines,
    async compute(opened, work) {
      const acted = await readInterventions(given, opened.selectable, { where: KIND, note: work.note, files: false });
      const wanted = show === undefined ? knownTypes : typesAmong(opened, show, "--show");
      const tuningOf = async (it: OpenedRun, name: string, interventions: Interventions | null) => ({
        name,
        step: it.step,
        types: await typeTunings(it, { name, probe, cells, neurons, interventions }, work),
      });
      const networks: NetworkTuning[] = [await tuningOf(opened, folder, acted)];
      for (const name of beside) {
        if (name === INTACT) networks.push(await tuningOf(opened, name, null));
        else {
          await using other = await openBeside(opened, name, given);
          networks.push(await tuningOf(other, name, null));
        }
      }
      const probed = new Set(networks[0]!.types.map(({ name }) => name));
      const notes = notesOf(opened, networks);
      for (const { type } of knownDirections)
        if (!probed.has(type)) notes.push(`${known} names ${type}, which is not probed`);
      return {
        ...probe,
        cells,
        shown: shownTypes(opened, networks[0]!, wanted),
        networks: networks.map((network) => ({ ...network, types: network.types.map(plainTuning) })),
        known: knownDirections
          .filter(({ type }) => probed.has(type))
          .map((it) => ({ ...it, errors: networks.map((network) => errorOf(network, it)) })),
        notes,
      };
    },
  });
}

/** Another run, or this one as it began, on the same device. */
async function openBeside(
  { config, folder, backend }: OpenedRun,
  name: string,
  given: GivenOptions,
): Promise<OpenedRun> {
  if (name !== UNTRAINED) {
    const checkpoint = given.checkpoint === "best" ? "best" : "last";
    return openRun(name, { backend, checkpoint, samples: await samplesNeeded(name, checkpoint) });
  }
  const { connectome, neuronTable, data, validationData, testData } = config;
  const places = Object.entries({ connectome, neuronTable, data, validationData, testData });
  return openRun(folder, {
    ...Object.fromEntries(places.filter(([, place]) => place !== null)),
    ...{ backend, checkpoint: "none", samples: await samplesNeeded(folder, "none") },
  });
}

interface ProbedNetwork {
  readonly name: string;
  readonly probe: EdgeProbe;
  readonly cells: (typeof CELLS)[number];
  readonly neurons: string | undefined;
  readonly interventions: Interventions | null;
}

async function typeTunings(
  run: OpenedRun,
  { name, probe, cells, neurons, interventions }: ProbedNetwork,
  work: AnalysisWork,
): Promise<TypeTuning[]> {
  const { config, model, data, selectable } = run;
  const table = run.neurons;
  if (config.input !== "hexagonal" || table?.x == null || table.y === null) {
    const expected = "a run with an input per column of a hexagonal eye (--input hexagonal)";
    const got = baselineOf(config) === null ? `--input ${config.input}` : `--wiring ${config.wiring}`;
    throw new ArgumentError(KIND, quoteText(name), expected, got);
  }
  const place = { where: KIND, argument: "--neurons" };
  const among = neurons === undefined ? null : selectNeurons(selectable, neurons, place);
  const byType = neuronsByColumn(selectable, "type", among, place);
  const groups: readonly NamedNeurons[] =
    cells === "all" ? byType : nearestToCentre(byType, { x: table.x, y: table.y });
  const left = timeLeft();
  const options: Omit<EdgeProbeOptions<object>, "evaluation"> = {
    ...probe,
    places: hexagonalEyeOf(table),
    groups,
    ...(data.normalisation && { normalisation: data.normalisation }),
    onProgress: (done, edges) => work.show(() => `${name}  edge ${done}/${edges}  ${left(done / edges)}`),
  };
  const { signal } = work;
  // The two kinds of networks have evaluations of their own.
  const responses =
    model instanceof ConnectomeODEModel
      ? await probeEdges(model.rnn, {
          ...options,
          evaluation: (frames) => ({ ...odeFramesOf(config, data.train, frames), interventions, signal }),
        })
      : await probeEdges(model.rnn, {
          ...options,
          evaluation: (frames) => ({ ...stepEvaluationOf(config, data.train, frames), interventions, signal }),
        });
  return directionTuning(responses).map((tuning, g) => ({
    name: groups[g]!.name,
    cells: groups[g]!.neurons.length,
    ...tuning,
  }));
}

/** With lists, as JSON has them. */
function plainTuning({ on, off, ...others }: TypeTuning): TypeTuning {
  const plain = (tuning: EdgeTuning): EdgeTuning =>
    Object.fromEntries(
      Object.entries(tuning).map(([name, value]) => [name, typeof value === "number" ? value : Array.from(value)]),
    ) as unknown as EdgeTuning;
  return { ...others, on: plain(on), off: plain(off) };
}

/** The larger of the two selectivities. */
function selectivity({ on, off }: DirectionTuning): number {
  return Math.max(on.dsi, off.dsi);
}

function mostSelective(types: readonly TypeTuning[]): TypeTuning[] {
  return [...types].sort((a, b) => selectivity(b) - selectivity(a));
}

/** Types of some neurons. */
function typesAmong({ selectable }: OpenedRun, selector: string, argument: string): ReadonlySet<string> {
  const place = { where: KIND, argument };
  const neurons = selectNeurons(selectable, selector, place);
  return new Set(neuronsByColumn(selectable, "type", neurons, place).map(({ name }) => name));
}

/** The types to be drawn, in their order: those wanted, or if none of them is probed the most selective output types. */
function shownTypes(run: OpenedRun, { types }: NetworkTuning, wanted: ReadonlySet<string>): string[] {
  const chosen = types.filter(({ name }) => wanted.has(name));
  if (chosen.length > 0) return chosen.map(({ name }) => name);
  const outputs = run.selectable.role?.includes("output") ? typesAmong(run, "role=output", "--show") : null;
  const candidates = types.filter(({ name }) => outputs?.has(name) ?? true);
  const best = new Set(mostSelective(candidates.length > 0 ? candidates : types).slice(0, SHOWN));
  return types.filter((type) => best.has(type)).map(({ name }) => name);
}

/** Types that a network lacks, or that only it has. */
function notesOf(run: OpenedRun, [first, ...others]: readonly NetworkTuning[]): string[] {
  const namesOf = ({ types }: NetworkTuning) => new Set(types.map(({ name }) => name));
  const own = namesOf(first!);
  const list = (names: readonly string[]) => `${plural(names.length, "type")}: ${names.join(", ")}`;
  const unplaced = neuronsByColumn(run.selectable, "type", null, { where: KIND, argument: "--neurons" })
    .filter(({ neurons }) => neurons.every((i) => Number.isNaN(run.neurons!.x![i]!)))
    .map(({ name }) => name);
  const notes = unplaced.length === 0 ? [] : [`without a place in the eye, the mean over all cells: ${list(unplaced)}`];
  for (const other of others) {
    const names = namesOf(other);
    const missing = [...own].filter((name) => !names.has(name));
    const further = [...names].filter((name) => !own.has(name));
    if (missing.length > 0) notes.push(`${other.name} lacks ${list(missing)}`);
    if (further.length > 0) notes.push(`only ${other.name} has ${list(further)}`);
  }
  return notes;
}

function typeOf({ types }: NetworkTuning, name: string): TypeTuning | undefined {
  return types.find((type) => type.name === name);
}

function errorOf(network: NetworkTuning, { type, edge, direction }: KnownDirection): number {
  return angleBetween(typeOf(network, type)?.[edge].direction ?? Number.NaN, direction);
}

/** @throws {FileFormatError} a missing column, a cell that is no direction or no edge */
async function readKnown(file: string): Promise<KnownDirection[]> {
  const known: KnownDirection[] = [];
  let columns: readonly number[] = [];
  await forEachRow(
    file,
    "known directions (CSV with columns type, edge, direction)",
    { header: true },
    {
      start(names, width) {
        columns = ["type", "edge", "direction"].map((name) => columnIndex(name, names, width, file));
      },
      row(row) {
        const [type, edge, direction] = columns as [number, number, number];
        const which = EDGES.find((name) => name === row.text(edge));
        if (!which) throw row.error(edge, "on or off");
        const angle = row.number(direction);
        if (!Number.isFinite(angle)) throw row.error(direction, "degrees");
        known.push({ type: row.text(type), edge: which, direction: angle });
      },
    },
  );
  if (known.length === 0) throw new FileFormatError(file, "a line per known direction", "none");
  return known;
}

/** A line per network, type, edge, speed and direction. */
function table({ networks, directions, speeds }: TuningResult): Table {
  const columns = ["network", "type", "edge", "speed [columns/s]", "direction [deg]", "response"];
  const rows = networks.flatMap((network) =>
    network.types.flatMap((type) =>
      EDGES.flatMap((edge) =>
        speeds.flatMap((speed, s) =>
          directions.map((direction, d) => {
            const response = type[edge].responses[s * directions.length + d]!;
            return [network.name, type.name, edge, speed, direction, response];
          }),
        ),
      ),
    ),
  );
  return { columns, rows };
}

/** Types are those of the run; NaN where a network beside it lacks one. */
function arrays({ networks, directions, speeds }: TuningResult): Readonly<Record<string, ArrayToWrite>> {
  const types = networks[0]!.types.map(({ name }) => name);
  const ofTypes = (shape: readonly number[], numbers: (tuning: TypeTuning) => ArrayLike<number>): ArrayToWrite => {
    const width = shape.reduce((product, extent) => product * extent, 1);
    const data = new Float64Array(networks.length * types.length * width).fill(Number.NaN);
    networks.forEach((network, n) => {
      types.forEach((name, t) => {
        const tuning = typeOf(network, name);
        if (tuning) data.set(numbers(tuning), (n * types.length + t) * width);
      });
    });
    return { shape: [networks.length, types.length, ...shape], data };
  };
  const ofEdges = (shape: readonly number[], numbers: (tuning: EdgeTuning) => ArrayLike<number>): ArrayToWrite =>
    ofTypes([EDGES.length, ...shape], (type) => EDGES.flatMap((edge) => Array.from(numbers(type[edge]))));
  return {
    responses: ofEdges([speeds.length, directions.length], (tuning) => tuning.responses),
    dsi: ofEdges([], ({ dsi }) => [dsi]),
    preferred: ofEdges([], ({ direction }) => [direction]),
    dsi_by_speed: ofEdges([speeds.length], ({ dsiBySpeed }) => dsiBySpeed),
    preferred_by_speed: ofEdges([speeds.length], ({ directionBySpeed }) => directionBySpeed),
    polarity: ofTypes([], ({ polarity }) => [polarity]),
    networks: networks.map(({ name }) => name),
    types,
    edges: [...EDGES],
    speeds: { shape: [speeds.length], data: Float64Array.from(speeds) },
    directions: { shape: [directions.length], data: Float64Array.from(directions) },
  };
}

/** The most selective types of the run, with the same numbers of the others. */
function lines({ networks, known, notes }: TuningResult): string[] {
  const [first, ...others] = networks;
  const listed = mostSelective(first!.types).slice(0, LISTED);
  const head = ["type", "edge", "response", "DSI", "prefers", "polarity", ...others.map(({ name }) => `DSI ${name}`)];
  const rows = listed.map((type) => {
    const edge = type.on.dsi >= type.off.dsi ? "on" : "off";
    const { dsi, direction, curve } = type[edge];
    const beside = others.map((other) => {
      const same = typeOf(other, type.name);
      return same ? same[edge].dsi.toFixed(3) : "–";
    });
    const sign = type.polarity > 0 ? "+" : "";
    const polarity = Number.isNaN(type.polarity) ? "–" : `${sign}${type.polarity.toFixed(2)}`;
    const response = formatNumber(Math.max(...curve));
    return [type.name, edge, response, dsi.toFixed(3), degrees(direction), polarity, ...beside];
  });
  const left = first!.types.length - listed.length;
  const right = Array.from({ length: head.length - 2 }, (_, c) => c + 2);
  return [
    ...alignColumns([head, ...rows], right),
    ...(left > 0 ? [`and ${plural(left, "type")} of less selectivity`] : []),
    ...known.map(({ type, edge, direction, errors }) => {
      const of = networks.map(({ name }, n) => `${degrees(errors[n]!)}${n === 0 ? "" : ` (${name})`}`);
      return `${type} ${edge}: ${of.join(", ")} from ${formatNumber(direction)}°`;
    }),
    ...notes,
  ];
}

function degrees(angle: number): string {
  return Number.isNaN(angle) ? "–" : `${Math.round(angle)}°`;
}

function positive(option: string): (text: string) => number {
  return realNumber(option, { above: 0 });
}

function speedList(text: string): readonly number[] {
  const speeds = text.split(",").map((part) => numberOf(part.trim()));
  const bad = speeds.find((speed) => !(typeof speed === "number" && speed > 0 && speed < Infinity));
  if (bad === undefined) return speeds as number[];
  throw new ArgumentError("command line", "--speeds", "numbers above 0, like 2.4,9.7,25", quoteText(String(bad)));
}
