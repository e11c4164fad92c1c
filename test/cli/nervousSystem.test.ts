// The road from published files to a trained network: generate, import, inspect, train, report, predict, simulate; and its preset.

import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { logNormalConnectome } from "../../src/data/logNormalConnectome.ts";
import { writeConnectome } from "../../src/io/connectome.ts";
import type { NeuronRole } from "../../src/io/neuronTable.ts";
import { resolveConfig } from "../../src/run/configLayers.ts";
import { loadRunInputs } from "../../src/run/experiment.ts";
import { fails, tempDir } from "../io/fixtures.ts";
import { axograd, jsonLines } from "./process.ts";

const test = suite("a nervous system");
const dir = tempDir();
const SMALL = join(dir, "small.safetensors");
const ONE_THREAD = ["--threads", "1", "--device", "wasm"];

async function run(...args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await axograd(args, { cwd: dir });
  assert.is(code, 0, stderr);
  return stdout;
}

/** 600 neurons, every fifth an input or an output; a third inhibits. */
async function writeSmall(): Promise<void> {
  const count = 600;
  const csr = logNormalConnectome({ neurons: count, connections: 24_000, seed: 1 });
  const role = Array.from({ length: count }, (_, i): NeuronRole => (["input", "output"] as const)[i % 5] ?? "hidden");
  const types = ["a", "b", "c"];
  const typeIdx = Uint32Array.from({ length: count }, (_, i) => i % 3);
  const table = { count, types, typeIdx, role, sign: null, x: null, y: null };
  await writeConnectome(SMALL, csr, { table });
}

test.before(writeSmall);

test("the preset learns", async () => {
  const preset = ["--preset", "nervous-system", "--connectome", SMALL, "--steps", "200", "--no-report", "--json"];
  const lines = jsonLines(await run("train", ...preset, ...ONE_THREAD, "--out", "learns"));
  const { loss, metrics } = lines.find(({ event, set }) => event === "evaluation" && set === "test")!;
  const { accuracy } = metrics as { accuracy: number };
  // Guessing gets 2.79 and 10 %.
  assert.ok((loss as number) < 2 && accuracy > 0.3, `${loss}, ${accuracy}`);
});

test("the preset's groups share all sensory and all output neurons; sizes that do not fit are refused with the largest", async () => {
  const config = resolveConfig([{ preset: "nervous-system", connectome: SMALL }]);
  const { projections } = await loadRunInputs(config);
  assert.equal([projections.input, projections.nDriven], ["role=input", 12 * 10]);
  assert.is(projections.outputProjection!.nnz, 19 * 6);
  await fails(() => loadRunInputs({ ...config, groupSize: 8 }), "argument", /at most 6, for 19 output groups.*got 8/);
  await fails(() => loadRunInputs({ ...config, connectome: null }), "argument", /--connectome.*nervous-system/);
});

test("from made-up files to a page, answers and a simulation", async () => {
  const made = await run("generate", "malecns", "made", "--neurons", "2000", "--connections", "40000");
  assert.match(made, /made up in the layout of MaleCNS/);
  assert.match(await run("import", "malecns", "made", "--out", "fly.safetensors"), /2,000 neurons of \d+ types/);
  assert.match(await run("inspect", "fly.safetensors"), /role +3: hidden/);
  const preset = ["--preset", "nervous-system", "--connectome", "fly.safetensors", "--steps", "2"];
  await run("train", ...preset, ...ONE_THREAD, "--test-samples", "32", "--out", "run");
  await run("report", "run");
  const page = await readFile(join(dir, "run", "report.html"), "utf8");
  for (const part of ["MaleCNS v1.0", "superclass=*", "made/connectome-weights"]) assert.ok(page.includes(part), part);
  const answers = JSON.parse(await run("predict", "run", "--out", "answers.csv", "--samples", "4", "--json")) as object;
  assert.is((answers as { samples: number }).samples, 4);
  const silenced = ["--silence", "superclass=descending", "--record", "superclass=vnc_motor"];
  await run("simulate", "run", "--input", "test:0-1", ...silenced, ...ONE_THREAD, "--out", "motor.npz");
  assert.ok((await stat(join(dir, "motor.npz"))).size > 0);
});

test.run();
