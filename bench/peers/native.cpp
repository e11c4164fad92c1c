// Hand-written kernels, the practical limit: axograd's panel layout, GCC vector extensions, OpenMP. Compiled on the spot, once with 128-bit
// vectors (like WASM) and once with all of the machine's instructions.
//
//   g++ -O3 -fopenmp -msse4.2      -DVECTOR_BYTES=16 -DPEER_NAME='"native-128"' native.cpp
//   g++ -O3 -fopenmp -march=native -DVECTOR_BYTES=64 -DPEER_NAME='"native-wide"' native.cpp

#include <algorithm>

#include "peer.hpp"

namespace {

/** Rows (columns) of a thread: equal shares of the stored entries. */
std::vector<int> shares(const std::vector<std::uint32_t>& pointers, int threads) {
  std::vector<int> bounds;
  for (int t = 0; t <= threads; t++) {
    const double entry = static_cast<double>(pointers.back()) * t / threads;
    bounds.push_back(static_cast<int>(std::lower_bound(pointers.begin(), pointers.end(), entry) - pointers.begin()));
  }
  bounds.front() = 0;
  bounds.back() = static_cast<int>(pointers.size()) - 1;
  return bounds;
}

typedef float Four __attribute__((vector_size(16), may_alias));
typedef float Eight __attribute__((vector_size(32), may_alias));
typedef float Sixteen __attribute__((vector_size(64), may_alias));
typedef float UnalignedFour __attribute__((vector_size(16), aligned(4), may_alias));

/** The vector of `WIDTH` numbers. GCC drops vector attributes whose size depends on a template, so they are listed. */
template <int WIDTH>
struct VectorOf;
template <>
struct VectorOf<4> {
  typedef Four Type;
};
template <>
struct VectorOf<8> {
  typedef Eight Type;
};
template <>
struct VectorOf<16> {
  typedef Sixteen Type;
};

/** `LANES` numbers of one neuron as vectors of at most VECTOR_BYTES. */
template <int LANES>
struct Panel {
  static constexpr int kWidth = std::min(LANES, VECTOR_BYTES / 4);
  static constexpr int kVectors = LANES / kWidth;
  typedef typename VectorOf<kWidth>::Type Vector;

  Vector part[kVectors];

  static Panel zero() { return Panel{}; }
  static Panel load(const float* p) {
    Panel r;
    for (int i = 0; i < kVectors; i++) r.part[i] = reinterpret_cast<const Vector*>(p)[i];
    return r;
  }
  void store(float* p) const {
    for (int i = 0; i < kVectors; i++) reinterpret_cast<Vector*>(p)[i] = part[i];
  }
  void addProduct(float w, const Panel& x) {
    for (int i = 0; i < kVectors; i++) part[i] += w * x.part[i];
  }
  /** Four numbers whose sum is the product of two panels. */
  static Four dot(const Panel& a, const Panel& b) {
    Vector sum = a.part[0] * b.part[0];
    for (int i = 1; i < kVectors; i++) sum += a.part[i] * b.part[i];
    return fold(sum);
  }

 private:
  static Four fold(const Vector& v) {
    if constexpr (kWidth == 4) {
      return v;
    } else if constexpr (kWidth == 8) {
      return __builtin_shufflevector(v, v, 0, 1, 2, 3) + __builtin_shufflevector(v, v, 4, 5, 6, 7);
    } else {
      const auto half = __builtin_shufflevector(v, v, 0, 1, 2, 3, 4, 5, 6, 7) +
                        __builtin_shufflevector(v, v, 8, 9, 10, 11, 12, 13, 14, 15);
      return __builtin_shufflevector(half, half, 0, 1, 2, 3) + __builtin_shufflevector(half, half, 4, 5, 6, 7);
    }
  }
};

/** The sums of four vectors as one vector: a transposition and additions. */
inline Four sums(Four a, Four b, Four c, Four d) {
  const Four ab = __builtin_shufflevector(a, b, 0, 4, 2, 6) + __builtin_shufflevector(a, b, 1, 5, 3, 7);
  const Four cd = __builtin_shufflevector(c, d, 0, 4, 2, 6) + __builtin_shufflevector(c, d, 1, 5, 3, 7);
  return __builtin_shufflevector(ab, cd, 0, 1, 4, 5) + __builtin_shufflevector(ab, cd, 2, 3, 6, 7);
}

/** y = W·X for one panel. */
template <int LANES, typename Index>
void forward(const peer::Data& data, const Index* colIdx, const std::vector<int>& bounds, const float* x, float* y) {
  using P = Panel<LANES>;
#pragma omp parallel for schedule(static, 1) num_threads(data.threads)
  for (int t = 0; t < data.threads; t++) {
    for (int row = bounds[t]; row < bounds[t + 1]; row++) {
      P even = P::zero();
      P odd = P::zero();
      std::uint32_t k = data.rowPtr[row];
      const std::uint32_t end = data.rowPtr[row + 1];
      for (; k + 2 <= end; k += 2) {
        even.addProduct(data.values[k], P::load(x + static_cast<std::size_t>(colIdx[k]) * LANES));
        odd.addProduct(data.values[k + 1], P::load(x + static_cast<std::size_t>(colIdx[k + 1]) * LANES));
      }
      if (k < end) even.addProduct(data.values[k], P::load(x + static_cast<std::size_t>(colIdx[k]) * LANES));
      even.addProduct(1, odd);
      even.store(y + static_cast<std::size_t>(row) * LANES);
    }
  }
}

/** ct = Wᵀ·G and grad += G·Xᵀ at the stored entries, for one panel, in one walk over the columns. */
template <int LANES, typename Index>
void backward(const peer::Data& data, const Index* rowIdx, const std::vector<int>& bounds, const float* g, const float* x,
              float* ct, float* grad) {
  using P = Panel<LANES>;
#pragma omp parallel for schedule(static, 1) num_threads(data.threads)
  for (int t = 0; t < data.threads; t++) {
    for (int col = bounds[t]; col < bounds[t + 1]; col++) {
      const P own = P::load(x + static_cast<std::size_t>(col) * LANES);
      P sum = P::zero();
      const auto row = [&](std::uint32_t k) { return P::load(g + static_cast<std::size_t>(rowIdx[k]) * LANES); };
      std::uint32_t k = data.colPtr[col];
      const std::uint32_t end = data.colPtr[col + 1];
      for (; k + 4 <= end; k += 4) {
        const P a = row(k), b = row(k + 1), c = row(k + 2), d = row(k + 3);
        sum.addProduct(data.valuesCsc[k], a);
        sum.addProduct(data.valuesCsc[k + 1], b);
        sum.addProduct(data.valuesCsc[k + 2], c);
        sum.addProduct(data.valuesCsc[k + 3], d);
        UnalignedFour* target = reinterpret_cast<UnalignedFour*>(grad + k);
        *target += sums(P::dot(a, own), P::dot(b, own), P::dot(c, own), P::dot(d, own));
      }
      for (; k < end; k++) {
        const P a = row(k);
        sum.addProduct(data.valuesCsc[k], a);
        const Four p = P::dot(a, own);
        grad[k] += (p[0] + p[1]) + (p[2] + p[3]);
      }
      sum.store(ct + static_cast<std::size_t>(col) * LANES);
    }
  }
}

/** States in panels, aligned to cache lines. */
struct State {
  int rows, batch, lanes, panels;
  float* data;

  State(int rows, int batch, int lanes) : rows(rows), batch(batch), lanes(lanes), panels((batch + lanes - 1) / lanes) {
    const std::size_t bytes = (sizeof(float) * rows * lanes * panels + 63) / 64 * 64;
    data = static_cast<float*>(std::aligned_alloc(64, bytes));
    std::fill(data, data + bytes / sizeof(float), 0.0f);
  }
  State(const std::vector<float>& source, int rows, int batch, int lanes) : State(rows, batch, lanes) {
    for (int row = 0; row < rows; row++)
      for (int lane = 0; lane < batch; lane++) *at(row, lane) = source[static_cast<std::size_t>(row) * batch + lane];
  }
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  ~State() { std::free(data); }

  float* at(int row, int lane) const {
    return panel(lane / lanes) + static_cast<std::size_t>(row) * lanes + lane % lanes;
  }
  float* panel(int i) const { return data + static_cast<std::size_t>(i) * rows * lanes; }
  std::vector<float> unpack() const {
    std::vector<float> result(static_cast<std::size_t>(rows) * batch);
    for (int row = 0; row < rows; row++)
      for (int lane = 0; lane < batch; lane++) result[static_cast<std::size_t>(row) * batch + lane] = *at(row, lane);
    return result;
  }
};

template <int LANES, typename Index>
int serveWith(peer::Data& data) {
  const std::vector<Index> colIdx(data.colIdx.begin(), data.colIdx.end());
  const std::vector<Index> rowIdx(data.rowIdx.begin(), data.rowIdx.end());
  const std::vector<int> rows = shares(data.rowPtr, data.threads);
  const std::vector<int> cols = shares(data.colPtr, data.threads);
  const State x(data.x, data.n, data.batch, LANES);
  const State g(data.g, data.n, data.batch, LANES);
  const State y(data.n, data.batch, LANES);
  const State ct(data.n, data.batch, LANES);
  std::vector<float> grad(data.values.size());
  return peer::serve(
      PEER_NAME, data.threads,
      {{"spmm",
        {[&] {
           for (int p = 0; p < x.panels; p++) forward<LANES>(data, colIdx.data(), rows, x.panel(p), y.panel(p));
         },
         [] {}, [&] { return std::map<std::string, std::vector<float>>{{"y", y.unpack()}}; }}},
       {"spmmT+grad",
        {[&] {
           for (int p = 0; p < x.panels; p++)
             backward<LANES>(data, rowIdx.data(), cols, g.panel(p), x.panel(p), ct.panel(p), grad.data());
         },
         [&] { std::fill(grad.begin(), grad.end(), 0.0f); },
         [&] { return std::map<std::string, std::vector<float>>{{"ct", ct.unpack()}, {"grad", grad}}; }}}});
}

template <int LANES>
int serveLanes(peer::Data& data) {
  return data.n <= 65536 ? serveWith<LANES, std::uint16_t>(data) : serveWith<LANES, std::uint32_t>(data);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 4) return 1;
  peer::Data data(argv);
  if (data.batch <= 4) return serveLanes<4>(data);
  return data.batch <= 8 ? serveLanes<8>(data) : serveLanes<16>(data);
}
