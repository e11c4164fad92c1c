// How buffers are spread over slabs: few of them, sets together and kinds apart, and no more memory than that takes.

import { suite } from "uvu";
import * as assert from "uvu/assert";
import type { Device } from "../../src/backend/webgpu/device.ts";
import { ALIGNMENT, type Piece, SlabAllocator } from "../../src/backend/webgpu/slabs.ts";
import { BackendError } from "../../src/core/errors.ts";

const MIB = 2 ** 20;
const GIB = 2 ** 30;

/** An allocator on a device that only counts. */
function allocator(limits: { memoryBudgetBytes?: number; maxArrayBytes?: number } = {}): SlabAllocator {
  const device = {
    info: { name: "counting" },
    limit: () => 2 * GIB - 4,
    buffer: () => ({}),
    destroyBuffer: () => {},
  };
  return new SlabAllocator(device as unknown as Device, "state", 0, limits);
}

function setOf(slabs: SlabAllocator, kind: string, lengths: readonly number[]): Piece[] {
  const set = { kind, lengths };
  return lengths.map((length) => slabs.allocate(`${kind} ${length}`, 4 * length, false, set));
}

function assertApart(pieces: readonly Piece[]): void {
  for (const [i, a] of pieces.entries()) {
    for (const b of pieces.slice(0, i)) {
      if (a.slab !== b.slab) continue;
      assert.ok(a.byteOffset >= b.byteOffset + b.byteLength || b.byteOffset >= a.byteOffset + a.byteLength);
    }
  }
}

const NEURONS = 47_521;
const SYNAPSES = 4_623_254;

/** The tutorial's training as its arrays are asked for: parameters with gradients and moments, states, then a tape that grows. */
function tutorial(lanes: number, attempts: number) {
  const slabs = allocator();
  let used = 0;
  const kept: Piece[] = [];
  const keep = (pieces: readonly Piece[]): readonly Piece[] => {
    for (const piece of pieces) used += piece.byteLength;
    kept.push(...pieces);
    return pieces;
  };
  const array = (length: number) => keep([slabs.allocate("array", 4 * length)])[0]!;
  const state = NEURONS * lanes;
  for (const length of [SYNAPSES, NEURONS, NEURONS, 256 * NEURONS]) for (let k = 0; k < 4; k++) array(length);
  const fixed = Array.from({ length: 20 }, () => array(state));
  const start = () => keep(setOf(slabs, "start", [state, state, lanes, lanes, lanes]));
  const starts = [start()];
  const saves: (readonly Piece[])[] = [];
  for (let k = 0; k < attempts; k++) {
    starts.push(start());
    saves.push(keep(setOf(slabs, "saves", [...new Array<number>(6).fill(state), lanes])));
    array(lanes);
  }
  for (let k = 0; k < 25; k++) array(state);
  return { slabs, fixed, starts, saves, used, kept };
}

const test = suite("webgpu slabs");

for (const [lanes, attempts] of [
  [8, 8],
  [8, 100],
  [64, 8],
  [64, 30],
  [256, 8],
] as const) {
  test(`the tutorial with ${lanes} lanes and ${attempts} attempts: programs find every attempt's buffers alike`, () => {
    const { slabs, fixed, starts, saves, used, kept } = tutorial(lanes, attempts);
    const slabsOf = (pieces: readonly Piece[]) => new Set(pieces.map((piece) => piece.slab));
    for (const set of [...starts, ...saves]) assert.is(slabsOf(set).size, 1);
    const [inFixed, inStarts, inSaves] = [fixed, starts.flat(), saves.flat()].map(slabsOf);
    for (const slab of inStarts!) assert.not.ok(inFixed!.has(slab) || inSaves!.has(slab));
    for (const slab of inSaves!) assert.not.ok(inFixed!.has(slab));
    assert.ok(inFixed!.size <= 4, `${inFixed!.size} slabs`);
    assertApart(kept);
    assert.ok(slabs.reserved < 1.6 * used + 64 * MIB, `${slabs.reserved} of ${used}`);
  });
}

test("little is reserved for little", () => {
  const slabs = allocator();
  for (let k = 0; k < 50; k++) slabs.allocate("array", 4000);
  for (let k = 0; k < 10; k++) setOf(slabs, "tape", [1000, 1000, 8]);
  assert.is(slabs.reserved, 8 * MIB);
});

test("what a set leaves is where the next one goes", () => {
  const slabs = allocator();
  slabs.allocate("array", 4000);
  const first = setOf(slabs, "tape", [1000, 8, 1000]);
  for (const piece of first) slabs.release(piece);
  const second = setOf(slabs, "tape", [1000, 8, 1000]);
  assert.equal(
    second.map(({ byteOffset, reused }) => [byteOffset, reused]),
    first.map(({ byteOffset }, k) => [byteOffset, second[k]!.slab === first[k]!.slab]),
  );
  assertApart(second);
});

test("a buffer that its set does not foresee is one among others of the kind", () => {
  const slabs = allocator();
  const set = { kind: "tape", lengths: [1000] };
  const pieces = [0, 1, 2].map(() => slabs.allocate("tape", 4000, false, set));
  pieces.push(slabs.allocate("tape", 8000, false, set));
  assertApart(pieces);
  assert.is(new Set(pieces.map(({ slab }) => slab)).size, 1);
});

test("a set that no array may be as large as is spread", () => {
  const slabs = allocator({ maxArrayBytes: 8 * ALIGNMENT });
  const pieces = setOf(slabs, "tape", new Array<number>(12).fill(ALIGNMENT / 2));
  assertApart(pieces);
  for (const { slab } of pieces) assert.ok(slab.size <= 8 * ALIGNMENT);
});

test("a budget is used up to the last byte, whatever kind has reserved it, and kept", () => {
  const memoryBudgetBytes = 6 * MIB;
  const slabs = allocator({ memoryBudgetBytes });
  const pieces = [slabs.allocate("array", MIB)];
  for (let k = 0; k < 2; k++) pieces.push(...setOf(slabs, "tape", [MIB / 4, MIB / 4]));
  pieces.push(slabs.allocate("array", MIB));
  assertApart(pieces);
  assert.is(slabs.reserved, memoryBudgetBytes);
  try {
    setOf(slabs, "other", [1]);
  } catch (error) {
    assert.is((error as BackendError).code, "memory-budget");
    assert.instance(error, BackendError);
    return;
  }
  assert.unreachable("beyond the budget");
});

test.run();
