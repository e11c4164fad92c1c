// Y = W·X, or Wᵀ·G by the transposed structure: each row gathers the rows of the operand that its stored entries name, and hands
// the sum to the epilogue that was generated from the program.
//
// Of a row with `parts` threads, partial sum 4·part + u takes entries u + 4·part + 4·parts·i; four independent partial sums keep four gathers
// in flight per thread. They are added as (0 + 1) + (2 + 3), then over the threads as a binary tree.
//
// Relies on: declarations (params, slabs, structure, values), operandAt(), gathered(at), epilogue(share, y), collectLanes(), finish(t, share).

// #import shared/math.wgsl
// #import shared/random.wgsl
// #hook declarations
// #import shared/rowBlocks.wgsl
// #import shared/reduceLanes.wgsl
// #hook epilogue

var<workgroup> sums: array<vec4<f32>, WORKGROUP>;

fn product(k: u32, operand: u32) -> vec4<f32> {
  return values[k] * gathered(operand + indexOf(k) * PANEL_VECS);
}

/// The sum over a thread's share of the entries.
fn walk(share: Share) -> vec4<f32> {
  let operand = operandAt() + share.panel * OPERAND_ROWS * PANEL_VECS + share.sub;
  var y0 = vec4<f32>(0.0);
  var y1 = vec4<f32>(0.0);
  var y2 = vec4<f32>(0.0);
  var y3 = vec4<f32>(0.0);
  var k = share.first + 4u * share.part;
  for (; k + 4u <= share.gatherEnd; k += 4u * share.parts) {
    y0 += product(k, operand);
    y1 += product(k + 1u, operand);
    y2 += product(k + 2u, operand);
    y3 += product(k + 3u, operand);
  }
  if (k < share.gatherEnd) {
    y0 += product(k, operand);
  }
  if (k + 1u < share.gatherEnd) {
    y1 += product(k + 1u, operand);
  }
  if (k + 2u < share.gatherEnd) {
    y2 += product(k + 2u, operand);
  }
  return (y0 + y1) + (y2 + y3);
}

@compute @workgroup_size(WORKGROUP)
fn main(
  @builtin(workgroup_id) workgroup: vec3<u32>,
  @builtin(num_workgroups) count: vec3<u32>,
  @builtin(local_invocation_index) t: u32,
) {
  let group = workgroup.x + workgroup.y * count.x;
  if (group >= params.groups) {
    return;
  }
  let share = shareOf(group, workgroup.z, t);
  var y = walk(share);
  let parts = 1u << partsShift(group * blocksPerGroup());
  if (parts > 1u) {
    sums[t] = y;
    workgroupBarrier();
    for (var step = 1u; step < parts; step <<= 1u) {
      if ((share.part & (2u * step - 1u)) == 0u) {
        y += sums[t + step * BLOCK_VECS];
        sums[t] = y;
      }
      workgroupBarrier();
    }
  }
  if (share.part == 0u && share.row != ABSENT) {
    epilogue(share, y);
    collectLanes();
  }
  finish(t, share);
}
