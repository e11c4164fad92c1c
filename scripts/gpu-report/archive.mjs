// Paths in the archive (scripts/packGpu.mjs).

import { fileURLToPath } from "node:url";

const at = (path) => fileURLToPath(new URL(path, import.meta.url));

/** The built tests. */
export const TESTS = at("../../dist/test");
export const PEERS = at("../../bench/peers/cuda_peers.py");
/** Beside the library. */
export const CONNECTOME = at("../../../data/connectome.npz");
export const DIGITS = at("../../../data/digits");

/** The packed commit; missing in a checkout. */
export const COMMIT = at("../../COMMIT");

/** The command line of axograd with these arguments: an executable and its arguments. */
export function axograd(args) {
  return [process.execPath, [at("../../dist/src/cli/main.js"), ...args]];
}
