// MaleCNS v1.0 as one safetensors file (QuixiAI/MaleCNS): all 88 million segments, and edges by their numbers. Neurons are the segments with a status
// or a superclass; the others are fragments.

import { FileFormatError } from "../../core/errors.ts";
import type { NeuronColumn } from "../../core/selector.ts";
import { quoteText, quoteValue } from "../../core/text.ts";
import { type OpenFile, openFile, readBytes } from "../../io/files.ts";
import { JsonParts } from "../../io/jsonParts.ts";
import { readSafetensorsHeader, type SafetensorsType, type TensorPlace } from "../../io/safetensors.ts";
import { edgesOfIndices } from "../memoryEdges.ts";
import { type Dataset, type FoundFiles, type Layout, type OpenLayoutOptions, SENSORY_TO_MOTOR } from "./layout.ts";

const CONFIG = "the names of classes";
/** Bytes that are read at once. */
const PIECE = 1 << 22;
/** Names that say that there is none. */
const NONE = new Set(["", "none", "null", "nan", "na", "unknown", "unlabelled", "unlabeled", "unannotated"]);

export const malecnsSafetensors: Layout = {
  name: "malecns-safetensors",
  title: "MaleCNS v1.0 as safetensors (QuixiAI/MaleCNS)",
  citation: "FlyEM, HHMI Janelia; packaged by QuixiAI",
  licence: "CC BY 4.0",
  isRecognised: true,
  takes: [],
  files: [
    { role: "edges", name: "model.safetensors", patterns: [/(^|\/)model\.safetensors$/], isNeeded: true },
    { role: "config", name: "config.json", patterns: [/(^|\/)config\.json$/], isNeeded: true },
  ],
  defaultNodes: "superclass=*",
  roles: SENSORY_TO_MOTOR,
  open: openSafetensors,
};

async function openSafetensors(files: FoundFiles, { signal }: OpenLayoutOptions): Promise<Dataset> {
  const configFile = files.get("config")!;
  const config = JsonParts.parse(configFile, new TextDecoder().decode(await readBytes(configFile, CONFIG)), CONFIG);
  const labels = (name: string): readonly string[] => {
    const list = config.all[name];
    if (Array.isArray(list) && list.every((label) => typeof label === "string" || label === null)) {
      return list.map((label: string | null) => label ?? "");
    }
    throw new FileFormatError(configFile, `a list of names in ${name}`, quoteValue(list));
  };
  const source = await openFile(files.get("edges")!, "a safetensors file");
  try {
    const tensors = new Tensors(source, (await readSafetensorsHeader(source, source.file)).places, signal);
    const classes = [
      { name: "status", codes: tensors.vector("neuron_status", "I8"), labels: labels("status_labels") },
      { name: "superclass", codes: tensors.vector("neuron_superclass", "I8"), labels: labels("superclass_labels") },
    ];
    const idPlace = tensors.vector("neuron_id", "I64");
    const segments = lengthOf(idPlace);
    const isNeuron = new Uint8Array(segments);
    for (const { codes, labels: names } of classes) {
      tensors.checkLength(codes, segments);
      const isNone = names.map((name) => NONE.has(name.toLowerCase()));
      await tensors.eachPiece(codes, Int8Array, (piece, start) => {
        for (let k = 0; k < piece.length; k++) {
          const code = checkCode(piece[k]!, names.length, codes, source.file, start + k);
          if (code >= 0 && !isNone[code]) isNeuron[start + k] = 1;
        }
      });
    }
    const count = isNeuron.reduce((sum, is) => sum + is, 0);
    if (count === 0) throw new FileFormatError(source.file, "a segment with a status or a superclass", "none");
    const segmentOf = new BigInt64Array(count);
    for (let i = 0, next = 0; i < segments; i++) if (isNeuron[i]) segmentOf[next++] = BigInt(i);
    const ids = new BigInt64Array(count);
    /** Visits the elements of the neurons, in their order. */
    const gather = async <T extends BigInt64Array | Int8Array>(
      place: TensorPlace,
      type: new (buffer: ArrayBuffer) => T,
      visit: (neuron: number, value: T[number], segment: number) => void,
    ): Promise<void> => {
      let neuron = 0;
      await tensors.eachPiece(place, type, (piece, start) => {
        for (let k = 0; k < piece.length; k++) if (isNeuron[start + k]) visit(neuron++, piece[k]!, start + k);
      });
    };
    await gather(idPlace, BigInt64Array, (neuron, id) => {
      ids[neuron] = id as bigint;
    });
    const columns = new Map<string, NeuronColumn>();
    for (const { name, codes, labels: names } of classes) {
      // "no name" is number 0.
      const valueIdx = new Uint32Array(count);
      await gather(codes, Int8Array, (neuron, code) => {
        valueIdx[neuron] = (code as number) < 0 ? 0 : (code as number) + 1;
      });
      columns.set(name, { values: ["", ...names.map((text) => (NONE.has(text.toLowerCase()) ? "" : text))], valueIdx });
    }
    const ofSegment = new Int32Array(segments).fill(-1);
    segmentOf.forEach((segment, neuron) => {
      ofSegment[Number(segment)] = neuron;
    });
    columns.set("transmitter", await transmitters(tensors, labels("nt_labels"), ofSegment, count));
    const [pre, post] = [tensors.vector("edge_src", "I32"), tensors.vector("edge_dst", "I32")];
    const synapses = tensors.vector("synapse_count", "I32");
    const edgeCount = lengthOf(pre);
    for (const place of [post, synapses]) tensors.checkLength(place, edgeCount);
    const edges = edgesOfIndices({
      file: source.file,
      count: edgeCount,
      // In the order of the published table.
      isSorted: true,
      async fill(start, length, preIds, postIds, weights) {
        const [a, b, w] = [
          await tensors.part(pre, Int32Array, start, length),
          await tensors.part(post, Int32Array, start, length),
          await tensors.part(synapses, Int32Array, start, length),
        ];
        for (let k = 0; k < length; k++) {
          preIds[k] = checkSegment(a[k]!, segments, pre, source.file, start + k);
          postIds[k] = checkSegment(b[k]!, segments, post, source.file, start + k);
          weights[k] = w[k]!;
        }
      },
      placeOf: (row) => `${source.file}: edge ${row}`,
    });
    const notes = [
      `${source.file}: ${segments - count} of ${segments} segments have neither status nor superclass: no neurons`,
    ];
    return {
      ...{
        neurons: { ids, columns },
        decision: null,
        edgeIds: segmentOf,
        edges: [edges],
        signOf: null,
        transmittersOf: null,
        places: null,
      },
      ...{ notes, close: () => source.close() },
    };
  } catch (cause) {
    await source.close();
    throw cause;
  }
}

/** The transmitter of each neuron by the rows of the table of transmitters; "unclear" is none. */
async function transmitters(
  tensors: Tensors,
  names: readonly string[],
  ofSegment: Int32Array,
  count: number,
): Promise<NeuronColumn> {
  const [index, codes] = [tensors.vector("nt_neuron_index", "I32"), tensors.vector("nt_class", "I8")];
  tensors.checkLength(codes, lengthOf(index));
  const valueIdx = new Uint32Array(count);
  const isNone = names.map((name) => name.toLowerCase() === "unclear" || NONE.has(name.toLowerCase()));
  await tensors.eachPiece(index, Int32Array, async (piece, start) => {
    const classes = await tensors.part(codes, Int8Array, start, piece.length);
    for (let k = 0; k < piece.length; k++) {
      const neuron = ofSegment[checkSegment(piece[k]!, ofSegment.length, index, tensors.file, start + k)]!;
      const code = checkCode(classes[k]!, names.length, codes, tensors.file, start + k);
      if (neuron >= 0 && code >= 0 && !isNone[code]) valueIdx[neuron] = code + 1;
    }
  });
  return { values: ["", ...names], valueIdx };
}

type PieceArray = Int8Array | Int32Array | BigInt64Array;
type PieceType<T> = new (buffer: ArrayBuffer) => T;

/** Vectors of the file, piece by piece. */
class Tensors {
  readonly file: string;
  readonly #source: OpenFile;
  readonly #places: readonly TensorPlace[];
  readonly #signal: AbortSignal | undefined;

  constructor(source: OpenFile, places: readonly TensorPlace[], signal: AbortSignal | undefined) {
    this.file = source.file;
    this.#source = source;
    this.#places = places;
    this.#signal = signal;
  }

  vector(name: string, dtype: SafetensorsType): TensorPlace {
    const place = this.#places.find((other) => other.name === name);
    const wanted = `${quoteText(name)}, a vector of ${dtype}`;
    if (!place) {
      const names = this.#places.map((other) => other.name).join(", ");
      throw new FileFormatError(this.file, wanted, `tensors ${names}`);
    }
    if (place.dtype === dtype && place.shape.length === 1) return place;
    throw new FileFormatError(this.file, wanted, `${place.dtype} of shape [${place.shape.join(", ")}]`);
  }

  checkLength(place: TensorPlace, length: number): void {
    if (lengthOf(place) === length) return;
    throw new FileFormatError(this.file, `${quoteText(place.name)} with ${length} elements`, `${lengthOf(place)}`);
  }

  async part<T extends PieceArray>(place: TensorPlace, type: PieceType<T>, start: number, count: number): Promise<T> {
    const bytes = (place.end - place.begin) / Math.max(1, lengthOf(place));
    const begin = place.begin + start * bytes;
    return new type((await this.#source.read(begin, begin + count * bytes)).buffer as ArrayBuffer);
  }

  async eachPiece<T extends PieceArray>(
    place: TensorPlace,
    type: PieceType<T>,
    visit: (piece: T, start: number) => void | Promise<void>,
  ): Promise<void> {
    const length = lengthOf(place);
    for (let start = 0; start < length; start += PIECE) {
      this.#signal?.throwIfAborted();
      await visit(await this.part(place, type, start, Math.min(PIECE, length - start)), start);
    }
  }
}

function lengthOf({ shape }: TensorPlace): number {
  return shape[0]!;
}

function checkCode(code: number, names: number, { name }: TensorPlace, file: string, at: number): number {
  if (code < names && code >= -1) return code;
  throw new FileFormatError(`${file}: element ${at} of ${quoteText(name)}`, `−1 (none) to ${names - 1}`, `${code}`);
}

function checkSegment(index: number, segments: number, { name }: TensorPlace, file: string, at: number): number {
  if (index >= 0 && index < segments) return index;
  throw new FileFormatError(
    `${file}: element ${at} of ${quoteText(name)}`,
    `a segment from 0 to ${segments - 1}`,
    `${index}`,
  );
}
