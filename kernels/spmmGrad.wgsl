// The reverse of Y = W·X in one walk over the columns of W: ct = Wᵀ·G and grad[k] += Σ_lanes G[row(k)]·X[col(k)] for every stored entry,
// both from one gather of G. The dispatch covers one block of lanes; blocks follow one another, so grad needs no atomics.
//
// A thread takes four entries per trip and holds four dot products over its own vec4 of lanes; the BLOCK_VECS threads of a slot
// then add them up through shared memory, in a fixed order. The sum for ct has the order of spmm.wgsl.
//
// Relies on: declarations (params, slabs, structure, values), operandAt(), gathered(at), operandOf(share) = X, addToGrad(k, x),
// epilogue(share, ct, x), finish(t, share); NEED_CT.

// #import shared/math.wgsl
// #import shared/random.wgsl
// #hook declarations
// #import shared/rowBlocks.wgsl
// #import shared/reduceLanes.wgsl
// #hook epilogue

var<workgroup> sums: array<vec4<f32>, WORKGROUP>;

/// Trips of the longest share in the workgroup: the same for all its threads, as barriers demand.
fn tripsOf(group: u32) -> u32 {
  var trips = 0u;
  for (var i = 0u; i < blocksPerGroup(); i++) {
    trips = max(trips, structure[params.tripsAt + group * blocksPerGroup() + i]);
  }
  return trips;
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
  let operand = operandAt() + share.panel * OPERAND_ROWS * PANEL_VECS + share.sub;
  let lane = t % BLOCK_VECS;
  var x = vec4<f32>(0.0);
  if (share.row != ABSENT) {
    x = operandOf(share);
  }
  var ct: array<vec4<f32>, 4>;
  let trips = tripsOf(group);
  for (var trip = 0u; trip < trips; trip++) {
    let k = share.first + 4u * (share.part + trip * share.parts);
    var dots = vec4<f32>(0.0);
    for (var u = 0u; u < 4u; u++) {
      if (k + u < share.gatherEnd) {
        let g = gathered(operand + indexOf(k + u) * PANEL_VECS);
        dots[u] = dot(g, x);
        if (NEED_CT) {
          ct[u] += values[k + u] * g;
        }
      }
    }
    sums[t] = dots;
    workgroupBarrier();
    // The lanes of a slot share its four entries; lanes past the last panel contributed zeros but still help.
    for (var u = lane; u < 4u; u += BLOCK_VECS) {
      var total = 0.0;
      for (var i = 0u; i < BLOCK_VECS; i++) {
        total += sums[t - lane + i][u];
      }
      if (k + u < share.end) {
        addToGrad(k + u, total);
      }
    }
    workgroupBarrier();
  }
  var y = (ct[0] + ct[1]) + (ct[2] + ct[3]);
  let parts = 1u << partsShift(group * blocksPerGroup());
  if (NEED_CT && parts > 1u) {
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
    epilogue(share, y, x);
  }
  finish(t, share);
}
