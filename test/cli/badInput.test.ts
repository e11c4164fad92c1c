// What a user can get wrong: each gets one line that names it, exit code 2, and nothing is written.

import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { encodeNpy, encodeNpyString } from "../../src/io/npy.ts";
import type { NumberArray } from "../../src/io/numbers.ts";
import { writeZip } from "../../src/io/zip.ts";
import { idx } from "../data/fixtures.ts";
import { pickle, tempDir, tensor, torchZip } from "../io/fixtures.ts";
import { axograd, jsonLines, TINY } from "./process.ts";

const test = suite("bad input");
const dir = tempDir();

/** Runs `axograd <args>`, demands exit code 2 and one line on stderr that matches all patterns, and that no file came or went. */
async function refused(args: readonly string[], ...patterns: readonly RegExp[]): Promise<void> {
  const before = await readdir(dir, { recursive: true });
  const { code, stdout, stderr } = await axograd(args, { cwd: dir });
  assert.is(code, 2, `exit code of ${args.join(" ")}: ${stderr}`);
  assert.match(stderr, /^axograd: .*\n$/);
  for (const pattern of patterns) assert.match(stderr, pattern);
  assert.is(stdout, "");
  assert.equal(await readdir(dir, { recursive: true }), before);
}

/** A SciPy CSR file of 3 × 3 with one value replaced, in the way of save_npz. */
async function npz(name: string, change: Readonly<Record<string, NumberArray>> = {}): Promise<string> {
  const arrays: Record<string, NumberArray> = {
    shape: Int32Array.of(3, 3),
    indptr: Int32Array.of(0, 1, 2, 3),
    indices: Int32Array.of(1, 2, 0),
    data: Float32Array.of(1, 2, 3),
    ...change,
  };
  await writeZip(join(dir, name), [
    { name: "format.npy", bytes: encodeNpyString("csr") },
    ...Object.entries(arrays).map(([key, data]) => ({
      name: `${key}.npy`,
      bytes: encodeNpy({ shape: [data.length], data }),
    })),
  ]);
  return name;
}

/** A folder in the form of MNIST. */
async function mnist(name: string, facts: { readonly label?: number; readonly side?: number } = {}): Promise<string> {
  const { label = 3, side = 28 } = facts;
  await mkdir(join(dir, name));
  for (const part of ["train", "t10k"]) {
    const images = idx([2, side, side], new Uint8Array(2 * side * side));
    await writeFile(join(dir, name, `${part}-images-idx3-ubyte`), images);
    await writeFile(join(dir, name, `${part}-labels-idx1-ubyte`), idx([2], Uint8Array.of(1, label)));
  }
  return name;
}

test("options that do not exist are refused with the nearest that does", async () => {
  await refused(["train", "--epoch", "3"], /unknown option '--epoch'/, /--epochs/);
  await refused(["train", "--batchsize", "3"], /--batch-size/);
  await refused(["trian"], /train/);
  await refused(["train", "extra"], /too many arguments/);
  await refused(["train", "--lr"], /--lr/, /missing/);
});

test("names that do not exist are refused with the nearest that does", async () => {
  await refused(["train", "--nonlinearity", "sigmod"], /did you mean "sigmoid"\?/, /\(--nonlinearity\)/);
  await refused(["train", "--nonlinearity", "Tanh, reul"], /"reul"/, /"relu"/);
  await refused(["train", "--preset", "retna"], /"retina"/);
  await refused(["train", "--device", "wsam"], /"wasm"/);
  await refused(["train", "--readout", "outputs"], /"output"/);
  await refused(["train", "--solver", "dopri"], /"dopri5"/);
  await refused(["train", "--schedule", "cosin"], /"cosine"/);
});

test("numbers out of range are refused", async () => {
  const cases: readonly (readonly [option: string, value: string, expected: RegExp])[] = [
    ["--epochs", "-1", /whole number of at least 1, got "-1"/],
    ["--steps", "0", /at least 1/],
    ["--steps", "2.5", /whole number/],
    ["--batch-size", "many", /"many"/],
    ["--lr", "nan", /above 0/],
    ["--lr", "-1e-3", /above 0/],
    ["--lr", "Infinity", /above 0/],
    ["--rtol", "0", /above 0/],
    ["--dt", "0", /above 0/],
    ["--warm-up", "-1", /at least 0/],
    ["--weight-decay", "-1", /at least 0/],
    ["--shift", "0.5", /whole number/],
    ["--dropout", "1", /below 1/],
    ["--seed", "-5", /at least 0/],
    ["--threads", "0", /1 to 1024/],
    ["--num-evals", "1", /at least 2/],
    ["--fc-dim", "0", /at least 1/],
    ["--gain", "", /above 0/],
    ["--generate", "100", /NEURONSxCONNECTIONS/],
    ["--generate", "100x99999999", /connections/],
    ["--memory-budget", "0x10", /whole number/],
  ];
  for (const [option, value, expected] of cases) {
    await refused(
      ["train", option, value, "--quiet"],
      expected,
      option === "--generate" ? /./ : new RegExp(`\\(${option}\\)`),
    );
  }
});

test("options that contradict each other are refused", async () => {
  await refused(["train", "--connectome", "x.npz", "--generate", "900x5000"], /--generate/);
  await refused(["train", "--neuron-table", "x.csv"], /--connectome/, /--neuron-table/);
  await refused(["train", "--device", "webgpu", "--dtype", "f64"], /--device wasm, got f64 \(--dtype\)/);
  await refused(["train", "--device", "wasm", "--gather", "f16"], /or a GPU, got f16 \(--gather\)/);
  await refused(["train", "--dtype", "f64", "--gather", "f16"], /or a GPU, got f16 \(--gather\)/);
  await refused(["train", ...TINY, "--quiet", "--readout", "output"], /--neuron-table/, /\(--readout\)/);
  await refused(["train", ...TINY, "--quiet", "--input", "retinotopic"], /--neuron-table/, /\(--input\)/);
});

test("connectomes that are missing, cut, of another kind, dense, or wrong inside are refused by name", async () => {
  const train = (file: string, ...patterns: RegExp[]): Promise<void> =>
    refused(["train", "--connectome", file, "--steps", "1"], ...patterns);
  await train("missing.npz", /missing\.npz/, /no such file/);
  await train(".", /directory/);
  const whole = await readFile(join(dir, await npz("whole.npz")));
  await writeFile(join(dir, "cut.npz"), whole.subarray(0, whole.length / 2));
  await train("cut.npz", /cut\.npz/);
  await writeFile(join(dir, "magic.npz"), "not a zip file at all");
  await train("magic.npz", /magic\.npz/);
  const dense = torchZip(pickle(tensor("FloatStorage", "0", [20_001, 2])), { "0": new Uint8Array(8) });
  await writeFile(join(dir, "dense.pt"), dense);
  await train("dense.pt", /dense\.pt/, /sparse/, /\(20001, 2\)/);
  await train(await npz("range.npz", { indices: Int32Array.of(1, 7, 0) }), /7/, /0 to 2/);
  await train(await npz("nan.npz", { data: Float32Array.of(1, Number.NaN, 3) }), /finite/, /NaN/);
});

test("images and labels that are missing, cut, of another kind or size are refused by name", async () => {
  const train = (folder: string, ...patterns: RegExp[]): Promise<void> =>
    refused(["train", "--data", folder, "--steps", "1", "--validation-samples", "0"], ...patterns);
  await train("nowhere", /nowhere: expected a file ending in .npz or .safetensors, or a folder/, /no such file/);
  await train(await mnist("label", { label: 10 }), /labels from 0 to 9/, /10 at item 1/);
  await train(await mnist("side", { side: 14 }), /28 × 28/, /14 × 14/);
  const images = join(dir, await mnist("cut"), "train-images-idx3-ubyte");
  await writeFile(images, (await readFile(images)).subarray(0, 900));
  await train("cut", /train-images-idx3-ubyte/, /1568 bytes/);
  const labels = join(dir, await mnist("magic"), "t10k-labels-idx1-ubyte");
  await writeFile(labels, idx([1, 2], Uint8Array.of(1, 2)));
  await train("magic", /t10k-labels-idx1-ubyte/, /magic 2049/);
  await mnist("few");
  await refused(["train", "--data", "few", "--validation-samples", "2"], /--validation-samples/, /2 training images/);
  const tooMany = ["train", "--data", "few", "--validation-samples", "0", "--train-samples", "3"];
  await refused(tooMany, /--train-samples/, /at most 2/);
});

test("an output folder that is a file or has files is refused and left as it was", async () => {
  await writeFile(join(dir, "file"), "mine");
  await refused(["train", "--out", "file"], /--out/, /is a file/);
  await mkdir(join(dir, "used"));
  await writeFile(join(dir, "used", "metrics.jsonl"), "old");
  await refused(["train", "--out", "used"], /--out/, /has files/);
  // With --overwrite too, wrong input comes first.
  await refused(["train", "--out", "used", "--overwrite", "--connectome", "missing.npz"], /no such file/);
  assert.is(await readFile(join(dir, "used", "metrics.jsonl"), "utf8"), "old");
});

test("with --json the error is a line on stdout too, with its code", async () => {
  const { code, stdout, stderr } = await axograd(["train", "--json", "--lr", "-1"], { cwd: dir });
  assert.is(code, 2);
  const [line, ...rest] = jsonLines(stdout);
  assert.equal(rest, []);
  assert.equal([line?.event, line?.code], ["error", "argument"]);
  assert.is(stderr, `axograd: ${line?.message}\n`);
});

test("help and version are no errors, and the examples are in the help", async () => {
  const version = await axograd(["--version"]);
  assert.is(version.code, 0);
  assert.match(version.stdout, /^\d+\.\d+\.\d+\n$/);
  const help = await axograd(["train", "--help"]);
  assert.is(help.code, 0);
  for (const text of ["--connectome", "--preset", "Examples:", "Exit codes:"]) assert.ok(help.stdout.includes(text));
  assert.is((await axograd([])).code, 2);
  const unknown = await axograd(["help", "trin"]);
  assert.is(unknown.code, 2);
  assert.match(
    unknown.stderr,
    /\naxograd: expected a command, got 'trin' \(Did you mean train\?\); try npx axograd --help\n$/,
  );
});

test.run();
