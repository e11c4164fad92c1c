// Tables of neurons beside a connectome: cell type, role, sign and place in the visual field, read from CSV.

import { FileFormatError } from "../core/errors.ts";
import { readBytes } from "./files.ts";

/** Whether a neuron gets the input, is read out, or neither. */
export type NeuronRole = "input" | "hidden" | "output";

/** What is known of the neurons of a network, in the order of its rows. */
export interface NeuronTable {
  /** How many neurons. */
  readonly count: number;
  /** Names of the cell types. */
  readonly types: readonly string[];
  /** [count], index into `types`. */
  readonly typeIdx: Uint8Array;
  /** [count] */
  readonly role: readonly NeuronRole[];
  /** [count], +1 excitatory, −1 inhibitory, 0 both or unknown. */
  readonly sign: Int8Array;
  /** [count], place in the visual field from 0 (left) to 1 (right). */
  readonly x: Float64Array;
  /** [count], from 0 (top) to 1 (bottom). */
  readonly y: Float64Array;
}

const COLUMNS = ["index", "cell_type", "type_index", "u", "v", "role", "sign_class"] as const;
const SIGNS: Readonly<Record<string, number>> = { exc: 1, inh: -1, mixed: 0, none: 0 };
const MAX_TYPES = 256;

/**
 * Reads a table with the columns index, cell_type, type_index, u, v, role, sign_class (any order, others ignored), one line per
 * neuron, `index` counting from 0. The hexagonal column (u, v) lies at x = 1.5 v, y = −√3 (u + v/2); both axes are then scaled
 * to [0, 1].
 *
 * @throws {FileFormatError} missing file or column, a line that does not fit (with its number)
 */
export async function readNeuronTable(file: string): Promise<NeuronTable> {
  const text = new TextDecoder().decode(await readBytes(file, "a table of neurons (CSV)"));
  const [header = "", ...lines] = text.trimEnd().split(/\r?\n/);
  const names = header.split(",");
  const missing = COLUMNS.filter((column) => !names.includes(column));
  if (missing.length > 0)
    throw new FileFormatError(file, `columns ${COLUMNS.join(", ")}`, `no ${missing.join(", no ")}`);
  const place = COLUMNS.map((column) => names.indexOf(column));

  const count = lines.length;
  const types: string[] = [];
  const typeIdx = new Uint8Array(count);
  const role: NeuronRole[] = [];
  const sign = new Int8Array(count);
  const x = new Float64Array(count);
  const y = new Float64Array(count);
  lines.forEach((line, i) => {
    const cells = line.split(",");
    const bad = (expected: string, got: string): FileFormatError =>
      new FileFormatError(`${file}:${i + 2}`, expected, got);
    if (cells.length !== names.length) throw bad(`${names.length} cells`, `${cells.length}`);
    const [index, type, typeIndex, u, v, roleName, signName] = place.map((at) => cells[at]!) as [
      string,
      string,
      string,
      string,
      string,
      string,
      string,
    ];
    if (Number(index) !== i) throw bad(`index ${i}`, index);
    const t = Number(typeIndex);
    if (!Number.isInteger(t) || t < 0 || t >= MAX_TYPES)
      throw bad(`a type_index from 0 to ${MAX_TYPES - 1}`, typeIndex);
    if (types[t] !== undefined && types[t] !== type) throw bad(`cell type ${types[t]} for type_index ${t}`, type);
    types[t] = type;
    typeIdx[i] = t;
    if (!isRole(roleName)) throw bad("role input, hidden or output", JSON.stringify(roleName));
    role.push(roleName);
    const s = SIGNS[signName];
    if (s === undefined) throw bad(`sign_class ${Object.keys(SIGNS).join(", ")}`, JSON.stringify(signName));
    sign[i] = s;
    if (u === "" || v === "" || !Number.isFinite(Number(u)) || !Number.isFinite(Number(v))) {
      throw bad("numbers u and v", `${u}, ${v}`);
    }
    x[i] = 1.5 * Number(v);
    y[i] = -Math.sqrt(3) * (Number(u) + Number(v) / 2);
  });
  for (let t = 0; t < types.length; t++) types[t] ??= "";
  toUnitInterval(x);
  toUnitInterval(y);
  return { count, types, typeIdx, role, sign, x, y };
}

function isRole(name: string): name is NeuronRole {
  return name === "input" || name === "hidden" || name === "output";
}

/** Maps the range of the values to [0, 1] in place; all equal ones to the middle. */
function toUnitInterval(values: Float64Array): void {
  const low = values.reduce((a, b) => Math.min(a, b), Number.POSITIVE_INFINITY);
  const high = values.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
  for (let i = 0; i < values.length; i++) values[i] = high > low ? (values[i]! - low) / (high - low) : 0.5;
}
