// Clocks right after work: those of a machine at rest say nothing about the times.

import { nvidiaSmi } from "../nvidiaSmi.mjs";

export function run({ row }) {
  row({ name: "nvidia-smi", when: "right after the steps", ...nvidiaSmi() });
}
