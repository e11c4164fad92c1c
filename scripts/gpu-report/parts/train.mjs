// The first steps of a training on the GPU and on the CPU, whose losses must agree.

import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { axograd, CONNECTOME, DIGITS } from "../archive.mjs";

const TRAINING = [
  ...["--connectome", CONNECTOME, "--data", DIGITS, "--steps", "20", "--batch-size", "8"],
  ...["--validation-samples", "0", "--test-samples", "0", "--calibration", "64", "--no-report"],
];

/** Relative bound of a loss: rounding in f32, amplified over 20 steps. */
const MOST_DIFFERENCE = 1e-4;

export function run({ row }) {
  const folder = mkdtempSync(join(tmpdir(), "gpu-report-"));
  try {
    const [webgpu, wasm] = ["webgpu", "wasm"].map((device) => lossesOn(device, folder));
    const difference = Math.max(...webgpu.map((loss, k) => Math.abs(loss / wasm[k] - 1)));
    const passed = webgpu.length === wasm.length && webgpu.length > 0 && difference < MOST_DIFFERENCE;
    row({ name: "train", passed, difference, webgpu, wasm });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function lossesOn(device, folder) {
  const [command, args] = axograd(["train", ...TRAINING, "--device", device, "--out", join(folder, device), "--json"]);
  const { status, stdout, stderr } = spawnSync(command, args, { encoding: "utf8", maxBuffer: 2 ** 28 });
  if (status !== 0) throw new Error(`${device}: exit code ${status}: ${stderr.trim()}`);
  const events = stdout
    .split("\n")
    .filter(Boolean)
    .map((line) => JSON.parse(line));
  return events.filter(({ event }) => event === "step").map(({ loss }) => loss);
}
