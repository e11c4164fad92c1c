// A phase of plain vectors: one thread per four rows. Reductions over rows leave one partial result (four numbers) per workgroup.
//
// Relies on: declarations (params, slabs, isIdle()), body(at), resetRows(), collectRows(at), finishRows(t, group); VECS_PER_THREAD. Vectors of any
// length share a shader: the length is in params.rows and params.groups.

// #import shared/math.wgsl
// #import shared/random.wgsl
// #hook declarations

const SLOTS = 256u;
const STRIDE = 1u;

// #import shared/reduceRows.wgsl
// #hook body

@compute @workgroup_size(SLOTS)
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
  resetRows();
  for (var i = 0u; i < VECS_PER_THREAD; i++) {
    let at = (group * VECS_PER_THREAD + i) * SLOTS + t;
    if (at * 4u < params.rows) {
      body(at);
      collectRows(at);
    }
  }
  finishRows(t, group);
}
