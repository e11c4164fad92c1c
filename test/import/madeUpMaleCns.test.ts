import { readdirSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { MALE_CNS_FILES, writeMadeUpMaleCns } from "../../src/import/madeUpMaleCns.ts";
import { openArrowFile } from "../../src/io/arrowFile.ts";
import type { CellForm } from "../../src/io/tableFile.ts";
import { fails, tempDir } from "../io/fixtures.ts";
import { plainColumns } from "../support/tableCells.ts";

const test = suite("made-up MaleCNS");
const dir = tempDir();
const SIZES = { neurons: 400, connections: 5000, fragments: 700, seed: 3 };
const folder = join(dir, "set");

async function columns(name: keyof typeof MALE_CNS_FILES, wanted: Readonly<Record<string, CellForm>>) {
  const table = await openArrowFile(join(folder, MALE_CNS_FILES[name]));
  const found = await plainColumns(table, wanted);
  await table.close();
  return found.map(({ cells }) => cells);
}

test("files have the published names, and say that they are made up", async () => {
  const set = await writeMadeUpMaleCns(folder, SIZES);
  assert.equal(readdirSync(folder).sort(), Object.values(MALE_CNS_FILES).sort());
  assert.equal(set.files.length, 3);
  assert.match(await readFile(join(folder, MALE_CNS_FILES.note), "utf8"), /made up .* no data of an animal \(seed 3\)/);
  for (const file of set.files) assert.match(await readFile(file, "latin1"), /made up by axograd generate/);
});

test("rows descend by weight, no pair occurs twice, and the counts are those reported", async () => {
  const set = await writeMadeUpMaleCns(folder, SIZES);
  const [pre, post, weight] = await columns("weights", { body_pre: "id", body_post: "id", weight: "number" });
  const rows = SIZES.connections + SIZES.fragments;
  assert.equal([set.rows, weight!.length], [rows, rows]);
  assert.ok(weight!.every((w, k) => k === 0 || Number(w) <= Number(weight![k - 1])));
  assert.is(new Set(pre!.map((id, k) => `${id} ${post![k]}`)).size, rows);
  const [ids] = await columns("transmitters", { body: "id" });
  assert.is(new Set(ids).size, SIZES.neurons);
  const isNeuron = new Set(ids);
  const between = [...weight!.keys()].filter((k) => isNeuron.has(pre![k]!) && isNeuron.has(post![k]!));
  assert.is(between.length, SIZES.connections);
  const outside = [...weight!.keys()].filter((k) => isNeuron.has(pre![k]!) !== isNeuron.has(post![k]!));
  assert.is(outside.length, SIZES.fragments);
  const fragments = new Set(outside.map((k) => (isNeuron.has(pre![k]!) ? post : pre)![k]));
  assert.is(fragments.size, SIZES.fragments);
  const weights = between.map((k) => Number(weight![k]));
  assert.is(
    weights.reduce((sum, w) => sum + w, 0),
    set.synapses,
  );
  for (const least of ["3", "5", "10"] as const) {
    assert.is(weights.filter((w) => w >= Number(least)).length, set.atLeast[least]);
  }
});

test("neurons have superclasses in the published proportions, types, and one transmitter at least somewhere", async () => {
  await writeMadeUpMaleCns(folder, SIZES);
  const wanted = { bodyId: "id", superclass: "text", type: "text", statusLabel: "text", somaSide: "text" } as const;
  const [ids, superclass, type, label] = await columns("annotations", wanted);
  assert.is(ids!.length, SIZES.neurons + Math.round(0.27 * SIZES.neurons));
  const of = (name: string | null): number => superclass!.filter((other) => other === name).length;
  // 400 · 89,403 / 166,700 = 214.5; the rarest have one.
  assert.ok(Math.abs(of("ol_intrinsic") - 214) <= 1);
  assert.is(of("cb_motor"), 1);
  assert.is(of(null), ids!.length - SIZES.neurons);
  assert.ok(type!.every((name, k) => (name === null) === (superclass![k] === null)));
  // One of 14 neurons has a type of its own: 11,751 / 166,700.
  assert.ok(Math.abs(new Set(type).size - 1 - 28) <= 3);
  assert.ok(label!.filter((name) => name === "Traced").length > 0.95 * SIZES.neurons);
  const [consensus, predicted] = await columns("transmitters", { consensus_nt: "text", predicted_nt: "text" });
  assert.ok(predicted!.every((name) => name !== null));
  assert.ok(consensus!.includes("acetylcholine"));
});

test("the same seed gives the same bytes, another one other bytes", async () => {
  const bytes = async (seed: number): Promise<Buffer[]> => {
    const { files } = await writeMadeUpMaleCns(join(dir, "again"), { ...SIZES, seed });
    return Promise.all(files.map((file) => readFile(file)));
  };
  const first = await bytes(3);
  assert.equal(await bytes(3), first);
  assert.not.equal(await bytes(4), first);
});

test("no fragments, the smallest set, the default number of connections", async () => {
  const { rows, connections } = await writeMadeUpMaleCns(folder, { neurons: 100, fragments: 0 });
  // A fifth of all pairs, which is fewer than 153 for each neuron.
  assert.equal([rows, connections], [2000, 2000]);
  const progress: number[] = [];
  await writeMadeUpMaleCns(folder, { ...SIZES, onProgress: (_, { done, total }) => progress.push(done / total) });
  assert.equal([progress[0], progress.at(-1)], [0, 1]);
});

test("sizes out of range are refused before anything is written", async () => {
  const bad = join(dir, "bad");
  for (const sizes of [{ neurons: 99 }, { neurons: 1e6 }, { neurons: 200, connections: 9000 }, { fragments: -1 }]) {
    await fails(() => writeMadeUpMaleCns(bad, sizes), "argument", /a whole number from/);
  }
  assert.not.ok(readdirSync(dir).includes("bad"));
});

test.run();
