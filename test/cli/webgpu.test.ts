// The command line on WebGPU: the losses of WASM, what goes over the border, a device that is lost; presets, reports and controls.

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import type { Backend, Traffic } from "../../src/backend/backend.ts";
import { createBackend } from "../../src/backend/select.ts";
import { Device } from "../../src/backend/webgpu/device.ts";
import { streamOf } from "../../src/check/point.ts";
import { gamma } from "../../src/check/rounding.ts";
import { resolveConfig, type Settings } from "../../src/run/configLayers.ts";
import { createExperiment, loadRunInputs } from "../../src/run/experiment.ts";
import { tempDir, testWithData } from "../io/fixtures.ts";
import { sharedPath } from "../support/shared.ts";
import { testOrSkip } from "../support/skip.ts";
import { requireTestAdapter } from "../support/softwareAdapter.ts";
import { axograd, jsonLines, start } from "./process.ts";

const SIZES: Settings = {
  trainSamples: 80,
  validationSamples: 0,
  testSamples: 0,
  batchSize: 4,
  calibration: 32,
  steps: 20,
  threads: 1,
};

/** A few samples, on the networks that presets of ready-made tasks have. */
const FEW: readonly string[] = [
  ...["--train-samples", "32", "--validation-samples", "0", "--test-samples", "8"],
  ...["--batch-size", "8", "--threads", "1", "--device", "webgpu"],
];
const SHORT_RAW: readonly string[] = ["--generate", "400x2000", ...FEW];
/** The same for read-outs that standardise features. */
const SHORT: readonly string[] = [...SHORT_RAW, "--calibration", "16"];

/** Roundings of one evaluation of the right-hand side along its longest path: the longest sums have about 60 terms. */
const ROUNDINGS = 80;
const PROBES = 2;

/**
 * Parameters that no rounding moves: where time constants are 1 and so are fixed steps, a step forgets the state before it exactly, on
 * every device. Moved, they would give gradients that are zero the size of rounding errors, which Adam makes steps of full size.
 */
const EXACT: readonly string[] = ["rnn.tau"];

/** Losses of a training, whose initial parameters may be moved by what rounding may do to them. */
async function lossesOf(
  backend: Backend,
  settings: Settings,
  probe: number | null,
  exact: readonly string[] = [],
): Promise<number[]> {
  const config = resolveConfig([settings]);
  const experiment = createExperiment(backend, config, await loadRunInputs(config));
  const { trainer, model } = experiment;
  await trainer.calibrate(config.calibration);
  for (const { name } of probe === null ? [] : model.parameters.trainable()) {
    if (exact.includes(name)) continue;
    const stream = streamOf(1, name, probe!);
    const values = Float64Array.from(await model.parameters.values(name));
    const size = gamma(ROUNDINGS);
    model.parameters.set(
      name,
      values.map((x) => x * (1 + (stream.bits() & 1 ? size : -size))),
      { clamp: true },
    );
  }
  const losses: number[] = [];
  for await (const { loss } of trainer.fit({ steps: config.steps! })) losses.push(loss);
  experiment.dispose();
  return losses;
}

/**
 * How far the losses of two f32 devices may be from each other, step by step. Rounding errors of a step are changes of its parameters
 * and states (see src/check/rounding.ts), and training makes them grow, the more so as Adam follows the signs of small gradients: the
 * growth is measured. Errors are made anew in every step, so what a change made in the first one grows to is counted once per step.
 */
async function lossBounds(
  backend: Backend,
  settings: Settings,
  losses: readonly number[],
  exact: readonly string[],
): Promise<number[]> {
  let largest = 0;
  const probes: number[][] = [];
  for (let probe = 0; probe < PROBES; probe++) probes.push(await lossesOf(backend, settings, probe, exact));
  return losses.map((loss, k) => {
    largest = Math.max(largest, ...probes.map((moved) => Math.abs(moved[k]! - loss)));
    return (k + 1) * largest + gamma(ROUNDINGS) * loss;
  });
}

/** The losses of both devices are within bounds of each other that are narrow enough to prove something. */
async function assertLosses(
  settings: Settings,
  { gpu, cpu }: { readonly gpu: Backend; readonly cpu: Backend },
  exact: readonly string[] = [],
): Promise<void> {
  const expected = await lossesOf(cpu, settings, null);
  const bounds = await lossBounds(cpu, settings, expected, exact);
  const got = await lossesOf(gpu, settings, null);
  assert.is(got.length, 20);
  for (const [k, loss] of got.entries()) {
    const error = Math.abs(loss - expected[k]!);
    assert.ok(error <= bounds[k]!, `step ${k + 1}: ${loss} differs by ${error} of ${bounds[k]}`);
    assert.ok(bounds[k]! < 0.01 * loss, `step ${k + 1}: a bound of ${bounds[k]} proves nothing`);
  }
}

/** The lines of JSON among notes. */
function eventsOf(stdout: string) {
  const lines = stdout.split("\n").filter((line) => line.startsWith("{"));
  return jsonLines(`${lines.join("\n")}\n`);
}

const adapter = await requireTestAdapter();

if (adapter) {
  const test = suite<{ gpu: Backend; cpu: Backend }>("axograd on webgpu", {} as { gpu: Backend; cpu: Backend });
  const dir = tempDir();
  test.before(async (context) => {
    context.gpu = await createBackend({ device: "webgpu" });
    context.cpu = await createBackend({ device: "wasm", threads: 1 });
  });
  test.after(async ({ gpu, cpu }) => {
    await gpu.dispose();
    await cpu.dispose();
  });

  test("the demo's first 20 losses are those of WASM, but for rounding and what training makes of it", (devices) =>
    assertLosses({ generate: { neurons: 400, connections: 2000 }, ...SIZES }, devices));

  test("a run tells what went over the border in each step", async () => {
    const args = ["train", ...SHORT, "--json", "--steps", "2", "--no-report", "--out", "traffic"];
    const { code, stdout, stderr } = await axograd(args, { cwd: dir });
    assert.is(code, 0, stderr);
    const steps = eventsOf(stdout).filter(({ event }) => event === "step");
    assert.is(steps.length, 2);
    for (const { traffic } of steps as unknown as { traffic: Traffic }[]) {
      const record = 4 * (6 * 8 + 4);
      assert.is(traffic.downloadedBytes % record, 0);
      assert.ok(traffic.downloadedBytes <= 3 * record && traffic.dispatches > 100 && traffic.submits > 1);
    }
    assert.match((eventsOf(stdout).at(-1) as { device?: string }).device!, /^webgpu f32/);
  });

  test("a device that is lost in the middle of a training is an error with advice and exit code 1", async () => {
    const { open } = Device;
    let left = 60;
    Device.open = async (...wanted) => {
      const device = await open.apply(Device, wanted);
      const { queue } = device.gpu;
      const submit = queue.submit.bind(queue);
      queue.submit = (work) => {
        submit(work);
        if (--left === 0) device.gpu.destroy();
      };
      return device;
    };
    const { code, stderr } = await axograd(["train", ...SHORT, "--out", "lost"], { cwd: dir }).finally(() => {
      Device.open = open;
    });
    assert.is(code, 1, stderr);
    assert.match(stderr, /the device was lost .*checkpoint/);
  });

  test("presets train there, and their reports have everything", async () => {
    // The controls below are of retina.
    for (const preset of ["demo", "tutorial", "text", "motion"]) {
      const short = preset === "demo" ? SHORT : preset === "tutorial" ? SHORT_RAW : FEW;
      const args = ["train", "--preset", preset, ...short, "--steps", "1", "--json", "--out", preset];
      const { code, stdout, stderr } = await axograd(args, { cwd: dir });
      assert.is(code, 0, stderr);
      assert.match((eventsOf(stdout).at(-1) as { device?: string }).device!, /^webgpu f32/);
      const page = await readFile(join(dir, preset, "report.html"), "utf8");
      assert.not.match(page, /class="half missing"/);
      assert.match(page, /webgpu f32/);
    }
    const again = await axograd(["report", "demo", "--out", "demo.html"], { cwd: dir });
    assert.is(again.code, 0, again.stderr);
    assert.not.match(await readFile(join(dir, "demo.html"), "utf8"), /class="half missing"/);
  });

  test("controls are run there, all five, each with a report", async () => {
    const few = ["--preset", "retina", "--steps", "1", "--seeds", "1", "--parallel", "2"];
    const args = ["controls", ...SHORT, ...few, "--json", "--out", "controls"];
    // A process per run, each with the adapter of the tests.
    const source = `
      import { testAdapter } from ${JSON.stringify(new URL("../support/softwareAdapter.js", import.meta.url).href)};
      await testAdapter();`;
    const imports = `data:text/javascript,${encodeURIComponent(source)}`;
    const { code, stdout, stderr } = await start(args, { cwd: dir, imports }).finished;
    assert.is(code, 0, stderr);
    const { runs } = JSON.parse(stdout.split("\n").find((line) => line.startsWith("{"))!);
    assert.equal(
      runs.map(({ status, options }: { status: string; options: { wiring: string } }) => [options.wiring, status]),
      ["real", "real", "shuffled", "random", "none"].map((wiring) => [wiring, "finished"]),
    );
    for (const { run } of runs as readonly { run: string }[]) {
      const page = await readFile(join(dir, "controls", "runs", run, "report.html"), "utf8");
      assert.not.match(page, /class="half missing"/);
      assert.match(page, /webgpu f32/);
    }
  });

  const [connectome, data] = [sharedPath("data", "flyvis", "flyvis_e2_csr.npz"), sharedPath("data", "mnist")];
  testOrSkip(
    test,
    connectome !== null && data !== null,
    "optional data: flyvis and mnist",
    "the first 20 losses of the fly's connectome on MNIST are those of WASM, but for the same",
    (devices) => {
      const settings: Settings = { connectome, data, preset: "retina", ...SIZES, trainSamples: 160, batchSize: 8 };
      return assertLosses(settings, devices, EXACT);
    },
  );

  testWithData(test, ["flyvis/flyvis_e2_csr.npz"], "check passes with the fly's connectome", async (path) => {
    const args = ["check", "--device", "webgpu", "--connectome", path, "--json"];
    const { code, stdout, stderr } = await axograd(args, { cwd: dir });
    assert.is(code, 0, stderr);
    const { devices, subjects } = JSON.parse(stdout.split("\n").find((line) => line.startsWith("{"))!);
    assert.match(devices.at(-1), /^webgpu f32/);
    const fly = subjects.filter(({ name }: { readonly name: string }) => name === path);
    // Voltages, a classifier, and sequences in both kinds of time.
    assert.is(fly.length, 4);
    for (const { comparisons } of fly) {
      const compared = comparisons.map((c: { readonly compared: string }) => c.compared);
      assert.ok(compared.includes("webgpu f32"), "WebGPU takes part");
    }
  });

  test.run();
}
