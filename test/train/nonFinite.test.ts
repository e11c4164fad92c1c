// The parameter that is worst, and what its rows are.

import * as assert from "uvu/assert";
import { csrFromCoo } from "../../src/core/csr.ts";
import { ConnectomeODEClassifier } from "../../src/models/classifier.ts";
import type { ConnectomeODERNNOptions } from "../../src/models/connectomeOdeRnn.ts";
import { findWorst, type Worst } from "../../src/train/nonFinite.ts";
import { forEachBackend } from "../support/backends.ts";

const RING = csrFromCoo({ nRows: 3, nCols: 3, rows: [1, 2, 0], cols: [0, 1, 2], values: [1, 1, 1] });
const EYE = { nRows: 3, nCols: 3, values: [1, 0, 0, 0, 1, 0, 0, 0, 1] };
// As many neurons as outputs, groups, types and hidden units: counts tell nothing.
const NETWORK: ConnectomeODERNNOptions = {
  inputSize: 3,
  numNeurons: 3,
  connectome: RING,
  inputProjection: EYE,
  outputProjection: EYE,
  neuronType: ["a", "b", "c"],
};
const SHARED: ConnectomeODERNNOptions = {
  ...NETWORK,
  sharedWeights: { group: [2, 1, 0], nGroups: 3 },
  biasMode: "perNeuronType",
};

const CASES: readonly (readonly [ConnectomeODERNNOptions, string, number, Worst["rowsAre"], number])[] = [
  [NETWORK, "rnn.hh.values", 1, "neurons", 1],
  [NETWORK, "rnn.hh.bias", 2, "neurons", 2],
  [NETWORK, "rnn.tau", 2, "neurons", 2],
  [NETWORK, "rnn.ih.weight", 5, "neurons", 1],
  [NETWORK, "rnn.ho.weight", 5, "rows", 1],
  [NETWORK, "rnn.ho.bias", 1, "rows", 1],
  [NETWORK, "out_layer.1.weight", 7, "rows", 2],
  [SHARED, "rnn.hh.strength", 2, "rows", 2],
  [SHARED, "rnn.hh.bias", 0, "rows", 0],
];

forEachBackend("worst parameter", ["f64"], (test) => {
  for (const [rnn, name, at, rowsAre, row] of CASES) {
    const what = rnn === SHARED ? "shared " : "";
    test(`the largest value of ${what}${name} is found in row ${row}; its rows are ${rowsAre}`, async ({ backend }) => {
      using model = new ConnectomeODEClassifier(backend, { rnn, numClasses: 2, fcDim: 3 });
      const values = Float64Array.from(await model.parameters.values(name));
      values[at] = 1e6;
      model.parameters.set(name, values);
      const worst = await findWorst("value", model.parameters);
      assert.equal([worst.parameter, worst.rowsAre, worst.rows[0]], [name, rowsAre, { row, value: 1e6 }]);
    });
  }
});
