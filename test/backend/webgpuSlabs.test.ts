// How buffers are spread over slabs: few of them, sets together and kinds apart, and no more memory than that takes.

import { suite } from "uvu";
import * as assert from "uvu/assert";
import type { Device } from "../../src/backend/webgpu/device.ts";
import { ALIGNMENT, type Piece, SlabAllocator } from "../../src/backend/webgpu/slabs.ts";
import { BackendError } from "../../src/core/errors.ts";

const MIB = 2 ** 20;
const GIB = 2 ** 30;

/** An allocator on a device that only counts, and has so many bytes. */
function allocator(
  limits: { memoryBudgetBytes?: number; maxArrayBytes?: number } = {},
  deviceBytes = Number.POSITIVE_INFINITY,
): SlabAllocator {
  let left = deviceBytes;
  const buffer = (label: string, size: number) => {
    left -= size;
    if (left < 0) throw new BackendError("out-of-memory", label);
    return { size };
  };
  const device = {
    info: { name: "counting" },
    limit: () => 2 * GIB - 4,
    buffer,
    bufferIfRoom: async (label: string, size: number, _: number, spare: number) =>
      size + spare > left ? null : buffer(label, size),
    destroyBuffer: ({ size }: { size: number }) => {
      left += size;
    },
  };
  return new SlabAllocator(device as unknown as Device, "state", 0, limits);
}

function setIfRoom(slabs: SlabAllocator, kind: string, lengths: readonly number[]): Promise<readonly Piece[] | null> {
  const sizes = lengths.map((length) => 4 * length);
  return slabs.allocateIfRoom(kind, sizes, kind);
}

async function setOf(slabs: SlabAllocator, kind: string, lengths: readonly number[]): Promise<readonly Piece[]> {
  const pieces = await setIfRoom(slabs, kind, lengths);
  assert.is(pieces?.length, lengths.length);
  return pieces!;
}

/** As many sets as there is room for. */
async function allSets(slabs: SlabAllocator, kind: string, lengths: readonly number[]): Promise<(readonly Piece[])[]> {
  const sets: (readonly Piece[])[] = [];
  for (let set = await setIfRoom(slabs, kind, lengths); set; set = await setIfRoom(slabs, kind, lengths))
    sets.push(set);
  return sets;
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
const CONNECTIONS = 4_623_254;

/** The tutorial's training as its arrays are asked for: parameters with gradients and moments, states, then a tape that grows. */
async function tutorial(lanes: number, attempts: number) {
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
  for (const length of [CONNECTIONS, NEURONS, NEURONS, 256 * NEURONS]) for (let k = 0; k < 4; k++) array(length);
  const fixed = Array.from({ length: 20 }, () => array(state));
  const start = async () => keep(await setOf(slabs, "start", [state, state, lanes, lanes, lanes]));
  const starts = [await start()];
  const saves: (readonly Piece[])[] = [];
  for (let k = 0; k < attempts; k++) {
    starts.push(await start());
    saves.push(keep(await setOf(slabs, "saves", [...new Array<number>(6).fill(state), lanes])));
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
  test(`the tutorial with ${lanes} lanes and ${attempts} attempts: programs find every attempt's buffers alike`, async () => {
    const { slabs, fixed, starts, saves, used, kept } = await tutorial(lanes, attempts);
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

test("little is reserved for little, and for nothing nothing", async () => {
  const slabs = allocator();
  for (let k = 0; k < 50; k++) slabs.allocate("array", 4000);
  for (let k = 0; k < 10; k++) await setOf(slabs, "tape", [1000, 1000, 8]);
  await setOf(slabs, "empty", []);
  assert.is(slabs.reserved, 8 * MIB);
});

test("what a set leaves is where the next one goes", async () => {
  const slabs = allocator();
  slabs.allocate("array", 4000);
  const first = await setOf(slabs, "tape", [1000, 8, 1000]);
  const other = await setOf(slabs, "tape", [1000]);
  for (const piece of first) slabs.release(piece);
  const second = await setOf(slabs, "tape", [1000, 8, 1000]);
  assert.equal(
    second.map(({ byteOffset }) => byteOffset),
    first.map(({ byteOffset }) => byteOffset),
  );
  assert.ok([...second].every(({ slab, reused }) => reused && slab === other[0]!.slab));
  assertApart([...second, ...other]);
});

test("a set that no array may be as large as is spread", async () => {
  const slabs = allocator({ maxArrayBytes: 8 * ALIGNMENT });
  const pieces = await setOf(slabs, "tape", new Array<number>(12).fill(ALIGNMENT / 2));
  assertApart(pieces);
  for (const { slab } of pieces) assert.ok(slab.size <= 8 * ALIGNMENT);
});

test("a spread set that has room for some of its arrays takes none", async () => {
  const memoryBudgetBytes = 24 * ALIGNMENT;
  const slabs = allocator({ maxArrayBytes: 8 * ALIGNMENT, memoryBudgetBytes });
  assert.is(await setIfRoom(slabs, "tape", new Array<number>(24).fill(ALIGNMENT / 4)), null);
  // Each half as large as may be: 6 of them take all.
  for (let k = 0; k < 6; k++) slabs.allocate("array", 4 * ALIGNMENT);
});

test("a budget is used up to the last byte, whatever kind has reserved it, and kept", async () => {
  const memoryBudgetBytes = 12 * MIB;
  const slabs = allocator({ memoryBudgetBytes });
  // Beside the slab of the sets, and 4 MiB to spare, there is one of 4 MiB for others, and no more.
  const sets = [await setOf(slabs, "tape", [MIB / 16, MIB / 16])];
  const pieces = [...sets[0]!];
  for (let k = 0; k < 11; k++) pieces.push(slabs.allocate("array", MIB));
  assertApart(pieces);
  assert.is(slabs.reserved, memoryBudgetBytes);
  let code = "";
  try {
    slabs.allocate("array", MIB);
  } catch (error) {
    assert.instance(error, BackendError);
    code = (error as BackendError).code;
  }
  assert.is(code, "memory-budget");
});

test("sets take what other kinds of sets have left, but nothing of what single buffers may need", async () => {
  const slabs = allocator({}, 9 * MIB);
  slabs.allocate("array", 1000);
  const tape = await setOf(slabs, "tape", [1000]);
  // The device has 1 MiB left, which is no slab.
  const other = await setOf(slabs, "other", [1000]);
  assert.is(other[0]!.slab, tape[0]!.slab);
  const rest = await allSets(slabs, "other", [MIB / 16]);
  assert.is(new Set(rest.flat().map(({ slab }) => slab)).size, 1);
  for (let k = 0; k < 15; k++) slabs.allocate("array", MIB / 4 - ALIGNMENT);
  assert.is(slabs.reserved, 8 * MIB);
});

test("where sets have filled a device, single buffers find what was left to them, and what sets have given back", async () => {
  const slabs = allocator({}, 424 * MIB);
  for (let k = 0; k < 32; k++) slabs.allocate("array", 4 * MIB);
  const sets = await allSets(slabs, "tape", [MIB / 4, MIB / 4]);
  assert.ok(slabs.reserved === 384 * MIB, `${slabs.reserved}`);
  // The device has 40 MiB left, and then none.
  for (let k = 0; k < 40; k++) slabs.allocate("array", MIB);
  for (const piece of sets.pop()!) slabs.release(piece);
  for (let k = 0; k < 2; k++) slabs.allocate("array", MIB);
});

test.run();
