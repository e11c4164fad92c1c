// Copies of MaleCNS by others: one safetensors file (QuixiAI), raw typed arrays with a manifest (fly-connectome-malecns-166k, -49k).

import { createHash } from "node:crypto";
import { mkdir, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import {
  bodyOf,
  type Expected,
  expectedOf,
  type SyntheticSet,
  signsOf,
  synapsesOf,
  TRANSMITTERS,
} from "./synthetic.ts";

type Array64 = BigInt64Array | Float64Array | Int32Array | Int8Array | Float32Array | Uint16Array;

export interface SafetensorsFiles {
  readonly model: string;
  readonly config: string;
}

const STATUSES = ["none", "Traced", "Unimportant"] as const;

/** Ids of all bodies; edges by their places among these; classes of the neurons, and their names in config.json. */
export async function writeMaleCnsSafetensors(folder: string, set: SyntheticSet): Promise<SafetensorsFiles> {
  const files = { model: join(folder, "model.safetensors"), config: join(folder, "config.json") };
  const { neurons, fragments, pairs } = set;
  // Fragments stand between the neurons.
  const order = [...neurons.keys(), ...fragments.map((_, i) => neurons.length + i)].sort((a, b) => (a % 7) - (b % 7));
  const place = new Map(order.map((body, i) => [body, i]));
  const superclasses = [...new Set(neurons.map(({ superclass }) => superclass))].sort();
  const status = (body: number): number => (body < neurons.length ? (neurons[body]!.isTraced ? 1 : 2) : 0);
  const withTransmitter = [...neurons.entries()].filter(([, { transmitter }]) => transmitter !== null);
  await writeTensors(files.model, {
    neuron_id: ["I64", BigInt64Array.from(order, (body) => BigInt(bodyOf(set, body)))],
    edge_src: ["I32", Int32Array.from(pairs, ({ pre }) => place.get(pre)!)],
    edge_dst: ["I32", Int32Array.from(pairs, ({ post }) => place.get(post)!)],
    synapse_count: ["I32", Int32Array.from(pairs, synapsesOf)],
    neuron_status: ["I8", Int8Array.from(order, status)],
    neuron_superclass: [
      "I8",
      Int8Array.from(order, (body) => (body < neurons.length ? superclasses.indexOf(neurons[body]!.superclass) : -1)),
    ],
    nt_neuron_index: ["I32", Int32Array.from(withTransmitter, ([i]) => place.get(i)!)],
    nt_class: ["I8", Int8Array.from(withTransmitter, ([, { transmitter }]) => TRANSMITTERS.indexOf(transmitter!))],
    nt_confidence: ["F64", Float64Array.from(withTransmitter, ([i]) => 1 / (i + 1))],
  });
  const labels = { status_labels: STATUSES, superclass_labels: superclasses, nt_labels: TRANSMITTERS };
  await writeFile(files.config, JSON.stringify(labels));
  return files;
}

/** The neurons of a set in the order of that file, which is not the order of the set. */
export function orderInSafetensors(set: SyntheticSet): readonly string[] {
  const order = [...set.neurons.keys()].sort((a, b) => (a % 7) - (b % 7));
  return order.map((i) => set.neurons[i]!.id);
}

async function writeTensors(
  file: string,
  tensors: Readonly<Record<string, readonly [string, Array64]>>,
): Promise<void> {
  let end = 0;
  const head = Object.fromEntries(
    Object.entries(tensors).map(([name, [dtype, data]]) => {
      const begin = end;
      end += data.byteLength;
      return [name, { dtype, shape: [data.length], data_offsets: [begin, end] }];
    }),
  );
  const json = JSON.stringify(head);
  const text = json.padEnd(Math.ceil(json.length / 8) * 8);
  const length = new BigUint64Array([BigInt(text.length)]);
  const parts = Object.values(tensors).map(([, data]) => bytesOf(data));
  await writeFile(file, Buffer.concat([bytesOf(length), Buffer.from(text), ...parts]));
}

function bytesOf(data: Array64 | BigUint64Array): Uint8Array {
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}

/** Weight of a synapse in the raw arrays. */
const PER_SYNAPSE = 0.275;

export interface RawArrays {
  readonly manifest: string;
  /** Connections that are there: by row, each of its sign. */
  readonly expected: Expected;
}

/** Raw arrays of the neurons: rows are postsynaptic, weights 0.275 · synapses · sign by Shiu's rule. @param sources  type of the sources */
export async function writeRawArrays(
  folder: string,
  set: SyntheticSet,
  sources: "i32" | "u16" = "i32",
): Promise<RawArrays> {
  const expected = expectedOf(set);
  const { neurons, connections } = expected;
  const signs = signsOf(neurons, "shiu");
  const offsets = new Int32Array(neurons.length + 1);
  for (const { post } of connections) offsets[post + 1]!++;
  for (let i = 0; i < neurons.length; i++) offsets[i + 1]! += offsets[i]!;
  const superclasses = [...new Set(neurons.map(({ superclass }) => superclass))].sort();
  const types = [...new Set(neurons.map(({ type }) => type ?? ""))].sort();
  const pre = connections.map((connection) => connection.pre);
  const weights = connections.map(({ pre: by, synapses }) => PER_SYNAPSE * synapses * signs[by]!);
  const descending = [...neurons.keys()].filter((i) => neurons[i]!.superclass === "descending");
  const content: Readonly<Record<string, Uint8Array>> = {
    "graph/edges_offsets.i32": bytesOf(offsets),
    [`graph/edges_source.${sources}`]: bytesOf(sources === "i32" ? Int32Array.from(pre) : Uint16Array.from(pre)),
    "graph/edges_weight.f32": bytesOf(Float32Array.from(weights)),
    "neurons/body_id.i64": bytesOf(BigInt64Array.from(neurons, ({ id }) => BigInt(id))),
    "neurons/superclass_index.i32": bytesOf(
      Int32Array.from(neurons, ({ superclass }) => superclasses.indexOf(superclass)),
    ),
    "neurons/superclass_labels.json": Buffer.from(JSON.stringify(superclasses)),
    "neurons/cell_type_index.i32": bytesOf(Int32Array.from(neurons, ({ type }) => types.indexOf(type ?? ""))),
    "neurons/cell_type_labels.json": Buffer.from(JSON.stringify(types)),
    "populations/descending.i32": bytesOf(Int32Array.from(descending)),
  };
  const files: Record<string, unknown> = {};
  for (const [path, bytes] of Object.entries(content)) {
    const file = join(folder, path);
    await mkdir(dirname(file), { recursive: true });
    await writeFile(file, bytes);
    files[path] = { file: path, bytes: bytes.length, sha256: createHash("sha256").update(bytes).digest("hex") };
  }
  const manifest = join(folder, "manifest.json");
  await writeFile(manifest, JSON.stringify({ files }, null, 2));
  return { manifest, expected };
}
