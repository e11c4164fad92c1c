import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { hashOf } from "../../src/io/hash.ts";
import { fails, tempDir } from "./fixtures.ts";

const test = suite("hash");
const dir = tempDir();

/** SHA-256 of "abc" and of a million times "a". Source: FIPS 180-4, examples of NIST. */
const EXAMPLES: readonly (readonly [string, string])[] = [
  ["abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"],
  ["a".repeat(1_000_000), "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"],
];

test("the hash of a file's content, and its size", async () => {
  for (const [content, sha256] of EXAMPLES) {
    const file = join(dir, "file");
    await writeFile(file, content);
    assert.equal(await hashOf(file), { sha256, bytes: content.length });
  }
});

test("a file of several pieces has the hash of the whole", async () => {
  const file = join(dir, "pieces");
  await writeFile(file, "a".repeat(3 * 2 ** 20 + 1));
  const long = await hashOf(file);
  assert.is(long.bytes, 3 * 2 ** 20 + 1);
  await writeFile(file, `${"a".repeat(3 * 2 ** 20)}b`);
  assert.not.equal((await hashOf(file)).sha256, long.sha256);
});

test("a missing file and a folder are refused", async () => {
  await fails(() => hashOf(join(dir, "none")), "file-missing");
  await fails(() => hashOf(dir), "file-is-directory");
});

test.run();
