// A parameter on a device: its buffers, and the programs that restore its constraint, keep copies of its value up to date and sum the
// gradients of what shares it.

import { Graph } from "../../autodiff/graph.ts";
import { type GuardNames, lower } from "../../autodiff/lower.ts";
import type { Backend, Bindable, DeviceBuffer, DeviceSparse } from "../../backend/backend.ts";
import { Desk } from "../../backend/desk.ts";
import type { Program } from "../../backend/program.ts";
import { orRelease } from "../../core/release.ts";
import type { Constraint } from "../constraint.ts";
import { inDeviceOrder, type Parameter, type ParameterSpec, type SharedValues } from "./parameter.ts";

/** A parameter, and what its owner does with it. */
export interface DeviceParameter extends Parameter {
  readonly constraint: Constraint;
  /** The signs that the constraint "sign" keeps, in device order. */
  readonly signs: Int8Array | null;
  /** Restores the constraint and whatever is derived from the value. */
  refresh(): void;
  /** Sums the gradient over what shares the parameter, where the scalar `complete` is not 0. null: nothing does. */
  readonly fold: ((complete: DeviceBuffer) => void) | null;
  release(): void;
}

/** Drawn values are uploaded in pieces of this many. */
const DRAWN_AT_ONCE = 2 ** 16;

/** Puts a parameter on a device. If that fails, nothing of it stays there. */
export function deviceParameter(backend: Backend, spec: ParameterSpec): DeviceParameter {
  const desk = new Desk(backend, backend.layoutFor(1), spec.name);
  return orRelease(desk, () => make(desk, spec));
}

function make(desk: Desk, spec: ParameterSpec): DeviceParameter {
  const { name, trainable, matrix = null, shared = null } = spec;
  const { constraint = "none", values } = "draw" in spec ? { values: [] } : spec;
  const sparse = matrix && desk.own(desk.backend.sparse(name, matrix));
  const holdsMatrix = sparse !== null && shared === null;
  const value = holdsMatrix ? sparse.valuesCsc : vectorOf(desk, spec);
  const fileOrder = holdsMatrix ? sparse.cscOfCsrHost : null;
  // The refresh before the first use copies them to the other order.
  if (holdsMatrix && values !== matrix?.values) desk.backend.upload(value, inDeviceOrder(values, { fileOrder }));
  const grad = trainable ? desk.vector(`${name} gradient`, value.length) : null;
  const initial = constraint === "sign" ? inDeviceOrder(values, { fileOrder }) : null;
  const signs = initial && Int8Array.from(initial, Math.sign);
  const spread = shared && spreadOf(desk, value, grad, shared, sparse);
  const refresh = [constrain(desk, value, constraint, signs), spread?.refresh, sparse && copyToCsr(desk, sparse)];
  return {
    name,
    role: spec.role ?? "other",
    of: spec.of ?? (holdsMatrix ? "connections" : "elements"),
    leaf: spec.leaf ?? name,
    size: value.length,
    shape: spec.shape ?? [value.length],
    trainable,
    value,
    grad,
    fileOrder,
    bindable: sparse ?? spread?.values ?? value,
    gradTarget: spread ? spread.gradient : grad,
    sparse,
    matrix,
    shared,
    constraint,
    signs,
    refresh: () => {
      for (const run of refresh) run?.();
    },
    fold: spread?.fold ?? null,
    release: () => desk.release(),
  };
}

function vectorOf(desk: Desk, spec: ParameterSpec): DeviceBuffer {
  const { backend } = desk;
  if (!("draw" in spec)) {
    const value = desk.vector(spec.name, spec.values.length);
    backend.upload(value, spec.values);
    return value;
  }
  const { name, size, draw } = spec;
  const value = desk.vector(name, size);
  for (let at = 0; at < size; at += DRAWN_AT_ONCE) {
    const piece = new Float32Array(Math.min(DRAWN_AT_ONCE, size - at));
    for (let i = 0; i < piece.length; i++) piece[i] = draw();
    backend.upload(value, piece, at);
  }
  return value;
}

/** A program that restores the constraint; null: there is nothing to restore. */
function constrain(
  desk: Desk,
  value: DeviceBuffer,
  constraint: Constraint,
  signs: Int8Array | null,
): (() => void) | null {
  const size = value.length;
  if (constraint === "none" || size === 0) return null;
  if (constraint !== "sign") {
    const program = minProgram(size, constraint.min);
    return () => desk.run(program, { value });
  }
  const sign = desk.vector(`${value.label} sign`, size);
  desk.backend.upload(sign, signs!);
  const program = signProgram(size);
  return () => desk.run(program, { value, sign });
}

/** A value in the form that programs see, element by element, and its gradient in that form. */
interface Spread {
  readonly values: Bindable;
  readonly gradient: DeviceBuffer | null;
  readonly refresh: (() => void) | null;
  readonly fold: DeviceParameter["fold"];
}

function spreadOf(
  desk: Desk,
  value: DeviceBuffer,
  grad: DeviceBuffer | null,
  { by, factor }: SharedValues,
  sparse: DeviceSparse | null,
): Spread {
  const { backend } = desk;
  const { label: name, length: size } = value;
  const n = by.length;
  const fileOrder = sparse?.cscOfCsrHost ?? null;
  const elements = (part: string, values: ArrayLike<number>, type: "float" | "u32") => {
    const buffer = desk.vector(`${name} ${part}`, values.length, type);
    backend.upload(buffer, values);
    return buffer;
  };
  const spread = sparse?.valuesCsc ?? desk.vector(`${name} spread`, n);
  const gradient = grad && desk.vector(`${name} spread gradient`, n);
  if (n === 0) return { values: spread, gradient, refresh: null, fold: null };
  const groups = Uint32Array.from(inDeviceOrder(by, { fileOrder }));
  const index = elements("index", groups, "u32");
  const magnitude = factor && elements("factor", inDeviceOrder(factor, { fileOrder }), "float");
  const program = spreadProgram(size, n, magnitude !== null);
  const refresh = () => desk.run(program, { value, index, spread, magnitude });
  if (!gradient) return { values: spread, gradient, refresh, fold: null };
  const { offsets, members } = segments(groups, size);
  const operands = {
    ct: gradient,
    grad,
    magnitude,
    offsets: elements("offsets", offsets, "u32"),
    members: elements("members", members, "u32"),
  };
  const programs = [foldProgram(size, n, magnitude !== null), clearProgram(n)];
  const fold = (complete: DeviceBuffer) => {
    // Solves have scalars of their own, which go with them: programs on them are kept for some rounds only.
    desk.nextRound();
    for (const part of programs) desk.run(part, { ...operands, complete });
  };
  return { values: spread, gradient, refresh, fold };
}

function copyToCsr(desk: Desk, { nnz, valuesCsc: csc, valuesCsr: csr, cscOfCsr }: DeviceSparse): (() => void) | null {
  if (nnz === 0) return null;
  const program = csrCopyProgram(nnz);
  return () => desk.run(program, { csc, csr, cscOfCsr });
}

/** The members of each segment 0 … n − 1 of `by`, in order. */
function segments(by: ArrayLike<number>, n: number): { offsets: Uint32Array; members: Uint32Array } {
  const offsets = new Uint32Array(n + 1);
  for (let i = 0; i < by.length; i++) offsets[by[i]! + 1]!++;
  for (let s = 0; s < n; s++) offsets[s + 1]! += offsets[s]!;
  const next = offsets.slice(0, n);
  const members = new Uint32Array(by.length);
  for (let i = 0; i < by.length; i++) members[next[by[i]!]!++] = i;
  return { offsets, members };
}

function minProgram(size: number, min: number): Program {
  const g = new Graph();
  const value = g.row("value", size);
  g.store("value", g.ops.select(g.ops.lt(value, min), min, value));
  return lower(g, "constrain.min", "parameters");
}

function signProgram(size: number): Program {
  const g = new Graph();
  const value = g.row("value", size);
  g.store("value", g.ops.select(g.ops.lt(g.ops.mul(value, g.row("sign", size)), 0), 0, value));
  return lower(g, "constrain.sign", "parameters");
}

/** spread[i] = value[index[i]], times magnitude[i] for shared weights. */
function spreadProgram(size: number, n: number, weighted: boolean): Program {
  const g = new Graph();
  const spread = g.gather(g.row("value", size), "index", n);
  g.store("spread", weighted ? g.ops.mul(g.row("magnitude", n), spread) : spread);
  return lower(g, "spread", "parameters");
}

const WHEN_COMPLETE: GuardNames = { scalars: ["complete"], skips: "everything" };

function clearProgram(n: number): Program {
  const g = new Graph();
  g.store("ct", g.ops.constant(0), { as: { kind: "row", rows: n } });
  return lower(g, "spread.clear", "parameters", WHEN_COMPLETE);
}

/** The transpose of `spreadProgram`: grad[s] += Σ of the cotangents (times magnitude) of what shares value s. */
function foldProgram(size: number, n: number, weighted: boolean): Program {
  const g = new Graph();
  const ct = g.row("ct", n);
  const summed = g.segmentSum(weighted ? g.ops.mul(g.row("magnitude", n), ct) : ct, "offsets", "members", size);
  g.store("grad", summed, { accumulate: true });
  return lower(g, "spread.reverse", "parameters", WHEN_COMPLETE);
}

function csrCopyProgram(nnz: number): Program {
  const g = new Graph();
  g.store("csr", g.gather(g.row("csc", nnz), "cscOfCsr", nnz));
  return lower(g, "csr.copy", "parameters");
}
