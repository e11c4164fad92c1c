// The made-up files are what they claim to be: each is read by the readers of tables, and has the rows that its set says.

import { createHash } from "node:crypto";
import { mkdtempSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { openArrowFile } from "../../src/io/arrowFile.ts";
import { readLabelledConnectome } from "../../src/io/connectome.ts";
import { openParquetTable } from "../../src/io/parquetTableFile.ts";
import type { CellForm, TableFile } from "../../src/io/tableFile.ts";
import { openTextTable } from "../../src/io/textTableFile.ts";
import { fails, tempDir } from "../io/fixtures.ts";
import { plainColumns } from "../support/tableCells.ts";
import { orderInSafetensors, writeMaleCnsSafetensors, writeRawArrays } from "./layouts/derived.ts";
import { flip, replaceText, truncate } from "./layouts/files.ts";
import { FLYVIS_TYPES, writeFlyvis } from "./layouts/flyvis.ts";
import { codexTransmitter, writeCodex, writeZenodo } from "./layouts/flywire.ts";
import { writeMaleCns } from "./layouts/malecns.ts";
import { writeCelegans, writeLarva } from "./layouts/matrices.ts";
import { bodyOf, expectedOf, type SyntheticSet, signsOf, synapsesOf, syntheticSet } from "./layouts/synthetic.ts";
import { writeBanc, writeMicrons, writeNeuprint, writeShiu } from "./layouts/tables.ts";

const test = suite("synthetic files");
const dir = tempDir();
const folder = (): string => mkdtempSync(join(dir, "set-"));

async function read(table: TableFile, wanted: Readonly<Record<string, CellForm>>) {
  const columns = await plainColumns(table, wanted);
  await table.close();
  return columns.map(({ cells }) => cells);
}

/** Synapses by pair, "pre post", summed over rows. */
async function pairsIn(
  table: TableFile,
  pre: string,
  post: string,
  weight: string | null,
): Promise<Map<string, number>> {
  const wanted: Record<string, CellForm> = { [pre]: "id", [post]: "id" };
  if (weight !== null) wanted[weight] = "number";
  const [from, to, weights] = await read(table, wanted);
  const sums = new Map<string, number>();
  from!.forEach((id, k) => {
    const pair = `${id} ${to![k]}`;
    sums.set(pair, (sums.get(pair) ?? 0) + Number(weights?.[k] ?? 1));
  });
  return sums;
}

function pairsOf(set: SyntheticSet): Map<string, number> {
  return new Map(set.pairs.map((pair) => [`${bodyOf(set, pair.pre)} ${bodyOf(set, pair.post)}`, synapsesOf(pair)]));
}

/** Those between neurons. */
function expectedPairs(set: SyntheticSet): Map<string, number> {
  const { ids, connections } = expectedOf(set);
  return new Map(connections.map(({ pre, post, synapses }) => [`${ids[pre]} ${ids[post]}`, synapses]));
}

const sorted = (pairs: ReadonlyMap<string, number>): [string, number][] =>
  [...pairs].sort(([a], [b]) => (a < b ? -1 : 1));

test("a set has the traps, and is the same from the same seed", () => {
  const set = syntheticSet({ ids: "flywire" });
  assert.equal(set, syntheticSet({ ids: "flywire" }));
  assert.not.equal(set, syntheticSet({ ids: "flywire", seed: 1 }));
  const ids = [...set.neurons.map(({ id }) => id), ...set.fragments];
  assert.is(new Set(ids).size, ids.length);
  assert.is(new Set([0, 1, 2].map((i) => Number(ids[i]))).size, 1, "one double for three neurons");
  assert.is(Number(set.fragments[0]), Number(ids[0]));
  const all = expectedOf(set);
  const atLeast3 = expectedOf(set, { minSynapses: 3 });
  assert.ok(all.connections.length < set.pairs.length, "fragments are no neurons");
  const synapses = (list: typeof all, pre: number, post: number): number | undefined =>
    list.connections.find((connection) => connection.pre === pre && connection.post === post)?.synapses;
  assert.equal([synapses(all, 0, 1), synapses(all, 1, 0), synapses(all, 2, 2)], [4, 2, 3]);
  assert.equal([synapses(atLeast3, 0, 1), synapses(atLeast3, 1, 0)], [4, undefined]);
  assert.equal([set.neurons[5]!.transmitter, set.neurons[6]!.transmitter], ["unclear", null]);
  assert.equal([signsOf(set.neurons, "shiu")[5], signsOf(set.neurons, "strict")[5]], [1, 0]);
  assert.is(expectedOf(set, { keep: ({ isTraced }) => isTraced }).ids.length, set.neurons.length - 1);
});

test("MaleCNS: weights descend; annotations have fragments; transmitters have gaps", async () => {
  const set = syntheticSet({ ids: "malecns" });
  const files = await writeMaleCns(folder(), set);
  const open = await openArrowFile(files.weights);
  assert.is(open.rows, set.pairs.length);
  const [weights] = await read(open, { weight: "number" });
  assert.equal(
    weights,
    [...weights!].sort((a, b) => Number(b) - Number(a)),
  );
  const pairs = await pairsIn(await openArrowFile(files.weights), "body_pre", "body_post", "weight");
  assert.equal(sorted(pairs), sorted(pairsOf(set)));
  const wanted = { bodyId: "id", superclass: "text", statusLabel: "text" } as const;
  const [ids, superclasses, statuses] = await read(await openArrowFile(files.annotations), wanted);
  assert.equal(ids, [...set.neurons.map(({ id }) => id), ...set.fragments.slice(0, 2)]);
  assert.equal(superclasses, [...set.neurons.map(({ superclass }) => superclass), null, null]);
  assert.equal([statuses![7], statuses!.at(-1)], ["Unimportant", "Orphan"]);
  const nt = { body: "id", consensus_nt: "text", celltype_predicted_nt: "text", predicted_nt: "text" } as const;
  const [bodies, ...columns] = await read(await openArrowFile(files.transmitters), nt);
  const found = new Map(bodies!.map((id, k) => [id, columns.map((column) => column[k]!).find(isKnown) ?? null]));
  for (const { id, transmitter } of set.neurons) {
    assert.is(found.get(id) ?? null, isKnown(transmitter) ? transmitter : null, id);
  }
  const traced = await pairsIn(await openArrowFile(files.tracedOnly), "body_pre", "body_post", "weight");
  const { connections } = expectedOf(set, { keep: ({ isTraced }) => isTraced });
  assert.is(traced.size, connections.length);
});

function isKnown(transmitter: string | number | null): boolean {
  return transmitter !== null && transmitter !== "unclear";
}

test("FlyWire: rows by neuropil add up, headers are of both kinds, ids keep their digits", async () => {
  const set = syntheticSet({ ids: "flywire" });
  for (const headers of ["old", "new"] as const) {
    const files = await writeCodex(folder(), set, headers);
    const table = await openTextTable(files.connections);
    const pairs = await pairsIn(table, "pre_root_id", "post_root_id", "syn_count");
    assert.equal(sorted(pairs), sorted(pairsOf(set)));
    const [id, nt] = headers === "old" ? ["root_id", "nt_type"] : ["Root ID", "Predicted NT type"];
    const [ids, transmitters] = await read(await openTextTable(files.neurons), { [id!]: "id", [nt!]: "text" });
    assert.equal(
      ids,
      set.neurons.map((neuron) => neuron.id),
    );
    assert.equal(
      transmitters,
      set.neurons.map(({ transmitter }) => codexTransmitter(transmitter)),
    );
    const name = headers === "old" ? "primary_type" : "Primary Cell Type";
    const [types] = await read(await openTextTable(files.types), { [name]: "text" });
    assert.equal(
      types,
      set.neurons.map(({ type }) => type).filter((type) => type !== null),
    );
    assert.is((await openTextTable(files.classification)).columns.length, 8);
  }
  const zenodo = await openArrowFile(await writeZenodo(folder(), set));
  assert.equal(sorted(await pairsIn(zenodo, "pre_pt_root_id", "post_pt_root_id", "syn_count")), sorted(pairsOf(set)));
});

test("Shiu, BANC, hemibrain, MANC, MICrONS", async () => {
  const set = syntheticSet({ ids: "flywire" });
  const shiu = await writeShiu(folder(), set);
  const connectivity = await openParquetTable(shiu.edges);
  const pairs = await pairsIn(connectivity, "Presynaptic_ID", "Postsynaptic_ID", "Connectivity");
  assert.equal(sorted(pairs), sorted(expectedPairs(set)));
  const [order] = await read(await openTextTable(shiu.neurons), { "": "id" });
  assert.equal(
    order,
    set.neurons.map(({ id }) => id),
  );
  const banc = await writeBanc(folder(), set);
  assert.equal(sorted(await pairsIn(await openArrowFile(banc.edges), "pre", "post", "count")), sorted(pairsOf(set)));
  for (const kind of ["hemibrain", "manc"] as const) {
    const small = syntheticSet({ ids: "manc" });
    const { edges, neurons } = await writeNeuprint(folder(), small, kind);
    const found = await pairsIn(await openTextTable(edges), "bodyId_pre", "bodyId_post", "weight");
    assert.equal(sorted(found), sorted(pairsOf(small)));
    const [ids] = await read(await openTextTable(neurons), { bodyId: "id" });
    assert.ok(ids!.every((id) => String(id).length === 5));
  }
  for (const rows of ["pairs", "synapses"] as const) {
    const { edges } = await writeMicrons(folder(), set, rows);
    const weight = rows === "pairs" ? "n_syn" : null;
    const found = await pairsIn(await openTextTable(edges), "pre_pt_root_id", "post_pt_root_id", weight);
    assert.equal(sorted(found), sorted(pairsOf(set)));
  }
});

test("dense matrices: names and short numbers label rows and columns", async () => {
  for (const [ids, write] of [
    ["manc", writeLarva],
    ["names", writeCelegans],
  ] as const) {
    const set = syntheticSet({ ids });
    const file = await write(folder(), set);
    const lines = (await readFile(file, "utf8"))
      .trimEnd()
      .split("\n")
      .map((line) => line.split(","));
    assert.equal(
      lines[0]!.slice(1),
      set.neurons.map(({ id }) => id),
    );
    assert.equal(
      lines.slice(1).map(([id]) => id),
      lines[0]!.slice(1),
    );
    const { connections } = expectedOf(set);
    for (const { pre, post, synapses } of connections) assert.is(lines[pre + 1]![post + 1], `${synapses}`);
    const filled = lines
      .slice(1)
      .flatMap((line) => line.slice(1))
      .filter((cell) => cell !== "" && cell !== "0");
    assert.is(filled.length, connections.length);
    if (ids === "manc") assert.is((await readLabelledConnectome(file, { rows: "pre" })).csr.nnz, connections.length);
  }
});

test("the derived copies: safetensors, raw arrays with a manifest", async () => {
  const set = syntheticSet({ ids: "malecns" });
  const { model, config } = await writeMaleCnsSafetensors(folder(), set);
  const bytes = await readFile(model);
  const length = Number(bytes.readBigUInt64LE());
  const head = JSON.parse(bytes.toString("utf8", 8, 8 + length)) as Record<string, { data_offsets: [number, number] }>;
  const part = (name: string): ArrayBuffer => {
    const [begin, end] = head[name]!.data_offsets.map((at) => at + 8 + length);
    return new Uint8Array(bytes.subarray(begin, end)).buffer;
  };
  const [ids, from, to] = [new BigInt64Array(part("neuron_id")), part("edge_src"), part("edge_dst")];
  const counts = new Int32Array(part("synapse_count"));
  const posts = new Int32Array(to);
  const found = Array.from(new Int32Array(from), (pre, k): [string, number] => [
    `${ids[pre]} ${ids[posts[k]!]}`,
    counts[k]!,
  ]);
  assert.equal(sorted(new Map(found)), sorted(pairsOf(set)));
  assert.equal(Object.keys(JSON.parse(await readFile(config, "utf8"))), [
    "status_labels",
    "superclass_labels",
    "nt_labels",
  ]);
  const neurons = new Set(set.neurons.map(({ id }) => id));
  assert.equal(
    Array.from(ids, String).filter((id) => neurons.has(id)),
    orderInSafetensors(set),
  );
  for (const sources of ["i32", "u16"] as const) {
    const { manifest, expected } = await writeRawArrays(folder(), set, sources);
    const { files } = JSON.parse(await readFile(manifest, "utf8")) as { files: Record<string, { sha256: string }> };
    for (const [path, { sha256 }] of Object.entries(files)) {
      const content = await readFile(join(dirname(manifest), path));
      assert.is(createHash("sha256").update(content).digest("hex"), sha256);
    }
    const narrow = await readFile(join(dirname(manifest), `graph/edges_source.${sources}`));
    assert.is(narrow.length, expected.connections.length * (sources === "i32" ? 4 : 2));
  }
});

test("flyvis' form", async () => {
  const whole = JSON.parse(await readFile(await writeFlyvis(folder()), "utf8")) as { nodes: { name: string }[] };
  assert.equal(
    whole.nodes.map(({ name }) => name),
    FLYVIS_TYPES,
  );
});

test("damage is damage", async () => {
  const set = syntheticSet({ ids: "manc" });
  const { edges } = await writeNeuprint(folder(), set, "manc");
  await replaceText(edges, /\n(\d+),/, "\n$1.5,");
  const open = await openTextTable(edges);
  await fails(() => plainColumns(open, { bodyId_pre: "id" }), "file-format", /:2, column "bodyId_pre"/);
  const { weights, annotations } = await writeMaleCns(folder(), set);
  await truncate(weights, 0.6);
  await fails(() => openArrowFile(weights), "file-truncated");
  const before = await readFile(annotations);
  await flip(annotations, 0.5, 1);
  assert.is((await readFile(annotations)).filter((byte, i) => byte !== before[i]).length, 1);
  await replaceText(edges, "bodyId_pre", "x");
  const missing = await replaceText(edges, "bodyId_pre", "x").catch((cause: Error) => cause.message);
  assert.match(missing ?? "", /does not have bodyId_pre/);
});

test.run();
