// torch-biopl's tutorial under mpirun: the same bits for any number of ranks and threads. `npm run test:ranks` takes its full size, 16.9 million
// parameters; `npm test` a smaller network, whose sums take two segments still.

import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { loadCheckpoint } from "../../src/train/checkpoint.ts";
import { axograd, MAIN } from "../cli/process.ts";
import { metricsOf, numbersOf } from "../cli/trained.ts";
import { tempDir } from "../io/fixtures.ts";
import { hasMpirun, mpirun, mpirunMissing } from "../support/mpirun.ts";
import { testOrSkip } from "../support/skip.ts";

const test = suite("tutorial under mpirun");
const dir = tempDir();
const STEPS = 20;
const NETWORK = process.env.AXOGRAD_RANKS_NETWORK || "8000x500000";
const [neurons, connections] = NETWORK.split("x").map(Number) as [number, number];

/** Discrete time is cheap, and the read-out of 256 hidden units has most of the parameters. Four micro-batches per step. */
const SETTINGS: readonly string[] = [
  ...["train", "--quiet", "--no-report", "--device", "wasm", "--preset", "tutorial", "--generate", NETWORK],
  ...["--time", "discrete", "--recurrences", "1", "--standardise", "--calibration", "8", "--lr", "1e-4"],
  ...["--batch-size", "8", "--micro-batch", "2", "--steps", `${STEPS}`, "--train-samples", `${8 * STEPS}`],
  ...["--validation-samples", "0", "--test-samples", "0", "--diagnose-every", "0"],
];
const PARAMETERS = neurons * 256 + connections;

let reference: Promise<{ readonly numbers: string; readonly metrics: unknown[] }> | null = null;

/** One process with the same settings, once. */
async function alone(): Promise<{ readonly numbers: string; readonly metrics: unknown[] }> {
  const { code, stderr } = await axograd([...SETTINGS, "--threads", "2", "--out", "alone"], { cwd: dir });
  assert.is(code, 0, stderr);
  const run = join(dir, "alone");
  const { tensors } = await loadCheckpoint(join(run, "checkpoint.safetensors"));
  const sizes = [...tensors]
    .filter(([name]) => !/^optimizer\.|\.indices$/.test(name))
    .map(([, { data }]) => data.length);
  assert.ok(sizes.reduce((sum, size) => sum + size, 0) > PARAMETERS, `${[...tensors.keys()]}`);
  return { numbers: await numbersOf(run), metrics: await metricsOf(run) };
}

for (const { ranks, threads } of [
  { ranks: 2, threads: 2 },
  { ranks: 4, threads: 1 },
]) {
  const title = `${NETWORK}: ${ranks} ranks of ${threads} threads leave the numbers and metrics of one process`;
  testOrSkip(test, hasMpirun("openmpi"), mpirunMissing("openmpi"), title, async () => {
    reference ??= alone();
    const { numbers, metrics } = await reference;
    const out = `ranks-${ranks}`;
    const command = ["node", MAIN, ...SETTINGS, "--threads", `${threads}`, "--out", out] as const;
    const { code, stderr } = await mpirun({ implementation: "openmpi", ranks, command, cwd: dir, timeoutS: 1000 });
    assert.is(code, 0, `${code}: ${stderr}`);
    assert.is(await numbersOf(join(dir, out)), numbers);
    const own = await metricsOf(join(dir, out));
    assert.is(own.length, STEPS);
    assert.equal(own, metrics);
  });
}

test.run();
