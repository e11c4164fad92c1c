// A connectome file with ids, a table of neurons and provenance, through the commands that use it.

import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { register as registerConvert } from "../../src/cli/convert.ts";
import { register as registerInspect } from "../../src/cli/inspect.ts";
import { register as registerReport } from "../../src/cli/report.ts";
import { register as registerTrain } from "../../src/cli/train.ts";
import { retinotopicConnectome } from "../../src/data/connectomes.ts";
import { readLabelledConnectome } from "../../src/io/connectome.ts";
import { writeConnectomeFile } from "../../src/io/connectomeFile.ts";
import { readLabels } from "../../src/io/labels.ts";
import { readNeuronTable } from "../../src/io/neuronTable.ts";
import type { Provenance } from "../../src/io/provenance.ts";
import { readSafetensors, writeSafetensors } from "../../src/io/safetensors.ts";
import { readRunRecord } from "../../src/report/runRecord.ts";
import { loadConnectome } from "../../src/run/network.ts";
import { fails, tempDir } from "../io/fixtures.ts";
import { runCommand } from "./command.ts";
import { TINY } from "./process.ts";

const test = suite("connectome files");
const dir = tempDir();
const at = (name: string): string => join(dir, name);
const file = at("fly.safetensors");

const { csr, ...neurons } = retinotopicConnectome({ columns: 8 });
const count = csr.nRows;
const ids = Array.from({ length: count }, (_, i) => `${720575940600000000n + BigInt(7 * (count - i))}`);
const sides = Uint32Array.from({ length: count }, (_, i) => (i % 4 === 0 ? 2 : i % 2));
const columns = new Map([
  ["side", { values: ["L", "R", ""], valueIdx: sides }],
  ["instance", { values: ["<b>&"], valueIdx: new Uint32Array(count) }],
]);
const provenance: Provenance = {
  format: 1,
  dataset: "Made up v1.0",
  layout: "malecns",
  citation: "Doe et al. (2026)",
  licence: "CC BY 4.0",
  axograd: "0.4.0",
  created: "2026-11-28T00:00:00.000Z",
  sources: [{ role: "edges", file: "<weights>.feather", sha256: "ab".repeat(32), bytes: 123_456 }],
  rules: { nodes: "superclass=*", minSynapses: 3, signs: "shiu", scale: null },
  steps: [
    { step: "rows of the file", neurons: null, connections: 151_856_684, synapses: 311_000_000 },
    { step: "kept", neurons: count, connections: csr.nnz, synapses: null },
  ],
  notes: ["side is somaSide, else rootSide"],
};
await writeConnectomeFile(file, csr, { labels: ids, table: { ...neurons, columns }, provenance });

const convert = (...args: readonly string[]): Promise<string> => runCommand(registerConvert, "convert", ...args);

test("inspect counts types, sides and roles, and says where the connectome comes from", async () => {
  const text = await runCommand(registerInspect, "inspect", file);
  assert.match(text, /neuron table\n +type +\d+: \S+ \d+/);
  assert.match(text, /side +2: R \d+, L \d+; \d+ neurons without/);
  assert.match(text, /columns +side, instance/);
  assert.match(
    text,
    /data set +Made up v1\.0, layout malecns\n +citation +Doe et al\. \(2026\)\n +licence +CC BY 4\.0\n/,
  );
  assert.match(text, /\n +side is somaSide, else rootSide\n/);
  assert.match(text, /edges +<weights>\.feather, 123,456 bytes, SHA-256 abababababab…/);
  assert.match(text, /rows of the file +– +151,856,684 +311,000,000/);
  const json = JSON.parse(await runCommand(registerInspect, "inspect", file, "--json"));
  assert.equal(json.provenance, provenance);
  assert.equal(json.neuronTable.columns, ["side", "instance"]);
  const [type, side] = json.neuronTable.counts;
  assert.is(type.column, "type");
  assert.is(type.values, new Set(neurons.typeIdx).size);
  const most = neurons.types.map((name, t) => ({ value: name, count: neurons.typeIdx.filter((k) => k === t).length }));
  assert.equal(
    type.top.map((entry: { count: number }) => entry.count),
    most
      .map((entry) => entry.count)
      .sort((a, b) => b - a)
      .slice(0, 8),
  );
  assert.is(side.without, Math.ceil(count / 4));
});

test("many types do not flood the text", async () => {
  const types = Array.from({ length: count }, (_, i) => `type ${i}`);
  const many = at("many.safetensors");
  await writeConnectomeFile(many, csr, { table: { ...neurons, types, typeIdx: Uint32Array.from(types.keys()) } });
  const text = await runCommand(registerInspect, "inspect", many);
  assert.match(text, new RegExp(`type +${count}: type 0 1, .* and ${count - 8} more\\n`));
  assert.ok(Buffer.byteLength(await runCommand(registerInspect, "inspect", many, "--json")) < 20_000);
});

test("a file that lost its metadata is refused; its matrix can be read by its key", async () => {
  const { tensors } = await readSafetensors(at("many.safetensors"));
  const bare = at("bare.safetensors");
  await writeSafetensors(bare, tensors);
  await fails(() => runCommand(registerInspect, "inspect", bare), "file-format", /lost/, /--key ""/);
  assert.match(await runCommand(registerInspect, "inspect", bare, "--key", ""), new RegExp(`neurons +${count}`));
});

test("long rules and hostile names do not flood the terminal", async () => {
  const odd = at("odd.safetensors");
  const rules = { nodes: "id=".padEnd(100_000, "7,") };
  const columns = new Map([["\u001b[2J".repeat(99), { values: ["\u001b[31mred"], valueIdx: new Uint32Array(count) }]]);
  const steps = [{ ...provenance.steps[0]!, step: "\u001b[2J" }];
  await writeConnectomeFile(odd, csr, { table: { ...neurons, columns }, provenance: { ...provenance, rules, steps } });
  const text = await runCommand(registerInspect, "inspect", odd);
  assert.not.ok(text.includes("\u001b"));
  assert.ok(Math.max(...text.split("\n").map((line) => line.length)) < 1000);
});

test("convert keeps everything in a file of the same kind, and says what another kind loses", async () => {
  const said = await convert(file, at("copy.safetensors"), "--abs", "--dtype", "f64");
  assert.match(said, /\(kept in .*copy\.safetensors\)/);
  const copy = await readLabelledConnectome(at("copy.safetensors"));
  assert.equal(copy.labels, ids);
  assert.equal(copy.table!.columns, columns);
  const done = { neurons: count, connections: csr.nnz, synapses: null };
  const steps = [
    { step: "absolute values of the weights", ...done },
    { step: "weights as f64", ...done },
  ];
  assert.equal(copy.provenance, { ...provenance, steps: [...provenance.steps, ...steps] });
  const lost = await convert(file, at("fly.npz"));
  assert.match(lost, /--labels FILE keeps them/);
  assert.match(lost, /without the table of the neurons \(--neuron-table FILE keeps it\)/);
  assert.match(lost, /without its provenance \(\.safetensors keeps it\)/);
  const files = ["--labels", at("ids.csv"), "--neuron-table", at("fly_neurons.csv")];
  const json = JSON.parse(await convert(file, at("fly.npz"), "--overwrite", ...files, "--json"));
  assert.equal(json.lost, ["provenance"]);
  assert.equal((await readLabels(at("ids.csv"), { column: "label" })).labels, ids);
  await fails(() => convert(at("fly.npz"), at("x.npz"), "--neuron-table", at("x.csv")), "argument", /--neuron-table/);
  await fails(() => convert(file, at("x.npz"), "--neuron-table", at("x.npz")), "argument", /another file/);
});

/** As the reader scales places. */
const scaled = (values: Float64Array): Float64Array => {
  const [low, high] = [Math.min(...values), Math.max(...values)];
  return values.map((value) => (value - low) / (high - low));
};

test("a neuron table that convert wrote is read back, by id and by order", async () => {
  await convert(file, at("again.npz"), "--neuron-table", at("again_neurons.csv"));
  for (const options of [{}, { ids }]) {
    const { columns: read, x, y, ...table } = await readNeuronTable(at("again_neurons.csv"), options);
    const { x: places, y: heights, ...expected } = neurons;
    assert.equal(table, { ...expected, sign: expected.sign ?? null });
    for (const [got, want] of [
      [x!, scaled(places)],
      [y!, scaled(heights)],
    ] as const) {
      assert.ok(got.every((value, i) => Math.abs(value - want[i]!) < 1e-14));
    }
    assert.equal(
      Array.from(read!.get("side")!.valueIdx, (v) => read!.get("side")!.values[v]),
      [...sides].map((v) => ["L", "R", ""][v]),
    );
  }
});

test("the file's table is used unless another one is given, which is joined by id", async () => {
  const of = (neuronTable: string | null) =>
    loadConnectome({ connectome: file, neuronTable, generate: null, columns: 17 });
  const own = await of(null);
  assert.equal([own.tableFile, own.table!.types, own.ids], [null, neurons.types, ids]);
  assert.equal(own.provenance, provenance);
  const rows = ids.map((id, i) => `${id},${i % 2 === 0 ? "even" : "odd"}\n`).reverse();
  await writeFile(at("other.csv"), `id,cell_type\n${rows.join("")}`);
  const other = await of(at("other.csv"));
  assert.is(other.tableFile, at("other.csv"));
  assert.equal([...other.table!.typeIdx.subarray(0, 3)], [0, 1, 0]);
});

test("a run records where its connectome comes from; report shows it", async () => {
  const run = at("run");
  const network = ["--connectome", file, "--batch-size", "8", "--steps", "2"];
  await runCommand(registerTrain, "train", ...TINY.slice(2), ...network, "--out", run, "--quiet");
  const record = await readRunRecord(run);
  assert.equal(record.start.provenance, provenance);
  assert.equal(JSON.parse(await readFile(join(run, "summary.json"), "utf8")).provenance, provenance);
  await runCommand(registerReport, "report", run);
  const html = await readFile(join(run, "report.html"), "utf8");
  assert.match(html, /<h3>Connectome: where it comes from<\/h3>/);
  for (const words of [/Made up v1\.0/, /Doe et al\. \(2026\)/, /CC BY 4\.0/, /somaSide, else rootSide/])
    assert.match(html, words);
  assert.match(html, /(ab){32}/);
  assert.match(html, /&#60;weights&#62;\.feather, 123,456 bytes/);
  assert.match(html, /<td>rows of the file<\/td><td>–<\/td><td>151,856,684<\/td>/);
});

test("a run without provenance, and one of an earlier version, have none", async () => {
  const config = JSON.parse(await readFile(join(at("run"), "config.json"), "utf8"));
  const { provenance: _, ...earlier } = config;
  for (const start of [earlier, { ...config, provenance: null }]) {
    await writeFile(join(at("run"), "config.json"), JSON.stringify(start));
    assert.is((await readRunRecord(at("run"))).start.provenance, null);
  }
  const damaged = { ...config, provenance: { ...provenance, steps: 7 } };
  await writeFile(join(at("run"), "config.json"), JSON.stringify(damaged));
  await fails(
    () => readRunRecord(at("run")),
    "file-format",
    /config\.json: expected a list of objects at provenance\.steps/,
  );
  for (const part of ["citation", "licence", "notes"]) {
    const wrong = { ...config, provenance: { ...provenance, [part]: { text: 7 } } };
    await writeFile(join(at("run"), "config.json"), JSON.stringify(wrong));
    await fails(() => readRunRecord(at("run")), "file-format", new RegExp(`text.* at provenance\\.${part}`));
  }
});

test.run();
