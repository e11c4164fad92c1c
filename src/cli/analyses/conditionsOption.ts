// The option --conditions: what samples are grouped by.

import {
  type Conditions,
  conditionsByClass,
  conditionsByNumber,
  conditionsByTarget,
  conditionsByText,
  oneCondition,
} from "../../analysis/conditions.ts";
import { ArgumentError, FileFormatError, ShapeError } from "../../core/errors.ts";
import { plural, quoteText } from "../../core/text.ts";
import type { SampleSet } from "../../data/sampleSet.ts";
import { readNpy } from "../../io/npy.ts";
import { isTableName, openTable } from "../../io/openTable.ts";
import { numberOf } from "../../run/settingTypes.ts";

/** Bins of a target, unless `--bins` gives another number. */
export const DEFAULT_BINS = 8;

const WHERE = "responses";
const FORMS = "classes, none, target:K, FILE.npy, or a table like FILE.csv or FILE.csv:COLUMN";

/**
 * Reads conditions by their text: `classes`, `none`, `target:K`, `FILE.npy` or `FILE.csv:COLUMN`. Without it, those of the classes where each
 * sample has one, else none.
 *
 * @throws {ArgumentError | ShapeError | FileFormatError} another form, samples without classes, a file with another number of rows than samples,
 *   bins without numbers
 */
export async function readConditions(
  text: string | undefined,
  bins: number | undefined,
  set: SampleSet,
  signal: AbortSignal,
): Promise<Conditions> {
  const target = /^target:(.*)$/.exec(text ?? "");
  if (target) return conditionsByTarget(set, targetNumber(target[1]!), bins ?? DEFAULT_BINS, signal);
  if (text === undefined || text === "none" || text === "classes") {
    refuseBins(bins, text ?? "classes");
    const classes = text === "none" ? null : await conditionsByClass(set, signal);
    if (text === "classes" && !classes)
      throw new ArgumentError(WHERE, "--conditions", "samples with one class each", "samples without");
    return classes ?? oneCondition(set.count);
  }
  if (text.endsWith(".npy")) return conditionsByNumber(await numbersIn(text, set.count), "value", bins ?? null);
  return tableConditions(text, bins, set.count, signal);
}

function targetNumber(text: string): number {
  const number = numberOf(text);
  if (typeof number === "number") return number;
  throw new ArgumentError(
    WHERE,
    "--conditions",
    "target:K, the number of a target from 0",
    quoteText(`target:${text}`),
  );
}

function refuseBins(bins: number | undefined, what: string): void {
  if (bins === undefined) return;
  throw new ArgumentError(WHERE, "--bins", "conditions that are numbers (--conditions target:K, or a file)", what);
}

async function numbersIn(file: string, samples: number): Promise<Float64Array> {
  const { shape, data } = await readNpy(file);
  if (shape.length !== 1 || shape[0] !== samples)
    throw new ShapeError(WHERE, file, `[${samples}], a number per sample`, `[${shape.join(", ")}]`);
  return Float64Array.from(data, Number);
}

async function tableConditions(
  text: string,
  bins: number | undefined,
  samples: number,
  signal: AbortSignal,
): Promise<Conditions> {
  const at = text.lastIndexOf(":");
  const [file, named] =
    at > 0 && isTableName(text.slice(0, at)) ? [text.slice(0, at), text.slice(at + 1)] : [text, null];
  if (!isTableName(file)) throw new ArgumentError(WHERE, "--conditions", FORMS, quoteText(text));
  const { column, cells } = await columnIn(file, named, signal);
  if (cells.length !== samples) {
    const got = plural(cells.length, "row");
    throw new ShapeError(WHERE, file, `${plural(samples, "row")} below the names of its columns, one per sample`, got);
  }
  const numbers = cells.map((cell) => (cell.trim() === "" ? Number.NaN : numberOf(cell.trim())));
  if (numbers.every((x) => typeof x === "number")) return conditionsByNumber(numbers, column, bins ?? null);
  refuseBins(bins, `texts in ${file}`);
  return conditionsByText(cells, column);
}

/** @throws {FileFormatError} several columns, none of which is named */
async function columnIn(
  file: string,
  named: string | null,
  signal: AbortSignal,
): Promise<{ readonly column: string; readonly cells: readonly string[] }> {
  const table = await openTable(file);
  try {
    const names = table.columns.map(({ name }) => name);
    if (named === null && names.length !== 1) {
      const expected = `one column, or the name of one: ${file}:${names[0] ?? "COLUMN"}`;
      throw new FileFormatError(file, expected, `${plural(names.length, "column")}: ${names.join(", ")}`);
    }
    const column = named ?? names[0]!;
    const cells: string[] = [];
    await table.read(
      [{ name: column, as: "text" }],
      ({ count, cells: [own] }) => {
        if (own?.as === "text") for (let r = 0; r < count; r++) cells.push(own.values[own.valueIdx[r]!]!);
        return true;
      },
      { signal },
    );
    return { column, cells };
  } finally {
    await table.close();
  }
}
