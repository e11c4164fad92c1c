// The rules of program.ts that types cannot say. Backends check a program before they compile it, and executors rely on it.

import { BackendError } from "../core/errors.ts";
import { ARITY, accessesOf, closureOf, isWrite, ROLES, valuesOf } from "./instr.ts";
import { rowsOf } from "./layout.ts";
import type { Binding, BindingId, BindingKind, Instr, PanelLayout, Phase, Program, ValueId } from "./program.ts";

/** @throws {BackendError} "program"; message and facts name the program, the phase, the instruction, and the argument */
export function checkProgram(program: Program): void {
  const names = new Set<string>();
  for (const binding of program.bindings) {
    if (names.has(binding.name)) throw bindingError(program, binding, "one binding of each name", "two");
    names.add(binding.name);
    checkBinding(program, binding);
  }
  for (const id of program.guard?.scalars ?? []) checkGuard(program, id);
  const holds = new Set<BindingId>();
  program.bindings.forEach((b, id) => {
    if (!b.temp && b.access !== "write") holds.add(id);
  });
  for (const phaseIdx of program.phases.keys()) new PhaseCheck(program, phaseIdx, holds).check();
}

/** @throws {BackendError} "layout" unless there are 1 to `mostPanels` panels of a width that kernels know */
export function checkLayout({ name }: Program, { panel, panels }: PanelLayout, mostPanels: number): void {
  if ([4, 8, 16].includes(panel) && Number.isInteger(panels) && panels >= 1 && panels <= mostPanels) return;
  const expected = mostPanels === 1 ? "one panel" : "one or more panels";
  throw new BackendError(
    "layout",
    `${name}: expected ${expected} of 4, 8 or 16 lanes, got ${panels} of ${panel} (layout)`,
  );
}

function checkBinding(program: Program, binding: Binding): void {
  const { kind, rows, cols, temp } = binding;
  if (!isCount(rows, 0)) throw bindingError(program, binding, "a whole number of rows", `${rows}`);
  const hasColumns = kind === "table" || kind === "sparse" || kind === "dense";
  if (hasColumns && !isCount(cols, 1)) throw bindingError(program, binding, "a positive number of columns", `${cols}`);
  if (!temp) return;
  if (kind === "sparse" || kind === "index" || kind === "key") {
    throw bindingError(program, binding, "a temporary that holds numbers", kind);
  }
  const { firstPhase, lastPhase } = temp;
  if (isCount(firstPhase, 0) && isCount(lastPhase, firstPhase) && lastPhase < program.phases.length) return;
  const [expected, got] = [`a life in phases 0 to ${program.phases.length - 1}`, `${firstPhase} to ${lastPhase}`];
  throw bindingError(program, binding, expected, got);
}

function isCount(x: number | undefined, least: number): boolean {
  return Number.isInteger(x) && x! >= least;
}

/** A guard is read throughout the program, so the program does not change it. */
function checkGuard(program: Program, id: BindingId): void {
  const binding = program.bindings[id];
  const { name, kind, access, temp } = binding ?? { name: "guard" };
  if (kind === "scalar" && access === "read" && !temp) return;
  const got = binding ? `a ${temp ? "temporary" : kind} with access ${access}` : `binding ${id}`;
  throw bindingError(program, { name }, "a guard that is a scalar with access read", got);
}

function bindingError(program: Program, { name }: Pick<Binding, "name">, expected: string, got: string): BackendError {
  return programError(program.name, "", expected, got, name, {});
}

function programError(
  program: string,
  at: string,
  expected: string,
  got: string,
  argument: string,
  facts: Readonly<Record<string, unknown>>,
): BackendError {
  const message = `${program}: ${at}expected ${expected}, got ${got} (${argument})`;
  return new BackendError("program", message, { program, ...facts, argument });
}

/** Checks one phase. */
class PhaseCheck {
  readonly #program: Program;
  readonly #phaseIdx: number;
  readonly #phase: Phase;
  /** Bindings that hold numbers: those that arrive with some, then those that the program has written. */
  readonly #holds: Set<BindingId>;
  /** By binding: the first instruction of the phase that writes it. */
  readonly #firstWrite = new Map<BindingId, number>();
  /** What the phase reduces to: complete only after it. */
  readonly #reduced = new Set<BindingId>();
  /** By value: whether it differs between rows; null where an instruction makes no value. */
  readonly #perRow: (boolean | null)[] = [];
  /** The instruction that is being checked; -1 for the phase itself. */
  #at = -1;

  constructor(program: Program, phaseIdx: number, holds: Set<BindingId>) {
    this.#program = program;
    this.#phaseIdx = phaseIdx;
    this.#phase = program.phases[phaseIdx]!;
    this.#holds = holds;
  }

  check(): void {
    const { rows, instrs } = this.#phase;
    if (!isCount(rows, 1)) throw this.#error("a positive number of rows", `${rows}`, "rows");
    for (this.#at = 0; this.#at < instrs.length; this.#at++) this.#findWrites(instrs[this.#at]!);
    for (this.#at = 0; this.#at < instrs.length; this.#at++) {
      const instr = instrs[this.#at]!;
      this.#checkOperands(instr);
      this.#perRow.push(this.#checkShapes(instr));
      this.#checkMemory(instr);
    }
  }

  #findWrites(instr: Instr): void {
    const known = "args" in instr ? Object.hasOwn(ARITY, instr.op) : Object.hasOwn(ROLES, instr.op);
    if (!known) throw this.#error("a known instruction", `"${instr.op}"`, "op");
    for (const access of accessesOf(instr)) {
      if (isWrite(access) && !this.#firstWrite.has(access.binding)) this.#firstWrite.set(access.binding, this.#at);
      if (access.role === "reduce") this.#reduced.add(access.binding);
    }
  }

  /** Operands exist: bindings of the program, values made by instructions before this one. */
  #checkOperands(instr: Instr): void {
    if ("args" in instr && instr.args.length !== ARITY[instr.op]) {
      throw this.#error(`${ARITY[instr.op]} arguments`, `${instr.args.length}`, "args");
    }
    const { bindings } = this.#program;
    for (const { binding } of accessesOf(instr)) {
      if (!bindings[binding]) throw this.#error(`a binding below ${bindings.length}`, `${binding}`, "binding");
    }
    for (const value of valuesOf(instr)) {
      const made = typeof this.#perRow[value] === "boolean";
      if (!made) throw this.#error("a value made before its use", `%${value}`, "value");
    }
  }

  // ---- memory --------------------------------------------------------------------------------------------------------------

  #checkMemory(instr: Instr): void {
    const replaces = "accumulate" in instr && !instr.accumulate;
    for (const { binding: id, role } of accessesOf(instr)) {
      const { name, access, temp } = this.#program.bindings[id]!;
      if (temp && (this.#phaseIdx < temp.firstPhase || this.#phaseIdx > temp.lastPhase)) {
        const got = `a use in phase ${this.#phaseIdx}`;
        throw this.#error(`a temporary of phases ${temp.firstPhase} to ${temp.lastPhase}`, got, name);
      }
      if (role === "gather" && this.#firstWrite.has(id)) {
        throw this.#error("a gathered operand that is complete before the phase", "one written in it", name);
      }
      if (role !== "reduce" && this.#reduced.has(id)) {
        throw this.#error("the result of a reduction to be used after its phase", "a use in it", name);
      }
      if (!replaces && !this.#holds.has(id)) {
        throw this.#error("a binding that holds numbers", "one that nothing has written", name);
      }
      if (role === "read" || role === "gather") continue;
      if (access === "read") throw this.#error("a binding with access to write", "access read", name);
      this.#holds.add(id);
    }
    if (instr.op === "matmulT" && instr.grad) this.#checkEarly(instr.grad.x);
  }

  /** WebGPU computes the operand of a gradient ahead of the rest of its phase. */
  #checkEarly(x: ValueId): void {
    const { instrs } = this.#phase;
    for (const id of closureOf(instrs, [x])) {
      for (const { binding, role } of accessesOf(instrs[id]!)) {
        if (role !== "read" || !(this.#firstWrite.get(binding)! < id)) continue;
        const { name } = this.#program.bindings[binding]!;
        throw this.#error("an operand that depends on nothing its phase has written before", "a load of it", name);
      }
    }
  }

  // ---- kinds and sizes -----------------------------------------------------------------------------------------------------

  /** Whether the result differs between rows; null without a result. */
  #checkShapes(instr: Instr): boolean | null {
    const { rows, lanes } = this.#phase;
    const [batch, perRow] = [lanes === "batch", rows > 1];
    switch (instr.op) {
      case "load":
        return this.#checkLoad(instr.binding);
      case "const":
        return false;
      case "rowIndex":
        return perRow;
      case "lookup":
        this.#expectLanes("batch");
        this.#expectPerSample(instr.index, "index");
        this.#expect(instr.table, ["table"], rows);
        return perRow;
      case "random":
        this.#expectPerSample(instr.sampleId, "sampleId");
        this.#expect(instr.key, ["key"]);
        return perRow;
      case "gather":
        this.#expectLanes("none");
        this.#expect(instr.source, ["row", "nnz"]);
        this.#expect(instr.index, ["index"], rows);
        return perRow;
      case "segmentSum":
        this.#expectLanes("none");
        this.#expect(instr.source, ["row", "nnz"]);
        this.#expect(instr.offsets, ["index"], rows + 1);
        this.#expect(instr.members, ["index"]);
        return perRow;
      case "gatherT": {
        this.#expectLanes("none");
        const source = this.#expect(instr.source, ["row", "nnz"]);
        this.#expect(instr.index, ["index"], instr.offsets === null ? source.rows : rows);
        if (instr.offsets !== null) this.#expect(instr.offsets, ["index"], source.rows + 1);
        return perRow;
      }
      case "matmul": {
        this.#expectLanes("batch");
        const { cols } = this.#expect(instr.matrix, ["sparse", "dense"], rows);
        this.#expectVector(instr.x, cols!, true);
        return perRow;
      }
      case "matmulT":
        return this.#checkMatmulT(instr);
      case "store":
        this.#expectVector(instr.binding, rows, batch);
        return null;
      case "scatter":
        this.#expectLanes("batch");
        this.#expectPerSample(instr.index, "index");
        this.#expect(instr.table, ["table"], rows);
        return null;
      case "reduceRows":
        this.#expectVector(instr.binding, 1, batch);
        return null;
      case "reduceLanes":
        this.#expectLanes("batch");
        this.#expectVector(instr.binding, rows, false);
        return null;
      default:
        return instr.args.some((v) => this.#perRow[v]);
    }
  }

  #checkLoad(id: BindingId): boolean {
    const { rows, lanes } = this.#phase;
    const binding = this.#program.bindings[id]!;
    const { kind } = binding;
    const kinds: readonly BindingKind[] = lanes === "batch" ? ["state", "row"] : ["row", "nnz"];
    if (kind === "scalar" || (kind === "sample" && lanes === "batch")) return false;
    if (kinds.includes(kind) && binding.rows === rows) return rows > 1;
    throw this.#spaceError(binding);
  }

  #checkMatmulT({ matrix: id, g, needCt, grad }: Extract<Instr, { op: "matmulT" }>): boolean | null {
    const { rows } = this.#phase;
    this.#expectLanes("batch");
    const matrix = this.#expect(id, ["sparse", "dense"]);
    if (matrix.cols !== rows) throw this.#spaceError(matrix);
    this.#expectVector(g, matrix.rows, true);
    if (!needCt && !grad) throw this.#error("a result or a gradient to be wanted", "neither", "needCt");
    // As many numbers as the matrix that is bound has entries: see checkBuffers.ts.
    if (grad && matrix.kind === "sparse") this.#expect(grad.binding, ["nnz"]);
    if (grad && matrix.kind === "dense") {
      const gradient = this.#expect(grad.binding, ["dense"], matrix.rows);
      if (gradient.cols !== rows) throw this.#spaceError(gradient);
    }
    return needCt ? rows > 1 : null;
  }

  #expectLanes(expected: Phase["lanes"]): void {
    const { lanes } = this.#phase;
    if (lanes !== expected) throw this.#error(`a phase with lanes "${expected}"`, `"${lanes}"`, "lanes");
  }

  #expectPerSample(v: ValueId, argument: string): void {
    if (this.#perRow[v]) throw this.#error("a per-sample value", `%${v}, which differs between rows`, argument);
  }

  /** A binding of one of the `kinds`, of `rows` rows if that is given. */
  #expect(id: BindingId, kinds: readonly BindingKind[], rows?: number): Binding {
    const binding = this.#program.bindings[id]!;
    if (kinds.includes(binding.kind) && (rows === undefined || binding.rows === rows)) return binding;
    const expected = `${kinds.join(" or ")}${rows === undefined ? "" : ` of ${rows} rows`}`;
    throw this.#error(expected, describe(binding), binding.name);
  }

  /** A vector of `rows` rows, with or without lanes. */
  #expectVector(id: BindingId, rows: number, perLane: boolean): void {
    const kinds: readonly BindingKind[] = perLane ? ["state", "sample"] : ["row", "nnz", "scalar"];
    const binding = this.#program.bindings[id]!;
    if (kinds.includes(binding.kind) && rowsOf(binding) === rows) return;
    throw this.#error(`${rows} rows ${perLane ? "with" : "without"} lanes`, describe(binding), binding.name);
  }

  // ---- errors --------------------------------------------------------------------------------------------------------------

  #spaceError(binding: Binding): BackendError {
    const { rows, lanes } = this.#phase;
    return this.#error(`a match for ${rows} rows, lanes "${lanes}"`, describe(binding), binding.name);
  }

  #error(expected: string, got: string, argument: string): BackendError {
    const [phase, instruction] = [this.#phaseIdx, this.#at];
    const instr = this.#phase.instrs[instruction];
    const at = `phase ${phase}${instr ? `, %${instruction} ${instr.op}` : ""}: `;
    const facts = instr ? { phase, instruction } : { phase };
    return programError(this.#program.name, at, expected, got, argument, facts);
  }
}

function describe({ kind, rows, cols }: Binding): string {
  return `${kind} of ${rows} ${cols === undefined ? "rows" : `× ${cols}`}`;
}
