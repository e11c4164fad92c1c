// MaleCNS v1.0: flat Feather files.

import { join } from "node:path";
import { dictionary, float64, int8, int32, int64, list, utf8 } from "@uwdata/flechette";
import { int64s, texts, writeFeather } from "./files.ts";
import { bodyOf, type SyntheticNeuron, type SyntheticSet, synapsesOf, type Transmitter } from "./synthetic.ts";

export interface MaleCnsFiles {
  readonly weights: string;
  readonly tracedOnly: string;
  readonly annotations: string;
  readonly transmitters: string;
}

export const NAMES: MaleCnsFiles = {
  weights: "connectome-weights-male-cns-v1.0-minconf-0.5.feather",
  tracedOnly: "connectome-weights-male-cns-v1.0-minconf-0.5-traced-only.feather",
  annotations: "body-annotations-male-cns-v1.0-minconf-0.5.feather",
  transmitters: "body-neurotransmitters-male-cns-v1.0.feather",
};

/** Writes a set; the first two fragments are annotated, without a superclass. The transmitter of a neuron is in one of three columns. */
export async function writeMaleCns(folder: string, set: SyntheticSet): Promise<MaleCnsFiles> {
  const files: MaleCnsFiles = {
    weights: join(folder, NAMES.weights),
    tracedOnly: join(folder, NAMES.tracedOnly),
    annotations: join(folder, NAMES.annotations),
    transmitters: join(folder, NAMES.transmitters),
  };
  const rows = set.pairs
    .map((pair) => ({ ...pair, pre: bodyOf(set, pair.pre), post: bodyOf(set, pair.post), weight: synapsesOf(pair) }))
    .sort((a, b) => b.weight - a.weight);
  const edges = (list: typeof rows) => ({
    body_pre: int64s(list.map(({ pre }) => pre)),
    body_post: int64s(list.map(({ post }) => post)),
    weight: int64s(list.map(({ weight }) => weight)),
  });
  await writeFeather(files.weights, edges(rows));
  const typeOf = new Map(set.neurons.filter(({ isTraced }) => isTraced).map(({ id, type }) => [id, type]));
  const traced = rows.filter(({ pre, post }) => typeOf.has(pre) && typeOf.has(post)).reverse();
  await writeFeather(files.tracedOnly, {
    ...edges(traced),
    type_pre: texts(traced.map(({ pre }) => typeOf.get(pre)!)),
    type_post: texts(traced.map(({ post }) => typeOf.get(post)!)),
  });
  const bodies: readonly (SyntheticNeuron | string)[] = [...set.neurons, ...set.fragments.slice(0, 2)];
  await writeAnnotations(files.annotations, bodies);
  await writeTransmitters(files.transmitters, set.neurons);
  return files;
}

async function writeAnnotations(file: string, bodies: readonly (SyntheticNeuron | string)[]): Promise<void> {
  const column = (of: (neuron: SyntheticNeuron, i: number) => string | null) =>
    texts(bodies.map((body, i) => (typeof body === "string" ? null : of(body, i))));
  // The side is in the first, the second or the third column that may have it.
  const side = (place: number) => (neuron: SyntheticNeuron, i: number) => (i % 3 === place ? neuron.side : null);
  const label = bodies.map((body) => (typeof body === "string" ? "Orphan" : body.isTraced ? "Traced" : "Unimportant"));
  await writeFeather(file, {
    bodyId: int64s(bodies.map((body) => (typeof body === "string" ? body : body.id))),
    type: column(({ type }) => type),
    superclass: column(({ superclass }) => superclass),
    class: column((neuron) => neuron.class),
    somaSide: column(side(0)),
    rootSide: column(side(1)),
    instance: column((neuron, i) => `${neuron.type ?? "T"}_${side(2)(neuron, i) ?? "x"}`),
    status: column(({ isTraced }) => (isTraced ? "Traced" : null)),
    statusLabel: [dictionary(utf8(), int8(), true), label],
    group: [float64(), bodies.map((_, i) => (i % 2 === 0 ? i : null))],
    somaLocation: [list(int64()), bodies.map((_, i) => (i % 3 === 0 ? null : [i, 2 * i, 3 * i]))],
  });
}

async function writeTransmitters(file: string, neurons: readonly SyntheticNeuron[]): Promise<void> {
  // Neurons without a transmitter have no row. What stands in a later column than the first counts only where those before are unclear.
  const rows = neurons.filter(({ transmitter }) => transmitter !== null);
  const column = (place: number) =>
    texts(
      rows.map(({ transmitter }, i): Transmitter => {
        const at = i % 3;
        if (place === at) return transmitter;
        return place > at ? (transmitter === "unclear" ? "unclear" : "dopamine") : i % 2 === 0 ? "unclear" : null;
      }),
    );
  await writeFeather(file, {
    body: int64s(rows.map(({ id }) => id)),
    cell_type: texts(rows.map(({ type }) => type)),
    total_nt_predictions: [int32(), rows.map((_, i) => 10 * i)],
    predicted_nt_confidence: [float64(), rows.map((_, i) => i / rows.length)],
    predicted_nt: column(2),
    celltype_predicted_nt: column(1),
    celltype_predicted_nt_confidence: [float64(), rows.map((_, i) => (i % 4 === 0 ? null : 0.5))],
    consensus_nt: column(0),
  });
}
