// Sweep files: one base configuration, the settings that vary, and the seeds. YAML or JSON.

import { ArgumentError, FileFormatError, nearestName } from "../../core/errors.ts";
import { formatCount } from "../../core/format.ts";
import { isObject } from "../../core/plainObject.ts";
import { quoteText, quoteValue } from "../../core/text.ts";
import { type Settings, settingsOf } from "../../run/configLayers.ts";
import { readConfigFile } from "../configFile.ts";
import { readYaml, type YamlFile } from "../yamlFile.ts";

/** The keys of a sweep file. */
export const SWEEP_KEYS = ["base", "seeds", "grid", "zip"] as const;

/** Values of one setting. */
export interface Axis {
  readonly key: string;
  readonly values: readonly Settings[];
}

/** Content of a sweep file. */
export interface Sweep {
  readonly base: Settings;
  /** null: the seed of the base. */
  readonly seeds: readonly number[] | null;
  /** Every combination of these is run. */
  readonly grid: readonly Axis[];
  /** Axes of equal length that go together: first values, second values, … */
  readonly zip: readonly Axis[];
}

/** Limits of runs: the default, and the highest that --max-runs allows. Every run is a folder with files. */
export const MOST_RUNS = { usual: 10_000, ever: 100_000 } as const;

/**
 * @param mostRuns  limit of runs, checked before any combination is made
 * @throws {FileFormatError} missing, or neither YAML nor JSON
 * @throws {ArgumentError} an unknown key, a wrong value, axes that contradict each other, too many runs, with file and line
 */
export async function readSweepFile(file: string, mostRuns: number = MOST_RUNS.usual): Promise<Sweep> {
  const yaml = await readYaml(file, "a sweep file");
  for (const key of Object.keys(yaml.data)) checkKey(yaml, key);
  const base = await baseOf(yaml);
  const [grid, zip] = [axesOf(yaml, "grid"), axesOf(yaml, "zip")];
  checkAxes(yaml, grid, zip);
  const seeds = seedsOf(yaml, base);
  checkNumberOfRuns(yaml, grid, zip, seeds, mostRuns);
  return { base, seeds: typeof seeds === "number" ? firstSeeds(seeds) : seeds, grid, zip };
}

function firstSeeds(count: number): number[] {
  return Array.from({ length: count }, (_, k) => k);
}

function checkNumberOfRuns(
  { file }: YamlFile,
  grid: readonly Axis[],
  zip: readonly Axis[],
  seeds: number | readonly number[] | null,
  most: number,
): void {
  const nSeeds = typeof seeds === "number" ? seeds : (seeds?.length ?? 1);
  const factors = [
    ...grid.map(({ key, values }) => [values.length, `values of ${key}`] as const),
    [zip[0]?.values.length ?? 1, "places of zip"] as const,
    [nSeeds, "seeds"] as const,
  ].filter(([count]) => count > 1);
  const total = factors.reduce((product, [count]) => product * BigInt(count), 1n);
  if (total <= most) return;
  const counted = factors.map(([count, what]) => `${formatCount(count)} ${what}`).join(" × ");
  const { ever } = MOST_RUNS;
  const raise = most < ever ? ` (--max-runs allows up to ${formatCount(ever)})` : "";
  const expected = `at most ${formatCount(most)} runs${raise}`;
  throw new ArgumentError(file, "grid, zip, seeds", expected, `${formatCount(total)}: ${counted}`);
}

function checkKey({ where }: YamlFile, key: string): void {
  if ((SWEEP_KEYS as readonly string[]).includes(key)) return;
  const near = nearestName(key, SWEEP_KEYS);
  const hint = near ? `, did you mean "${near}"?` : "; settings of all runs go below base";
  throw new ArgumentError(where([key]), key, `one of ${SWEEP_KEYS.join(", ")}`, `${quoteText(key)}${hint}`);
}

/** Settings, or the name of a configuration file that has them. */
async function baseOf({ data, where }: YamlFile): Promise<Settings> {
  const { base = {} } = data;
  if (typeof base === "string") return readConfigFile(base);
  if (!isObject(base)) throw new FileFormatError(where(["base"]), "settings, or the name of a file", quoteValue(base));
  return settingsOf(base, (key) => where(["base", key]));
}

/** A list, or how many. */
function seedsOf({ data, where }: YamlFile, base: Settings): number | readonly number[] | null {
  const { seeds } = data;
  if (seeds === undefined) return null;
  const wrong = (expected: string): never => {
    throw new ArgumentError(where(["seeds"]), "seeds", expected, quoteValue(seeds));
  };
  if ("seed" in base) wrong("no seeds where base has a seed, or no seed there");
  if (isWhole(seeds) && seeds > 0) return seeds;
  if (!Array.isArray(seeds) || seeds.length === 0 || !seeds.every(isWhole)) {
    return wrong("how many seeds, or a list of whole numbers of at least 0");
  }
  if (new Set(seeds).size < seeds.length) wrong("seeds that differ");
  return seeds;
}

function axesOf({ data, where }: YamlFile, name: "grid" | "zip"): Axis[] {
  const axes = data[name] ?? {};
  if (!isObject(axes)) throw new ArgumentError(where([name]), name, "settings with lists of values", quoteValue(axes));
  return Object.entries(axes).map(([key, list]) => {
    const at = (): string => where([name, key]);
    if (key === "seed") throw new ArgumentError(at(), key, 'seeds under "seeds"', `them under "${name}"`);
    // An unknown name is reported before a wrong value.
    const values = (Array.isArray(list) ? list : [list]).map((value) => settingsOf({ [key]: value }, at));
    if (!Array.isArray(list) || list.length === 0) {
      throw new ArgumentError(at(), key, "a list of at least one value", quoteValue(list));
    }
    if (new Set(list.map((value) => JSON.stringify(value))).size < list.length) {
      throw new ArgumentError(at(), key, "values that differ", quoteValue(list));
    }
    return { key, values };
  });
}

function checkAxes({ where }: YamlFile, grid: readonly Axis[], zip: readonly Axis[]): void {
  const twice = zip.find(({ key }) => grid.some((axis) => axis.key === key));
  if (twice)
    throw new ArgumentError(where(["zip", twice.key]), twice.key, "a setting under grid or zip", "it under both");
  const length = zip[0]?.values.length;
  const odd = zip.find(({ values }) => values.length !== length);
  if (odd) {
    const expected = `${length} values, as ${zip[0]!.key} has`;
    throw new ArgumentError(where(["zip", odd.key]), odd.key, expected, `${odd.values.length}`);
  }
}

function isWhole(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}
