// From a sweep to its runs: every combination of settings with every seed, named after its folder.

import { ArgumentError } from "../../core/errors.ts";
import { isObject } from "../../core/plainObject.ts";
import { printable, quoteText } from "../../core/text.ts";
import type { TrainConfig } from "../../run/config.ts";
import { checkEffects, layer, ownSettings, resolveConfig, type Settings } from "../../run/configLayers.ts";
import type { Axis, Sweep } from "./sweepFile.ts";

export interface PlannedRun {
  /** Like `lr=0.001_gain=2_seed=0`. */
  readonly name: string;
  /** The settings that vary within the sweep, without the seed. */
  readonly options: Readonly<Record<string, unknown>>;
  /** All given settings: base, options and seed. */
  readonly settings: Settings;
  readonly config: TrainConfig;
}

/** Some file systems refuse longer names, once a suffix is added. */
const LONGEST_NAME = 200;

/**
 * The runs of a sweep: combinations in the order of the file, the last setting fastest, and all seeds of one after another.
 *
 * @throws {ArgumentError} settings of a combination that contradict each other or have no effect, or combinations with the same name
 */
export function planRuns({ base, seeds, grid, zip }: Sweep): PlannedRun[] {
  const together = zip.length === 0 ? [{}] : zip[0]!.values.map((_, k) => merged(zip.map(({ values }) => values[k]!)));
  const combinations = grid.reduce<readonly Settings[]>(
    (lower, { values }) => lower.flatMap((left) => values.map((right) => ({ ...left, ...right }))),
    together,
  );
  const runs = combinations.flatMap((options) => {
    const withSeeds = seeds === null ? [{}] : seeds.map((seed) => ({ seed }));
    return withSeeds.map((seed): PlannedRun => {
      const varying = { ...options, ...seed };
      const settings = layer(base, varying);
      return { name: nameOf(varying), options, settings, config: resolveConfig([settings]) };
    });
  });
  checkNames(runs, [...grid, ...zip]);
  checkEffectsOf(runs, base);
  return runs;
}

/** A setting that varies must have an effect in every run, a common setting in at least one. */
function checkEffectsOf(runs: readonly PlannedRun[], base: Settings): void {
  for (const { options, config } of runs) checkEffects("sweep", ownSettings(options, config.preset), [config]);
  const configs = runs.map(({ config }) => config);
  checkEffects("sweep", ownSettings(base, configs[0]!.preset), configs);
}

function merged(settings: readonly Settings[]): Settings {
  return Object.assign({}, ...settings);
}

/** The settings that vary, in the order of the file. */
function nameOf(varying: Readonly<Record<string, unknown>>): string {
  const parts = Object.entries(varying).map(([key, value]) => `${key}=${fileText(textOf(value))}`);
  return parts.length === 0 ? "run" : parts.join("_");
}

/** A value for people, as the command line takes it. */
export function textOf(value: unknown): string {
  if (isSize(value)) return `${value.neurons}x${value.connections}`;
  if (value === null) return "none";
  // Lists are joined by commas, too.
  const parts = isObject(value) ? Object.entries(value).map(([name, part]) => `${name}=${part}`) : value;
  return printable(String(parts));
}

/** Text as part of a file name on any system. */
function fileText(text: string): string {
  return text.replace(/[^\w.+-]+/g, "-").replace(/^-+|-+$/g, "");
}

function isSize(value: unknown): value is { neurons: number; connections: number } {
  return typeof value === "object" && value !== null && "neurons" in value;
}

/** Names from `nameOf`: names of folders on any system, none of which leads out of its parent. */
const RUN_NAME = /^[\w.+=-]+$/;

/** @throws {ArgumentError} a name that is no folder directly below the sweep's */
export function checkRunName(where: string, name: string): void {
  if (RUN_NAME.test(name) && !/^\.+$/.test(name) && name.length <= LONGEST_NAME) return;
  const expected = `a name of letters, digits and "_.+=-", of at most ${LONGEST_NAME} characters`;
  throw new ArgumentError(where, "name", expected, quoteText(name));
}

function checkNames(runs: readonly PlannedRun[], axes: readonly Axis[]): void {
  const where = axes.map(({ key }) => key).join(", ");
  const seen = new Set<string>();
  for (const { name } of runs) {
    if (name.length > LONGEST_NAME) {
      throw new ArgumentError("sweep", where, `names of runs of at most ${LONGEST_NAME} characters`, name);
    }
    // Some file systems ignore case.
    if (seen.has(name.toLowerCase())) {
      throw new ArgumentError("sweep", where, "values that make different names of folders", `${name} twice`);
    }
    seen.add(name.toLowerCase());
  }
}
