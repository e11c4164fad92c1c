// Files that claim more than they have: each reader takes what bytes back, an allowance, and what the user states.

import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { readConnectome } from "../../src/io/connectome.ts";
import { readLabels } from "../../src/io/labels.ts";
import { checkExtents, elementLimit, unpackLimit } from "../../src/io/limits.ts";
import { encodeNpy, encodeNpyString, readNpy } from "../../src/io/npy.ts";
import { readNpz } from "../../src/io/npz.ts";
import type { NumberArray } from "../../src/io/numbers.ts";
import { type SafeTensor, writeSafetensors } from "../../src/io/safetensors.ts";
import { encodeZip, openZip } from "../../src/io/zip.ts";
import { bytesOf, fails, longs, packedZip, pickle, sparseTensor, tempDir, tensor, torchZip } from "./fixtures.ts";

const test = suite("limits");
const dir = tempDir();
/** More rows than any file of one entry may claim. */
const MANY = 2 ** 24 + 1;

async function save(name: string, bytes: Uint8Array | string): Promise<string> {
  const file = join(dir, name);
  await writeFile(file, bytes);
  return file;
}

function npzCoo(n: number): Uint8Array {
  const entry = (name: string, data: NumberArray): { name: string; bytes: Uint8Array } => ({
    name: `${name}.npy`,
    bytes: encodeNpy({ shape: [data.length], data }),
  });
  const one = Int32Array.of(0);
  return encodeZip([
    { name: "format.npy", bytes: encodeNpyString("coo") },
    entry("shape", Float64Array.of(n, n)),
    ...[entry("row", one), entry("col", one), entry("data", Float32Array.of(5))],
  ]);
}

function torchCoo(n: number): Uint8Array {
  const parts = [tensor("LongStorage", "0", [2, 1]), tensor("FloatStorage", "1", [1])];
  const storages = { "0": longs(0, 0), "1": bytesOf(Float32Array.of(5)) };
  return torchZip(pickle(sparseTensor("torch.sparse_coo", parts, [n, n])), storages);
}

async function safetensors(name: string, n: number): Promise<string> {
  const file = join(dir, name);
  const tensors: [string, SafeTensor][] = [
    ["indices", { dtype: "I64", shape: [2, 1], data: Float64Array.of(n - 1, 0) }],
    ["values", { dtype: "F32", shape: [1], data: Float32Array.of(5) }],
  ];
  await writeSafetensors(file, new Map(tensors));
  return file;
}

test("one entry in half a thousand million rows is refused by every reader, and read where the user says so", async () => {
  const files = async (n: number): Promise<string[]> => [
    await save("w.mtx", `%%MatrixMarket matrix coordinate real general\n${n} ${n} 1\n1 1 5\n`),
    await save("w.npz", npzCoo(n)),
    await save("w.pt", torchCoo(n)),
    await safetensors("w.safetensors", n),
  ];
  for (const file of await files(500_000_000)) {
    await fails(
      () => readConnectome(file),
      "file-limit",
      /16777216 rows.*1 stored number /,
      /maxNeurons, or --max-neurons/,
    );
  }
  for (const file of await files(MANY)) {
    await fails(() => readConnectome(file), "file-limit", /16777217/);
    assert.is((await readConnectome(file, { maxNeurons: MANY })).nRows, MANY);
  }
});

test("an index alone makes no more rows than that, whatever the ids are said to be", async () => {
  const file = await save("w.csv", "pre,post,weight\n0,2000000000,1\n");
  await fails(() => readConnectome(file, { ids: "index" }), "file-limit", /2000000001/);
  assert.is((await readConnectome(file)).nRows, 2);
});

test("extents may grow with what is stored", () => {
  const claim = (n: number, stored: number) => (): void => checkExtents({ nRows: 3, nCols: n }, stored, "w");
  claim(2 ** 24, 1)();
  claim(2 ** 25, 2 ** 21)();
  assert.throws(claim(2 ** 25 + 1, 2 ** 21));
  assert.is(elementLimit(0), 2 ** 20);
  assert.ok(unpackLimit(10 ** 6) > 10 ** 8);
});

test("a table, a tensor and an archive that unpack to too much are refused, and say how to go on", async () => {
  const zeros = new Uint8Array(200_000_000);
  const zip = await save("zeros.npz", packedZip("data.npy", zeros));
  await fails(() => readNpz(zip), "file-limit", /64 times.*uncompressed/, /200000000 bytes of "data\.npy"/);
  const pt = await save("w.pt.gz", gzipSync(zeros));
  await fails(() => readConnectome(pt), "file-format", /zip archive/, /00 00 00 00/);
  const stored = await save("stored.pt.gz", gzipSync(torchZip(pickle(null), { "0": zeros })));
  await fails(() => readConnectome(stored), "file-limit", /gunzip/);
  // Every entry alone would be within the limit.
  const twice = packedZip("data.npy", zeros.subarray(0, 60_000_000));
  const archive = await openZip(await save("twice.npz", twice));
  await archive.read("data.npy");
  await fails(() => archive.read("data.npy"), "file-limit");
  archive.close();
});

test("images and tables of the usual kind are far from these limits", async () => {
  const images = Uint8Array.from({ length: 200 * 784 }, (_, k) => (k % 28 < 14 ? 0 : k % 251));
  assert.ok(images.length < unpackLimit(gzipSync(images).length));
  const lines = Array.from({ length: 20_000 }, (_, k) => `${k},${(k * 7919) % 20_000},1\n`).join("");
  const file = await save("many.csv.gz", gzipSync(`pre,post,weight\n${lines}`));
  assert.is((await readConnectome(file)).nnz, 20_000);
});

test("a packed dense matrix counts once for what its archive may unpack to", async () => {
  const n = 2200;
  const data = new Float64Array(n * n);
  data[1] = 3;
  const bytes = packedZip("w.npy", encodeNpy({ shape: [n, n], data }));
  const limit = unpackLimit(bytes.length);
  assert.ok(data.byteLength < limit && 2 * data.byteLength > limit);
  const file = await save("dense.npz", bytes);
  for (const options of [{}, { key: "w" }]) assert.equal([...(await readConnectome(file, options)).colIdx], [1]);
});

test("a .npy header with extents that are no numbers, or texts of no width, is refused; a wide text is read", async () => {
  const npy = (descr: string, shape: string, data = ""): string => {
    const header = `{'descr': '${descr}', 'fortran_order': False, 'shape': ${shape}, }\n`;
    return `\x93NUMPY\x01\x00${String.fromCharCode(header.length & 255, header.length >> 8)}${header}${data}`;
  };
  const latin = (name: string, text: string): Promise<string> => save(name, Buffer.from(text, "latin1"));
  for (const shape of [`(0, 1${"0".repeat(400)})`, "(9007199254740993, 0)"]) {
    await fails(async () => readNpy(await latin("x.npy", npy("<f8", shape))), "file-format", /extents up to 2\^53/);
  }
  for (const descr of ["<U0", "|S0"]) {
    await fails(
      async () => readLabels(await latin("l.npy", npy(descr, "(100000000,)"))),
      "file-format",
      /one character/,
    );
  }
  const wide = await latin("wide.npy", npy("|S300000", "(1,)", "x".repeat(300_000)));
  assert.is((await readLabels(wide)).types[0], "x".repeat(300_000));
  const surrogate = await latin("half.npy", npy("<U1", "(1,)", "\x00\xd8\x00\x00"));
  await fails(() => readLabels(surrogate), "file-format", /Unicode characters/);
  const nan = await save("nan.npy", encodeNpy({ shape: [2], data: Float64Array.of(1, Number.NaN) }));
  await fails(() => readLabels(nan), "file-format", /label 1: expected a label for every neuron .*got NaN/);
});

test("a header whose values are nested deeply is refused in a few words", async () => {
  const nested = `${"[".repeat(5000)}${"]".repeat(5000)}`;
  const header = new TextEncoder().encode(`{"x":{"dtype":${nested},"shape":[],"data_offsets":[0,0]}}`);
  const bytes = new Uint8Array(8 + header.length);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(header.length), true);
  bytes.set(header, 8);
  const file = await save("deep.safetensors", bytes);
  await fails(() => readConnectome(file), "file-format", /"x" with a dtype/);
  const { message } = (await readConnectome(file).catch((error: Error) => error)) as Error;
  assert.ok(message.length < 600, message);
});

test.run();
