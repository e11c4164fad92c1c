// Clocks right after work: clocks at rest say nothing about the times.

import { nvidiaSmi } from "../nvidiaSmi.mjs";

export function run({ row }) {
  row({ name: "nvidia-smi", when: "right after the steps", ...nvidiaSmi() });
}
