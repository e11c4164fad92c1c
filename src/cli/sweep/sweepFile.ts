// Sweep files: one base configuration, the settings that vary, and the seeds. YAML or JSON.

import { ArgumentError, FileFormatError, nearestName } from "../../core/errors.ts";
import { readConfigFile } from "../configFile.ts";
import { type Settings, settingsOf } from "../configLayers.ts";
import { isObject } from "../kinds.ts";
import { readYaml, type YamlFile } from "../yamlFile.ts";

/** The keys of a sweep file. */
export const SWEEP_KEYS = ["base", "seeds", "grid", "zip"] as const;

/** Values of one setting. */
export interface Axis {
  readonly key: string;
  readonly values: readonly Settings[];
}

/** What a sweep file says. */
export interface Sweep {
  readonly base: Settings;
  /** null: the seed of the base. */
  readonly seeds: readonly number[] | null;
  /** Every combination of these is run. */
  readonly grid: readonly Axis[];
  /** Axes of equal length that go together: first values, second values, … */
  readonly zip: readonly Axis[];
}

/**
 * @throws {FileFormatError} missing, or neither YAML nor JSON
 * @throws {ArgumentError} an unknown key, a wrong value, or axes that contradict each other, with file and line
 */
export async function readSweepFile(file: string): Promise<Sweep> {
  const yaml = await readYaml(file, "a sweep file");
  for (const key of Object.keys(yaml.data)) checkKey(yaml, key);
  const base = await baseOf(yaml);
  const [grid, zip] = [axesOf(yaml, "grid"), axesOf(yaml, "zip")];
  checkAxes(yaml, grid, zip);
  return { base, seeds: seedsOf(yaml, base), grid, zip };
}

function checkKey({ where }: YamlFile, key: string): void {
  if ((SWEEP_KEYS as readonly string[]).includes(key)) return;
  const near = nearestName(key, SWEEP_KEYS);
  const hint = near ? `, did you mean "${near}"?` : "; settings of all runs go below base";
  throw new ArgumentError(where([key]), key, `one of ${SWEEP_KEYS.join(", ")}`, `"${key}"${hint}`);
}

/** Settings, or the name of a configuration file that has them. */
async function baseOf({ data, where }: YamlFile): Promise<Settings> {
  const { base = {} } = data;
  if (typeof base === "string") return readConfigFile(base);
  if (!isObject(base)) throw new FileFormatError(where(["base"]), "settings, or the name of a file", quoted(base));
  return settingsOf(base, (key) => where(["base", key]));
}

function seedsOf({ data, where }: YamlFile, base: Settings): number[] | null {
  const { seeds } = data;
  if (seeds === undefined) return null;
  const wrong = (expected: string): never => {
    throw new ArgumentError(where(["seeds"]), "seeds", expected, quoted(seeds));
  };
  if ("seed" in base) wrong("no seeds where base has a seed, or no seed there");
  const list = typeof seeds === "number" && isWhole(seeds) ? Array.from({ length: seeds }, (_, k) => k) : seeds;
  if (!Array.isArray(list) || list.length === 0 || !list.every(isWhole)) {
    return wrong("how many seeds, or a list of whole numbers of at least 0");
  }
  if (new Set(list).size < list.length) wrong("seeds that differ");
  return list;
}

function axesOf({ data, where }: YamlFile, name: "grid" | "zip"): Axis[] {
  const axes = data[name] ?? {};
  if (!isObject(axes)) throw new ArgumentError(where([name]), name, "settings with lists of values", quoted(axes));
  return Object.entries(axes).map(([key, list]) => {
    const at = (): string => where([name, key]);
    if (key === "seed") throw new ArgumentError(at(), key, 'seeds under "seeds"', `them under "${name}"`);
    // An unknown name is told before what its values should be.
    const values = (Array.isArray(list) ? list : [list]).map((value) => settingsOf({ [key]: value }, at));
    if (!Array.isArray(list) || list.length === 0) {
      throw new ArgumentError(at(), key, "a list of at least one value", quoted(list));
    }
    if (new Set(list.map(quoted)).size < list.length) {
      throw new ArgumentError(at(), key, "values that differ", quoted(list));
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

function quoted(value: unknown): string {
  return JSON.stringify(value);
}
