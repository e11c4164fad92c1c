// The plain sparse layers against the same equations in plain numbers, and their gradients against differences.

import * as assert from "uvu/assert";
import { type Csr, withValues } from "../../src/core/csr.ts";
import { SparseLinear, SparseODERNN, SparseRNN } from "../../src/models/sparse.ts";
import { normals, pairing } from "../ode/harness.ts";
import { forEachBackend } from "../support/backends.ts";
import { assertClose } from "../support/close.ts";
import { assertGradient, type Point } from "../support/gradcheck.ts";
import { randomSparse, toDense } from "../support/matrices.ts";

const [N, I, BATCH, STEPS] = [6, 4, 18, 3];

function weights(nRows: number, nCols: number): Csr {
  const { csr } = randomSparse(nRows, nCols, 0.5);
  return withValues(csr, csr.values.map(Math.abs));
}

function product(matrix: Csr, x: ArrayLike<number>): number[] {
  const dense = toDense(matrix);
  return Array.from({ length: matrix.nRows }, (_, i) => {
    let sum = 0;
    for (let j = 0; j < matrix.nCols; j++) sum += dense[i * matrix.nCols + j]! * x[j]!;
    return sum;
  });
}

function rows(data: ArrayLike<number>, width: number): number[][] {
  const all = Array.from(data);
  return Array.from({ length: all.length / width }, (_, i) => all.slice(i * width, (i + 1) * width));
}

const HH = weights(N, N);
const IH = weights(N, I);
const BIAS = normals("bias", N);

const OPTIONS = { inputSize: I, hiddenSize: N, connectivityHh: HH, connectivityIh: IH, nonlinearity: "Tanh" };

forEachBackend("sparse layers", ["f64"], (test) => {
  test("SparseLinear is W·x + b, with gradients by x, W and b", async ({ backend }) => {
    const layer = new SparseLinear(backend, { inFeatures: I, outFeatures: N, connectivity: IH });
    const x = normals("x", BATCH * I);
    const ct = normals("ct", BATCH * N);
    layer.parameters.set("bias", BIAS);
    const result = await layer.vjp(x, ct);
    const expected = rows(x, I).flatMap((sample) => product(IH, sample).map((v, i) => v + BIAS[i]!));
    assertClose(result.y, expected, 1e-12, "y");
    assertClose(await layer.forward(x), expected, 1e-12, "y of forward alone");
    const gradient = {
      x: result.x,
      values: await layer.parameters.gradient("values"),
      bias: await layer.parameters.gradient("bias"),
    };
    const f = async (p: Point) => {
      for (const name of ["values", "bias"]) layer.parameters.set(name, p[name]!);
      return pairing([await layer.forward(p.x!)], [ct]);
    };
    await assertGradient("SparseLinear", f, { x, values: IH.values, bias: BIAS }, gradient);
    layer.dispose();
  });

  test("SparseRNN steps h ← φ(U·x + W·h + b)", async ({ backend }) => {
    const model = new SparseRNN(backend, { ...OPTIONS, inputGradient: true });
    model.parameters.set("rnn.hh.bias", BIAS);
    const x = normals("sequence", BATCH * STEPS * I);
    const h0 = normals("h0", BATCH * N);
    const input = { data: x, batch: BATCH, steps: STEPS };
    const ct = normals("ct", BATCH * STEPS * N);
    const { outputs, gradients } = await model.vjp(input, ct, { h0 });
    const expected: number[] = [];
    for (let s = 0; s < BATCH; s++) {
      let h = rows(h0, N)[s]!;
      for (let k = 0; k < STEPS; k++) {
        const drive = product(IH, rows(x, I)[s * STEPS + k]!);
        h = product(HH, h).map((v, i) => Math.tanh(v + drive[i]! + BIAS[i]!));
        expected.push(...h);
      }
    }
    assertClose(outputs.outs, expected, 1e-12, "states");
    assert.is(
      model.parameters.all().some((p) => p.name === "rnn.tau"),
      false,
      "no time constants",
    );
    const names = ["rnn.hh.values", "rnn.hh.bias", "rnn.ih.values"];
    const gradient: Record<string, ArrayLike<number>> = { x: gradients.x!, h0: gradients.h0 };
    const point: Record<string, ArrayLike<number>> = { x, h0 };
    for (const name of names) {
      gradient[name] = await model.parameters.gradient(name);
      point[name] = await model.parameters.values(name);
    }
    const f = async (p: Point) => {
      for (const name of names) model.parameters.set(name, p[name]!);
      return pairing([(await model.forward({ ...input, data: p.x! }, { h0: p.h0! })).outs], [ct]);
    };
    await assertGradient("SparseRNN", f, point, gradient, { roundings: 1000 });
    model.dispose();
  });

  test("SparseODERNN solves dh/dt = φ(U·x + W·h + b) − h", async ({ backend }) => {
    const solve = { fixedStep: true, dt0: 0.1 };
    const model = new SparseODERNN(backend, { ...OPTIONS, solve, inputGradient: true });
    model.parameters.set("rnn.hh.bias", BIAS);
    const x = normals("x", 2 * I);
    const h0 = normals("h0", 2 * N);
    const input = { data: x, batch: 2 };
    const ct = normals("ct", 2 * 2 * N);
    const { trajectory, gradients } = await model.vjp(input, ct, { h0, endTime: 1 });
    // A classical Runge–Kutta step of 0.01 is exact to 1e-9 here; Dopri5 with 0.1 to 1e-7.
    const expected = rows(h0, N).flatMap((start, s) => {
      const drive = product(IH, rows(x, I)[s]!);
      const f = (h: number[]) => product(HH, h).map((v, i) => Math.tanh(v + drive[i]! + BIAS[i]!) - h[i]!);
      const plus = (h: number[], d: number, k: number[]) => h.map((v, i) => v + d * k[i]!);
      let h = start;
      for (let n = 0; n < 100; n++) {
        const k1 = f(h);
        const k2 = f(plus(h, 0.005, k1));
        const k3 = f(plus(h, 0.005, k2));
        const k4 = f(plus(h, 0.01, k3));
        h = h.map((v, i) => v + (0.01 / 6) * (k1[i]! + 2 * k2[i]! + 2 * k3[i]! + k4[i]!));
      }
      return [...start, ...h];
    });
    assertClose(trajectory.outs, expected, 1e-5, "states");
    const gradient = { x: gradients.x!, h0: gradients.h0, values: await model.parameters.gradient("rnn.hh.values") };
    const f = async (p: Point) => {
      model.parameters.set("rnn.hh.values", p.values!);
      return pairing([(await model.forward({ ...input, data: p.x! }, { h0: p.h0!, endTime: 1 })).outs], [ct]);
    };
    await assertGradient("SparseODERNN", f, { x, h0, values: HH.values }, gradient, { roundings: 1000 });
    model.dispose();
  });

  test("say what does not fit", async ({ backend }) => {
    assert.throws(() => new SparseLinear(backend, { inFeatures: N, outFeatures: N, connectivity: IH }), /connectivity/);
    const layer = new SparseLinear(backend, { inFeatures: I, outFeatures: N, connectivity: IH, bias: false });
    try {
      await layer.forward(new Float64Array(I + 1));
      assert.unreachable();
    } catch (e) {
      assert.match((e as Error).message, /a whole number of samples of 4 features/);
    }
    layer.dispose();
    assert.throws(() => new SparseRNN(backend, { ...OPTIONS, connectivityHh: IH }), /connectome/);
  });
});
