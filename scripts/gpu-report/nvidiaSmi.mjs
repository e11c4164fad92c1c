// Clocks, power and temperature from NVIDIA's tool, if it is installed.

import { execFile, spawnSync } from "node:child_process";

const QUERY = [
  ...["name", "driver_version", "pstate", "clocks.sm", "clocks.mem", "clocks.max.sm", "clocks.max.mem"],
  ...["power.draw", "power.limit", "temperature.gpu", "memory.total"],
].join(",");

function argumentsOf(query) {
  return [`--query-gpu=${query}`, "--format=csv,noheader"];
}

/** @returns facts of a row */
export function nvidiaSmi() {
  const { status, stdout, error } = spawnSync("nvidia-smi", argumentsOf(QUERY), { encoding: "utf8" });
  if (error) return { skipped: `not there (${error.code})` };
  return status === 0 ? { query: QUERY, text: stdout.trim() } : { error: `exit code ${status}` };
}

/** "00000000:65:00.0, 1234 MiB; …": memory in use of each card; null without the tool. */
export function nvidiaMemory() {
  const { status, stdout } = spawnSync("nvidia-smi", argumentsOf("pci.bus_id,memory.used"), { encoding: "utf8" });
  return status === 0 ? stdout.trim().replaceAll("\n", "; ") : null;
}

/** The clock of the multiprocessors of each card, e.g. "1980 MHz"; null without the tool. Asynchronous. */
export function smClock() {
  return new Promise((settle) => {
    execFile("nvidia-smi", argumentsOf("clocks.sm"), (error, stdout) => {
      settle(error ? null : stdout.trim().replaceAll("\n", " / "));
    });
  });
}
