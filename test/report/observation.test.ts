// What a page takes for the parameters of a network's dynamics.

import { suite } from "uvu";
import * as assert from "uvu/assert";
import { createBackend } from "../../src/backend/select.ts";
import { csrFromCoo } from "../../src/core/csr.ts";
import { ParameterSet } from "../../src/models/parameters/parameterSet.ts";
import { dynamicsParameters } from "../../src/report/observation.ts";

const test = suite("observation");

test("strengths are those of the network, not those that connections of a read-out share", async () => {
  const backend = await createBackend({ device: "wasm", threads: 1 });
  const parameters = new ParameterSet(backend);
  const matrix = csrFromCoo({ nRows: 2, nCols: 2, rows: [0, 1], cols: [1, 0], values: [1, 1] });
  const shared = { by: [0, 1], factor: matrix.values, dictionary: null };
  const common = { of: "groups of connections", trainable: true, matrix, shared } as const;
  parameters.add({ name: "network", role: "weights", values: [2, 3], ...common });
  parameters.add({ name: "convolution", role: "read-out", values: [5, 7], ...common });
  const found = await dynamicsParameters({ parameters });
  assert.equal([...found.keys()], ["strengths"]);
  assert.equal(Array.from(found.get("strengths")!.values), [2, 3]);
  parameters.dispose();
  await backend.dispose();
});

test.run();
