// Small made-up connectomes with the traps of the published ones, and what an importer must find in them. The writers beside this file put them
// into the layouts that data sets are published in.

import { deriveKey, keyOfSeed, RandomStream } from "../../../src/core/random.ts";

/** Transmitters as MaleCNS writes them. "unclear": not known; null: no cell in the table. */
export const TRANSMITTERS = [
  "acetylcholine",
  "gaba",
  "glutamate",
  "dopamine",
  "serotonin",
  "octopamine",
  "histamine",
  "unclear",
] as const;
export type Transmitter = (typeof TRANSMITTERS)[number] | null;

/** Superclasses by their part in FlyWire and MaleCNS: the first are sensory, the last ones leave the brain. */
const SUPERCLASSES = [
  "cb_sensory",
  "ol_intrinsic",
  "cb_intrinsic",
  "visual_projection",
  "descending",
  "cb_motor",
] as const;

export interface SyntheticNeuron {
  /** Digits, or a name. */
  readonly id: string;
  readonly type: string | null;
  readonly superclass: string;
  readonly class: string | null;
  readonly side: "L" | "R" | "M" | null;
  /** Traced, or something else. */
  readonly isTraced: boolean;
  readonly transmitter: Transmitter;
}

/** Synapses from one body to another, in parts: a row of a table has all of them or one part. */
export interface SyntheticPair {
  /** Index of a neuron, or, from the number of neurons on, of a fragment. */
  readonly pre: number;
  readonly post: number;
  readonly parts: readonly number[];
}

export interface SyntheticSet {
  /** In the order of the tables, which is not that of the ids. */
  readonly neurons: readonly SyntheticNeuron[];
  /** Bodies that are no neurons. */
  readonly fragments: readonly string[];
  /** No pair twice. */
  readonly pairs: readonly SyntheticPair[];
}

/** How ids are made: those of FlyWire (18 digits, neighbours), of MaleCNS (small; large fragments), of MANC (five digits), names. */
export type IdStyle = "flywire" | "malecns" | "manc" | "names";

export interface SyntheticOptions {
  readonly ids: IdStyle;
  /** At least 8. Default 24. */
  readonly neurons?: number;
  /** Pairs beside those that are traps. Default 120. */
  readonly pairs?: number;
  readonly seed?: number;
}

/**
 * A made-up set. Whatever the seed, it has: neurons 0, 1 and 2, and fragment 0, with ids that follow one another, so that doubles cannot tell
 * FlyWire's apart; 0 → 1 with parts of 2 and 2, and 1 → 0 with 1 and 1, so that a threshold of 3 keeps the sum of the first and no part; 2 → 2;
 * 3 → 4 with 300; fragments at either end; a transmitter that is unclear (neuron 5) and one that is missing (neuron 6); a neuron that is not
 * traced (7).
 */
export function syntheticSet({ ids, neurons = 24, pairs = 120, seed = 0 }: SyntheticOptions): SyntheticSet {
  const stream = new RandomStream(deriveKey(keyOfSeed(seed), "synthetic set"));
  const below = (n: number): number => Math.floor(stream.uniform() * n);
  const pick = <T>(list: readonly T[]): T => list[below(list.length)]!;
  const fragmentCount = 6;
  const names = idsOf(ids, neurons + fragmentCount, below);
  const made = Array.from({ length: neurons }, (_, i): SyntheticNeuron => {
    const superclass = i < SUPERCLASSES.length ? SUPERCLASSES[i]! : pick(SUPERCLASSES);
    return {
      id: names[i]!,
      type: below(8) === 0 ? null : `T${below(Math.ceil(neurons / 4))}`,
      superclass,
      class: below(3) === 0 ? "ORN" : null,
      side: pick(["L", "R", "L", "R", "M", null]),
      isTraced: i !== 7,
      transmitter: i === 5 ? "unclear" : i === 6 ? null : pick(TRANSMITTERS),
    };
  });
  const all: SyntheticPair[] = [
    { pre: 0, post: 1, parts: [2, 2] },
    { pre: 1, post: 0, parts: [1, 1] },
    { pre: 2, post: 2, parts: [3] },
    { pre: 3, post: 4, parts: [300] },
    { pre: 7, post: 3, parts: [6, 1] },
    { pre: 0, post: neurons, parts: [1] },
    { pre: neurons, post: 1, parts: [5] },
    { pre: neurons + 1, post: neurons + 2, parts: [1] },
  ];
  const taken = new Set(all.map(({ pre, post }) => pre * 1000 + post));
  for (let k = 0; k < pairs; k++) {
    const [pre, post] = [below(neurons), below(neurons + (k % 8 === 0 ? fragmentCount : 0))];
    if (taken.has(pre * 1000 + post)) continue;
    taken.add(pre * 1000 + post);
    const parts = Array.from({ length: 1 + below(3) }, () => 1 + Math.floor(1 / (stream.uniform() + 0.05)));
    all.push({ pre, post, parts });
  }
  return { neurons: made, fragments: names.slice(neurons), pairs: shuffled(all, below) };
}

/** Different ids, not ascending; the first three and the one after the neurons' follow one another. */
function idsOf(style: IdStyle, count: number, below: (n: number) => number): string[] {
  if (style === "names")
    return Array.from({ length: count }, (_, i) => (i % 5 === 4 ? `${100 + i}` : `AV${count - i}`));
  const first = { flywire: 720575940629970487n, malecns: 10001n, manc: 10023n }[style];
  const step = style === "flywire" ? 3000 : 7;
  let next = first + 4n;
  const rest = Array.from({ length: count - 4 }, () => {
    next += 1n + BigInt(below(step));
    return next;
  });
  const fragments = 5;
  const neuronIds = shuffled(rest.slice(0, -fragments), below);
  // Fragments of MaleCNS have large ids, up to 1,571,863,634.
  const others = rest.slice(-fragments).map((id) => (style === "malecns" ? id + 1_571_000_000n : id));
  return [first + 1n, first, first + 2n, ...neuronIds, first + 3n, ...others].map(String);
}

function shuffled<T>(list: readonly T[], below: (n: number) => number): T[] {
  const own = [...list];
  for (let i = own.length - 1; i > 0; i--) {
    const j = below(i + 1);
    [own[i], own[j]] = [own[j]!, own[i]!];
  }
  return own;
}

/** The id of a neuron or a fragment. */
export function bodyOf({ neurons, fragments }: SyntheticSet, index: number): string {
  return index < neurons.length ? neurons[index]!.id : fragments[index - neurons.length]!;
}

/** Synapses of a pair. */
export function synapsesOf({ parts }: SyntheticPair): number {
  return parts.reduce((sum, part) => sum + part, 0);
}

/** A connection between neurons that are kept, by their places among these. */
export interface ExpectedConnection {
  readonly pre: number;
  readonly post: number;
  readonly synapses: number;
}

/** What an import must find. */
export interface Expected {
  /** Of the neurons kept, in the order of the table. */
  readonly ids: readonly string[];
  readonly neurons: readonly SyntheticNeuron[];
  /** By post, then by pre. */
  readonly connections: readonly ExpectedConnection[];
  readonly synapses: number;
}

export interface ExpectedOptions {
  /** Neurons to keep. Default: all, and no fragment. */
  readonly keep?: (neuron: SyntheticNeuron) => boolean;
  /** Least synapses of a pair. Default 1. */
  readonly minSynapses?: number;
}

/** What remains of a set. */
export function expectedOf(set: SyntheticSet, { keep = () => true, minSynapses = 1 }: ExpectedOptions = {}): Expected {
  const neurons = set.neurons.filter(keep);
  const place = new Map(neurons.map(({ id }, i) => [id, i]));
  const connections = set.pairs
    .map((pair) => ({
      pre: place.get(bodyOf(set, pair.pre)) ?? -1,
      post: place.get(bodyOf(set, pair.post)) ?? -1,
      synapses: synapsesOf(pair),
    }))
    .filter(({ pre, post, synapses }) => pre >= 0 && post >= 0 && synapses >= minSynapses)
    .sort((a, b) => a.post - b.post || a.pre - b.pre);
  const synapses = connections.reduce((sum, connection) => sum + connection.synapses, 0);
  return { ids: neurons.map(({ id }) => id), neurons, connections, synapses };
}

/** Rules of signs; "unclear" and missing transmitters count as none. */
export type SignRule = "shiu" | "strict" | "permissive";

/**
 * The sign of each neuron's synapses: +1, −1, or 0 where the rule has none. Shiu: GABA and glutamate −, all else +. Strict: acetylcholine +;
 * GABA, glutamate, histamine −; else none. Permissive: acetylcholine, dopamine, serotonin, octopamine +; GABA, glutamate, histamine −.
 */
export function signsOf(neurons: readonly SyntheticNeuron[], rule: SignRule): number[] {
  const negative = rule === "shiu" ? ["gaba", "glutamate"] : ["gaba", "glutamate", "histamine"];
  const positive = rule === "strict" ? ["acetylcholine"] : ["acetylcholine", "dopamine", "serotonin", "octopamine"];
  return neurons.map(({ transmitter }) => {
    if (negative.includes(transmitter ?? "")) return -1;
    return rule === "shiu" || positive.includes(transmitter ?? "") ? 1 : 0;
  });
}
