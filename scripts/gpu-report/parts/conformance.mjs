// The WebGPU part of the test suite on the chosen adapter, file by file: each instruction in each layout against an interpreter in f64,
// elementary functions, equal bits twice and in any batch, gradients, solvers, training.

import { availableParallelism } from "node:os";
import { join } from "node:path";
import { FAILURE_NOTE } from "../../../dist/test/support/note.js";
import { runTestFile } from "../../../dist/test/support/testProcess.js";
import { TESTS } from "../archive.mjs";

/** Files that compile most come first, then the others from short to long. A test finds those that open a device and are missing. */
export const FILES = [
  "backend/webgpu",
  "autodiff/webgpu",
  "autodiff/simplify",
  "models/lightConeRandom",
  "backend/webgpuMath",
  "backend/webgpuErrors",
  "backend/webgpuAdapters",
  "backend/webgpuGather",
  "backend/webgpuRows",
  "backend/webgpuTuning",
  "backend/webgpuContraction",
  "backend/webgpuBatch",
  "backend/desk",
  "ode/webgpu",
  "ode/hostSolver",
  "ode/leaks",
  "ode/overlappingSolves",
  "models/steps",
  "models/lightCone",
  "models/losses",
  "models/readouts",
  "models/gated",
  "models/interventions",
  "models/interventionsInTime",
  "models/interventionsRemoved",
  "models/evaluation",
  "models/probe",
  "models/sharedNetwork",
  "models/withoutConnections",
  "models/refusedNumbers",
  "models/failure",
  "models/leaks",
  "models/overlappingCalls",
  "train/webgpu",
  "train/optimizerFormulas",
  "train/parameterElements",
  "train/parameterGroups",
  "train/parameterPenalties",
  "check/crossCheck",
].map((name) => `${name}.test.js`);
/** Files that open a device, too, but would say nothing about a card, and why. */
export const LEFT_OUT = {
  "backend/checkBuffers": "what is refused before a device has work",
  "backend/checkProgram": "what is refused before a device has work",
  "backend/equalAdapters": "copies of a software adapter",
  "backend/tapeBudget": "arithmetic about memory",
  "backend/webgpuToggles": "names of toggles",
  "bench/gpuReport": "tests this report",
  "cli/openRun": "commands; parts check and train run them",
  "cli/webgpu": "commands; parts check and train run them",
  "explain/explain": "text of shaders",
  "cli/tune": "a command; part tuning runs what it does",
  "goldens/webgpu": "needs files that the archive lacks",
  "profile/stepProfile": "counts of work; part step has times",
  "run/baseline": "commands; models/gated has their networks",
  "run/memoryPlan": "memory on an imagined device",
  "run/rankAdapter": "ranks on one adapter",
  "run/rehearsal": "memory on an imagined device",
};
const QUICK_FILES = ["backend/webgpu.test.js", "backend/webgpuMath.test.js", "backend/webgpuBatch.test.js"];
/** Files at a time: most of their time is compiling, on one thread each. */
const WORKERS = Math.max(3, Math.floor(availableParallelism() / 2));
const MOST_OUTPUT = 4000;
/** Reserved for the rows of files that are cut off, so that the part itself is not. */
const MARGIN_S = 1;
const LEAST_SECONDS = 1;

export async function run({ quick, limitS, row }) {
  const waiting = (quick ? QUICK_FILES : FILES).values();
  const worker = async () => {
    // All workers share one iterator, so each takes the next file.
    for (const file of waiting) {
      // Counted from the start of this process, like the limit. A file may take all the time left.
      const leftS = limitS - MARGIN_S - performance.now() / 1000;
      row({
        name: file,
        ...(leftS < LEAST_SECONDS ? { error: "not reached: no time left" } : await runFile(file, leftS)),
      });
    }
  };
  await Promise.all(Array.from({ length: WORKERS }, worker));
}

async function runFile(file, limitS) {
  const failures = [];
  const result = await runTestFile(join(TESTS, file), limitS, (note) => {
    if (!note.startsWith(FAILURE_NOTE)) return;
    failures.push(note.slice(FAILURE_NOTE.length));
    console.log(`   ${file}: ${note}`);
  });
  const { passed: count, skipped, seconds, problem, notes, output } = result;
  const passed = result.failed === 0;
  if (!passed) console.log(output);
  // A file that was cut off failed as a whole; of its tests only the reported ones failed.
  const failed = problem === null ? result.failed : failures.length;
  return {
    ...{ passed, count, failed, skipped, seconds, problem, failures, notes },
    output: passed ? null : output.slice(-MOST_OUTPUT),
  };
}
