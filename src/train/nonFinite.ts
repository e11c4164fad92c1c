// What went wrong when a loss, a gradient or a state is not finite: the parameter, and the rows where it is worst.

import type { FloatArray } from "../core/dtype.ts";
import { EngineError, SolverError } from "../core/errors.ts";
import type { Parameter } from "../models/parameters/parameter.ts";
import type { ParameterSet } from "../models/parameters/parameterSet.ts";

/** Numbers of a training step are not finite; the parameters are those before it. Another batch may do better. */
export class TrainingError extends EngineError {}

/** The parameter whose values or gradients are worst: the first with some that are not finite, else that with the largest. */
export interface Worst {
  readonly parameter: string;
  readonly of: "value" | "gradient";
  /** How many of them are not finite. */
  readonly nonFinite: number;
  readonly size: number;
  /** What its rows are: those of the weights and of the input projection are the receiving neurons. */
  readonly rowsAre: "neurons" | "rows";
  /** Rows of a matrix, elements of a vector, worst first; those that are not finite before all others. */
  readonly rows: readonly { readonly row: number; readonly value: number }[];
}

/** Rows that are named. */
const NAMED = 5;
const ADVICE = "Try a smaller learning rate, a smaller gain, or in continuous time tighter solver tolerances";

/** The worst gradient, or value, of `trained` parameters; default: all that can be trained. */
export async function findWorst(
  of: Worst["of"],
  parameters: ParameterSet,
  trained: readonly Parameter[] = parameters.trainable(),
): Promise<Worst> {
  let found: Worst = { parameter: "none", of, nonFinite: 0, size: 0, rowsAre: "rows", rows: [] };
  for (const parameter of trained) {
    const { name, size } = parameter;
    const values = await (of === "gradient" ? parameters.gradient(name) : parameters.values(name));
    const rowsAre: Worst["rowsAre"] = hasRowsOfNeurons(parameter) ? "neurons" : "rows";
    const sorted = largestOfRows(values, rowsOf(parameter)).sort((a, b) => severity(b.value) - severity(a.value));
    const rows = sorted.slice(0, NAMED);
    const worst = { parameter: name, of, nonFinite: countNonFinite(values), size, rowsAre, rows };
    if (worst.nonFinite > 0) return worst;
    if (found.size === 0 || severity(rows[0]!.value) > severity(found.rows[0]!.value)) found = worst;
  }
  return found;
}

/** The error of a step whose loss or gradients are not finite. */
export function nonFiniteError(step: number, loss: number, worst: Worst): TrainingError {
  const ofLoss = !Number.isFinite(loss);
  const what = ofLoss ? `the loss of step ${step} is ${loss}` : `a gradient of step ${step} is not finite`;
  return stepError(ofLoss ? "non-finite-loss" : "non-finite-gradient", step, what, worst, { loss: `${loss}` });
}

/** The error of a step whose solve came upon numbers that are not finite; other errors stay as they are. */
export async function stateError(step: number, error: unknown, parameters: ParameterSet): Promise<unknown> {
  if (!(error instanceof SolverError) || error.code !== "nonFinite") return error;
  const worst = await findWorst("value", parameters);
  return stepError("non-finite-state", step, `in step ${step}, ${error.message}`, worst, error.facts, error);
}

function stepError(
  code: string,
  step: number,
  what: string,
  worst: Worst,
  facts: Readonly<Record<string, unknown>>,
  cause?: unknown,
): TrainingError {
  const { parameter, of, nonFinite, size, rowsAre, rows } = worst;
  const share = nonFinite > 0 ? `${nonFinite} of ${size} are not finite` : "all are finite";
  const named = rows.map(({ row, value }) => `${row} (${value.toPrecision(3)})`).join(", ");
  return new TrainingError(
    code,
    `training: ${what}; worst ${of}s: ${parameter}, ${share}, at ${rowsAre} ${named}; ` +
      `the parameters are those after step ${step - 1}. ${ADVICE}`,
    { ...facts, step, worst: { ...worst, rows: rows.map((r) => ({ ...r, value: `${r.value}` })) } },
    cause,
  );
}

interface Rows {
  readonly count: number;
  /** The first element of a row; of row `count`: the end. */
  readonly first: (row: number) => number;
}

function rowsOf({ size, shape, of, matrix }: Parameter): Rows {
  if (matrix && of === "connections") return { count: matrix.nRows, first: (row) => matrix.rowPtr[row]! };
  const [count] = shape as [number];
  return { count, first: (row) => (row * size) / count };
}

function hasRowsOfNeurons({ of, role }: Parameter): boolean {
  return of === "neurons" || (of === "connections" && (role === "weights" || role === "input"));
}

/** The worst number of each row. */
function largestOfRows(values: FloatArray, { count, first }: Rows): { row: number; value: number }[] {
  return Array.from({ length: count }, (_, row) => {
    let worst = 0;
    for (let k = first(row); k < first(row + 1); k++) {
      if (severity(values[k]!) > severity(worst)) worst = values[k]!;
    }
    return { row, value: worst };
  });
}

function countNonFinite(values: FloatArray): number {
  let count = 0;
  for (const value of values) if (!Number.isFinite(value)) count++;
  return count;
}

/** |x|, and infinity for what is no number. */
function severity(x: number): number {
  return Number.isNaN(x) ? Number.POSITIVE_INFINITY : Math.abs(x);
}
