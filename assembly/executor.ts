// Runs an image: the steps of a program, one after another, on all threads. Every thread executes the same list and picks its share.

import * as isa from "../src/backend/wasm/isa";
import { barrier, failed, waitWhile } from "./barrier";
import { execute } from "./interpreter";
import { combine } from "./reduce";

/** Milliseconds of a steady clock; called only while profiling. */
declare function now(): f64;

/** Takes modules of generated code from the host until the thread has `count` of them. */
declare function install(count: u32): void;

/** Thread 0: runs the image, with the workers if it has parallel steps. False when a thread has failed. */
export function submit<T>(control: usize, image: usize): bool {
  if (load<u32>(image, isa.IMAGE_PARALLEL) !== 0) {
    store<u32>(control, <u32>image, isa.CONTROL_IMAGE);
    atomic.add<u32>(control, 1, isa.CONTROL_JOB);
    atomic.notify(control + isa.CONTROL_JOB);
  }
  return runImage<T>(control, image, 0);
}

/** A worker: runs its share of job after job; returns when a thread has failed. */
export function workerLoop<T>(control: usize, thread: usize): void {
  let job: u32 = 0;
  let modules: u32 = 0;
  for (;;) {
    waitWhile(control + isa.CONTROL_JOB, job);
    job++;
    if (failed(control)) return;
    const made = load<u32>(control, isa.CONTROL_MODULES);
    if (made !== modules) install(made);
    modules = made;
    if (!runImage<T>(control, <usize>load<u32>(control, isa.CONTROL_IMAGE), thread)) return;
  }
}

function runImage<T>(control: usize, image: usize, thread: usize): bool {
  const nSteps = <usize>load<u32>(image, isa.IMAGE_STEPS);
  const scratch = <usize>load<u32>(image, isa.IMAGE_SCRATCH) + thread * load<u32>(image, isa.IMAGE_SCRATCH_BYTES);
  const profile = thread === 0 ? <usize>load<u32>(control, isa.CONTROL_PROFILE) : 0;
  let step = image + isa.IMAGE_HEADER_BYTES;
  for (let i: usize = 0; i < nSteps; i++, step += isa.STEP_BYTES) {
    const begin = profile !== 0 ? now() : 0;
    if (!runStep<T>(control, image, step, thread, scratch)) return false;
    if (profile !== 0) addTime(profile + ((<usize>load<u32>(step, isa.STEP_PROFILE)) << 4), now() - begin);
  }
  return true;
}

/** Adds to a pair of doubles: milliseconds, runs. */
function addTime(entry: usize, ms: f64): void {
  store<f64>(entry, load<f64>(entry) + ms);
  store<f64>(entry, load<f64>(entry, 8) + 1, 8);
}

function runStep<T>(control: usize, image: usize, step: usize, thread: usize, scratch: usize): bool {
  switch (load<i32>(step, isa.STEP_KIND)) {
    case isa.KIND_PARALLEL:
      runShared<T>(control, image, step, thread, scratch);
      return true;
    case isa.KIND_SERIAL:
      if (thread === 0) runAlone<T>(image, step, scratch);
      return true;
    case isa.KIND_BARRIER:
      return barrier(control);
    case isa.KIND_COMBINE:
      if (thread === 0) runCombine<T>(step);
      return true;
    default:
      return unreachable();
  }
}

/** A phase on thread 0 alone. */
function runAlone<T>(image: usize, step: usize, scratch: usize): void {
  const nTiles = <usize>load<u32>(image + load<u32>(step, isa.STEP_RANGES), 4);
  runPrologue<T>(image, step, scratch);
  runTiles<T>(image, step, 0, nTiles, scratch);
}

/**
 * A phase on all threads. A thread takes its own share in pieces, then pieces of the others' shares, so a thread that is late because its
 * core had other work delays the others little. Pieces are an eighth of what is left, so that in the end no thread waits for more than a
 * tile. Results do not depend on which thread computes a tile.
 */
function runShared<T>(control: usize, image: usize, step: usize, thread: usize, scratch: usize): void {
  const threads = <usize>load<u32>(control, isa.CONTROL_THREADS);
  const ranges = image + load<u32>(step, isa.STEP_RANGES);
  runPrologue<T>(image, step, scratch);
  for (let i: usize = 0; i < threads; i++) {
    const owner = thread + i < threads ? thread + i : thread + i - threads;
    const begin = <usize>load<u32>(ranges + (owner << 2));
    const end = <usize>load<u32>(ranges + (owner << 2), 4);
    const taken = control + owner * isa.CONTROL_LINE;
    for (;;) {
      const next = begin + atomic.load<u32>(taken, isa.CONTROL_TAKEN);
      if (next >= end) break;
      const piece = max<usize>(1, (end - next) >> 3);
      const tile = begin + atomic.add<u32>(taken, <u32>piece, isa.CONTROL_TAKEN);
      if (tile >= end) break;
      runTiles<T>(image, step, tile, min<usize>(tile + piece, end), scratch);
    }
  }
}

/** What does not depend on the row: once per thread, on one whole tile. */
function runPrologue<T>(image: usize, step: usize, scratch: usize): void {
  const rows = min<usize>(load<u32>(step, isa.STEP_TILE_ROWS), load<u32>(step, isa.STEP_ROWS));
  const prologue = image + load<u32>(step, isa.STEP_PROLOGUE);
  const end = prologue + load<u32>(step, isa.STEP_PROLOGUE_COUNT) * isa.INSTR_BYTES;
  for (let at = prologue; at < end; at += isa.INSTR_BYTES) execute<T>(at, 0, 0, rows, scratch);
}

/** The instructions of a phase, on one tile after another. */
function runTiles<T>(image: usize, step: usize, tile: usize, endTile: usize, scratch: usize): void {
  const rows = <usize>load<u32>(step, isa.STEP_ROWS);
  const tileRows = <usize>load<u32>(step, isa.STEP_TILE_ROWS);
  const body = image + load<u32>(step, isa.STEP_BODY);
  const end = body + load<u32>(step, isa.STEP_BODY_COUNT) * isa.INSTR_BYTES;
  for (; tile < endTile; tile++) {
    const firstRow = tile * tileRows;
    const n = min<usize>(tileRows, rows - firstRow);
    for (let at = body; at < end; at += isa.INSTR_BYTES) execute<T>(at, tile, firstRow, n, scratch);
  }
}

function runCombine<T>(step: usize): void {
  combine<T>(
    <usize>load<u32>(step, isa.STEP_TARGET),
    <usize>load<u32>(step, isa.STEP_PARTIALS),
    <usize>load<u32>(step, isa.STEP_ROWS),
    <usize>load<u32>(step, isa.STEP_WIDTH),
    load<i32>(step, isa.STEP_HOW),
    load<u32>(step, isa.STEP_ACCUMULATE) !== 0,
  );
}
