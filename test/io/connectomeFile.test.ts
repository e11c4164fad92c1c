import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { type Csr, csrFromCoo } from "../../src/core/csr.ts";
import { EngineError, ShapeError } from "../../src/core/errors.ts";
import { readLabelledConnectome, writeConnectome } from "../../src/io/connectome.ts";
import {
  type ConnectomeContent,
  type ConnectomeFileParts,
  readConnectomeFile,
  writeConnectomeFile,
} from "../../src/io/connectomeFile.ts";
import type { NeuronTable } from "../../src/io/neuronTable.ts";
import type { Provenance } from "../../src/io/provenance.ts";
import { readSafetensors, type SafeTensor, writeSafetensors } from "../../src/io/safetensors.ts";
import { readSparseSafetensors } from "../../src/io/sparseSafetensors.ts";
import { fails, tempDir } from "./fixtures.ts";

const test = suite("connectomeFile");
const dir = tempDir();
const file = join(dir, "fly.safetensors");

const csr: Csr = csrFromCoo({
  nRows: 4,
  nCols: 4,
  rows: [0, 1, 1, 3],
  cols: [2, 0, 1, 3],
  values: Float32Array.of(2, -3, 0.1, 1e-40),
});
const labels = ["720575940603231916", "9007199254740993", "0", "9223372036854775807"];
const table: NeuronTable = {
  count: 4,
  types: ["Tm5 (Y)", "", "T4a"],
  typeIdx: Uint32Array.of(2, 0, 2, 2),
  role: ["output", "input", "hidden", "hidden"],
  sign: Int8Array.of(-1, 0, 1, 1),
  x: Float64Array.of(0, 1 / 3, Number.NaN, 1),
  y: Float64Array.of(Number.NaN, -0, 0.1, 1),
  columns: new Map([
    ["superclass", { values: ["ol_intrinsic", ""], valueIdx: Uint32Array.of(0, 1, 0, 0) }],
    ["values", { values: ["ß", '\u{1f9e0}, "x"\n'], valueIdx: Uint32Array.of(1, 1, 0, 0) }],
    ["indices", { values: ["a"], valueIdx: new Uint32Array(4) }],
    ["7", { values: ["unused", "b"], valueIdx: Uint32Array.of(1, 1, 1, 1) }],
    ["__proto__", { values: ["c"], valueIdx: new Uint32Array(4) }],
  ]),
};
const provenance: Provenance = {
  format: 1,
  dataset: "Made up v1.0",
  layout: "malecns",
  axograd: "0.4.0",
  created: "2026-11-28T00:00:00.000Z",
  sources: [{ role: "edges", file: "weights.feather", sha256: "0".repeat(64), bytes: 2 ** 40 }],
  rules: { nodes: "superclass=*", minSynapses: 3, signs: null, loops: true },
  steps: [
    { step: "rows of the file", neurons: null, connections: 151_856_684, synapses: null },
    { step: "kept", neurons: 4, connections: 4, synapses: 12 },
  ],
};

/** Numbers as bits, as NaN is not equal to itself, and −0 is equal to 0. */
const bitsOf = (content: ConnectomeContent): unknown => {
  const { table: read, csr: matrix } = content;
  const bits = (data: ArrayBufferView | null | undefined) =>
    data && Buffer.from(data.buffer, data.byteOffset, data.byteLength).toString("hex");
  const values = [bits(matrix.values), matrix.values.constructor];
  return { ...content, csr: { ...matrix, values }, table: read && { ...read, x: bits(read.x), y: bits(read.y) } };
};

const same = async (matrix: Csr, parts: ConnectomeFileParts & { readonly labels?: readonly string[] } = {}) => {
  const { labels = null, table = null, provenance = null } = parts;
  await writeConnectomeFile(file, matrix, parts);
  const read = await readConnectomeFile(file);
  assert.equal(bitsOf(read), bitsOf({ csr: matrix, labels, table, provenance }));
  return read;
};

test("matrix, ids, table and provenance are read back to the bit, in their order", async () => {
  const read = await same(csr, { labels, table, provenance });
  assert.is(read.csr.colIdx.constructor, Uint16Array);
  assert.is(read.csr.values.constructor, Float32Array);
  assert.equal([...read.table!.columns!.keys()], ["superclass", "values", "indices", "7", "__proto__"]);
  assert.ok(Object.is(read.table!.y![1], -0));
  assert.equal(JSON.stringify(read.provenance), JSON.stringify(provenance));
  assert.equal(bitsOf(await readLabelledConnectome(file)), bitsOf(read));
  await same({ ...csr, values: Float64Array.of(0.1, -1 / 3, 5e-324, 7) }, { labels });
  await same(csr);
  await same(csr, { provenance });
  await same(csr, { table: { ...table, role: null, sign: null, x: null, y: null, columns: new Map() } });
  const { columns, ...without } = table;
  await same(csr, { table: without });
  await same(csrFromCoo({ nRows: 3, nCols: 70_000, rows: [2], cols: [69_999], values: [1] }));
  await same(csrFromCoo({ nRows: 2, nCols: 2, rows: [], cols: [], values: [] }));
});

test("ids that are no whole numbers of 64 bits keep their spelling", async () => {
  for (const ids of [
    ["a", "007", "1", "ß"],
    ["9223372036854775808", "1", "2", "3"],
    ["+1", "1", "2", "x y"],
  ])
    await same(csr, { labels: ids });
  await writeConnectomeFile(file, csr, { labels: BigInt64Array.of(5n, 3n, 2n ** 62n, 0n) });
  assert.equal((await readConnectomeFile(file)).labels, ["5", "3", `${2n ** 62n}`, "0"]);
});

test("columns take as few bytes as their texts allow", async () => {
  const n = 66_000;
  const empty = csrFromCoo({ nRows: n, nCols: n, rows: [], cols: [], values: [] });
  const numbered = (count: number) => ({
    values: Array.from({ length: count }, (_, i) => `${i}`),
    valueIdx: Uint32Array.from({ length: n }, (_, i) => i % count),
  });
  const columns = new Map([
    ["u8", numbered(256)],
    ["u16", numbered(257)],
    ["u32", numbered(n)],
  ]);
  const { types, typeIdx } = { types: ["x"], typeIdx: new Uint32Array(n) };
  await same(empty, { table: { count: n, types, typeIdx, role: null, sign: null, x: null, y: null, columns } });
  const { tensors } = await readSafetensors(file);
  const dtypes = ["u8", "u16", "u32"].map((name) => tensors.get(`column.${name}`)!.dtype);
  assert.equal(dtypes, ["U8", "U16", "U32"]);
});

test("another reader finds the matrix under the usual names", async () => {
  await writeConnectomeFile(file, csr, { labels, table, provenance });
  assert.equal(await readSparseSafetensors(file, { key: "" }), csr);
  const { tensors, verified } = await readSafetensors(file).catch((error: EngineError) => {
    // Ids beyond 2^53 are for readers of 64-bit integers.
    assert.match(error.message, /neurons\.id.*±2\^53/);
    return { tensors: null, verified: false };
  });
  assert.is(tensors, null);
  assert.not(verified);
});

test("what does not fit is refused before anything is written", async () => {
  await same(csr, { labels });
  const refuses = async (
    parts: Parameters<typeof writeConnectomeFile>[2],
    argument: RegExp,
    type: abstract new (...args: never[]) => EngineError,
  ) => {
    try {
      await writeConnectomeFile(file, csr, parts);
    } catch (error) {
      assert.instance(error, type);
      assert.match((error as Error).message, argument);
      return;
    }
    assert.unreachable(`${argument}`);
  };
  const column = (valueIdx: Uint32Array, values = ["a"]): NeuronTable => ({
    ...table,
    columns: new Map([["c", { values, valueIdx }]]),
  });
  await refuses({ labels: ["1", "2", "3"] }, /4 entries, one per neuron, got 3 \(labels\)/, ShapeError);
  await refuses({ labels: ["1", "2", "3", "2"] }, /neuron 3: expected every id once, got "2" again/, EngineError);
  await refuses({ labels: ["1", "2", "3", ""] }, /neuron 3.*an empty cell/, EngineError);
  await refuses({ labels: BigInt64Array.of(1n, 2n, -1n, 4n) }, /neuron 2.*"-1"/, EngineError);
  await refuses({ table: { ...table, count: 3 } }, /\(table\)/, ShapeError);
  await refuses({ table: { ...table, sign: new Int8Array(3) } }, /\(neurons\.sign\)/, ShapeError);
  await refuses({ table: column(new Uint32Array(3)) }, /\(column\.c\)/, ShapeError);
  await refuses({ table: column(Uint32Array.of(0, 0, 0, 1)) }, /numbers of 1 texts, got 1 \(column\.c\)/, ShapeError);
  const long = { ...provenance, rules: { nodes: "x".repeat(2 ** 18) } };
  await refuses({ provenance: long }, /in at most 262144 characters/, EngineError);
  await refuses({ table: column(new Uint32Array(4), ["\ud800"]) }, /column\.c: expected whole characters/, EngineError);
  assert.equal((await readConnectomeFile(file)).labels, labels);
});

test("other formats refuse what they cannot hold", async () => {
  for (const parts of [{ labels }, { table }, { provenance }])
    await fails(() => writeConnectome(join(dir, "fly.npz"), csr, parts), "argument", /\.safetensors/);
  await writeConnectome(join(dir, "fly.npz"), csr, { labels: null });
});

/** The file with other tensors or metadata, without checksums. */
const changed = async (
  tensors: Readonly<Record<string, SafeTensor | null>>,
  metadata: Readonly<Record<string, string | null>> = {},
): Promise<void> => {
  await writeConnectomeFile(file, csr, { labels: ["1", "2", "3", "4"], table, provenance });
  const whole = await readSafetensors(file);
  const given = <T>(parts: Readonly<Record<string, T | null>>): [string, T][] =>
    Object.entries(parts).filter((part): part is [string, T] => part[1] !== null);
  const kept = [...whole.tensors].filter(([name]) => !(name in tensors));
  const texts = Object.entries(whole.metadata).filter(([name]) => !(name in metadata));
  await writeSafetensors(
    file,
    new Map([...kept, ...given(tensors)]),
    Object.fromEntries([...texts, ...given(metadata)]),
  );
};
const bytes = (...data: number[]): SafeTensor => ({ dtype: "U8", shape: [data.length], data: Uint8Array.from(data) });
const ints = (...data: number[]): SafeTensor => ({ dtype: "I32", shape: [data.length], data: Int32Array.from(data) });
const longs = (...data: number[]): SafeTensor => ({
  dtype: "I64",
  shape: [data.length],
  data: Float64Array.from(data),
});

test("another version, lost metadata and contradictions are refused with a typed error", async () => {
  const refuses = async (
    tensors: Parameters<typeof changed>[0],
    metadata: Parameters<typeof changed>[1],
    pattern: RegExp,
    code = "file-format",
  ): Promise<void> => {
    await changed(tensors, metadata);
    await fails(() => readConnectomeFile(file), code, pattern);
  };
  await changed({});
  assert.is((await readConnectomeFile(file)).labels!.length, 4);
  await refuses({}, { "axograd.connectome": "2" }, /of version 1 .*got version "2"/);
  await refuses({}, { "axograd.connectome": null }, /metadata axograd\.connectome.*lost/);
  assert.is((await readConnectomeFile(file, { key: "" })).csr.nnz, 4);
  await refuses({}, { "axograd.columns": "[1]" }, /list of different names/);
  await refuses({}, { "axograd.columns": '["a","a"]' }, /list of different names/);
  await refuses({}, { "axograd.columns": '["other"]' }, /a tensor "column\.other", got none/);
  await refuses({}, { "axograd.provenance": "{}" }, /axograd\.provenance: .*version 1/);
  await refuses({}, { "axograd.provenance": "x" }, /as JSON/);
  const notes = JSON.stringify({ ...provenance, notes: [5] });
  await refuses({}, { "axograd.provenance": notes }, /axograd\.provenance: .*a list of texts at notes/);
  const citation = JSON.stringify({ ...provenance, citation: 5 });
  await refuses({}, { "axograd.provenance": citation }, /axograd\.provenance: .*text at citation/);
  await refuses({ crow: null }, {}, /a tensor "crow", got none/);
  await refuses({ crow: ints(0, 1, 5, 3, 4) }, {}, /ascending/, "sparse-format");
  await refuses({ crow: ints(0, 1, 4) }, {}, /offsets/, "shape");
  await refuses({ col: ints(2, 0, -1, 3) }, {}, /index from 0 to 3/, "sparse-format");
  await refuses({ values: ints(1, 2, 3, 4) }, {}, /"values" of type F32, F64, got I32/);
  await refuses({ "neurons.id": longs(1, 2, 3) }, {}, /shape \[4\], got \[3\]/);
  await refuses({ "neurons.id": longs(1, 2, 3, 1) }, {}, /neuron 3.*"1" again/);
  await refuses({ "neurons.id": longs(1, 2, 3, -1) }, {}, /neuron 3/);
  await refuses({ "neurons.type": bytes(0, 1, 2, 3) }, {}, /numbers of 3 texts in "neurons\.type", got 3/);
  await refuses({ "neurons.type": null }, {}, /tensor neurons\.type beside columns/);
  await refuses({ "neurons.role": bytes(0, 1, 2, 3) }, {}, /roles 0 to 2/);
  await refuses({ "neurons.sign": { dtype: "I8", shape: [4], data: Int8Array.of(0, 2, 0, 0) } }, {}, /signs/);
  await refuses({ "offsets/neurons.type": ints() }, {}, /ascending offsets.*got none/);
  await refuses({ "offsets/neurons.type": ints(1, 7, 7, 10) }, {}, /got 1 at first/);
  await refuses({ "offsets/neurons.type": ints(0, 7, 7, 9) }, {}, /got 9 at last/);
  await refuses({ "offsets/neurons.type": ints(0, 8, 7, 10) }, {}, /got 8, 7 at text 1/);
  await refuses({ "text/neurons.type": bytes(255, 0, 0, 0, 0, 0, 0, 0, 0, 0) }, {}, /UTF-8.*text 0/);
});

test("every damaged byte is noticed", async () => {
  await writeConnectomeFile(file, csr, { labels, table, provenance });
  const whole = readFileSync(file);
  const bad = join(dir, "bad.safetensors");
  let [seed, unharmed] = [1, 0];
  for (let k = 0; k < 400; k++) {
    seed = (seed * 48271) % 2147483647;
    const at = seed % whole.length;
    const damaged = Uint8Array.from(whole);
    damaged[at]! ^= 1 << (k % 8);
    writeFileSync(bad, damaged);
    try {
      const read = await readConnectomeFile(bad);
      // In the padding of the header, or the name of the checksums.
      assert.equal(bitsOf(read), bitsOf(await readConnectomeFile(file)), `byte ${at}`);
      unharmed++;
    } catch (error) {
      assert.instance(error, EngineError, `byte ${at}: ${error}`);
    }
  }
  assert.ok(unharmed < 10, `${unharmed}`);
});

test.run();
