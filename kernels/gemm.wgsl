// C = A·B in tiles of 64 × 16, for the dense projections: M·X, Mᵀ·G and G·Xᵀ differ in the generated elementA, elementB and storeC.
// The inner extent is cut into pieces of splitK(), whose partial products storeC keeps apart: a read-out has few rows but one
// column per neuron. The pieces depend on the extents alone, so a sum has the same order for any number of lanes.
//
// Relies on: declarations (params, slabs, isIdle()), elementA(m, k), elementB(k, n), storeC(m, n, split, x) for columns n … n + 3;
// EXTENT_M, extentN(), extentK(), splitK(), A_INNER_FIRST, B_INNER_FIRST: which index is contiguous in memory.

// #hook declarations
// #hook elements

const TILE_M = 64u;
const TILE_N = 16u;
const TILE_K = 16u;
const THREADS = 128u;
// One more than TILE_M: neighbouring k of one m then lie in different banks.
const STRIDE_A = 65u;

var<workgroup> tileA: array<f32, TILE_K * STRIDE_A>;
var<workgroup> tileB: array<f32, TILE_K * TILE_N>;

fn loadTiles(t: u32, m0: u32, n0: u32, k0: u32, kEnd: u32) {
  for (var i = t; i < TILE_M * TILE_K; i += THREADS) {
    let m = select(i % TILE_M, i / TILE_K, A_INNER_FIRST);
    let k = select(i / TILE_M, i % TILE_K, A_INNER_FIRST);
    var a = 0.0;
    if (m0 + m < EXTENT_M && k0 + k < kEnd) {
      a = elementA(m0 + m, k0 + k);
    }
    tileA[k * STRIDE_A + m] = a;
  }
  for (var i = t; i < TILE_K * TILE_N; i += THREADS) {
    let n = select(i % TILE_N, i / TILE_K, B_INNER_FIRST);
    let k = select(i / TILE_N, i % TILE_K, B_INNER_FIRST);
    var b = 0.0;
    if (n0 + n < extentN() && k0 + k < kEnd) {
      b = elementB(k0 + k, n0 + n);
    }
    tileB[k * TILE_N + n] = b;
  }
}

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) workgroup: vec3<u32>, @builtin(local_invocation_index) t: u32) {
  if (isIdle(t)) {
    return;
  }
  let m0 = workgroup.x * TILE_M;
  let n0 = workgroup.z * TILE_N;
  let kFirst = workgroup.y * splitK();
  let kEnd = min(kFirst + splitK(), extentK());
  // A thread owns rows m and m + 32 of the tile and four neighbouring columns.
  let m = t / 4u;
  let n = (t % 4u) * 4u;
  var upper = vec4<f32>(0.0);
  var lower = vec4<f32>(0.0);
  for (var k0 = kFirst; k0 < kEnd; k0 += TILE_K) {
    loadTiles(t, m0, n0, k0, kEnd);
    workgroupBarrier();
    for (var k = 0u; k < TILE_K; k++) {
      let at = k * TILE_N + n;
      let b = vec4<f32>(tileB[at], tileB[at + 1u], tileB[at + 2u], tileB[at + 3u]);
      upper += tileA[k * STRIDE_A + m] * b;
      lower += tileA[k * STRIDE_A + m + 32u] * b;
    }
    workgroupBarrier();
  }
  if (n0 + n < extentN()) {
    if (m0 + m < EXTENT_M) {
      storeC(m0 + m, n0 + n, workgroup.y, upper);
    }
    if (m0 + m + 32u < EXTENT_M) {
      storeC(m0 + m + 32u, n0 + n, workgroup.y, lower);
    }
  }
}
