// Writes programs of the backend-neutral format by hand, for tests: `add` a binding, open a `phase`, write instructions.

import type {
  Binding,
  BindingId,
  BindingKind,
  Instr,
  Phase,
  PointwiseOp,
  Program,
  ValueId,
} from "../../src/backend/program.ts";

/** The size of a binding, where its kind asks for one, and its life, where it is a temporary. */
export type BindingSize = Pick<Binding, "rows"> & Partial<Pick<Binding, "cols" | "temp">>;

const ONE_ROW: BindingSize = { rows: 1 };

export class ProgramBuilder {
  readonly #name: string;
  readonly #bindings: Binding[] = [];
  readonly #phases: Phase[] = [];

  constructor(name: string) {
    this.#name = name;
  }

  /** A binding that the program only reads. */
  input(name: string, kind: BindingKind, size: BindingSize = ONE_ROW): BindingId {
    return this.#add({ name, kind, ...size, access: "read" });
  }

  /** A binding that the program writes in full. */
  output(name: string, kind: BindingKind, size: BindingSize = ONE_ROW): BindingId {
    return this.#add({ name, kind, ...size, access: "write" });
  }

  /** A binding that has a value before and another one after. */
  inout(name: string, kind: BindingKind, size: BindingSize = ONE_ROW): BindingId {
    return this.#add({ name, kind, ...size, access: "readwrite" });
  }

  /** A temporary that lives from `firstPhase` to `lastPhase`. */
  temp(name: string, kind: BindingKind, rows: number, firstPhase: number, lastPhase: number): BindingId {
    return this.#add({ name, kind, rows, access: "readwrite", temp: { firstPhase, lastPhase } });
  }

  /** Appends a phase of `rows` × lanes whose instructions `write` gives. */
  phase(rows: number, write: (phase: PhaseBuilder) => void): this {
    return this.#addPhase(rows, "batch", write);
  }

  /** Appends a phase of plain vectors of `rows` numbers. */
  plainPhase(rows: number, write: (phase: PhaseBuilder) => void): this {
    return this.#addPhase(rows, "none", write);
  }

  build(): Program {
    return { name: this.#name, bindings: this.#bindings, phases: this.#phases };
  }

  #addPhase(rows: number, lanes: Phase["lanes"], write: (phase: PhaseBuilder) => void): this {
    const builder = new PhaseBuilder();
    write(builder);
    this.#phases.push({ rows, lanes, instrs: builder.instrs });
    return this;
  }

  #add(binding: Binding): BindingId {
    return this.#bindings.push(binding) - 1;
  }
}

/** The instructions of one phase; each method appends one and returns its value. */
export class PhaseBuilder {
  readonly instrs: Instr[] = [];

  push(instr: Instr): ValueId {
    return this.instrs.push(instr) - 1;
  }

  load(binding: BindingId): ValueId {
    return this.push({ op: "load", binding });
  }

  const(value: number): ValueId {
    return this.push({ op: "const", value });
  }

  op(op: PointwiseOp, ...args: ValueId[]): ValueId {
    return this.push({ op, args });
  }

  matmul(matrix: BindingId, x: BindingId): ValueId {
    return this.push({ op: "matmul", matrix, x });
  }

  store(binding: BindingId, value: ValueId): void {
    this.push({ op: "store", binding, value, accumulate: false });
  }

  accumulate(binding: BindingId, value: ValueId): void {
    this.push({ op: "store", binding, value, accumulate: true });
  }
}
