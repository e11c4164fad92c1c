// The small phases after the big ones: the last step of reductions over rows, and runs of phases with one row (per-sample control, loss,
// learning rate). The work is tiny, so a run of such phases is one dispatch: one workgroup per panel, or one for all panels if an operation
// crosses lanes. A thread does the pointwise work of a vec4 of lanes; all threads take part in reductions.
//
// Relies on: declarations (params, slabs, isIdle()), run(t, group, count): the generated sequence of steps.

// #import shared/math.wgsl
// #import shared/random.wgsl
// #hook declarations

const SLOTS = 64u;
const STRIDE = PANEL_VECS;
const LANE_THREADS = SLOTS * PANEL_VECS;

// #import shared/tile.wgsl
// #import shared/reduceRows.wgsl
// #import shared/reduceLanes.wgsl
// #hook steps

@compute @workgroup_size(LANE_THREADS)
fn main(
  @builtin(workgroup_id) workgroup: vec3<u32>,
  @builtin(num_workgroups) count: vec3<u32>,
  @builtin(local_invocation_index) t: u32,
) {
  if (isIdle(t)) {
    return;
  }
  run(t, workgroup.x, count.x);
}
