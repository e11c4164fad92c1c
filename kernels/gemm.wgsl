// C = A·B in tiles of TILE_M × TILE_N, for the dense projections. M·X, Mᵀ·G and G·Xᵀ differ in the generated fetchA and fetchB and in the
// destination of results. The inner extent is cut into pieces of splitK() with separate partial products, because a read-out has few rows but
// one column per neuron. The pieces depend on the extents alone, and each piece is summed in order of k for any tile shape. So a sum has the
// same order for any number of lanes.
//
// A thread owns 1, 4 or 8 rows and four columns. It fetches its part of the next tiles into registers while it multiplies the current ones. No
// fetch is behind a branch, so all are in flight at once. A fetch outside a matrix reads elsewhere; its value counts as zero (beyond k) or is not
// stored (beyond the rows and columns of C).
//
// Relies on: declarations (params, slabs, isIdle()); TILE_N, TILE_K, THREADS, STRIDE_B; A_INNER_FIRST: whether k is
// contiguous in A; M_FIRST: whether neighbouring workgroups take neighbouring rows of C (or else columns); extentK(), splitK();
// fetch(t, m0, n0, k0, kEnd) into registers, keep(t) in the tiles, multiply(t), finish(t, m0, n0, split).

// #hook declarations

const TILE_M = 64u;
// Distance of the four rows in a vec4 of tile A: so neighbouring threads fetch neighbouring words.
const GROUPS = TILE_M / 4u;
// One more than GROUPS, so that neighbouring k of a group lie in different banks.
const STRIDE_A = GROUPS + 1u;
const VECS_N = TILE_N / 4u;

var<workgroup> tileA: array<vec4<f32>, TILE_K * STRIDE_A>;
var<workgroup> tileB: array<vec4<f32>, TILE_K * STRIDE_B>;

/// The group of rows and the k, inside the tile, of the i-th vec4 of tile A, in the order of memory.
fn placeInA(i: u32) -> vec2<u32> {
  return select(vec2<u32>(i % GROUPS, i / GROUPS), vec2<u32>(i / TILE_K, i % TILE_K), A_INNER_FIRST);
}

// #hook elements

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) t: u32) {
  if (isIdle(t)) {
    return;
  }
  let m0 = select(workgroup.y, workgroup.x, M_FIRST) * TILE_M;
  let n0 = select(workgroup.x, workgroup.y, M_FIRST) * TILE_N;
  let kFirst = workgroup.z * splitK();
  let kEnd = min(kFirst + splitK(), extentK());
  fetch(t, m0, n0, kFirst, kEnd);
  for (var k0 = kFirst; k0 < kEnd; k0 += TILE_K) {
    keep(t);
    workgroupBarrier();
    if (k0 + TILE_K < kEnd) {
      fetch(t, m0, n0, k0 + TILE_K, kEnd);
    }
    multiply(t);
    workgroupBarrier();
  }
  finish(t, m0, n0, workgroup.z);
}
