// `axograd tasks`, and `axograd inspect` of samples.

import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { register as registerInspect } from "../../src/cli/inspect.ts";
import type { SampleInspection } from "../../src/cli/inspectSamples.ts";
import { register as registerTasks } from "../../src/cli/tasks.ts";
import { csrFromCoo } from "../../src/core/csr.ts";
import { TASK_SETS } from "../../src/data/tasks/index.ts";
import { writeConnectome } from "../../src/io/connectome.ts";
import { writeArrays } from "../../src/io/writeArrays.ts";
import { fails, tempDir } from "../io/fixtures.ts";
import { runCommand } from "./command.ts";

const test = suite("axograd tasks, inspect");
const dir = tempDir();
const at = (...names: string[]): string => join(dir, ...names);
const tasks = (...args: string[]) => runCommand(registerTasks, "tasks", ...args);
const inspect = (...args: string[]) => runCommand(registerInspect, "inspect", ...args);
const inspected = async (...args: string[]): Promise<SampleInspection & { kind: string }> =>
  JSON.parse(await inspect(...args, "--json"));

test("every generated task is listed with its options and what is known of it", async () => {
  const text = await tasks();
  const all = JSON.parse(await tasks("--json"));
  assert.equal(Object.keys(all), Object.keys(TASK_SETS));
  for (const [name, { summary, options }] of Object.entries(TASK_SETS)) {
    assert.ok(text.includes(`${name}: ${summary}\n`), name);
    for (const [option, { help }] of Object.entries(options)) {
      assert.ok(text.includes(help), `${name}.${option}`);
      // JSON has no functions.
      assert.equal(all[name].options[option], JSON.parse(JSON.stringify(options[option])));
    }
  }
  assert.match(text, /2 inputs in 22 frames; one of 2 classes at 22 times/);
  assert.match(text, /strength .*\(0\.01 to 10; default: 0\.6\)/);
  assert.match(text, /evidence .*\(gaussian, pulses; default: gaussian\)/);
  assert.match(text, /accuracy {2}best possible 99\.2 %, chance 50\.0 %; the ideal observer/);
  assert.not.match(text, /undefined|NaN/);
});

test("one of them, with options, has other known answers", async () => {
  const own = JSON.parse(await tasks("decision", "--data-options", "strength=0.1,stimulus=4", "--json"));
  assert.equal(Object.keys(own), ["decision"]);
  const { steps, known } = own.decision;
  assert.is(steps, 10);
  // Φ(0.1 · √4)
  assert.ok(Math.abs(known.accuracy.best - 0.579259709) < 1e-8);
  await fails(() => tasks("decison"), "argument", /did you mean "decision"\?/);
  await fails(() => tasks("--data-options", "strength=1"), "argument", /the name of a task/);
  await fails(() => tasks("decision", "--data-options", "force=1"), "argument", /force/);
});

test("a file of samples is described: shapes, parts, classes, statistics, notes", async () => {
  const file = at("samples.npz");
  await writeArrays(file, {
    inputs: { shape: [6, 2], data: Float32Array.of(1, 5, 3, 5, 1, 5, 3, 5, 7, 5, 9, 5) },
    targets: { shape: [6], data: Int32Array.of(0, 1, 1, 1, 0, 1) },
    split: ["train", "train", "train", "train", "test", "test"],
    classNames: ["off", "on"],
    more: { shape: [1], data: Float32Array.of(1) },
  });
  const it = await inspected(file);
  assert.equal(
    [it.kind, it.inputSize, it.steps, it.weighted, it.classNames],
    ["samples", 2, null, false, ["off", "on"]],
  );
  assert.equal(Object.keys(it.parts), ["train", "test"]);
  const { samples, inputs, targets, weights } = it.parts.train!;
  assert.equal([samples, inputs, targets, weights], [4, { mean: [2, 5], std: [1, 0] }, null, [1, 3]]);
  assert.ok(Math.abs(it.constantLoss - (0.25 * Math.log(4) - 0.75 * Math.log(0.75))) < 1e-12);
  const text = await inspect(file);
  assert.match(text, /samples +2 inputs; one of 2 classes\n/);
  assert.match(text, /inputs +mean 2 to 5, standard deviation 0 to 1; 1 of 2 constant\n/);
  assert.match(text, /classes +off: 1, on: 3\n/);
  assert.match(text, /note +.*not used: more/);
  const numbers = await inspected(file, "--targets", "numbers").catch((error: Error) => error.message);
  assert.match(String(numbers), /classNames/);
});

test("numbers at output times; a folder; images in IDX files", async () => {
  await mkdir(at("folder"));
  const shape = [4, 3, 1];
  const targets = Float64Array.from({ length: 12 }, (_, i) => i);
  await writeArrays(at("folder", "train.safetensors"), {
    inputs: { shape: [4, 3, 2], data: new Float32Array(24).map((_, i) => i % 5) },
    targets: { shape, data: targets },
    mask: { shape, data: Uint8Array.from({ length: 12 }, (_, i) => (i < 6 ? 1 : 0)) },
  });
  const it = await inspected(at("folder"));
  assert.equal([it.steps, it.target, it.weighted], [3, { kind: "numbers", width: 1, times: 3, classes: null }, true]);
  const train = it.parts.train!;
  assert.equal([train.withoutTargets, train.targets!.mean, train.weights], [2, [2.5], [6]]);
  assert.match(
    await inspect(at("folder")),
    /samples +2 inputs in 3 frames; 1 number at 3 times\n(?:.*\n)*? +train +4, 2 without a target/,
  );
  const images = at("images");
  await mkdir(images);
  for (const [part, count] of [
    ["train", 3],
    ["t10k", 2],
  ] as const) {
    const head = (...numbers: number[]) =>
      Buffer.concat(numbers.map((n) => Buffer.from(Uint32Array.of(n).buffer).swap32()));
    await writeFile(
      join(images, `${part}-images-idx3-ubyte`),
      Buffer.concat([head(0x803, count, 28, 28), Buffer.alloc(count * 784, 51)]),
    );
    await writeFile(
      join(images, `${part}-labels-idx1-ubyte`),
      Buffer.concat([head(0x801, count), Buffer.from([7, 7, 1].slice(0, count))]),
    );
  }
  const { parts, target } = await inspected(images);
  assert.equal([target.classes, parts.train!.samples, parts.test!.samples], [10, 3, 2]);
  assert.equal([parts.train!.weights[7], parts.train!.weights[1]], [2, 1]);
  assert.ok(Math.abs(parts.train!.inputs.mean[0]! - 0.2) < 1e-7);
});

test("a connectome is told from samples by its arrays; options of the other are refused", async () => {
  const csr = csrFromCoo({ nRows: 3, nCols: 3, rows: [0, 1], cols: [1, 2], values: [1, 2] });
  for (const name of ["w.npz", "w.safetensors"]) {
    await writeConnectome(at(name), csr);
    assert.is((await inspected(at(name))).kind, "connectome");
    await fails(() => inspect(at(name), "--targets", "class"), "argument", /expected samples.*--targets/);
  }
  await fails(
    () => inspect(at("samples.npz"), "--batch-size", "32"),
    "argument",
    /a connectome.*has samples \(--batch-size\)/,
  );
  await fails(() => inspect(at("absent.npz")), "file-missing", /absent/);
  await writeFile(at("broken.npz"), "PK");
  await fails(() => inspect(at("broken.npz")), "file-format", /broken\.npz/);
});

test.run();
