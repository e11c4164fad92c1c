// The reverse of Y = W·X in one walk over the columns of W: ct = Wᵀ·G and grad[k] += Σ_lanes G[row(k)]·X[col(k)] for every stored entry,
// both from one gather of G. A dispatch covers one block of panels; blocks run one after another, so grad needs no atomics.
//
// A thread takes four entries per trip, for its vec4 of lanes in every panel of the block, and reads indices and values once for all panels. Its
// four dot products are then added over the panel's threads, which are neighbours: within a quad of a subgroup, without a barrier and with one
// store per entry. Terms of ct are added per trip as (0 + 1) + (2 + 3), trips in order, then threads as a binary tree. Panels have variables of
// their own, because an array of them does not stay in registers.
//
// Relies on: declarations (params, slabs, isIdle(), structure, values), operandAt(), gathered(at), operandOf(share) = X, addToGrad(k, x),
// storeCt(share, ct); NEED_CT; swapped1(t, x) and swapped2(t, x): the x of thread t ^ 1 and t ^ 2, to be called by all threads of the
// workgroup.

// #hook enables

// #import shared/math.wgsl
// #import shared/random.wgsl
// #hook declarations
// #import shared/rowBlocks.wgsl
// #hook epilogue

/// Trips of the longest share in the workgroup: all threads make as many, so that quads stay together.
fn tripsOf(group: u32) -> u32 {
  var trips = 0u;
  for (var i = 0u; i < blocksPerGroup(); i++) {
    trips = max(trips, structure[params.tripsAt + group * blocksPerGroup() + i]);
  }
  return trips;
}

/// Sums the dot products of entries k … k + 3 over the threads of a panel and adds the sums to the gradient. In every step a thread passes on the
/// half of its entries that others finish, and keeps the other half.
fn growGrad(t: u32, share: Share, k: u32, dots: vec4<f32>) {
  if (PANEL_VECS == 1u) {
    for (var u = 0u; u < 4u; u++) {
      if (k + u < share.end) {
        addToGrad(k + u, dots[u]);
      }
    }
  } else {
    let odd = (share.sub & 1u) == 1u;
    if (PANEL_VECS == 2u) {
      let pair = select(dots.xy, dots.zw, odd) + swapped1(t, select(dots.zw, dots.xy, odd));
      let first = k + 2u * share.sub;
      if (first < share.end) {
        addToGrad(first, pair.x);
      }
      if (first + 1u < share.end) {
        addToGrad(first + 1u, pair.y);
      }
    } else {
      let upper = share.sub >= 2u;
      let pair = select(dots.xz, dots.yw, odd) + swapped1(t, select(dots.yw, dots.xz, odd));
      let total = select(pair.x, pair.y, upper) + swapped2(t, select(pair.y, pair.x, upper));
      if (k + share.sub < share.end) {
        addToGrad(k + share.sub, total);
      }
    }
  }
}

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
  let panels = min(BLOCK_PANELS, params.panels - params.firstPanel);
  let operand = operandAt() + share.sub;
  // #each p < BLOCK_PANELS
  var x$p = vec4<f32>(0.0);
  var ct$p = vec4<f32>(0.0);
  if ($p < panels && share.row != ABSENT) {
    share.panel = params.firstPanel + $p;
    x$p = operandOf(share);
  }
  // #end
  let trips = tripsOf(group);
  for (var trip = 0u; trip < trips; trip++) {
    let k = share.first + 4u * (share.part + trip * share.parts);
    var dots = vec4<f32>(0.0);
    if (k < share.end) {
      let entries = entriesOf(share, k);
      var w = vec4<f32>(0.0);
      if (NEED_CT) {
        w = vec4<f32>(values[entries.at.x], values[entries.at.y], values[entries.at.z], values[entries.at.w]);
      }
      // #each p < BLOCK_PANELS
      if ($p < panels) {
        let g = gatheredRows(entries, operand + (params.firstPanel + $p) * OPERAND_ROWS * PANEL_VECS);
        dots += vec4<f32>(dot(g[0], x$p), dot(g[1], x$p), dot(g[2], x$p), dot(g[3], x$p));
        if (NEED_CT) {
          ct$p += fma(vec4<f32>(w.x), g[0], w.y * g[1]) + fma(vec4<f32>(w.z), g[2], w.w * g[3]);
        }
      }
      // #end
    }
    growGrad(t, share, k, dots);
  }
  if (NEED_CT) {
    var sums: array<vec4<f32>, BLOCK_PANELS>;
    // #each p < BLOCK_PANELS
    sums[$p] = ct$p;
    // #end
    let parts = partsOfGroup(group);
    for (var p = 0u; p < panels; p++) {
      let total = sumOverParts(t, share, parts, sums[p]);
      if (share.part == 0u && share.row != ABSENT) {
        share.panel = params.firstPanel + p;
        storeCt(share, total);
      }
    }
  }
}
