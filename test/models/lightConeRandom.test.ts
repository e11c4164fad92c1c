// Random networks, read-outs and runs in discrete time: with what cannot matter left out, training has the same bits.

import * as assert from "uvu/assert";
import type { Backend } from "../../src/backend/backend.ts";
import { createWasmBackend } from "../../src/backend/wasm/backend.ts";
import { createWebGpuBackend } from "../../src/backend/webgpu/backend.ts";
import { type Csr, csrFromCoo } from "../../src/core/csr.ts";
import { deriveKey, keyOfSeed, RandomStream } from "../../src/core/random.ts";
import type { StepOptions } from "../../src/models/connectomeRnn.ts";
import type { Interventions } from "../../src/models/interventions.ts";
import { ConnectomeModel, type ConnectomeModelOptions } from "../../src/models/networkModel.ts";
import type { ModelInput } from "../../src/models/options.ts";
import { hasTimeConstants } from "../../src/models/options.ts";
import type { ReadoutTimes } from "../../src/models/readout/times.ts";
import { makeTask } from "../../src/models/task/makeTask.ts";
import { rateL2 } from "../../src/models/task/penalties.ts";
import type { TargetBatch } from "../../src/models/task/targets.ts";
import { Adam } from "../../src/train/optimizer/adam.ts";
import type { WithBackend } from "../support/backends.ts";
import { assertBitEqual } from "../support/close.ts";
import { randomSparse } from "../support/matrices.ts";
import { requireTestAdapter } from "../support/softwareAdapter.ts";
import { suite } from "../support/suite.ts";

const hasAdapter = (await requireTestAdapter()) !== null;
/** More cases: AXOGRAD_CONE_CASES. */
const CASES = Number(process.env.AXOGRAD_CONE_CASES ?? 10);
const STEPS = 3;
const WIDTH = 2;

/** A model, and the batches that it is trained and evaluated on. */
interface Case {
  readonly options: ConnectomeModelOptions;
  readonly batches: readonly { readonly input: ModelInput; readonly targets: TargetBatch }[];
  readonly evaluation: StepOptions;
}

/** Some options of a kind: each is there with probability 1/2. */
function some<T extends object>(random: RandomStream, all: T): Partial<T> {
  return Object.fromEntries(Object.entries(all).filter(() => random.uniform() < 0.5)) as Partial<T>;
}

function oneOf<T>(random: RandomStream, values: readonly T[]): T {
  return values[random.below(values.length)]!;
}

/** Neurons that hear their neighbours, and few others: cones grow over some steps. */
function nearby(random: RandomStream, n: number): Csr {
  const [rows, cols]: [number[], number[]] = [[], []];
  for (let i = 0; i < n; i++) {
    for (let j = 0; j < n; j++) {
      if (random.uniform() >= (Math.abs(i - j) < 4 ? 0.4 : 0.01)) continue;
      rows.push(i);
      cols.push(j);
    }
  }
  return csrFromCoo({ nRows: n, nCols: n, rows, cols, values: rows.map(() => Math.fround(random.normal())) });
}

function randomCase(seed: number): Case {
  const random = new RandomStream(deriveKey(keyOfSeed(seed), "light cone"));
  const normals = (length: number): Float64Array => Float64Array.from({ length }, () => Math.fround(random.normal()));
  const [n, nInputs, nFrames] = [8 + random.below(60), 1 + random.below(4), 1 + random.below(6)];
  const connectome = nearby(random, n);
  const nRead = 1 + random.below(4);
  const outputProjection = csrFromCoo({
    nRows: nRead,
    nCols: n,
    rows: Array.from({ length: nRead }, (_, k) => k),
    cols: Array.from({ length: nRead }, () => random.below(n)),
    values: normals(nRead),
  });
  const dynamics = oneOf(random, ["rate", "leaky", "voltage", "plain", "gru"] as const);
  const gate = () => ({ connections: normals(connectome.nnz) });
  const nGroups = 4;
  const rnn: ConnectomeModelOptions["rnn"] = {
    numNeurons: n,
    inputSize: nInputs,
    connectome,
    dynamics,
    outputProjection: random.uniform() < 0.9 ? outputProjection : null,
    weightConstraint: "none",
    inputProjection: randomSparse(n, nInputs, 0.4, seed).csr,
    ...(dynamics === "gru" && { gates: { reset: gate(), update: gate() } }),
    ...(hasTimeConstants(dynamics) && { neuronTau: Array.from({ length: n }, () => 1 + random.uniform()) }),
    ...some(random, {
      neuronNonlinearity: oneOf(random, ["Tanh", "ReLU", "Sigmoid", "Softplus"]),
      neuronClass: Array.from({ length: n }, () => oneOf(random, ["inhibitory", "excitatory"] as const)),
      inputGradient: true,
      memoryBudgetBytes: oneOf(random, [0, 20_000, 60_000]),
    }),
    ...(random.uniform() < 0.7 ? { biasInit: normals(n) } : { connectomeBias: false }),
    ...(dynamics !== "gru" &&
      random.uniform() < 0.2 && {
        sharedWeights: { group: Array.from({ length: connectome.nnz }, () => random.below(nGroups)), nGroups },
      }),
    ...(random.uniform() < 0.2 && { trainConnectome: false, trainBias: true }),
    ...(random.uniform() < 0.2 && { trainInputProjection: false }),
  };
  const recurrences = 1 + random.below(3);
  const outputs = oneOf(random, ["frames", "steps"] as const);
  const nTimes = outputs === "frames" ? nFrames : nFrames * recurrences;
  const times = oneOf<ReadoutTimes>(random, [
    "last",
    "last",
    "all",
    { last: 1 + random.below(nTimes) },
    Array.from({ length: nTimes }, (_, j) => j).filter((j) => j === 0 || random.uniform() < 0.4),
  ]);
  const average = random.uniform() < 0.5;
  const standardise = random.uniform() < 0.2;
  const nRuns = times === "last" ? 1 : times === "all" ? nTimes : "last" in times ? times.last : times.length;
  const nReadings = average ? 1 : nRuns;
  const shuffled = random.permutation(n);
  const interventions: Interventions = some(random, {
    silence: Array.from(shuffled.subarray(0, 2)),
    clamp: [{ neurons: Array.from(shuffled.subarray(2, 4)), value: random.normal() }],
    drive: [{ neurons: Array.from(shuffled.subarray(4, 7)), current: random.normal() }],
  });
  const evaluation: StepOptions = {
    ...(nFrames === 1 && { numSteps: 1 }),
    recurrences,
    outputs,
    ...some(random, { window: 1 + random.below(nFrames) }),
    ...(random.uniform() < 0.3 && { interventions }),
    ...(random.uniform() < 0.15 && { h0: { rest: 0.2, steps: 3 } }),
  };
  const options: ConnectomeModelOptions = {
    rnn,
    task: makeTask({
      loss: "squared",
      target: { kind: "numbers", width: WIDTH, classes: null, times: nReadings > 1 ? nReadings : null },
    }),
    readout: {
      times,
      average,
      standardise,
      ...(random.uniform() < 0.5 ? { fcDim: null } : { fcDim: 5, dropout: 0.3 }),
      seed,
    },
    ...(random.uniform() < 0.1 && { penalties: [rateL2({ weight: 0.1 })] }),
  };
  const batches = Array.from({ length: STEPS }, (_, step) => {
    const batch = step === 0 ? 18 : 1 + random.below(20);
    const count = batch * nReadings * WIDTH;
    const weights =
      random.uniform() < 0.5 ? Array.from({ length: count }, (_, k) => (k === 0 ? 1 : random.below(2))) : null;
    return {
      input: { data: normals(batch * nFrames * nInputs), batch, steps: nFrames },
      targets: { values: normals(count), weights },
    };
  });
  return { options, batches, evaluation };
}

/** Losses, gradients, outputs and parameters; how many connections were read. */
async function trained(backend: Backend, { options, batches, evaluation }: Case, lightCone: boolean) {
  using model = new ConnectomeModel(backend, { ...options, rnn: { ...options.rnn, lightCone } });
  if (options.readout!.standardise) {
    const features = options.rnn.outputProjection?.nRows ?? options.rnn.numNeurons;
    model.setFeatureStatistics(new Float64Array(features).fill(0.1), new Float64Array(features).fill(2));
  }
  using adam = new Adam(backend, model.parameters, { lr: 0.01 });
  const numbers: [string, ArrayLike<number>][] = [];
  let read = 0;
  for (const [step, { input, targets }] of batches.entries()) {
    const { loss, x, stats } = await model.gradients(input, targets, step, evaluation);
    for (const { connections } of stats) read += connections!.read.reduce((sum, k) => sum + k, 0);
    numbers.push([`loss ${step}`, [loss]], [`input ${step}`, x ?? []]);
    for (const { name } of model.parameters.trainable())
      numbers.push([`gradient ${step} of ${name}`, await model.parameters.gradient(name)]);
    adam.step();
    const evaluated = await model.evaluate(batches.at(-1)!.input, batches.at(-1)!.targets, evaluation);
    numbers.push([`evaluation ${step}`, [evaluated.loss]], [`outputs ${step}`, evaluated.outputs]);
  }
  for (const { name } of model.parameters.all()) numbers.push([name, await model.parameters.values(name)]);
  return { numbers, read };
}

function defineCases(context: string, make: () => Promise<Backend>, first: number, cases: number): void {
  const test = suite<WithBackend>(`random light cones, ${context}`, {} as WithBackend);
  test.before(async (state) => {
    state.backend = await make();
  });
  test(`${cases} networks`, async ({ backend }) => {
    let spared = 0;
    for (let seed = first; seed < first + cases; seed++) {
      const before = backend.memory().liveBuffers;
      const of = randomCase(seed);
      const [part, whole] = [await trained(backend, of, true), await trained(backend, of, false)];
      for (const [i, [name, values]] of whole.numbers.entries())
        assertBitEqual(part.numbers[i]![1], values, `seed ${seed}, ${name}`);
      if (part.read < 0.8 * whole.read) spared++;
      assert.is(backend.memory().liveBuffers, before, `seed ${seed}: buffers are given back`);
    }
    if (cases >= 10) assert.ok(spared > cases / 4, `${spared} of ${cases} left out a fifth of the connections`);
  });
  test.after((state) => state.backend.dispose());
  test.run();
}

defineCases("wasm f32, threads 3", () => createWasmBackend({ dtype: "f32", threads: 3 }), 0, CASES);
defineCases("wasm f64, threads 1", () => createWasmBackend({ dtype: "f64", threads: 1 }), 1000, CASES);
// Each of their programs is compiled, which takes long on a software adapter.
if (hasAdapter) defineCases("webgpu", () => createWebGpuBackend(), 2000, Math.ceil(CASES / 10));
