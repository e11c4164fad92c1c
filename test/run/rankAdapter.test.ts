// How the ranks of a host divide its GPUs.

import { suite } from "uvu";
import * as assert from "uvu/assert";
import { dealAdapters, type OfferedAdapter, dealWarnings } from "../../src/run/rankAdapter.ts";

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
    "host n1 has 2 GPUs for 3 ranks: ranks 0, 3 share Great GPU (a)",
  ]);
  assert.equal(dealWarnings(["n1", "n1"], [both, both], [0, 1]), []);
  const other = [{ ...both[0]!, id: "c", name: "Small GPU" }];
  assert.equal(dealWarnings(["n1", "n2"], [both, other], [0, 0]), [
    "ranks wait for the slowest of different adapters: Great GPU, Small GPU",
  ]);
  const software = both.map((one) => ({ ...one, isSoftware: true }));
  assert.equal(dealWarnings(["n1", "n1"], [software, software], [0, 0]), [], "a CPU is shared anyhow");
});

test.run();
