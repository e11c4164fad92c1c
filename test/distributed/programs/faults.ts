// Run as several ranks: they call different things, and get an error; then rank 1 has an error of its own, while the others wait for it.

import * as assert from "uvu/assert";
import { inRanks } from "../../../src/cli/ranks.ts";
import { BackendError, EngineError } from "../../../src/core/errors.ts";
import { isShared } from "../../../src/distributed/agree.ts";
import { openCommunicator } from "../../../src/distributed/open.ts";

const communicator = await openCommunicator();
const { rank, size } = communicator;
const numbers = new Float32Array(size);

await differs(
  () => (rank === 1 ? communicator.allGather(numbers, Array(size).fill(1)) : communicator.exchange("value")),
  /expected the same call on all ranks, got exchange on rank 0 \(.+\), allGather on rank 1 \(.+\)$/,
);
await differs(
  () => (rank < 2 ? communicator.exchange(null) : communicator.close()),
  /got exchange on rank 0 \(.+\), close on rank 2 \(.+\)$/,
);
await differs(
  () => communicator.allGather(numbers, rank === 1 ? [size, ...Array(size - 1).fill(0)] : Array(size).fill(1)),
  /^allGather: expected the same counts on all ranks, got other than rank 0 has on 1 \(.+\)$/,
);
await differs(() => {
  const make = (): Float32Array | Float64Array => (rank === 2 ? new Float64Array(1) : new Float32Array(1));
  const arrays = (): (Float32Array | Float64Array)[] => Array.from({ length: size }, make);
  return communicator.allToAll(arrays(), arrays());
}, /^allToAll: expected the same type of numbers on all ranks, got other than rank 0 has on 2 \(.+\)$/);
assert.equal(
  await communicator.exchange(rank),
  Array.from({ length: size }, (_, r) => r),
);
if (rank === 0) console.log("goes on");

await inRanks(
  {},
  async () => {
    if (rank === 1) throw new BackendError("out-of-memory", "arena: full", {});
    await communicator.exchange(null);
    return 0;
  },
  async () => communicator,
);

async function differs(call: () => Promise<unknown>, message: RegExp): Promise<void> {
  const error = await call().then(
    () => null,
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof EngineError)) throw new Error(`expected an EngineError, got ${error}`);
  assert.is(error.code, "ranks-differ");
  assert.match(error.message, message);
  assert.ok(isShared(error));
}
