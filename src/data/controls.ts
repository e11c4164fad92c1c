// Controls of a connectome: networks that lack one of its properties and keep others. Each says which, and is checked for them.

import { type Csr, mapValues } from "../core/csr.ts";
import { ArgumentError } from "../core/errors.ts";
import { degreePreservingShuffle } from "./degreePreservingShuffle.ts";
import { erdosRenyiLike } from "./erdosRenyi.ts";
import {
  type ChangedMeasure,
  checkInvariant,
  compareMeasure,
  type InvariantContext,
  type InvariantName,
  type KeptMeasure,
} from "./invariants.ts";
import { checkPlaces } from "./lengths.ts";
import { commonConnections, type Mixing, type RewireOptions, rewire } from "./rewire.ts";
import { collapseWeights, shuffleMagnitudes, shuffleSigns } from "./shuffleWeights.ts";

/** Names of the controls. */
export const CONTROL_NAMES = [
  "shuffled",
  "random",
  "swapped",
  "swapped-reciprocal",
  "swapped-blocks",
  "swapped-signs",
  "swapped-distance",
  "weights-shuffled",
  "signs-shuffled",
  "neuron-signs-shuffled",
  "collapsed",
  "none",
] as const;
/** A control by its name. */
export type ControlName = (typeof CONTROL_NAMES)[number];

/** How a control is made. */
export interface ControlOptions extends InvariantContext {
  readonly seed: number;
  /** Of controls that swap connections, see `RewireOptions`. Default 5. */
  readonly swapsPerEdge?: number;
  readonly onProgress?: (done: number, total: number) => void;
}

/** A control: what it is, what it keeps and what it changes. */
export interface Control {
  /** For people, after "control:". */
  readonly summary: string;
  /** What it is made with; null: the connectome alone. */
  readonly needs: "blocks" | "lengths" | null;
  /** Whether it is made by swaps of connections. */
  readonly swaps: boolean;
  readonly keeps: readonly InvariantName[];
  readonly changes: readonly InvariantName[];
  readonly make: (csr: Csr, options: ControlOptions) => { readonly csr: Csr; readonly mixing: Mixing | null };
}

const SWAPPED: readonly InvariantName[] = [
  "distinct-connections",
  "self-loops",
  "in-degrees",
  "out-degrees",
  "source-weights",
  "neuron-signs",
];

/** A control by swaps, under some constraints. */
function bySwaps(
  summary: string,
  constraints: (options: ControlOptions) => Pick<RewireOptions, "reciprocity" | "signs" | "blocks" | "lengths">,
  { keeps, changes, needs = null }: Pick<Control, "keeps" | "changes"> & Partial<Pick<Control, "needs">>,
): Control {
  return {
    ...{ summary, needs, swaps: true, keeps: [...SWAPPED, ...keeps], changes },
    make: (csr, options) => {
      const { seed, swapsPerEdge, onProgress } = options;
      return rewire(csr, {
        ...{ ...constraints(options), seed },
        ...(swapsPerEdge !== undefined && { swapsPerEdge }),
        ...(onProgress && { onProgress }),
      });
    },
  };
}

/** A control that changes weights where they are. */
function inPlace(
  summary: string,
  change: (csr: Csr, options: ControlOptions) => Csr,
  { keeps, changes }: Pick<Control, "keeps" | "changes">,
): Control {
  const make: Control["make"] = (csr, options) => ({ csr: change(csr, options), mixing: null });
  return { ...{ summary, needs: null, swaps: false, keeps: ["pattern", ...keeps], changes }, make };
}

const WITH_BLOCKS = ({ blocks }: ControlOptions) => ({ ...(blocks && { blocks }) });
const WITH_LENGTHS = ({ lengths }: ControlOptions) => ({ ...(lengths && { lengths }) });

/** By name. */
export const CONTROLS: { readonly [Name in ControlName]: Control } = {
  shuffled: {
    summary: "partners shuffled, same degrees",
    ...{ needs: null, swaps: false },
    keeps: SWAPPED,
    changes: ["reciprocal-pairs", "signed-in-degrees", "total-input"],
    make: (csr, { seed }) => ({ csr: degreePreservingShuffle(csr, { seed }), mixing: null }),
  },
  random: {
    summary: "random partners, same density",
    ...{ needs: null, swaps: false },
    keeps: ["connections", "distinct-connections", "weights"],
    changes: ["in-degrees", "out-degrees", "reciprocal-pairs", "self-loops", "neuron-signs"],
    make: (csr, { seed }) => ({ csr: erdosRenyiLike(csr, { seed }), mixing: null }),
  },
  swapped: bySwaps("connections swapped, same degrees", () => ({}), {
    keeps: [],
    changes: ["reciprocal-pairs", "signed-in-degrees", "total-input"],
  }),
  "swapped-reciprocal": bySwaps(
    "connections swapped, same degrees and reciprocal pairs",
    () => ({ reciprocity: true }),
    { keeps: ["reciprocal-pairs"], changes: ["signed-in-degrees", "total-input"] },
  ),
  "swapped-blocks": bySwaps("connections swapped, same degrees and counts between blocks", WITH_BLOCKS, {
    needs: "blocks",
    keeps: ["block-counts"],
    changes: ["reciprocal-pairs", "signed-in-degrees", "total-input"],
  }),
  "swapped-signs": bySwaps("connections swapped, same degrees of each sign", () => ({ signs: true }), {
    keeps: ["signed-in-degrees", "signed-out-degrees"],
    changes: ["reciprocal-pairs", "total-input"],
  }),
  "swapped-distance": bySwaps("connections swapped, same degrees and lengths", WITH_LENGTHS, {
    needs: "lengths",
    keeps: ["lengths"],
    changes: ["reciprocal-pairs", "signed-in-degrees", "total-input"],
  }),
  "weights-shuffled": inPlace(
    "magnitudes of the weights shuffled among all connections",
    (csr, { seed }) => shuffleMagnitudes(csr, { seed }),
    { keeps: ["signs", "magnitudes"], changes: ["total-input", "total-output"] },
  ),
  "signs-shuffled": inPlace(
    "signs shuffled among all connections",
    (csr, { seed }) => shuffleSigns(csr, { seed, among: "connections" }),
    {
      keeps: ["magnitudes", "sign-counts", "total-input", "total-output"],
      changes: ["signs", "signed-in-degrees", "neuron-signs"],
    },
  ),
  "neuron-signs-shuffled": inPlace(
    "signs shuffled among neurons",
    (csr, { seed }) => shuffleSigns(csr, { seed, among: "neurons" }),
    {
      keeps: ["magnitudes", "neuron-signs", "total-input", "total-output"],
      changes: ["signs", "sign-counts", "signed-in-degrees"],
    },
  ),
  collapsed: inPlace("all weights of a sign equal, their mean", (csr) => collapseWeights(csr), {
    keeps: ["signs"],
    changes: ["magnitudes", "total-input", "total-output"],
  }),
  none: inPlace("no connections, W = 0", (csr) => mapValues(csr, () => 0), {
    keeps: [],
    changes: ["magnitudes"],
  }),
};

/** What a control is, and what was found on it. Plain JSON. */
export interface ControlReport {
  readonly control: ControlName;
  readonly summary: string;
  readonly seed: number;
  /** Checked to be exactly as in the original. */
  readonly keeps: readonly KeptMeasure[];
  readonly changes: readonly ChangedMeasure[];
  /** Part of all connections whose pair of neurons was not connected before. */
  readonly moved: number;
  /** Of controls by swaps; null: of others. */
  readonly mixing: Mixing | null;
  /** With lengths: the width of a bin, in the unit of the positions. */
  readonly binWidth?: number;
}

/** A control that has been made and checked. */
export interface MadeControl {
  readonly csr: Csr;
  readonly report: ControlReport;
}

/**
 * Makes a control of a connectome and checks that it keeps what it says. It is a function of the connectome, the options and the seed.
 *
 * @throws {ArgumentError} blocks or lengths that the control needs are missing; whatever its function refuses
 * @throws {InvariantError} the control does not keep what it says: a fault of axograd
 */
export function makeControl(csr: Csr, name: ControlName, options: ControlOptions): MadeControl {
  const { seed, lengths } = options;
  const control = CONTROLS[name];
  const { needs } = control;
  if (needs !== null && !options[needs]) {
    throw new ArgumentError("makeControl", needs, `${needs} with "${name}"`, "none");
  }
  const { csr: made, mixing } = control.make(csr, options);
  const { keeps, changes } = checkControl(csr, made, name, options);
  const report: ControlReport = {
    ...{ control: name, summary: control.summary, seed, keeps, changes, mixing },
    moved: mixing?.moved ?? (csr.nnz === 0 ? 0 : 1 - commonConnections(csr, made) / csr.nnz),
    ...(needs === "lengths" && { binWidth: checkPlaces("makeControl", lengths!, csr.nRows).binWidth }),
  };
  return { csr: made, report };
}

/**
 * What `made` keeps of `original` and what it changes, as the control says.
 *
 * @throws {InvariantError} it does not keep it; names the measure and the first entry that differs
 * @throws {ArgumentError | ShapeError} blocks or lengths that a measure needs and that are missing or wrong
 */
export function checkControl(
  original: Csr,
  made: Csr,
  name: ControlName,
  context: InvariantContext = {},
): Pick<ControlReport, "keeps" | "changes"> {
  const { keeps, changes } = CONTROLS[name];
  return {
    keeps: keeps.map((measure) => checkInvariant(original, made, measure, context)),
    changes: changes.map((measure) => compareMeasure(original, made, measure, context)),
  };
}
