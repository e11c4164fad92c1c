// Y = W·X, or Wᵀ·G with the transposed structure. Each row gathers the operand's rows at its stored entries and passes the sum to the
// epilogue generated from the program.
//
// A thread takes four entries per trip, for its vec4 of lanes in every panel of its block. It reads indices and values once for all panels, with
// up to 16 gathers in flight. Terms of a trip are added as (0 + 1) + (2 + 3), trips in order, then the threads of a row as a binary tree: the
// order depends on the row alone. Sums of panels are variables of their own, because an array of them does not stay in registers.
//
// Relies on: declarations (params, slabs, isIdle(), structure, values), operandAt(), gathered(at), epilogue(share, y), collectLanes(),
// finish(t, share).

// #import shared/math.wgsl
// #import shared/random.wgsl
// #hook declarations
// #import shared/rowBlocks.wgsl
// #import shared/reduceLanes.wgsl
// #hook epilogue

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) workgroup: vec3<u32>,
  @builtin(num_workgroups) count: vec3<u32>,
  @builtin(local_invocation_index) t: u32,
) {
  if (isIdle(t)) {
    return;
  }
  let group = workgroup.x + workgroup.y * count.x;
  if (group >= params.groups) {
    return;
  }
  var share = shareOf(group, t);
  // Where rows are marked, the others count as empty.
  if (params.mark != 0u && share.row != ABSENT && (structure[params.marksAt + share.row] & params.mark) == 0u) {
    share.end = share.first;
  }
  let firstPanel = params.firstPanel + workgroup.z * BLOCK_PANELS;
  let panels = min(BLOCK_PANELS, params.panels - firstPanel);
  let operand = operandAt() + share.sub;
  // #each p < BLOCK_PANELS
  var y$p = vec4<f32>(0.0);
  // #end
  for (var k = share.first + 4u * share.part; k < share.end; k += 4u * share.parts) {
    let entries = entriesOf(share, k);
    let w = vec4<f32>(values[entries.at.x], values[entries.at.y], values[entries.at.z], values[entries.at.w]);
    // #each p < BLOCK_PANELS
    if ($p < panels) {
      let g = gatheredRows(entries, operand + (firstPanel + $p) * OPERAND_ROWS * PANEL_VECS);
      y$p += fma(vec4<f32>(w.x), g[0], w.y * g[1]) + fma(vec4<f32>(w.z), g[2], w.w * g[3]);
    }
    // #end
  }
  var sums: array<vec4<f32>, BLOCK_PANELS>;
  // #each p < BLOCK_PANELS
  sums[$p] = y$p;
  // #end
  let parts = partsOfGroup(group);
  for (var p = 0u; p < panels; p++) {
    let total = sumOverParts(t, share, parts, sums[p]);
    if (share.part == 0u && share.row != ABSENT) {
      share.panel = firstPanel + p;
      epilogue(share, total);
      collectLanes();
    }
  }
  finish(t, share);
}
