// A small made-up motion-vision system of the fly's kind: hexagonal columns, an ON and an OFF pathway, fast and slow cells between the
// photoreceptors and cells that may become selective to directions. It is invented, not measured. A direction can be seen where a
// fast signal of one column meets a slow one of its neighbour.
// Sources: Hassenstein, Reichardt, Z. Naturforsch. 11b, 513 (1956); Barlow, Levick, J. Physiol. 178, 477 (1965).

import { type Csr, mapValues } from "../core/csr.ts";
import { deriveKey, keyOfSeed, RandomStream } from "../core/random.ts";
import type { NeuronRole } from "../io/neuronTable.ts";
import { checkWhole } from "./checks.ts";
import { type ChannelConnection, connectChannels } from "./hexConvolution.ts";
import { HexagonalEye, hexagonalOffsets } from "./hexagon.ts";
import type { PlacedNeurons } from "./retinotopicConnectome.ts";

interface CellType {
  readonly name: string;
  readonly role: NeuronRole;
  readonly sign: 1 | -1;
  /** Initial time constant, in frames. */
  readonly tau: number;
  /** Initial resting potential. */
  readonly rest: number;
  /** Types that it gets input from, from how many columns around its own, and how strong all of it is together. */
  readonly from: readonly string[];
  readonly radius: number;
  readonly strength: number;
}

const DETECTORS = 4;

/** Relays of both pathways: fast and slow ones, excitatory and inhibitory. */
const RELAYS = ["OnFast", "OnSlow", "OnInhibitory", "OffFast", "OffSlow", "OffInhibitory"];

const RELAY_GAIN = 3;

const CELL_TYPES: readonly CellType[] = [
  { name: "R", role: "input", sign: -1, tau: 1, rest: 0, from: [], radius: 0, strength: 0 },
  { name: "C", role: "input", sign: 1, tau: 5, rest: 0, from: [], radius: 0, strength: 0 },
  { name: "LOn", role: "hidden", sign: -1, tau: 1, rest: 0.5, from: ["R", "C"], radius: 0, strength: 1 },
  { name: "LOff", role: "hidden", sign: 1, tau: 1, rest: 0.5, from: ["R", "C"], radius: 0, strength: 1 },
  ...RELAYS.map((name): CellType => ({
    name,
    role: "hidden",
    sign: name.endsWith("Inhibitory") ? -1 : 1,
    tau: name.endsWith("Fast") ? 1.2 : 4,
    rest: 0.5 * RELAY_GAIN * (name.startsWith("On") ? 1 : -1),
    from: [name.startsWith("On") ? "LOn" : "LOff"],
    radius: 0,
    strength: RELAY_GAIN,
  })),
  ...Array.from({ length: 2 * DETECTORS }, (_, d): CellType => {
    const name = `${d < DETECTORS ? "T4" : "T5"}${"abcdef"[d % DETECTORS]}`;
    return { name, role: "output", sign: 1, tau: 1.5, rest: 0, from: RELAYS, radius: 1, strength: 1 };
  }),
];

/** Options of `motionConnectome`. */
export interface MotionConnectomeOptions {
  /** Extent of the eye, in columns. Default 5: 91 columns. */
  readonly extent?: number;
  /** Default 1. */
  readonly seed?: number;
}

/** The network: neurons are numbered by type, then by column. */
export interface MotionConnectome extends PlacedNeurons {
  readonly eye: HexagonalEye;
  /** [count, count], row = post, column = pre; ±1 with the sign of the sending neuron. */
  readonly csr: Csr;
  /** Value for `sharedWeights` of a network: one strength per pair of types and offset. */
  readonly shared: { readonly group: Uint32Array; readonly nGroups: number; readonly strengthInit: Float64Array };
  /** [types] initial time constants, in frames, and resting potentials. */
  readonly tau: Float64Array;
  readonly rest: Float64Array;
}

export function motionConnectome({ extent = 5, seed = 1 }: MotionConnectomeOptions = {}): MotionConnectome {
  checkWhole("motionConnectome", "extent", extent, 1, 64);
  const eye = new HexagonalEye(extent);
  const stream = new RandomStream(deriveKey(keyOfSeed(seed), "motionConnectome"));
  const number = new Map(CELL_TYPES.map(({ name }, t) => [name, t]));
  const connections: ChannelConnection[] = [];
  const strengths: number[] = [];
  CELL_TYPES.forEach(({ from, radius, strength }, to) => {
    for (const name of from) {
      const offsets = hexagonalOffsets(radius);
      connections.push({ from: number.get(name)!, to, offsets });
      // Exponential: most offsets weak, few strong, which breaks the symmetry between directions.
      for (const _ of offsets)
        strengths.push(offsets.length === 1 ? strength : (-Math.log(1 - stream.uniform()) * strength) / offsets.length);
    }
  });
  const types = CELL_TYPES.length;
  const { csr, group, nGroups } = connectChannels(eye, connections, types, types);
  const count = types * eye.count;
  const typeOf = (i: number) => CELL_TYPES[Math.floor(i / eye.count)]!;
  const index = Array.from({ length: count }, (_, i) => i);
  const place = (coordinate: Float64Array) =>
    Float64Array.from(index, (i) => 0.5 + coordinate[i % eye.count]! / (2 * extent + 1));
  return {
    eye,
    csr: mapValues(csr, (_, __, pre) => typeOf(pre).sign),
    shared: { group, nGroups, strengthInit: Float64Array.from(strengths) },
    tau: Float64Array.from(CELL_TYPES, (type) => type.tau),
    rest: Float64Array.from(CELL_TYPES, (type) => type.rest),
    count,
    types: CELL_TYPES.map((type) => type.name),
    typeIdx: Uint32Array.from(index, (i) => Math.floor(i / eye.count)),
    role: index.map((i) => typeOf(i).role),
    sign: Int8Array.from(index, (i) => typeOf(i).sign),
    x: place(eye.x),
    y: place(eye.y),
  };
}
