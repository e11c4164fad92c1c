// Every instruction of the program format on the WASM backend, in both precisions and at all panel widths, against the oracle.

import { suite } from "uvu";
import * as assert from "uvu/assert";
import { createWasmBackend } from "../../src/backend/wasm/backend.ts";
import { compareWithOracle, conformanceCases } from "../support/conformance.ts";

const backends = [
  await createWasmBackend({ dtype: "f32", threads: 2 }),
  await createWasmBackend({ dtype: "f64", threads: 2 }),
  await createWasmBackend({ dtype: "f32", threads: 2, debug: true }),
  await createWasmBackend({ dtype: "f64", threads: 2, debug: true }),
];

for (const backend of backends) {
  const test = suite(backend.description);

  for (const c of conformanceCases()) test(c.name, () => compareWithOracle(backend, c));

  test("gives back all memory of buffers", () => {
    assert.is(backend.memory().liveBuffers, 0);
  });

  test.after(() => backend.dispose());
  test.run();
}
