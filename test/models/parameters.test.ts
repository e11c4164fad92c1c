// What parameters say of themselves: role, what they have a value for, shape and order in files. Nothing else tells them apart.

import * as assert from "uvu/assert";
import { csrFromCoo } from "../../src/core/csr.ts";
import { ConnectomeODEClassifier, classifierParameters } from "../../src/models/classifier.ts";
import type { ConnectomeODERNNOptions } from "../../src/models/connectomeOdeRnn.ts";
import {
  inDeviceOrder,
  inFileOrder,
  type Parameter,
  type ParameterSpec,
} from "../../src/models/parameters/parameter.ts";
import { ParameterSet } from "../../src/models/parameters/parameterSet.ts";
import { SparseRNN } from "../../src/models/sparse.ts";
import { forEachBackend } from "../support/backends.ts";

// Row-major and column-major order differ.
const W = csrFromCoo({ nRows: 3, nCols: 3, rows: [0, 0, 1, 2, 2], cols: [1, 2, 0, 0, 1], values: [1, 2, 3, 4, 5] });
const INPUT = csrFromCoo({ nRows: 3, nCols: 2, rows: [0, 1], cols: [1, 0], values: [1, 1] });
const DENSE = { nRows: 2, nCols: 3, values: [1, 2, 3, 4, 5, 6] };

const PLAIN: ConnectomeODERNNOptions = { inputSize: 2, numNeurons: 3, connectome: W, inputProjection: INPUT };
const SHARED: ConnectomeODERNNOptions = {
  ...PLAIN,
  sharedWeights: { group: [0, 1, 0, 1, 1], nGroups: 2 },
  outputProjection: DENSE,
  neuronType: ["a", "b", "a"],
  neuronTauMode: "perNeuronType",
  biasMode: "perNeuronType",
};

const facts = ({ name, role, of, leaf, shape }: Pick<Parameter, "name" | "role" | "of" | "leaf" | "shape">) =>
  `${name}: ${role}, ${of}, ${leaf}, [${shape.join(", ")}]`;

const sizeOf = (spec: ParameterSpec): number => ("draw" in spec ? spec.size : spec.values.length);

const READOUT = (nFeatures: number): string[] => [
  `out_layer.1.weight: read-out, connections, fc1.weight, [4, ${nFeatures}]`,
  "out_layer.1.bias: read-out, units, fc1.bias, [4]",
  "out_layer.4.weight: read-out, connections, fc2.weight, [2, 4]",
  "out_layer.4.bias: read-out, units, fc2.bias, [2]",
];

const EXPECTED: readonly (readonly [string, ConnectomeODERNNOptions, readonly string[]])[] = [
  [
    "a number for each connection and neuron",
    PLAIN,
    [
      "rnn.hh.values: weights, connections, hh, [5]",
      "rnn.hh.bias: biases, neurons, bias, [3, 1]",
      "rnn.ih.values: input, connections, ih, [2]",
      "rnn.tau: time constants, neurons, tau, [3, 1]",
      ...READOUT(3),
    ],
  ],
  [
    "numbers that are shared, and a dense projection",
    SHARED,
    [
      "rnn.hh.strength: weights, groups of connections, hh, [2]",
      "rnn.hh.bias: biases, neuron types, bias, [2, 1]",
      "rnn.ih.values: input, connections, ih, [2]",
      "rnn.ho.weight: output, connections, ho, [2, 3]",
      "rnn.ho.bias: output, outputs, ho.bias, [2]",
      "rnn.tau: time constants, neuron types, tau, [2, 1]",
      ...READOUT(2),
    ],
  ],
];

forEachBackend("what parameters are", ["f64"], (test) => {
  for (const [what, rnn, expected] of EXPECTED) {
    test(`${what}: known before the model is made, and the same then`, ({ backend }) => {
      const options = { rnn, numClasses: 2, fcDim: 4 };
      using model = new ConnectomeODEClassifier(backend, options);
      const parameters = model.parameters.all();
      assert.equal(parameters.map(facts), expected);
      const specs = classifierParameters(options);
      assert.equal(
        specs.map((spec) => facts({ role: "other", of: "elements", leaf: "", shape: [sizeOf(spec)], ...spec })),
        expected,
      );
      for (const { shape, size } of parameters)
        assert.is(
          shape.reduce((product, n) => product * n, 1),
          size,
        );
    });
  }

  test("a plain network has no time constants", ({ backend }) => {
    using model = new SparseRNN(backend, { inputSize: 2, hiddenSize: 3, connectivityHh: W, connectivityIh: INPUT });
    const roles = model.parameters.all().map((p) => p.role);
    assert.equal(roles, ["weights", "biases", "input"]);
  });

  test("values of a sparse matrix have one order in files and another on the device", async ({ backend }) => {
    using parameters = new ParameterSet(backend);
    const p = parameters.addSparse("w", W, { trainable: true });
    assert.equal([p.role, p.of, p.leaf, p.matrix], ["other", "connections", "w", W]);
    const onDevice = [...(await backend.download(p.value))];
    assert.equal(onDevice, [3, 4, 1, 5, 2]);
    assert.equal([...inFileOrder(Float64Array.from(onDevice), p)], [1, 2, 3, 4, 5]);
    assert.equal([...inDeviceOrder([1, 2, 3, 4, 5], p)], onDevice);
    const vector = parameters.addVector("v", [7, 8], { trainable: false });
    assert.equal([vector.fileOrder, vector.of], [null, "elements"]);
    assert.equal([...inFileOrder(Float64Array.of(7, 8), vector)], [7, 8]);
  });

  test("values given with a sparse matrix replace its own", async ({ backend }) => {
    using parameters = new ParameterSet(backend);
    const { sparse } = parameters.add({ name: "w", matrix: W, values: [6, 7, 8, 9, 10], trainable: true });
    assert.equal([...(await parameters.values("w"))], [6, 7, 8, 9, 10]);
    const onDevice = async (buffer: Parameter["value"]) => [...(await backend.download(buffer))];
    assert.equal(await onDevice(sparse!.valuesCsc), [8, 9, 6, 10, 7]);
    assert.equal(await onDevice(sparse!.valuesCsr), [6, 7, 8, 9, 10]);
  });

  test("values that do not fit their matrix, or the elements that share them, are refused", ({ backend }) => {
    using parameters = new ParameterSet(backend);
    const trainable = true;
    const { liveBuffers } = backend.memory();
    const refused = (add: () => unknown, message: RegExp) => assert.throws(add, message);
    refused(
      () => parameters.add({ name: "w", matrix: W, values: [1, 2], trainable }),
      /5 numbers.*got 2 \(w, values\)/,
    );
    const shared = (by: number[], factor = W.values.slice()) => ({
      ...{ name: "s", matrix: W, values: [1, 2], trainable },
      shared: { by, factor, dictionary: null },
    });
    const groups = [0, 1, 0, 1, 1];
    refused(() => parameters.add(shared([0, 1])), /5 numbers, one per element, got 2 \(s, by\)/);
    refused(() => parameters.add(shared(groups, new Float64Array(4))), /got 4 \(s, factor\)/);
    refused(() => parameters.add(shared(groups, new Float64Array(5).fill(Number.NaN))), /finite .*NaN at 0 \(s\)/);
    for (const wrong of [2, -1, 0.5])
      refused(() => parameters.add(shared([0, 1, wrong, 1, 1])), /from 0 to 1, got .* at 2 \(s, by\)/);
    refused(() => parameters.addVector("v", [1], { trainable, spreadBy: [0, 1] }), /from 0 to 0, got 1 at 1 \(v, by\)/);
    assert.is(backend.memory().liveBuffers, liveBuffers);
    parameters.add(shared(groups));
  });

  test("a parameter that joins later is put in order before it is used, too", async ({ backend }) => {
    using parameters = new ParameterSet(backend);
    parameters.addVector("first", [1], { trainable: true });
    parameters.refresh();
    const { bindable } = parameters.addVector("late", [5, 6], { trainable: true, spreadBy: [1, 0, 1] });
    parameters.refresh();
    assert.equal([...(await backend.download(bindable as Parameter["value"]))], [6, 5, 6]);
  });

  test("copies are made anew of the parameters that changed, not of the others", async ({ backend }) => {
    using parameters = new ParameterSet(backend);
    const [a, b] = ["a", "b"].map((name) =>
      parameters.addVector(name, [1, 2], { trainable: true, spreadBy: [1, 0, 1] }),
    );
    const copies = async () =>
      Promise.all([a, b].map(async (p) => [...(await backend.download(p!.bindable as Parameter["value"]))]));
    parameters.refresh();
    for (const { value } of [a!, b!]) backend.upload(value, [3, 4]);
    parameters.refresh();
    assert.equal(await copies(), [
      [2, 1, 2],
      [2, 1, 2],
    ]);
    parameters.touch([b!]);
    parameters.refresh();
    assert.equal(await copies(), [
      [2, 1, 2],
      [4, 3, 4],
    ]);
    parameters.touch();
    parameters.refresh();
    assert.equal(await copies(), [
      [4, 3, 4],
      [4, 3, 4],
    ]);
  });

  test("a name that is taken is refused, and the first parameter stays", async ({ backend }) => {
    using parameters = new ParameterSet(backend);
    parameters.addVector("a", [1], { trainable: true });
    for (const add of [
      () => parameters.addVector("a", [2], { trainable: true }),
      () => parameters.addDrawn("a", 1, () => 2, { trainable: true }),
      () => parameters.addSparse("a", W, { trainable: true }),
    ])
      assert.throws(add, /parameters: expected a new name, got one that is taken \(a\)/);
    assert.equal([...(await parameters.values("a"))], [1]);
  });
});
