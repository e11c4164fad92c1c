// axograd import, from files in a published layout to a connectome that other commands take.

import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { register } from "../../src/cli/import.ts";
import { register as registerInspect } from "../../src/cli/inspect.ts";
import { readLabelledConnectome } from "../../src/io/connectome.ts";
import { writeMaleCns } from "../import/layouts/malecns.ts";
import { expectedOf, signsOf, syntheticSet } from "../import/layouts/synthetic.ts";
import { fails, tempDir } from "../io/fixtures.ts";
import { runCommand } from "./command.ts";

const test = suite("import");
const dir = tempDir();
const set = syntheticSet({ ids: "malecns" });
const folder = join(dir, "malecns");
const at = (name: string): string => join(dir, name);
const run = (...args: readonly string[]): Promise<string> => runCommand(register, "import", ...args);

test.before(async () => {
  await mkdir(folder);
  await writeMaleCns(folder, set);
});

test("a published folder becomes one file with ids, neurons and provenance", async () => {
  const text = await run(
    "malecns",
    folder,
    "--out",
    at("a.safetensors"),
    "--min-synapses",
    "3",
    "--signs",
    "permissive",
  );
  const { ids, neurons, connections } = expectedOf(set, { minSynapses: 3 });
  const signs = signsOf(neurons, "permissive");
  const signed = connections.filter(({ pre }) => signs[pre] !== 0);
  const { csr, labels, table, provenance } = await readLabelledConnectome(at("a.safetensors"));
  assert.equal(labels, ids);
  assert.equal(
    [...csr.values],
    signed.map(({ pre, synapses }) => synapses * signs[pre]!),
  );
  assert.is(table!.columns!.get("superclass")!.valueIdx.length, ids.length);
  assert.equal([...table!.sign!], signs);
  assert.is(provenance!.layout, "malecns");
  assert.equal(provenance!.rules.minSynapses, 3);
  assert.match(text, new RegExp(`with at least 3 synapses +${ids.length} +${connections.length} `));
  assert.match(text, new RegExp(`with a sign +${ids.length} +${signed.length} `));
  assert.match(text, /glutamate +− +\d+/);
  const unclear = neurons.filter(({ transmitter }) => transmitter === "unclear" || transmitter === null).length;
  assert.match(text, new RegExp(`unclear +0 +${unclear} `));
  assert.match(text, /CC BY 4\.0/);
  const all = connections.reduce((sum, { synapses }) => sum + synapses, 0).toLocaleString("en-US");
  assert.match(text, new RegExp(`\nall +${ids.length} +${connections.length} +${all}\n`));
  assert.match(text, /edges: \S+, [\d,]+ bytes, SHA-256 [\da-f]{64}\n/);
  assert.match(text, /options: --min-synapses 3 --signs permissive --nodes 'superclass=\*' /);
  const types = new Set(neurons.flatMap(({ type }) => type ?? []));
  const untyped = neurons.filter(({ type }) => type === null).length;
  const ofTypes = `${types.size} types${untyped > 0 ? ` \\(${untyped} without one\\)` : ""}`;
  assert.match(text, new RegExp(`${ids.length} neurons of ${ofTypes}, ${signed.length} connections`));
  const inspected = await runCommand(registerInspect, "inspect", at("a.safetensors"));
  assert.match(inspected, /superclass +6/);
});

test("rules of the provenance, given as options, make the same weights again", async () => {
  const options = [
    "--min-synapses",
    "2",
    "--signs",
    "shiu",
    "--unclear",
    "inhibit",
    "--normalise",
    "in-degree",
    "--scale",
    "2",
  ];
  await run(folder, "--out", at("b.safetensors"), "--nodes", "superclass=* & side!=M", ...options);
  const first = await readLabelledConnectome(at("b.safetensors"));
  const { rules } = first.provenance!;
  const names: Readonly<Record<string, string>> = { minSynapses: "--min-synapses", connected: "--connected" };
  const again = Object.entries(rules).flatMap(([name, value]) =>
    typeof value === "boolean" ? (value ? [names[name]!] : []) : [names[name] ?? `--${name}`, String(value)],
  );
  await run(folder, "--out", at("c.safetensors"), ...again);
  const second = await readLabelledConnectome(at("c.safetensors"));
  assert.equal(second.csr, first.csr);
  assert.equal(second.labels, first.labels);
  assert.equal(second.provenance!.sources, first.provenance!.sources);
});

test("--json has counts and provenance; --dry-run writes nothing", async () => {
  const report = JSON.parse(
    await run(folder, "--dry-run", "--json", "--out", at("none.safetensors"), "--signs", "none"),
  );
  const { connections, synapses, ids } = expectedOf(set);
  assert.equal([report.file, report.neurons, report.connections], [null, ids.length, connections.length]);
  assert.is(report.edges.connectionSynapses, synapses);
  assert.equal(report.signs, []);
  assert.is(report.provenance.sources.length, 3);
  assert.is(report.provenance.steps.at(-1).synapses, synapses);
  await fails(() => readLabelledConnectome(at("none.safetensors")), "file-missing");
});

test("an existing file is kept, also by an import that fails", async () => {
  await writeFile(at("kept.safetensors"), "precious");
  await fails(() => run(folder, "--out", at("kept.safetensors")), "file-exists", /--overwrite/);
  const failing = ["--out", at("kept.safetensors"), "--overwrite", "--nodes", "superclass=descendin"];
  await fails(() => run(folder, ...failing), "argument", /"descending"/);
  assert.is(await readFile(at("kept.safetensors"), "utf8"), "precious");
  await run(folder, "--out", at("kept.safetensors"), "--overwrite");
  assert.is((await readLabelledConnectome(at("kept.safetensors"))).csr.nRows, set.neurons.length);
});

test("wrong words and options are named", async () => {
  await fails(() => run(folder), "argument", /--out/, /--dry-run/);
  await fails(() => run(), "argument", /a folder of published files/);
  await fails(() => run("malecns"), "argument", /behind malecns/);
  await fails(() => run("malecn", folder, "--dry-run"), "argument", /"malecns"/);
  await fails(() => run(folder, "--out", at("a.npz")), "argument", /\.safetensors/);
  await fails(() => run(folder, "--dry-run", "--extent", "3"), "argument", /extent/, /flyvis/);
  await fails(() => run(folder, "--dry-run", "--signs", "source"), "argument", /signs/);
  await fails(() => run(folder, "--dry-run", "--unclear", "guess"), "argument", /--unclear/);
  await fails(() => run(folder, "--dry-run", "--signs", "none", "--unclear", "drop"), "argument", /unclear/);
  await fails(() => run(folder, "--dry-run", "--unclear", "refuse"), "file-format", /clear transmitter/);
  await fails(() => run(folder, "--dry-run", "--normalise", "row"), "argument", /rows/);
  await fails(() => run(folder, "--dry-run", "--min-synapses", "-1"), "argument", /--min-synapses/);
  await fails(() => run(folder, "--dry-run", "--min-synapses", "1e6"), "argument", /at most 300/, /\(--min-synapses\)/);
  await fails(() => run(folder, "--dry-run", "--scale", "0"), "argument", /^import: .*\(--scale\)/);
  await fails(() => run(folder, "--dry-run", "--pre", "body"), "argument", /\.feather: .*"body_pre".*\(--pre\)/);
  await fails(() => run(at("absent"), "--dry-run"), "file-missing", /absent/);
});

test.run();
