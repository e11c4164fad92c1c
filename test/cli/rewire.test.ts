// Controls as files (`axograd rewire`) and as wirings of runs (`--wiring`).

import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { register } from "../../src/cli/rewire.ts";
import { formatCount } from "../../src/core/format.ts";
import { retinotopicConnectome } from "../../src/data/connectomes.ts";
import { CONTROL_NAMES, CONTROLS, checkControl, makeControl } from "../../src/data/controls.ts";
import { signsOfNeurons } from "../../src/data/shuffleWeights.ts";
import { positionsByColumns } from "../../src/data/tableBlocks.ts";
import { readConnectomeFile, writeConnectomeFile } from "../../src/io/connectomeFile.ts";
import { hashOf } from "../../src/io/hash.ts";
import { writeSparseNpz } from "../../src/io/npz.ts";
import { checkEffects, resolveConfig, type Settings } from "../../src/run/configLayers.ts";
import { loadRunInputs } from "../../src/run/experiment.ts";
import { factsOf } from "../../src/run/runStart.ts";
import { fails, tempDir } from "../io/fixtures.ts";
import { runCommand } from "./command.ts";

const test = suite("rewire command");
const dir = tempDir();
const at = (name: string): string => join(dir, name);
const run = (...args: readonly string[]): Promise<string> => runCommand(register, "rewire", ...args);

const { csr, ...table } = retinotopicConnectome({ columns: 4, seed: 1 });
await writeConnectomeFile(at("net.safetensors"), csr, { labels: null, table, provenance: null });
await writeSparseNpz(at("bare.npz"), csr);
const { sha256 } = await hashOf(at("net.safetensors"));

test("a control is a file with the table, and a provenance that says how it was made", async () => {
  const args = [at("net.safetensors"), at("made.safetensors"), "--control", "swapped-blocks", "--seed", "3"];
  const report = JSON.parse(await run(...args, "--swaps-per-edge", "6", "--json"));
  const made = await readConnectomeFile(at("made.safetensors"));
  const options = { seed: 3, swapsPerEdge: 6, blocks: table.typeIdx };
  const expected = makeControl(csr, "swapped-blocks", options);
  assert.equal(made.csr.colIdx, expected.csr.colIdx);
  assert.equal(made.csr.values, expected.csr.values);
  for (const [name, value] of Object.entries(expected.report)) assert.equal(report[name], value, name);
  assert.is(report.sha256, sha256);
  assert.equal(made.table!.typeIdx, table.typeIdx);
  const { steps, rules, sources } = made.provenance!;
  assert.is(steps.at(-1)!.step, `swapped-blocks, 6 swaps per connection, seed 3, from SHA-256 ${sha256}`);
  assert.equal(rules, { control: "swapped-blocks", controlSeed: 3, swapsPerEdge: 6, blocks: "type" });
  assert.equal(
    sources.map((source) => source.sha256),
    [sha256],
  );
  const text = await run(at("made.safetensors"), at("again.safetensors"), "--control", "swapped");
  assert.match(text, /swaps: [\d,]+ of [\d,]+ that were attempted, 5 per connection/);
  assert.match(text, /keeps \(checked\):\n.*\n.*\n {2}every neuron's number of inputs \(largest in-degree: \d+\)/);
  assert.match(text, /need not keep:\n {2}every neuron's number of reciprocal pairs/);
  // Counts are not rounded; controls that move nothing do not say how much they moved.
  const signs = await run(at("net.safetensors"), at("counts.npz"), "--control", "signs-shuffled");
  assert.match(signs, new RegExp(`\\(connections: ${formatCount(csr.nnz)}\\)`));
  assert.not.match(signs, /between other neurons/);
  assert.is((await readConnectomeFile(at("again.safetensors"))).provenance!.steps.length, 2);
});

test("signs in the table are those of the control's outputs", async () => {
  await run(at("net.safetensors"), at("signs.safetensors"), "--control", "neuron-signs-shuffled", "--seed", "1");
  const made = await readConnectomeFile(at("signs.safetensors"));
  const signs = signsOfNeurons(made.csr);
  assert.ok(made.table!.sign!.every((sign, i) => signs[i] === 0 || sign === signs[i]));
  assert.not.equal(made.table!.sign, table.sign);
});

test("what is missing or has no effect is refused by name, and files are kept", async () => {
  await writeFile(at("kept.npz"), "precious");
  const [net, bare, out] = [at("net.safetensors"), at("bare.npz"), at("out.npz")];
  await fails(() => run(net, at("kept.npz"), "--control", "swapped"), "file-exists", /--overwrite/);
  assert.is(await readFile(at("kept.npz"), "utf8"), "precious");
  await fails(() => run(net, out, "--control", "swaped"), "argument", /did you mean "swapped"/);
  await fails(
    () => run(net, out, "--control", "collapsed", "--blocks", "type"),
    "argument",
    /swapped-blocks.*\(--blocks\)/,
  );
  await fails(() => run(net, out, "--control", "random", "--swaps-per-edge", "2"), "argument", /\(--swaps-per-edge\)/);
  await fails(() => run(bare, out, "--control", "swapped-blocks"), "argument", /a table of the neurons/);
  await fails(
    () => run(net, out, "--control", "swapped-blocks", "--blocks", "types"),
    "argument",
    /did you mean "type"\? \(--blocks\)/,
  );
  await fails(
    () => run(net, out, "--control", "swapped-distance", "--positions", "type"),
    "argument",
    /numbers in column type, or empty cells, got "\w+" \(--positions\)/,
  );
});

test("places are numbers, or missing; other text is refused", async () => {
  const place = { where: "test", argument: "positions" };
  const of = (cells: readonly string[]) => {
    const values = [...new Set(cells)];
    const soma = { values, valueIdx: Uint32Array.from(cells, (cell) => values.indexOf(cell)) };
    return () => positionsByColumns({ count: cells.length, columns: new Map([["soma", soma]]) }, ["soma"], place);
  };
  assert.equal(Array.from(of(["1.5", "", " 2e1 ", "NaN"])().positions), [1.5, Number.NaN, 20, Number.NaN]);
  await fails(of(["1.5", "2,5"]), "argument", /numbers in column soma, or empty cells, got "2,5" \(positions\)/);
  await fails(of(["", "nan"]), "argument", /got only empty ones/);
});

const SETTINGS: Settings = {
  connectome: at("net.safetensors"),
  threads: 1,
  steps: 1,
  epochs: null,
  trainSamples: 4,
  testSamples: 0,
};

test("every control is a wiring of a run, whose record says what it keeps", async () => {
  for (const wiring of CONTROL_NAMES) {
    const config = resolveConfig([{ ...SETTINGS, preset: "demo", wiring, seed: 5, normalise: "none", gain: 1 }]);
    const inputs = await loadRunInputs(config, { hashes: false });
    const { control } = factsOf(inputs);
    assert.is(control!.control, wiring);
    assert.is(control!.seed, 5);
    assert.equal(
      control!.keeps.map(({ name }) => name),
      CONTROLS[wiring].keeps,
    );
    const { x, y, typeIdx: blocks } = table;
    const positions = Float64Array.from({ length: 2 * csr.nRows }, (_, k) => (k % 2 === 0 ? x : y)[k >> 1]!);
    checkControl(csr, inputs.weights, wiring, { blocks, lengths: { positions, dimensions: 2 } });
    await inputs.samples.release();
  }
  const real = await loadRunInputs(resolveConfig([{ ...SETTINGS, preset: "demo" }]), { hashes: false });
  assert.is(factsOf(real).control, null);
  await real.samples.release();
});

test("wirings that cannot be made, or make no difference, are refused by name", async () => {
  const load = (settings: Settings) => async () =>
    loadRunInputs(resolveConfig([{ ...SETTINGS, preset: "demo", ...settings }]));
  const bare = { connectome: at("bare.npz") };
  await fails(load({ ...bare, wiring: "swapped-blocks" }), "argument", /a neuron table .*swapped-blocks.*\(--wiring\)/);
  await fails(load({ ...bare, wiring: "swapped-distance" }), "argument", /a neuron table .*\(--wiring\)/);
  await fails(load({ wiring: "swapped-blocks", wiringBlocks: "regin" }), "argument", /\(--wiring-blocks\)/);
  await fails(load({ wiring: "swapped-distance", wiringPositions: ["pos"] }), "argument", /\(--wiring-positions\)/);
  await fails(load({ wiring: "signs-shuffled", weights: "abs" }), "argument", /signed.*\(--weights\)/);
  const effect = (settings: Settings) => async () =>
    checkEffects("train", settings, [resolveConfig([{ ...SETTINGS, ...settings }])]);
  await fails(effect({ wiring: "shuffled", swapsPerEdge: 3 }), "argument", /by swaps.*\(--swaps-per-edge\)/);
  await fails(effect({ wiring: "swapped", wiringBlocks: "type" }), "argument", /\(--wiring-blocks\)/);
});

test.run();
