// The WebGPU backend against the oracle: every instruction, every layout, skewed matrices.

import { suite } from "uvu";
import * as assert from "uvu/assert";
import { createWebGpuBackend } from "../../src/backend/webgpu/backend.ts";
import { compareWithOracle, conformanceCases } from "../support/conformance.ts";
import { requireTestAdapter } from "../support/softwareAdapter.ts";

const adapter = await requireTestAdapter();

if (adapter) {
  const backend = await createWebGpuBackend();
  const conforms = suite(`webgpu conforms (${adapter.name})`);
  for (const c of conformanceCases({ maxLanes: 64 })) {
    conforms(c.name, () => compareWithOracle(backend, c));
  }
  conforms.after(async () => {
    await backend.dispose();
    assert.is(backend.memory().liveBuffers, 0);
    assert.is(backend.counts().liveBuffers, 0);
  });
  conforms.run();
}
