import { execFileSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { copyFile, mkdir, readFile, rename, truncate, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { keyOfSeed } from "../../src/core/random.ts";
import { arraySamples } from "../../src/data/arraySamples.ts";
import { type OpenSamplesOptions, openSamples } from "../../src/data/openSamples.ts";
import { encodeNpy, encodeNpyStrings } from "../../src/io/npy.ts";
import { writeNpz } from "../../src/io/npz.ts";
import { writeSafetensors } from "../../src/io/safetensors.ts";
import { tensorType, writeArrays } from "../../src/io/writeArrays.ts";
import { encodeZip, writeZip } from "../../src/io/zip.ts";
import { fails, packedZip, tempDir } from "../io/fixtures.ts";
import { testOrSkip } from "../support/skip.ts";
import { type Arrays, all, array, assertSameSamples, labels, normals, writeFolder } from "./sampleFixtures.ts";

const test = suite("openSamples");
const dir = tempDir();
let files = 0;

function fresh(extension: string): string {
  files++;
  return join(dir, `${files}${extension}`);
}

async function npz(arrays: Arrays): Promise<string> {
  const file = fresh(".npz");
  await writeNpz(file, arrays);
  return file;
}

async function safetensors(arrays: Arrays, checksums = false): Promise<string> {
  const file = fresh(".safetensors");
  const tensors = Object.entries(arrays).map(
    ([name, data]) => [name, { ...data, dtype: tensorType(data.data) }] as const,
  );
  await writeSafetensors(file, new Map(tensors), {}, { checksums });
  return file;
}

/** Rows of 1,200 bytes: 13 to a block. */
const COUNT = 500;
const MANY = {
  inputs: normals(1, COUNT, 3, 100),
  targets: normals(2, COUNT, 2, 3),
  mask: array(
    [COUNT, 2],
    Uint8Array.from({ length: 2 * COUNT }, (_, i) => (i % 3 === 0 ? 0 : 1)),
  ),
  times: array([2], Float64Array.of(0.5, 1)),
  split: array(
    [COUNT],
    Uint8Array.from({ length: COUNT }, (_, i) => (i % 5 === 0 ? 1 : i % 7 === 0 ? 2 : 0)),
  ),
};
const inMemory = arraySamples({ ...MANY, times: MANY.times.data, split: MANY.split.data });

/** Budgets: all in memory, small arrays in memory, a cache of a few blocks, a cache of none. */
const BUDGETS = [2 ** 30, 100_000, 40_000, 0];

const WRITERS: Readonly<Record<string, (arrays: Arrays) => Promise<string>>> = {
  npz,
  safetensors: (arrays) => safetensors(arrays),
  "safetensors with checksums": (arrays) => safetensors(arrays, true),
  "folder of .npy files": (arrays) => writeFolder(fresh(""), arrays),
};

for (const [kind, write] of Object.entries(WRITERS)) {
  test(`${kind}: the same bits as in memory, whatever the budget`, async () => {
    const path = await write(MANY);
    for (const memoryBytes of BUDGETS) {
      for (const normalise of ["none", "standardise"] as const) {
        const expected =
          normalise === "none"
            ? inMemory
            : arraySamples({ ...MANY, times: MANY.times.data, split: MANY.split.data }, { normalise });
        const opened = await openSamples(path, { memoryBytes, normalise });
        for (const part of ["train", "validation", "test"] as const) {
          await assertSameSamples(opened[part]!, expected[part]!);
          assert.equal(opened.statistics[part], expected.statistics[part]);
          assert.equal(opened[part]!.times, expected[part]!.times);
        }
        await opened.release();
      }
    }
  });
}

test("integers, half precision, f64 and truth values are read as exactly", async () => {
  const types: Arrays = {
    u1: array(
      [6, 2],
      Uint8Array.from({ length: 12 }, (_, i) => 21 * i),
    ),
    i2: array(
      [6, 2],
      Int16Array.from({ length: 12 }, (_, i) => 1000 - 300 * i),
    ),
    u4: array(
      [6, 2],
      Uint32Array.from({ length: 12 }, (_, i) => 2 ** i),
    ),
    f8: array(
      [6, 2],
      Float64Array.from({ length: 12 }, (_, i) => i / 3),
    ),
  };
  for (const inputs of Object.values(types)) {
    const arrays = { inputs, targets: labels(6, 3) };
    const expected = arraySamples(arrays).train;
    for (const memoryBytes of [0, 2 ** 20]) {
      const opened = await openSamples(await npz(arrays), { memoryBytes });
      await assertSameSamples(opened.train, expected);
      await opened.release();
    }
  }
});

test("64-bit, half-precision, big-endian and boolean arrays and Fortran order give their numbers", async () => {
  const header = (descr: string, shape: string, fortran = "False"): Buffer => {
    const text = `{'descr': '${descr}', 'fortran_order': ${fortran}, 'shape': ${shape}, }`;
    const padded = `${text}${" ".repeat((64 - ((text.length + 11) % 64)) % 64)}\n`;
    return Buffer.concat([
      Buffer.from("\x93NUMPY\x01\x00", "latin1"),
      Buffer.of(padded.length & 255, padded.length >> 8),
      Buffer.from(padded),
    ]);
  };
  const longs = (...values: number[]): Buffer => Buffer.from(BigInt64Array.from(values, BigInt).buffer);
  const raw: Readonly<Record<string, readonly [Buffer, Float32Array]>> = {
    i8: [Buffer.concat([header("<i8", "(2, 2)"), longs(1, -2, 3, 4)]), Float32Array.of(1, -2, 3, 4)],
    f2: [
      Buffer.concat([header("<f2", "(2, 2)"), Buffer.from("003c00c0003e0038", "hex")]),
      Float32Array.of(1, -2, 1.5, 0.5),
    ],
    bigEndian: [
      Buffer.concat([header(">i2", "(2, 2)"), Buffer.from("0001fffe00030004", "hex")]),
      Float32Array.of(1, -2, 3, 4),
    ],
    bool: [Buffer.concat([header("|b1", "(2, 2)"), Buffer.of(1, 0, 0, 1)]), Float32Array.of(1, 0, 0, 1)],
    fortran: [
      Buffer.concat([header("<i8", "(2, 3)", "True"), longs(1, 4, 2, 5, 3, 6)]),
      Float32Array.of(1, 2, 3, 4, 5, 6),
    ],
    fortran3: [
      Buffer.concat([header("<i8", "(2, 2, 2)", "True"), longs(1, 5, 3, 7, 2, 6, 4, 8)]),
      Float32Array.of(1, 2, 3, 4, 5, 6, 7, 8),
    ],
  };
  for (const [name, [inputs, expected]] of Object.entries(raw)) {
    const file = fresh(".npz");
    await writeZip(file, [
      { name: "inputs.npy", bytes: inputs },
      { name: "targets.npy", bytes: encodeNpy(labels(2, 2)) },
    ]);
    const opened = await openSamples(file);
    assert.equal((await all(opened.train)).inputs, expected, name);
    if (!name.startsWith("fortran")) {
      const blocks = await openSamples(file, { memoryBytes: 0 });
      assert.equal((await all(blocks.train)).inputs, expected, name);
      await blocks.release();
    } else {
      await fails(() => openSamples(file, { memoryBytes: 8 }), "file-limit", /ascontiguousarray/, /\[inputs\]/);
    }
  }
});

test("truth values as targets are numbers, for logits of several labels", async () => {
  const bools = encodeNpy(array([2, 2], Uint8Array.of(1, 0, 0, 1)));
  bools.set(Buffer.from("'|b1'"), Buffer.from(bools).indexOf("'|u1'"));
  const file = fresh(".npz");
  await writeZip(file, [
    { name: "inputs.npy", bytes: encodeNpy(normals(1, 2, 2)) },
    { name: "targets.npy", bytes: bools },
  ]);
  const { train } = await openSamples(file);
  assert.equal(train.target, { kind: "numbers", width: 2, times: null, classes: null });
});

test("compressed arrays are unpacked if they fit; otherwise the error says what to do", async () => {
  const file = fresh(".npz");
  await writeFile(file, packedZip("inputs.npy", encodeNpy(normals(1, 8, 50))));
  await fails(() => openSamples(file), "file-format", /arrays inputs and targets/, /inputs/);
  const unlabelled = { kind: "class", width: 1, classes: 2, times: null } as const;
  const opened = await openSamples(file, { unlabelled });
  await assertSameSamples(opened.train, arraySamples({ inputs: normals(1, 8, 50) }, { unlabelled }).train);
  await fails(
    () => openSamples(file, { unlabelled, memoryBytes: 1000 }),
    "file-limit",
    /numpy\.savez instead/,
    /\[inputs\]/,
  );
});

test("texts in a .npz file name classes and parts", async () => {
  const file = fresh(".npz");
  await writeArrays(file, {
    inputs: normals(1, 4, 2),
    targets: labels(4, 2),
    split: ["train", "test", "train", "validation"],
    classNames: ["left", "größer"],
  });
  const { train, validation, test: last } = await openSamples(file);
  assert.equal(train.classNames, ["left", "größer"]);
  assert.equal([train.count, validation?.count, last?.count], [2, 1, 1]);
});

// ---- folders and second files --------------------------------------------------------------------------------------------

const part = (seed: number, count: number): Arrays => ({ inputs: normals(seed, count, 2), targets: labels(count, 2) });

test("a folder has a file or a folder for each part, of any kind", async () => {
  const folder = fresh(" with spaces, ümlaut and [brackets].npz");
  await mkdir(folder);
  await writeNpz(join(folder, "train.npz"), part(1, 6));
  await rename(await safetensors(part(2, 4)), join(folder, "validation.safetensors"));
  await writeFolder(join(folder, "test"), part(3, 2));
  await writeFile(join(folder, "README"), "");
  for (const memoryBytes of [0, 2 ** 20]) {
    const opened = await openSamples(folder, { memoryBytes });
    await assertSameSamples(opened.train, arraySamples(part(1, 6) as never).train);
    await assertSameSamples(opened.validation!, arraySamples(part(2, 4) as never).train);
    await assertSameSamples(opened.test!, arraySamples(part(3, 2) as never).train);
    assert.equal(
      opened.files.map((file) => file.slice(folder.length + 1)),
      ["train.npz", "validation.safetensors", join("test", "inputs.npy"), join("test", "targets.npy")],
    );
    await opened.release();
  }
});

test("a second file is the part for validation or test, and must have the same shapes", async () => {
  const [first, second] = [await npz(part(1, 6)), await npz(part(2, 4))];
  const opened = await openSamples(first, { validation: second, test: second });
  assert.equal([opened.train.count, opened.validation?.count, opened.test?.count], [6, 4, 4]);
  const refused = async (arrays: Arrays, ...patterns: RegExp[]): Promise<void> => {
    const other = await npz(arrays);
    await fails(async () => openSamples(first, { validation: other }), "file-format", ...patterns);
  };
  await refused({ ...part(2, 4), inputs: normals(1, 4, 3) }, /2 inputs, as in .*validation/, /3 inputs/, /\[inputs\]/);
  await refused({ ...part(2, 4), inputs: normals(1, 4, 1, 2) }, /1 frames of 2 inputs/);
  await refused({ ...part(2, 4), targets: normals(1, 4) }, /a class per sample/, /1 number per sample/, /\[targets\]/);
  await refused({ ...part(2, 4), split: labels(4, 2) }, /a file for each part/, /\[split\]/);
  await refused(
    { ...part(2, 4), inputs: array([4, 2], new Float32Array(8).fill(Number.NaN)) },
    /NaN at sample 0, input 0/,
  );
});

test("a draw for validation takes the same samples from a file as from memory", async () => {
  const { split: _, times, ...arrays } = MANY;
  const options = { validation: 37, key: keyOfSeed(5) };
  const expected = arraySamples({ ...arrays, times: times.data }, options);
  const opened = await openSamples(await npz({ ...arrays, times }), { ...options, memoryBytes: 30_000 });
  await assertSameSamples(opened.train, expected.train);
  await assertSameSamples(opened.validation!, expected.validation!);
  assert.equal(opened.statistics, expected.statistics);
  await opened.release();
});

test("output times must be those of the first file", async () => {
  const timed = (...times: number[]): Arrays => ({
    inputs: normals(1, 4, 2),
    targets: normals(2, 4, times.length, 1),
    times: array([times.length], Float64Array.from(times)),
  });
  const first = await npz(timed(0, 1));
  await openSamples(first, { test: await npz(timed(0, 1)) });
  await fails(
    async () => openSamples(first, { test: await npz(timed(0, 2)) }),
    "file-format",
    /\[times\]/,
    /the output times/,
  );
  const { times: _, ...without } = timed(0, 1);
  await fails(async () => openSamples(first, { test: await npz(without) }), "file-format", /times/, /none/);
});

test("a class that only another part has counts", async () => {
  const opened = await openSamples(await npz(part(1, 4)), {
    test: await npz({ ...part(1, 4), targets: labels(4, 4) }),
  });
  assert.is(opened.train.target.classes, 4);
  assert.match(opened.notes.join(), /without a sample to train on: 2, 3/);
});

/** Paths that are refused. */
const REFUSED: Readonly<Record<string, readonly [() => Promise<string>, string, ...RegExp[]]>> = {
  "nothing there": [async () => fresh(".npz"), "file-missing", /no such file/],
  "an empty folder": [
    () => writeFolder(fresh(""), {}),
    "file-format",
    /inputs\.npy and targets\.npy/,
    /an empty folder/,
  ],
  "a folder of other files": [() => writeFolder(fresh(""), { x: labels(2, 2) }), "file-format", /a folder with x\.npy/],
  "a folder without targets": [
    () => writeFolder(fresh(""), { inputs: normals(1, 2, 2) }),
    "file-format",
    /arrays inputs and targets/,
  ],
  "a folder without the part train": [
    async () => {
      const folder = fresh("");
      await writeFolder(join(folder, "test"), part(1, 4));
      return folder;
    },
    "file-format",
    /a part "train"/,
    /test/,
  ],
  "a part that is there twice": [
    async () => {
      const folder = fresh("");
      await writeFolder(join(folder, "train"), part(1, 4));
      await writeNpz(join(folder, "train.npz"), part(1, 4));
      return folder;
    },
    "file-format",
    /one file for the part "train"/,
    /train\.npz, train/,
  ],
  "arrays beside parts": [
    async () => {
      const folder = await writeFolder(fresh(""), part(1, 4));
      await writeNpz(join(folder, "test.npz"), part(1, 4));
      return folder;
    },
    "file-format",
    /inputs\.npy, test\.npz/,
  ],
  "a single .npy file": [
    async () => join(await writeFolder(fresh(""), part(1, 4)), "inputs.npy"),
    "file-format",
    /the folder of a \.npy file/,
  ],
  "another ending": [
    async () => {
      const file = fresh(".h5");
      await writeFile(file, "x");
      return file;
    },
    "file-format",
    /\.npz or \.safetensors/,
  ],
  "a misspelt array": [
    async () => npz({ ...part(1, 4), weigths: labels(4, 2) }),
    "file-format",
    /the name "weights"/,
    /\[weigths\]/,
  ],
  "a misspelt input": [async () => npz({ input: normals(1, 4, 2), targets: labels(4, 2) }), "file-format", /"inputs"/],
  "inputs that are texts": [
    async () => {
      const file = fresh(".npz");
      await writeArrays(file, { inputs: ["a", "b"], targets: labels(2, 2) });
      return file;
    },
    "file-format",
    /array of numbers/,
    /\[inputs\]/,
  ],
  "names that are numbers": [
    async () => npz({ ...part(1, 4), classNames: labels(2, 2) }),
    "file-format",
    /strings/,
    /\[classNames\]/,
  ],
  "a split of two dimensions": [
    async () => npz({ ...part(1, 4), split: array([4, 1], new Uint8Array(4)) }),
    "file-format",
    /one dimension/,
    /\[split\]/,
  ],
  "a target that is NaN, in the last of many blocks": [
    async () => {
      const targets = normals(1, COUNT, 2);
      targets.data[2 * COUNT - 1] = Number.NaN;
      return npz({ inputs: MANY.inputs, targets });
    },
    "file-format",
    /\[targets\]: expected finite numbers \(with a mask: only where a target counts\), got NaN at sample 499, output 1/,
  ],
};

for (const [name, [make, code, ...patterns]] of Object.entries(REFUSED)) {
  test(`refused: ${name}`, async () => {
    const path = await make();
    for (const memoryBytes of [0, 2 ** 30]) await fails(() => openSamples(path, { memoryBytes }), code, ...patterns);
  });
}

test("arrays without a meaning are noted, and not read", async () => {
  const file = fresh(".npz");
  const entries = Object.entries({ ...part(1, 4), ids: labels(4, 2) }).map(([name, data]) => ({
    name: `${name}.npy`,
    bytes: encodeNpy(data),
  }));
  // An object array, which is a pickle.
  await writeZip(file, [...entries, { name: "about.npy", bytes: Buffer.from("no array") }]);
  const { notes } = await openSamples(file);
  assert.match(notes.join(), /not used: ids, about/);
});

// ---- damage and change ---------------------------------------------------------------------------------------------------

test("a damaged byte is found by its checksum, in memory and in blocks", async () => {
  for (const file of [await npz(part(1, 400)), await safetensors(part(1, 400), true)]) {
    const bytes = await readFile(file);
    const at = Math.floor(bytes.length / 2);
    bytes[at] = bytes[at]! ^ 1;
    await writeFile(file, bytes);
    for (const memoryBytes of [0, 2 ** 30]) {
      await fails(() => openSamples(file, { memoryBytes }), "file-damaged", /damaged data/, /\[inputs\]/);
    }
  }
});

/** A file that is read in blocks, last changed a while ago. */
async function inBlocks(write: (arrays: Arrays) => Promise<string>, options: OpenSamplesOptions = {}) {
  const path = await write(MANY);
  const file = path.includes(".") ? path : join(path, "inputs.npy");
  await utimes(file, 1e9, 1e9);
  return { file, opened: await openSamples(path, { memoryBytes: 60_000, ...options }) };
}

for (const [kind, write] of Object.entries(WRITERS)) {
  test(`${kind}: a file that is written to, or cut off, gives no more samples`, async () => {
    const changed = await inBlocks(write);
    const bytes = await readFile(changed.file);
    await writeFile(changed.file, bytes.fill(0, bytes.length - 1000));
    await fails(() => all(changed.opened.train), "file-changed", /stays as it is/);
    await fails(() => all(changed.opened.train), "file-changed");
    await changed.opened.release();
    const cut = await inBlocks(write);
    await truncate(cut.file, 10_000);
    await fails(() => all(cut.opened.train), "file-truncated");
    await cut.opened.release();
  });
}

test("a file that is replaced goes on as it was", async () => {
  const { file, opened } = await inBlocks(npz);
  await copyFile(await npz(part(1, 4)), `${file}.new`);
  await rename(`${file}.new`, file);
  await assertSameSamples(opened.train, inMemory.train);
  await opened.release();
});

test("what is in memory does not need the file any more", async () => {
  const file = await npz(MANY);
  const opened = await openSamples(file);
  await writeFile(file, "");
  await assertSameSamples(opened.train, inMemory.train);
});

const closing = "files are closed when all sets are released, when all is in memory, and after a failure";
testOrSkip(test, process.platform === "linux", "/proc", closing, async () => {
  const open = (): number => readdirSync("/proc/self/fd").length;
  const path = await WRITERS["folder of .npy files"]!(MANY);
  const bad = await npz({ ...part(1, 4), inputs: array([4, 2], new Float32Array(8).fill(Number.NaN)) });
  const before = open();
  const opened = await openSamples(path, { memoryBytes: 0 });
  assert.ok(open() > before);
  await opened.train.release!();
  await opened.train.release!();
  assert.ok(open() > before);
  await assertSameSamples(opened.test!, inMemory.test!);
  await opened.release();
  assert.is(open(), before);
  await fails(() => opened.test!.read([0], null), "released");
  await openSamples(path);
  assert.is(open(), before);
  await fails(() => openSamples(bad, { memoryBytes: 0 }), "file-format");
  await fails(() => openSamples(path, { validation: "/nowhere.npz" }), "file-missing");
  // The zip reader closes its file a turn later.
  await new Promise((resolve) => setTimeout(resolve, 50));
  assert.is(open(), before);
});

test("progress goes up to the number of samples, and an abort ends the pass", async () => {
  const path = await npz({ inputs: normals(1, 6, 2 ** 19), targets: labels(6, 2) });
  const seen: number[] = [];
  const onProgress = (done: number, total: number): void => {
    assert.is(total, 6);
    seen.push(done);
  };
  await openSamples(path, { onProgress });
  assert.equal(seen, [1, 2, 3, 4, 5, 6]);
  const abort = new AbortController();
  const stop = openSamples(path, {
    signal: abort.signal,
    memoryBytes: 0,
    onProgress: () => abort.abort(new Error("enough")),
  });
  let reason: unknown;
  await stop.catch((error) => {
    reason = error;
  });
  assert.match(String(reason), /enough/);
});

test("several reads at once give the same as one after the other", async () => {
  const { opened } = await inBlocks(npz);
  const batches = Array.from({ length: 20 }, (_, b) =>
    Array.from({ length: 16 }, (_, k) => (37 * b + 11 * k) % opened.train.count),
  );
  const together = await Promise.all(batches.map((batch) => opened.train.read(batch, null)));
  for (const [b, batch] of batches.entries()) assert.equal(together[b], await inMemory.train.read(batch, null));
  await opened.release();
});

function hasNumpy(): boolean {
  try {
    execFileSync("python3", ["-c", "import numpy"], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}

testOrSkip(test, hasNumpy(), "NumPy", "files that NumPy writes are read", async () => {
  const script = `
import sys, numpy as np
x = np.arange(24, dtype=np.float32).reshape(4, 3, 2)
y = np.array([[0, 1], [1, 2], [2, 0], [1, 1]])
split = np.array(["train", "train", "validation", "test"])
np.savez(sys.argv[1] + "/plain.npz", inputs=x, targets=y, mask=y > 0, times=np.array([0.5, 1]), split=split)
np.savez_compressed(sys.argv[1] + "/packed.npz", inputs=np.asfortranarray(x), targets=y, mask=y > 0, times=[0.5, 1], split=split)
`;
  execFileSync("python3", ["-c", script, dir]);
  const expected = arraySamples({
    inputs: array(
      [4, 3, 2],
      Float32Array.from({ length: 24 }, (_, i) => i),
    ),
    targets: array([4, 2], Int8Array.of(0, 1, 1, 2, 2, 0, 1, 1)),
    mask: array([4, 2], Uint8Array.of(0, 1, 1, 1, 1, 0, 1, 1)),
    times: [0.5, 1],
    split: [0, 0, 1, 2],
  });
  for (const name of ["plain.npz", "packed.npz"]) {
    const opened = await openSamples(join(dir, name));
    for (const part of ["train", "validation", "test"] as const)
      await assertSameSamples(opened[part]!, expected[part]!);
    assert.equal(opened.train.times, expected.train.times);
  }
});

testOrSkip(test, process.platform !== "win32", "mkfifo", "a pipe is refused instead of waited for", async () => {
  const pipe = fresh(".npz");
  execFileSync("mkfifo", [pipe]);
  await fails(() => openSamples(pipe), "file-format", /a pipe or device/);
});

test("options that do not fit are refused before any file is read", async () => {
  const nowhere = fresh(".npz");
  await fails(() => openSamples(nowhere, { memoryBytes: -1 }), "argument", /memoryBytes/);
  await fails(() => openSamples(nowhere, { memoryBytes: Number.NaN }), "argument", /memoryBytes/);
  await fails(() => openSamples(nowhere, { validation: 3 }), "argument", /key/);
  await fails(() => openSamples(nowhere, { valdation: 3 } as never), "argument", /validation/);
  await fails(() => openSamples(nowhere, { memorybytes: 3 } as never), "argument", /memoryBytes/);
  const unlabelled = { kind: "class", width: 1, classes: null, times: null } as const;
  await fails(() => openSamples(nowhere, { unlabelled }), "argument", /unlabelled\.classes/);
  const folder = fresh("");
  await writeFolder(join(folder, "train"), part(1, 4));
  await writeFolder(join(folder, "test"), part(1, 4));
  await fails(() => openSamples(folder, { test: folder }), "argument", /has this part/);
  await fails(
    async () => openSamples(await npz(part(1, 4)), { validation: 4, key: keyOfSeed(1) }),
    "argument",
    /below 4/,
  );
});

test("strings of classes have the characters that were written", async () => {
  const names = ["", "a", "größer", "𝛼β"];
  const file = fresh(".npz");
  await writeFile(
    file,
    encodeZip([
      { name: "classNames.npy", bytes: encodeNpyStrings(names) },
      ...Object.entries({ inputs: normals(1, 4, 2), targets: labels(4, 4) }).map(([name, data]) => ({
        name: `${name}.npy`,
        bytes: encodeNpy(data),
      })),
    ]),
  );
  assert.equal((await openSamples(file)).train.classNames, names);
});

test.run();
