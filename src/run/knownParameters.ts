// Parameters that a run should have found: those of the teacher that made its samples, or of a file.

import type { KnownParameters } from "../analysis/changes/changes.ts";
import type { Csr } from "../core/csr.ts";
import { FileFormatError } from "../core/errors.ts";
import { hasIds, idOf } from "../data/selectors.ts";
import { readLabelledConnectome } from "../io/connectome.ts";
import { withFile } from "../io/files.ts";
import { readSafetensorsHeader, readTensor, type SafeTensor } from "../io/safetensors.ts";
import { NETWORK_PREFIX } from "../models/network/parameters.ts";
import type { OpenedRun } from "./openRun.ts";

/** Those of the teacher of a run; null: its task has none. */
export function teacherParameters({ data: { teacher } }: Pick<OpenedRun, "data">): KnownParameters | null {
  return teacher && { source: "the teacher of the task", ...teacher };
}

/**
 * Weights from the file of a connectome, as they are in it; from a state dictionary (`exportStateDict`, torch-biopl) time constants and biases, too.
 * Neurons are in the order of the run's; where both have ids, they are compared.
 *
 * @throws {FileFormatError} a damaged file, or other neurons
 */
export async function readKnownParameters(
  file: string,
  run: Pick<OpenedRun, "connectome" | "selectable" | "model">,
): Promise<KnownParameters> {
  const { nRows } = run.connectome;
  const dictionary = file.endsWith(".safetensors") ? await readDictionary(file) : null;
  if (dictionary) {
    const { prefix, tau, bias } = dictionary;
    const { csr } = await readLabelledConnectome(file, { key: `${prefix}hh` });
    const perNeuron = (leaf: string, tensor: SafeTensor | null) => tensor && spread(file, run, leaf, tensor);
    return {
      source: file,
      weights: csr.nRows < nRows ? grown(csr, nRows) : csr,
      tau: perNeuron("tau", tau),
      bias: perNeuron("bias", bias),
    };
  }
  const { csr, labels } = await readLabelledConnectome(file);
  if (csr.nRows !== nRows) throw new FileFormatError(file, `${nRows} neurons, as the run has`, `${csr.nRows}`);
  if (labels && hasIds(run.selectable)) {
    const at = labels.findIndex((label, i) => String(label) !== idOf(run.selectable, i));
    if (at >= 0)
      throw new FileFormatError(file, `${idOf(run.selectable, at)} as neuron ${at}, as the run has`, `${labels[at]}`);
  }
  return { source: file, weights: csr, tau: null, bias: null };
}

interface Dictionary {
  /** Before the names of its tensors. */
  readonly prefix: string;
  readonly tau: SafeTensor | null;
  readonly bias: SafeTensor | null;
}

/** Parts of a state dictionary; null: the file is none. */
function readDictionary(file: string): Promise<Dictionary | null> {
  return withFile(file, "a safetensors file", async (source) => {
    const { places } = await readSafetensorsHeader(source, file);
    const place = (name: string) => places.find((tensor) => tensor.name === name);
    const prefix = [NETWORK_PREFIX, ""].find((own) => place(`${own}hh.indices`));
    if (prefix === undefined) return null;
    if (!place(`${prefix}hh.values`)) {
      const expected = "weights per connection (of another run: --against RUN)";
      throw new FileFormatError(file, expected, "strengths that connections share");
    }
    const tensor = async (name: string) => {
      const found = place(prefix + name);
      return found ? readTensor(source, found, file) : null;
    };
    return { prefix, tau: await tensor("tau"), bias: await tensor("hh.bias") };
  });
}

/** A value per neuron, of a tensor of as many or of one value per type. */
function spread(file: string, { model }: Pick<OpenedRun, "model">, leaf: string, { data }: SafeTensor): Float64Array {
  const values = Float64Array.from(data as ArrayLike<number>, Number);
  const { numNeurons } = model.rnn.options;
  if (values.length === numNeurons) return values;
  const own = model.parameters.all().find((p) => p.leaf === leaf);
  if (own?.shared && own.size === values.length) return Float64Array.from(own.shared.by, (g) => values[g]!);
  throw new FileFormatError(file, `${numNeurons} numbers of ${leaf}, one per neuron`, `${values.length}`);
}

/** With rows and columns without connections behind the last ones: coordinates do not tell how many there are. */
function grown(csr: Csr, n: number): Csr {
  const rowPtr = new Uint32Array(n + 1).fill(csr.nnz);
  rowPtr.set(csr.rowPtr);
  return { ...csr, nRows: n, nCols: n, rowPtr };
}
