// Neurons of several types, connected at random with a probability for each pair of types (a stochastic block model).

import { type Csr, csrFromCoo } from "../core/csr.ts";
import { ArgumentError, ShapeError } from "../core/errors.ts";
import { deriveKey, keyOfSeed, RandomStream } from "../core/random.ts";
import { Triples } from "../io/triples.ts";
import { checkProbability, checkWhole, MAX_NEURONS } from "./checks.ts";
import { bernoulliCells, shuffle, uniform53 } from "./sampling.ts";

/** Blocks of neuron types, and how they are connected. */
export interface TypedOptions {
  /** Neurons of each type: exact counts. Or give `neurons` and `typeProbs`. */
  readonly typeCounts?: readonly number[];
  /** How many neurons. */
  readonly neurons?: number;
  /** Probability of each type, together 1; every neuron draws its type. */
  readonly typeProbs?: readonly number[];
  /** [post type][pre type]: the probability that a pair of neurons is connected, which is also the density of the block. */
  readonly connectivity: readonly (readonly number[])[];
  /** With `typeCounts`: neurons in random order instead of type after type. Default true. */
  readonly shuffled?: boolean;
  /** Whether a neuron may connect to itself. Default true. */
  readonly selfRecurrence?: boolean;
  readonly seed: number;
}

/** A network made of blocks of neuron types. */
export interface TypedConnectome {
  /** [post, pre], all weights 1 in f32. */
  readonly csr: Csr;
  /** [neurons], index of the type. */
  readonly typeIdx: Uint32Array;
}

/**
 * A connectome of typed neurons, as torch-biopl's `create_neuron_typed_connectome` makes it; but in time and memory O(connections +
 * neurons + types²) instead of O(neurons²), and with probabilities by [post][pre] as the matrix is (the reference calls the
 * rows sources there and targets in its models; its matrices are the same).
 *
 * @throws {ArgumentError} counts or probabilities out of range, both or neither of typeCounts and typeProbs
 * @throws {ShapeError} connectivity that is not [types][types]
 * Source: Holland, Laskey, Leinhardt, "Stochastic blockmodels: first steps", Social Networks 5(2), 109–137 (1983).
 */
export function typedConnectome(options: TypedOptions): TypedConnectome {
  const { connectivity, selfRecurrence = true, seed } = options;
  const where = "typedConnectome";
  const key = deriveKey(keyOfSeed(seed), where);
  const { typeIdx, types } = assignTypes(options, new RandomStream(deriveKey(key, "types")));
  checkConnectivity(where, connectivity, types);
  const members = membersOf(typeIdx, types);
  const triples = new Triples("f32");
  for (let post = 0; post < types; post++) {
    for (let pre = 0; pre < types; pre++) {
      const [targets, sources] = [members[post]!, members[pre]!];
      // A stream per block: the connections of one do not change with the probabilities of another.
      const stream = new RandomStream(deriveKey(deriveKey(key, post), pre));
      const p = connectivity[post]![pre]!;
      for (const cell of bernoulliCells(targets.length * sources.length, p, stream)) {
        const row = Math.floor(cell / sources.length);
        const i = targets[row]!;
        const j = sources[cell - row * sources.length]!;
        if (selfRecurrence || i !== j) triples.push(i, j, 1);
      }
    }
  }
  const n = typeIdx.length;
  const { rows, cols, values } = triples;
  return { csr: csrFromCoo({ nRows: n, nCols: n, rows, cols, values }, where), typeIdx };
}

function assignTypes(options: TypedOptions, stream: RandomStream): { typeIdx: Uint32Array; types: number } {
  const { typeCounts, neurons, typeProbs, shuffled = true } = options;
  const where = "typedConnectome";
  if (typeCounts !== undefined) {
    if (typeProbs !== undefined || neurons !== undefined) {
      throw new ArgumentError(where, "typeCounts", "no neurons and typeProbs beside typeCounts", "both");
    }
    for (const count of typeCounts) checkWhole(where, "typeCounts", count, 0, MAX_NEURONS);
    const total = typeCounts.reduce((sum, count) => sum + count, 0);
    checkWhole(where, "typeCounts", total, 1, MAX_NEURONS);
    const typeIdx = new Uint32Array(total);
    let at = 0;
    typeCounts.forEach((count, type) => {
      typeIdx.fill(type, at, at + count);
      at += count;
    });
    if (shuffled) shuffle(typeIdx, stream);
    return { typeIdx, types: typeCounts.length };
  }
  if (typeProbs === undefined || neurons === undefined) {
    throw new ArgumentError(where, "typeCounts", "typeCounts, or neurons and typeProbs", "neither");
  }
  checkWhole(where, "neurons", neurons, 1, MAX_NEURONS);
  for (const p of typeProbs) checkProbability(where, "typeProbs", p);
  const total = typeProbs.reduce((sum, p) => sum + p, 0);
  if (Math.abs(total - 1) > 1e-6)
    throw new ArgumentError(where, "typeProbs", "probabilities that add up to 1", `${total}`);
  const typeIdx = new Uint32Array(neurons);
  for (let i = 0; i < neurons; i++) {
    let left = uniform53(stream) * total;
    let type = 0;
    while (type < typeProbs.length - 1 && left >= typeProbs[type]!) left -= typeProbs[type++]!;
    typeIdx[i] = type;
  }
  return { typeIdx, types: typeProbs.length };
}

function checkConnectivity(where: string, connectivity: readonly (readonly number[])[], types: number): void {
  const shape = `[${types}][${types}], a probability per pair of types`;
  if (connectivity.length !== types) throw new ShapeError(where, "connectivity", shape, `${connectivity.length} rows`);
  for (const row of connectivity) {
    if (row.length !== types) throw new ShapeError(where, "connectivity", shape, `a row of ${row.length}`);
    for (const p of row) checkProbability(where, "connectivity", p);
  }
}

/** The neurons of each type, ascending. */
function membersOf(typeIdx: Uint32Array, types: number): Uint32Array[] {
  const counts = new Uint32Array(types);
  for (const type of typeIdx) counts[type]!++;
  const members = Array.from(counts, (count) => new Uint32Array(count));
  counts.fill(0);
  typeIdx.forEach((type, i) => {
    members[type]![counts[type]!++] = i;
  });
  return members;
}
