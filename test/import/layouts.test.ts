// Every published layout, read from small made-up files: ids and their order, connections, columns; and what happens if files are missing or damaged.

import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { type ImportedConnectome, type ImportOptions, importConnectome } from "../../src/import/importConnectome.ts";
import { LAYOUTS } from "../../src/import/layouts/index.ts";
import { openTable } from "../../src/io/openTable.ts";
import type { IdCells, NumberCells } from "../../src/io/tableFile.ts";
import { fails, tempDir, testWithData } from "../io/fixtures.ts";
import { orderInSafetensors, writeMaleCnsSafetensors, writeRawArrays } from "./layouts/derived.ts";
import { flip, replaceText, truncate, writeCsv } from "./layouts/files.ts";
import { FLYVIS_EDGES, writeFlyvis } from "./layouts/flyvis.ts";
import { CODEX_SIDES, CODEX_SUPERCLASSES, codexTransmitter, writeCodex, writeZenodo } from "./layouts/flywire.ts";
import { writeMaleCns } from "./layouts/malecns.ts";
import { writeCelegans, writeLarva } from "./layouts/matrices.ts";
import {
  type Expected,
  expectedOf,
  type IdStyle,
  type SyntheticNeuron,
  signsOf,
  syntheticSet,
} from "./layouts/synthetic.ts";
import { writeBanc, writeMicrons, writeNeuprint, writeShiu } from "./layouts/tables.ts";

const test = suite("layouts");
const dir = tempDir();
let folders = 0;

async function folder(): Promise<string> {
  const path = join(dir, `set${folders++}`);
  await mkdir(path);
  return path;
}

const idsOf = ({ labels, csr }: ImportedConnectome): string[] =>
  labels
    ? Array.from(labels as ArrayLike<bigint | string>, String)
    : Array.from({ length: csr.nRows }, (_, i) => `${i}`);

/** Connections by post, then by pre, with their weights. */
function connectionsOf({ csr }: ImportedConnectome): [pre: number, post: number, weight: number][] {
  const list: [number, number, number][] = [];
  for (let i = 0; i < csr.nRows; i++) {
    for (let k = csr.rowPtr[i]!; k < csr.rowPtr[i + 1]!; k++) list.push([csr.colIdx[k]!, i, csr.values[k]!]);
  }
  return list;
}

/** Demands the neurons and connections of a made-up set. @param signs  by presynaptic neuron; 0: left out */
function assertSet(got: ImportedConnectome, { ids, connections }: Expected, signs?: readonly number[]): void {
  assert.equal(idsOf(got), ids);
  const expected = connections.map(({ pre, post, synapses }) => [pre, post, synapses * (signs?.[pre] ?? 1)]);
  assert.equal(
    connectionsOf(got),
    expected.filter(([, , weight]) => weight !== 0),
  );
  assert.is(got.table.count, ids.length);
}

/** A column of the table as text. */
function column({ table }: ImportedConnectome, name: string): string[] {
  const { values, valueIdx } = table.columns!.get(name)!;
  return Array.from(valueIdx, (v) => values[v]!);
}

const COMMON: ImportOptions = { signs: "none" };
const textOf = (neurons: readonly SyntheticNeuron[], of: (neuron: SyntheticNeuron) => string | null): string[] =>
  neurons.map((neuron) => of(neuron) ?? "");

/** Every layout, how its set is written, and the neurons that it keeps. */
const CASES: readonly {
  readonly layout: string;
  readonly ids: IdStyle;
  readonly write: (folder: string, set: ReturnType<typeof syntheticSet>) => Promise<unknown>;
  /** What a folder is recognised as; null: it must be named. */
  readonly recognised?: null;
}[] = [
  { layout: "malecns", ids: "malecns", write: writeMaleCns },
  { layout: "flywire-codex", ids: "flywire", write: (path, set) => writeCodex(path, set, "old") },
  { layout: "flywire-codex", ids: "flywire", write: (path, set) => writeCodex(path, set, "new") },
  { layout: "shiu", ids: "flywire", write: writeShiu },
  { layout: "banc", ids: "flywire", write: writeBanc },
  {
    layout: "hemibrain",
    ids: "malecns",
    write: (path, set) => writeNeuprint(path, set, "hemibrain"),
    recognised: null,
  },
  { layout: "manc", ids: "manc", write: (path, set) => writeNeuprint(path, set, "manc") },
  { layout: "larva", ids: "manc", write: writeLarva },
  { layout: "celegans", ids: "names", write: writeCelegans },
  { layout: "microns", ids: "flywire", write: (path, set) => writeMicrons(path, set, "pairs"), recognised: null },
  { layout: "microns", ids: "flywire", write: (path, set) => writeMicrons(path, set, "synapses"), recognised: null },
  { layout: "raw-arrays", ids: "malecns", write: (path, set) => writeRawArrays(path, set, "i32") },
  { layout: "raw-arrays", ids: "malecns", write: (path, set) => writeRawArrays(path, set, "u16") },
];

for (const [k, { layout, ids, write, recognised }] of CASES.entries()) {
  test(`${layout}: ids, order and connections of a made-up set, thresholds after summing (case ${k})`, async () => {
    const path = await folder();
    const set = syntheticSet({ ids, seed: k });
    await write(path, set);
    const given = recognised === null ? { ...COMMON, layout } : COMMON;
    for (const minSynapses of [1, 3]) {
      const got = await importConnectome([path], { ...given, minSynapses });
      assert.is(got.provenance.layout, layout);
      assertSet(got, expectedOf(set, { minSynapses }));
      assert.is(
        got.provenance.sources.every(({ sha256 }) => sha256.length === 64),
        true,
      );
      const last = got.provenance.steps.at(-1)!;
      assert.equal([last.neurons, last.connections], [got.csr.nRows, got.csr.nnz]);
    }
    await fails(() => importConnectome([path], { ...given, minSynapses: 1e6 }), "argument", /minSynapses/, /1000000/);
  });
}

test("malecns: selectors, sides, transmitters, roles and signs", async () => {
  const path = await folder();
  const set = syntheticSet({ ids: "malecns" });
  await writeMaleCns(path, set);
  const traced = expectedOf(set, { keep: ({ isTraced }) => isTraced });
  assertSet(await importConnectome([path], { ...COMMON, nodes: "status=Traced" }), traced);
  const all = expectedOf(set);
  const got = await importConnectome([path], COMMON);
  assert.equal(
    column(got, "type"),
    textOf(all.neurons, ({ type }) => type),
  );
  assert.equal(
    column(got, "side"),
    textOf(all.neurons, ({ side }) => side),
  );
  const clear = ({ transmitter }: SyntheticNeuron): string | null => (transmitter === "unclear" ? null : transmitter);
  assert.equal(column(got, "transmitter"), textOf(all.neurons, clear));
  const role = (superclass: string): string =>
    /sensory/.test(superclass) ? "input" : /motor|descending/.test(superclass) ? "output" : "hidden";
  assert.equal(
    got.table.role,
    all.neurons.map(({ superclass }) => role(superclass)),
  );
  for (const rule of ["shiu", "strict", "permissive"] as const) {
    assertSet(await importConnectome([path], { signs: rule }), all, signsOf(all.neurons, rule));
  }
});

test("malecns: the table between traced neurons is read where the whole one is not there", async () => {
  const path = await folder();
  const set = syntheticSet({ ids: "malecns" });
  const { weights } = await writeMaleCns(path, set);
  const traced = expectedOf(set, { keep: ({ isTraced }) => isTraced });
  await rm(weights);
  const got = await importConnectome([path], { ...COMMON, nodes: "status=Traced", minSynapses: 2 });
  assertSet(got, expectedOf(set, { keep: ({ isTraced }) => isTraced, minSynapses: 2 }));
  assert.match(got.provenance.sources[0]!.file, /traced-only/);
  assert.ok(traced.connections.length > got.csr.nnz);
});

for (const headers of ["old", "new"] as const) {
  test(`flywire-codex: columns under ${headers} headers`, async () => {
    const path = await folder();
    const set = syntheticSet({ ids: "flywire" });
    await writeCodex(path, set, headers);
    const got = await importConnectome([path]);
    const { neurons } = expectedOf(set);
    assert.equal(
      column(got, "type"),
      textOf(neurons, ({ type }) => type),
    );
    assert.equal(
      column(got, "class"),
      textOf(neurons, (neuron) => neuron.class),
    );
    assert.equal(
      column(got, "side"),
      textOf(neurons, ({ side }) => side && CODEX_SIDES[side]),
    );
    assert.equal(
      column(got, "superclass"),
      textOf(neurons, ({ superclass }) => CODEX_SUPERCLASSES[superclass]!),
    );
    assert.equal(
      column(got, "transmitter"),
      textOf(neurons, ({ transmitter }) => codexTransmitter(transmitter)),
    );
    assert.is(got.provenance.rules.signs, "shiu");
  });
}

test("flywire: without a table of neurons, those are the ends of edges", async () => {
  const path = await folder();
  const set = syntheticSet({ ids: "flywire" });
  await writeZenodo(path, set);
  const got = await importConnectome([path]);
  const ends = new Set(set.pairs.flatMap(({ pre, post }) => [pre, post]));
  assert.is(got.csr.nRows, ends.size);
  assert.is(got.csr.nnz, set.pairs.length);
  assert.equal(
    idsOf(got),
    [...idsOf(got)].sort((a, b) => (BigInt(a) < BigInt(b) ? -1 : 1)),
  );
});

test("flywire: shares in the rows say the transmitters where no table does", async () => {
  const path = await folder();
  const set = syntheticSet({ ids: "flywire" });
  await writeZenodo(path, set);
  const got = await importConnectome([path]);
  const table = await openTable(join(path, "proofread_connections_783.feather"));
  const names = ["ach_avg", "gaba_avg", "glut_avg", "da_avg", "ser_avg", "oct_avg"];
  const words = ["acetylcholine", "GABA", "glutamate", "dopamine", "serotonin", "octopamine"];
  const sums = new Map<string, number[]>();
  const wanted = ["syn_count", ...names].map((name) => ({ name, as: "number" as const }));
  await table.read([{ name: "pre_pt_root_id", as: "id" }, ...wanted], ({ count, cells }) => {
    const [pre, ...numbers] = cells as [IdCells, ...NumberCells[]];
    for (let row = 0; row < count; row++) {
      const own = sums.get(String(pre.ids[row])) ?? names.map(() => 0);
      sums.set(String(pre.ids[row]), own);
      names.forEach((_, k) => {
        own[k]! += numbers[k + 1]!.numbers[row]! * numbers[0]!.numbers[row]!;
      });
    }
    return true;
  });
  await table.close();
  const expected = idsOf(got).map((id) => {
    const own = sums.get(id) ?? [0];
    const most = Math.max(...own);
    const isClear = most > 0 && own.indexOf(most) === own.lastIndexOf(most);
    return isClear ? words[own.indexOf(most)]! : "";
  });
  assert.equal(column(got, "transmitter"), expected);
  assert.ok(new Set(expected).size > 4);
  const inhibits = (name: string): boolean => name === "GABA" || name === "glutamate";
  assert.equal(
    [...got.table.sign!],
    expected.map((name) => (inhibits(name) ? -1 : 1)),
  );
  assert.match(got.provenance.notes!.join("\n"), /largest sum of share/);
  const counts = await importConnectome([path], COMMON);
  assert.not.ok(counts.table.columns!.has("transmitter"), "no rule asks for them");
});

test("shares of transmitters: levels are unclear, empty cells count 0, others than 0 to 1 are refused", async () => {
  const path = await folder();
  const write = (rows: readonly (string | number)[][]): Promise<unknown> =>
    writeCsv(
      join(path, "proofread_connections_783.csv"),
      ["pre_pt_root_id", "post_pt_root_id", "syn_count", "ach_avg", "gaba_avg"],
      rows,
    );
  await write([
    [1001, 1002, 9, 0.4, ""],
    [1001, 1003, 1, 0, 0.9],
    [1002, 1001, 2, 0.5, 0.5],
    [1003, 1001, 4, 0.1, 0.2],
  ]);
  const got = await importConnectome([path], { layout: "flywire" });
  assert.equal(column(got, "transmitter"), ["acetylcholine", "", "GABA"]);
  await write([[1001, 1002, 9, 1.5, 0]]);
  await fails(
    () => importConnectome([path], { layout: "flywire" }),
    "file-format",
    /ach_avg/,
    /share from 0 to 1/,
    /1\.5/,
  );
});

test("ids that the policy does not allow are refused, also in matrices", async () => {
  const [names, larva] = [await folder(), await folder()];
  await writeCelegans(names, syntheticSet({ ids: "names" }));
  await writeLarva(larva, syntheticSet({ ids: "manc" }));
  await fails(() => importConnectome([names], { ids: "number" }), "file-format", /whole numbers as ids/);
  assert.is((await importConnectome([names])).report.ids!.taken, "names");
  assert.is((await importConnectome([larva])).report.ids!.taken, "numbers");
  assert.is((await importConnectome([larva], { ids: "name" })).report.ids!.taken, "names");
  await fails(() => importConnectome([larva], { ids: "position" }), "argument", /auto, number or name/);
});

test("files of signs and of ids are among the sources, and what they name in vain is said", async () => {
  const path = await folder();
  const set = syntheticSet({ ids: "malecns" });
  await writeMaleCns(path, set);
  const [rule, ids] = [join(path, "rule.csv"), join(path, "ids.txt")];
  const { neurons } = expectedOf(set);
  await writeCsv(rule, ["id", "sign"], [...neurons.map(({ id }) => [id, "+"]), ["999999", "-"]]);
  await writeFile(ids, neurons.map(({ id }) => id).join("\n"));
  const got = await importConnectome([path], { signs: rule, nodes: `@"${ids}"` });
  assert.equal(
    got.provenance.sources.map(({ role }) => role),
    ["edges", "neurons", "transmitters", "signs", "ids"],
  );
  assert.match(got.provenance.notes!.join("\n"), /rule\.csv: 1 id of none of these neurons/);
  const names = ["acetylcholine", "gaba", "glutamate", "dopamine", "serotonin", "octopamine", "histamine", "histamin"];
  await writeCsv(
    rule,
    ["transmitter", "sign"],
    names.map((name) => [name, "+"]),
  );
  const misspelt = await importConnectome([path], { signs: rule });
  assert.match(misspelt.provenance.notes!.join("\n"), /rule\.csv: no neuron has "histamin"/);
});

test("flywire: types of a table beside it are joined", async () => {
  const path = await folder();
  const set = syntheticSet({ ids: "flywire" });
  await writeZenodo(path, set);
  const rows = set.neurons.map(({ id, type, transmitter }) => [id, type, codexTransmitter(transmitter)]);
  await writeCsv(join(path, "Supplemental_file1_neuron_annotations.tsv"), ["root_id", "cell_type", "top_nt"], rows);
  const got = await importConnectome([path], COMMON);
  assertSet(got, expectedOf(set));
  assert.equal(
    column(got, "type"),
    textOf(set.neurons, ({ type }) => type),
  );
});

test("shiu and raw arrays: signs of the files are taken, and any rule by transmitters is refused", async () => {
  for (const write of [writeShiu, writeRawArrays]) {
    const path = await folder();
    const set = syntheticSet({ ids: "flywire" });
    await write(path, set);
    const expected = expectedOf(set);
    const signs = signsOf(expected.neurons, "shiu");
    const got = await importConnectome([path]);
    assertSet(got, expected, signs);
    const sends = new Set(expected.connections.map(({ pre }) => pre));
    assert.equal(
      [...got.table.sign!],
      signs.map((sign, i) => (sends.has(i) ? sign : 0)),
    );
    assert.is(got.provenance.rules.signs, "source");
    await fails(() => importConnectome([path], { signs: "strict" }), "argument", /signs/, /no transmitters/);
  }
});

test("malecns-safetensors: neurons are the segments with a class, in the order of the file", async () => {
  const path = await folder();
  const set = syntheticSet({ ids: "malecns" });
  const { model } = await writeMaleCnsSafetensors(path, set);
  const order = orderInSafetensors(set);
  const neurons = order.map((id) => set.neurons.find((neuron) => neuron.id === id)!);
  const place = new Map(set.neurons.map((neuron, i) => [i, neurons.indexOf(neuron)]));
  const pairs = set.pairs.map((pair) => {
    const of = (body: number): number => place.get(body) ?? body;
    return { ...pair, pre: of(pair.pre), post: of(pair.post) };
  });
  const expected = expectedOf({ ...set, neurons, pairs });
  const got = await importConnectome([path], COMMON);
  assertSet(got, expected);
  assert.equal(
    column(got, "superclass"),
    textOf(neurons, ({ superclass }) => superclass),
  );
  assertSet(await importConnectome([path], { signs: "permissive" }), expected, signsOf(neurons, "permissive"));
  const traced = await importConnectome([path], { ...COMMON, nodes: "status=Traced" });
  assert.is(traced.csr.nRows, set.neurons.filter(({ isTraced }) => isTraced).length);
  await replaceText(join(path, "config.json"), "superclass_labels", "superclasses");
  await fails(() => importConnectome([path]), "file-format", /superclass_labels/);
  await truncate(model, 0.9);
  await fails(() => importConnectome([path]), "file-truncated", /model\.safetensors/);
});

test("larva: annotations name a left and a right neuron in each line", async () => {
  const path = await folder();
  const set = syntheticSet({ ids: "manc" });
  await writeLarva(path, set);
  const ids = set.neurons.map(({ id }) => id);
  await writeCsv(
    join(path, "annotations.csv"),
    ["left_id", "right_id", "celltype"],
    [
      [ids[0]!, ids[1]!, "sensory"],
      [ids[2]!, "no pair", "DN-VNC"],
      ["99999999", ids[3]!, "PN"],
    ],
  );
  const got = await importConnectome([path]);
  assert.equal(column(got, "side").slice(0, 5), ["left", "right", "left", "right", ""]);
  assert.equal(column(got, "type").slice(0, 5), ["sensory", "sensory", "DN-VNC", "PN", ""]);
  assert.equal(got.table.role!.slice(0, 5), ["input", "input", "output", "hidden", "hidden"]);
  assert.match(got.provenance.notes!.join("\n"), /annotations\.csv: 1 row about other neurons left out/);
  const turned = await importConnectome([path], { rows: "post" });
  const flipped = connectionsOf(await importConnectome([path])).map(([pre, post, w]) => [post, pre, w]);
  assert.equal(
    connectionsOf(turned),
    flipped.sort((a, b) => a[1]! - b[1]! || a[0]! - b[0]!),
  );
});

test("celegans: cells that only receive are columns without a line", async () => {
  const path = await folder();
  await writeCsv(
    join(path, "herm_chemical.csv"),
    ["", "ADAL", "muscle 1", "ADAR"],
    [
      ["ADAR", 3, null, null],
      ["ADAL", null, 2, 1],
    ],
  );
  const got = await importConnectome([path]);
  assert.equal(idsOf(got), ["ADAL", "muscle 1", "ADAR"]);
  assert.equal(connectionsOf(got), [
    [2, 0, 3],
    [0, 1, 2],
    [0, 2, 1],
  ]);
});

test("flyvis: cell types are laid out over columns", async () => {
  const path = await folder();
  await writeFlyvis(path);
  const got = await importConnectome([path], { extent: 1 });
  // Seven columns for three types; L1 with stride 2 has a cell in the centre only.
  assert.is(got.csr.nRows, 22);
  assert.equal(got.table.types, ["L1", "R1", "R2", "T4a"]);
  const ofType = (name: string): number => column(got, "type").filter((type) => type === name).length;
  assert.equal(["R1", "R2", "L1", "T4a"].map(ofType), [7, 7, 1, 7]);
  const weights = connectionsOf(got).map(([, , weight]) => weight);
  const counts = new Map([...new Set(weights)].map((w) => [w, weights.filter((v) => v === w).length]));
  // R1 → L1, R2 → L1 at two offsets, L1 → T4a at three, T4a → T4a at the neighbours by (1, 0): four of seven columns have one.
  assert.equal(Object.fromEntries(counts), { "-40": 1, "12.5": 1, "2": 2, "3": 1, "1": 1, "-4": 4 });
  assert.is(FLYVIS_EDGES.length, 4);
  assert.equal([...new Set(got.table.role)].sort(), ["hidden", "input", "output"]);
  assert.is(got.labels, null);
  await fails(() => importConnectome([path], { extent: 1.5 }), "argument", /extent/);
});

testWithData(
  test,
  ["flyvis/fib25-fib19_v2.2.json", "flyvis/flyvis_e2_csr.npz", "flyvis/flyvis_e6_csr.npz"],
  "flyvis: the published network has the same connections, weights and order",
  async (json, e2, e6) => {
    const { readConnectome } = await import("../../src/io/connectome.ts");
    for (const [extent, file] of [
      [2, e2],
      [6, e6],
    ] as const) {
      const expected = await readConnectome(file);
      const { csr } = await importConnectome([json], { extent });
      assert.is(csr.nRows, expected.nRows);
      assert.equal(csr.rowPtr, expected.rowPtr);
      assert.equal(csr.colIdx, expected.colIdx);
      assert.equal(Float32Array.from(csr.values), Float32Array.from(expected.values));
    }
  },
);

testWithData(
  test,
  ["malecns-fixture/expected.json", "malecns-fixture/body-annotations-male-cns-v1.0-minconf-0.5.feather"],
  "the fixture in the layout of MaleCNS has the expected counts",
  async (json, annotations) => {
    const expected = JSON.parse(await readFile(json, "utf8"));
    const path = join(annotations, "..");
    for (const [name, nodes] of [
      ["superclass", "superclass=*"],
      ["traced", "status=Traced"],
    ] as const) {
      for (const minSynapses of [1, 3, 5]) {
        const { csr, report } = await importConnectome([path], { ...COMMON, nodes, minSynapses });
        assert.is(csr.nnz, expected[name][minSynapses]);
        assert.is(report.edges.rowsOfFile, expected.rows);
      }
    }
    const { report } = await importConnectome([path], COMMON);
    assert.equal([report.edges.rows, report.edges.synapses], [expected.rows, expected.synapses]);
  },
);

test("damaged files end in an error that names them", async () => {
  const path = await folder();
  const set = syntheticSet({ ids: "malecns" });
  const files = await writeMaleCns(path, set);
  const whole = await readFile(files.annotations);
  for (const share of [0.2, 0.7, 0.99]) {
    await truncate(files.annotations, share);
    await failsSomehow(path, /body-annotations/);
    await writeFile(files.annotations, whole);
  }
  const raw = await folder();
  const { manifest } = await writeRawArrays(raw, set);
  await flip(join(raw, "graph", "edges_weight.f32"), 0.5);
  await fails(() => importConnectome([raw]), "file-damaged", /edges_weight\.f32/, /SHA-256/);
  await replaceText(manifest, /"graph\/edges_weight\.f32"/g, '"graph/other.f32"');
  await fails(() => importConnectome([raw]), "file-format", /SHA-256 of .*edges_weight/);
  const matrix = await folder();
  const file = await writeCelegans(matrix, set);
  await replaceText(file, "300", "many");
  await fails(() => importConnectome([matrix]), "file-format", /hermaphrodite_chemical\.csv:\d+/, /many/);
});

async function failsSomehow(path: string, pattern: RegExp): Promise<void> {
  try {
    await importConnectome([path]);
  } catch (error) {
    assert.match((error as Error).message, pattern);
    assert.match((error as { code?: string }).code ?? "", /^file-/);
    return;
  }
  assert.unreachable("expected a failure");
}

test("missing files are named with what to download", async () => {
  const path = await folder();
  const { annotations } = await writeMaleCns(path, syntheticSet({ ids: "malecns" }));
  await rm(annotations);
  const name = /body-annotations-male-cns-v1\.0-minconf-0\.5\.feather/;
  await fails(() => importConnectome([path], { layout: "malecns" }), "file-missing", name);
  await fails(() => importConnectome([path]), "argument", /malecns lacks/, name);
  const empty = await folder();
  await fails(() => importConnectome([empty]), "argument", /no layout: no files/);
  await fails(() => importConnectome([join(path, "none")]), "file-missing", /none/);
});

test("files that fit several layouts, or one role twice, are listed", async () => {
  const path = await folder();
  const set = syntheticSet({ ids: "malecns" });
  await writeNeuprint(path, set, "hemibrain");
  await fails(() => importConnectome([path]), "argument", /hemibrain/, /manc/);
  await fails(() => importConnectome([path], { layout: "hemibrian" }), "argument", /did you mean "hemibrain"/);
  const two = await folder();
  const { weights } = await writeMaleCns(two, set);
  await writeFile(weights.replace("v1.0", "v1.1"), await readFile(weights));
  await fails(() => importConnectome([two]), "argument", /2: .*v1\.0.*v1\.1/, /--edges FILE/);
  assertSet(await importConnectome([two], { ...COMMON, edges: weights }), expectedOf(set));
});

test("tables with columns of any name are read", async () => {
  const path = await folder();
  const set = syntheticSet({ ids: "names" });
  const { ids, connections } = expectedOf(set);
  const edges = join(path, "wires.csv");
  await writeCsv(
    edges,
    ["from neuron", "to neuron", "n"],
    connections.map(({ pre, post, synapses }) => [ids[pre]!, ids[post]!, synapses]),
  );
  const neurons = join(path, "cells.csv");
  await writeCsv(
    neurons,
    ["cell", "type"],
    set.neurons.map(({ id, type }) => [id, type]),
  );
  const named = { layout: "table", edges, neurons, pre: "from neuron", post: "to neuron", weight: "n", id: "cell" };
  assertSet(await importConnectome([], named), expectedOf(set));
  await fails(
    () => importConnectome([], { ...named, pre: "from nuron" }),
    "argument",
    /pre/,
    /did you mean "from neuron"/,
  );
  const { pre: _pre, ...withoutPre } = named;
  await fails(() => importConnectome([], withoutPre), "file-format", /wires\.csv/, /--pre COLUMN/, /"from neuron"/);
  const counted = await importConnectome([], { ...named, weight: null });
  assert.is(
    counted.csr.values.every((value) => value === 1),
    true,
  );
});

test("every layout says whose data it reads", () => {
  assert.is(new Set(LAYOUTS.map(({ name }) => name)).size, LAYOUTS.length);
  for (const { title, citation, licence, files } of LAYOUTS) {
    assert.ok(title !== "" && citation !== "" && licence !== "" && files.some(({ isNeeded }) => isNeeded));
  }
});

test("a selector that asks for connections keeps what the whole table says", async () => {
  const path = await folder();
  const set = syntheticSet({ ids: "malecns" });
  await writeMaleCns(path, set);
  const whole = await importConnectome([path], COMMON);
  const part = await importConnectome([path], { ...COMMON, nodes: "superclass=* & upstream(1, index=3)" });
  const sources = new Set([
    3,
    ...connectionsOf(whole)
      .filter(([, post]) => post === 3)
      .map(([pre]) => pre),
  ]);
  const kept = [...sources].sort((a, b) => a - b);
  assert.equal(
    idsOf(part),
    kept.map((i) => idsOf(whole)[i]!),
  );
  const inside = connectionsOf(whole).filter(([pre, post]) => sources.has(pre) && sources.has(post));
  assert.equal(
    connectionsOf(part),
    inside.map(([pre, post, w]) => [kept.indexOf(pre), kept.indexOf(post), w]),
  );
  assert.is(part.provenance.steps.at(-1)!.neurons, kept.length);
  // Strict signs take connections away, too.
  for (const signs of ["none", "strict"]) {
    const connected = await importConnectome([path], { signs, minSynapses: 12, connected: true });
    const ends = new Set(Array.from(connectionsOf(connected), ([pre, post]) => [pre, post]).flat());
    assert.is(ends.size, connected.csr.nRows);
    assert.ok(connected.csr.nRows < whole.csr.nRows);
    const { steps } = connected.provenance;
    assert.equal([steps.at(-1)!.step, steps.at(-1)!.neurons], ["with a connection", ends.size]);
    const kept = await importConnectome([path], { signs, minSynapses: 12 });
    assert.is(kept.report.unconnected, whole.csr.nRows - ends.size);
    const places = idsOf(connected).map((id) => idsOf(kept).indexOf(id));
    assert.equal(
      connectionsOf(connected).map(([pre, post, w]) => [places[pre], places[post], w]),
      connectionsOf(kept),
    );
    assert.equal(
      connected.table.sign && [...connected.table.sign],
      kept.table.sign && places.map((i) => kept.table.sign![i]),
    );
  }
});

test.run();
