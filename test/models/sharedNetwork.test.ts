// Networks whose parameters belong to types of neurons (as in flyvis): gradients against differences, devices against double precision;
// on generated data, and on flyvis' own connectome where it is there.

import * as assert from "uvu/assert";
import type { Backend } from "../../src/backend/backend.ts";
import { createWasmBackend } from "../../src/backend/wasm/backend.ts";
import { createWebGpuBackend } from "../../src/backend/webgpu/backend.ts";
import { crossCheck } from "../../src/check/crossCheck.ts";
import type { Subject } from "../../src/check/subject.ts";
import { type Csr, withValues } from "../../src/core/csr.ts";
import { unitRoundoff } from "../../src/core/dtype.ts";
import { keyOfSeed, RandomStream } from "../../src/core/random.ts";
import {
  absolute,
  sharedByTypePair,
  signByTypePair,
  type TypedNeurons,
  typedConnectome,
} from "../../src/data/connectomes.ts";
import { readNeuronTable } from "../../src/io/neuronTable.ts";
import { readSparseNpz } from "../../src/io/npz.ts";
import { readTypeEdges } from "../../src/io/typeEdges.ts";
import { ConnectomeODERNN } from "../../src/models/connectomeOdeRnn.ts";
import { withWrongInstruction, wrongSign } from "../check/wrong.ts";
import { sharedPath } from "../support/shared.ts";
import { testOrSkip } from "../support/skip.ts";
import { requireTestAdapter } from "../support/softwareAdapter.ts";
import { suite } from "../support/suite.ts";
import { BIAS, STRENGTH, sharedNetwork, sharedSubject, TAU } from "./sharedSubject.ts";

const SEED = 5;
/** Of each kind of parameter that differences are taken of one by one. */
const SAMPLED = 6;

/** Counts of synapses, negative from some types, of either sign from one. */
function generated(): { csr: Csr; neurons: TypedNeurons } {
  const types = ["exc", "inh", "mixed", "out"];
  const { csr, typeIdx } = typedConnectome({
    typeCounts: [20, 12, 9, 7],
    connectivity: [
      [0.1, 0.3, 0.2, 0],
      [0.3, 0, 0.2, 0.1],
      [0.2, 0.2, 0.1, 0],
      [0.4, 0.3, 0, 0.2],
    ],
    seed: SEED,
  });
  const stream = new RandomStream(keyOfSeed(SEED));
  const signOf = (pre: number, post: number) => (pre === 1 || (pre === 2 && post === 0) ? -1 : 1);
  const counts = csr.values.slice();
  for (let post = 0; post < csr.nRows; post++) {
    for (let k = csr.rowPtr[post]!; k < csr.rowPtr[post + 1]!; k++)
      counts[k] = (1 + stream.below(20)) * signOf(typeIdx[csr.colIdx[k]!]!, typeIdx[post]!);
  }
  return { csr: withValues(csr, counts), neurons: { types, typeIdx } };
}

const folder = sharedPath("data", "flyvis");
const inFlyvis = (name: string) => sharedPath("data", "flyvis", name)!;
const hasAdapter = (await requireTestAdapter()) !== null;

interface Context {
  f64: Backend;
  singles: { name: string; backend: Backend }[];
}

const test = suite<Context>("networks with parameters of types", {} as Context);

test.before(async (context) => {
  context.f64 = await createWasmBackend({ dtype: "f64", threads: 2 });
  context.singles = [{ name: "wasm f32", backend: await createWasmBackend({ dtype: "f32", threads: 2 }) }];
  if (hasAdapter) context.singles.push({ name: "webgpu f32", backend: await createWebGpuBackend() });
});
test.after(async ({ f64, singles }) => {
  for (const { backend } of [{ backend: f64 }, ...singles]) await backend.dispose();
});

async function flyvis(extent: number): Promise<{ csr: Csr; neurons: TypedNeurons }> {
  const csr = await readSparseNpz(inFlyvis(`flyvis_e${extent}_csr.npz`));
  return { csr, neurons: await readNeuronTable(inFlyvis(`flyvis_e${extent}_neurons.csv`)) };
}

/** Differences along random directions, and every f32 device against f64 within bounds derived from the data. */
async function checkDevices(subject: Subject, { f64, singles }: Context): Promise<void> {
  const { comparisons } = await crossCheck(subject, { name: "wasm f64", backend: f64 }, singles, SEED);
  for (const c of comparisons) assert.is(c.verdict, "ok", `${c.quantity} of ${c.compared}: ${c.error} of ${c.bound}`);
  const checked = comparisons.map((c) => `${c.quantity} of ${c.compared}`);
  for (const name of [STRENGTH, BIAS, TAU]) {
    for (const witness of ["wasm f64", ...singles.map((s) => s.name)])
      assert.ok(checked.includes(`gradient of ${name} of ${witness}`), `${name}, ${witness}`);
  }
}

/**
 * Differences of the loss by single entries. Bounds: what steps h and 2h differ by (three times the truncation error), and the
 * rounding of a loss of that size, counted as 3000 roundings.
 */
async function checkEntries({ open, point }: Subject, backend: Backend): Promise<void> {
  const free = open(backend, null);
  const { steps } = await free.evaluate(point, { gradients: false });
  free.dispose();
  const session = open(backend, steps);
  const { gradients, loss } = await session.evaluate(point, { gradients: true });
  const stream = new RandomStream(keyOfSeed(SEED));
  for (const name of [STRENGTH, BIAS, TAU]) {
    const x = point[name]!;
    const largest = Math.max(...gradients[name]!.map(Math.abs));
    for (let n = 0; n < SAMPLED; n++) {
      const i = stream.below(x.length);
      const h = 8 * Math.cbrt(unitRoundoff("f64")) * x[i]!;
      const lossAt = async (shift: number) => {
        const moved = x.map((value, j) => (j === i ? value + shift : value));
        return (await session.evaluate({ ...point, [name]: moved }, { gradients: false })).loss;
      };
      const near = ((await lossAt(h)) - (await lossAt(-h))) / (2 * h);
      const far = ((await lossAt(2 * h)) - (await lossAt(-2 * h))) / (4 * h);
      const bound = Math.abs(far - near) + (3000 * unitRoundoff("f64") * Math.max(1, Math.abs(loss))) / h;
      const error = Math.abs(gradients[name]![i]! - near);
      assert.ok(error <= bound, `${name}[${i}]: ${gradients[name]![i]}, differences ${near} ± ${bound}`);
      assert.ok(bound <= 1e-3 * largest, `${name}[${i}]: the check is sharp: ${bound} of ${largest}`);
    }
  }
  session.dispose();
}

test("generated: strengths, bias and tau have the gradients that differences give, on all devices", async (context) => {
  const { csr, neurons } = generated();
  const subject = sharedSubject("generated", csr, neurons, 0.3, SEED);
  await checkDevices(subject, context);
  await checkEntries(subject, context.f64);
});

test("generated: a wrong reverse pass fails", async ({ f64 }) => {
  const { csr, neurons } = generated();
  const wrong = withWrongInstruction(f64, "attempt.reverse", wrongSign);
  let message = "";
  try {
    await checkEntries(sharedSubject("wrong", csr, neurons, 0.3, SEED), wrong);
  } catch (error) {
    message = (error as Error).message;
  }
  assert.match(message, /differences/);
});

test("generated: the network computes what the same one with a weight per connection does", async ({ f64 }) => {
  const { csr, neurons } = generated();
  const options = sharedNetwork(csr, neurons, 0.3);
  const shared = new ConnectomeODERNN(f64, options);
  const { group, strengthInit, nGroups } = sharedByTypePair(csr, neurons, { scale: 0.3 });
  assert.is(shared.parameters.get(STRENGTH).size, nGroups);
  assert.equal([shared.parameters.get(BIAS).size, shared.parameters.get(TAU).size], [4, 4]);
  const { sharedWeights: _, biasMode: __, neuronTauMode: ___, ...rest } = options;
  const weights = withValues(
    csr,
    Float64Array.from(csr.values, (w, k) => w * strengthInit[group[k]!]!),
  );
  const single = new ConnectomeODERNN(f64, { ...rest, connectome: weights, weightConstraint: "sign" });
  const data = Float64Array.from({ length: 2 * csr.nRows }, (_, i) => Math.sin(i));
  const a = await shared.forward({ data, batch: 2 }, { numEvals: 4, endTime: 3 });
  const b = await single.forward({ data, batch: 2 }, { numEvals: 4, endTime: 3 });
  assert.equal(Array.from(a.hs), Array.from(b.hs), "the same products in the same order");
  shared.dispose();
  single.dispose();
});

test("gradients of several passes add up until they are set to zero", async ({ f64 }) => {
  const { csr, neurons } = generated();
  const model = new ConnectomeODERNN(f64, sharedNetwork(csr, neurons, 0.3));
  const input = { data: Float64Array.from({ length: csr.nRows }, (_, i) => Math.sin(i)), batch: 1 };
  const ct = new Float64Array(2 * csr.nRows).fill(1);
  const sums: Record<string, ArrayLike<number>[]> = { [STRENGTH]: [], [BIAS]: [], [TAU]: [] };
  for (let pass = 1; pass <= 3; pass++) {
    await model.vjp(input, ct);
    for (const [name, ofPasses] of Object.entries(sums)) ofPasses.push(await model.parameters.gradient(name));
  }
  for (const [name, [first, second, third]] of Object.entries(sums)) {
    // Doubling is exact; three times is rounded once.
    assert.equal(
      Array.from(second!),
      Array.from(first!, (g) => 2 * g),
      name,
    );
    assert.equal(
      Array.from(third!),
      Array.from(first!, (g) => 2 * g + g),
      name,
    );
  }
  model.dispose();
});

const withFlyvis = (name: string, body: (context: Context) => Promise<void>) =>
  testOrSkip(test, folder !== null, "no shared folder with flyvis", name, body);

withFlyvis("flyvis, extent 2: gradients of strengths, bias and tau, on all devices", async (context) => {
  const { csr, neurons } = await flyvis(2);
  const subject = sharedSubject("flyvis", csr, neurons, 0.01, SEED);
  assert.match(subject.description, /1203 neurons of 65 types, 28904 connections, 6\d\d strengths/);
  await checkDevices(subject, context);
  await checkEntries(subject, context.f64);
});

withFlyvis(
  "flyvis: the table of connections between types gives the signs of all weights, mixed neurons' too",
  async () => {
    const { csr, neurons } = await flyvis(2);
    const edges = await readTypeEdges(inFlyvis("type_edges.csv"));
    assert.equal(signByTypePair(absolute(csr), neurons, edges), csr);
  },
);

test.run();
