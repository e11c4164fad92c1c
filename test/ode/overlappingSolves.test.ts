// Solves that overlap in time give the bits of solves one after another; what another solve has overwritten cannot be read.

import type { Test } from "uvu";
import * as assert from "uvu/assert";
import type { Backend, BoundProgram, DeviceBuffer } from "../../src/backend/backend.ts";
import { lanesOf, packState, unpackState } from "../../src/backend/layout.ts";
import { floatArray } from "../../src/core/dtype.ts";
import { ArgumentError, EngineError } from "../../src/core/errors.ts";
import { Backsolve } from "../../src/ode/backsolve.ts";
import { ExternalSolver } from "../../src/ode/externalSolver.ts";
import type { OdeSystem } from "../../src/ode/method.ts";
import type { SolveRequest } from "../../src/ode/request.ts";
import { OdeSolver } from "../../src/ode/solve.ts";
import { dopri5 } from "../../src/ode/tableaus/dopri5.ts";
import { forEachBackend, variant, type WithBackend } from "../support/backends.ts";
import { assertBitEqual } from "../support/close.ts";
import { onWebGpu } from "../support/onWebGpu.ts";
import { INTEGRAL, normals, rateProblem, solveOnHost } from "./harness.ts";

const [ROWS, SAMPLES] = [3, 2];
const METHOD = { tableau: dopri5, controller: INTEGRAL, maxSteps: 1000 };
/** dy/dt = −y³ − rate·y. */
const SYSTEM: OdeSystem = {
  rows: ROWS,
  rhs: (g, _, y) => {
    const { ops } = g;
    return ops.neg(ops.add(ops.mul(y, ops.mul(y, y)), ops.mul(g.row("rate", ROWS), y)));
  },
};

function refuses(code: string, body: () => unknown): void {
  assert.throws(body, (e: unknown) => e instanceof EngineError && e.code === code);
}

/** A solver, and solves from initial states by name. */
function bench(backend: Backend) {
  const layout = backend.layoutFor(SAMPLES);
  const length = ROWS * lanesOf(layout);
  const owned: DeviceBuffer[] = [];
  const buffer = (label: string, n: number): DeviceBuffer => {
    owned.push(backend.buffer(label, n));
    return owned.at(-1)!;
  };
  const rate = buffer("rate", ROWS);
  backend.fill(rate, 0.5);
  const solver = new OdeSolver(backend, SYSTEM, {
    ...METHOD,
    reverse: { wrt: ["rate"], throughStepSizeControl: true },
  });
  const requestOf = (name: string, record = false): SolveRequest => {
    const y0 = buffer(name, length);
    const at = (s: number, row: number) => s * ROWS + row;
    backend.upload(
      y0,
      packState(normals(name, SAMPLES * ROWS), at, SAMPLES, ROWS, layout, floatArray(backend.dtype, length)),
    );
    const times = (t: number) => new Array<number>(SAMPLES).fill(t);
    const [tStart, tEnd] = [times(0), times(2)];
    return {
      layout,
      samples: SAMPLES,
      inputs: { rate },
      y0,
      tStart,
      tEnd,
      tEval: [tEnd],
      ys: [buffer(`${name} y`, length)],
      record,
    };
  };
  const solve = async (name: string): Promise<Float64Array> => {
    const request = requestOf(name);
    await solver.forward(request);
    const host = new Float64Array(SAMPLES * ROWS);
    unpackState(await backend.download(request.ys[0]!), host, (s, row) => s * ROWS + row, SAMPLES, ROWS, layout);
    return host;
  };
  const dispose = () => {
    solver.dispose();
    for (const b of owned) b.release();
  };
  return { solver, requestOf, solve, dispose, rate, buffer };
}

function define(test: Test<WithBackend>): void {
  test("solves of one solver, and of several on one backend", async ({ backend }) => {
    const [one, all, other] = [bench(backend), bench(backend), bench(backend)];
    const names = ["a", "b", "c", "d"];
    const expected: Float64Array[] = [];
    for (const name of names) expected.push(await one.solve(name));
    const got = await Promise.all([...names.map(all.solve), ...names.map(other.solve)]);
    for (const [i, ys] of got.entries()) assertBitEqual(ys, expected[i % names.length]!, `solve ${i}`);
    const problem = rateProblem(2, { tEnd: 1, tEval: [0, 1] });
    const cts = problem.tEval.map((_, j) => normals(`ct ${j}`, 2 * problem.system.rows));
    const alone = await solveOnHost(backend, problem, {}, cts);
    const both = await Promise.all([1, 2].map(() => solveOnHost(backend, problem, {}, cts)));
    for (const { gradients } of both) assertBitEqual(gradients.y0!, alone.gradients.y0!, "reverse");
    for (const b of [one, all, other]) b.dispose();
  });

  test("a solve that another has followed cannot be read, nor one under way reversed", async ({ backend }) => {
    const { solver, requestOf, solve, dispose, rate, buffer } = bench(backend);
    const first = await solver.start(requestOf("a"));
    await solver.start(requestOf("b"));
    refuses("superseded", () => first.record());
    const pending = solver.forward(requestOf("c", true));
    const gradient = buffer("gradient", rate.length);
    backend.fill(gradient, 0);
    refuses("busy", () => solver.reverse([null], { rate: gradient }, null));
    await pending;
    solver.reverse([null], { rate: gradient }, null);
    const later = solve("a");
    dispose();
    refuses("disposed", () => solver.reverse([null], { rate: gradient }, null));
    const error = await solver.forward(requestOf("a")).catch((e: unknown) => e);
    assert.is((error as EngineError).code, "disposed");
    await later.catch(() => {});
  });

  test("a solve that fails leaves nothing to reverse, not even the one before", async ({ backend }) => {
    let runs = true;
    const run = (bound: BoundProgram): void => {
      if (!runs) throw new EngineError("broken", "run", {});
      backend.run(bound);
    };
    const { solver, requestOf, dispose, rate, buffer } = bench(variant(backend, { run }));
    const gradient = buffer("gradient", rate.length);
    const first = await solver.start(requestOf("a", true));
    const second = requestOf("b", true);
    runs = false;
    const error = await solver.start(second).catch((e: unknown) => e);
    assert.is((error as EngineError).code, "broken");
    runs = true;
    refuses("superseded", () => first.record());
    refuses("not-recorded", () => solver.reverse([null], { rate: gradient }, null));
    await solver.forward(second);
    solver.reverse([null], { rate: gradient }, null);
    dispose();
  });
}

forEachBackend("overlapping solves", ["f64", "f32"], define);

forEachBackend("overlapping solves of the host", ["f64"], (test) => {
  test("solves with a right-hand side on the host", async ({ backend }) => {
    const solver = new ExternalSolver(backend, ROWS, METHOD);
    const solve = async (name: string) => {
      const times = (t: number) => new Array<number>(SAMPLES).fill(t);
      const { ys } = await solver.solve({
        rhs: async (_, y) => y.map((x) => -x * x * x),
        samples: SAMPLES,
        y0: normals(name, SAMPLES * ROWS),
        tStart: times(0),
        tEnd: times(1),
        tEval: [times(1)],
      });
      return ys[0]!;
    };
    const expected = [await solve("a"), await solve("b")];
    for (const [i, ys] of (await Promise.all([solve("a"), solve("b")])).entries())
      assertBitEqual(ys, expected[i]!, `solve ${i}`);
  });

  test("adjoint equations", async ({ backend }) => {
    const rate = backend.buffer("rate", ROWS);
    backend.fill(rate, 0.5);
    const options = { ...METHOD, joint: false, wrt: ["rate"] };
    const problemOf = (name: string) => ({
      samples: SAMPLES,
      y0: normals(name, SAMPLES * ROWS),
      states: {},
      parameters: { rate },
      tStart: [0, 0],
      tEnd: [1, 1],
      tEval: null,
    });
    const ct = normals("ct", SAMPLES * ROWS);
    const run = (adjoint: Backsolve): Promise<ArrayLike<number>>[] => [
      adjoint.forward(problemOf("a")).then(({ ys }) => ys[0]!),
      adjoint.reverse([ct]).then(({ parameters }) => parameters.rate!),
      adjoint.forward(problemOf("b")).then(({ ys }) => ys[0]!),
      adjoint.reverse([ct]).then(({ y0 }) => y0),
    ];
    const [single, shared] = [1, 2].map(() => new Backsolve(backend, SYSTEM, options)) as [Backsolve, Backsolve];
    const expected: ArrayLike<number>[] = [];
    expected.push((await single.forward(problemOf("a"))).ys[0]!, (await single.reverse([ct])).parameters.rate!);
    expected.push((await single.forward(problemOf("b"))).ys[0]!, (await single.reverse([ct])).y0);
    const calls = run(shared);
    shared.dispose();
    for (const [i, values] of (await Promise.all(calls)).entries()) assertBitEqual(values, expected[i]!, `call ${i}`);
    const after = await shared.forward(problemOf("a")).catch((e: unknown) => e);
    assert.is((after as EngineError).code, "disposed");
    const error = await single.reverse([ct.map(() => Number.NaN)]).catch((e: unknown) => e);
    assert.instance(error, ArgumentError);
    assertBitEqual((await single.reverse([ct])).y0, expected[3]!, "a refused cotangent loses nothing");
    single.dispose();
    rate.release();
  });
});

onWebGpu("overlapping solves", define);
