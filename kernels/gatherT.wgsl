// For every row, Σ source[j] over all entries k of segments j with index[k] = row: the transpose of a gather. Each entry is compared with each
// row, which needs no structure besides the index. SLICES threads share the segments, each for four rows; their sums are added as a binary
// tree.
//
// Relies on: declarations (params, slabs, isIdle()), entriesOf(j) (first entry and end), rowOf(k), sourceOf(j),
// storeSum(row, x); ROWS, GROUPS, SEGMENTS.

// #hook declarations
// #hook entries

const THREADS = 256u;
const SLICES = 16u;
const COLUMNS = THREADS / SLICES;

var<workgroup> sliceSums: array<vec4<f32>, THREADS>;

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
  let slice = t / COLUMNS;
  let rows = vec4<u32>(4u * (group * COLUMNS + t % COLUMNS)) + vec4<u32>(0u, 1u, 2u, 3u);
  var sum = vec4<f32>(0.0);
  for (var j = slice; j < SEGMENTS; j += SLICES) {
    let entries = entriesOf(j);
    let x = vec4<f32>(sourceOf(j));
    for (var k = entries.x; k < entries.y; k++) {
      sum += select(vec4<f32>(0.0), x, rows == vec4<u32>(rowOf(k)));
    }
  }
  sliceSums[t] = sum;
  workgroupBarrier();
  for (var step = SLICES / 2u; step > 0u; step >>= 1u) {
    if (slice < step) {
      sum += sliceSums[t + step * COLUMNS];
      sliceSums[t] = sum;
    }
    workgroupBarrier();
  }
  if (slice == 0u) {
    for (var i = 0u; i < 4u; i++) {
      if (rows[i] < ROWS) {
        storeSum(rows[i], sum[i]);
      }
    }
  }
}
