// Where things lie in the archive (scripts/packGpu.mjs).

import { fileURLToPath } from "node:url";

const at = (path) => fileURLToPath(new URL(path, import.meta.url));

/** The built tests. */
export const TESTS = at("../../dist/test");
export const PEERS = at("../../bench/peers/cuda_peers.py");
/** Beside the library. */
export const CONNECTOME = at("../../../data/connectome.npz");
export const DIGITS = at("../../../data/digits");

/** The commit that was packed; not there in a checkout. */
export const COMMIT = at("../../COMMIT");

/** The command line of axograd with these arguments: an executable and what it gets. */
export function axograd(args) {
  return [process.execPath, [at("../../dist/src/cli/main.js"), ...args]];
}
