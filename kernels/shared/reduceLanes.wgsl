// Sum over the lanes of a row that `width` neighbouring threads hold, in a fixed order. Relies on: LANE_THREADS.

var<workgroup> laneSums: array<f32, LANE_THREADS>;

/// Every thread gets the sum of its row. To be called by all threads of the workgroup.
fn sumOverLanes(t: u32, width: u32, x: vec4<f32>) -> f32 {
  laneSums[t] = (x.x + x.y) + (x.z + x.w);
  workgroupBarrier();
  let first = t - t % width;
  var total = 0.0;
  for (var i = 0u; i < width; i++) {
    total += laneSums[first + i];
  }
  workgroupBarrier();
  return total;
}
