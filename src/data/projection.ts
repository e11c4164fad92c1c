// Sparse projections between numbers outside of a network and its neurons: which inputs drive a neuron, which neurons are read out.

import { type Csr, csrFromCoo } from "../core/csr.ts";
import { ArgumentError, ShapeError } from "../core/errors.ts";
import { type Key, RandomStream } from "../core/random.ts";
import type { NeuronRole, NeuronTable } from "../io/neuronTable.ts";
import { checkWhole, MAX_NEURONS } from "./checks.ts";

/**
 * One weight per input or output channel, as torch-biopl's `create_sparse_projection` makes it: mode "ih" lets input j drive
 * neuron indices[j] (shape [numNeurons, size]); mode "ho" makes output j read neuron indices[j] (shape [size, numNeurons]).
 *
 * @param spec.size    how many channels
 * @param spec.indices [size], neurons; two channels may share one
 * @param spec.values  [size], default all 1
 * @throws {ShapeError} arrays that have not `size` entries
 * @throws {SparseFormatError} an index that is not a neuron
 */
export function createSparseProjection(spec: {
  readonly size: number;
  readonly numNeurons: number;
  readonly indices: ArrayLike<number>;
  readonly mode: "ih" | "ho";
  readonly values?: ArrayLike<number>;
}): Csr {
  const { size, numNeurons, indices, mode } = spec;
  const where = "createSparseProjection";
  const values = spec.values ?? new Float32Array(size).fill(1);
  if (indices.length !== size) throw new ShapeError(where, "indices", `${size}, one per channel`, `${indices.length}`);
  if (values.length !== size) throw new ShapeError(where, "values", `${size}, one per channel`, `${values.length}`);
  const channels = Uint32Array.from({ length: size }, (_, j) => j);
  return mode === "ih"
    ? csrFromCoo({ nRows: numNeurons, nCols: size, rows: indices, cols: channels, values }, where)
    : csrFromCoo({ nRows: size, nCols: numNeurons, rows: channels, cols: indices, values }, where);
}

/** [size] neurons drawn uniformly from 0 … numNeurons − 1, with repetition. */
export function randomIndices(size: number, numNeurons: number, key: Key): Uint32Array {
  if (!Number.isSafeInteger(numNeurons) || numNeurons < 1) {
    throw new ArgumentError("randomIndices", "numNeurons", "a whole number ≥ 1", `${numNeurons}`);
  }
  const stream = new RandomStream(key);
  return Uint32Array.from({ length: size }, () => stream.below(numNeurons));
}

/**
 * Disjoint groups of neurons, drawn at random without repetition, each ascending.
 *
 * @param spec.groups  how many groups
 * @param spec.size    neurons of each
 * @param spec.except  neurons that belong to no group, such as those of other groups
 * @throws {ArgumentError} too few neurons, or a neuron of `except` that there is not
 */
export function randomGroups(
  spec: {
    readonly numNeurons: number;
    readonly groups: number;
    readonly size: number;
    readonly except?: Iterable<number>;
  },
  key: Key,
): Uint32Array[] {
  const where = "randomGroups";
  const { numNeurons, groups, size, except = [] } = spec;
  checkWhole(where, "numNeurons", numNeurons, 1, MAX_NEURONS);
  checkWhole(where, "groups", groups, 1, MAX_NEURONS);
  checkWhole(where, "size", size, 1, MAX_NEURONS);
  const excluded = new Set<number>();
  for (const neuron of except) {
    checkWhole(where, "except", neuron, 0, numNeurons - 1);
    excluded.add(neuron);
  }
  const free = Uint32Array.from({ length: numNeurons }, (_, i) => i).filter((i) => !excluded.has(i));
  if (groups * size > free.length) {
    const got = `${groups} groups of ${size}: ${groups * size}`;
    throw new ArgumentError(where, "groups, size", `at most the ${free.length} neurons that there are`, got);
  }
  const order = new RandomStream(key).permutation(free.length);
  return Array.from({ length: groups }, (_, group) =>
    order
      .slice(group * size, (group + 1) * size)
      .map((at) => free[at]!)
      .sort(),
  );
}

/**
 * Input j drives every neuron of group j with weight 1; a neuron of several groups gets the sum.
 *
 * @returns [numNeurons, groups], f32
 * @throws {SparseFormatError} a neuron that there is not
 */
export function groupInput(numNeurons: number, groups: readonly ArrayLike<number>[]): Csr {
  const { neurons, group } = members(groups);
  const values = new Float32Array(neurons.length).fill(1);
  return csrFromCoo({ nRows: numNeurons, nCols: groups.length, rows: neurons, cols: group, values }, "groupInput");
}

/**
 * Output j is the mean over the neurons of group j; one that is listed twice counts twice.
 *
 * As an output projection, with `outputProjectionBias: false` and `trainOutputProjection: false`, it makes these means the features of a
 * read-out.
 *
 * @returns [groups, numNeurons], f32
 * @throws {ArgumentError} a group without a neuron
 * @throws {SparseFormatError} a neuron that there is not
 */
export function groupReadout(numNeurons: number, groups: readonly ArrayLike<number>[]): Csr {
  const empty = groups.findIndex(({ length }) => length === 0);
  if (empty >= 0)
    throw new ArgumentError("groupReadout", "groups", "a neuron in every group", `none in group ${empty}`);
  const { neurons, group } = members(groups);
  const values = Float32Array.from(group, (j) => 1 / groups[j]!.length);
  return csrFromCoo({ nRows: groups.length, nCols: numNeurons, rows: group, cols: neurons, values }, "groupReadout");
}

/** All members of all groups, and the group of each. */
function members(groups: readonly ArrayLike<number>[]): { neurons: number[]; group: number[] } {
  return {
    neurons: groups.flatMap((group) => Array.from(group)),
    group: groups.flatMap((group, j) => new Array<number>(group.length).fill(j)),
  };
}

/**
 * The indices of the neurons with a role, ascending.
 *
 * @throws {ArgumentError} a table without roles
 */
export function neuronsOfRole(table: Pick<NeuronTable, "count" | "role">, role: NeuronRole): Uint32Array {
  const { role: roles } = table;
  if (roles === null)
    throw new ArgumentError("neuronsOfRole", "table.role", "a column role in the neuron table", "none");
  return Uint32Array.from(roles.keys()).filter((i) => roles[i] === role);
}

/**
 * The image as the input neurons see it: row i samples the image bilinearly at the place of neuron i, where 0 and 1 are the
 * centres of the border pixels. Rows of neurons that are no inputs are empty; those of inputs sum to 1.
 *
 * @param neurons places x, y in [0, 1] and roles
 * @returns [count, height · width], f32
 * @throws {ArgumentError} neurons without roles or places, a place outside [0, 1], an image without pixels
 */
export function retinotopicProjection(
  neurons: Pick<NeuronTable, "count" | "role" | "x" | "y">,
  { height, width }: { readonly height: number; readonly width: number },
): Csr {
  const where = "retinotopicProjection";
  for (const [name, extent] of [
    ["height", height],
    ["width", width],
  ] as const) {
    if (!Number.isSafeInteger(extent) || extent < 1) {
      throw new ArgumentError(where, name, "a whole number ≥ 1", `${extent}`);
    }
  }
  const { x, y } = neurons;
  if (x === null || y === null) {
    throw new ArgumentError(where, "neurons", "places of the neurons (columns u and v of the neuron table)", "none");
  }
  const rows: number[] = [];
  const cols: number[] = [];
  const weights: number[] = [];
  for (const i of neuronsOfRole(neurons, "input")) {
    const [left, right] = cell(x[i]!, width, `x of neuron ${i}`);
    const [top, bottom] = cell(y[i]!, height, `y of neuron ${i}`);
    for (const [row, rowShare] of [top, bottom]) {
      for (const [col, colShare] of [left, right]) {
        if (rowShare * colShare === 0) continue;
        rows.push(i);
        cols.push(row * width + col);
        weights.push(rowShare * colShare);
      }
    }
  }
  return csrFromCoo(
    { nRows: neurons.count, nCols: height * width, rows, cols, values: Float32Array.from(weights) },
    where,
  );
}

type Share = readonly [pixel: number, share: number];

/** The two pixels around a place on one axis, and how much each counts. */
function cell(place: number, extent: number, name: string): readonly [Share, Share] {
  if (!(place >= 0 && place <= 1)) {
    const got = Number.isNaN(place) ? "none" : `${place}`;
    throw new ArgumentError("retinotopicProjection", name, "a place from 0 to 1", got);
  }
  const at = place * (extent - 1);
  // The last pixel is the upper one of its cell, so that both lie in the image.
  const low = Math.min(Math.floor(at), Math.max(extent - 2, 0));
  const share = at - low;
  return [
    [low, 1 - share],
    [Math.min(low + 1, extent - 1), share],
  ];
}
