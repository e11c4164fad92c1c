import { readFile, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { crc32 } from "../../src/io/crc32.ts";
import { withFile } from "../../src/io/files.ts";
import {
  decodeSafetensors,
  readSafetensors,
  type SafeTensor,
  type SafetensorsFile,
  writeSafetensors,
} from "../../src/io/safetensors.ts";
import { fails, tempDir } from "./fixtures.ts";

const test = suite("safetensors");
const dir = tempDir();

/** Bytes of a file with this header and data. */
function fileOf(header: unknown, data = new Uint8Array(0)): Uint8Array {
  const json = new TextEncoder().encode(typeof header === "string" ? header : JSON.stringify(header));
  const bytes = new Uint8Array(8 + json.length + data.length);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(json.length), true);
  bytes.set(json, 8);
  bytes.set(data, 8 + json.length);
  return bytes;
}

/** An entry of a header. */
const entry = (dtype: string, shape: readonly number[], begin: number, end: number): unknown => ({
  dtype,
  shape,
  data_offsets: [begin, end],
});

/** The content of a file of these bytes. */
const decode = (bytes: Uint8Array, file: string): Promise<SafetensorsFile> =>
  decodeSafetensors(
    { length: bytes.length, read: async (begin, end) => Uint8Array.from(bytes.subarray(begin, end)) },
    file,
  );

test("tensors of every writable type come back the same to the bit, with their metadata", async () => {
  const tensors = new Map<string, SafeTensor>([
    ["bytes", { dtype: "U8", shape: [3], data: Uint8Array.of(0, 7, 255) }],
    ["f32", { dtype: "F32", shape: [2, 2], data: Float32Array.of(-0, 1e-45, Number.POSITIVE_INFINITY, 0.1) }],
    ["f64", { dtype: "F64", shape: [1], data: Float64Array.of(5e-324) }],
    ["i16", { dtype: "I16", shape: [2], data: Int16Array.of(-1, 32767) }],
    ["i32", { dtype: "I32", shape: [], data: Int32Array.of(-5) }],
    ["i64", { dtype: "I64", shape: [3], data: Float64Array.of(-1, 2 ** 40 + 3, -(2 ** 52)) }],
    ["empty", { dtype: "F32", shape: [0, 4], data: new Float32Array(0) }],
    ["flags", { dtype: "BOOL", shape: [2], data: Uint8Array.of(1, 0) }],
    ["__proto__", { dtype: "U8", shape: [1], data: Uint8Array.of(9) }],
  ]);
  const file = join(dir, "all.safetensors");
  await writeSafetensors(file, tensors, { format: "pt", naïve: "é" });
  const read = await readSafetensors(file);
  assert.equal(read.metadata, { format: "pt", naïve: "é" });
  assert.equal(new Set(read.tensors.keys()), new Set(tensors.keys()));
  for (const [name, tensor] of tensors) assert.equal(read.tensors.get(name), tensor, name);
});

test("data begin at a multiple of 8 and every tensor at a multiple of its element", async () => {
  const tensors = new Map<string, SafeTensor>([
    ["a", { dtype: "U8", shape: [1], data: Uint8Array.of(1) }],
    ["b", { dtype: "F64", shape: [1], data: Float64Array.of(2) }],
    ["c", { dtype: "F32", shape: [1], data: Float32Array.of(3) }],
  ]);
  const file = join(dir, "aligned.safetensors");
  await writeSafetensors(file, tensors);
  const bytes = await readFile(file);
  const length = Number(bytes.readBigUInt64LE(0));
  assert.is((8 + length) % 8, 0);
  const header = JSON.parse(bytes.subarray(8, 8 + length).toString());
  assert.equal(header.b.data_offsets, [0, 8]);
  assert.equal(header.c.data_offsets, [8, 12]);
  assert.equal(header.a.data_offsets, [12, 13]);
});

test("half precision, which axograd does not write, is read as single", async () => {
  const halves = Uint8Array.of(0x00, 0x3c, 0x00, 0xc0);
  const { tensors } = await decode(fileOf({ h: entry("F16", [2], 0, 4) }, halves), "h");
  assert.equal(tensors.get("h")?.data, Float32Array.of(1, -2));
});

test("a file cut anywhere is reported, never half read", async () => {
  const tensors = new Map<string, SafeTensor>([["x", { dtype: "F32", shape: [2], data: Float32Array.of(1, 2) }]]);
  const file = join(dir, "whole.safetensors");
  await writeSafetensors(file, tensors);
  const bytes = await readFile(file);
  assert.is((await decode(bytes, "whole")).tensors.size, 1);
  for (let length = 0; length < bytes.length; length++) {
    await fails(() => decode(bytes.subarray(0, length), "cut"), "file-truncated", /^cut: /);
  }
});

test("a file that is cut while it is read is reported", async () => {
  const tensors = new Map<string, SafeTensor>([["x", { dtype: "F32", shape: [2], data: Float32Array.of(1, 2) }]]);
  const file = join(dir, "shrinks.safetensors");
  await writeSafetensors(file, tensors);
  const length = (await readFile(file)).length;
  const read = withFile(file, "a safetensors file", async (source) => {
    await truncate(file, length - 4);
    return decodeSafetensors(source, file);
  });
  await fails(() => read, "file-truncated", /shrinks/);
});

test("headers that are no headers are refused", async () => {
  await fails(() => decode(fileOf("not json"), "f"), "file-format", /JSON/);
  await fails(() => decode(fileOf("[1]"), "f"), "file-format", /named entries/);
  await fails(() => decode(fileOf({ x: 3 }), "f"), "file-format", /"x"/);
  await fails(() => decode(fileOf({ __metadata__: { a: 1 } }), "f"), "file-format", /strings/);
  const huge = new Uint8Array(16).fill(0xff);
  await fails(() => decode(huge, "f"), "file-format", /at most 100000000/);
});

test("unknown types, wrong sizes, gaps, overlaps and leftovers are refused by name", async () => {
  const bad = (header: unknown, bytes: number, ...patterns: RegExp[]): Promise<void> =>
    fails(() => decode(fileOf(header, new Uint8Array(bytes)), "f"), "file-format", ...patterns);
  await bad({ x: entry("F8_E4M3", [1], 0, 1) }, 1, /"x"/, /F8_E4M3/, /F32/);
  await bad({ x: entry("F32", [2], 0, 4) }, 4, /8 bytes/, /got 4/);
  await bad({ x: entry("F32", [-1], 0, 4) }, 4, /whole numbers/);
  await bad({ x: entry("U8", [2], 0, 2), y: entry("U8", [2], 1, 3) }, 3, /"y"/, /overlap/);
  await bad({ x: entry("U8", [1], 0, 1), y: entry("U8", [1], 2, 3) }, 3, /"y"/, /gap/);
  await bad({ x: entry("U8", [1], 0, 1) }, 3, /left over/);
  await bad({ x: { dtype: "U8", shape: [1], data_offsets: [0] } }, 1, /two data_offsets/);
});

test("an integer that a double cannot hold is refused", async () => {
  const wide = new Uint8Array(BigInt64Array.of(2n ** 60n).buffer);
  await fails(() => decode(fileOf({ n: entry("I64", [1], 0, 8) }, wide), "f"), "file-format", /2\^53/);
});

test("a failed write leaves the old file and no temporary", async () => {
  const file = join(dir, "kept.safetensors");
  await writeFile(file, "old");
  const wrong = new Map<string, SafeTensor>([["x", { dtype: "F32", shape: [3], data: Float32Array.of(1) }]]);
  await fails(() => writeSafetensors(file, wrong), "shape", /x/, /3 elements/);
  assert.is(await readFile(file, "utf8"), "old");
  const nowhere = join(dir, "missing", "x.safetensors");
  await fails(() => writeSafetensors(nowhere, new Map()), "file-write", /no such folder/);
});

test("checksums are of every tensor and of the header, whatever its pieces; other metadata stay as they were", async () => {
  const file = join(dir, "sums.safetensors");
  const pieces = () => [Float32Array.of(1, 2), Float32Array.of(3)];
  const tensors = new Map([["é", { dtype: "F32" as const, shape: [3], pieces }]]);
  await writeSafetensors(file, tensors, { "a key": "é" }, { checksums: true });
  const { metadata, verified, tensors: read } = await readSafetensors(file);
  assert.equal([metadata, verified, read.get("é")!.data], [{ "a key": "é" }, true, Float32Array.of(1, 2, 3)]);
  const bytes = await readFile(file);
  assert.match(
    bytes.toString(),
    `${crc32(Buffer.from(Float32Array.of(1, 2, 3).buffer))
      .toString(16)
      .padStart(8, "0")}`,
  );
  for (const [from, to, name] of [
    ["a key", "b key", "__metadata__"],
    ["[3]", "[3,1]", null],
  ] as const) {
    const text = bytes.toString("latin1").replace(from, to);
    const length = Number(bytes.readBigUInt64LE(0)) + to.length - from.length;
    const changed = Buffer.from(text, "latin1");
    changed.writeBigUInt64LE(BigInt(length), 0);
    await writeFile(file, changed);
    await fails(() => readSafetensors(file), "file-damaged", new RegExp(name ?? "__metadata__"));
  }
  await writeSafetensors(file, tensors);
  assert.is((await readSafetensors(file)).verified, false);
});

test.run();
