// Desks, solvers and adjoint equations that come and go by the hundreds and thousands leave nothing on the device: no buffer, no bound program, no memory.

import type { Test } from "uvu";
import * as assert from "uvu/assert";
import { Graph } from "../../src/autodiff/graph.ts";
import { lower } from "../../src/autodiff/lower.ts";
import type { Backend } from "../../src/backend/backend.ts";
import { Desk } from "../../src/backend/desk.ts";
import type { WebGpuBackend } from "../../src/backend/webgpu/backend.ts";
import { AdjointField, vjpProgram } from "../../src/ode/adjointField.ts";
import { ExternalSolver } from "../../src/ode/externalSolver.ts";
import type { OdeSystem } from "../../src/ode/method.ts";
import { OdeSolver } from "../../src/ode/solve.ts";
import { euler } from "../../src/ode/tableaus/index.ts";
import { forEachBackend, variant, type WithBackend } from "../support/backends.ts";
import { onWebGpu } from "../support/onWebGpu.ts";

/** dy/dt = −rate·y. */
const DECAY: OdeSystem = { rows: 1, rhs: (g, _, y) => g.ops.mul(g.ops.neg(g.row("rate", 1)), y) };
const METHOD = { tableau: euler, controller: { type: "fixed" }, maxSteps: 2 } as const;
/** More bound programs than the parameters of a WebGPU buffer have room for (16,384), had none been released. */
const DESKS = 17_000;
const FIELDS = 2000;
const SOLVERS = 300;

function doubling() {
  const g = new Graph();
  g.store("y", g.ops.mul(2, g.state("x", 1)));
  return lower(g, "doubling");
}

/** What a device holds. */
function held(backend: Backend): Readonly<Record<string, number>> {
  const { bytes, liveBuffers, livePrograms } = backend.memory();
  const gpu = backend.name === "webgpu" ? { gpuBuffers: (backend as WebGpuBackend).counts().liveBuffers } : {};
  return { bytes, liveBuffers, livePrograms, ...gpu };
}

/** Does something many times; after the first time, which may make what all others share, the device must hold the same. */
async function staysFlat(backend: Backend, times: number, body: () => void | Promise<void>): Promise<void> {
  await body();
  const before = held(backend);
  for (let k = 0; k < times; k++) await body();
  assert.equal(held(backend), before);
}

function define(test: Test<WithBackend>): void {
  test("desks", async ({ backend }) => {
    const program = doubling();
    await staysFlat(backend, DESKS, () => {
      const desk = new Desk(backend, backend.layoutFor(1), "test");
      for (const name of ["x", "y"]) desk.state(name, 1);
      desk.bind(program);
      desk.release();
    });
  });

  test("solvers, with what they solve on the host", async ({ backend }) => {
    const problem = { y0: [1], inputs: { rate: [0.5] }, tEval: [1] };
    await staysFlat(backend, SOLVERS, async () => {
      using solver = new OdeSolver(backend, DECAY, {
        ...METHOD,
        dt0: 1,
        reverse: { wrt: ["rate"], throughStepSizeControl: false },
      });
      const { gradients } = await solver.vjp(problem, (_, ys) => ys);
      assert.ok(gradients.y0[0]! !== 0);
    });
  });

  test("adjoint equations and solvers of the host", async ({ backend }) => {
    const rate = backend.buffer("rate", 1);
    const program = vjpProgram(DECAY, ["rate"]);
    const inputs = { samples: 1, tStart: [0], states: {}, parameters: { rate } };
    await staysFlat(backend, FIELDS, () => {
      const field = new AdjointField(backend, DECAY, program, { wrt: ["rate"], joint: false }, inputs);
      field.dispose();
    });
    const solver = new ExternalSolver(backend, 1, METHOD, true);
    const problem = { rhs: async () => new Float32Array(1), samples: 1, y0: [1], tStart: [0], tEnd: [1], tEval: [[1]] };
    await staysFlat(backend, SOLVERS, async () => {
      await solver.solve({ ...problem, dt0: [1] });
    });
    rate.release();
  });

  test("what cannot be made because the device has no memory left", async ({ backend }) => {
    let left = 0;
    const buffer: Backend["buffer"] = (...args) => {
      if (left-- <= 0) throw new RangeError("no memory");
      return backend.buffer(...args);
    };
    const poor = variant(backend, { buffer });
    const rate = backend.buffer("rate", 1);
    const program = vjpProgram(DECAY, ["rate"]);
    const inputs = { samples: 3, tStart: [0, 0, 0], states: {}, parameters: { rate } };
    const before = held(backend);
    let refused = 0;
    for (let room = 0; room < 40; room++) {
      left = room;
      try {
        new AdjointField(poor, DECAY, program, { wrt: ["rate"], joint: false }, inputs).dispose();
      } catch (error) {
        assert.instance(error, RangeError);
        refused++;
      }
      left = room;
      using solver = new OdeSolver(poor, DECAY, { ...METHOD, dt0: 1, reverse: null });
      const solve = solver.solve({ y0: [1], inputs: { rate }, tEval: [1] });
      await solve.catch((error: unknown) => assert.instance(error, RangeError));
    }
    assert.ok(refused > 10 && refused < 40, `${refused}`);
    assert.equal(held(backend), before);
    rate.release();
  });

  test("the comparison sees one buffer and one program more", ({ backend }) => {
    const before = held(backend);
    const desk = new Desk(backend, backend.layoutFor(1), "test");
    for (const name of ["x", "y"]) desk.state(name, 1);
    const withBuffers = held(backend);
    assert.not.equal(withBuffers, before);
    desk.bind(doubling());
    assert.not.equal(held(backend), withBuffers);
    desk.release();
    assert.equal(held(backend), before);
  });
}

forEachBackend("leaks", ["f64"], define);

onWebGpu("leaks", define);
