// Parameters and their facts: role in a model, the elements that have a value, shape and order in files, buffers on the device.

import type { Bindable, DeviceBuffer, DeviceSparse } from "../../backend/backend.ts";
import type { Csr } from "../../core/csr.ts";
import type { FloatArray } from "../../core/dtype.ts";
import type { Constraint } from "../constraint.ts";

export const PARAMETER_ROLES = ["weights", "biases", "time constants", "input", "output", "read-out", "other"] as const;

/** The part of a model that a parameter belongs to. "other": a parameter of a model that axograd does not know. */
export type ParameterRole = (typeof PARAMETER_ROLES)[number];

/** The elements of a model that have one value each. A dense matrix has all connections. */
export type ParameterElement =
  | "connections"
  | "groups of connections"
  | "neurons"
  | "neuron types"
  | "outputs"
  | "units"
  | "elements";

/** Values that several elements share: element i of the network has factor[i] · value[by[i]]. */
export interface SharedValues {
  /** The value of each element, in the order of files. */
  readonly by: ArrayLike<number>;
  /** null: 1. */
  readonly factor: ArrayLike<number> | null;
  /**
   * Names in a state dictionary where torch-biopl does not share: of the values themselves, and of what every element has. null: it
   * shares as well.
   */
  readonly dictionary: { readonly own: string; readonly spread: string } | null;
}

/** A parameter before it is on a device. */
export type ParameterSpec = ParameterFacts & (GivenValues | DrawnValues);

/** A parameter without its values. */
export interface ParameterFacts {
  readonly name: string;
  /** Default "other". */
  readonly role?: ParameterRole;
  /** Default "elements"; of a sparse matrix "connections". */
  readonly of?: ParameterElement;
  /** Its name as a leaf of graphs; default `name`. */
  readonly leaf?: string;
  /** torch's shape; default a vector. */
  readonly shape?: readonly number[];
  readonly trainable: boolean;
  /** The sparse matrix whose stored values it has, or (with `shared`) the factors of its stored values. */
  readonly matrix?: Csr;
  readonly shared?: SharedValues;
}

/** Values in the order of files, and their constraint (default "none"). Those of `matrix` count only through them. */
export interface GivenValues {
  readonly values: ArrayLike<number>;
  readonly constraint?: Constraint;
}

/** Values that are drawn in the order of files; the host never holds all of them. The host holds those of a sparse matrix. */
export interface DrawnValues {
  readonly matrix?: never;
  readonly size: number;
  readonly draw: () => number;
}

/** A parameter of a model, on the device. */
export interface Parameter {
  readonly name: string;
  readonly role: ParameterRole;
  readonly of: ParameterElement;
  /** Its name as a leaf of graphs; its gradient is bound as `grad.${leaf}`. */
  readonly leaf: string;
  readonly size: number;
  /** In files: torch's shape. */
  readonly shape: readonly number[];
  readonly trainable: boolean;
  /** [size] on the device. */
  readonly value: DeviceBuffer;
  /** [size], same order; null for a frozen parameter. Complete after `foldGradients`. */
  readonly grad: DeviceBuffer | null;
  /** Position on the device of each value in the order of files; null: the same; empty: not known, as on an imagined device. */
  readonly fileOrder: Uint32Array | null;
  /** What programs bind for it: the value, the sparse matrix, or the value spread over what shares it. */
  readonly bindable: Bindable;
  /** Where programs add its gradient: `grad`, or the gradient before it is summed over what shares the parameter. */
  readonly gradTarget: DeviceBuffer | null;
  readonly sparse: DeviceSparse | null;
  /** The sparse matrix (on the host) whose stored values or strengths it has; null: none, or a dense one. */
  readonly matrix: Csr | null;
  /** null: every element has a value of its own. */
  readonly shared: SharedValues | null;
}

/** The name in files for the coordinates of a sparse parameter's values: `rnn.hh.values` → `rnn.hh.indices`. */
export function indicesName({ name }: Pick<Parameter, "name">): string {
  return name.replace(/[^.]*$/, "indices");
}

/** Values in the order of files from those in device order. */
export function inFileOrder(values: FloatArray, { fileOrder }: Pick<Parameter, "fileOrder">): FloatArray {
  return fileOrder?.length ? values.map((_, k) => values[fileOrder[k]!]!) : values;
}

/** The inverse of `inFileOrder`. Numbers of f32 stay such. */
export function inDeviceOrder<T extends ArrayLike<number>>(
  values: T,
  { fileOrder }: Pick<Parameter, "fileOrder">,
): T | FloatArray {
  if (!fileOrder?.length) return values;
  const { length } = values;
  const ordered = values instanceof Float32Array ? new Float32Array(length) : new Float64Array(length);
  for (let k = 0; k < length; k++) ordered[fileOrder[k]!] = values[k]!;
  return ordered;
}

/** Bindings of programs: each parameter under its leaf, its gradient under `grad.` and its leaf. */
export function bindingsOf(parameters: readonly Parameter[]): Record<string, Bindable> {
  const bindings: Record<string, Bindable> = {};
  for (const { leaf, bindable, gradTarget } of parameters) {
    bindings[leaf] = bindable;
    if (gradTarget) bindings[`grad.${leaf}`] = gradTarget;
  }
  return bindings;
}

/** The leaves of the parameters that are trained. */
export function trainedLeaves(parameters: readonly Parameter[]): string[] {
  return parameters.flatMap(({ leaf, trainable }) => (trainable ? [leaf] : []));
}
