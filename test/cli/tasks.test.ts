// Ready-made tasks from the command line: one option is enough, training finds what there is to find, and known answers are known.

import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { configOf } from "../../src/cli/trainOptions.ts";
import { arraySamples } from "../../src/data/arraySamples.ts";
import type { TrainConfig } from "../../src/run/config.ts";
import { resolveConfig } from "../../src/run/configLayers.ts";
import { loadRunInputs } from "../../src/run/experiment.ts";
import { PRESETS } from "../../src/run/presets.ts";
import { taskOf } from "../../src/run/task.ts";
import { loadCheckpoint } from "../../src/train/checkpoint.ts";
import { tempDir } from "../io/fixtures.ts";
import { axograd, jsonLines, type Line } from "./process.ts";

const test = suite("axograd train, ready-made tasks");
const dir = tempDir();

const TASKS = ["addition", "text", "decision", "match"] as const;

/** Smaller networks, easier variants or fewer steps: each run takes two seconds. */
const SHORT: Readonly<Record<(typeof TASKS)[number], readonly string[]>> = {
  addition: ["--columns", "9", "--group-size", "16", "--steps", "150"],
  text: ["--columns", "5", "--group-size", "50", "--steps", "80"],
  decision: ["--columns", "5", "--steps", "40"],
  match: ["--columns", "5", "--data-options", "cues=2,delay=1", "--tau", "2", "--steps", "120"],
};

/** Events of a run, and the result on its test samples. */
async function train(
  out: string,
  ...args: readonly string[]
): Promise<{ lines: Line[]; loss: number; accuracy: number }> {
  const common = ["--threads", "1", "--device", "wasm", "--no-report", "--json", "--out", out];
  const { code, stdout, stderr } = await axograd(["train", ...args, ...common], { cwd: dir });
  assert.is(code, 0, stderr);
  const lines = jsonLines(stdout);
  const { loss, metrics } = lines.find(({ event, set }) => event === "evaluation" && set === "test")!;
  return { lines, loss: loss as number, accuracy: (metrics as { accuracy: number }).accuracy };
}

async function knownOf(config: TrainConfig) {
  const { samples } = await loadRunInputs(config);
  try {
    return samples.known!;
  } finally {
    await samples.release();
  }
}

test("data of a task choose its preset, unless another is given", async () => {
  for (const data of [...TASKS, "teacher", "motion"]) {
    assert.equal(await configOf({ data }), resolveConfig([{ preset: data }]), data);
    assert.is(PRESETS[data]!.recipe.data, data);
  }
  assert.is((await configOf({ data: "text", connectome: "a.npz" })).preset, "text");
  const other = await configOf({ data: "text", preset: "demo" });
  assert.equal([other.preset, other.data, other.time], ["demo", "text", "continuous"]);
  // Names of presets that are not those of data.
  assert.is((await configOf({ data: "retina" })).preset, "demo");
});

for (const name of TASKS) {
  test(`${name}: training gets far below chance, not below the best loss`, async () => {
    const { loss, accuracy } = await train(name, "--data", name, ...SHORT[name], "--test-samples", "1000");
    const given = name === "match" ? { dataOptions: { cues: 2, delay: 1 } } : {};
    const known = await knownOf(resolveConfig([{ preset: name, ...given }]));
    const chance = known.loss!.chance! - 0.2;
    const [worst, best] = [known.accuracy!.chance! + 0.1, known.loss!.best! - 0.05];
    assert.ok(loss < chance && loss > best, `${loss}: between ${best} and ${chance}`);
    assert.ok(accuracy > worst, `${accuracy}: above ${worst}`);
  });
}

test("decision: the preset gets near the ideal observer, above 95 %", async () => {
  const { accuracy } = await train("whole", "--preset", "decision");
  const { best } = (await knownOf(resolveConfig([{ preset: "decision" }]))).accuracy!;
  // 4,000 trials: the standard deviation of the ideal observer's accuracy is 0.14 %.
  assert.ok(accuracy > 0.95 && accuracy < best! + 4 * 0.0014, `${accuracy} of ${best}`);
});

test("inputs and means of groups are scaled; groups are disjoint", async () => {
  const config = resolveConfig([{ preset: "addition", columns: 7, groupSize: 8, inputScale: 2, headScale: 4 }]);
  const { projections, connectome } = await loadRunInputs(config);
  assert.is(connectome.csr.nRows, 7 * 7 * 14);
  const { inputProjection: input, outputProjection: output } = projections;
  assert.equal([input!.nnz, output!.nnz], [12 * 8, 19 * 8]);
  assert.ok(input!.values.every((w) => w === 2));
  assert.ok(output!.values.every((w) => w === 4 / 8));
  const isDriven = (i: number) => input!.rowPtr[i + 1]! > input!.rowPtr[i]!;
  assert.not.ok(Array.from(output!.colIdx).some(isDriven));
});

test("penalties on rates and chosen times reach the run", async () => {
  const small = ["--data", "addition", "--columns", "7", "--group-size", "8", "--steps", "1", "--test-samples", "8"];
  const given = ["--rate-l1", "0.5", "--rate-l2", "0.25", "--readout-times", "0,3", "--readout-average"];
  const { lines } = await train("penalised", ...small, ...given);
  const { penalties } = lines.find(({ event }) => event === "step")!;
  assert.equal(Object.keys(penalties as object), ["rate-l1", "rate-l2"]);
  for (const value of Object.values(penalties as Record<string, number>)) assert.ok(value > 0);
});

test("a positive weight reaches binary cross-entropy, which then has no known chance", async () => {
  const { train: set } = arraySamples({
    inputs: { data: new Float32Array(4), shape: [4, 1] },
    targets: { data: Float32Array.of(0, 1, 1, 0), shape: [4, 1] },
  });
  const chance = async (positiveWeight: number) => {
    const samples = { train: set, known: null, counts: null, centre: null };
    const config = { ...resolveConfig([]), loss: "binary-cross-entropy", positiveWeight } as const;
    const { loss, target } = await taskOf(config, samples);
    return loss.chance!(target);
  };
  assert.equal([await chance(1), await chance(3)], [Math.LN2, null]);
});

test("addition trains the network only, through fixed groups; without connections all sums are alike", async () => {
  const short = ["--data", "addition", ...SHORT.addition, "--steps", "2", "--test-samples", "500"];
  await train("real", ...short);
  const { tensors } = await loadCheckpoint(join(dir, "real", "checkpoint.safetensors"));
  const names = [...tensors.keys()].filter((name) => name.startsWith("optimizer."));
  assert.ok(
    names.every((name) => /rnn\.(hh|bias)/.test(name)),
    names.join(" "),
  );
  const { loss, accuracy } = await train("none", ...short, "--wiring", "none");
  // 19 equal outputs.
  assert.ok(Math.abs(loss - Math.log(19)) < 1e-6, `${loss}`);
  assert.ok(accuracy < 0.05, `${accuracy}`);
});

test.run();
