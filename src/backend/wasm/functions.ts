// The functions that programs of a backend call: kernels, and generated code, which is made when a program is compiled, kept as long as
// the backend, the same for equal blocks.

import type { DType } from "../../core/dtype.ts";
import type { PointwiseOp } from "../program.ts";
import { moduleOf } from "./codegen.ts";
import type { Functions } from "./fuse.ts";
import { compileModule, type Table, type WasmModule } from "./module.ts";

export interface GeneratedOptions {
  readonly dtype: DType;
  readonly firstAddress: number | null;
  /** Places of the kernels in the table. */
  readonly kernels: ReadonlyMap<PointwiseOp, number>;
  /** The table of thread 0; those of all threads have equal entries. */
  readonly table: Table;
  /** Brings a module to the tables of all threads: its functions, in order, behind what is there. */
  readonly publish: (module: WasmModule, nFunctions: number) => void;
}

export class GeneratedFunctions implements Functions {
  readonly dtype: DType;
  readonly firstAddress: number | null;
  readonly #options: GeneratedOptions;
  readonly #places = new Map<string, number>();
  #missing: Uint8Array[] = [];

  constructor(options: GeneratedOptions) {
    this.#options = options;
    this.dtype = options.dtype;
    this.firstAddress = options.firstAddress;
  }

  place(code: Uint8Array): number {
    const key = Buffer.from(code).toString("latin1");
    const known = this.#places.get(key);
    if (known !== undefined) return known;
    const place = this.#options.table.length + this.#missing.length;
    this.#places.set(key, place);
    this.#missing.push(code);
    return place;
  }

  kernel(op: PointwiseOp): number {
    return this.#options.kernels.get(op)!;
  }

  /** Makes the functions that have a place callable. */
  install(): void {
    if (this.#missing.length === 0) return;
    const module = compileModule(moduleOf(this.#missing));
    this.#options.publish(module, this.#missing.length);
    this.#missing = [];
  }
}
