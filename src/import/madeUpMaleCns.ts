// A made-up data set in the layout of MaleCNS v1.0, of any size up to a whole fly: to try an import, a training or a machine without the real
// files. Sizes, proportions and tails are those published; which neuron connects to which is random.

import { join } from "node:path";
import { ArgumentError } from "../core/errors.ts";
import { deriveKey, type Key, keyOfSeed, RandomStream, uniformAt } from "../core/random.ts";
import { logNormalConnectome } from "../data/logNormalConnectome.ts";
import { type ArrowColumn, writeArrowFile } from "../io/arrowWriter.ts";
import { makeFolder, replaceFile } from "../io/durable.ts";
import type { Cells, ReadProgress } from "../io/tableFile.ts";

/** Neurons, connections between them, and types, as published. */
export const MALE_CNS_SIZE = { neurons: 166_700, connections: 25_582_938, types: 11_751 } as const;

/** Neurons by superclass, as published. */
const SUPERCLASSES: readonly (readonly [name: string, neurons: number])[] = [
  ["ol_intrinsic", 89_403],
  ["cb_intrinsic", 32_164],
  ["vnc_intrinsic", 13_161],
  ["visual_projection", 9_201],
  ["vnc_sensory", 6_370],
  ["ol_sensory", 6_098],
  ["cb_sensory", 4_868],
  ["ascending", 1_846],
  ["descending", 1_314],
  ["vnc_motor", 708],
  ["visual_centrifugal", 563],
  ["sensory_ascending", 537],
  ["cb_motor", 107],
];
/** Neurons by transmitter, about as published. Those of the eye have histamine. */
const TRANSMITTERS: readonly (readonly [name: string, neurons: number])[] = [
  ["acetylcholine", 103_718],
  ["glutamate", 29_296],
  ["gaba", 22_055],
  ["unclear", 3_100],
  ["dopamine", 392],
  ["octopamine", 101],
  ["serotonin", 48],
];
const EYE = "ol_sensory";
const STATUSES = ["Traced", "Orphan", "Glia", "Unimportant"];
/** Traced bodies among those with a superclass. */
const TRACED = 165_122 / 166_700;

/**
 * Share of connections with at least w synapses: (1 + (w − 1)/s)^−a · exp(−(w − 1)/c). It gives 59 %, 41 %, 24 % and 10 % at 2, 3, 5 and 10
 * (published: 60, 41, 24, 11), and 4.9 synapses per connection (published: 4.85).
 */
const TAIL = { s: 2.148, a: 1.35, c: 150 } as const;
/** The same between a neuron and a fragment: p^(w − 1). Published: 10 % of the rows have 3 or more. */
const FRAGMENT_TAIL = 0.32;

/** First ids of neurons and of fragments; the largest id of a fragment. */
const FIRST_NEURON_ID = 10_001;
const FIRST_FRAGMENT_ID = 100_000_001;
const LAST_FRAGMENT_ID = 1_571_863_634;
const MOST_ID_STEP = 9;
/** Annotated fragments per neuron. */
const ANNOTATED_FRAGMENTS = 0.27;
const ROWS_PER_BATCH = 1 << 16;
/** The words that say what the set is, in its files and beside them. */
const NOTE = "made up by axograd generate: random numbers in the layout of MaleCNS v1.0, no data of an animal";

export const MALE_CNS_FILES = {
  weights: "connectome-weights-male-cns-v1.0-minconf-0.5.feather",
  annotations: "body-annotations-male-cns-v1.0-minconf-0.5.feather",
  transmitters: "body-neurotransmitters-male-cns-v1.0.feather",
  note: "MADE-UP.txt",
} as const;

export interface MadeUpOptions {
  /** With a superclass, 100 to 166,700. Default 16,670. */
  readonly neurons?: number;
  /** Between neurons; no pair twice. Default: 153 per neuron, as published, at most a fifth of all pairs. */
  readonly connections?: number;
  /** Rows between a neuron and a fragment, each with another one, up to 1.4 · 10^9. Default: one per neuron. */
  readonly fragments?: number;
  readonly seed?: number;
  readonly onProgress?: (step: string, progress: ReadProgress) => void;
}

/** What was written. */
export interface MadeUpSet {
  readonly files: readonly string[];
  readonly neurons: number;
  readonly types: number;
  readonly connections: number;
  readonly synapses: number;
  /** Connections of at least so many synapses. */
  readonly atLeast: Readonly<Record<"3" | "5" | "10", number>>;
  /** Rows of the file of connections: those between neurons, and those with fragments. */
  readonly rows: number;
  readonly seed: number;
}

/**
 * Writes connections, annotations and transmitters under the published names, and a note that they are made up. Degrees are log-normal
 * (`logNormalConnectome`). Rows of connections descend by weight.
 *
 * @param folder  is made where it does not exist; files of these names are replaced
 * @throws {ArgumentError} sizes out of range
 * @throws {EngineError} "file-write"
 */
export async function writeMadeUpMaleCns(folder: string, options: MadeUpOptions = {}): Promise<MadeUpSet> {
  const sizes = checkedSizes(options);
  const { neurons: count, seed } = sizes;
  const onProgress = options.onProgress ?? (() => {});
  const key = deriveKey(keyOfSeed(seed), "made-up MaleCNS");
  const neurons = drawNeurons(count, key);
  const fragments = new Fragments(sizes.fragments);
  await makeFolder(folder);
  const file = (name: keyof typeof MALE_CNS_FILES): string => join(folder, MALE_CNS_FILES[name]);
  const metadata = { axograd: `${NOTE}; seed ${seed}` };
  await replaceFile(file("note"), [`These files are ${NOTE} (seed ${seed}).\n`]);
  const annotated = count + Math.min(sizes.fragments, Math.round(ANNOTATED_FRAGMENTS * count));
  const annotations = annotationsOf(neurons, fragments, key);
  await writeArrowFile(file("annotations"), columnsOf(annotations), batchesOf(annotations, annotated), metadata);
  const transmitters = transmittersOf(neurons, key);
  await writeArrowFile(file("transmitters"), columnsOf(transmitters), batchesOf(transmitters, count), metadata);
  const weights = connectionsPerWeight(sizes.connections);
  const rows = sizes.connections + sizes.fragments;
  const progress = (done: number): void => onProgress("connections", { done, total: rows });
  progress(0);
  const edges = edgesOf({ ...sizes, neurons, weights, key, fragments, progress });
  await writeArrowFile(file("weights"), EDGE_COLUMNS, edges, metadata);
  const atLeast = (least: number): number => weights.reduce((sum, number, w) => (w < least ? sum : sum + number), 0);
  return {
    files: [file("weights"), file("annotations"), file("transmitters")],
    ...{ neurons: count, types: neurons.types.length, connections: sizes.connections, rows, seed },
    synapses: weights.reduce((sum, number, w) => sum + w * number, 0),
    atLeast: { 3: atLeast(3), 5: atLeast(5), 10: atLeast(10) },
  };
}

interface Sizes {
  readonly neurons: number;
  readonly connections: number;
  readonly fragments: number;
  readonly seed: number;
}

function checkedSizes({ neurons = 16_670, connections, fragments = neurons, seed = 0 }: MadeUpOptions): Sizes {
  const check = (name: string, value: number, least: number, most: number): void => {
    if (Number.isInteger(value) && value >= least && value <= most) return;
    throw new ArgumentError("writeMadeUpMaleCns", name, `a whole number from ${least} to ${most}`, `${value}`);
  };
  check("neurons", neurons, 100, MALE_CNS_SIZE.neurons);
  const most = Math.floor(neurons ** 2 / 5);
  const perNeuron = MALE_CNS_SIZE.connections / MALE_CNS_SIZE.neurons;
  const given = connections ?? Math.min(most, Math.round(perNeuron * neurons));
  check("connections", given, neurons, Math.min(most, MALE_CNS_SIZE.connections));
  check("fragments", fragments, 0, 1.4e9);
  return { neurons, connections: given, fragments, seed };
}

/** Neurons by number; texts by their numbers in lists. */
interface Neurons {
  readonly ids: Int32Array;
  readonly superclass: Uint32Array;
  readonly types: readonly string[];
  readonly type: Uint32Array;
  /** Of each type. */
  readonly typeTransmitter: readonly string[];
  /** 0 left, 1 right, 2 middle. */
  readonly side: Uint8Array;
  readonly isTraced: Uint8Array;
}

const SIDES = ["L", "R", "M"] as const;
const MIDDLE = 0.02;

function drawNeurons(count: number, key: Key): Neurons {
  const stream = new RandomStream(deriveKey(key, "neurons"));
  const perClass = apportion(count, SUPERCLASSES);
  // Small classes have more types for their neurons than large ones.
  const typeCount = Math.max(SUPERCLASSES.length, Math.round((MALE_CNS_SIZE.types * count) / MALE_CNS_SIZE.neurons));
  const shares = SUPERCLASSES.map(([name], c): readonly [string, number] => [name, perClass[c]! ** 0.75]);
  const typesPerClass = apportion(typeCount, shares).map((number, c) => Math.min(number, perClass[c]!));
  const types: string[] = [];
  const typeTransmitter: string[] = [];
  const superclass = new Uint32Array(count);
  const type = new Uint32Array(count);
  const order = permutation(count, stream);
  let next = 0;
  for (const [c, [name]] of SUPERCLASSES.entries()) {
    const first = types.length;
    const own = typesPerClass[c]!;
    for (let t = 0; t < own; t++) {
      types.push(`madeup_${name}_${String(t + 1).padStart(4, "0")}`);
      typeTransmitter.push(name === EYE ? "histamine" : drawn(TRANSMITTERS, stream));
    }
    for (let k = 0; k < perClass[c]!; k++) {
      const neuron = order[next++]!;
      superclass[neuron] = c;
      // Every type has a neuron; the first ones have the most.
      type[neuron] = first + (k < own ? k : Math.floor(own * stream.uniform() ** 3));
    }
  }
  const ids = new Int32Array(count);
  const side = new Uint8Array(count);
  const isTraced = new Uint8Array(count);
  let id = FIRST_NEURON_ID - 1;
  for (let i = 0; i < count; i++) {
    id += 1 + Math.floor(MOST_ID_STEP * stream.uniform() ** 2);
    ids[i] = id;
    const place = stream.uniform();
    side[i] = place < MIDDLE ? 2 : place < (1 + MIDDLE) / 2 ? 0 : 1;
    isTraced[i] = stream.uniform() < TRACED ? 1 : 0;
  }
  return { ids, superclass, types, type, typeTransmitter, side, isTraced };
}

/** Whole numbers in these proportions that add up to `total`, each 1 at least (largest remainders). */
function apportion(total: number, shares: readonly (readonly [string, number])[]): number[] {
  const sum = shares.reduce((all, [, share]) => all + share, 0);
  const exact = shares.map(([, share]) => (total * share) / sum);
  const whole = exact.map((value) => Math.max(1, Math.floor(value)));
  const byRest = [...exact.keys()].sort((a, b) => (exact[b]! % 1) - (exact[a]! % 1));
  let left = total - whole.reduce((all, number) => all + number, 0);
  for (let k = 0; left > 0; k = (k + 1) % byRest.length, left--) whole[byRest[k]!]!++;
  // Those that were raised to 1 are taken from the largest.
  for (; left < 0; left++) whole[whole.indexOf(Math.max(...whole))]!--;
  return whole;
}

function drawn(shares: readonly (readonly [string, number])[], stream: RandomStream): string {
  let left = stream.uniform() * shares.reduce((all, [, share]) => all + share, 0);
  for (const [name, share] of shares) {
    left -= share;
    if (left < 0) return name;
  }
  return shares[0]![0];
}

/** 0 … count − 1 in random order (Fisher and Yates). */
function permutation(count: number, stream: RandomStream): Uint32Array {
  const order = Uint32Array.from({ length: count }, (_, i) => i);
  for (let i = count - 1; i > 0; i--) {
    const j = Math.floor(stream.uniform() * (i + 1));
    const kept = order[i]!;
    order[i] = order[j]!;
    order[j] = kept;
  }
  return order;
}

/** Ids of fragments: different, in no order. */
class Fragments {
  readonly count: number;
  readonly #step: number;
  readonly #stride: number;

  constructor(count: number) {
    this.count = count;
    this.#step = Math.max(1, Math.floor((LAST_FRAGMENT_ID - FIRST_FRAGMENT_ID) / Math.max(1, count)));
    // A prime that does not divide the count leads through all; products stay below 2^53.
    this.#stride = [1_000_003, 1_000_033].find((prime) => count % prime !== 0)!;
  }

  id(k: number): number {
    return FIRST_FRAGMENT_ID + this.#step * ((k * this.#stride) % this.count);
  }
}

// ---- connections --------------------------------------------------------------------------------------------------------

const EDGE_COLUMNS: readonly ArrowColumn[] = ["body_pre", "body_post", "weight"].map((name) => ({
  name,
  type: "int64",
}));

/** [w], connections of w synapses; what the tail gives, so that they add up. */
function connectionsPerWeight(connections: number): number[] {
  const { s, a, c } = TAIL;
  return perWeight((w) => Math.round(connections * (1 + (w - 1) / s) ** -a * Math.exp(-(w - 1) / c)));
}

/** [w], rows with a fragment of w synapses. */
function fragmentsPerWeight(fragments: number): number[] {
  return perWeight((w) => Math.round(fragments * FRAGMENT_TAIL ** (w - 1)));
}

/** [w], how many have w synapses, by how many have w or more. */
function perWeight(atLeast: (w: number) => number): number[] {
  const numbers = [0];
  for (let w = 1; atLeast(w) > 0; w++) numbers.push(atLeast(w) - atLeast(w + 1));
  return numbers;
}

interface EdgeParts {
  readonly connections: number;
  readonly neurons: Neurons;
  readonly weights: readonly number[];
  readonly fragments: Fragments;
  readonly key: Key;
  readonly seed: number;
  readonly progress: (rows: number) => void;
}

/** All rows, by descending weight: for each weight those between neurons, then those with fragments. */
function* edgesOf(parts: EdgeParts): Generator<readonly Cells[]> {
  const { connections, neurons, weights, fragments, key, seed, progress } = parts;
  const { ids } = neurons;
  const count = ids.length;
  const { rowPtr, colIdx } = logNormalConnectome({ neurons: count, connections, seed });
  const post = new Uint32Array(connections);
  for (let i = 0; i < count; i++) post.fill(i, rowPtr[i]!, rowPtr[i + 1]!);
  const order = permutation(connections, new RandomStream(deriveKey(key, "weights")));
  const stream = new RandomStream(deriveKey(key, "fragments"));
  const ofFragments = fragmentsPerWeight(fragments.count);
  const batch = new EdgeBatch();
  let [nextConnection, nextFragment, done] = [0, 0, 0];
  for (let w = Math.max(weights.length, ofFragments.length) - 1; w > 0; w--) {
    const own = weights[w] ?? 0;
    const all = own + (ofFragments[w] ?? 0);
    for (let k = 0; k < all; k++) {
      if (k < own) {
        const entry = order[nextConnection++]!;
        batch.add(ids[colIdx[entry]!]!, ids[post[entry]!]!, w);
      } else {
        const neuron = ids[Math.floor(count * stream.uniform())]!;
        const fragment = fragments.id(nextFragment++);
        if (stream.uniform() < 0.5) batch.add(neuron, fragment, w);
        else batch.add(fragment, neuron, w);
      }
      if (batch.count < ROWS_PER_BATCH) continue;
      yield batch.cells();
      done += batch.count;
      progress(done);
      batch.count = 0;
    }
  }
  if (batch.count > 0) yield batch.cells();
  progress(done + batch.count);
}

/** Rows of connections as integers of 64 bits; the numbers have 32. */
class EdgeBatch {
  count = 0;
  readonly #columns = [0, 1, 2].map(() => new Int32Array(2 * ROWS_PER_BATCH));

  add(pre: number, post: number, weight: number): void {
    const at = 2 * this.count++;
    this.#columns[0]![at] = pre;
    this.#columns[1]![at] = post;
    this.#columns[2]![at] = weight;
  }

  cells(): readonly Cells[] {
    return this.#columns.map(({ buffer }) => ({
      as: "id",
      ids: new BigInt64Array(buffer, 0, this.count),
      nulls: null,
    }));
  }
}

// ---- annotations --------------------------------------------------------------------------------------------------------

/** A column, and its cells in rows begin … begin + count − 1. */
interface MadeUpColumn {
  readonly column: ArrowColumn;
  cells(begin: number, count: number): Cells;
}

function columnsOf(made: readonly MadeUpColumn[]): ArrowColumn[] {
  return made.map(({ column }) => column);
}

function* batchesOf(made: readonly MadeUpColumn[], rows: number): Generator<readonly Cells[]> {
  for (let begin = 0; begin < rows; begin += ROWS_PER_BATCH) {
    const count = Math.min(ROWS_PER_BATCH, rows - begin);
    yield made.map((column) => column.cells(begin, count));
  }
}

function idColumn(name: string, of: (row: number) => number): MadeUpColumn {
  return {
    column: { name, type: "int64" },
    cells(begin, count) {
      const words = new Int32Array(2 * count);
      for (let k = 0; k < count; k++) words[2 * k] = of(begin + k);
      return { as: "id", ids: new BigInt64Array(words.buffer), nulls: null };
    },
  };
}

/** @param of  null: empty */
function doubleColumn(name: string, of: (row: number) => number | null): MadeUpColumn {
  return {
    column: { name, type: "double" },
    cells(begin, count) {
      const numbers = new Float64Array(count);
      const nulls = new Uint8Array(count);
      for (let k = 0; k < count; k++) {
        const value = of(begin + k);
        numbers[k] = value ?? 0;
        nulls[k] = value === null ? 1 : 0;
      }
      return { as: "number", numbers, nulls };
    },
  };
}

function int32Column(name: string, of: (row: number) => number): MadeUpColumn {
  return {
    column: { name, type: "int32" },
    cells: (begin, count) => ({
      ...{ as: "number", nulls: null },
      numbers: Int32Array.from({ length: count }, (_, k) => of(begin + k)),
    }),
  };
}

/** @param of  the number of a text among the values; −1: empty */
function textColumn(
  name: string,
  values: readonly string[],
  of: (row: number) => number,
  type: "string" | "dictionary" = "string",
): MadeUpColumn {
  return {
    column: type === "string" ? { name, type } : { name, type, values },
    cells(begin, count) {
      const valueIdx = new Uint32Array(count);
      const nulls = new Uint8Array(count);
      for (let k = 0; k < count; k++) {
        const value = of(begin + k);
        valueIdx[k] = Math.max(0, value);
        nulls[k] = value < 0 ? 1 : 0;
      }
      return { as: "text", values, valueIdx, nulls };
    },
  };
}

/** Columns about neurons, then about the first fragments, which have neither type nor superclass. */
function annotationsOf(neurons: Neurons, fragments: Fragments, key: Key): readonly MadeUpColumn[] {
  const { ids, superclass, types, type, side, isTraced } = neurons;
  const count = ids.length;
  const chance = chances(key);
  const [soma, root, named, grouped] = [chance("somaSide"), chance("rootSide"), chance("instance"), chance("group")];
  const [classed, other, hex] = [chance("class"), chance("statusLabel"), chance("hex")];
  const ofNeuron =
    (of: (i: number) => number): ((row: number) => number) =>
    (row) =>
      row < count ? of(row) : -1;
  const classes = Array.from({ length: 40 }, (_, i) => `madeup_class_${i + 1}`);
  const names = SUPERCLASSES.map(([name]) => name);
  const isOptic = (row: number): boolean => row < count && names[superclass[row]!]!.startsWith("ol_");
  return [
    idColumn("bodyId", (row) => (row < count ? ids[row]! : fragments.id(row - count))),
    textColumn(
      "type",
      types,
      ofNeuron((i) => type[i]!),
    ),
    textColumn(
      "superclass",
      names,
      ofNeuron((i) => superclass[i]!),
    ),
    textColumn(
      "class",
      classes,
      ofNeuron((i) => (classed(i) < 0.2 ? type[i]! % classes.length : -1)),
    ),
    textColumn("subclass", [], () => -1),
    textColumn(
      "somaSide",
      SIDES,
      ofNeuron((i) => (soma(i) < 0.7 ? side[i]! : -1)),
    ),
    textColumn(
      "rootSide",
      SIDES,
      ofNeuron((i) => (root(i) < 0.15 ? side[i]! : -1)),
    ),
    textColumn(
      "instance",
      types.flatMap((name) => SIDES.map((place) => `${name}_${place}`)),
      ofNeuron((i) => (named(i) < 0.95 ? SIDES.length * type[i]! + side[i]! : -1)),
    ),
    textColumn(
      "status",
      STATUSES,
      ofNeuron((i) => (isTraced[i] === 1 ? 0 : -1)),
    ),
    textColumn(
      "statusLabel",
      STATUSES,
      (row) => (isTraced[row] === 1 ? 0 : 1 + Math.floor((STATUSES.length - 1) * other(row))),
      "dictionary",
    ),
    doubleColumn("group", (row) => (grouped(row) < 0.5 ? row : null)),
    doubleColumn("assignedOlHex1", (row) => (isOptic(row) ? Math.floor(36 * hex(row)) : null)),
    doubleColumn("assignedOlHex2", (row) => (isOptic(row) ? Math.floor(37 * hex(row + count)) : null)),
  ];
}

/** Transmitters of neurons: of each by itself, wrong in one of ten; of its type; and what is held to be true, which has gaps. */
function transmittersOf({ ids, types, type, typeTransmitter }: Neurons, key: Key): readonly MadeUpColumn[] {
  const names = [...TRANSMITTERS.map(([name]) => name), "histamine"];
  const ofType = typeTransmitter.map((name) => names.indexOf(name));
  const chance = chances(key);
  const [wrong, gap, sure] = [chance("wrong"), chance("gap"), chance("confidence")];
  const [total, typed] = [chance("predictions"), chance("typed")];
  const own = (i: number): number => ofType[type[i]!]!;
  return [
    idColumn("body", (i) => ids[i]!),
    textColumn("cell_type", types, (i) => type[i]!),
    int32Column("total_nt_predictions", (i) => Math.floor(3000 * total(i))),
    doubleColumn("predicted_nt_confidence", (i) => sure(i)),
    textColumn("predicted_nt", names, (i) => (wrong(i) < 0.1 ? Math.floor(10 * names.length * wrong(i)) : own(i))),
    textColumn("ground_truth", [], () => -1),
    int32Column("celltype_total_nt_predictions", (i) => Math.floor(9000 * total(i))),
    textColumn("celltype_predicted_nt", names, (i) => (typed(i) < 0.8 ? own(i) : -1)),
    doubleColumn("celltype_predicted_nt_confidence", (i) => (typed(i) < 0.8 ? 0.5 + sure(i) / 2 : null)),
    textColumn("consensus_nt", names, (i) => (gap(i) < 0.003 ? -1 : own(i))),
  ];
}

/** Numbers from 0 to 1 by row, for each purpose others. */
function chances(key: Key): (purpose: string) => (row: number) => number {
  return (purpose) => {
    const own = deriveKey(key, purpose);
    return (row) => uniformAt(own, row, 0);
  };
}
