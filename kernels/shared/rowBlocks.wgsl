// How the rows of a skewed sparse matrix are dealt out to threads (src/backend/webgpu/rowBlocks.ts builds the table).
//
// A row is walked by `parts` ∈ {1, 4, 16} threads, by its number of entries. A *block* is 16 such threads per vec4 of lanes: 16
// short rows, 4 medium ones, or one long one. Blocks of one kind lie together, padded to multiples of 16 blocks, so a workgroup
// (256 / (16·BLOCK_VECS) blocks) never mixes kinds and barriers stay uniform. The order of a row's sum follows from `parts` alone: it is
// the same for any number of lanes.
//
// Relies on: BLOCK_VECS, PANEL_VECS, BLOCK_PANELS, PANELS, INDEX16; params.{longBlocks, mediumBlocks, tripsAt, indicesAt, firstPanel}; structure.

const WORKGROUP = 256u;
const SLOTS = 16u;
const ABSENT = 0xffffffffu;

/// A thread's share: every 4·parts-th group of four of the entries [first, end) of `row`, for one vec4 of lanes.
struct Share {
  row: u32,
  first: u32,
  end: u32,
  /// `end`, or `first` for the lanes of the last block that no panel backs: they have nothing to gather.
  gatherEnd: u32,
  /// Which of `parts` threads this is; the first one ends up with the total.
  part: u32,
  parts: u32,
  panel: u32,
  sub: u32,
}

fn blocksPerGroup() -> u32 {
  return WORKGROUP / (SLOTS * BLOCK_VECS);
}

/// log2 of the number of threads per row in block `block`.
fn partsShift(block: u32) -> u32 {
  let medium = select(0u, 2u, block < params.longBlocks + params.mediumBlocks);
  return select(medium, 4u, block < params.longBlocks);
}

/// Entries of the row table before block `block`.
fn rowsBefore(block: u32) -> u32 {
  if (block < params.longBlocks) {
    return block;
  }
  if (block < params.longBlocks + params.mediumBlocks) {
    return params.longBlocks + (block - params.longBlocks) * 4u;
  }
  return params.longBlocks + params.mediumBlocks * 4u + (block - params.longBlocks - params.mediumBlocks) * 16u;
}

fn shareOf(group: u32, laneBlock: u32, t: u32) -> Share {
  let lane = t % BLOCK_VECS;
  let slot = (t / BLOCK_VECS) % SLOTS;
  let block = group * blocksPerGroup() + t / (SLOTS * BLOCK_VECS);
  let shift = partsShift(group * blocksPerGroup());
  let entry = (rowsBefore(block) + (slot >> shift)) * 3u;
  var share: Share;
  share.row = structure[entry];
  share.first = structure[entry + 1u];
  share.end = structure[entry + 2u];
  share.parts = 1u << shift;
  share.part = slot & (share.parts - 1u);
  share.panel = params.firstPanel + laneBlock * BLOCK_PANELS + lane / PANEL_VECS;
  share.sub = lane % PANEL_VECS;
  share.gatherEnd = share.end;
  if (share.panel >= PANELS) {
    share.row = ABSENT;
    share.gatherEnd = share.first;
  }
  return share;
}

/// Column (row, in the transposed structure) of the k-th stored entry.
fn indexOf(k: u32) -> u32 {
  if (INDEX16) {
    return (structure[params.indicesAt + (k >> 1u)] >> ((k & 1u) << 4u)) & 0xffffu;
  }
  return structure[params.indicesAt + k];
}
