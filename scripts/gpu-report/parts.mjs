// The parts of the report, in order of value: correctness, where the time goes, peers.

import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const PART = fileURLToPath(new URL("part.mjs", import.meta.url));

/** Names for --parts. */
export const PARTS = [
  "machine",
  "doctor",
  "check",
  "train",
  "products",
  "conformance",
  "step",
  "timeline",
  "discrete",
  "choices",
  "tuning",
  "ceilings",
  "start",
  "peers",
];

/** Parts that run on the large network. */
const ON_NETWORK = ["products", "step", "timeline", "discrete", "choices", "tuning", "start", "peers"];

/**
 * @param {{ parts: readonly string[], batches: readonly number[], network: object, quick: boolean, patience: number }} options
 *   patience: a factor of all time limits
 * @param {string} folder for data kept during the report: the network, the driver's caches
 * @param {string} rowsFile
 */
export function plannedParts(options, folder, rowsFile) {
  const { batches, network, quick, parts } = options;
  const planned = [
    entry("machine", "machine", "machine", 30),
    entry("machine", "equal adapters", "equalAdapters", 60),
    entry("doctor", "doctor", "command", 60, { subject: "doctor" }),
    entry("check", "check", "command", 120, { subject: "check" }),
    entry("train", "train, 20 steps on the GPU and on the CPU", "train", 120),
    entry("network", "network", "makeNetwork", 120, { network }),
    entry("products", "sparse products at full size", "products", 120),
    entry("conformance", "conformance, instruction by instruction", "conformance", 240),
    ...batches.flatMap((batch) => [
      entry("start", `start, batch ${batch}, cold`, "start", 90, { batch, cache: `batch-${batch}` }),
      entry("step", `training step, batch ${batch}`, "step", 90, { batch, cache: `batch-${batch}` }),
      entry("timeline", `the host in a step, batch ${batch}`, "timeline", 60, { batch, cache: `batch-${batch}` }),
    ]),
    ...batches.map((batch) => entry("discrete", `step in discrete time, batch ${batch}`, "discrete", 120, { batch })),
    ...batches.map((batch) =>
      entry("choices", `choices of the user, batch ${batch}`, "choices", 120, { batch, cache: `batch-${batch}` }),
    ),
    entry("machine", "clocks after the steps", "clocks", 30),
    ...batches.map((batch) => entry("tuning", `tuning, batch ${batch}`, "tuning", 120, { batch })),
    entry("ceilings", "ceilings of memory", "ceilings", 60),
    entry("ceilings", "costs of dispatch, submit and map", "overheads", 60),
    entry("start", `pipelines all at once, batch ${batches[0]}, cold`, "compile", 90, {
      batch: batches[0],
      cache: "compile",
    }),
    entry("peers", "peers on the same card", "peers", 300),
  ];
  const isWanted = ({ part }) =>
    parts.includes(part) || (part === "network" && parts.some((name) => ON_NETWORK.includes(name)));
  return planned.filter(isWanted).map(({ part, title, module, limitS, cache = "shared", ...facts }) => {
    const job = { part, title, rowsFile, folder: join(folder, "network"), batches, quick, ...facts };
    const node = [process.execPath, "--max-old-space-size=16384", PART, module];
    const command = (seconds) => [...node, JSON.stringify({ ...job, limitS: seconds })];
    const env = driverCache(join(folder, cache));
    return { part, title, limitS: options.patience * limitS, command, env };
  });
}

function entry(part, title, module, limitS, facts = {}) {
  return { part, title, module, limitS, ...facts };
}

/** NVIDIA's driver caches compiled shaders: an empty folder makes a cold start, the same folder again a warm one. */
function driverCache(folder) {
  mkdirSync(folder, { recursive: true });
  return { __GL_SHADER_DISK_CACHE_PATH: folder };
}
