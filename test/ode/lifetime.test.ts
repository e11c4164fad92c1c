// Work that is broken off by a signal, and what is given back: solvers and models stay usable after an abort, bound programs that no
// solve uses any more are released, and `using` releases the rest.

import * as assert from "uvu/assert";
import type { Backend } from "../../src/backend/backend.ts";
import type { OdeSystem } from "../../src/ode/method.ts";
import type { SolveRequest } from "../../src/ode/request.ts";
import { OdeSolver } from "../../src/ode/solve.ts";
import { dopri5 } from "../../src/ode/tableaus/dopri5.ts";
import { fails } from "../io/fixtures.ts";
import { forEachBackend } from "../support/backends.ts";
import { patches, patchSamples, tinyClassifier, tinyTraining } from "../train/fixtures.ts";
import { INTEGRAL } from "./harness.ts";

const METHOD = { tableau: dopri5, controller: INTEGRAL, maxSteps: 1000 };

const DECAY: OdeSystem = { rows: 1, rhs: (g, _, y) => g.ops.mul(-1, y) };

/** dy/dt = −y from y = 1 at t = 0 to t = 1; buffers of its own. */
function decay(backend: Backend): { solver: OdeSolver; request: () => SolveRequest } {
  const solver = new OdeSolver(backend, DECAY, { ...METHOD, reverse: { wrt: [], throughStepSizeControl: true } });
  const layout = backend.layoutFor(1);
  const request = (): SolveRequest => {
    const y0 = backend.buffer("y0", layout.panel);
    backend.fill(y0, 1);
    const ys = [backend.buffer("y1", layout.panel)];
    return { layout, samples: 1, inputs: {}, y0, tStart: [0], tEnd: [1], tEval: [[1]], ys, record: true };
  };
  return { solver, request };
}

/** The reason that a promise is rejected with. */
async function reasonOf(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => assert.unreachable("expected a rejection"),
    (reason: unknown) => reason,
  );
}

forEachBackend("lifetime", ["f64"], (test) => {
  test("an aborted solve rejects with the signal's reason and leaves the solver usable", async ({ backend }) => {
    const { solver, request } = decay(backend);
    const early = AbortSignal.abort("early");
    assert.is(await reasonOf(solver.forward({ ...request(), signal: early })), "early");
    const controller = new AbortController();
    setImmediate(() => controller.abort("in between"));
    assert.is(await reasonOf(solver.forward({ ...request(), signal: controller.signal })), "in between");
    await fails(() => solver.reverse([null], {}, null), "not-recorded");
    const whole = { ...request(), signal: new AbortController().signal };
    const stats = await solver.forward(whole);
    assert.equal(stats.status, ["success"]);
    const [y] = await backend.download(whole.ys[0]!);
    assert.ok(Math.abs(y! - Math.exp(-1)) < 1e-3);
    solver.dispose();
  });

  test("models and trainer reject with the reason, and compute the same as before afterwards", async ({ backend }) => {
    const { model, trainer, dispose } = tinyTraining(backend);
    const images = patches(20);
    const input = { data: Float64Array.from(images.images, (p) => p / 255), batch: 20 };
    const { loss } = await model.gradients(input, images.labels, 1);
    const abort = (): { signal: AbortSignal } => {
      const controller = new AbortController();
      setImmediate(() => controller.abort("enough"));
      return { signal: controller.signal };
    };
    assert.is(await reasonOf(model.gradients(input, images.labels, 1, abort())), "enough");
    assert.is(await reasonOf(model.forward(input, abort())), "enough");
    assert.is(await reasonOf(model.rnn.forward(input, abort())), "enough");
    assert.is(await reasonOf(trainer.evaluate(patchSamples(20), abort())), "enough");
    assert.is((await model.gradients(input, images.labels, 1)).loss, loss);
    dispose();
  });

  test("solves with ever new buffers do not gather bound programs", async ({ backend }) => {
    let live = 0;
    let most = 0;
    const counted = new Proxy(backend, {
      get(target, key) {
        if (key !== "bind") {
          const value: unknown = Reflect.get(target, key);
          return typeof value === "function" ? value.bind(target) : value;
        }
        return (...args: Parameters<Backend["bind"]>) => {
          const bound = target.bind(...args);
          most = Math.max(most, ++live);
          const release = bound.release.bind(bound);
          bound.release = () => {
            live--;
            release();
          };
          return bound;
        };
      },
    });
    const { solver, request } = decay(counted);
    const solve = async (times: number): Promise<void> => {
      for (let k = 0; k < times; k++) {
        const own = request();
        await solver.forward(own);
        for (const buffer of [own.y0, ...own.ys]) buffer.release();
      }
    };
    await solve(200);
    const after200 = most;
    await solve(400);
    assert.is(most, after200, "three times as many solves hold as many programs");
    solver.dispose();
    assert.is(live, 0);
  });

  test("a released program does not run", async ({ backend }) => {
    const { solver, request } = decay(backend);
    const bound = backend.bind(backend.compile(solver.programs.dense, request().layout), {
      ...Object.fromEntries(
        solver.programs.dense.bindings
          .filter(({ temp }) => !temp)
          .map(({ name, kind }) => [name, backend.buffer(name, kind === "scalar" ? 1 : request().layout.panel)]),
      ),
    });
    backend.run(bound);
    bound.release();
    bound.release();
    await fails(() => backend.run(bound), "released", /released/);
    solver.dispose();
  });

  test("using releases what a model holds", async ({ backend }) => {
    const before = backend.memory().liveBuffers;
    {
      using model = tinyClassifier(backend);
      await model.forward({ data: new Float64Array(8), batch: 2 });
      assert.ok(backend.memory().liveBuffers > before);
    }
    assert.is(backend.memory().liveBuffers, before);
  });
});
