// How the rows of a skewed sparse matrix are dealt out to threads (src/backend/webgpu/rowBlocks.ts builds the table).
//
// A row is walked by `parts` ∈ {1, 4, 16, 64} threads, by its number of entries. A *block* is 64 such threads for each vec4 of a panel's
// lanes: 64 rows of one thread, 16 of four, 4 of sixteen, or one of 64. Blocks of one kind lie together, padded to multiples of 4
// blocks, so a workgroup (256 / (64·PANEL_VECS) blocks) never mixes kinds and barriers stay uniform. The order of a row's sum follows
// from `parts` alone: it is the same for any number of lanes.
//
// Relies on: PANEL_VECS, INDEX16; params.{blocks64, blocks16, blocks4, indicesAt}; structure; gathered(at).

const WORKGROUP = 256u;
const SLOTS = 64u;
const ABSENT = 0xffffffffu;

/// A thread's share: every parts-th group of four of the entries [first, end) of `row`, for one vec4 of lanes.
struct Share {
  row: u32,
  first: u32,
  end: u32,
  /// Which of `parts` threads this is; the first one ends up with the total.
  part: u32,
  parts: u32,
  panel: u32,
  sub: u32,
}

fn blocksPerGroup() -> u32 {
  return WORKGROUP / (SLOTS * PANEL_VECS);
}

/// log2 of the number of threads per row in block `block`.
fn partsShift(block: u32) -> u32 {
  var shift = 0u;
  if (block < params.blocks64 + params.blocks16 + params.blocks4) {
    shift = 2u;
  }
  if (block < params.blocks64 + params.blocks16) {
    shift = 4u;
  }
  return select(shift, 6u, block < params.blocks64);
}

/// Threads per row, the same in the whole workgroup.
fn partsOfGroup(group: u32) -> u32 {
  return 1u << partsShift(group * blocksPerGroup());
}

/// Entries of the row table before block `block`.
fn rowsBefore(block: u32) -> u32 {
  let in64 = min(block, params.blocks64);
  let in16 = min(block - in64, params.blocks16);
  let in4 = min(block - in64 - in16, params.blocks4);
  let in1 = block - in64 - in16 - in4;
  return in64 + 4u * in16 + 16u * in4 + 64u * in1;
}

fn shareOf(group: u32, t: u32) -> Share {
  let slot = (t / PANEL_VECS) % SLOTS;
  let block = group * blocksPerGroup() + t / (SLOTS * PANEL_VECS);
  let shift = partsShift(group * blocksPerGroup());
  let entry = (rowsBefore(block) + (slot >> shift)) * 3u;
  var share: Share;
  share.row = structure[entry];
  share.first = structure[entry + 1u];
  share.end = structure[entry + 2u];
  share.parts = 1u << shift;
  share.part = slot & (share.parts - 1u);
  share.sub = t % PANEL_VECS;
  return share;
}

/// Column (row, in the transposed structure) of the k-th stored entry.
fn indexOf(k: u32) -> u32 {
  if (INDEX16) {
    return (structure[params.indicesAt + (k >> 1u)] >> ((k & 1u) << 4u)) & 0xffffu;
  }
  return structure[params.indicesAt + k];
}

/// Four neighbouring entries: where they are stored, the rows of the operand they name, and whether they exist. Those past the end
/// repeat the last one and count as zero.
struct Entries {
  at: vec4<u32>,
  rows: vec4<u32>,
  exist: vec4<bool>,
}

fn entriesOf(share: Share, k: u32) -> Entries {
  let wanted = vec4<u32>(k) + vec4<u32>(0u, 1u, 2u, 3u);
  let at = min(wanted, vec4<u32>(share.end - 1u));
  let rows = vec4<u32>(indexOf(at.x), indexOf(at.y), indexOf(at.z), indexOf(at.w));
  return Entries(at, rows, wanted < vec4<u32>(share.end));
}

/// The vec4s that four entries name in the panel at `panel`.
fn gatheredRows(entries: Entries, panel: u32) -> mat4x4<f32> {
  let at = vec4<u32>(panel) + entries.rows * PANEL_VECS;
  return mat4x4<f32>(
    gathered(at.x),
    select(vec4<f32>(0.0), gathered(at.y), entries.exist.y),
    select(vec4<f32>(0.0), gathered(at.z), entries.exist.z),
    select(vec4<f32>(0.0), gathered(at.w), entries.exist.w),
  );
}

var<workgroup> partSums: array<vec4<f32>, WORKGROUP>;

/// The sum of x over the `parts` threads of a row, as a binary tree; valid in the first one. To be called by all threads.
fn sumOverParts(t: u32, share: Share, parts: u32, x: vec4<f32>) -> vec4<f32> {
  var sum = x;
  if (parts > 1u) {
    partSums[t] = sum;
    workgroupBarrier();
    for (var step = 1u; step < parts; step <<= 1u) {
      if ((share.part & (2u * step - 1u)) == 0u) {
        sum += partSums[t + step * PANEL_VECS];
        partSums[t] = sum;
      }
      workgroupBarrier();
    }
  }
  return sum;
}
