// How the ranks of a host divide its GPUs.

import * as assert from "uvu/assert";
import { ADAPTER_VARIABLE } from "../../src/backend/webgpu/dawn.ts";
import { BackendError } from "../../src/core/errors.ts";
import type { Communicator } from "../../src/distributed/communicator.ts";
import { type DeviceOptions, openDevice } from "../../src/run/device.ts";
import { dealAdapters, dealWarnings, type OfferedAdapter } from "../../src/run/rankAdapter.ts";
import { onRanks } from "../support/ranks.ts";
import { requireTestAdapter } from "../support/softwareAdapter.ts";
import { suite } from "../support/suite.ts";

const adapter = await requireTestAdapter();
const test = suite("adapters of ranks");

const gpus = (...ids: readonly string[]): readonly OfferedAdapter[] =>
  ids.map((id) => ({ id, name: "Great GPU", isSoftware: false, obstacle: null }));

test("ranks that see the same GPUs take them in turn, those that were given their own take these", () => {
  const both = gpus("a", "b");
  const here = ["n1", "n1", "n1", "n1"];
  assert.equal(dealAdapters(here.slice(2), [both, both]), [0, 1]);
  assert.equal(dealAdapters(here, [both, both, both, both]), [0, 1, 0, 1]);
  assert.equal(dealAdapters(here.slice(2), [gpus("a"), gpus("b")]), [0, 0]);
  assert.equal(dealAdapters(here.slice(1), [gpus("a"), both, both]), [0, 1, 0]);
  // Equal addresses on two hosts are two GPUs.
  assert.equal(dealAdapters(["n1", "n2", "n1", "n2"], [both, both, both, both]), [0, 0, 1, 1]);
});

test("ranks that share a GPU are named with it", () => {
  const both = gpus("a", "b");
  const hosts = ["n1", "n2", "n1", "n1"];
  const lists = [both, both, both, both];
  assert.equal(dealWarnings(hosts, lists, dealAdapters(hosts, lists)), [
    "host n1 gives 2 GPUs to 3 ranks: ranks 0, 3 share Great GPU (a)",
  ]);
  assert.equal(dealWarnings(["n1", "n1"], [both, both], [0, 1]), []);
  const other = [{ ...both[0]!, id: "c", name: "Small GPU" }];
  assert.equal(dealWarnings(["n1", "n2"], [both, other], [0, 0]), [
    "ranks wait for the slowest of different adapters: Great GPU, Small GPU",
  ]);
  const software = both.map((one) => ({ ...one, isSoftware: true }));
  assert.equal(dealWarnings(["n1", "n1"], [software, software], [0, 0]), [], "a CPU is shared anyhow");
});

/** The description of what each of two ranks opens on one host. */
function opened(device: "auto" | "webgpu" | "wasm", options: DeviceOptions = {}): Promise<readonly string[]> {
  return onRanks(2, async (communicator: Communicator) => {
    const config = { device, dtype: "f32", gather: "f32", threads: 1 } as const;
    const backend = await openDevice(config, { ...options, communicator });
    const { description } = backend;
    await backend.dispose();
    return description;
  });
}

/** Runs with the adapter that the environment names; undefined: none. */
async function naming<T>(name: string | undefined, run: () => Promise<T>): Promise<T> {
  const before = process.env[ADAPTER_VARIABLE];
  if (name === undefined) delete process.env[ADAPTER_VARIABLE];
  else process.env[ADAPTER_VARIABLE] = name;
  try {
    return await run();
  } finally {
    if (before === undefined) delete process.env[ADAPTER_VARIABLE];
    else process.env[ADAPTER_VARIABLE] = before;
  }
}

if (adapter) {
  test("ranks open the device that one process would, each on its adapter", async () => {
    const warnings: string[] = [];
    const options = { warn: (message: string) => warnings.push(message) };
    for (const name of await naming(adapter.name, () => opened("auto", options)))
      assert.ok(name.includes(adapter.name));
    for (const name of await naming(adapter.name, () => opened("webgpu"))) assert.ok(name.includes(adapter.name));
    for (const name of await naming(adapter.name, () => opened("wasm"))) assert.match(name, /^wasm/);
    assert.is(warnings.length, adapter.isSoftware ? 0 : 1, warnings.join());
  });

  test("without a GPU, auto is the CPU on all ranks", async () => {
    const names = await naming(undefined, () => opened("auto"));
    assert.is(new Set(names).size, 1);
    if (adapter.isSoftware) assert.match(names[0]!, /^wasm/);
  });

  test("an adapter that is not there is refused on all ranks, with the one that lacks it", async () => {
    for (const device of ["auto", "webgpu"] as const) {
      const errors = await naming("Voodoo", () =>
        onRanks(2, async (communicator: Communicator) => {
          const config = { device, dtype: "f32", gather: "f32", threads: 1 } as const;
          return openDevice(config, { communicator }).then(
            () => null,
            (error: unknown) => error,
          );
        }),
      );
      for (const error of errors) {
        assert.instance(error, BackendError);
        assert.match((error as Error).message, /^rank 0 on here: expected one of the adapters 0: .*, got Voodoo$/);
      }
    }
  });
}

test.run();
