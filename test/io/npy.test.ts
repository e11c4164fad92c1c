import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import {
  decodeNpy,
  decodeNpyString,
  decodeNpyStrings,
  encodeNpy,
  encodeNpyString,
  encodeNpyStrings,
  readNpy,
  writeNpy,
} from "../../src/io/npy.ts";
import { bytesOf, fails, tempDir } from "./fixtures.ts";

const test = suite("npy");
const dir = tempDir();

/** A file as NumPy lays it out, with any header text and version. */
function npy(fields: string, data: Uint8Array, version = 1): Uint8Array {
  const text = new TextEncoder().encode(`${fields}\n`);
  const lengthBytes =
    version === 1 ? [text.length & 255, text.length >> 8] : [text.length & 255, text.length >> 8, 0, 0];
  return Uint8Array.from([0x93, ...new TextEncoder().encode("NUMPY"), version, 0, ...lengthBytes, ...text, ...data]);
}

const header = (descr: string, shape: string, order = "False"): string =>
  `{'descr': '${descr}', 'fortran_order': ${order}, 'shape': ${shape}, }`;

test("arrays of every typed-array type come back as written", async () => {
  const arrays = [
    Float32Array.of(1.5, -2, Number.NaN),
    Float64Array.of(Math.PI, -0, Infinity),
    Int8Array.of(-128, 0, 127),
    Int16Array.of(-32768, 0, 32767),
    Int32Array.of(-(2 ** 31), 0, 2 ** 31 - 1),
    Uint8Array.of(0, 1, 255),
    Uint16Array.of(0, 1, 65535),
    Uint32Array.of(0, 1, 2 ** 32 - 1),
  ];
  for (const data of arrays) {
    const file = join(dir, "array.npy");
    await writeNpy(file, { shape: [3, 1], data });
    const back = await readNpy(file);
    assert.equal(back.shape, [3, 1]);
    assert.is(back.fortranOrder, false);
    assert.is(back.data.constructor, data.constructor);
    assert.equal(bytesOf(back.data), bytesOf(data));
  }
});

test("data begin at a multiple of 64 bytes", () => {
  const bytes = encodeNpy({ shape: [2], data: Float32Array.of(1, 2) });
  assert.is((bytes.length - 8) % 64, 0);
});

test("64-bit integers become doubles when they fit, and fail when they do not", async () => {
  const signed = npy(header("<i8", "(3,)"), bytesOf(BigInt64Array.of(-1n, 2n ** 53n - 1n, -(2n ** 40n))));
  assert.equal(decodeNpy(signed, "f").data, Float64Array.of(-1, 2 ** 53 - 1, -(2 ** 40)));
  const unsigned = npy(header("<u8", "(1,)"), bytesOf(BigUint64Array.of(2n ** 63n)));
  await fails(() => decodeNpy(unsigned, "big.npy"), "file-format", /big\.npy/, /2\^53/, /element 0/);
});

test("big-endian data are swapped", () => {
  const bytes = new Uint8Array(8);
  new DataView(bytes.buffer).setFloat64(0, 1.25, false);
  assert.equal(decodeNpy(npy(header(">f8", "(1,)"), bytes), "f").data, Float64Array.of(1.25));
  assert.equal(decodeNpy(npy(header(">i2", "(2,)"), Uint8Array.of(1, 0, 255, 254)), "f").data, Int16Array.of(256, -2));
});

test("half precision widens, including subnormal and infinite numbers", () => {
  const data = bytesOf(Uint16Array.of(0x3c00, 0xc000, 0x0001, 0x7c00, 0xfc00, 0x8000, 0x7bff));
  const back = decodeNpy(npy(header("<f2", "(7,)"), data), "f").data;
  assert.equal(back, Float32Array.of(1, -2, 2 ** -24, Infinity, -Infinity, -0, 65504));
});

test("booleans become 0 and 1", () => {
  assert.equal(decodeNpy(npy(header("|b1", "(2, 1)"), Uint8Array.of(0, 1)), "f").data, Uint8Array.of(0, 1));
});

test("versions 2 and 3, Fortran order and single values are understood", () => {
  const one = bytesOf(Float32Array.of(7));
  for (const version of [1, 2, 3]) assert.equal(decodeNpy(npy(header("<f4", "()"), one, version), "f").shape, []);
  assert.is(decodeNpy(npy(header("<f4", "(1, 1)", "True"), one), "f").fortranOrder, true);
  const reordered = "{'shape': (1,), 'fortran_order': False, 'descr': '<f4'}";
  assert.equal(decodeNpy(npy(reordered, one), "f").shape, [1]);
});

test("single strings of bytes and of text are read", () => {
  assert.is(decodeNpyString(encodeNpyString("csr"), "f"), "csr");
  const ucs4 = bytesOf(Uint32Array.from("coo", (c) => c.charCodeAt(0)));
  assert.is(decodeNpyString(npy(header("<U3", "()"), ucs4), "f"), "coo");
});

test("what is no plain array is refused by name", async () => {
  await fails(() => decodeNpy(npy(header("|O", "(1,)"), Uint8Array.of(0x80)), "o.npy"), "file-format", /object array/);
  const structured = "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,), }";
  await fails(() => decodeNpy(npy(structured, new Uint8Array(4)), "s.npy"), "file-format", /structured/);
  await fails(() => decodeNpy(npy(header("<c16", "(1,)"), new Uint8Array(16)), "c.npy"), "file-format", /c16/);
  await fails(() => decodeNpy(npy("{'descr': '<f4'}", new Uint8Array(4)), "h.npy"), "file-format", /fortran_order/);
  await fails(() => decodeNpy(npy(header("<f4", "(1,)"), new Uint8Array(4), 9), "v.npy"), "file-format", /version 9/);
  await fails(() => decodeNpy(new TextEncoder().encode("not an array at all"), "t.npy"), "file-format", /NUMPY/);
});

test("data cut off or left over are noticed", async () => {
  const whole = encodeNpy({ shape: [4], data: Float64Array.of(1, 2, 3, 4) });
  for (let length = 0; length < whole.length; length++) {
    await fails(() => decodeNpy(whole.slice(0, length), "cut.npy"), "file-truncated", /cut\.npy/);
  }
  await fails(() => decodeNpy(Uint8Array.of(...whole, 0), "long.npy"), "file-format", /32 bytes/, /33/);
});

test("a shape that does not fit the data to write is refused", async () => {
  await fails(() => encodeNpy({ shape: [2, 2], data: new Float32Array(3) }), "shape", /\(2, 2\)/, /3/);
});

test("a missing file is named", async () => {
  await fails(() => readNpy(join(dir, "absent.npy")), "file-missing", /absent\.npy/);
  await writeFile(join(dir, "x.npy"), encodeNpy({ shape: [], data: Uint8Array.of(3) }));
  assert.equal((await readNpy(join(dir, "x.npy"))).data, Uint8Array.of(3));
});

test("texts are written as NumPy stores them, characters beyond 16 bits too", async () => {
  const texts = ["T4a", "", "α′", "😀x"];
  const bytes = encodeNpyStrings(texts);
  assert.match(new TextDecoder("latin1").decode(bytes), /'descr': '<U3', 'fortran_order': False, 'shape': \(4,\), \}/);
  assert.equal(decodeNpyStrings(bytes, "texts"), texts);
  assert.equal(decodeNpyStrings(encodeNpyStrings([""]), "empty"), [""]);
});

test.run();
