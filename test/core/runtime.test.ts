import { suite } from "uvu";
import * as assert from "uvu/assert";
import { runtimeOf, scriptCommand } from "../../src/core/runtime.ts";

const test = suite("runtime");

test("Bun and Deno say which version of Node.js they stand for, too: they are what runs", () => {
  assert.equal(runtimeOf({ node: "26.3.0", bun: "1.4.5" }), { name: "bun", version: "1.4.5" });
  assert.equal(runtimeOf({ node: "26.3.0", deno: "2.9.6" }), { name: "deno", version: "2.9.6" });
  assert.equal(runtimeOf({ node: "20.20.2" }), { name: "node", version: "20.20.2" });
});

test("in a shell, Deno needs a word and permissions before a script", () => {
  const commands = (["node", "bun", "deno"] as const).map((name) => scriptCommand({ name, version: "1" }, "/bin/x"));
  assert.equal(commands, [["/bin/x"], ["/bin/x"], ["/bin/x", "run", "-A"]]);
});

test.run();
