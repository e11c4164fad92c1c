// A case made of one program and its inputs. A batch larger than the device takes at once runs chunk by chunk, each chunk with its own states,
// as in a training step.

import type { Backend, Bindable, BoundProgram, DeviceBuffer, DeviceSparse } from "../../src/backend/backend.ts";
import { lanesOf, packState, unpackState } from "../../src/backend/layout.ts";
import type { Binding, PanelLayout, Program } from "../../src/backend/program.ts";
import type { Csr } from "../../src/core/csr.ts";
import { type FloatArray, floatArray } from "../../src/core/dtype.ts";
import { gamma, ulpBounds } from "../../test/support/close.ts";
import type { Tolerance } from "../../test/support/conformance/case.ts";
import { magnitudeProgram } from "../../test/support/conformance/magnitude.ts";
import { lengthOf } from "../../test/support/oracle/shapes.ts";
import type { BenchCase, Prepared, Results } from "./case.ts";

/** Initial content of a binding: states as [rows][batch], samples as [batch], others as in memory. */
export type CaseInput = ArrayLike<number> | Csr;

export interface ProgramCaseOptions {
  readonly op: string;
  readonly batch: number;
  readonly program: Program;
  /** By binding; a missing one starts at 0. Matrices have no negative values. */
  readonly inputs: Readonly<Record<string, CaseInput>>;
  /** The compared results, by binding. */
  readonly outputs: Readonly<Record<string, Tolerance>>;
}

export function programCase(options: ProgramCaseOptions): BenchCase {
  const { op, batch, outputs } = options;
  return {
    op,
    batch,
    prepare: (backend) => new PreparedProgram(backend, options),
    bounds: async (reference, expected, dtype) => {
      const magnitudes = await magnitudesOf(reference, options);
      const bounds: Record<string, FloatArray> = {};
      for (const [name, tolerance] of Object.entries(outputs)) {
        bounds[name] = boundOf(tolerance, expected[name]!, magnitudes?.[name], dtype);
      }
      return bounds;
    },
  };
}

function boundOf(
  tolerance: Tolerance,
  expected: FloatArray,
  magnitude: FloatArray | undefined,
  dtype: Backend["dtype"],
): FloatArray {
  switch (tolerance.kind) {
    case "exact":
      return new Float64Array(expected.length);
    case "ulps": {
      const { ulps = 4, absoluteBelow = 0 } = tolerance;
      const floor = ulpBounds([absoluteBelow], ulps, 0, dtype)[0]!;
      return ulpBounds(expected, ulps, floor, dtype);
    }
    case "sum": {
      const factor = gamma(tolerance.terms, dtype);
      return Float64Array.from(magnitude!, (x) => factor * x);
    }
    case "relative": {
      const factor = gamma(tolerance.terms, dtype);
      return Float64Array.from(expected, (x) => factor * Math.abs(x));
    }
  }
}

/** Results of the program on magnitudes (test/support/conformance/magnitude.ts); null if no tolerance needs them. */
async function magnitudesOf(reference: Backend, options: ProgramCaseOptions): Promise<Results | null> {
  if (!Object.values(options.outputs).some((t) => t.kind === "sum")) return null;
  const inputs = Object.entries(options.inputs).map(([name, input]): [string, CaseInput] => [
    name,
    isMatrix(input) ? input : Float64Array.from(input, Math.abs),
  ]);
  const program = magnitudeProgram(options.program);
  const prepared = new PreparedProgram(reference, { ...options, program, inputs: Object.fromEntries(inputs) });
  try {
    prepared.run();
    return await prepared.results();
  } finally {
    prepared.release();
  }
}

/** Lanes `first` … `first + count − 1` of the batch. */
interface Chunk {
  readonly first: number;
  readonly count: number;
  readonly layout: PanelLayout;
  readonly buffers: ReadonlyMap<string, DeviceBuffer>;
  readonly bound: BoundProgram;
}

class PreparedProgram implements Prepared {
  readonly #backend: Backend;
  readonly #options: ProgramCaseOptions;
  readonly #chunks: Chunk[] = [];
  /** Bindings without lanes: all chunks share them, so gradients accumulate. */
  readonly #common = new Map<string, DeviceBuffer>();

  constructor(backend: Backend, options: ProgramCaseOptions) {
    this.#backend = backend;
    this.#options = options;
    const batch = Math.max(1, options.batch);
    for (let first = 0; first < batch; first += backend.maxLanes) {
      this.#chunks.push(this.#makeChunk(first, Math.min(backend.maxLanes, batch - first)));
    }
  }

  run(): void {
    for (const { bound } of this.#chunks) this.#backend.run(bound);
  }

  async results(): Promise<Results> {
    const results: Record<string, FloatArray> = {};
    for (const name of Object.keys(this.#options.outputs)) results[name] = await this.#read(this.#bindingOf(name));
    return results;
  }

  release(): void {
    for (const { buffers } of this.#chunks) for (const buffer of buffers.values()) buffer.release();
    for (const buffer of this.#common.values()) buffer.release();
  }

  #makeChunk(first: number, count: number): Chunk {
    const { program } = this.#options;
    const layout = this.#backend.layoutFor(count);
    const buffers = new Map<string, DeviceBuffer>();
    const bindings: Record<string, Bindable> = {};
    for (const binding of program.bindings.filter((b) => !b.temp)) {
      bindings[binding.name] = this.#bindable(binding, first, count, layout, buffers);
    }
    const bound = this.#backend.bind(this.#backend.compile(program, layout), bindings);
    return { first, count, layout, buffers, bound };
  }

  #bindable(
    binding: Binding,
    first: number,
    count: number,
    layout: PanelLayout,
    buffers: Map<string, DeviceBuffer>,
  ): Bindable {
    const { name, kind, rows } = binding;
    const input = this.#options.inputs[name];
    if (input && isMatrix(input)) return sparseOn(this.#backend, input);
    const perLane = kind === "state" || kind === "sample";
    const known = perLane ? undefined : this.#common.get(name);
    if (known) return known;
    const buffer = this.#backend.buffer(name, lengthOf(binding, layout)!, kind === "index" ? "u32" : "float");
    (perLane ? buffers : this.#common).set(name, buffer);
    if (!input) this.#backend.fill(buffer, 0);
    else if (!perLane) this.#backend.upload(buffer, input);
    else {
      const { batch } = this.#options;
      const packed = floatArray(this.#backend.dtype, rows * lanesOf(layout));
      packState(input, (sample, row) => row * batch + first + sample, count, rows, layout, packed);
      this.#backend.upload(buffer, packed);
    }
    return buffer;
  }

  async #read({ name, rows }: Binding): Promise<FloatArray> {
    const common = this.#common.get(name);
    if (common) return (await this.#backend.download(common)) as FloatArray;
    const { batch } = this.#options;
    const result = floatArray(this.#backend.dtype, rows * batch);
    for (const { first, count, layout, buffers } of this.#chunks) {
      const state = await this.#backend.download(buffers.get(name)!);
      unpackState(state, result, (sample, row) => row * batch + first + sample, count, rows, layout);
    }
    return result;
  }

  #bindingOf(name: string): Binding {
    return this.#options.program.bindings.find((b) => b.name === name)!;
  }
}

function isMatrix(input: CaseInput): input is Csr {
  return "rowPtr" in input;
}

const uploaded = new WeakMap<Backend, Map<Csr, DeviceSparse>>();

/** The matrix on a backend, uploaded once for all cases; it lives as long as the backend. */
function sparseOn(backend: Backend, csr: Csr): DeviceSparse {
  const matrices = uploaded.get(backend) ?? new Map<Csr, DeviceSparse>();
  uploaded.set(backend, matrices);
  const matrix = matrices.get(csr) ?? backend.sparse("w", csr);
  matrices.set(csr, matrix);
  return matrix;
}
