// For every row, Σ source[members[k]] over the segment k = offsets[row] … offsets[row + 1] − 1: the gradients of parameters that neurons or
// connections share. PARTS threads walk a segment, and their sums are added as a binary tree. Few long segments get a workgroup each; many short
// ones share one.
//
// Relies on: declarations (params, slabs, isIdle()), offsetOf(row), sourceOf(k), storeSum(row, x); ROWS, GROUPS, PARTS (a power of two ≤ 256).

// #hook declarations
// #hook segments

const THREADS = 256u;

var<workgroup> partSums: array<f32, THREADS>;

@compute @workgroup_size(THREADS)
fn main(
  @builtin(workgroup_id) workgroup: vec3<u32>,
  @builtin(num_workgroups) count: vec3<u32>,
  @builtin(local_invocation_index) t: u32,
) {
  if (isIdle(t)) {
    return;
  }
  let group = workgroup.x + workgroup.y * count.x;
  if (group >= GROUPS) {
    return;
  }
  let row = group * (THREADS / PARTS) + t / PARTS;
  let part = t % PARTS;
  var sum = 0.0;
  if (row < ROWS) {
    let end = offsetOf(row + 1u);
    for (var k = offsetOf(row) + part; k < end; k += PARTS) {
      sum += sourceOf(k);
    }
  }
  partSums[t] = sum;
  workgroupBarrier();
  for (var step = PARTS / 2u; step > 0u; step >>= 1u) {
    if (part < step) {
      sum += partSums[t + step];
      partSums[t] = sum;
    }
    workgroupBarrier();
  }
  if (part == 0u && row < ROWS) {
    storeSum(row, sum);
  }
}
