// What is fuzzed: for each kind of file small valid samples and the reader. Where an archive has checksums, its content is damaged, and
// then packed; damage to the archive itself is a subject of its own.

import { copyFile, mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { gunzipSync, gzipSync } from "node:zlib";
import { parquetWriteBuffer } from "hyparquet-writer";
import { createBackend } from "../../src/backend/select.ts";
import { readConfigFile } from "../../src/cli/configFile.ts";
import { readProtocol } from "../../src/cli/study/protocol.ts";
import { csrFromCoo } from "../../src/core/csr.ts";
import { EngineError } from "../../src/core/errors.ts";
import { readImageSet } from "../../src/data/mnist.ts";
import { openSamples } from "../../src/data/openSamples.ts";
import { importConnectome } from "../../src/import/importConnectome.ts";
import { openArrowFile } from "../../src/io/arrowFile.ts";
import { readLabelledConnectome, writeConnectome } from "../../src/io/connectome.ts";
import { writeConnectomeFile } from "../../src/io/connectomeFile.ts";
import { readIdList } from "../../src/io/idList.ts";
import { readLabels } from "../../src/io/labels.ts";
import { readNeuronTable } from "../../src/io/neuronTable.ts";
import { encodeNpy, encodeNpyString, encodeNpyStrings, readNpy, writeNpy } from "../../src/io/npy.ts";
import type { NumberArray } from "../../src/io/numbers.ts";
import { openParquetTable } from "../../src/io/parquetTableFile.ts";
import { type Provenance, parseProvenance } from "../../src/io/provenance.ts";
import { readSafetensors, writeSafetensors } from "../../src/io/safetensors.ts";
import type { CellForm, TableFile } from "../../src/io/tableFile.ts";
import { openTextTable } from "../../src/io/textTableFile.ts";
import { readTypeEdges } from "../../src/io/typeEdges.ts";
import { writeArrays } from "../../src/io/writeArrays.ts";
import { encodeZip } from "../../src/io/zip.ts";
import { loadCheckpoint, saveCheckpoint } from "../../src/train/checkpoint.ts";
import { idx } from "../data/fixtures.ts";
import { writeMaleCnsSafetensors } from "../import/layouts/derived.ts";
import { writeFlyvis } from "../import/layouts/flyvis.ts";
import { writeCelegans } from "../import/layouts/matrices.ts";
import { syntheticSet } from "../import/layouts/synthetic.ts";
import { ARROW_FILES } from "../io/arrowFixtures.ts";
import { bytesOf, longs, type Pickled, packedZip, pickle, sparseTensor, tensor, torchZip } from "../io/fixtures.ts";
import { tinyTraining } from "../train/fixtures.ts";

export interface FuzzSubject {
  readonly extension: string;
  /** Samples to damage, and what makes a file of one; default the bytes themselves. */
  make(dir: string): Promise<Samples> | Samples;
  read(file: string): Promise<unknown>;
  /** Cases in a run of ordinary length; default `CASES`. */
  readonly cases?: number;
}

/**
 * Cases of a subject in a run of ordinary length: each of the nine kinds of damage about twelve times. As the seed is fixed, every run reads the same
 * files, and searching for new ones is left to AXOGRAD_FUZZ.
 */
export const CASES = 75;

interface Samples {
  readonly samples: readonly Uint8Array[];
  readonly wrap?: (bytes: Uint8Array) => Uint8Array;
}

const text = (content: string): Uint8Array => new TextEncoder().encode(content);

const matrix = csrFromCoo({
  ...{ nRows: 4, nCols: 4, rows: [0, 1, 1, 3], cols: [2, 0, 3, 1] },
  values: Float32Array.of(2, -3, 0.5, 1),
});

const EDGES = "pre,post,weight\n0,1,2\n2,0,-0.5\n3,3,1e-3\n1,2,7\n";
const NAMED = 'pre,post,weight\n"a, b",c,2\nc,"a, b",-0.5\nd,c,1\n';
const MARKET = "%%MatrixMarket matrix coordinate real general\n% made here\n4 4 3\n1 2 0.5\n4 1 -2\n3 3 1e2\n";
const NEURONS =
  "index,cell_type,type_index,u,v,role,sign_class\n0,R1,0,0,0,input,exc\n1,Mi1,1,1,-1,hidden,inh\n2,T4a,2,0,1,output,mixed\n";
const TYPES = "source_type,target_type,sign\nR1,L1,-1\nL1,Mi1,1\n";
const TABLE = ",a,b,c\na,0,2,0\nb,-0.5,0,1\nc,0,0,3\n";
const GRAPH = `<?xml version="1.0"?>
<graphml xmlns="http://graphml.graphdrawing.org/xmlns"><key id="d0" for="edge" attr.name="w" attr.type="double"/>
<graph edgedefault="directed"><node id="a"/><node id="b &amp; c"/>
<edge source="a" target="b &amp; c"><data key="d0">2.5</data></edge>
<edge source="b &amp; c" target="a"><data key="d0">-1</data></edge></graph></graphml>
`;
const CONFIG = "# a run\npreset: demo\nsteps: 20\nlr: 1e-3\nseed: 3\nsolver: euler\ngain: &g 2\n";

const utf16 = (content: string): Uint8Array => new Uint8Array(Buffer.from(content, "utf16le"));
const vector = (data: NumberArray): Uint8Array => encodeNpy({ shape: [data.length], data });

/** Reads any connectome, square or not. */
const connectome = (file: string): Promise<unknown> => readLabelledConnectome(file, { square: false });

const graph = (file: string): Promise<unknown> => readLabelledConnectome(file, { square: false, weight: "w" });

/** A file of the matrix as it is written. */
async function written(dir: string, extension: string): Promise<Samples> {
  const file = join(dir, `whole${extension}`);
  await writeConnectome(file, matrix);
  return { samples: [await readFile(file)] };
}

const PROVENANCE: Provenance = {
  ...{ format: 1, dataset: "Made up", layout: "malecns", axograd: "0.4.0", created: "2026-11-28", citation: "nobody" },
  sources: [{ role: "edges", file: "edges.csv", sha256: "00", bytes: 7 }],
  rules: { signs: null },
  steps: [{ step: "kept", neurons: 4, connections: 4, synapses: null }],
  notes: ["none"],
};

/** A matrix alone, and with its neurons and provenance; without checksums, so that damage reaches the readers. */
async function connectomeFiles(dir: string): Promise<Samples> {
  const file = join(dir, "whole.safetensors");
  const columns = new Map([["side", { values: ["L", "R"], valueIdx: Uint32Array.of(0, 1, 1, 0) }]]);
  const places = { x: Float64Array.of(0, 1, 0.5, Number.NaN), y: new Float64Array(4) };
  const types = { types: ["R1", "Mi1"], typeIdx: Uint32Array.of(0, 1, 1, 0) };
  const roles = ["input", "hidden", "hidden", "output"] as const;
  const table = { count: 4, ...types, role: roles, sign: Int8Array.of(1, -1, 0, 1), ...places, columns };
  const samples: Uint8Array[] = [];
  for (const parts of [
    {},
    { labels: ["7", "8", "9", "10"], table, provenance: PROVENANCE },
    { labels: ["a", "b", "c", "d"] },
  ]) {
    await writeConnectomeFile(file, matrix, parts);
    const { tensors, metadata } = await readSafetensors(file);
    await writeSafetensors(file, tensors, metadata);
    samples.push(await readFile(file));
  }
  return { samples };
}

/** What stands behind the header of the file that has all parts, in its length. */
async function connectomeContents(dir: string): Promise<Samples> {
  const whole = (await connectomeFiles(dir)).samples[1]!;
  const begin = 8 + Number(new DataView(whole.buffer, whole.byteOffset).getBigUint64(0, true));
  const wrap = (bytes: Uint8Array): Uint8Array => {
    const file = new Uint8Array(whole.length);
    file.set(whole.subarray(0, begin));
    file.set(bytes.subarray(0, whole.length - begin), begin);
    return file;
  };
  return { samples: [whole.subarray(begin)], wrap };
}

/** A matrix of SciPy's in one format, of which one array is the sample. */
function npzOf(format: string, arrays: Readonly<Record<string, Uint8Array>>, damaged: string): FuzzSubject {
  const wrap = (bytes: Uint8Array): Uint8Array =>
    encodeZip([
      { name: "format.npy", bytes: encodeNpyString(format) },
      ...Object.entries(arrays).map(([name, whole]) => ({
        name: `${name}.npy`,
        bytes: name === damaged ? bytes : whole,
      })),
    ]);
  return { extension: ".npz", make: () => ({ samples: [arrays[damaged]!], wrap }), read: connectome, cases: 50 };
}

const COO = {
  shape: vector(Int32Array.of(3, 3)),
  row: vector(Int32Array.of(0, 2)),
  col: vector(Int32Array.of(1, 0)),
  data: vector(Float64Array.of(0.5, 2)),
};
const CSR = {
  shape: vector(Int32Array.of(3, 3)),
  indptr: vector(Int32Array.of(0, 1, 1, 2)),
  indices: vector(Int32Array.of(1, 0)),
  data: vector(Float64Array.of(0.5, 2)),
};
const BSR = {
  ...{
    shape: vector(Int32Array.of(4, 4)),
    indptr: vector(Int32Array.of(0, 1, 2)),
    indices: vector(Int32Array.of(1, 0)),
  },
  data: encodeNpy({ shape: [2, 2, 2], data: Float32Array.of(1, 0, 2, 3, 4, 0, 0, 5) }),
};
const DIA = {
  ...{ shape: vector(Int32Array.of(3, 3)), offsets: vector(Int32Array.of(0, -1)) },
  data: encodeNpy({ shape: [2, 3], data: Float32Array.of(1, 2, 3, 4, 5, 0) }),
};

const PICKLES: readonly Pickled[] = [
  sparseTensor("torch.sparse_coo", [tensor("LongStorage", "0", [2, 3]), tensor("FloatStorage", "1", [3])], [3, 3]),
  sparseTensor(
    "torch.sparse_csr",
    [tensor("LongStorage", "2", [4]), tensor("LongStorage", "3", [3]), tensor("FloatStorage", "1", [3])],
    [3, 3],
  ),
  { dict: [["w", tensor("DoubleStorage", "4", [2, 2])]] },
];
const STORAGES = {
  "0": longs(0, 1, 2, 1, 0, 2),
  "1": bytesOf(Float32Array.of(1, 2, -3)),
  "2": longs(0, 1, 2, 3),
  "3": longs(1, 0, 2),
  "4": bytesOf(Float64Array.of(0, 1, 2, 3)),
};

function parquet(codec: "SNAPPY" | "UNCOMPRESSED"): Uint8Array {
  const n = 40;
  const columnData = [
    { name: "pre", type: "INT64" as const, data: BigInt64Array.from({ length: n }, (_, k) => BigInt(k % 7)) },
    { name: "post", type: "INT32" as const, data: Int32Array.from({ length: n }, (_, k) => (k * 3) % 11) },
    { name: "weight", type: "DOUBLE" as const, data: Float64Array.from({ length: n }, (_, k) => k / 4) },
  ];
  return new Uint8Array(parquetWriteBuffer({ columnData, codec, rowGroupSize: 25 }));
}

async function checkpoint(dir: string): Promise<Samples> {
  const backend = await createBackend({ device: "wasm", threads: 1 });
  const tiny = tinyTraining(backend);
  const file = join(dir, "whole.safetensors");
  await saveCheckpoint(file, tiny, { position: tiny.trainer.position, seed: 3, config: { name: "tiny" } });
  tiny.dispose();
  await backend.dispose();
  return { samples: [await readFile(file)] };
}

/** Labels beside the images that are damaged, or images beside damaged labels. */
function images(damaged: "images" | "labels", packed: boolean): FuzzSubject {
  const files = { images: idx([3, 2, 2], new Uint8Array(12).fill(7)), labels: idx([3], Uint8Array.of(1, 9, 0)) };
  const wrap = packed ? (bytes: Uint8Array): Uint8Array => gzipSync(bytes) : (bytes: Uint8Array): Uint8Array => bytes;
  return {
    extension: ".idx",
    make: () => ({ samples: [files[damaged]], wrap }),
    async read(file) {
      const other = `${file}.other`;
      await writeFile(other, files[damaged === "images" ? "labels" : "images"]);
      return damaged === "images" ? readImageSet(file, other) : readImageSet(other, file);
    },
  };
}

const gz = (bytes: Uint8Array): Uint8Array => gzipSync(bytes);
const only =
  (...samples: Uint8Array[]) =>
  (): Samples => ({ samples });
const packed =
  (...samples: Uint8Array[]) =>
  (): Samples => ({ samples, wrap: gz });

/** A protocol of `axograd controls`. */
const PROTOCOL = {
  ...{
    axograd: "0.5.0",
    code: "a1",
    created: "2026-01-01T00:00:00Z",
    better: "higher",
    settings: { lr: 0.1, steps: 3 },
  },
  design: {
    ...{ question: "so?", seeds: [0, 1, 2], metric: "accuracy", split: "test", alpha: 0.05, smallestEffect: null },
    ...{ controls: [{ name: "none", options: { wiring: "none", trainConnectome: false } }], allowMissing: false },
  },
  inputs: [{ role: "connectome", file: "a.npz", sha256: "c2", bytes: 3 }],
};

/** All kinds of files that are read. */
export const FUZZ_SUBJECTS: Readonly<Record<string, FuzzSubject>> = {
  protocol: {
    extension: ".json",
    make: only(text(JSON.stringify(PROTOCOL))),
    read: readProtocol,
  },
  npy: {
    extension: ".npy",
    make: only(
      encodeNpy({ shape: [2, 2], data: Float64Array.of(0, 1, 2, 3) }),
      encodeNpy({ shape: [3], data: Int16Array.of(1, 2, 3) }),
    ),
    read: readNpy,
  },
  "npy matrix": {
    extension: ".npy",
    make: only(encodeNpy({ shape: [2, 2], data: Float64Array.of(0, 1, 2, 3) })),
    read: connectome,
  },
  npz: { extension: ".npz", make: (dir) => written(dir, ".npz"), read: connectome },
  "npz, packed": {
    extension: ".npz",
    make: only(packedZip("w.npy", encodeNpy({ shape: [5, 5], data: new Float64Array(25) }))),
    read: connectome,
  },
  "npz coo shape": npzOf("coo", COO, "shape"),
  "npz coo row": npzOf("coo", COO, "row"),
  "npz csr indptr": npzOf("csr", CSR, "indptr"),
  "npz csc indices": npzOf("csc", CSR, "indices"),
  "npz csr data": npzOf("csr", CSR, "data"),
  "npz bsr data": npzOf("bsr", BSR, "data"),
  "npz bsr indptr": npzOf("bsr", BSR, "indptr"),
  "npz dia offsets": npzOf("dia", DIA, "offsets"),
  "npz dense": {
    extension: ".npz",
    make: () => ({
      samples: [encodeNpy({ shape: [2, 2], data: Float32Array.of(0, 1, 2, 3) })],
      wrap: (bytes) => encodeZip([{ name: "w.npy", bytes }]),
    }),
    read: connectome,
    cases: 50,
  },
  pt: { extension: ".pt", make: only(...PICKLES.map((value) => torchZip(pickle(value), STORAGES))), read: connectome },
  "pt pickle": {
    extension: ".pt",
    make: () => ({ samples: PICKLES.map(pickle), wrap: (bytes) => torchZip(bytes, STORAGES) }),
    read: connectome,
    cases: 250,
  },
  "pt.gz": { extension: ".pt.gz", make: packed(torchZip(pickle(PICKLES[0]!), STORAGES)), read: connectome },
  safetensors: { extension: ".safetensors", make: connectomeFiles, read: connectome },
  "safetensors, contents": { extension: ".safetensors", make: connectomeContents, read: connectome },
  provenance: {
    extension: ".json",
    make: only(text(JSON.stringify(PROVENANCE))),
    read: async (file) => parseProvenance(file, await readFile(file, "utf8")),
  },
  "matrix market": { extension: ".mtx", make: only(text(MARKET)), read: connectome },
  "matrix market, packed": { extension: ".mtx.gz", make: packed(text(MARKET)), read: connectome },
  csv: { extension: ".csv", make: only(text(EDGES), text(NAMED)), read: connectome },
  tsv: { extension: ".tsv", make: only(text(EDGES.replaceAll(",", "\t"))), read: connectome },
  "csv.gz": { extension: ".csv.gz", make: packed(text(EDGES)), read: connectome },
  "csv of UTF-16": { extension: ".csv", make: only(utf16(`\ufeff${EDGES}`)), read: connectome },
  "csv, semicolons": { extension: ".csv", make: only(text(EDGES.replaceAll(",", ";"))), read: connectome },
  "matrix with names": {
    extension: ".csv",
    make: only(text(TABLE)),
    read: (file) => readLabelledConnectome(file, { square: false, rows: "pre" }),
  },
  graphml: { extension: ".graphml", make: only(text(GRAPH)), read: graph },
  "graphml, packed": { extension: ".graphml.gz", make: packed(text(GRAPH)), read: graph },
  gzip: { extension: ".csv.gz", make: only(gz(text(EDGES))), read: connectome },
  parquet: {
    extension: ".parquet",
    make: () => ({ samples: [parquet("SNAPPY"), parquet("UNCOMPRESSED")] }),
    read: connectome,
    cases: 12,
  },
  "arrow file": arrow(["stored", "grownFile"]),
  "arrow file, LZ4": arrow(["lz4", "someEmpty"]),
  "arrow file, Zstandard": arrow(["zstd"]),
  "arrow stream": arrow(["lz4Stream", "replaced", "grown"]),
  "text table": {
    extension: ".csv",
    make: only(
      text('id,"n, 1",t\n720575940629970487,0.5,ACH\n7.0,,"a ""b"""\nL1,1e-3,ACH\n'),
      text("id,n,t\n1,2,a\n2,,\n"),
    ),
    read: async (file) => firstColumns(await openTextTable(file), ["id", "number", "text"]),
  },
  "parquet table": {
    extension: ".parquet",
    make: () => ({ samples: [parquet("SNAPPY"), parquet("UNCOMPRESSED")] }),
    read: async (file) => firstColumns(await openParquetTable(file), ["id", "id", "number"]),
    cases: 4,
  },
  "labels csv": {
    extension: ".csv",
    make: only(text('index,label\n0,R1\n1,"L, 2"\n2,R1\n')),
    read: (file) => readLabels(file, { column: "label" }),
  },
  "labels npy": { extension: ".npy", make: only(vector(Int32Array.of(3, 1, 3)), npyOfTexts()), read: labels },
  "neuron table": { extension: ".csv", make: only(text(NEURONS)), read: readNeuronTable },
  "list of ids": {
    extension: ".txt",
    make: only(text("720575\n720576\nL1\n")),
    read: async (file) => readIdList(file),
  },
  "type edges": { extension: ".csv", make: only(text(TYPES)), read: readTypeEdges },
  images: images("images", false),
  "images, packed": images("images", true),
  "labels of images": images("labels", false),
  "samples npz": samples("npz"),
  "samples npz split": samples("split"),
  "samples npy": samples("npy"),
  "samples safetensors": samples("safetensors"),
  "flyvis layout": {
    extension: ".json",
    make: async (dir) => ({ samples: [await readFile(await writeFlyvis(dir))] }),
    read: (file) => importConnectome([], { layout: "flyvis", edges: file, extent: 2 }),
  },
  "matrix layout": {
    extension: ".csv",
    make: async (dir) => ({ samples: [await readFile(await writeCelegans(dir, syntheticSet({ ids: "names" })))] }),
    read: (file) => importConnectome([], { layout: "celegans", edges: file }),
  },
  "neurons of a layout": {
    extension: ".csv",
    make: only(text("bodyId,type,somaSide,n\n7,A,L,1\n9,,R,\n8,B,,2.5\n7,A,L,1\n")),
    async read(file) {
      const edges = `${file}.edges.csv`;
      await writeFile(edges, "bodyId_pre,bodyId_post,weight\n7,9,3\n9,8,1\n");
      return importConnectome([], { layout: "manc", edges, neurons: file });
    },
  },
  "safetensors layout": {
    cases: 60,
    extension: ".safetensors",
    async make(dir) {
      const { model } = await writeMaleCnsSafetensors(dir, syntheticSet({ ids: "malecns" }));
      return { samples: [await readFile(model)] };
    },
    async read(file) {
      const folder = `${file}.folder`;
      await mkdir(folder, { recursive: true });
      await writeMaleCnsSafetensors(folder, syntheticSet({ ids: "malecns" }));
      await copyFile(file, join(folder, "model.safetensors"));
      return importConnectome([folder]);
    },
  },
  checkpoint: { extension: ".safetensors", make: checkpoint, read: loadCheckpoint },
  configuration: { extension: ".yaml", make: only(text(CONFIG)), read: readConfigFile },
};

/** Arrow files whose columns are all read, in every form. Half of the damage hits the content, which has no checksum: it is read. */
function arrow(names: readonly (keyof typeof ARROW_FILES)[]): FuzzSubject {
  return {
    extension: ".feather",
    cases: 60,
    make: () => ({
      samples: names.map((name) => new Uint8Array(gunzipSync(Buffer.from(ARROW_FILES[name], "base64")))),
    }),
    async read(file) {
      const table = await openArrowFile(file);
      try {
        let failure: unknown = null;
        for (const { name } of table.columns) {
          for (const as of ["id", "number", "text"] as const) {
            await table
              .read([{ name, as }], () => true)
              .catch((error: unknown) => {
                if (!(error instanceof EngineError)) throw error;
                if (!/cannot be read as|ids|2\^|id of a neuron/.test(error.message)) failure = error;
              });
          }
        }
        if (failure !== null) throw failure;
      } finally {
        await table.close();
      }
    },
  };
}

/** Two texts of two characters each. */
function npyOfTexts(): Uint8Array {
  const four = Buffer.from(encodeNpyString("L1R1")).toString("latin1");
  return Buffer.from(four.replace("'|S4'", "'|S2'").replace("(), }  ", "(2,), }"), "latin1");
}

/** Reads the first columns in these forms. */
async function firstColumns(table: TableFile, forms: readonly CellForm[]): Promise<void> {
  try {
    const wanted = forms.map((as, i) => ({ name: table.columns[i]?.name ?? "none", as }));
    await table.read(wanted, () => true);
  } finally {
    await table.close();
  }
}

function labels(file: string): Promise<unknown> {
  return readLabels(file);
}

/** Samples of two parts, read in blocks and in memory. Damaged are a file, one file of a folder, or the split in a .npz file. */
function samples(damaged: "npz" | "npy" | "safetensors" | "split"): FuzzSubject {
  const numeric = {
    inputs: { shape: [3, 2], data: Float32Array.of(0, 1, 2, 3, 4, 5) },
    targets: { shape: [3, 2], data: Int32Array.of(0, 1, 1, 0, 1, 1) },
    mask: { shape: [3, 2], data: Uint8Array.of(1, 0, 1, 1, 0, 1) },
    times: { shape: [2], data: Float64Array.of(0.5, 1) },
  };
  const split = ["train", "test", "train"];
  const read = async (path: string): Promise<unknown> => {
    const blocks = await openSamples(path, { memoryBytes: 0 });
    const first = await blocks.train.read([0], null);
    await blocks.release();
    return [first, await openSamples(path)];
  };
  if (damaged === "split") {
    const whole = Object.entries(numeric).map(([name, array]) => ({ name: `${name}.npy`, bytes: encodeNpy(array) }));
    const wrap = (bytes: Uint8Array): Uint8Array => encodeZip([...whole, { name: "split.npy", bytes }]);
    return { extension: ".npz", make: () => ({ samples: [encodeNpyStrings(split)], wrap }), read };
  }
  if (damaged === "npy") {
    return {
      extension: ".npy",
      make: only(encodeNpy(numeric.inputs)),
      async read(path) {
        const folder = `${path}.folder`;
        await mkdir(folder, { recursive: true });
        await writeNpy(join(folder, "targets.npy"), numeric.targets);
        await copyFile(path, join(folder, "inputs.npy"));
        return read(folder);
      },
    };
  }
  return {
    extension: `.${damaged}`,
    async make(dir) {
      const path = join(dir, `whole.${damaged}`);
      await writeArrays(path, damaged === "npz" ? { ...numeric, split } : numeric);
      return { samples: [await readFile(path)] };
    },
    read,
  };
}

/** Readers with faults, which must be found. */
export const PLANTED: Readonly<Record<string, FuzzSubject>> = {
  throws: planted(() => {
    throw new RangeError("planted");
  }),
  hangs: planted(() => {
    for (;;);
  }),
  aborts: planted(() => process.abort()),
  swells: planted(() => new Uint8Array(300 * 2 ** 20).fill(1)),
};

/** A reader that does something bad with a file that was damaged. */
function planted(fault: () => unknown): FuzzSubject {
  return {
    extension: ".txt",
    make: only(text("whole")),
    async read(file) {
      if ((await readFile(file, "utf8")) !== "whole") fault();
    },
  };
}
