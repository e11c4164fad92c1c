// Conformance of a backend: small programs that cover every instruction, run on the backend and on the oracle.
//
//   for (const c of conformanceCases()) test(c.name, () => compareWithOracle(backend, c));

import type { Backend, Bindable, DeviceBuffer, DeviceSparse } from "../../src/backend/backend.ts";
import type { Binding, PanelLayout } from "../../src/backend/program.ts";
import { mapValues } from "../../src/core/csr.ts";
import type { DType, FloatArray } from "../../src/core/dtype.ts";
import { deriveKey, keyOfSeed, RandomStream } from "../../src/core/random.ts";
import { assertClose, gamma, ulpBounds } from "./close.ts";
import type { ConformanceCase, Input, Tolerance } from "./conformance/case.ts";
import { contractionCases } from "./conformance/contractions.ts";
import { magnitudeProgram } from "./conformance/magnitude.ts";
import { memoryCases } from "./conformance/memory.ts";
import { phaseCases } from "./conformance/phases.ts";
import { pointwiseCases } from "./conformance/pointwise.ts";
import { reductionCases } from "./conformance/reductions.ts";
import { DEFAULT_SEED } from "./matrices.ts";
import { lengthOf } from "./oracle/shapes.ts";
import { createOracleBackend } from "./oracleBackend.ts";

export type { ConformanceCase } from "./conformance/case.ts";

/** All cases that need at most `maxLanes` lanes: one panel of 4, 8 and 16, and above 16 several panels. */
export function conformanceCases(options: { readonly maxLanes?: number } = {}): readonly ConformanceCase[] {
  const { maxLanes = 16 } = options;
  const lanes = [1, 7, 16, 40].filter((n) => n <= maxLanes);
  return [pointwiseCases, memoryCases, reductionCases, contractionCases, phaseCases].flatMap((cases) => cases(lanes));
}

export interface RunOptions {
  /** Default: the backend's layout for the lanes of the case. */
  readonly layout?: PanelLayout;
  /** The precision that inputs are rounded to first. Default: the backend's. */
  readonly dtype?: DType;
  /** Run on absolute values, the operations replaced by what they do to magnitudes. */
  readonly magnitudes?: boolean;
}

/**
 * Runs a case on `backend` and returns what its outputs hold afterwards, by name. Everything allocated is released.
 * The same case gets the same inputs in every run.
 */
export async function runCase(
  backend: Backend,
  c: ConformanceCase,
  options: RunOptions = {},
): Promise<Record<string, FloatArray>> {
  const { layout = backend.layoutFor(c.lanes), dtype = backend.dtype, magnitudes = false } = options;
  const program = magnitudes ? magnitudeProgram(c.program) : c.program;
  const held = allocate(backend, c, { layout, dtype, magnitudes });
  try {
    backend.run(backend.bind(backend.compile(program, layout), held));
    await backend.finish();
    const results: Record<string, FloatArray> = {};
    for (const name of Object.keys(c.outputs)) {
      results[name] = (await backend.download(held[name] as DeviceBuffer)) as FloatArray;
    }
    return results;
  } finally {
    for (const [name, bindable] of Object.entries(held)) {
      if (c.inputs[name]?.from !== "sparse") bindable.release();
    }
  }
}

/** Runs a case on `backend` and on the oracle. @throws {Error} naming the output and its worst element */
export async function compareWithOracle(backend: Backend, c: ConformanceCase): Promise<void> {
  const layout = backend.layoutFor(c.lanes);
  const oracle = createOracleBackend({ maxLanes: layout.panel * layout.panels });
  const onOracle = { layout, dtype: backend.dtype };
  const actual = await runCase(backend, c);
  const expected = await runCase(oracle, c, onOracle);
  const needsMagnitudes = Object.values(c.outputs).some((t) => t.kind === "sum");
  const magnitudes = needsMagnitudes ? await runCase(oracle, c, { ...onOracle, magnitudes: true }) : expected;
  for (const [name, tolerance] of Object.entries(c.outputs)) {
    const bounds = boundsOf(tolerance, expected[name]!, magnitudes[name]!, backend.dtype);
    assertClose(actual[name]!, expected[name]!, bounds, `${c.name}: ${name}`);
  }
}

/** Relative error allowed to an f64 elementary function where f32 has 4 units in the last place. */
const F64_ELEMENTARY = 1e-14;

/** Smallest normal number of f32: WGSL may flush smaller ones to zero (WGSL §15.7.2, "Differences from IEEE-754"). */
const F32_SMALLEST_NORMAL = 2 ** -126;

function boundsOf(tolerance: Tolerance, expected: FloatArray, magnitudes: FloatArray, dtype: DType): Float64Array {
  switch (tolerance.kind) {
    case "exact":
      return new Float64Array(expected.length);
    case "ulps": {
      const { ulps = 4, absoluteBelow = 0 } = tolerance;
      const scale = expected.map((y) => Math.max(Math.abs(y), absoluteBelow));
      if (dtype === "f32") return ulpBounds(scale, ulps, F32_SMALLEST_NORMAL, dtype);
      return Float64Array.from(scale, (y) => F64_ELEMENTARY * (ulps / 4) * y);
    }
    case "sum":
    case "relative": {
      // The oracle rounds as well: in f64 as much as what is tested.
      const factor = gamma(tolerance.terms, dtype) + gamma(tolerance.terms, "f64");
      const scale = tolerance.kind === "sum" ? magnitudes : expected;
      return Float64Array.from(scale, (m) => factor * Math.abs(m));
    }
  }
}

type InputOptions = Required<RunOptions>;

/** Buffers and matrices for everything that is not a temporary, filled. Parts of a matrix come after the matrices. */
function allocate(backend: Backend, c: ConformanceCase, options: InputOptions): Record<string, Bindable> {
  const held: Record<string, Bindable> = {};
  const isPart = (b: Binding): boolean => c.inputs[b.name]?.from === "sparse";
  const bindings = c.program.bindings.filter((b) => !b.temp);
  for (const b of bindings.filter((b) => !isPart(b))) held[b.name] = allocateOne(backend, c, b, options);
  for (const b of bindings.filter(isPart)) {
    const input = c.inputs[b.name] as Extract<Input, { from: "sparse" }>;
    held[b.name] = (held[input.matrix] as DeviceSparse)[input.part];
  }
  return held;
}

function allocateOne(backend: Backend, c: ConformanceCase, b: Binding, options: InputOptions): Bindable {
  const { layout, dtype, magnitudes } = options;
  const prepare = (x: number): number => {
    const rounded = dtype === "f32" ? Math.fround(x) : x;
    return magnitudes ? Math.abs(rounded) : rounded;
  };
  const input = c.inputs[b.name];
  if (input?.from === "csr") return backend.sparse(b.name, mapValues(input.csr, prepare));
  const isWhole = b.kind === "index" || b.kind === "key";
  const length = lengthOf(b, layout)!;
  const buffer = backend.buffer(b.name, length, isWhole ? "u32" : "float");
  if (input?.from === "draw") {
    const stream = new RandomStream(deriveKey(keyOfSeed(DEFAULT_SEED), `${c.name}/${b.name}`));
    const drawn = input.draw(length, stream);
    backend.upload(buffer, isWhole ? drawn : Float64Array.from(drawn, prepare));
  } else if (b.access === "write") {
    backend.fill(buffer, Number.NaN);
  } else {
    throw new RangeError(`${c.name}: expected an input, got none (${b.name})`);
  }
  return buffer;
}
