// What runs left, for comparisons of their bits.

import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { loadCheckpoint } from "../../src/train/checkpoint.ts";
import { jsonLines, type Line } from "./process.ts";

/** Of all numbers of the last checkpoint of a run: parameters, moments, statistics. */
export async function numbersOf(run: string): Promise<string> {
  const { tensors } = await loadCheckpoint(join(run, "checkpoint.safetensors"));
  const hash = createHash("sha256");
  for (const [name, { data }] of tensors) hash.update(name).update(data as Float32Array);
  return hash.digest("hex");
}

export async function linesOf(run: string): Promise<Line[]> {
  return jsonLines(await readFile(join(run, "metrics.jsonl"), "utf8"));
}

/** Steps and evaluations without their times. */
export async function metricsOf(run: string): Promise<unknown[]> {
  const lines = (await linesOf(run)).filter(({ event }) => event === "step" || event === "evaluation");
  return lines.map(({ seconds, stepsPerSecond, eta, exchangeSeconds, ...rest }) => rest);
}
