// A desk: what it makes once, what it moves between host and device, and that it gives everything back.

import type { Test } from "uvu";
import * as assert from "uvu/assert";
import { Graph } from "../../src/autodiff/graph.ts";
import { lower } from "../../src/autodiff/lower.ts";
import type { Backend, BoundProgram } from "../../src/backend/backend.ts";
import { Desk, Desks } from "../../src/backend/desk.ts";
import type { Program } from "../../src/backend/program.ts";
import type { WebGpuBackend } from "../../src/backend/webgpu/backend.ts";
import { floatArray } from "../../src/core/dtype.ts";
import { fails } from "../io/fixtures.ts";
import { forEachBackend, type WithBackend } from "../support/backends.ts";
import { onWebGpu } from "../support/onWebGpu.ts";

const ROWS = 3;
/** One lane of a panel stays without a sample. */
const SAMPLES = 3;

/** y = scale·x, and the sum of y over all lanes. */
function scaling(): Program {
  const g = new Graph();
  const y = g.ops.mul(g.row("scale", ROWS), g.state("x", ROWS));
  g.store("y", y);
  g.store("total", g.ops.reduceLanes(g.ops.reduceRows(y)));
  return lower(g, "scaling");
}

function deskOf(backend: Backend): Desk {
  return new Desk(backend, backend.layoutFor(SAMPLES), "test");
}

/** What the device holds. */
function held(backend: Backend) {
  const { bytes, liveBuffers, livePrograms } = backend.memory();
  const gpu = backend.name === "webgpu" ? { gpuBuffers: (backend as WebGpuBackend).counts().liveBuffers } : {};
  return { bytes, liveBuffers, livePrograms, ...gpu };
}

function define(test: Test<WithBackend>): void {
  test("a buffer is made at its first use and found again by name", async ({ backend }) => {
    const desk = deskOf(backend);
    const state = desk.state("x", ROWS);
    assert.is(desk.state("x", ROWS), state);
    assert.is(state.length, ROWS * desk.lanes);
    assert.is(desk.sample("t").length, desk.lanes);
    assert.is(desk.vector("index", 2, "u32").type, "u32");
    assert.equal(Object.keys(desk.vectors("set", { a: 1, b: 2 })), ["a", "b"]);
    assert.is(desk.vectors("set", { a: 1 }).a, desk.vector("set a", 1));
    await fails(() => desk.state("x", ROWS + 1), "shape", /test: expected .*x/);
    await fails(() => desk.vector("index", 2), "shape", /u32/);
    desk.release();
  });

  test("samples go to the device and come back, in the order of the host", async ({ backend }) => {
    const desk = deskOf(backend);
    const data = Float64Array.from({ length: 5 * ROWS }, (_, i) => i + 1);
    const state = desk.put(desk.state("x", ROWS), data, { first: 2, count: SAMPLES });
    assert.equal([...(await desk.read(state, SAMPLES))], [...data.subarray(2 * ROWS)]);
    const whole = await desk.take(state, new Float64Array(data.length), { first: 2, count: SAMPLES });
    assert.equal([...whole], [...data.map((x, i) => (i < 2 * ROWS ? 0 : x))]);
    // Rows first.
    const at = (sample: number, row: number) => row * 5 + sample;
    desk.put(state, data, { count: SAMPLES, at });
    assert.equal([...(await desk.read(state, 1))], [1, 6, 11]);
    const transposed = await desk.take(state, new Float64Array(data.length), { count: SAMPLES, at });
    assert.equal([...transposed], [...data.map((x, i) => (i % 5 < SAMPLES ? x : 0))]);
    desk.release();
  });

  test("lanes without a sample repeat the last one or hold zeros", async ({ backend }) => {
    const desk = deskOf(backend);
    const ones = new Float64Array(SAMPLES * ROWS).fill(1);
    const sum = async () => Array.from(await backend.download(desk.state("x", ROWS))).reduce((s, x) => s + x, 0);
    desk.put(desk.state("x", ROWS), ones, { count: SAMPLES });
    assert.is(await sum(), desk.lanes * ROWS);
    desk.put(desk.state("x", ROWS), ones, { count: SAMPLES }, "zero");
    assert.is(await sum(), SAMPLES * ROWS);
    desk.release();
  });

  test("a frame is one of several states in a buffer", async ({ backend }) => {
    const desk = deskOf(backend);
    const frames = desk.state("frames", 2 * ROWS);
    const data = Float64Array.from({ length: SAMPLES * ROWS }, (_, i) => i + 1);
    const frame = (index: number) => ({ count: SAMPLES, frame: { index, rows: ROWS } });
    desk.put(frames, data, frame(1));
    const zeros = floatArray(backend.dtype, data.length);
    assert.equal([...(await desk.take(frames, zeros.slice(), frame(0)))], [...zeros]);
    assert.equal([...(await desk.take(frames, zeros.slice(), frame(1)))], [...data]);
    desk.release();
  });

  test("constants are uploaded where they change", async ({ backend }) => {
    const desk = deskOf(backend);
    const t = desk.sample("t");
    for (const factor of [2, 2, 3]) {
      desk.setSamples(t, SAMPLES, (sample) => factor * sample);
      const last = factor * (SAMPLES - 1);
      const expected = Array.from({ length: desk.lanes }, (_, lane) => Math.min(factor * lane, last));
      assert.equal([...(await backend.download(t))], expected);
    }
    desk.set(desk.vector("table", 3), (k) => k * k);
    assert.equal([...(await backend.download(desk.vector("table", 3)))], [0, 1, 4]);
    desk.release();
  });

  test("a program is bound once to each set of buffers", async ({ backend }) => {
    const desk = deskOf(backend);
    const program = desk.program("scaling", scaling);
    assert.is(desk.program("scaling", scaling), program);
    backend.fill(desk.vector("scale", ROWS), 2);
    backend.fill(desk.state("x", ROWS), 1);
    desk.state("y", ROWS);
    desk.vector("total", 1);
    desk.run(program);
    const before = held(backend);
    desk.run(program);
    desk.run(program, { scale: desk.vector("scale", ROWS), other: null });
    assert.equal(held(backend), before, "the second run makes nothing");
    assert.equal([...(await desk.read(desk.state("y", ROWS), 1))], [2, 2, 2]);
    assert.equal([...(await backend.download(desk.vector("total", 1)))], [2 * ROWS * desk.lanes]);
    const z = desk.state("z", ROWS);
    desk.run(program, { y: z });
    assert.equal([...(await desk.read(z, 1))], [2, 2, 2]);
    assert.is(held(backend).livePrograms, before.livePrograms + 1);
    desk.release();
  });

  test("a binding without a buffer is named", async ({ backend }) => {
    const desk = deskOf(backend);
    desk.state("x", ROWS);
    await fails(() => desk.run(scaling()), "argument", /test: expected a row for scaling, got nothing \(scale\)/);
    desk.release();
    await fails(() => desk.run(scaling()), "released", /test/);
  });

  test("the first buffer of a name is bound: of those given, then of the desk", async ({ backend }) => {
    const desk = deskOf(backend);
    backend.fill(desk.vector("scale", ROWS), 2);
    backend.fill(desk.vector("other scale", ROWS), 3);
    backend.fill(desk.state("x", ROWS), 1);
    desk.vector("total", 1);
    const [y, z] = [desk.state("y", ROWS), desk.state("z", ROWS)];
    const program = desk.program("scaling", scaling);
    desk.run(program, { y: z, scale: null }, { y, scale: desk.vector("other scale", ROWS) });
    assert.equal([...(await desk.read(z, 1))], [3, 3, 3]);
    assert.equal([...(await desk.read(y, 1))], [0, 0, 0]);
    desk.release();
  });

  test("a part has as many samples as there are lanes at most", async ({ backend }) => {
    const desk = deskOf(backend);
    const x = desk.state("x", ROWS);
    const data = new Float64Array((desk.lanes + 1) * ROWS);
    for (const count of [0, desk.lanes + 1]) {
      await fails(() => desk.put(x, data, { count }), "shape", /packState: expected 1 to 4, got \d \(samples\)/);
      await fails(() => desk.take(x, data, { count }), "shape", /unpackState: .*samples/);
    }
    desk.release();
  });

  test("programs on buffers that do not come back are released", ({ backend }) => {
    const desk = deskOf(backend);
    const program = scaling();
    desk.vector("scale", ROWS);
    desk.state("y", ROWS);
    desk.vector("total", 1);
    const most = () => {
      let programs = 0;
      for (let round = 0; round < 200; round++) {
        desk.nextRound();
        const x = backend.buffer("x", ROWS * desk.lanes);
        desk.run(program, { x });
        x.release();
        programs = Math.max(programs, backend.memory().livePrograms);
      }
      return programs;
    };
    assert.is(most(), most());
    desk.release();
    assert.is(backend.memory().livePrograms, 0);
  });

  test("release gives everything back, and nothing can be made afterwards", async ({ backend }) => {
    const before = held(backend);
    const desks = new Desks(backend, "test");
    const [one, other] = [desks.of(backend.layoutFor(1), 2), desks.of(backend.layoutFor(1), 3)];
    assert.is.not(one, other);
    assert.is.not(one.key, other.key);
    assert.is(desks.of(backend.layoutFor(1), 2), one);
    let isReleased = 0;
    one.own({ release: () => isReleased++ });
    for (const desk of [one, other]) {
      desk.vector("scale", ROWS);
      for (const name of ["x", "y"]) desk.state(name, ROWS);
      desk.vector("total", 1);
      desk.run(desk.program("scaling", scaling));
    }
    const bound: BoundProgram = one.bind(one.program("scaling", scaling));
    desks.release();
    one.release();
    assert.equal(held(backend), before);
    assert.is(isReleased, 1);
    await fails(() => backend.run(bound), "released");
    await fails(() => one.state("x", ROWS), "released", /test/);
    assert.is.not(desks.of(backend.layoutFor(1), 2), one);
    desks.release();
  });

  test("running again asks the device for nothing but the run", ({ backend }) => {
    const calls: string[] = [];
    const watched = new Proxy(backend, {
      get(target, key) {
        const value: unknown = Reflect.get(target, key);
        if (typeof value !== "function") return value;
        return (...args: unknown[]) => {
          calls.push(String(key));
          return value.apply(target, args);
        };
      },
    });
    const desk = deskOf(watched);
    const data = new Float64Array(SAMPLES * ROWS);
    const step = () => {
      desk.nextRound();
      desk.vector("scale", ROWS);
      desk.put(desk.state("x", ROWS), data, { count: SAMPLES });
      desk.run(desk.program("scaling", scaling), { y: desk.state("y", ROWS), total: desk.vector("total", 1) });
    };
    step();
    assert.ok(calls.includes("bind") && calls.includes("buffer"), "the first time makes what it needs");
    for (let k = 0; k < 300; k++) {
      calls.length = 0;
      step();
      assert.equal(calls, ["upload", "run"]);
    }
    desk.release();
  });
}

forEachBackend("desk", ["f64", "f32"], define);

onWebGpu("desk", define);
