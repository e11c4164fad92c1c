// What is decided before the runs of a study, as values and as texts that can be compared.

import type { JsonParts } from "../../io/jsonParts.ts";
import { settingsOf } from "../../run/configLayers.ts";
import type { VerdictRules } from "../../stats/verdict.ts";
import { textOf } from "../sweep/plan.ts";
import { type Arm, REAL } from "./arms.ts";

export const SPLITS = ["test", "validation"] as const;

/** What is decided beforehand. */
export interface Design extends Omit<VerdictRules, "better"> {
  /** In words; null: not given. */
  readonly question: string | null;
  readonly seeds: readonly number[];
  readonly controls: readonly Arm[];
  /** Name of a metric, or "loss"; null: the first metric of the task. */
  readonly metric: string | null;
  /** Samples whose metric the verdict is about. */
  readonly split: (typeof SPLITS)[number];
}

export const USUAL_ALPHA = 0.05;

/** A design in texts by name, for people, and to compare it with another. */
export function designTexts({
  question,
  seeds,
  controls,
  metric,
  split,
  alpha,
  smallestEffect,
  allowMissing,
}: Design): Record<string, string> {
  const settings = ({ options }: Arm): string =>
    Object.entries(options)
      .map(([key, value]) => `${key}=${textOf(value)}`)
      .join(" ");
  return {
    ...(question !== null && { question }),
    metric: metric ?? "the first of the task",
    samples: split,
    seeds: seeds.join(", "),
    real: settings(REAL),
    ...Object.fromEntries(controls.map((control) => [`control ${control.name}`, settings(control)])),
    test: "paired t, two-sided, real − control over seeds",
    correction: `Holm, ${controls.length} controls`,
    alpha: `${alpha}`,
    "smallest effect of interest": smallestEffect === null ? "none" : `${smallestEffect}`,
    "missing pairs": allowMissing ? "left out" : "leave the verdict undecided",
  };
}

/** @throws {FileFormatError | ArgumentError} a part that is missing or wrong */
export function readDesign(file: string, parts: JsonParts): Design {
  const seeds = parts.numbersOrNaN("seeds");
  if (!seeds.every((seed) => Number.isSafeInteger(seed) && seed >= 0) || new Set(seeds).size < seeds.length) {
    throw parts.error("seeds", "different whole numbers of at least 0");
  }
  const smallestEffect = parts.numberOrNull("smallestEffect");
  if (smallestEffect !== null && !(smallestEffect > 0))
    throw parts.error("smallestEffect", "a number above 0, or null");
  return {
    question: parts.textOrNull("question"),
    seeds,
    controls: parts.objects("controls").map((control) => ({
      name: control.text("name"),
      options: settingsOf(control.object("options").all, () => file),
    })),
    metric: parts.textOrNull("metric"),
    split: parts.oneOf("split", SPLITS),
    alpha: parts.number("alpha", { least: 1e-6, most: 1 }),
    smallestEffect,
    allowMissing: parts.flag("allowMissing"),
  };
}

/** Something that was done otherwise than it was planned. */
export interface Deviation {
  readonly what: string;
  readonly planned: string;
  readonly actual: string;
  /** null: none was asked for. */
  readonly reason: string | null;
  /** When it was accepted; null: it was found in the runs. */
  readonly date: string | null;
}

const NONE = "none";

/** Where two plans differ. */
export function differencesOf(
  planned: Readonly<Record<string, string>>,
  actual: Readonly<Record<string, string>>,
): Pick<Deviation, "what" | "planned" | "actual">[] {
  const names = [...new Set([...Object.keys(planned), ...Object.keys(actual)])];
  return names.flatMap((what) => {
    const [before, now] = [planned[what] ?? NONE, actual[what] ?? NONE];
    return before === now ? [] : [{ what, planned: before, actual: now }];
  });
}
