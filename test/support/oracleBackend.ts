// The oracle: a Backend in plain double-precision TypeScript that interprets programs with simple loops. It is the truth the real
// backends are compared with, shares nothing with them, and is strict where they may be fast.

import type {
  Backend,
  Bindable,
  BoundProgram,
  DeviceBuffer,
  DeviceSparse,
  Executable,
  MemoryStats,
} from "../../src/backend/backend.ts";
import type { Binding, PanelLayout, Program } from "../../src/backend/program.ts";
import { type Csr, cscOf } from "../../src/core/csr.ts";
import { BackendError } from "../../src/core/errors.ts";
import { accessesOf, checkProgram } from "./oracle/check.ts";
import { type Operand, runProgram, type SparseEntries } from "./oracle/interpret.ts";
import { lengthOf } from "./oracle/shapes.ts";

/** Creates the oracle. A run takes up to `maxLanes` lanes, cut into panels of 16 (one panel of 4, 8 or 16 where that is enough). */
export function createOracleBackend(options: { readonly maxLanes?: number } = {}): Backend {
  return new OracleBackend(options.maxLanes ?? 16);
}

class OracleBackend implements Backend {
  readonly name = "wasm";
  readonly dtype = "f64";
  readonly description = "oracle f64, plain loops";
  readonly tapeBudgetBytes: number = 2 ** 28;
  readonly isAsynchronous = false;
  readonly maxLanes: number;
  readonly #ledger = new Ledger();

  constructor(maxLanes: number) {
    this.maxLanes = maxLanes;
  }

  lanesFor(): number {
    return this.maxLanes;
  }

  layoutFor(lanes: number): PanelLayout {
    if (!Number.isInteger(lanes) || lanes < 1 || lanes > this.maxLanes) {
      throw new BackendError("lanes", `layoutFor: expected 1 to ${this.maxLanes} lanes, got ${lanes} (lanes)`);
    }
    const panel = lanes <= 4 ? 4 : lanes <= 8 ? 8 : 16;
    return { panel, panels: Math.ceil(lanes / panel) };
  }

  buffer(label: string, length: number, type: "float" | "u32" = "float"): OracleBuffer {
    if (!Number.isInteger(length) || length < 0) {
      throw new BackendError("length", `buffer: expected a whole length of at least 0, got ${length} (${label})`);
    }
    return new OracleBuffer(label, length, type, this.#ledger);
  }

  async buffersIfRoom<Name extends string>(label: string, lengths: Readonly<Record<Name, number>>) {
    const made: Partial<Record<Name, OracleBuffer>> = {};
    for (const name in lengths) made[name] = this.buffer(`${label} ${name}`, lengths[name]);
    return made as Record<Name, OracleBuffer>;
  }

  sparse(label: string, csr: Csr): OracleSparse {
    return new OracleSparse(label, csr, this.#ledger);
  }

  sparseRows(): null {
    return null;
  }

  upload(target: DeviceBuffer, data: ArrayLike<number>, offset = 0): void {
    const { data: to } = this.#live(target);
    checkRange("upload", target, offset, data.length);
    for (let i = 0; i < data.length; i++) {
      if (target.type === "u32" && data[i]! >>> 0 !== data[i]) {
        throw new BackendError("range", `upload: expected a u32, got ${data[i]} at ${i} (${target.label})`);
      }
      to[offset + i] = data[i]!;
    }
  }

  async download(
    source: DeviceBuffer,
    offset = 0,
    length: number = source.length - offset,
  ): Promise<Float64Array | Uint32Array> {
    const { data } = this.#live(source);
    checkRange("download", source, offset, length);
    return data.slice(offset, offset + length);
  }

  downloadAll(sources: readonly DeviceBuffer[]): Promise<readonly (Float64Array | Uint32Array)[]> {
    return Promise.all(sources.map((source) => this.download(source)));
  }

  fill(target: DeviceBuffer, value: number): void {
    this.#live(target).data.fill(value);
  }

  copy(target: DeviceBuffer, source: DeviceBuffer): void {
    if (target.length !== source.length || target.type !== source.type) {
      const [expected, got] = [target, source].map((b) => `${b.length} of type ${b.type} (${b.label})`);
      throw new BackendError("length", `copy: expected ${expected}, got ${got}`);
    }
    this.#live(target).data.set(this.#live(source).data);
  }

  compile(program: Program, layout: PanelLayout): Executable {
    checkProgram(program);
    return { program, layout };
  }

  bind(executable: Executable, bindings: Readonly<Record<string, Bindable>>): OracleBound {
    const { program, layout } = executable;
    for (const name of Object.keys(bindings)) {
      const binding = program.bindings.find((b) => b.name === name);
      if (!binding || binding.temp)
        throw bindError(program, binding ? "no temporary" : "a binding of the program", name, name);
    }
    const bound = program.bindings.map((b) => this.#resolve(program, b, layout, bindings[b.name]));
    checkAliases(program, bound);
    this.#ledger.livePrograms++;
    return new OracleBound(executable, bound, () => {
      this.#ledger.livePrograms--;
      for (const b of bound) if (b instanceof Float64Array) this.#ledger.removeTemporary(b);
    });
  }

  run(bound: BoundProgram): void {
    const { program, layout } = bound.executable;
    if ((bound as OracleBound).released) {
      throw new BackendError("released", `${program.name}: expected a live program, got a released one`);
    }
    const operands = (bound as OracleBound).bound.map((b) => this.#operand(b));
    const idle = program.guard?.scalars.some((id) => (operands[id] as Float64Array)[0] === 0) ?? false;
    if (!idle) runProgram(program, layout, operands);
    else if (program.guard!.skips === "states") runIdle(program, layout, operands);
  }

  async finish(): Promise<void> {}

  traffic(): null {
    return null;
  }

  readonly usesHostMemory = true;
  readonly maxArrayBytes = Number.POSITIVE_INFINITY;

  imagined(): never {
    throw new Error("the oracle has no imagination");
  }

  memory(): MemoryStats {
    return this.#ledger.stats();
  }

  profile(): Readonly<Record<string, { readonly ms: number; readonly runs: number }>> {
    return {};
  }

  async dispose(): Promise<void> {
    this.#ledger.clear();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.dispose();
  }

  #resolve(program: Program, binding: Binding, layout: PanelLayout, given: Bindable | undefined): Bound {
    const { name, kind } = binding;
    const expected = lengthOf(binding, layout);
    if (binding.temp) {
      if (expected === null) throw bindError(program, "a temporary that is one buffer", kind, name);
      const temporary = new Float64Array(expected);
      this.#ledger.addTemporary(temporary);
      return temporary;
    }
    if (!given) throw bindError(program, `a ${kind}`, "nothing", name);
    const own = this.#live(given);
    if (own instanceof OracleSparse) {
      const got = `a sparse matrix of ${own.nRows} × ${own.nCols}`;
      if (kind !== "sparse") throw bindError(program, `a ${kind}`, got, name);
      if (own.nRows === binding.rows && own.nCols === binding.cols) return own;
      throw bindError(program, `${binding.rows} × ${binding.cols}`, got, name);
    }
    const type = kind === "index" || kind === "key" ? "u32" : "float";
    if (expected === null) throw bindError(program, "a sparse matrix", "a buffer", name);
    if (own.type !== type) throw bindError(program, `elements of type ${type}`, own.type, name);
    if (own.length === expected) return own;
    throw bindError(program, `${expected} elements (${kind})`, `${own.length}`, name);
  }

  /** The own object behind `bindable`; refuses what was released or belongs to another backend. */
  #live(bindable: DeviceBuffer): OracleBuffer;
  #live(bindable: Bindable): OracleBuffer | OracleSparse;
  #live(bindable: Bindable): OracleBuffer | OracleSparse {
    if (!(bindable instanceof OracleBuffer || bindable instanceof OracleSparse) || bindable.ledger !== this.#ledger) {
      throw new BackendError("foreign", `oracle: expected a buffer of this backend, got another's (${bindable.label})`);
    }
    if (bindable.released) {
      throw new BackendError("released", `oracle: expected a live buffer, got a released one (${bindable.label})`);
    }
    return bindable;
  }

  #operand(bound: Bound): Operand {
    if (bound instanceof Float64Array) return bound;
    const own = this.#live(bound);
    return own instanceof OracleSparse ? own.entries : own.data;
  }
}

/** What a binding of a program is bound to; a bare array is a temporary. */
type Bound = OracleBuffer | OracleSparse | Float64Array;

class OracleBound implements BoundProgram {
  readonly executable: Executable;
  readonly bound: readonly Bound[];
  readonly #onRelease: () => void;
  released = false;

  constructor(executable: Executable, bound: readonly Bound[], onRelease: () => void) {
    this.executable = executable;
    this.bound = bound;
    this.#onRelease = onRelease;
  }

  release(): void {
    if (this.released) return;
    this.released = true;
    this.#onRelease();
  }
}

class OracleBuffer implements DeviceBuffer {
  readonly label: string;
  readonly length: number;
  readonly type: "float" | "u32";
  readonly data: Float64Array | Uint32Array;
  /** That of its backend: shows whose buffer it is. */
  readonly ledger: Ledger;

  constructor(label: string, length: number, type: "float" | "u32", ledger: Ledger) {
    this.label = label;
    this.length = length;
    this.type = type;
    this.data = type === "float" ? new Float64Array(length) : new Uint32Array(length);
    this.ledger = ledger;
    ledger.add(this);
  }

  get released(): boolean {
    return !this.ledger.holds(this);
  }

  release(): void {
    this.ledger.remove(this);
  }
}

class OracleSparse implements DeviceSparse {
  readonly label: string;
  readonly nRows: number;
  readonly nCols: number;
  readonly nnz: number;
  readonly valuesCsc: OracleBuffer;
  readonly valuesCsr: OracleBuffer;
  readonly cscOfCsr: OracleBuffer;
  readonly cscOfCsrHost: Uint32Array;
  readonly #rowOf: OracleBuffer;
  readonly #colOf: OracleBuffer;

  constructor(label: string, csr: Csr, ledger: Ledger) {
    this.label = label;
    this.nRows = csr.nRows;
    this.nCols = csr.nCols;
    this.nnz = csr.nnz;
    this.cscOfCsrHost = cscOf(csr).cscOfCsr;
    const part = (name: string, type: "float" | "u32"): OracleBuffer =>
      new OracleBuffer(`${label}.${name}`, csr.nnz, type, ledger);
    this.valuesCsc = part("valuesCsc", "float");
    this.valuesCsr = part("valuesCsr", "float");
    this.cscOfCsr = part("cscOfCsr", "u32");
    this.#rowOf = part("rowOf", "u32");
    this.#colOf = part("colOf", "u32");
    this.valuesCsr.data.set(csr.values);
    this.cscOfCsr.data.set(this.cscOfCsrHost);
    this.#colOf.data.set(csr.colIdx);
    for (let row = 0; row < csr.nRows; row++) this.#rowOf.data.fill(row, csr.rowPtr[row], csr.rowPtr[row + 1]);
    this.cscOfCsrHost.forEach((csc, k) => {
      this.valuesCsc.data[csc] = csr.values[k]!;
    });
  }

  get entries(): SparseEntries {
    return {
      rowOf: this.#rowOf.data as Uint32Array,
      colOf: this.#colOf.data as Uint32Array,
      cscOfCsr: this.cscOfCsr.data as Uint32Array,
      valuesCsr: this.valuesCsr.data as Float64Array,
      valuesCsc: this.valuesCsc.data as Float64Array,
    };
  }

  /** All memory of the matrix. */
  get parts(): readonly OracleBuffer[] {
    return [this.valuesCsc, this.valuesCsr, this.cscOfCsr, this.#rowOf, this.#colOf];
  }

  get ledger(): Ledger {
    return this.valuesCsc.ledger;
  }

  get released(): boolean {
    return this.valuesCsc.released;
  }

  release(): void {
    for (const part of this.parts) part.release();
  }
}

/** The memory in use. Temporaries count as bytes but not as live buffers: nobody could release them. */
class Ledger {
  readonly #live = new Set<OracleBuffer>();
  #bytes = 0;
  #peakBytes = 0;
  #largestBytes = 0;
  livePrograms = 0;

  add(buffer: OracleBuffer): void {
    this.#live.add(buffer);
    this.addTemporary(buffer.data);
  }

  addTemporary({ byteLength }: Float64Array | Uint32Array): void {
    this.#bytes += byteLength;
    this.#peakBytes = Math.max(this.#peakBytes, this.#bytes);
    this.#largestBytes = Math.max(this.#largestBytes, byteLength);
  }

  removeTemporary({ byteLength }: Float64Array): void {
    this.#bytes -= byteLength;
  }

  holds(buffer: OracleBuffer): boolean {
    return this.#live.has(buffer);
  }

  /** Idempotent. */
  remove(buffer: OracleBuffer): void {
    if (this.#live.delete(buffer)) this.#bytes -= buffer.data.byteLength;
  }

  clear(): void {
    this.#live.clear();
    this.#bytes = 0;
  }

  stats(): MemoryStats {
    return {
      bytes: this.#bytes,
      peakBytes: this.#peakBytes,
      liveBuffers: this.#live.size,
      livePrograms: this.livePrograms,
      largestBytes: this.#largestBytes,
      takenBytes: this.#bytes,
    };
  }
}

/**
 * One phase must not reach the same memory through two bindings when one of them writes: WebGPU refuses it, and tiles running
 * in parallel would race.
 */
function checkAliases(program: Program, bound: readonly Bound[]): void {
  program.phases.forEach((phase, phaseIdx) => {
    const accesses = phase.instrs.map(accessesOf);
    const written = new Set(accesses.flatMap((a) => a.writes));
    const touched = new Set(accesses.flatMap((a) => [...a.reads, ...a.writes]));
    for (const w of written) {
      for (const other of touched) {
        if (other === w || !sharesMemory(bound[w]!, bound[other]!)) continue;
        const names = `${program.bindings[w]!.name}, ${program.bindings[other]!.name}`;
        throw bindError(program, `no two bindings of what phase ${phaseIdx} writes`, "the same memory twice", names);
      }
    }
  });
}

function sharesMemory(a: Bound, b: Bound): boolean {
  const parts = (x: Bound): readonly unknown[] => (x instanceof OracleSparse ? x.parts : [x]);
  return parts(a).some((part) => parts(b).includes(part));
}

function checkRange(where: string, buffer: DeviceBuffer, offset: number, length: number): void {
  if (Number.isInteger(offset) && offset >= 0 && length >= 0 && offset + length <= buffer.length) return;
  const range = `${offset} to ${offset + length}`;
  throw new BackendError(
    "range",
    `${where}: expected a range within ${buffer.length} elements, got ${range} (${buffer.label})`,
  );
}

/** The phases of one row; what the others would have stored nobody may use. */
function runIdle(program: Program, layout: PanelLayout, operands: readonly Operand[]): void {
  const left = program.phases.filter(({ rows }) => rows > 1);
  const stored = left.flatMap(({ instrs }) => instrs.flatMap((instr) => accessesOf(instr).writes));
  for (const id of stored) (operands[id] as Float64Array).fill(Number.NaN);
  runProgram({ ...program, phases: program.phases.filter(({ rows }) => rows === 1) }, layout, operands);
}

function bindError(program: Program, expected: string, got: string, argument: string): BackendError {
  return new BackendError("binding", `${program.name}: expected ${expected}, got ${got} (${argument})`, { argument });
}
