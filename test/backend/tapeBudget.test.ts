// How much a tape may take on a device, where nobody says.

import { suite } from "uvu";
import * as assert from "uvu/assert";
import { machineMemory } from "../../src/backend/hostMemory.ts";
import { createWasmBackend } from "../../src/backend/wasm/backend.ts";
import { createWebGpuBackend } from "../../src/backend/webgpu/backend.ts";
import { tapeBudget } from "../../src/backend/webgpu/tapeBudget.ts";
import { plannedTape } from "../../src/ode/tape.ts";
import { requireTestAdapter } from "../support/softwareAdapter.ts";

const MIB = 2 ** 20;
const GIB = 2 ** 30;
const GPU = { isSoftware: false };

const test = suite("tape budget");

test("in the memory of the CPU it is 384 MiB, with software adapters too", async () => {
  assert.is(tapeBudget({ isSoftware: true }, 128 * GIB, "linux"), 384 * MIB);
  const wasm = await createWasmBackend({ threads: 1 });
  assert.is(wasm.tapeBudgetBytes, 384 * MIB);
  await wasm.dispose();
});

test("on a GPU it is a quarter of the machine's memory, less where memory moves, and never less than on the CPU", () => {
  assert.is(tapeBudget(GPU, 128 * GIB, "linux"), 32 * GIB);
  assert.is(tapeBudget(GPU, 16 * GIB, "darwin"), 4 * GIB);
  assert.is(tapeBudget(GPU, 64 * GIB, "win32"), 2 * GIB);
  assert.is(tapeBudget(GPU, 4 * GIB, "win32"), GIB);
  assert.is(tapeBudget(GPU, GIB, "linux"), 384 * MIB);
  assert.is(tapeBudget(GPU), tapeBudget(GPU, machineMemory(), process.platform));
});

test("beside a card of a data centre nothing is recomputed, for 47,521 neurons and 256 samples nor for 166,700", () => {
  // Dopri5 keeps two states per attempt and six products; 8 attempts.
  const stored = (neurons: number, lanes: number, budgetBytes: number) => {
    const state = 4 * neurons * lanes;
    return plannedTape(8, { bytesPerStart: 2 * state, bytesPerSaves: 6 * state, budgetBytes }).stored;
  };
  const budget = tapeBudget(GPU, 128 * GIB, "linux");
  assert.is(stored(47_521, 256, budget), 8);
  assert.is(stored(166_700, 256, budget), 8);
  // What the CPU takes would have all 8 run again, and 7 of them with 64 samples.
  assert.is(stored(47_521, 256, 384 * MIB), 0);
  assert.is(stored(47_521, 64, 384 * MIB), 1);
});

if (await requireTestAdapter()) {
  test("a backend says what its adapter is good for", async () => {
    const backend = await createWebGpuBackend();
    assert.is(backend.tapeBudgetBytes, tapeBudget(backend.adapter));
    await backend.dispose();
  });
}

test.run();
