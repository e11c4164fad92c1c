// axograd's two sparse products in CUDA: what the card gives them without WebGPU between. The scheme is that of kernels/spmm.wgsl and
// spmmGrad.wgsl before long rows got 64 threads: panels of 4·VECS lanes; 1, 4 or 16 threads per row and vec4; 4 entries per trip; PANELS panels
// per thread. The caller gives VECS and PANELS. Column indices have 16 bits.

typedef unsigned int u32;
#define THREADS 256
#define NO_ROW 0xffffffffu

__device__ __forceinline__ u32 index_of(const u32* idx, u32 k) { return (idx[k >> 1] >> ((k & 1) << 4)) & 0xffff; }

__device__ __forceinline__ void add_scaled(float4& y, float w, float4 g) {
  y.x += w * g.x;
  y.y += w * g.y;
  y.z += w * g.z;
  y.w += w * g.w;
}

__device__ __forceinline__ float dot(float4 a, float4 b) { return a.x * b.x + a.y * b.y + a.z * b.z + a.w * b.w; }

// The row, its entries and this thread's part of it: table has (row, first, end), blocks of 16 slots, first the long rows (16 threads per row),
// then the medium ones (4), then the short ones (1).
struct Share {
  u32 row, first, end, parts, part, sub;
};

__device__ __forceinline__ Share share_of(const u32* table, u32 long_blocks, u32 medium_blocks) {
  const u32 t = threadIdx.x, block0 = blockIdx.x * (THREADS / (16 * VECS));
  const u32 slot = (t / VECS) % 16, block = block0 + t / (16 * VECS);
  const u32 shift = block0 < long_blocks ? 4 : block0 < long_blocks + medium_blocks ? 2 : 0;
  const u32 before = block < long_blocks                   ? block
                     : block < long_blocks + medium_blocks ? long_blocks + (block - long_blocks) * 4
                                                           : long_blocks + medium_blocks * 4 + (block - long_blocks - medium_blocks) * 16;
  const u32* entry = table + (before + (slot >> shift)) * 3;
  const u32 parts = 1u << shift;
  return {entry[0], entry[1], entry[2], parts, slot & (parts - 1), t % VECS};
}

// Four entries from k on: columns, and weights that are 0 past the end.
struct Entries {
  u32 c[4];
  float w[4];
};

__device__ __forceinline__ Entries entries_at(const u32* idx, const float* values, u32 k, u32 end) {
  Entries e;
#pragma unroll
  for (u32 i = 0; i < 4; i++) {
    const u32 at = min(k + i, end - 1);
    e.c[i] = index_of(idx, at);
    e.w[i] = k + i < end ? values[at] : 0.f;
  }
  return e;
}

// Sums the parts of each row; all threads of the workgroup come here.
__device__ __forceinline__ float4 sum_of_parts(float4 sum, const Share& s, float4* sums) {
  const u32 t = threadIdx.x;
  if (s.parts > 1) {
    sums[t] = sum;
    __syncthreads();
    for (u32 step = 1; step < s.parts; step <<= 1) {
      if ((s.part & (2 * step - 1)) == 0) {
        add_scaled(sum, 1.f, sums[t + step * VECS]);
        sums[t] = sum;
      }
      __syncthreads();
    }
  }
  return sum;
}

// Y = W X
extern "C" __global__ void __launch_bounds__(THREADS) forward_product(const u32* table, const u32* idx, const float* values,
                                                                      const float4* x, float4* y, u32 long_blocks,
                                                                      u32 medium_blocks, u32 rows) {
  __shared__ float4 sums[THREADS];
  const Share s = share_of(table, long_blocks, medium_blocks);
  const u32 first_panel = blockIdx.z * PANELS;
  float4 acc[PANELS] = {};
  for (u32 k = s.first + 4 * s.part; k < s.end; k += 4 * s.parts) {
    const Entries e = entries_at(idx, values, k, s.end);
#pragma unroll
    for (int q = 0; q < PANELS; q++) {
      const float4* panel = x + (first_panel + q) * rows * VECS + s.sub;
#pragma unroll
      for (int i = 0; i < 4; i++) add_scaled(acc[q], e.w[i], __ldg(panel + e.c[i] * VECS));
    }
  }
#pragma unroll
  for (int q = 0; q < PANELS; q++) {
    const float4 sum = sum_of_parts(acc[q], s, sums);
    if (s.part == 0 && s.row != NO_ROW) y[((first_panel + q) * rows + s.row) * VECS + s.sub] = sum;
  }
}

// ct = Wt G, and grad[k] += sum over lanes of G[row(k)] X[col(k)], in one walk over the columns; panels first_panel to first_panel + PANELS - 1.
extern "C" __global__ void __launch_bounds__(THREADS) fused_backward(const u32* table, const u32* trips, const u32* idx,
                                                                     const float* values, const float4* g, const float4* x,
                                                                     float4* ct, float* grad, u32 long_blocks,
                                                                     u32 medium_blocks, u32 rows, u32 first_panel) {
  __shared__ float4 sums[THREADS];
  const Share s = share_of(table, long_blocks, medium_blocks);
  float4 acc[PANELS] = {}, own[PANELS] = {};
  if (s.row != NO_ROW) {
#pragma unroll
    for (int q = 0; q < PANELS; q++) own[q] = x[((first_panel + q) * rows + s.row) * VECS + s.sub];
  }
  u32 most = 0;
  const u32 per_group = THREADS / (16 * VECS);
  for (u32 i = 0; i < per_group; i++) most = max(most, trips[blockIdx.x * per_group + i]);
  // All threads make the same trips, as shuffles need.
  for (u32 trip = 0; trip < most; trip++) {
    const u32 k = s.first + 4 * (s.part + trip * s.parts);
    float d[4] = {};
    if (k < s.end) {
      const Entries e = entries_at(idx, values, k, s.end);
#pragma unroll
      for (int q = 0; q < PANELS; q++) {
        const float4* panel = g + (first_panel + q) * rows * VECS + s.sub;
#pragma unroll
        for (int i = 0; i < 4; i++) {
          const float4 other = __ldg(panel + e.c[i] * VECS);
          d[i] += dot(other, own[q]);
          add_scaled(acc[q], e.w[i], other);
        }
      }
    }
    const bool odd = s.sub & 1;
#if VECS == 2
    float a = odd ? d[2] : d[0], b = odd ? d[3] : d[1];
    a += __shfl_xor_sync(0xffffffffu, odd ? d[0] : d[2], 1);
    b += __shfl_xor_sync(0xffffffffu, odd ? d[1] : d[3], 1);
    const u32 at = k + 2 * s.sub;
    if (at < s.end) grad[at] += a;
    if (at + 1 < s.end) grad[at + 1] += b;
#else
    const bool upper = s.sub >= 2;
    float a = odd ? d[1] : d[0], b = odd ? d[3] : d[2];
    a += __shfl_xor_sync(0xffffffffu, odd ? d[0] : d[1], 1);
    b += __shfl_xor_sync(0xffffffffu, odd ? d[2] : d[3], 1);
    const float total = (upper ? b : a) + __shfl_xor_sync(0xffffffffu, upper ? a : b, 2);
    if (k + s.sub < s.end) grad[k + s.sub] += total;
#endif
  }
#pragma unroll
  for (int q = 0; q < PANELS; q++) {
    const float4 sum = sum_of_parts(acc[q], s, sums);
    if (s.part == 0 && s.row != NO_ROW) ct[((first_panel + q) * rows + s.row) * VECS + s.sub] = sum;
  }
}
