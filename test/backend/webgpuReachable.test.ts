// Shaders carry what their entry point reaches and nothing else.

import { suite } from "uvu";
import * as assert from "uvu/assert";
import { declarationsOf, reachable } from "../../src/backend/webgpu/reachable.ts";
import { kernelSources } from "../../src/backend/webgpu/wgsl.gen.ts";

const test = suite("reachable WGSL");

const MODULE = `
enable subgroups; // a directive

// Of nobody: fn ghost() {
const USED = 2u; // in an attribute
const UNUSED = array<u32, 2>(1u, 2u);
struct Tile { row: u32, sub: u32 }
struct Other {
  x: vec2<f32>, // } in a comment; {
}
@group(0) @binding(0) var<uniform> params: Tile;
@group(0) @binding(1) var<storage, read_write> slab0: array<vec4<u32>>;
@group(0) @binding(2) var<storage, read> slab1: array<vec4<u32>>;
var<workgroup> sums: array<f32, USED>;
var<private> lost: Other;
fn leaf(t: Tile) -> u32 { return t.row + sumOf(); }
fn sumOf() -> u32 { if (slab0[0].x > 1u) { return 1u; } return u32(sums[0]); }
fn orphan() -> u32 { return leaf(params) + UNUSED[0] + slab1[0].x; }
@compute @workgroup_size(USED)
fn main(@builtin(local_invocation_index) t: u32) {
  // orphan() is only named here
  slab0[t].x = leaf(params);
}
const_assert USED == 2u;
`;

const namesOf = (wgsl: string): (string | null)[] => declarationsOf(wgsl).map(({ name }) => name);

test("a module is cut into its declarations", () => {
  const names = [null, "USED", "UNUSED", "Tile", "Other", "params", "slab0", "slab1", "sums", "lost", "leaf", "sumOf"];
  assert.equal(namesOf(MODULE), [...names, "orphan", "main", null]);
});

test("what main reaches stays, in order, with directives and assertions; comments go", () => {
  const text = reachable(declarationsOf(MODULE));
  assert.equal(namesOf(text), [null, "USED", "Tile", "params", "slab0", "sums", "leaf", "sumOf", "main", null]);
  assert.not.match(text, /\/\/|orphan|ghost/);
  assert.match(text, /@compute @workgroup_size\(USED\)\nfn main/);
  assert.is(reachable(declarationsOf(text)), text);
});

test("functions that call one another are kept once, and dropped together", () => {
  const pair = "fn a() { b(); }\nfn b() { a(); }\n";
  assert.equal(namesOf(reachable(declarationsOf(`${pair}fn main() { a(); }`))), ["a", "b", "main"]);
  assert.equal(namesOf(reachable(declarationsOf(`${pair}fn main() {}`))), ["main"]);
});

test("each declaration of the kernels is understood", () => {
  for (const [kernel, source] of Object.entries(kernelSources)) {
    const unnamed = declarationsOf(source).filter(({ name, text }) => name === null && !/^enable \w+;$/.test(text));
    assert.equal(unnamed, [], kernel);
    const starts = source.match(/^(?:fn|struct|const|var)\b/gm)!.length;
    assert.is(declarationsOf(source).filter(({ name }) => name !== null).length, starts, kernel);
  }
});

test.run();
