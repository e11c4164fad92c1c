// Runs test files on lavapipe, whose subgroups have 8 threads where SwiftShader's have 4: node scripts/testOnLavapipe.mjs [FILTER…]
// Where it cannot be had, says so and passes.

import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { lavapipe, Unavailable } from "./lavapipe.mjs";

const RUN = fileURLToPath(new URL("../dist/test/run.js", import.meta.url));
/** For one file, against a device that hangs: the longest takes 40 on an idle machine. */
const MOST_SECONDS = "180";
/** What depends on subgroups and on a device's arithmetic. LLVM compiles shaders slowly: the other files would take minutes each. */
const FILES = ["backend/webgpuRows", "backend/webgpuMath", "backend/webgpuErrors", "backend/webgpuAdapters"];

let found = null;
try {
  found = lavapipe();
} catch (error) {
  if (!(error instanceof Unavailable)) throw error;
  console.log(`# lavapipe: not available here (${error.message}); its tests SKIPPED`);
}
if (found) {
  const filters = process.argv.slice(2);
  const args = [RUN, ...(filters.length > 0 ? filters : ["--timeout", MOST_SECONDS, ...FILES])];
  // Its name for itself; no other device may take its place.
  const env = { ...process.env, ...found, AXOGRAD_ADAPTER: "llvmpipe" };
  process.exitCode = spawnSync(process.execPath, args, { env, stdio: "inherit" }).status ?? 1;
}
