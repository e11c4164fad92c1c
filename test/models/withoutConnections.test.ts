// A connectome without connections is one: neurons follow their input and bias alone. On every backend, in every model, to its files.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Test } from "uvu";
import * as assert from "uvu/assert";
import type { Backend } from "../../src/backend/backend.ts";
import { type Csr, csrFromCoo } from "../../src/core/csr.ts";
import { ConnectomeODEClassifier } from "../../src/models/classifier.ts";
import { ConnectomeODERNN, type ConnectomeODERNNOptions } from "../../src/models/connectomeOdeRnn.ts";
import { ConnectomeRNN } from "../../src/models/connectomeRnn.ts";
import type { ParameterSet } from "../../src/models/parameters/parameterSet.ts";
import { SparseLinear, SparseODERNN, SparseRNN } from "../../src/models/sparse.ts";
import { loadCheckpoint, restoreCheckpoint, saveCheckpoint } from "../../src/train/checkpoint.ts";
import { Adam, SGD } from "../../src/train/optimizer.ts";
import { exportStateDict, importStateDict } from "../../src/train/stateDict.ts";
import { normals } from "../ode/harness.ts";
import { forEachBackend, type WithBackend } from "../support/backends.ts";
import { assertClose } from "../support/close.ts";
import { randomSparse } from "../support/matrices.ts";
import { onWebGpu } from "../support/onWebGpu.ts";

const [N, INPUTS, BATCH] = [6, 3, 2];
const EMPTY = nothing(N, N);
/** The same network, whose one connection has strength 0. */
const ZERO = csrFromCoo({ nRows: N, nCols: N, rows: [0], cols: [1], values: [0] });
const INPUT = { data: normals("input", BATCH * INPUTS), batch: BATCH };
const CT = normals("ct", BATCH * 2 * N);

function nothing(nRows: number, nCols: number): Csr {
  return csrFromCoo({ nRows, nCols, rows: [], cols: [], values: [] });
}

function network(connectome: Csr): ConnectomeODERNNOptions {
  return {
    numNeurons: N,
    inputSize: INPUTS,
    connectome,
    inputProjection: randomSparse(N, INPUTS, 0.6).csr,
    outputProjection: nothing(N, N),
    neuronTau: 1.5,
    inputGradient: true,
  };
}

async function gradientsOf(parameters: ParameterSet): Promise<Map<string, ArrayLike<number>>> {
  const all = new Map<string, ArrayLike<number>>();
  for (const { name, size } of parameters.trainable()) if (size > 1) all.set(name, await parameters.gradient(name));
  return all;
}

async function assertAsZero(
  parameters: readonly [ParameterSet, ParameterSet],
  states: readonly [ArrayLike<number>, ArrayLike<number>],
): Promise<void> {
  const tolerance = 1e-6;
  assertClose(states[0], states[1], tolerance, "states");
  const [empty, zero] = await Promise.all(parameters.map(gradientsOf));
  assert.equal([...empty!.keys()], [...zero!.keys()]);
  for (const [name, gradient] of empty!) assertClose(gradient, zero!.get(name)!, tolerance, name);
}

function define(test: Test<WithBackend>): void {
  test("in continuous and discrete time it is the network whose weights are 0", async ({ backend }) => {
    const ode = [EMPTY, ZERO].map((csr) => new ConnectomeODERNN(backend, { ...network(csr), outputProjection: null }));
    const hs = [];
    for (const model of ode) hs.push((await model.vjp(INPUT, CT)).trajectory.hs);
    await assertAsZero([ode[0]!.parameters, ode[1]!.parameters], [hs[0]!, hs[1]!]);
    assert.is((await ode[0]!.parameters.gradient("rnn.hh.values")).length, 0);
    const rnn = [EMPTY, ZERO].map((csr) => new ConnectomeRNN(backend, { ...network(csr), outputProjection: null }));
    const states = [];
    for (const model of rnn) states.push((await model.vjp(INPUT, CT, { numSteps: 2 })).outputs.hs);
    await assertAsZero([rnn[0]!.parameters, rnn[1]!.parameters], [states[0]!, states[1]!]);
    for (const model of [...ode, ...rnn]) model.dispose();
  });

  test("plain networks and layers have none, either, nor do shared weights", async ({ backend }) => {
    const layer = new SparseLinear(backend, { inFeatures: INPUTS, outFeatures: N, connectivity: nothing(N, INPUTS) });
    const { y, x } = await layer.vjp(INPUT.data, normals("ct", BATCH * N));
    assert.ok([...y, ...x].every((value) => value === 0));
    const plain = { hiddenSize: N, inputSize: N, connectivityHh: EMPTY };
    const shared = { ...network(EMPTY), sharedWeights: { group: [], nGroups: 2 } };
    const input = { data: normals("input", N), batch: 1 };
    const models = [
      new SparseODERNN(backend, plain),
      new SparseRNN(backend, plain),
      new ConnectomeODERNN(backend, shared),
    ] as const;
    const [continuous, discrete, strengths] = models;
    await continuous.vjp(input, normals("ct", 2 * N));
    await discrete.vjp(input, normals("ct", 2 * N), { numSteps: 2 });
    await strengths.vjp(INPUT, CT);
    assert.equal(Array.from(await strengths.parameters.gradient("rnn.hh.strength")), [0, 0]);
    for (const model of [layer, ...models]) model.dispose();
  });

  test("a classifier on it trains, and comes back from its files", async ({ backend }) => {
    const dir = mkdtempSync(join(tmpdir(), "axograd-empty-"));
    try {
      await roundTrip(backend, dir);
    } finally {
      rmSync(dir, { recursive: true, force: true });
    }
  });
}

async function roundTrip(backend: Backend, dir: string): Promise<void> {
  const make = () => new ConnectomeODEClassifier(backend, { rnn: network(EMPTY), numClasses: 3, fcDim: null });
  for (const Rule of [Adam, SGD]) {
    const [model, other] = [make(), make()];
    const optimizer = new Rule(backend, model.parameters, { clipNorm: 1 });
    const again = new Rule(backend, other.parameters, { clipNorm: 1 });
    for (let step = 0; step < 2; step++) {
      await model.gradients(INPUT, [0, 2], step);
      optimizer.step();
    }
    const file = join(dir, "checkpoint.safetensors");
    const state = { position: { epoch: 0, batch: 2, step: 2 }, seed: 0, config: {} };
    await saveCheckpoint(file, { model, optimizer }, state);
    restoreCheckpoint(await loadCheckpoint(file), { model: other, optimizer: again });
    const expected = await model.forward(INPUT);
    assert.equal(Array.from(await other.forward(INPUT)), Array.from(expected));
    await exportStateDict(model, join(dir, "state.safetensors"));
    await importStateDict(other, join(dir, "state.safetensors"));
    assert.equal(Array.from(await other.forward(INPUT)), Array.from(expected));
    await model.probe(INPUT);
    for (const owner of [optimizer, again, model, other]) owner.dispose();
  }
}

forEachBackend("without connections", ["f64", "f32"], define);
onWebGpu("without connections", define);
