// What others do on the same card with the same network: bench/peers/cuda_peers.py, where there is a Python with PyTorch.

import { spawnSync } from "node:child_process";
import { PEERS } from "../archive.mjs";

/** Seconds that this process takes besides. */
const MARGIN_S = 5;

export function run({ batches, folder, rowsFile, limitS, row }) {
  const python = process.env.AXOGRAD_PYTHON ?? "python3";
  const probe = spawnSync(python, ["-c", "import torch; assert torch.cuda.is_available(), 'PyTorch sees no GPU'"], {
    encoding: "utf8",
  });
  if (probe.status !== 0) {
    const why = probe.error ? `no ${python}` : probe.stderr.trim().split("\n").at(-1);
    row({ name: "peers", skipped: why });
    return;
  }
  const args = ["--network", folder, "--rows", rowsFile, "--batches", batches.join(","), "--budget", limitS - MARGIN_S];
  const { status, signal } = spawnSync(python, [PEERS, ...args.map(String)], { stdio: "inherit" });
  if (status !== 0) throw new Error(`${PEERS}: ${signal ?? `exit code ${status}`}`);
}
