// Static checks of a program: everything that the prose of program.ts demands and the types cannot say. Stricter than a device
// has to be, so that a generator of programs learns of its mistakes here.

import type { Binding, BindingId, Instr, Program, ValueId } from "../../../src/backend/program.ts";
import { BackendError } from "../../../src/core/errors.ts";
import { POINTWISE_TESTS, type PointwiseTest } from "../pointwise.ts";
import { vectorShape } from "./shapes.ts";

/** Which bindings one instruction reads and writes, and which of the reads gather (see rows of other tiles). */
export interface Accesses {
  readonly reads: readonly BindingId[];
  readonly gathers: readonly BindingId[];
  readonly writes: readonly BindingId[];
}

/** The memory that `instr` touches. What accumulates reads as well as writes. */
export function accessesOf(instr: Instr): Accesses {
  switch (instr.op) {
    case "load":
      return { reads: [instr.binding], gathers: [], writes: [] };
    case "lookup":
      return { reads: [instr.table], gathers: [], writes: [] };
    case "random":
      return { reads: [instr.key], gathers: [], writes: [] };
    case "gather":
      return { reads: [instr.source, instr.index], gathers: [instr.source, instr.index], writes: [] };
    case "segmentSum": {
      const all = [instr.source, instr.offsets, instr.members];
      return { reads: all, gathers: all, writes: [] };
    }
    case "gatherT": {
      const all = [instr.source, instr.index, ...(instr.offsets === null ? [] : [instr.offsets])];
      return { reads: all, gathers: all, writes: [] };
    }
    case "matmul":
      return { reads: [instr.matrix, instr.x], gathers: [instr.matrix, instr.x], writes: [] };
    case "matmulT": {
      const grad = instr.grad ? [instr.grad.binding] : [];
      return { reads: [instr.matrix, instr.g, ...grad], gathers: [instr.matrix, instr.g], writes: grad };
    }
    case "store":
    case "reduceRows":
    case "reduceLanes":
      return { reads: instr.accumulate ? [instr.binding] : [], gathers: [], writes: [instr.binding] };
    case "scatter":
      return { reads: [instr.table], gathers: [], writes: [instr.table] };
    default:
      return { reads: [], gathers: [], writes: [] };
  }
}

/** @throws {BackendError} naming program, phase, instruction and what is wrong */
export function checkProgram(program: Program): void {
  const names = new Set<string>();
  for (const b of program.bindings) {
    if (names.has(b.name))
      throw programError(`${program.name}: expected one binding of each name, got two (${b.name})`);
    names.add(b.name);
  }
  // What may be read: everything that arrives with a value, then whatever the program has written.
  const defined = new Set<BindingId>();
  program.bindings.forEach((b, id) => {
    if (!b.temp && b.access !== "write") defined.add(id);
  });
  for (let p = 0; p < program.phases.length; p++) new PhaseChecker(program, p, defined).check();
}

/** What is known of an SSA value before the program runs; an instruction without a usable value has null instead. */
interface ValueInfo {
  /** Differs between rows of the tile. */
  readonly perRow: boolean;
}

class PhaseChecker {
  readonly #program: Program;
  readonly #phaseIdx: number;
  readonly #defined: Set<BindingId>;
  readonly #values: (ValueInfo | null)[] = [];
  /** Written by reductions of this phase: complete only after it. */
  readonly #reduced = new Set<BindingId>();

  constructor(program: Program, phaseIdx: number, defined: Set<BindingId>) {
    this.#program = program;
    this.#phaseIdx = phaseIdx;
    this.#defined = defined;
  }

  check(): void {
    const { instrs } = this.#program.phases[this.#phaseIdx]!;
    const written = new Set(instrs.flatMap((i) => accessesOf(i).writes));
    for (const instr of instrs) {
      if (instr.op === "reduceRows" || instr.op === "reduceLanes") this.#reduced.add(instr.binding);
    }
    for (const instr of instrs) {
      this.#checkAccesses(instr, written);
      this.#values.push(this.#infer(instr));
    }
  }

  #checkAccesses(instr: Instr, written: ReadonlySet<BindingId>): void {
    const { reads, gathers, writes } = accessesOf(instr);
    for (const id of [...reads, ...writes]) {
      const { temp, name } = this.#binding(instr, id);
      if (temp && (this.#phaseIdx < temp.firstPhase || this.#phaseIdx > temp.lastPhase)) {
        throw this.#error(instr, `phases ${temp.firstPhase} to ${temp.lastPhase} for this temporary`, "another", name);
      }
    }
    for (const id of reads) {
      if (this.#defined.has(id)) continue;
      throw this.#error(instr, "a binding that holds a value", "one that nothing has written", this.#name(id));
    }
    for (const id of gathers) {
      if (!written.has(id)) continue;
      throw this.#error(instr, "a gathered operand complete before the phase", "one written in it", this.#name(id));
    }
    for (const id of writes) {
      if (this.#binding(instr, id).access === "read") {
        throw this.#error(instr, "a binding with access to write", "access read", this.#name(id));
      }
      this.#defined.add(id);
    }
  }

  #infer(instr: Instr): ValueInfo | null {
    const { rows, lanes } = this.#program.phases[this.#phaseIdx]!;
    const batch = lanes === "batch";
    switch (instr.op) {
      case "load": {
        const binding = this.#binding(instr, instr.binding);
        const shape = vectorShape(binding);
        const fits = shape && (shape.rows === rows || shape.rows === 1) && (batch || !shape.perLane);
        // A state or row of one row is only a broadcast when declared as sample or scalar.
        const declared = shape?.rows === rows || binding.kind === "sample" || binding.kind === "scalar";
        if (!fits || !declared || (batch && binding.kind === "nnz")) throw this.#spaceError(instr, binding);
        if (this.#reduced.has(instr.binding)) {
          throw this.#error(instr, "a reduction read after its phase", "a load in the same phase", binding.name);
        }
        return { perRow: rows > 1 && shape.rows === rows };
      }
      case "const":
        return { perRow: false };
      case "rowIndex":
        return { perRow: rows > 1 };
      case "lookup":
        this.#table(instr, instr.table);
        this.#perSample(instr, instr.index);
        return { perRow: rows > 1 };
      case "random":
        this.#kind(instr, instr.key, ["key"]);
        this.#perSample(instr, instr.sampleId);
        return { perRow: rows > 1 };
      case "gather": {
        if (batch) throw this.#error(instr, 'a phase with lanes "none"', '"batch"', "lanes");
        this.#kind(instr, instr.source, ["row", "nnz"]);
        const index = this.#kind(instr, instr.index, ["index"]);
        if (index.rows !== rows) throw this.#spaceError(instr, index);
        return { perRow: rows > 1 };
      }
      case "segmentSum": {
        if (batch) throw this.#error(instr, 'a phase with lanes "none"', '"batch"', "lanes");
        const source = this.#kind(instr, instr.source, ["row", "nnz"]);
        const offsets = this.#kind(instr, instr.offsets, ["index"]);
        const members = this.#kind(instr, instr.members, ["index"]);
        if (offsets.rows !== rows + 1) throw this.#spaceError(instr, offsets);
        if (members.rows !== source.rows) throw this.#spaceError(instr, members);
        return { perRow: rows > 1 };
      }
      case "gatherT": {
        if (batch) throw this.#error(instr, 'a phase with lanes "none"', '"batch"', "lanes");
        const source = this.#kind(instr, instr.source, ["row", "nnz"]);
        const index = this.#kind(instr, instr.index, ["index"]);
        const offsets = instr.offsets === null ? null : this.#kind(instr, instr.offsets, ["index"]);
        if (offsets && offsets.rows !== source.rows + 1) throw this.#spaceError(instr, offsets);
        if (index.rows !== (offsets ? rows : source.rows)) throw this.#spaceError(instr, index);
        return { perRow: rows > 1 };
      }
      case "matmul":
      case "matmulT":
        return this.#inferContraction(instr);
      case "store":
        this.#value(instr, instr.value);
        this.#vector(instr, instr.binding, rows, batch);
        return null;
      case "scatter":
        this.#table(instr, instr.table);
        this.#perSample(instr, instr.index);
        this.#value(instr, instr.value);
        return null;
      case "reduceRows":
        this.#value(instr, instr.value);
        this.#vector(instr, instr.binding, 1, batch);
        return null;
      case "reduceLanes":
        if (!batch) throw this.#error(instr, 'a phase with lanes "batch"', '"none"', "lanes");
        this.#value(instr, instr.value);
        this.#vector(instr, instr.binding, rows, false);
        return null;
      default: {
        const count = (POINTWISE_TESTS[instr.op] as PointwiseTest | undefined)?.f.length;
        if (count === undefined) throw this.#error(instr, "a known instruction", `"${instr.op}"`, "op");
        if (instr.args.length !== count) throw this.#error(instr, `${count} arguments`, `${instr.args.length}`, "args");
        return { perRow: instr.args.map((a) => this.#value(instr, a)).some((v) => v.perRow) };
      }
    }
  }

  #inferContraction(instr: Extract<Instr, { op: "matmul" | "matmulT" }>): ValueInfo | null {
    const { rows, lanes } = this.#program.phases[this.#phaseIdx]!;
    if (lanes !== "batch") throw this.#error(instr, 'a phase with lanes "batch"', '"none"', "lanes");
    const matrix = this.#kind(instr, instr.matrix, ["sparse", "dense"]);
    const cols = matrix.cols ?? 1;
    if (instr.op === "matmul") {
      if (rows !== matrix.rows) throw this.#spaceError(instr, matrix);
      this.#vector(instr, instr.x, cols, true);
      return { perRow: rows > 1 };
    }
    if (rows !== cols) throw this.#spaceError(instr, matrix);
    this.#vector(instr, instr.g, matrix.rows, true);
    if (!instr.grad) {
      if (!instr.needCt) throw this.#error(instr, "a result or a gradient to be wanted", "neither", "needCt");
      return { perRow: rows > 1 };
    }
    this.#value(instr, instr.grad.x);
    const grad = this.#kind(instr, instr.grad.binding, [matrix.kind === "sparse" ? "nnz" : "dense"]);
    if (grad.kind === "dense" && (grad.rows !== matrix.rows || grad.cols !== matrix.cols)) {
      throw this.#error(instr, `a gradient of ${matrix.rows} × ${cols}`, `${grad.rows} × ${grad.cols}`, grad.name);
    }
    return instr.needCt ? { perRow: rows > 1 } : null;
  }

  #value(instr: Instr, id: ValueId): ValueInfo {
    const value = this.#values[id];
    if (!value) throw this.#error(instr, "a value defined before its use", `%${id}`, "value");
    return value;
  }

  #perSample(instr: Instr, id: ValueId): void {
    if (this.#value(instr, id).perRow) throw this.#error(instr, "a per-sample value", `%${id}, one per row`, "index");
  }

  #table(instr: Instr, id: BindingId): void {
    const { rows, lanes } = this.#program.phases[this.#phaseIdx]!;
    const table = this.#kind(instr, id, ["table"]);
    if (table.rows !== rows || lanes !== "batch") throw this.#spaceError(instr, table);
  }

  #vector(instr: Instr, id: BindingId, rows: number, perLane: boolean): void {
    const binding = this.#binding(instr, id);
    const shape = vectorShape(binding);
    if (shape?.rows === rows && shape.perLane === perLane) return;
    const expected = `${rows} ${perLane ? "rows of lanes" : "plain rows"}`;
    throw this.#error(instr, expected, `${binding.kind} of ${binding.rows} rows`, binding.name);
  }

  #kind(instr: Instr, id: BindingId, kinds: readonly Binding["kind"][]): Binding {
    const binding = this.#binding(instr, id);
    if (kinds.includes(binding.kind)) return binding;
    throw this.#error(instr, `a binding of kind ${kinds.join(" or ")}`, binding.kind, binding.name);
  }

  #binding(instr: Instr, id: BindingId): Binding {
    const binding = this.#program.bindings[id];
    if (!binding)
      throw this.#error(instr, `a binding from 0 to ${this.#program.bindings.length - 1}`, `${id}`, "binding");
    return binding;
  }

  #name(id: BindingId): string {
    return this.#program.bindings[id]?.name ?? `${id}`;
  }

  #spaceError(instr: Instr, binding: Binding): BackendError {
    const { rows, lanes } = this.#program.phases[this.#phaseIdx]!;
    const size = binding.cols === undefined ? `${binding.rows}` : `${binding.rows} × ${binding.cols}`;
    return this.#error(instr, `a match for ${rows} rows, lanes ${lanes}`, `${binding.kind} of ${size}`, binding.name);
  }

  #error(instr: Instr, expected: string, got: string, argument: string): BackendError {
    const at = `phase ${this.#phaseIdx}, %${this.#values.length} ${instr.op}`;
    return programError(`${this.#program.name}: ${at}: expected ${expected}, got ${got} (${argument})`);
  }
}

function programError(message: string): BackendError {
  return new BackendError("program", message);
}
