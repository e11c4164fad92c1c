// Threads that meet often, that are more than the cores, and that die.

import type { Worker } from "node:worker_threads";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import type { Backend, BoundProgram, DeviceBuffer } from "../../src/backend/backend.ts";
import type { Program } from "../../src/backend/program.ts";
import { createWasmBackend, type WasmBackendOptions } from "../../src/backend/wasm/backend.ts";
import { BackendError } from "../../src/core/errors.ts";
import { assertBitEqual } from "../support/close.ts";
import { ProgramBuilder } from "../support/programBuilder.ts";

const test = suite("wasm threads");

const ROWS = 4096;
const HIDDEN = 64;

/** Phases that all threads share, and short ones in between: ten barriers in about a millisecond. */
function meetings(): Program {
  const b = new ProgramBuilder("meetings");
  const x = b.inout("x", "state", { rows: ROWS });
  const d = b.input("d", "dense", { rows: HIDDEN, cols: ROWS });
  const z = b.output("z", "state", { rows: HIDDEN });
  const norm = b.inout("norm", "sample");
  for (let i = 0; i < 3; i++) {
    b.phase(ROWS, (p) => {
      const next = p.op("sigmoid", p.load(x));
      p.store(x, next);
      p.push({ op: "reduceRows", binding: norm, value: next, how: "sum", accumulate: false });
    });
    b.phase(HIDDEN, (p) => {
      p.store(z, p.matmul(d, x));
    });
    b.phase(1, (p) => {
      p.store(norm, p.op("sqrt", p.load(norm)));
    });
  }
  return b.build();
}

interface Meeting {
  readonly bound: BoundProgram;
  readonly buffers: Readonly<Record<"x" | "d" | "z" | "norm", DeviceBuffer>>;
}

function bindMeetings(backend: Backend): Meeting {
  const layout = backend.layoutFor(4);
  const buffers = {
    x: backend.buffer("x", ROWS * 4),
    d: backend.buffer("d", HIDDEN * ROWS),
    z: backend.buffer("z", HIDDEN * 4),
    norm: backend.buffer("norm", 4),
  };
  backend.upload(
    buffers.d,
    Float32Array.from({ length: HIDDEN * ROWS }, (_, i) => Math.sin(i)),
  );
  backend.upload(
    buffers.x,
    Float32Array.from({ length: ROWS * 4 }, (_, i) => Math.cos(i)),
  );
  return { bound: backend.bind(backend.compile(meetings(), layout), buffers), buffers };
}

/** A backend, and the threads that Node has started for it. */
async function withWorkers(options: WasmBackendOptions): Promise<{ backend: Backend; workers: readonly Worker[] }> {
  const workers: Worker[] = [];
  const collect = (worker: Worker): void => void workers.push(worker);
  process.on("worker", collect);
  const backend = await createWasmBackend(options);
  process.off("worker", collect);
  return { backend, workers };
}

test("thousands of barriers with more threads than cores: nobody stays asleep, and the bits are those of one thread", async () => {
  const RUNS = 150;
  let expected: readonly ArrayLike<number>[] | null = null;
  for (const threads of [1, 2, 3, 8]) {
    const backend = await createWasmBackend({ threads, patienceMs: 20_000 });
    const { bound, buffers } = bindMeetings(backend);
    for (let run = 0; run < RUNS; run++) {
      backend.run(bound);
      // Now and then threads have the time to fall asleep, and memory grows under them.
      if (run % 50 === 49) await new Promise((done) => setTimeout(done, 20));
      if (run === RUNS / 2) backend.buffer("more", 2 ** 20);
    }
    const results = await Promise.all([buffers.z, buffers.norm].map((buffer) => backend.download(buffer)));
    expected ??= results;
    for (const [i, values] of results.entries()) assertBitEqual(values, expected[i]!, `${threads} threads`);
    await backend.dispose();
  }
});

test("a worker that dies while a run waits for it ends the run with an error instead of hanging", async () => {
  const { backend, workers } = await withWorkers({ threads: 3, patienceMs: 400 });
  assert.is(workers.length, 2);
  const { bound } = bindMeetings(backend);
  backend.run(bound);
  // The run begins before its end can be told to the caller's event loop.
  const ended = workers[0]!.terminate();
  const error = failureOf(() => {
    for (;;) backend.run(bound);
  });
  assert.is(error.code, "thread-failed");
  assert.match(error.message, /has not come in 0\.4 s/);
  assert.is(failureOf(() => backend.run(bound)).code, "thread-failed");
  await ended;
  await backend.dispose();
});

test("a worker that dies while idle is noticed before the next run", async () => {
  const { backend, workers } = await withWorkers({ threads: 2 });
  const { bound } = bindMeetings(backend);
  backend.run(bound);
  await workers[0]!.terminate();
  assert.match(failureOf(() => backend.run(bound)).message, /it ended/);
  await backend.dispose();
});

function failureOf(action: () => void): BackendError {
  try {
    action();
  } catch (error) {
    if (error instanceof BackendError) return error;
    throw error;
  }
  throw new Error("expected a BackendError, got none");
}

test.run();
