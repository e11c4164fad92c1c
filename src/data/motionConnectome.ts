// A small made-up motion-vision system of the fly's kind: hexagonal columns, an ON and an OFF pathway, fast and slow cells between the
// photoreceptors and cells that may become selective to directions. It is invented, not measured. A direction can be seen where a
// fast signal of one column meets a slow one of its neighbour.
// Sources: Hassenstein, Reichardt, Z. Naturforsch. 11b, 513 (1956); Barlow, Levick, J. Physiol. 178, 477 (1965).

import { type Csr, mapValues } from "../core/csr.ts";
import { deriveKey, keyOfSeed, RandomStream } from "../core/random.ts";
import type { NeuronRole } from "../io/neuronTable.ts";
import { checkWhole } from "./checks.ts";
import { HexagonalEye, type HexagonalOffset, hexagonalOffsets } from "./hexagon.ts";
import { type ChannelConnection, connectChannels } from "./hexConvolution.ts";
import type { PlacedNeurons } from "./retinotopicConnectome.ts";

interface CellType {
  readonly name: string;
  readonly role: NeuronRole;
  readonly sign: 1 | -1;
  /** Initial time constant, in frames. */
  readonly tau: number;
  /** Initial bias. */
  readonly rest: number;
  readonly inputs: readonly Input[];
}

/** Connections from a type, at the offsets of the sending columns, and how strong all of them are together at first. */
interface Input {
  readonly from: string;
  readonly strength: number;
  readonly offsets: readonly HexagonalOffset[];
}

const HERE = hexagonalOffsets(0);
/** The six neighbours, in order around. */
const AROUND = hexagonalOffsets(1).slice(1);
/** Gain of the relays, which carry changes only. */
const GAIN = 3;

const RELAYS = ["OnFast", "OnSlow", "OnInhibitory", "OffFast", "OffSlow", "OffInhibitory"] as const;
/** Strength of all weak connections from a type together. */
const WEAK = 0.1;

const fromHere = (from: string, strength: number): Input => ({ from, strength, offsets: HERE });

/** Relays of a pathway get more input when the light rises (On) or falls (Off), relative to its slow average. */
function pathway(name: "On" | "Off"): CellType[] {
  const rest = name === "On" ? GAIN / 2 : -GAIN / 2;
  const inputs = [fromHere(`L${name}`, GAIN)];
  return [
    { name: `${name}Fast`, role: "hidden", sign: 1, tau: 1.2, rest, inputs },
    { name: `${name}Slow`, role: "hidden", sign: 1, tau: 4, rest, inputs },
    { name: `${name}Inhibitory`, role: "hidden", sign: -1, tau: 4, rest, inputs },
  ];
}

/**
 * A detector for each of the six directions to a neighbour: excited fast by its own column and slowly by the three from where its
 * preferred motion comes, inhibited by the three where that goes. All other connections from relays of its column and the neighbours
 * exist, but are weak.
 */
function detectors(name: string, path: "On" | "Off"): CellType[] {
  return AROUND.map((_, d) => {
    const three = (middle: number): HexagonalOffset[] => [5, 0, 1].map((turn) => AROUND[(middle + turn) % 6]!);
    const strong: readonly Input[] = [
      fromHere(`${path}Fast`, 2),
      { from: `${path}Slow`, strength: 1, offsets: three(d + 3) },
      { from: `${path}Inhibitory`, strength: 3, offsets: three(d) },
    ];
    const weak = RELAYS.map((from): Input => {
      const taken = strong.find((input) => input.from === from)?.offsets ?? [];
      const offsets = [...HERE, ...AROUND].filter((offset) => !taken.includes(offset));
      return { from, strength: WEAK, offsets };
    });
    const inputs = [...strong, ...weak];
    return { name: `${name}${"abcdef"[d]}`, role: "output", sign: 1, tau: 4, rest: -0.2, inputs };
  });
}

/** Numbers follow this order, type by type. */
const CELL_TYPES: readonly CellType[] = [
  { name: "R", role: "input", sign: -1, tau: 1, rest: 0, inputs: [] },
  { name: "C", role: "input", sign: 1, tau: 5, rest: 0, inputs: [] },
  { name: "LOn", role: "hidden", sign: -1, tau: 1, rest: 0.5, inputs: [fromHere("R", 1), fromHere("C", 1)] },
  { name: "LOff", role: "hidden", sign: 1, tau: 1, rest: 0.5, inputs: [fromHere("R", 1), fromHere("C", 1)] },
  ...pathway("On"),
  ...pathway("Off"),
  ...detectors("T4", "On"),
  ...detectors("T5", "Off"),
];

/** Standard deviation of the logarithm of a strength. */
const SPREAD = 0.3;

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
  /** [types] initial time constants, in frames. */
  readonly tau: Float64Array;
  /** [types] initial biases. */
  readonly rest: Float64Array;
}

/**
 * Builds the network, of rates: h ← h + (relu(W·h + b + input) − h)/τ. Every column has an input cell R and a slower one C, both driven by
 * its luminance; cells LOn and LOff, whose input is the difference; fast, slow and inhibitory relays for rising (On) and falling (Off)
 * light; and detectors T4a … T4f (On) and T5a … T5f (Off), one for the direction to each neighbour, which are the outputs. Connections
 * repeat in every column. Initial strengths of the detectors' lateral inputs vary with the seed. O(connections).
 *
 * @throws {ArgumentError} an extent or seed that is no whole number in range
 */
export function motionConnectome({ extent = 5, seed = 1 }: MotionConnectomeOptions = {}): MotionConnectome {
  checkWhole("motionConnectome", "extent", extent, 1, 64);
  const eye = new HexagonalEye(extent);
  const stream = new RandomStream(deriveKey(keyOfSeed(seed), "motionConnectome"));
  const number = new Map(CELL_TYPES.map(({ name }, t) => [name, t]));
  const connections: ChannelConnection[] = [];
  const strengths: number[] = [];
  CELL_TYPES.forEach(({ inputs }, to) => {
    for (const { from, strength, offsets } of inputs) {
      connections.push({ from: number.get(from)!, to, offsets });
      // Connections within a column are balanced: they differ by their signs only.
      const spread = offsets.length > 1 ? SPREAD : 0;
      for (const _ of offsets) strengths.push((strength / offsets.length) * Math.exp(spread * stream.normal()));
    }
  });
  const types = CELL_TYPES.length;
  const { csr, group, nGroups } = connectChannels(eye, connections, types, types);
  const count = types * eye.count;
  const typeOf = (i: number) => CELL_TYPES[Math.floor(i / eye.count)]!;
  const index = Array.from({ length: count }, (_, i) => i);
  /** The eye fills the unit square, as in neuron tables. */
  const place = (coordinate: Float64Array, half: number) =>
    Float64Array.from(index, (i) => 0.5 + coordinate[i % eye.count]! / (2 * half));
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
    x: place(eye.x, (Math.sqrt(3) / 2) * extent),
    y: place(eye.y, extent),
  };
}
