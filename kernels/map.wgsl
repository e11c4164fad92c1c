// A pointwise phase over rows × lanes: one thread per row and vec4 of lanes. Reductions over rows leave one partial result per
// workgroup and lane (ROWS_PER_THREAD·64 rows, for any number of lanes). Reductions over lanes are complete, because a thread then visits
// every panel.
//
// Relies on: declarations (params, slabs, isIdle()), body(tile), resetRows(), collectRows(), finishRows(t, panel, group),
// resetLanes(), collectLanes(), finishLanes(t, row); ROWS, PANEL_VECS, ROWS_PER_THREAD.

// #import shared/math.wgsl
// #import shared/random.wgsl
// #hook declarations

const SLOTS = 64u;
const STRIDE = PANEL_VECS;
const LANE_THREADS = SLOTS * PANEL_VECS;

// #import shared/tile.wgsl
// #import shared/reduceRows.wgsl
// #import shared/reduceLanes.wgsl
// #hook body

@compute @workgroup_size(LANE_THREADS)
fn main(
  @builtin(workgroup_id) workgroup: vec3<u32>,
  @builtin(num_workgroups) count: vec3<u32>,
  @builtin(local_invocation_index) t: u32,
) {
  if (isIdle(t)) {
    return;
  }
  let sub = t % PANEL_VECS;
  var row = 0u;
  resetLanes();
  for (var panel = workgroup.y; panel < params.panels; panel += count.y) {
    resetRows();
    for (var i = 0u; i < ROWS_PER_THREAD; i++) {
      row = (workgroup.x * ROWS_PER_THREAD + i) * SLOTS + t / PANEL_VECS;
      if (row < ROWS) {
        body(Tile(row, panel, sub));
        collectRows();
        collectLanes();
      }
    }
    finishRows(t, panel, workgroup.x);
  }
  finishLanes(t, row);
}
