import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { crc32 } from "../../src/io/crc32.ts";
import { encodeZip, openZip, openZipBytes, writeZip } from "../../src/io/zip.ts";
import { fails, tempDir } from "./fixtures.ts";

const test = suite("zip");
const dir = tempDir();
const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);

test("crc32 of the standard check string", () => {
  assert.is(crc32(utf8("123456789")), 0xcbf43926);
});

test("entries come back by name, from a file and from memory", async () => {
  const file = join(dir, "two.zip");
  const entries = [
    { name: "a/one", bytes: utf8("first") },
    { name: "zwölf", bytes: new Uint8Array(100_000).fill(7) },
    { name: "empty", bytes: new Uint8Array(0) },
  ];
  await writeZip(file, entries);
  for (const zip of [await openZip(file), await openZipBytes(encodeZip(entries), "memory")]) {
    assert.equal(zip.names, ["a/one", "zwölf", "empty"]);
    for (const { name, bytes } of entries) assert.equal(await zip.read(name), bytes);
    await fails(() => zip.read("three"), "file-format", /"three"/, /a\/one, zwölf/);
    zip.close();
  }
});

test("a file that is no zip is named with how it begins", async () => {
  const file = join(dir, "text.npz");
  await writeFile(file, "hello");
  await fails(() => openZip(file, "a .npz file"), "file-format", /text\.npz/, /a \.npz file/, /68 65 6c 6c/);
  await writeFile(file, "");
  await fails(() => openZip(file), "file-truncated", /empty/);
});

test("a truncated archive is refused wherever it was cut", async () => {
  const whole = encodeZip([{ name: "x", bytes: utf8("some content that is long enough") }]);
  for (let length = 0; length < whole.length; length++) {
    const cut = whole.slice(0, length);
    const code = length === 0 || length >= 4 ? "file-truncated" : "file-format";
    await fails(() => openZipBytes(cut, "cut.zip"), code, /cut\.zip/);
  }
});

test("an entry that was changed does not match its checksum", async () => {
  const bytes = encodeZip([{ name: "x", bytes: utf8("content") }]);
  bytes[31 + 2]! ^= 1;
  const zip = await openZipBytes(bytes, "changed.zip");
  await fails(() => zip.read("x"), "file-damaged", /changed\.zip/, /"x"/, /checksum/);
});

test("an entry that claims an incredible size is refused before memory is taken", async () => {
  const bytes = encodeZip([{ name: "x", bytes: utf8("content") }]);
  const view = new DataView(bytes.buffer);
  const directory = bytes.length - 22 - 47;
  view.setUint16(directory + 10, 8, true); // deflate, so that the two sizes may differ
  view.setUint32(directory + 24, 2 ** 31 - 1, true);
  const zip = await openZipBytes(bytes, "bomb.zip");
  await fails(() => zip.read("x"), "file-format", /credible/, /2147483647/);
});

test("a missing file and a directory have their own codes", async () => {
  await fails(() => openZip(join(dir, "absent.zip")), "file-missing", /absent\.zip/);
  await fails(() => openZip(dir), "file-is-directory");
});

test.run();
