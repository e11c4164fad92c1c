// `axograd perturb` on the page: how the first metric changes.

import type { AnalysisRecord } from "../../analysis/record.ts";
import { formatCount } from "../../core/format.ts";
import { plural } from "../../core/text.ts";
import type { JsonParts } from "../../io/jsonParts.ts";
import { type MetricDescription, metricText, readTaskDescription } from "../../train/taskDescription.ts";
import type { Figure } from "../figure.ts";
import { drawChanges } from "../plots/perturbations.ts";
import { differenceText } from "../verdicts.ts";

/** Experiments that are drawn. */
const DRAWN = 40;

/** What is done to neurons, in the past tense. */
const DONE = { silence: "silenced", clamp: "clamped", drive: "driven" } as const;

/** A measure of one experiment. */
interface Change {
  readonly value: number;
  readonly change: number;
  readonly error: number;
}

interface Effect {
  readonly name: string;
  /** "silenced", "clamped at 0.5", "driven by 0.5". */
  readonly done: string;
  readonly neurons: number;
  readonly failed: number;
  readonly failure: string | null;
  /** Of each measure. */
  readonly changes: readonly Change[];
}

type Measure = Pick<MetricDescription, "name" | "format" | "better">;

const LOSS: Measure = { name: "loss", format: "number", better: "lower" };

/** @throws {FileFormatError} a part that is missing or wrong */
export function perturbFigures({ result }: AnalysisRecord): readonly Figure[] {
  const { metrics } = readTaskDescription(result.object("task"));
  const measures: readonly Measure[] = [...metrics, LOSS];
  const effects = result.objects("effects").map((parts) => effectOf(parts, measures));
  if (effects.length === 0) throw result.error("effects", "at least one experiment");
  const first = measures[0]!;
  const intact = numberIn(result.object("intact"), first);
  const [acts, samples] = [new Set(effects.map(({ done }) => done)), result.count("samples")];
  const only = acts.size === 1 ? effects[0]! : null;
  const labelOf = ({ name, done }: Effect): string => (only ? name : `${name}, ${done}`);
  const drawn = strongest(effects);
  const left = effects.length - drawn.length;
  const shown = left === 0 ? "" : ` The ${DRAWN} strongest of ${formatCount(effects.length)} are shown.`;
  return [
    {
      id: "change",
      title: `Change of ${first.name} with neurons ${only ? only.done : "acted upon"}`,
      caption: `Change against the intact network on the same ${plural(samples, "sample")}, a row per experiment, the worst on top. Bars: ± one standard error over the samples.${shown}`,
      span: "full",
      draw: (width) =>
        drawChanges(
          drawn.map((effect) => ({ name: labelOf(effect), ...effect.changes[0]! })),
          ...([first, intact, width] as const),
        ),
      table: {
        columns: [
          ...["neurons", "done", "number", "failed samples"],
          ...measures.flatMap(({ name }) => [name, `change of ${name}`]),
        ],
        rows: effects.map((effect) => [
          ...[effect.name, effect.failure ?? effect.done, effect.neurons, effect.failed],
          ...measures.flatMap((measure, m) => {
            const { value, change, error } = effect.changes[m]!;
            return [metricText(measure, value), Number.isNaN(change) ? "–" : differenceText(measure, change, error)];
          }),
        ]),
      },
    },
  ];
}

/** Those with the largest changes of the first measure, in their order; those without numbers are in the table. */
function strongest(effects: readonly Effect[]): readonly Effect[] {
  const size = ({ changes }: Effect): number => Math.abs(changes[0]!.change) || 0;
  const chosen = new Set([...effects].sort((a, b) => size(b) - size(a)).slice(0, DRAWN));
  return effects.filter((effect) => chosen.has(effect));
}

function effectOf(parts: JsonParts, measures: readonly Measure[]): Effect {
  const act = parts.oneOf("act", ["silence", "clamp", "drive"]);
  const [value, change, error] = [parts.object("value"), parts.object("change"), parts.object("error")];
  const changeOf = (measure: Measure): Change => ({
    value: numberIn(value, measure),
    change: numberIn(change, measure),
    error: numberIn(error, measure),
  });
  return {
    name: parts.text("name"),
    done: `${DONE[act]}${actValue(parts, act)}`,
    neurons: parts.count("neurons"),
    failed: parts.count("failed"),
    failure: parts.textOrNull("failure"),
    changes: measures.map(changeOf),
  };
}

/** " at 0.5", " by 0.5", " by pulse.npy", or nothing. */
function actValue(parts: JsonParts, act: keyof typeof DONE): string {
  if (act === "silence") return "";
  if (act === "clamp") return ` at ${parts.number("actValue")}`;
  const isText = typeof parts.all.actValue === "string";
  return ` by ${isText ? parts.text("actValue") : parts.number("actValue")}`;
}

/** A number of a set of measures. */
function numberIn(parts: JsonParts, measure: Measure): number {
  return measure === LOSS ? parts.numberOrNaN("loss") : parts.object("metrics").numberOrNaN(measure.name);
}
