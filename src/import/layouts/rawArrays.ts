// Raw typed arrays with a manifest: MaleCNS with all neurons (166k), or with those of the central brain (49k). Weights are signed.

import { createHash } from "node:crypto";
import { dirname, join } from "node:path";
import { FileFormatError } from "../../core/errors.ts";
import { isObject } from "../../core/plainObject.ts";
import type { NeuronColumn } from "../../core/selector.ts";
import { quoteText, quoteValue } from "../../core/text.ts";
import { readBytes } from "../../io/files.ts";
import { JsonParts } from "../../io/jsonParts.ts";
import { edgesOfIndices, positions } from "../memoryEdges.ts";
import { NeuronSigns } from "../neuronSigns.ts";
import type { Dataset, FoundFiles, Layout } from "./layout.ts";

/** The magnitude of a weight per synapse. */
const PER_SYNAPSE = 0.275;
const MANIFEST = "a manifest of typed arrays";

const array = (role: string, path: string, isNeeded = true) => ({
  ...{ role, name: path, isNeeded },
  patterns: [new RegExp(`(^|/)${path.replaceAll(".", "\\.")}$`)],
});

export const rawArrays: Layout = {
  name: "raw-arrays",
  title: "MaleCNS v1.0 as typed arrays (fly-connectome-malecns-166k, -49k)",
  citation: "FlyEM, HHMI Janelia; packaged by fernandofernandes (fly-wordbrain)",
  licence: "CC BY 4.0",
  isRecognised: true,
  takes: [],
  files: [
    { role: "manifest", name: "manifest.json", patterns: [/(^|\/)manifest\.json$/], isNeeded: true },
    array("edges", "graph/edges_offsets.i32"),
    {
      role: "sources",
      name: "graph/edges_source.i32",
      patterns: [/(^|\/)graph\/edges_source\.(i32|u16)$/],
      isNeeded: true,
    },
    array("weights", "graph/edges_weight.f32"),
    array("neurons", "neurons/body_id.i64"),
    array("superclasses", "neurons/superclass_index.i32", false),
    array("superclass names", "neurons/superclass_labels.json", false),
    array("types", "neurons/cell_type_index.i32", false),
    array("type names", "neurons/cell_type_labels.json", false),
    ...["retina", "lamina", "descending", "sugar"].map((name) =>
      array(`population ${name}`, `populations/${name}.i32`, false),
    ),
  ],
  defaultNodes: null,
  roles: { column: "superclass", input: /sensory/i, output: /motor|descending/i },
  open: openRawArrays,
};

async function openRawArrays(files: FoundFiles): Promise<Dataset> {
  const manifest = await readManifest(files.get("manifest")!);
  const bytes = async (role: string): Promise<Uint8Array> => {
    const file = files.get(role)!;
    const content = await readBytes(file, "a typed array");
    manifest.check(file, content);
    return content;
  };
  const ids = new BigInt64Array(aligned(await bytes("neurons"), 8, files.get("neurons")!));
  const count = ids.length;
  const offsetsFile = files.get("edges")!;
  const offsets = new Int32Array(aligned(await bytes("edges"), 4, offsetsFile));
  const sourceFile = files.get("sources")!;
  const isNarrow = sourceFile.endsWith(".u16");
  const sourceBytes = aligned(await bytes("sources"), isNarrow ? 2 : 4, sourceFile);
  const sources = isNarrow ? new Uint16Array(sourceBytes) : new Int32Array(sourceBytes);
  const weightFile = files.get("weights")!;
  const weights = new Float32Array(aligned(await bytes("weights"), 4, weightFile));
  const nnz = checkOffsets(offsets, count, offsetsFile);
  for (const [file, { length }] of [
    [sourceFile, sources],
    [weightFile, weights],
  ] as const) {
    if (length !== nnz) throw new FileFormatError(file, `${nnz} edges, as ${offsetsFile} has`, `${length}`);
  }
  const signs = new NeuronSigns(count, (row) => `${weightFile}: element ${row}`);
  let areCounts = true;
  for (let k = 0; k < nnz; k++) {
    const source = sources[k]!;
    if (!(source >= 0 && source < count)) {
      throw new FileFormatError(`${sourceFile}: element ${k}`, `a neuron from 0 to ${count - 1}`, `${source}`);
    }
    signs.set(source, weights[k]!, k);
    const synapses = Math.round(Math.abs(weights[k]!) / PER_SYNAPSE);
    if (Math.fround(PER_SYNAPSE * synapses) !== Math.abs(weights[k]!)) areCounts = false;
  }
  const edges = edgesOfIndices({
    file: offsetsFile,
    count: nnz,
    fill(start, length, pre, post, out) {
      let row = rowOf(offsets, start);
      for (let k = 0; k < length; k++) {
        while (offsets[row + 1]! <= start + k) row++;
        const weight = Math.abs(weights[start + k]!);
        pre[k] = sources[start + k]!;
        post[k] = row;
        out[k] = areCounts ? Math.round(weight / PER_SYNAPSE) : weight;
      }
    },
    placeOf: (row) => `${weightFile}: element ${row}`,
  });
  const columns = new Map<string, NeuronColumn>();
  for (const [name, role] of [
    ["superclass", "superclasses"],
    ["type", "types"],
  ] as const) {
    const [indices, labels] = [files.get(role), files.get(`${name} names`)];
    if (indices === undefined || labels === undefined) continue;
    const numbers = new Int32Array(aligned(await bytes(role), 4, indices));
    columns.set(name, labelled(numbers, labelsOf(await bytes(`${name} names`), labels), count, indices));
  }
  for (const [role, file] of files) {
    if (!role.startsWith("population ")) continue;
    columns.set(
      role.slice("population ".length),
      membership(new Int32Array(aligned(await bytes(role), 4, file)), count, file),
    );
  }
  const notes = [
    manifest.note,
    areCounts
      ? `weights are ${PER_SYNAPSE} per synapse: divided by it`
      : `weights are no multiples of ${PER_SYNAPSE}: taken as they are, not as counts of synapses`,
  ];
  return {
    ...{
      neurons: { ids, columns },
      decision: null,
      edgeIds: positions(count),
      edges: [edges],
      signOf: async () => signs.signOf,
    },
    ...{ transmittersOf: null, places: null, notes, close: async () => {} },
  };
}

/** Hashes of the files of a data set. */
interface Manifest {
  /** @throws {FileFormatError} "file-damaged": another hash; a file that the manifest does not name */
  check(file: string, content: Uint8Array): void;
  readonly note: string;
}

async function readManifest(file: string): Promise<Manifest> {
  const text = new TextDecoder().decode(await readBytes(file, MANIFEST));
  const entries = JsonParts.parse(file, text, MANIFEST).object("files").all;
  const hashes = new Map<string, string>();
  for (const [name, entry] of Object.entries(entries)) {
    const sha256 = isObject(entry) ? entry.sha256 : undefined;
    const path = isObject(entry) ? (entry.file ?? entry.path ?? name) : name;
    if (typeof sha256 !== "string" || typeof path !== "string") {
      throw new FileFormatError(file, `a path and a SHA-256 in files.${name}`, quoteValue(entry));
    }
    hashes.set(join(dirname(file), path), sha256.toLowerCase());
  }
  return {
    note: "SHA-256 of all files read are those of the manifest",
    check(path, content) {
      const expected = hashes.get(join(path));
      if (expected === undefined) throw new FileFormatError(file, `the SHA-256 of ${path}`, "none");
      const got = createHash("sha256").update(content).digest("hex");
      if (got !== expected) {
        throw new FileFormatError(path, `the SHA-256 of the manifest, ${expected}`, got, "file-damaged");
      }
    },
  };
}

/** Memory that typed arrays can view. */
function aligned(bytes: Uint8Array, size: number, file: string): ArrayBuffer {
  if (bytes.length % size !== 0) {
    throw new FileFormatError(file, `a multiple of ${size} bytes`, `${bytes.length}`, "file-truncated");
  }
  const isWhole = bytes.byteOffset === 0 && bytes.byteLength === bytes.buffer.byteLength;
  return (isWhole ? bytes.buffer : bytes.slice().buffer) as ArrayBuffer;
}

function checkOffsets(offsets: Int32Array, count: number, file: string): number {
  if (offsets.length !== count + 1) {
    throw new FileFormatError(file, `${count + 1} offsets for ${count} neurons`, `${offsets.length}`);
  }
  let last = 0;
  for (let i = 0; i < offsets.length; i++) {
    const offset = offsets[i]!;
    if (offset < last || (i === 0 && offset !== 0)) {
      throw new FileFormatError(`${file}: element ${i}`, "offsets that ascend from 0", `${offset}`);
    }
    last = offset;
  }
  return last;
}

/** The row of an entry: the last one that begins at it or before. */
function rowOf(offsets: Int32Array, entry: number): number {
  let [low, high] = [0, offsets.length - 1];
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (offsets[middle]! <= entry) low = middle;
    else high = middle;
  }
  return low;
}

function labelsOf(bytes: Uint8Array, file: string): readonly string[] {
  let labels: unknown;
  try {
    labels = JSON.parse(new TextDecoder().decode(bytes));
  } catch {}
  if (Array.isArray(labels) && labels.every((label) => typeof label === "string")) return labels;
  throw new FileFormatError(file, "a list of names, as JSON", "something else");
}

/** A column of names by number. */
function labelled(numbers: Int32Array, values: readonly string[], count: number, file: string): NeuronColumn {
  if (numbers.length !== count)
    throw new FileFormatError(file, `a number for each of ${count} neurons`, `${numbers.length}`);
  const bad = numbers.findIndex((number) => !(number >= 0 && number < values.length));
  if (bad >= 0) {
    const expected = `the number of a name, from 0 to ${values.length - 1}`;
    throw new FileFormatError(`${file}: element ${bad}`, expected, `${numbers[bad]}`);
  }
  return { values, valueIdx: Uint32Array.from(numbers) };
}

/** A column with "yes" for the neurons of a list. */
function membership(members: Int32Array, count: number, file: string): NeuronColumn {
  const valueIdx = new Uint32Array(count);
  members.forEach((neuron, k) => {
    if (!(neuron >= 0 && neuron < count)) {
      throw new FileFormatError(`${file}: element ${k}`, `a neuron from 0 to ${count - 1}`, quoteText(`${neuron}`));
    }
    valueIdx[neuron] = 1;
  });
  return { values: ["", "yes"], valueIdx };
}
