import { suite } from "uvu";
import * as assert from "uvu/assert";
import { type Csr, csrFromCoo } from "../../src/core/csr.ts";
import { spectralRadiusOfAbsolute } from "../../src/data/spectralRadius.ts";
import { normalise, parseNormalisation } from "../../src/import/normalise.ts";
import { fails } from "../io/fixtures.ts";

const test = suite("normalise");

/** W = [[0, 3, −1], [4, 0, 0], [0, −2, 0]], and a neuron without input. */
function matrix(values: Float32Array | Float64Array = Float64Array.of(3, -1, 4, -2)): Csr {
  return csrFromCoo({ nRows: 4, nCols: 4, rows: [0, 0, 1, 2], cols: [1, 2, 0, 1], values });
}

const valuesOf = (text: string, scale?: number, csr: Csr = matrix()): number[] => [
  ...normalise(csr, parseNormalisation(text), scale).csr.values,
];

test("weights follow the formulas", () => {
  assert.equal(valuesOf("none"), [3, -1, 4, -2]);
  assert.equal(valuesOf("rows"), [0.75, -0.25, 1, -1]);
  assert.equal(valuesOf("in-degree"), [3 / Math.SQRT2, -1 / Math.SQRT2, 4, -2]);
  assert.equal(valuesOf("log"), [Math.log(4), -Math.log1p(1), Math.log1p(4), -Math.log1p(2)]);
  assert.equal(valuesOf("none", 0.275), [3 * 0.275, -0.275, 4 * 0.275, -2 * 0.275]);
  assert.equal(valuesOf("rows", -2), [-1.5, 0.5, -2, 2]);
});

test("the spectral radius of |W| becomes the one asked for, by the same factor everywhere", () => {
  const csr = matrix();
  // The eigenvalues λ of |W| satisfy λ³ = 12 λ + 8 (cycles 0 ↔ 1, of weight 12, and 0 → 1 → 2 → 0, of weight 8).
  const { csr: scaled, radiusBefore } = normalise(csr, { kind: "radius", radius: 0.9 });
  const rho = radiusBefore!.value;
  assert.ok(Math.abs(rho ** 3 - 12 * rho - 8) < 1e-5);
  assert.ok(Math.abs(spectralRadiusOfAbsolute(scaled).value - 0.9) < 1e-6);
  for (let k = 0; k < 4; k++) assert.is(scaled.values[k], csr.values[k]! * (0.9 / rho));
});

test("the type of the values and the matrix that came stay", () => {
  const csr = matrix(Float32Array.of(3, -1, 4, -2));
  for (const text of ["rows", "in-degree", "log", "radius=0.5", "none"]) {
    const { csr: result } = normalise(csr, parseNormalisation(text), 3);
    assert.ok(result.values instanceof Float32Array, text);
    assert.is(result.colIdx, csr.colIdx);
  }
  assert.equal([...csr.values], [3, -1, 4, -2]);
  assert.equal(valuesOf("log", 1, csr), [Math.log(4), -Math.log1p(1), Math.log1p(4), -Math.log1p(2)].map(Math.fround));
});

test("what is no normalisation is refused", async () => {
  assert.equal(parseNormalisation("radius=0.95"), { kind: "radius", radius: 0.95 });
  await fails(() => parseNormalisation("row"), "argument", /did you mean rows/);
  await fails(() => parseNormalisation("radius"), "argument", /radius=0\.9/);
  for (const text of ["radius=", "radius=0", "radius=-1", "radius=x", "radius=Infinity"]) {
    await fails(() => parseNormalisation(text), "argument", /radius/);
  }
  for (const scale of [0, Number.NaN, Number.POSITIVE_INFINITY]) {
    await fails(() => valuesOf("none", scale), "argument", /scale/);
  }
  const counts = matrix(Float32Array.of(3, -1, 4, -2));
  await fails(() => valuesOf("none", 1e38, counts), "argument", /scale/, /within f32.*makes 4 Infinity/);
  await fails(() => valuesOf("none", 1e-46, counts), "argument", /within f32.*makes 3 0/);
  assert.equal(valuesOf("none", 1e38, matrix(Float64Array.of(3, -1, 4, -2))), [3e38, -1e38, 4e38, -2e38]);
  const chain = csrFromCoo({ nRows: 2, nCols: 2, rows: [1], cols: [0], values: [1] });
  await fails(() => valuesOf("radius=0.9", 1, chain), "argument", /a network with a cycle/);
});

test.run();
