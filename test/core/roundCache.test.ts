// Values that are kept as long as they are used.

import { suite } from "uvu";
import * as assert from "uvu/assert";
import { RoundCache } from "../../src/core/roundCache.ts";

const test = suite("values by rounds");

test("values stay while they are used, and are released some rounds after", () => {
  const released: string[] = [];
  const cache = new RoundCache<{ release(): void }>(2);
  for (const key of ["a", "b"]) cache.set(key, { release: () => released.push(key) });
  for (let round = 0; round < 6; round++) {
    cache.next();
    assert.ok(cache.get("a"));
  }
  assert.equal(released, ["b"]);
  assert.is(cache.get("b"), undefined);
  cache.clear();
  assert.equal([released, cache.size], [["b", "a"], 0]);
});

test.run();
