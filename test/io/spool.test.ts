// Numbers that go to a file by way of the disk, and archives that are written piece by piece.

import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { floatArray } from "../../src/core/dtype.ts";
import { encodeNpy, npyHead } from "../../src/io/npy.ts";
import { Spool } from "../../src/io/spool.ts";
import { writeArrays } from "../../src/io/writeArrays.ts";
import { encodeZip, writeStreamedZip } from "../../src/io/zip.ts";
import { fails, tempDir } from "./fixtures.ts";

const test = suite("spool");
const dir = tempDir();
const at = (name: string): string => join(dir, name);

test("gives what it was given, in pieces of whole rows, as often as it is asked; then it is gone", async () => {
  for (const dtype of ["f32", "f64"] as const) {
    const spool = await Spool.beside(at("file"), dtype);
    // More than one piece of 2^18 numbers.
    const all = floatArray(dtype, 300_000).map((_, i) => i / 7);
    await spool.append(all.subarray(0, 30));
    await spool.append(all.subarray(30));
    assert.equal([spool.count, spool.dtype], [300_000, dtype]);
    for (let pass = 0; pass < 2; pass++) {
      const parts: number[][] = [];
      for await (const piece of spool.pieces(3)) parts.push([...piece]);
      assert.equal(
        parts.map((part) => part.length % 3),
        parts.map(() => 0),
      );
      assert.ok(parts.length > 1);
      assert.equal(parts.flat(), [...all]);
    }
    await spool.close();
    assert.equal(await readdir(dir), []);
  }
  await fails(() => Spool.beside(join(dir, "no", "file"), "f32"), "file-write", /no such folder/);
});

test("an archive written in pieces is that written at once, to the byte", async () => {
  const parts = [Uint8Array.of(1, 2, 3), new Uint8Array(0), Uint8Array.of(4)];
  const bytes = Uint8Array.of(1, 2, 3, 4);
  await writeStreamedZip(at("a.zip"), [
    { name: "é", size: 4, pieces: () => parts },
    { name: "b", size: 0, pieces: () => [] },
  ]);
  const whole = encodeZip([
    { name: "é", bytes },
    { name: "b", bytes: new Uint8Array(0) },
  ]);
  assert.equal([...(await readFile(at("a.zip")))], [...whole]);
  await fails(
    () => writeStreamedZip(at("a.zip"), [{ name: "a", size: 5, pieces: () => parts }]),
    "shape",
    /5 bytes.*got 4/,
  );
  await fails(
    () => writeStreamedZip(at("a.zip"), [{ name: "a", size: 2 ** 32, pieces: () => parts }]),
    "argument",
    /4 GiB/,
  );
  assert.equal([...(await readFile(at("a.zip")))], [...whole]);
});

test("arrays written in pieces are those written at once, to the byte", async () => {
  const data = Float64Array.of(1, 2, 3, 4, 5, 6);
  const shape = [2, 3];
  assert.equal([...encodeNpy({ shape, data })].slice(0, npyHead("f8", shape).length), [...npyHead("f8", shape)]);
  const streamed = { type: "f8", shape, pieces: () => [data.subarray(0, 2), data.subarray(2)] } as const;
  for (const ending of ["npz", "safetensors"]) {
    await writeArrays(at(`once.${ending}`), { data: { shape, data } });
    await writeArrays(at(`pieces.${ending}`), { data: streamed });
    assert.equal([...(await readFile(at(`pieces.${ending}`)))], [...(await readFile(at(`once.${ending}`)))]);
  }
  await fails(() => writeArrays(at("pieces.csv"), { data: streamed }), "argument", /in memory for a \.csv/);
  await fails(() => writeArrays(at("pieces.npz"), { data: { ...streamed, shape: [2, 4] } }), "shape");
  await fails(() => writeArrays(at("pieces.safetensors"), { data: { ...streamed, shape: [2, 4] } }), "shape");
});

test.run();
