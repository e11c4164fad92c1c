// Controls that keep every neuron's numbers of inputs and outputs: double-edge swaps, with constraints.

import { type Csr, columnOffsets, csrFromParts, indexArray, lengthsOf } from "../core/csr.ts";
import { ArgumentError } from "../core/errors.ts";
import { deriveKey, type Key, keyOfSeed, RandomStream } from "../core/random.ts";
import { checkBlocks, checkWhole } from "./checks.ts";
import { type Digit, type Groups, groupsBy } from "./groupsBy.ts";
import { checkPlaces, type Lengths, lengthBin, type Places, spaceCells } from "./lengths.ts";
import { PartnerSets } from "./partnerSets.ts";
import { shuffleMagnitudes } from "./shuffleWeights.ts";

/** How often a connectome is rewired, and what is kept beside all degrees. */
export interface RewireOptions {
  readonly seed: number;
  /**
   * Swaps that are attempted for each connection that can move, each with another one: a connection takes part in twice as many. Rejected
   * attempts count, as only then all graphs become equally likely; `Mixing.accepted` counts the others. Default 5.
   */
  readonly swapsPerEdge?: number;
  /**
   * Whose weights stay together. "source" (default): each presynaptic neuron keeps the weights of its connections, and so its sign (Dale's law)
   * and its total output. "target": each postsynaptic neuron keeps them, and so its total input. "anew": signs stay with the sources, magnitudes
   * are dealt out among all connections.
   */
  readonly weights?: "source" | "target" | "anew";
  /** Every neuron keeps its number of reciprocal pairs (a → b and b → a): they swap among themselves, one-way connections too. */
  readonly reciprocity?: boolean;
  /** Positive connections swap among themselves, negative ones and zeros too: every neuron keeps its in-degree and out-degree of each sign. */
  readonly signs?: boolean;
  /** [neurons], whole numbers from 0: the numbers of connections from each block to each other one are kept. Blocks are types, regions, … */
  readonly blocks?: ArrayLike<number>;
  /** The number of connections in each bin of lengths is kept. */
  readonly lengths?: Lengths;
  /** Called now and then with the attempts made, and all. */
  readonly onProgress?: (done: number, total: number) => void;
}

/** How well connections were mixed. */
export interface Mixing {
  readonly swapsPerEdge: number;
  /** Swaps that were attempted, and those that were made. */
  readonly attempted: number;
  readonly accepted: number;
  /** Part of all connections whose pair of neurons was not connected before. */
  readonly moved: number;
  /** Connections that could not move: self-loops, and those without another one to swap with. */
  readonly fixed: number;
}

/** A rewired connectome. */
export interface Rewired {
  readonly csr: Csr;
  readonly mixing: Mixing;
}

/**
 * A random connectome with the in-degree and the out-degree of every neuron of `csr`. In each of `swapsPerEdge` sweeps, every connection a → b in
 * turn is tried with a connection c → d drawn at random: they become a → d and c → b, unless that makes a self-loop or repeats a connection.
 * Self-loops stay as they are. Constraints combine: connections swap with those of the same kind (reciprocal or not, sign, blocks, length).
 *
 * Each attempt is as likely as its reverse, so a long chain visits all graphs that it can reach equally often. With constraints these need not be
 * all that satisfy them; without, only those cycles of three neurons are never reversed that all such graphs have, in one direction or the other.
 *
 * With lengths, connections swap whose sources (or, every second sweep, whose targets) lie in the same cell of a grid as wide as a bin; the
 * grid is shifted at random for each sweep. Swaps that move a connection to another bin are rejected.
 *
 * O(swapsPerEdge · connections) time, O(connections) memory.
 *
 * @throws {ArgumentError} a matrix that is not square, swapsPerEdge out of range, blocks or places that are no numbers of that kind
 * @throws {ShapeError} blocks or places of other neurons
 * Sources: Maslov, Sneppen, "Specificity and stability in topology of protein networks", Science 296, 910–913 (2002); for why rejected
 * attempts count: Fosdick et al., "Configuring random graph models with fixed degree sequences", SIAM Review 60(2), 315–355 (2018).
 */
export function rewire(csr: Csr, options: RewireOptions): Rewired {
  const where = "rewire";
  const { seed, swapsPerEdge = 5, weights = "source", lengths, onProgress } = options;
  if (csr.nRows !== csr.nCols) throw new ArgumentError(where, "csr", "a square matrix", `${csr.nRows} × ${csr.nCols}`);
  checkWhole(where, "swapsPerEdge", swapsPerEdge, 0, 10_000);
  const places = lengths ? checkPlaces(where, lengths, csr.nRows) : null;
  const key = deriveKey(keyOfSeed(seed), where);
  const stream = new RandomStream(key);
  const swapper = new Swapper(csr, options, places);
  const kinds = new Kinds(swapper, options);
  const hasPartner = new Uint8Array(csr.nnz);
  let attempted = 0;
  let groups: Groups | null = null;
  for (let sweep = 0; sweep < swapsPerEdge; sweep++) {
    if (!groups || places) {
      groups = kinds.groups(places ? spaceKinds(swapper, places, sweep, deriveKey(key, sweep)) : ALL);
      if (onProgress) onProgress(attempted, swapsPerEdge * groups.members.length);
    }
    const { members, begin } = groups;
    for (let g = 0; g + 1 < begin.length; g++) {
      const [first, end] = [begin[g]!, begin[g + 1]!];
      if (end - first < 2) continue;
      if (places || sweep === 0) for (let k = first; k < end; k++) hasPartner[members[k]!] = 1;
      for (let from = first; from < end; from += ATTEMPTS_PER_REPORT) {
        const to = Math.min(end, from + ATTEMPTS_PER_REPORT);
        swapper.attempt(members, { first, end, from, to }, stream);
        const before = attempted;
        attempted += to - from;
        const isDue = Math.floor(attempted / ATTEMPTS_PER_REPORT) > Math.floor(before / ATTEMPTS_PER_REPORT);
        if (isDue && onProgress) onProgress(attempted, swapsPerEdge * members.length);
      }
    }
  }
  const made = swapper.toCsr();
  const fixed = hasPartner.reduce((count, has) => count + (has === 0 ? 1 : 0), 0);
  const mixing: Mixing = {
    swapsPerEdge,
    attempted,
    accepted: swapper.accepted,
    moved: csr.nnz === 0 ? 0 : 1 - commonConnections(csr, made) / csr.nnz,
    fixed,
  };
  return { csr: weights === "anew" ? shuffleMagnitudes(made, { seed, among: "all" }) : made, mixing };
}

/** About a tenth of a second. */
const ATTEMPTS_PER_REPORT = 2 ** 18;

/** What an entry of `Swapper.mates` is where a connection is not reciprocal. */
const NONE = 0xffffffff;
/** Attempts whose memory is fetched together. */
const AT_ONCE = 64;

/** Members first … end are of a kind; those from … to are attempted. */
interface Attempts {
  readonly first: number;
  readonly end: number;
  readonly from: number;
  readonly to: number;
}

/** Connections in slots that belong to their sources, in the order of sources; what changes are targets. */
class Swapper {
  readonly count: number;
  readonly neurons: number;
  /** [2 · connections], source and target of each slot. */
  readonly ends: Uint32Array;
  /** [connections], the entry of `csr.values` that is the weight of a slot. */
  readonly entry: Uint32Array;
  /** [connections], the slot of the connection in the other direction; null: without reciprocity. */
  readonly mates: Uint32Array | null;
  readonly csr: Csr;
  accepted = 0;
  readonly #sets: PartnerSets;
  readonly #places: Places | null;
  readonly #weightsFollowTargets: boolean;
  readonly #picks = new Uint32Array(AT_ONCE);
  /** Keeps fetched memory from being optimised away. */
  #touched = 0;

  constructor(csr: Csr, { reciprocity = false, weights }: RewireOptions, places: Places | null) {
    const { nRows: n, nnz, rowPtr, colIdx } = csr;
    this.csr = csr;
    this.count = nnz;
    this.neurons = n;
    this.#places = places;
    this.#weightsFollowTargets = weights === "target";
    const begin = columnOffsets(csr);
    this.ends = new Uint32Array(2 * nnz);
    this.entry = new Uint32Array(nnz);
    const next = begin.slice(0, n);
    for (let post = 0; post < n; post++) {
      for (let k = rowPtr[post]!; k < rowPtr[post + 1]!; k++) {
        const pre = colIdx[k]!;
        const slot = next[pre]!++;
        this.ends[2 * slot] = pre;
        this.ends[2 * slot + 1] = post;
        this.entry[slot] = k;
      }
    }
    this.#sets = new PartnerSets(lengthsOf(begin));
    for (let slot = 0; slot < nnz; slot++) this.#sets.add(this.ends[2 * slot]!, this.ends[2 * slot + 1]!);
    this.mates = reciprocity ? matesOf(this.ends, begin) : null;
  }

  /** Attempts a swap of each connection in members[from … to] with one of members[first … end], drawn at random. */
  attempt(members: Uint32Array, { first, end, from, to }: Attempts, stream: RandomStream): void {
    const picks = this.#picks;
    const size = end - first;
    for (let begin = from; begin < to; begin += AT_ONCE) {
      const some = Math.min(to - begin, AT_ONCE);
      for (let k = 0; k < some; k++) picks[k] = members[first + stream.below(size)]!;
      if (size > AT_ONCE) this.#fetch(members, begin, some);
      for (let k = 0; k < some; k++) if (this.#swap(members[begin + k]!, picks[k]!)) this.accepted++;
    }
  }

  /** Reads what the next swaps will need; the processor has many such reads under way at a time. Sources ascend, so theirs are at hand. */
  #fetch(members: Uint32Array, begin: number, some: number): void {
    const { ends } = this;
    const [picks, sets] = [this.#picks, this.#sets];
    let touched = 0;
    for (let k = 0; k < some; k++) {
      const e = members[begin + k]!;
      const f = picks[k]!;
      const [a, b, c, d] = [ends[2 * e]!, ends[2 * e + 1]!, ends[2 * f]!, ends[2 * f + 1]!];
      touched ^= sets.touch(c, b) ^ sets.touch(c, d);
      if (this.mates) touched ^= sets.touch(d, a) ^ sets.touch(b, c);
    }
    this.#touched ^= touched;
  }

  #swap(e: number, f: number): boolean {
    const { ends, mates } = this;
    const sets = this.#sets;
    const a = ends[2 * e]!;
    const b = ends[2 * e + 1]!;
    const c = ends[2 * f]!;
    const d = ends[2 * f + 1]!;
    if (a === c || b === d || a === d || c === b) return false;
    if (sets.has(a, d) || sets.has(c, b)) return false;
    if (mates && (sets.has(d, a) || sets.has(b, c))) return false;
    if (this.#places && !this.#keepsLengths(a, b, c, d)) return false;
    sets.replace(a, b, d);
    sets.replace(c, d, b);
    ends[2 * e + 1] = d;
    ends[2 * f + 1] = b;
    if (this.#weightsFollowTargets) this.#exchangeWeights(e, f);
    if (mates && mates[e] !== NONE) this.#swapMates(mates, e, f);
    return true;
  }

  /** b → a becomes b → c, and d → c becomes d → a. */
  #swapMates(mates: Uint32Array, e: number, f: number): void {
    const [back, forth] = [mates[e]!, mates[f]!];
    const [b, a] = [this.ends[2 * back]!, this.ends[2 * back + 1]!];
    const [d, c] = [this.ends[2 * forth]!, this.ends[2 * forth + 1]!];
    this.#sets.replace(b, a, c);
    this.#sets.replace(d, c, a);
    this.ends[2 * back + 1] = c;
    this.ends[2 * forth + 1] = a;
    if (this.#weightsFollowTargets) this.#exchangeWeights(back, forth);
    mates[e] = forth;
    mates[forth] = e;
    mates[f] = back;
    mates[back] = f;
  }

  #exchangeWeights(e: number, f: number): void {
    const held = this.entry[e]!;
    this.entry[e] = this.entry[f]!;
    this.entry[f] = held;
  }

  /** Both connections have been in one bin: the new ones must be, too. */
  #keepsLengths(a: number, b: number, c: number, d: number): boolean {
    const places = this.#places!;
    const bin = lengthBin(places, a, b);
    return lengthBin(places, a, d) === bin && lengthBin(places, c, b) === bin;
  }

  /** Slots are in the order of sources, so each row is filled in ascending order. In-degrees are those of before. */
  toCsr(): Csr {
    const { ends, entry, csr, count, neurons } = this;
    const rowPtr = csr.rowPtr.slice();
    const next = rowPtr.slice(0, neurons);
    const colIdx = indexArray(neurons, count);
    const values = csr.values.slice();
    for (let slot = 0; slot < count; slot++) {
      const at = next[ends[2 * slot + 1]!]!++;
      colIdx[at] = ends[2 * slot]!;
      values[at] = csr.values[entry[slot]!]!;
    }
    return csrFromParts({ nRows: neurons, nCols: neurons, rowPtr, colIdx, values }, "rewire", { adopt: true });
  }
}

/** The slot of b → a for that of a → b, in the order of sources and, within them, of targets. Self-loops have none. */
function matesOf(ends: Uint32Array, begin: Uint32Array): Uint32Array {
  const mates = new Uint32Array(ends.length / 2).fill(NONE);
  // Sources ascend, so the connections into each neuron come in the order of its outputs: each neuron's outputs are walked once.
  const next = begin.slice();
  for (let slot = 0; slot < mates.length; slot++) {
    const [a, b] = [ends[2 * slot]!, ends[2 * slot + 1]!];
    let at = next[b]!;
    while (at < begin[b + 1]! && ends[2 * at + 1]! < a) at++;
    next[b] = at;
    if (a !== b && at < begin[b + 1]! && ends[2 * at + 1] === a) mates[slot] = at;
  }
  return mates;
}

/** Which connections may swap with each other. */
class Kinds {
  readonly #swapper: Swapper;
  readonly #fixed: readonly Digit[];

  constructor(swapper: Swapper, { signs = false, blocks }: RewireOptions) {
    this.#swapper = swapper;
    const { ends, entry, mates, csr } = swapper;
    const signOf = (slot: number): number => Math.sign(csr.values[entry[slot]!]!) + 1;
    const digits: Digit[] = [];
    if (mates) digits.push({ extent: 2, of: (slot) => (mates[slot] === NONE ? 0 : 1) });
    if (signs) digits.push({ extent: 3, of: signOf });
    // Reciprocal pairs swap with those of the same two signs.
    if (signs && mates) digits.push({ extent: 3, of: (slot) => (mates[slot] === NONE ? 0 : signOf(mates[slot]!)) });
    if (blocks) {
      const extent = checkBlocks("rewire", blocks, csr);
      for (const end of [0, 1]) digits.push({ extent, of: (slot) => blocks[ends[2 * slot + end]!]! });
    }
    this.#fixed = digits;
  }

  /** Slots that swap among themselves, without self-loops. */
  groups({ digits, movesPairs }: SweepKinds): Groups {
    const { ends, count, mates } = this.#swapper;
    const isFree = (slot: number): boolean =>
      ends[2 * slot] !== ends[2 * slot + 1] && (movesPairs || !mates || mates[slot] === NONE);
    return groupsBy(count, isFree, [...this.#fixed, ...digits]);
  }
}

/** Kinds of one sweep. */
interface SweepKinds {
  readonly digits: readonly Digit[];
  /** Whether reciprocal pairs move. */
  readonly movesPairs: boolean;
}

const ALL: SweepKinds = { digits: [], movesPairs: true };

/** Cell of the source (in even sweeps) or target, and bin of the length. */
function spaceKinds({ ends }: Swapper, places: Places, sweep: number, key: Key): SweepKinds {
  const end = sweep % 2;
  const cells = spaceCells(places, new RandomStream(key));
  const { bins } = places;
  const bin = (slot: number): number => lengthBin(places, ends[2 * slot]!, ends[2 * slot + 1]!);
  const digits = [
    { extent: bins, of: bin },
    { extent: cells.count, of: (slot: number) => cells.of[ends[2 * slot + end]!]! },
  ];
  // A pair that swaps targets in the cell of one of its neurons swaps sources in that of the other.
  return { digits, movesPairs: end === 0 };
}

/** How many connections `made` and `csr` have between the same neurons. */
export function commonConnections(csr: Csr, made: Csr): number {
  let common = 0;
  for (let i = 0; i < csr.nRows; i++) {
    const [lastA, lastB] = [csr.rowPtr[i + 1]!, made.rowPtr[i + 1]!];
    for (let a = csr.rowPtr[i]!, b = made.rowPtr[i]!; a < lastA && b < lastB; ) {
      const difference = csr.colIdx[a]! - made.colIdx[b]!;
      if (difference === 0) common++;
      if (difference <= 0) a++;
      if (difference >= 0) b++;
    }
  }
  return common;
}
