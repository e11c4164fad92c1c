// Peers on the same card and network: bench/peers/cuda_peers.py, if there is a Python with PyTorch.

import { spawnSync } from "node:child_process";
import { PEERS } from "../archive.mjs";

/** Seconds of overhead, mostly for loading PyTorch. */
const MARGIN_S = 15;
/** Tests for PyTorch without loading it. */
const HAS_TORCH = "import importlib.util, sys; sys.exit(importlib.util.find_spec('torch') is None)";

export function run({ batches, folder, rowsFile, limitS, row }) {
  const python = process.env.AXOGRAD_PYTHON ?? "python3";
  const { status: missing, error } = spawnSync(python, ["-c", HAS_TORCH]);
  if (missing !== 0) {
    row({ name: "peers", skipped: error ? `no ${python}` : `${python} has no PyTorch` });
    return;
  }
  const args = ["--network", folder, "--rows", rowsFile, "--batches", batches.join(","), "--budget", limitS - MARGIN_S];
  const { status, signal } = spawnSync(python, [PEERS, ...args.map(String)], { stdio: "inherit" });
  if (status !== 0) throw new Error(`${PEERS}: ${signal ?? `exit code ${status}`}`);
}
