// Connectomes of neurons in space, whose probability to connect falls exponentially with their distance.

import { type Csr, csrFromCoo } from "../core/csr.ts";
import { ShapeError } from "../core/errors.ts";
import { deriveKey, keyOfSeed, RandomStream } from "../core/random.ts";
import { Triples } from "../io/triples.ts";
import { type Box, boxTree, nearestDistance } from "./boxTree.ts";
import { checkPositive, checkProbability, checkWhole, MAX_NEURONS } from "./checks.ts";
import { bernoulliCells } from "./sampling.ts";

/** How many neurons there are, where, and how the probability of a connection falls with their distance. */
export interface DistanceDecayOptions {
  /** [neurons × dimensions], one neuron after the other; any unit of length. */
  readonly positions: ArrayLike<number>;
  /** 1, 2, 3, … */
  readonly dimensions: number;
  /** Distance over which the probability falls by the factor e, in the unit of the positions. */
  readonly lengthConstant: number;
  /** Probability at distance 0. */
  readonly peakProbability: number;
  /** Whether a neuron may connect to itself. Default false. */
  readonly selfLoops?: boolean;
  readonly seed: number;
}

/** Pairs of boxes whose probabilities differ by no more than the factor e are drawn as they are. */
const MAX_SPREAD = 1;

/**
 * A connectome [post, pre], weights 1 in f32: each ordered pair of neurons is connected with probability peakProbability ·
 * exp(−distance / lengthConstant), independently. Neurons are sorted into boxes; of a pair of boxes, candidates are drawn with the
 * probability at their nearest corners, then thinned to the exact one. About O((connections + neurons) log neurons), never O(neurons²).
 *
 * @throws {ShapeError} positions that are not whole points
 * @throws {ArgumentError} a length or probability out of range
 * Source of the rule: Ercsey-Ravasz et al., "A predictive network model of cerebral cortical connectivity based on a distance rule",
 * Neuron 80, 184–197 (2013).
 */
export function distanceDecay(options: DistanceDecayOptions): Csr {
  const { positions, dimensions, lengthConstant, peakProbability, selfLoops = false, seed } = options;
  const where = "distanceDecay";
  checkWhole(where, "dimensions", dimensions, 1, 1000);
  const neurons = positions.length / dimensions;
  if (!Number.isInteger(neurons)) {
    throw new ShapeError(where, "positions", `a multiple of ${dimensions} coordinates`, `${positions.length}`);
  }
  checkWhole(where, "neurons", neurons, 1, MAX_NEURONS);
  checkPositive(where, "lengthConstant", lengthConstant);
  checkProbability(where, "peakProbability", peakProbability);
  const stream = new RandomStream(deriveKey(keyOfSeed(seed), where));
  const triples = new Triples("f32");
  const drawPair = (targets: Box, sources: Box, bound: number): void => {
    const [n, m] = [targets.members.length, sources.members.length];
    for (const cell of bernoulliCells(n * m, bound, stream)) {
      const row = Math.floor(cell / m);
      const i = targets.members[row]!;
      const j = sources.members[cell - row * m]!;
      if (i === j && !selfLoops) continue;
      const p = peakProbability * Math.exp(-distance(positions, dimensions, i, j) / lengthConstant);
      if (stream.uniform() * bound < p) triples.push(i, j, 1);
    }
  };
  const root = boxTree(positions, dimensions);
  const pairs: [Box, Box][] = [[root, root]];
  for (let pair = pairs.pop(); pair; pair = pairs.pop()) {
    const [targets, sources] = pair;
    const bound = peakProbability * Math.exp(-nearestDistance(targets, sources) / lengthConstant);
    const spread = (targets.diameter + sources.diameter) / lengthConstant;
    const larger = targets.diameter >= sources.diameter ? targets : sources;
    // Drawing a candidate too many costs less than splitting further.
    const cheap = bound * targets.members.length * sources.members.length <= 1;
    if (cheap || spread <= MAX_SPREAD || !larger.halves) drawPair(targets, sources, bound);
    else if (larger === targets) for (const half of larger.halves()) pairs.push([half, sources]);
    else for (const half of larger.halves()) pairs.push([targets, half]);
  }
  const { rows, cols, values } = triples;
  return csrFromCoo({ nRows: neurons, nCols: neurons, rows, cols, values }, where);
}

function distance(positions: ArrayLike<number>, dimensions: number, i: number, j: number): number {
  let sum = 0;
  for (let d = 0; d < dimensions; d++) sum += (positions[i * dimensions + d]! - positions[j * dimensions + d]!) ** 2;
  return Math.sqrt(sum);
}
