// The WebGPU part of the test suite on the chosen adapter, file by file: each instruction in each layout against an interpreter in f64,
// elementary functions, equal bits twice and in any batch, gradients, solvers, training.

import { join } from "node:path";
import { runTestFile } from "../../../dist/test/support/testProcess.js";
import { TESTS } from "../archive.mjs";

/** In the order of their value, should time run out. */
const FILES = [
  "backend/webgpu.test.js",
  "backend/webgpuBatch.test.js",
  "backend/webgpuMath.test.js",
  "autodiff/webgpu.test.js",
  "ode/webgpu.test.js",
  "train/webgpu.test.js",
  "backend/webgpuErrors.test.js",
];
const QUICK_FILES = FILES.slice(0, 3);
/** Files at a time: most of their time is compiling, on one thread each. */
const WORKERS = 3;
const MOST_OUTPUT = 4000;

export async function run({ quick, limitS, row }) {
  const waiting = (quick ? QUICK_FILES : FILES).values();
  const worker = async () => {
    // One iterator for all workers: each takes the next file that nobody has.
    for (const file of waiting) {
      const { passed, failed, skipped, seconds, problem, notes, output } = await runTestFile(
        join(TESTS, file),
        limitS / 2,
      );
      const facts = { count: passed, failed, skipped, seconds, problem, notes };
      row({ name: file, passed: failed === 0, ...facts, output: failed > 0 ? output.slice(-MOST_OUTPUT) : null });
      if (failed > 0) console.log(output);
    }
  };
  await Promise.all(Array.from({ length: WORKERS }, worker));
}
