import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { suite } from "uvu";
import * as assert from "uvu/assert";
import { register } from "../../src/cli/convert.ts";
import { readConnectome } from "../../src/io/connectome.ts";
import { readLabels } from "../../src/io/labels.ts";
import { fails, tempDir, testWithData } from "../io/fixtures.ts";
import { runCommand } from "./command.ts";

const test = suite("convert");
const dir = tempDir();
const edges = join(dir, "edges.csv");
const at = (name: string): string => join(dir, name);
const convert = (...args: readonly string[]): Promise<string> => runCommand(register, "convert", ...args);

test("a matrix goes through all formats and comes back unchanged", async () => {
  await writeFile(edges, "pre,post,weight\n0,1,0.5\n2,0,-3\n0,1,0.25\n");
  const text = await convert(edges, at("a.npz"));
  assert.match(text, /a\.npz: 3 × 3, 2 connections, f64, 1 repeated entries summed/);
  await convert(at("a.npz"), at("a.mtx"));
  await convert(at("a.mtx"), at("a.safetensors"));
  await convert(at("a.safetensors"), at("a.tsv"));
  assert.equal(await readConnectome(at("a.tsv")), { ...(await readConnectome(edges)), duplicatesSummed: 0 });
});

test("options choose columns, signs, precision and size", async () => {
  await writeFile(at("named.csv"), "a;from;to\n-2;1;0\n");
  const options = ["--delimiter", ";", "--pre", "from", "--post", "to", "--weight", "a", "--neurons", "5"];
  const report = await convert(at("named.csv"), at("b.npz"), ...options, "--abs", "--dtype", "f32", "--json");
  assert.equal(JSON.parse(report), {
    input: at("named.csv"),
    output: at("b.npz"),
    nRows: 5,
    nCols: 5,
    connections: 1,
    duplicatesSummed: 0,
    dtype: "f32",
    labels: null,
    lost: [],
  });
  assert.equal((await readConnectome(at("b.npz"))).values, Float32Array.of(2));
  await convert(edges, at("c.npz"), "--no-weight", "--ids", "label", "--order", "firstSeen");
  assert.equal(Array.from((await readConnectome(at("c.npz"))).values).sort(), [1, 2]);
});

test("labels are kept in a table when that is asked for", async () => {
  await writeFile(at("labelled.csv"), 'pre,post,weight\n"b, 1",a,1\n');
  await convert(at("labelled.csv"), at("d.npz"), "--labels", at("labels.csv"));
  assert.equal((await readLabels(at("labels.csv"), { column: "label" })).labels, ["a", "b, 1"]);
  await fails(() => convert(edges, at("e.npz"), "--labels", at("none.csv")), "argument", /--labels/, /indices/);
  const both = at("both.csv");
  await fails(() => convert(at("labelled.csv"), both, "--labels", both, "--overwrite"), "argument", /another file/);
});

test("existing files are replaced only when that is asked for", async () => {
  await writeFile(at("kept.npz"), "precious");
  await fails(() => convert(edges, at("kept.npz")), "file-exists", /kept\.npz/, /--overwrite/);
  assert.is(await readFile(at("kept.npz"), "utf8"), "precious");
  await convert(edges, at("kept.npz"), "--overwrite");
  assert.is((await readConnectome(at("kept.npz"))).nnz, 2);
});

test("wrong files and options are named", async () => {
  await fails(() => convert(at("absent.csv"), at("f.npz")), "file-missing", /absent\.csv/);
  await fails(() => convert(edges, at("f.h5")), "file-format", /f\.h5/, /\.npz, /);
  await fails(() => convert(edges, at("f.npz"), "--dtype", "f16"), "argument", /--dtype/, /f32, f64/);
  await writeFile(at("large.csv"), "pre,post,weight\n0,0,1e39\n");
  await fails(() => convert(at("large.csv"), at("l.npz"), "--dtype", "f32"), "sparse-format", /large\.csv/, /1e\+39/);
  await fails(() => readConnectome(at("l.npz")), "file-missing");
  await fails(() => convert(edges, join(dir, "no", "folder.mtx")), "file-write", /no such folder/);
  await fails(
    () => convert(edges, join(edges, "a.mtx")),
    "file-write",
    /a path through something that is not a folder/,
  );
  await writeFile(at("wide.mtx"), "%%MatrixMarket matrix coordinate real general\n1 2 1\n1 2 3\n");
  await fails(() => convert(at("wide.mtx"), at("wide.npz")), "file-format", /1 × 2/);
  await convert(at("wide.mtx"), at("wide.npz"), "--rectangular");
});

testWithData(test, ["flyvis/flyvis_e2.pt"], "a PyTorch file becomes a SciPy file of the same matrix", async (file) => {
  await convert(file, at("fly.npz"));
  assert.equal(await readConnectome(at("fly.npz")), await readConnectome(file));
});

test.run();
