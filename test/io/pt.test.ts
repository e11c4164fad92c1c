import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { csrFromCoo } from "../../src/core/csr.ts";
import { readSparseNpz } from "../../src/io/npz.ts";
import { readSparsePt } from "../../src/io/pt.ts";
import {
  bytesOf,
  fails,
  longs,
  type Pickled,
  pickle,
  sparseTensor,
  tempDir,
  tensor,
  testWithData,
  torchZip,
} from "./fixtures.ts";

const test = suite("pt");
const dir = tempDir();

/** [[0, 2, 0], [3, 0, -1]] */
const rows = [0, 1, 1];
const cols = [1, 0, 2];
const values = Float32Array.of(2, 3, -1);
const matrix = csrFromCoo({ nRows: 2, nCols: 3, rows, cols, values });
const cooStorages = { "0": longs(...rows, ...cols), "1": bytesOf(values) };
const coo = (flag?: boolean): Pickled =>
  sparseTensor(
    "torch.sparse_coo",
    [tensor("LongStorage", "0", [2, 3]), tensor("FloatStorage", "1", [3])],
    [2, 3],
    flag,
  );

async function save(name: string, bytes: Uint8Array): Promise<string> {
  const file = join(dir, name);
  await writeFile(file, bytes);
  return file;
}

test("a COO tensor reads with the coalesced flag of torch 2 and without", async () => {
  for (const flag of [undefined, true, false]) {
    const file = await save("coo.pt", torchZip(pickle(coo(flag)), cooStorages));
    assert.equal(await readSparsePt(file), matrix);
  }
});

test("a file packed with gzip reads the same, whatever its name", async () => {
  const packed = gzipSync(torchZip(pickle(coo()), cooStorages));
  assert.equal(await readSparsePt(await save("coo.pt.gz", packed)), matrix);
  assert.equal(await readSparsePt(await save("packed.pt", packed)), matrix);
});

test("unsorted and repeated entries are sorted and summed", async () => {
  const storages = { "0": longs(1, 0, 1, 1, 2, 1, 0, 2), "1": bytesOf(Float32Array.of(-3, 2, 3, 2)) };
  const value = sparseTensor(
    "torch.sparse_coo",
    [tensor("LongStorage", "0", [2, 4]), tensor("FloatStorage", "1", [4])],
    [2, 3],
  );
  const csr = await readSparsePt(await save("dup.pt", torchZip(pickle(value), storages)));
  assert.is(csr.duplicatesSummed, 1);
  assert.equal(csr.values, matrix.values);
});

test("CSR and CSC tensors read to the same matrix", async () => {
  const csr = sparseTensor(
    "torch.sparse_csr",
    [tensor("LongStorage", "0", [3]), tensor("LongStorage", "1", [3]), tensor("FloatStorage", "2", [3])],
    [2, 3],
  );
  const csrBytes = torchZip(pickle(csr), { "0": longs(0, 1, 3), "1": longs(...cols), "2": bytesOf(values) });
  assert.equal(await readSparsePt(await save("csr.pt", csrBytes)), matrix);
  const csc = sparseTensor(
    "torch.sparse_csc",
    [tensor("IntStorage", "0", [4]), tensor("IntStorage", "1", [3]), tensor("FloatStorage", "2", [3])],
    [2, 3],
  );
  const cscBytes = torchZip(pickle(csc), {
    "0": bytesOf(Int32Array.of(0, 1, 2, 3)),
    "1": bytesOf(Int32Array.of(1, 0, 1)),
    "2": bytesOf(Float32Array.of(3, 2, -1)),
  });
  assert.equal(await readSparsePt(await save("csc.pt", cscBytes)), matrix);
});

test("CSR tensors of torch before 2.0, which had a call of their own, read to the same matrix", async () => {
  const parts = [
    tensor("LongStorage", "0", [3]),
    tensor("LongStorage", "1", [3]),
    tensor("FloatStorage", "2", [3]),
    { call: "torch Size", args: [{ tuple: [2, 3] }] },
  ];
  const csr: Pickled = {
    call: "torch._utils _rebuild_sparse_csr_tensor",
    args: [{ call: "torch.serialization _get_layout", args: ["torch.sparse_csr"] }, { tuple: parts }],
  };
  const bytes = torchZip(pickle(csr), { "0": longs(0, 1, 3), "1": longs(...cols), "2": bytesOf(values) });
  assert.equal(await readSparsePt(await save("old.pt", bytes)), matrix);
});

test("what a storage holds outside of its tensor does not matter", async () => {
  // torch.save keeps the whole storage of a view; the room behind a row was never written.
  const stray = 0x6564612044435443n;
  const indices = BigInt64Array.from([0n, 1n, 1n, stray, 1n, 0n, 2n, stray]);
  const value = sparseTensor(
    "torch.sparse_coo",
    [tensor("LongStorage", "0", [2, 3], [4, 1], 8), tensor("FloatStorage", "1", [3], [1], 5)],
    [2, 3],
  );
  const storages = { "0": bytesOf(indices), "1": bytesOf(Float32Array.of(...values, Number.NaN, Number.NaN)) };
  assert.equal(await readSparsePt(await save("room.pt", torchZip(pickle(value), storages))), matrix);
});

test("entries of a boolean tensor that occur twice stay true", async () => {
  const value = sparseTensor(
    "torch.sparse_coo",
    [tensor("LongStorage", "0", [2, 3]), tensor("BoolStorage", "1", [3])],
    [2, 3],
  );
  const storages = { "0": longs(1, 1, 0, 0, 0, 1), "1": Uint8Array.of(1, 1, 1) };
  const csr = await readSparsePt(await save("bool.pt", torchZip(pickle(value), storages)));
  assert.equal([...csr.values], [1, 1]);
});

test("values of other types become doubles", async () => {
  const value = sparseTensor(
    "torch.sparse_coo",
    [tensor("LongStorage", "0", [2, 3]), tensor("ShortStorage", "1", [3])],
    [2, 3],
  );
  const storages = { "0": cooStorages["0"], "1": bytesOf(Int16Array.of(2, 3, -1)) };
  const csr = await readSparsePt(await save("short.pt", torchZip(pickle(value), storages)));
  assert.equal(csr.values, Float64Array.of(2, 3, -1));
});

test("big-endian storages are swapped", async () => {
  const swapped = { "0": cooStorages["0"].slice(), "1": cooStorages["1"].slice() };
  Buffer.from(swapped["0"].buffer).swap64();
  Buffer.from(swapped["1"].buffer).swap32();
  const file = await save("big.pt", torchZip(pickle(coo()), swapped, { byteorder: "big" }));
  assert.equal(await readSparsePt(file), matrix);
});

test("indices may be a transposed view, values one number repeated", async () => {
  const value = sparseTensor(
    "torch.sparse_coo",
    [tensor("LongStorage", "0", [2, 3], [1, 2]), tensor("FloatStorage", "1", [3], [0])],
    [2, 3],
  );
  const storages = { "0": longs(0, 1, 1, 0, 1, 2), "1": bytesOf(Float32Array.of(5, 6, 7)) };
  const csr = await readSparsePt(await save("view.pt", torchZip(pickle(value), storages)));
  assert.equal(csr, csrFromCoo({ nRows: 2, nCols: 3, rows, cols, values: Float32Array.of(5, 5, 5) }));
});

/** CPython's pickles of {"W": sparse 3 × 3, "epoch": 3, "lr": 0.001, …}, as torch.save calls it, in protocols 2, 4 and 5. */
const FROM_CPYTHON = {
  2: "gAJ9cQAoWAEAAABXcQFjdG9yY2guX3V0aWxzCl9yZWJ1aWxkX3NwYXJzZV90ZW5zb3IKcQJjdG9yY2guc2VyaWFsaXphdGlvbgpfZ2V0X2xheW91dApxA1gQAAAAdG9yY2guc3BhcnNlX2Nvb3EEhXEFUnEGKGN0b3JjaC5fdXRpbHMKX3JlYnVpbGRfdGVuc29yX3YyCnEHKChYBwAAAHN0b3JhZ2VxCGN0b3JjaApMb25nU3RvcmFnZQpxCVgBAAAAMHEKWAMAAABjcHVxC0sIdHEMUUsASwJLBIZxDUsESwGGcQ6JY2NvbGxlY3Rpb25zCk9yZGVyZWREaWN0CnEPKVJxEHRxEVJxEmgHKChoCGN0b3JjaApGbG9hdFN0b3JhZ2UKcRNYAQAAADFxFGgLSwR0cRVRSwBLBIVxFksBhXEXiWgPKVJxGHRxGVJxGmN0b3JjaApTaXplCnEbSwNLA4ZxHIVxHVJxHol0cR+GcSBScSFYBQAAAGVwb2NocSJLA1gCAAAAbHJxI0c/UGJN0vGp/FgFAAAAbmFtZXNxJF1xJShYAQAAAGFxJlgBAAAAYnEnZVgDAAAAYmlncSiKBgAAAAAAAVgEAAAAbm9uZXEpTlgEAAAAZmxhZ3EqiFgCAAAAb2RxK2gPKVJxLFgBAAAAeHEtSwFzdS4=",
  4: "gASVoAEAAAAAAAB9lCiMAVeUjAx0b3JjaC5fdXRpbHOUjBZfcmVidWlsZF9zcGFyc2VfdGVuc29ylJOUjBN0b3JjaC5zZXJpYWxpemF0aW9ulIwLX2dldF9sYXlvdXSUk5SMEHRvcmNoLnNwYXJzZV9jb2+UhZRSlChoAowSX3JlYnVpbGRfdGVuc29yX3YylJOUKCiMB3N0b3JhZ2WUjAV0b3JjaJSMC0xvbmdTdG9yYWdllJOUjAEwlIwDY3B1lEsIdJRRSwBLAksEhpRLBEsBhpSJjAtjb2xsZWN0aW9uc5SMC09yZGVyZWREaWN0lJOUKVKUdJRSlGgMKChoDWgOjAxGbG9hdFN0b3JhZ2WUk5SMATGUaBJLBHSUUUsASwSFlEsBhZSJaBgpUpR0lFKUaA6MBFNpemWUk5RLA0sDhpSFlFKUiXSUhpRSlIwFZXBvY2iUSwOMAmxylEc/UGJN0vGp/IwFbmFtZXOUXZQojAFhlIwBYpRljANiaWeUigYAAAAAAAGMBG5vbmWUTowEZmxhZ5SIjAJvZJRoGClSlIwBeJRLAXN1Lg==",
  5: "gAWVoAEAAAAAAAB9lCiMAVeUjAx0b3JjaC5fdXRpbHOUjBZfcmVidWlsZF9zcGFyc2VfdGVuc29ylJOUjBN0b3JjaC5zZXJpYWxpemF0aW9ulIwLX2dldF9sYXlvdXSUk5SMEHRvcmNoLnNwYXJzZV9jb2+UhZRSlChoAowSX3JlYnVpbGRfdGVuc29yX3YylJOUKCiMB3N0b3JhZ2WUjAV0b3JjaJSMC0xvbmdTdG9yYWdllJOUjAEwlIwDY3B1lEsIdJRRSwBLAksEhpRLBEsBhpSJjAtjb2xsZWN0aW9uc5SMC09yZGVyZWREaWN0lJOUKVKUdJRSlGgMKChoDWgOjAxGbG9hdFN0b3JhZ2WUk5SMATGUaBJLBHSUUUsASwSFlEsBhZSJaBgpUpR0lFKUaA6MBFNpemWUk5RLA0sDhpSFlFKUiXSUhpRSlIwFZXBvY2iUSwOMAmxylEc/UGJN0vGp/IwFbmFtZXOUXZQojAFhlIwBYpRljANiaWeUigYAAAAAAAGMBG5vbmWUTowEZmxhZ5SIjAJvZJRoGClSlIwBeJRLAXN1Lg==",
} as const;

const fourEntries = { "0": longs(2, 0, 1, 0, 1, 1, 0, 2), "1": bytesOf(Float32Array.of(1, 2, 3, 4)) };

test("pickles that CPython wrote read in protocols 2, 4 and 5; the only sparse entry is taken", async () => {
  for (const base64 of Object.values(FROM_CPYTHON)) {
    const file = await save("dict.pt", torchZip(Buffer.from(base64, "base64"), fourEntries));
    const csr = await readSparsePt(file);
    assert.equal(csr.rowPtr, Uint32Array.of(0, 2, 3, 4));
    assert.equal(csr.colIdx, Uint16Array.of(1, 2, 0, 1));
    assert.equal(csr.values, Float32Array.of(2, 4, 3, 1));
    assert.equal(await readSparsePt(file, { key: "W" }), csr);
    await fails(() => readSparsePt(file, { key: "w" }), "file-format", /"w"/, /did you mean "W"/);
    await fails(() => readSparsePt(file, { key: "epoch" }), "file-format", /dict\.pt\[epoch\]/, /3/);
  }
});

test("a dictionary with two sparse tensors needs a key", async () => {
  const value: Pickled = {
    dict: [
      ["a", coo()],
      ["b", coo()],
    ],
  };
  const file = await save("two.pt", torchZip(pickle(value), cooStorages));
  await fails(() => readSparsePt(file), "file-format", /several: a, b/);
  assert.equal(await readSparsePt(file, { key: "b" }), matrix);
});

test("a parameter is the tensor it holds", async () => {
  const value: Pickled = { call: "torch._utils _rebuild_parameter", args: [coo(), true, { dict: [] }] };
  assert.equal(await readSparsePt(await save("parameter.pt", torchZip(pickle(value), cooStorages))), matrix);
});

test("a pickle that would run a program is refused by name, in every way it can name one", async () => {
  const byGlobal = pickle({ call: "os system", args: ["echo"] });
  // CPython's own pickles of an object whose __reduce__ returns os.system, protocols 2 and 4.
  const byCPython2 = Buffer.from("gAJjcG9zaXgKc3lzdGVtCnEAWBQAAABlY2hvIGhhY2tlZCA+IC90bXAveHEBhXECUnEDLg==", "base64");
  const byCPython4 = Buffer.from(
    "gASVLwAAAAAAAACMBXBvc2l4lIwGc3lzdGVtlJOUjBRlY2hvIGhhY2tlZCA+IC90bXAveJSFlFKULg==",
    "base64",
  );
  const byInst = Uint8Array.from([0x80, 2, 0x28, 0x69, ...new TextEncoder().encode("os\nsystem\n"), 0x2e]);
  const cases = [
    [byGlobal, /os\.system/],
    [byCPython2, /posix\.system/],
    [byCPython4, /posix\.system/],
    [byInst, /INST of os\.system/],
    [pickle({ global: "builtins eval" }), /builtins\.eval/],
    [pickle({ global: "torch hub.load" }), /torch\.hub\.load/],
    [pickle({ call: "torch FloatStorage", args: [] }), /call of torch\.FloatStorage/],
  ] as const;
  for (const [bytes, pattern] of cases) {
    const file = await save("evil.pt", torchZip(bytes, {}));
    await fails(() => readSparsePt(file), "pickle-refused", /evil\.pt/, pattern);
  }
});

test("opcodes that are not for data are refused by name or number", async () => {
  const op = (...bytes: number[]): Uint8Array => torchZip(Uint8Array.from([0x80, 2, ...bytes, 0x2e]), {});
  await fails(async () => readSparsePt(await save("ext.pt", op(0x82, 1))), "pickle-refused", /EXT1/);
  await fails(async () => readSparsePt(await save("odd.pt", op(0xff))), "pickle-refused", /0xff at byte 2/);
});

test("a pickle with the wrong stack is an error, never a crash", async () => {
  const bodies: number[][] = [
    [],
    [0x30],
    [0x52],
    [0x4e, 0x4e, 0x52],
    [0x61],
    [0x74],
    [0x68, 9],
    [0x4e, 0x62],
    [0x28, 0x85],
  ];
  for (const body of bodies) {
    const file = await save("stack.pt", torchZip(Uint8Array.from([0x80, 2, ...body, 0x2e]), {}));
    await fails(() => readSparsePt(file), "file-format", /stack\.pt/);
  }
});

test("a pickle cut anywhere is reported, never half read", async () => {
  const whole = pickle(coo());
  for (let length = 0; length < whole.length; length++) {
    const file = await save("cut.pt", torchZip(whole.slice(0, length), cooStorages));
    await fails(() => readSparsePt(file), "file-truncated", /cut\.pt/);
  }
});

test("a hundred thousand nested tuples are read without deep recursion", async () => {
  const deep = new Uint8Array(100_004).fill(0x85);
  deep.set([0x80, 2, 0x4e]);
  deep[deep.length - 1] = 0x2e;
  await fails(async () => readSparsePt(await save("deep.pt", torchZip(deep, {}))), "file-format", /tuple/);
});

test("a dense tensor that is no small matrix is refused with its shape", async () => {
  const large = torchZip(pickle(tensor("FloatStorage", "0", [20_001, 2])), { "0": new Uint8Array(8) });
  const file = await save("dense.pt", large);
  await fails(() => readSparsePt(file), "file-dense", /dense tensor of shape \(20001, 2\)/, /sparse/);
  const vector = tensor("FloatStorage", "0", [20]);
  const state: Pickled = { dict: [["weight", vector]] };
  const inDict = await save("state.pt", torchZip(pickle(state), { "0": new Uint8Array(80) }));
  await fails(() => readSparsePt(inDict), "file-dense", /\(20\)/);
  await fails(() => readSparsePt(inDict, { key: "weight" }), "file-dense", /\[weight\]/, /\(20\)/);
  const two: Pickled = {
    dict: [
      ["a", vector],
      ["b", vector],
    ],
  };
  const several = await save("two.pt", torchZip(pickle(two), { "0": new Uint8Array(80) }));
  await fails(() => readSparsePt(several), "file-dense", /without one: a, b/);
});

test("tensors that are no matrix, or contradict themselves, are refused", async () => {
  const indices = tensor("LongStorage", "0", [2, 3]);
  const vals = tensor("FloatStorage", "1", [3]);
  const cases: readonly (readonly [Pickled, RegExp])[] = [
    [sparseTensor("torch.sparse_coo", [indices, vals], [2, 3, 4]), /two dimensions.*\(2, 3, 4\)/],
    [sparseTensor("torch.sparse_coo", [tensor("LongStorage", "0", [3, 2]), vals], [2, 3]), /shape \(2, 3\).*\(3, 2\)/],
    [sparseTensor("torch.sparse_coo", [indices, tensor("FloatStorage", "1", [3, 1])], [2, 3]), /one number per/],
    [sparseTensor("torch.sparse_bsr", [indices, indices, vals], [2, 3]), /layout torch\.sparse_bsr/],
    [
      sparseTensor("torch.sparse_coo", [tensor("LongStorage", "0", [2, 3], [3, 9]), vals], [2, 3]),
      /within its storage/,
    ],
  ];
  for (const [value, pattern] of cases) {
    const file = await save("odd.pt", torchZip(pickle(value), cooStorages));
    await fails(() => readSparsePt(file), "file-format", /odd\.pt/, pattern);
  }
});

test("a pickle of more opcodes than its file can need is refused, and so is a view of too many elements", async () => {
  const dicts = new Uint8Array(3_000_000).fill(0x7d);
  const file = await save("dicts.pt.gz", gzipSync(torchZip(dicts, {})));
  await fails(() => readSparsePt(file), "file-limit", /at most \d+ opcodes/);
  const repeated = tensor("FloatStorage", "0", [260_000_000], [0], 1);
  const value = sparseTensor("torch.sparse_coo", [tensor("LongStorage", "1", [2, 1]), repeated], [2, 2]);
  const view = await save("view.pt", torchZip(pickle(value), { "0": new Uint8Array(4), "1": longs(0, 0) }));
  await fails(() => readSparsePt(view), "file-limit", /260000000,\), strides \(0,\)/);
});

test("an index out of range and a weight that is not finite are refused", async () => {
  const at = await save("range.pt", torchZip(pickle(coo()), { ...cooStorages, "0": longs(0, 1, 2, 1, 0, 2) }));
  await fails(() => readSparsePt(at), "sparse-format", /range\.pt/, /2 at entry 2/);
  const bad = await save(
    "nan.pt",
    torchZip(pickle(coo()), { ...cooStorages, "1": bytesOf(Float32Array.of(1, NaN, 2)) }),
  );
  await fails(() => readSparsePt(bad), "sparse-format", /NaN at entry 1/);
});

test("a storage of the wrong size and a missing one are named", async () => {
  const short = await save("short.pt", torchZip(pickle(coo()), { ...cooStorages, "0": longs(0, 1) }));
  await fails(() => readSparsePt(short), "file-truncated", /48 bytes in storage 0/, /16/);
  const none = await save("none.pt", torchZip(pickle(coo()), { "0": cooStorages["0"] }));
  await fails(() => readSparsePt(none), "file-format", /archive\/data\/1/);
});

test("files that are not in torch's zip format say what to do", async () => {
  const legacy = Uint8Array.of(0x80, 2, 0x8a, 10, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19, 0x2e);
  await fails(async () => readSparsePt(await save("old.pt", legacy)), "file-legacy-torch", /torch\.save\(torch\.load/);
  await fails(
    async () => readSparsePt(await save("text.pt", bytesOf(Buffer.from("W = 1")))),
    "file-format",
    /PyTorch file/,
  );
  const truncated = torchZip(pickle(coo()), cooStorages).slice(0, 100);
  await fails(async () => readSparsePt(await save("cut.pt", truncated)), "file-truncated", /cut\.pt/);
  const packed = gzipSync(torchZip(pickle(coo()), cooStorages)).subarray(0, 60);
  await fails(async () => readSparsePt(await save("cut.pt.gz", packed)), "file-truncated", /gzip/);
});

for (const [pt, npz, nnz] of [
  ["flyvis/flyvis_e2.pt", "flyvis/flyvis_e2_csr.npz", 28_904],
  ["flyvis/flyvis_e6.pt", "flyvis/flyvis_e6_csr.npz", 246_109],
  ["flyvis/flyvis_e15.pt.gz", "flyvis/flyvis_e15_csr.npz", 1_513_231],
] as const) {
  testWithData(test, [pt, npz], `${pt} loads in seconds and agrees with the .npz file`, async (ptFile, npzFile) => {
    const start = performance.now();
    const a = await readSparsePt(ptFile);
    assert.ok(performance.now() - start < 20_000);
    const b = await readSparseNpz(npzFile);
    assert.is(a.nnz, nnz);
    assert.equal(a.rowPtr, b.rowPtr);
    assert.ok(a.colIdx.every((c, k) => c === b.colIdx[k]));
    // The .pt has doubles, the .npz the same rounded to f32.
    assert.ok(a.values.every((w, k) => Math.fround(w) === b.values[k]));
  });
}

test.run();
