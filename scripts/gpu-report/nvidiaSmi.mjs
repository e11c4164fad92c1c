// Clocks, power and temperature as NVIDIA's own tool tells them, where it is there.

import { spawnSync } from "node:child_process";

const QUERY = [
  ...["name", "driver_version", "pstate", "clocks.sm", "clocks.mem", "clocks.max.sm", "clocks.max.mem"],
  ...["power.draw", "power.limit", "temperature.gpu", "memory.total"],
].join(",");

/** @returns facts of a row */
export function nvidiaSmi() {
  const args = [`--query-gpu=${QUERY}`, "--format=csv,noheader"];
  const { status, stdout, error } = spawnSync("nvidia-smi", args, { encoding: "utf8" });
  if (error) return { skipped: `not there (${error.code})` };
  return status === 0 ? { query: QUERY, text: stdout.trim() } : { error: `exit code ${status}` };
}
