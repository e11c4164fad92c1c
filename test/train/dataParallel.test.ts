// Data-parallel training: the same bits on any number of ranks, and decisions that all ranks take together.

import * as assert from "uvu/assert";
import type { Communicator } from "../../src/distributed/communicator.ts";
import { forEachBackend } from "../support/backends.ts";
import { onRanks } from "../support/ranks.ts";
import { stateOf, tinyTraining, train } from "./fixtures.ts";

forEachBackend("data-parallel training", ["f32", "f64"], (test) => {
  test("classification with dropout: 1 = 2 = 3 = 4 ranks", async ({ backend }) => {
    const run = async (communicator: Communicator | null, steps = 6) => {
      const tiny = tinyTraining(backend, { trainer: { microBatch: 4, ...(communicator && { communicator }) } });
      const losses = await train(tiny.trainer, steps);
      const state = await stateOf(tiny);
      tiny.dispose();
      return { losses, state };
    };
    const alone = await run(null);
    for (const size of [2, 3, 4]) {
      for (const result of await onRanks(size, run)) assert.equal(result, alone, `${size} ranks`);
    }
  });
});
