// Reference values: a folder with `index.json` (cases with their options) and one .npz of arrays per case. The folder's own
// README states the format and its conventions; this file turns it into typed cases and knows no model.

import { readFile } from "node:fs/promises";
import { basename, join } from "node:path";
import type { DType } from "../../src/core/dtype.ts";
import { FileFormatError } from "../../src/core/errors.ts";
import type { NpyArray } from "../../src/io/npy.ts";
import { openNpz } from "../../src/io/npz.ts";

const FORMAT = 1;

/** One case of an index: what was computed, and how closely it can be reproduced. */
export interface GoldenCase {
  readonly name: string;
  readonly kind: string;
  readonly file: string;
  readonly options: CaseOptions;
  /** Shapes of the arrays in the file, by their full names. */
  readonly shapes: ReadonlyMap<string, readonly number[]>;
  /** By run precision and output: the largest relative change under a rounding-sized change of the inputs. */
  readonly sensitivity: Readonly<Record<DType, ReadonlyMap<string, number>>>;
  /**
   * By run precision: false where rounding-sized changes of the inputs change the steps taken; in f32 also where they differ from those
   * taken in f64.
   */
  readonly stepCountsHold: Readonly<Record<DType, boolean>>;
}

/** The options of the format that say what is computed; those that only say how inputs were drawn are left out. */
export interface CaseOptions {
  /** One name (null: the identity) or a list of one per neuron type. */
  readonly act: string | null | readonly (string | null)[];
  readonly tauPerType: boolean;
  readonly batchFirst: boolean;
  readonly trainsHh: boolean;
  readonly trainsIh: boolean;
  readonly trainsTau: boolean;
  readonly numEvals: number;
  readonly startTime: number;
  readonly endTime: number;
  readonly lossAllTimesteps: boolean;
  /** Steps of a discrete model with constant input. */
  readonly numSteps: number | null;
  readonly training: TrainingOptions | null;
  readonly solver: SolverCaseOptions;
}

export interface TrainingOptions {
  readonly steps: number;
  readonly optimizer: string;
  readonly lr: number;
  readonly betas: readonly [number, number];
  readonly eps: number;
  readonly weightDecay: number;
  readonly momentum: number;
  readonly dampening: number;
  readonly nesterov: boolean;
  readonly clipNorm: number | null;
  /** Arguments of the optimiser that are not known here. */
  readonly unknown: readonly string[];
}

export interface SolverCaseOptions {
  readonly method: string;
  readonly controller: {
    readonly type: string;
    readonly atol: number;
    readonly rtol: number;
    readonly norm: string;
    readonly safety: number;
    readonly factorMin: number;
    readonly factorMax: number;
    readonly dtMin: number | null;
    readonly dtMax: number | null;
    readonly pCoeff: number;
    readonly iCoeff: number;
    readonly dCoeff: number;
  };
  /** Gradients through the step-size control. */
  readonly throughStepSizeControl: boolean;
  readonly dt0: number | readonly number[] | null;
  /** Shared by all samples, or one list per sample; null: one output at `tEnd`. */
  readonly tEval: readonly number[] | readonly (readonly number[])[] | null;
  readonly tStart: readonly number[] | null;
  readonly tEnd: readonly number[] | null;
  /** Interval that a sequence input is spread over. */
  readonly start: number;
  readonly end: number;
  readonly maxSteps: number | null;
  /** The reference's solve stops before its end. */
  readonly fails: boolean;
  /** The right-hand side is NaN for this sample after this time. */
  readonly nanAfter: readonly [sample: number, time: number] | null;
}

/** The arrays of a case in one precision. */
export interface CaseArrays {
  /** `in_*` without the prefix. */
  readonly inputs: ReadonlyMap<string, NpyArray>;
  /** `f64_*` or `f32_*` without the prefix. */
  readonly references: ReadonlyMap<string, NpyArray>;
}

/**
 * Reads the index of a folder.
 * @throws {FileFormatError} missing, not JSON, another format, an option of the wrong type
 */
export async function readGoldens(folder: string): Promise<GoldenCase[]> {
  const path = join(folder, "index.json");
  const index = new Fields(path, parseJson(path, await readText(path)));
  if (index.number("format") !== FORMAT) throw index.error("format", `${FORMAT}`);
  return index.list("cases").map((value, i) => readCase(folder, new Fields(`${path}, case ${i}`, value)));
}

/** Reads what a run in one precision needs: inputs and references. */
export async function readCaseArrays(golden: GoldenCase, dtype: DType): Promise<CaseArrays> {
  const npz = await openNpz(golden.file);
  try {
    const select = async (prefix: string): Promise<Map<string, NpyArray>> => {
      const arrays = new Map<string, NpyArray>();
      for (const [name, shape] of golden.shapes) {
        if (!name.startsWith(prefix)) continue;
        const array = await npz.read(name);
        if (array.shape.join() !== shape.join()) {
          throw new FileFormatError(golden.file, `${name} of shape [${shape}], as in the index`, `[${array.shape}]`);
        }
        arrays.set(name.slice(prefix.length), inCOrder(array));
      }
      return arrays;
    };
    return { inputs: await select("in_"), references: await select(`${dtype}_`) };
  } finally {
    npz.close();
  }
}

/** The array with the last index fastest, whatever order NumPy wrote it in. */
function inCOrder(array: NpyArray): NpyArray {
  if (!array.fortranOrder) return array;
  const { shape, data } = array;
  const cOrder = data.slice();
  for (let i = 0; i < data.length; i++) {
    let rest = i;
    let at = 0;
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      const size = shape[axis]!;
      const below = shape.slice(0, axis).reduce((product, n) => product * n, 1);
      at += (rest % size) * below;
      rest = Math.floor(rest / size);
    }
    cOrder[i] = data[at]!;
  }
  return { ...array, fortranOrder: false, data: cOrder };
}

async function readText(path: string): Promise<string> {
  try {
    return await readFile(path, "utf8");
  } catch {
    throw new FileFormatError(path, "the index of a folder of reference values", "no such file");
  }
}

/** JSON as Python writes it, with NaN, which becomes null, and Infinity, which stays, outside of strings. */
function parseJson(path: string, text: string): unknown {
  try {
    return JSON.parse(text.replace(/"(?:[^"\\]|\\.)*"|NaN|Infinity/g, (s) => WORDS[s] ?? s));
  } catch (error) {
    throw new FileFormatError(path, "JSON", error instanceof Error ? error.message : String(error));
  }
}

/** 1 among the sensitivities where a rounding-sized change of the inputs moves any count. */
const COUNTS_CHANGED = "_step_counts_changed";

const WORDS: Readonly<Record<string, string>> = { NaN: "null", Infinity: "1e999" };

function readCase(folder: string, c: Fields): GoldenCase {
  const file = c.string("file");
  if (file !== basename(file)) throw c.error("file", "the name of a file in this folder");
  const arrays = c.object("arrays");
  const shapes = new Map(arrays.keys().map((name) => [name, numbers(arrays, `${name}.shape`, arrays.list(name)[1])]));
  const sensitivity = c.object("sensitivity");
  const countsHold = (dtype: DType) => sensitivity.object(dtype).number(COUNTS_CHANGED, 0) === 0;
  const sensitivityOf = (dtype: DType): Map<string, number> => {
    const fields = sensitivity.object(dtype);
    const outputs = fields.keys().filter((name) => name !== COUNTS_CHANGED);
    return new Map(outputs.map((name) => [name, fields.number(name, 0)]));
  };
  return {
    name: c.string("name"),
    kind: c.string("kind"),
    file: join(folder, file),
    options: readOptions(c),
    shapes,
    sensitivity: { f64: sensitivityOf("f64"), f32: sensitivityOf("f32") },
    stepCountsHold: {
      f64: countsHold("f64"),
      f32: countsHold("f32") && c.boolean("step_counts_equal_in_f32_and_f64", false),
    },
  };
}

function readOptions(c: Fields): CaseOptions {
  const forward = c.object("forward");
  return {
    act: readAct(c),
    tauPerType: c.string("tau_mode", "per_neuron") === "per_neuron_type",
    batchFirst: c.boolean("batch_first", true),
    trainsHh: c.boolean("train_hh", true),
    trainsIh: c.boolean("train_ih", true),
    trainsTau: c.boolean("train_tau", true),
    numEvals: forward.number("num_evals", 2),
    startTime: forward.number("start_time", 0),
    endTime: forward.number("end_time", 1),
    lossAllTimesteps: forward.boolean("loss_all_timesteps", false),
    numSteps: forward.has("num_steps") ? forward.number("num_steps") : null,
    training: c.has("optimizer") ? readTraining(c) : null,
    solver: readSolver(c),
  };
}

function readAct(c: Fields): CaseOptions["act"] {
  if (!c.has("act")) return "Sigmoid";
  const one = (value: unknown): string | null => {
    if (value === null || typeof value === "string") return value;
    throw c.error("act", "a name, null, or a list of these");
  };
  const act = c.get("act");
  return Array.isArray(act) ? act.map(one) : one(act);
}

const OPTIMIZER_ARGUMENTS: readonly string[] = [
  "type",
  "lr",
  "betas",
  "eps",
  "weight_decay",
  "momentum",
  "dampening",
  "nesterov",
];

function readTraining(c: Fields): TrainingOptions {
  const optimizer = c.object("optimizer");
  const betas = optimizer.has("betas") ? numbers(optimizer, "betas", optimizer.get("betas")) : [0.9, 0.999];
  return {
    steps: c.number("steps"),
    optimizer: optimizer.string("type"),
    lr: optimizer.number("lr"),
    betas: [betas[0]!, betas[1]!],
    eps: optimizer.number("eps", 1e-8),
    weightDecay: optimizer.number("weight_decay", optimizer.string("type") === "AdamW" ? 0.01 : 0),
    momentum: optimizer.number("momentum", 0),
    dampening: optimizer.number("dampening", 0),
    nesterov: optimizer.boolean("nesterov", false),
    unknown: optimizer.keys().filter((key) => !OPTIMIZER_ARGUMENTS.includes(key)),
    clipNorm: c.has("clip_norm") ? c.number("clip_norm") : null,
  };
}

function readSolver(c: Fields): SolverCaseOptions {
  const controller = c.object("controller");
  const times = (name: string): number[] | null => (c.has(name) ? numbers(c, name, c.get(name)) : null);
  const nested = c.has("t_eval") && Array.isArray(c.list("t_eval")[0]);
  const dt0 = c.has("dt0") ? c.get("dt0") : null;
  return {
    method: c.string("method", "dopri5"),
    controller: {
      type: controller.string("type", "integral"),
      atol: controller.number("atol", 1e-6),
      rtol: controller.number("rtol", 1e-3),
      norm: controller.string("norm", "rms"),
      safety: controller.number("safety", 0.9),
      factorMin: controller.number("factor_min", 0.2),
      factorMax: controller.number("factor_max", 10),
      dtMin: controller.has("dt_min") ? controller.number("dt_min") : null,
      dtMax: controller.has("dt_max") ? controller.number("dt_max") : null,
      pCoeff: controller.number("pcoeff", 0),
      iCoeff: controller.number("icoeff", 1),
      dCoeff: controller.number("dcoeff", 0),
    },
    throughStepSizeControl: c.boolean("bptss", true),
    dt0: dt0 === null || typeof dt0 === "number" ? dt0 : numbers(c, "dt0", dt0),
    tEval: nested ? c.list("t_eval").map((row) => numbers(c, "t_eval", row)) : times("t_eval"),
    tStart: times("t_start"),
    tEnd: times("t_end"),
    start: c.number("start", 0),
    end: c.number("end", 1),
    maxSteps: c.has("max_steps") ? c.number("max_steps") : null,
    fails: c.boolean("fails", false),
    nanAfter: c.has("nan_after") ? pair(numbers(c, "nan_after", c.get("nan_after"))) : null,
  };
}

function pair(values: readonly number[]): [number, number] {
  return [values[0]!, values[1]!];
}

function numbers(c: Fields, name: string, value: unknown): number[] {
  if (Array.isArray(value) && value.every((x) => typeof x === "number")) return value;
  throw c.error(name, "a list of numbers");
}

/** A JSON object whose fields are checked as they are asked for. */
class Fields {
  readonly #where: string;
  readonly #fields: Readonly<Record<string, unknown>>;

  constructor(where: string, value: unknown) {
    this.#where = where;
    if (typeof value !== "object" || value === null || Array.isArray(value)) {
      throw new FileFormatError(where, "a JSON object", JSON.stringify(value) ?? "nothing");
    }
    this.#fields = value as Record<string, unknown>;
  }

  keys(): string[] {
    return Object.keys(this.#fields);
  }

  has(name: string): boolean {
    return Object.hasOwn(this.#fields, name);
  }

  get(name: string): unknown {
    return this.has(name) ? this.#fields[name] : undefined;
  }

  number(name: string, fallback?: number): number {
    const value = this.get(name) ?? fallback;
    if (typeof value !== "number") throw this.error(name, "a number");
    return value;
  }

  string(name: string, fallback?: string): string {
    const value = this.get(name) ?? fallback;
    if (typeof value !== "string") throw this.error(name, "a string");
    return value;
  }

  boolean(name: string, fallback: boolean): boolean {
    const value = this.get(name) ?? fallback;
    if (typeof value !== "boolean") throw this.error(name, "true or false");
    return value;
  }

  list(name: string): unknown[] {
    const value = this.get(name);
    if (!Array.isArray(value)) throw this.error(name, "a list");
    return value;
  }

  /** An absent object is an empty one. */
  object(name: string): Fields {
    return new Fields(`${this.#where}, ${name}`, this.get(name) ?? {});
  }

  error(name: string, expected: string): FileFormatError {
    return new FileFormatError(`${this.#where}, ${name}`, expected, JSON.stringify(this.get(name)) ?? "nothing");
  }
}
