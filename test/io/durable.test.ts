// Writing: what was there stays until the new content is whole, and what a file system refuses is a typed error.

import { chmod, mkdir, readdir, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { makeFolder, replaceFile } from "../../src/io/durable.ts";
import { writeNpy } from "../../src/io/npy.ts";
import { writeNpz } from "../../src/io/npz.ts";
import { fails, tempDir } from "./fixtures.ts";

const test = suite("durable files");
const dir = tempDir();

test("content that fails to be made leaves the old file and no temporary one", async () => {
  const folder = join(dir, "old");
  await mkdir(folder);
  const file = join(folder, "a.txt");
  await replaceFile(file, ["old"]);
  function* broken(): Generator<string> {
    yield "new";
    throw new Error("cut");
  }
  await fails(() => replaceFile(file, broken()), "file-write", /cut/);
  assert.is(await readFile(file, "utf8"), "old");
  assert.equal(await readdir(folder), ["a.txt"]);
});

test("every writer says that it could not write, not that it could not read", async () => {
  const array = { shape: [1], data: Float32Array.of(1) };
  const missing = join(dir, "missing");
  await fails(() => replaceFile(join(missing, "a.txt"), [""]), "file-write", /a\.txt: .* got no such folder/);
  await fails(() => writeNpy(join(missing, "a.npy"), array), "file-write", /a\.npy: .* got no such folder/);
  await fails(() => writeNpz(join(missing, "a.npz"), { a: array }), "file-write", /a\.npz: .* got no such folder/);
  await writeFile(join(dir, "text"), "");
  const through = join(dir, "text", "a.txt");
  await fails(() => replaceFile(through, [""]), "file-write", /a\.txt: .* through something that is not a folder/);
});

test("folders are made with those above them, and one that is there is left alone", async () => {
  const deep = join(dir, "a", "b", "c");
  await makeFolder(deep);
  assert.ok((await stat(deep)).isDirectory());
  await chmod(deep, 0o700);
  await makeFolder(deep);
  assert.is((await stat(deep)).mode & 0o777, 0o700);
  await Promise.all([makeFolder(join(dir, "d", "e")), makeFolder(join(dir, "d", "e"))]);
});

test("a folder that cannot be made is an error", async () => {
  await writeFile(join(dir, "file"), "");
  await fails(() => makeFolder(join(dir, "file")), "file-write", /got a file of this name/);
  await fails(() => makeFolder(join(dir, "file", "below")), "file-write", /got a file of this name/);
  // Where mkdir's own `recursive` would never come back.
  if (process.platform === "linux")
    await fails(() => makeFolder("/proc/axograd/run"), "file-write", /\/proc\/axograd:/);
});

test.run();
